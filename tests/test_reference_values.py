"""Numbers known in advance: closed forms for f = xy, and matrix games of known value.

f(x, y) = xy from (1, 1) with step size 0.1; ‖z₁₀₀‖ is √2 times the 100th power of the modulus of
each method's root. Matrix games: values as in the READMEs and tests of the projects named, and
again from a linear program (HiGHS).
"""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

XY = mm.Game(lambda players: players["x"] * players["y"], {"x": "min", "y": "max"})


def trajectory(solver: mm.AbstractSolver, steps: int = 100) -> np.ndarray:
    rows = iterates(XY, {"x": jnp.ones(()), "y": jnp.ones(())}, solver, steps)
    return np.stack([rows["x"], rows["y"]], axis=-1)


@pytest.mark.parametrize(
    "solver, expected",
    [
        (mm.GradientDescentAscent, 2.3258606),
        (mm.ExtraGradient, 0.8599397),
        (mm.OptimisticGradient, 0.8599853),
    ],
)
def test_distance_after_a_hundred_steps(solver, expected):
    """√2(1 + η²)^{k/2}; √2(1 - η² + η⁴)^{k/2}; for the optimistic gradient with F(z₋₁) = F(z₀) the
    two roots have moduli .99493615 and .10050896. (With F(z₋₁) = 0 it would be 0.8643623.)"""
    distance = np.linalg.norm(trajectory(solver(0.1))[-1])
    np.testing.assert_allclose(distance, expected, rtol=0, atol=0.5e-7)  # all digits given


def test_first_steps_of_extragradient_by_hand():
    """(1, 1) -> (.89, 1.09) -> (.7721, 1.1681) -> (.647569, 1.233629)."""
    expected = [(1, 1), (0.89, 1.09), (0.7721, 1.1681), (0.647569, 1.233629)]
    np.testing.assert_allclose(trajectory(mm.ExtraGradient(0.1), 3), expected, rtol=1e-14)


def test_alternating_descent_ascent_keeps_one_point_nine():
    """x² + y² - ηxy = 2 - 0.1 at every step, x moving first."""
    x, y = trajectory(mm.AlternatingGradientDescentAscent(0.1), 1000).T
    # Two products and two sums per step and per check, on numbers below 2.
    np.testing.assert_allclose(x**2 + y**2 - 0.1 * x * y, 1.9, rtol=0, atol=1000 * 16 * 2.3e-16)
    assert (x[1], y[1]) == (0.9, 1 + 0.1 * 0.9)


MATRIX_GAMES = {
    # min over x, max over y of xᵀAy: matrix, value, x, y
    "dsp": ([[1, 2], [3, 1]], 5 / 3, [2 / 3, 1 / 3], [1 / 3, 2 / 3]),  # DSP, README
    "biased rock-paper-scissors": (  # OpenSpiel, lp_solver_test
        [[0, -0.25, 0.5], [0.25, 0, -0.05], [-0.5, 0.05, 0]],
        0.0,
        [1 / 16, 10 / 16, 5 / 16],
        [1 / 16, 10 / 16, 5 / 16],
    ),
    "pure": (np.negative([[2, 1, 5], [-3, -4, -2]]), -1.0, [1, 0], [0, 1, 0]),  # OpenSpiel
    "dominated row": (  # QuantEcon; the row player maximises there, so the sign is changed
        np.negative([[0, 1, -1], [-1, 0, 1], [1, -1, 0], [-1, -1, -1]]),
        0.0,
        [1 / 3, 1 / 3, 1 / 3, 0],
        [1 / 3, 1 / 3, 1 / 3],
    ),
}


class MatrixGame(mm.AbstractGame):
    matrix: jnp.ndarray
    roles = {"x": "min", "y": "max"}
    constraints = mm.Simplex()

    def payoff(self, players, data=None):
        return players["x"] @ self.matrix @ players["y"]


def uniform(matrix: np.ndarray) -> dict:
    n, m = matrix.shape
    return {"x": jnp.full(n, 1 / n), "y": jnp.full(m, 1 / m)}


def value_by_linear_program(matrix: np.ndarray) -> float:
    """min t subject to Aᵀx <= t, x in the simplex."""
    n, m = matrix.shape
    solution = linprog(
        np.r_[np.zeros(n), 1],
        A_ub=np.c_[matrix.T, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=[np.r_[np.ones(n), 0]],
        b_eq=[1],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    return solution.fun


SOLVERS = {
    "extragradient": lambda: mm.ExtraGradient(0.3),
    "optimistic": lambda: mm.OptimisticGradient(0.15),
    "average of alternating": lambda: mm.Averaged(mm.AlternatingGradientDescentAscent(0.3), 2.0),
}


@pytest.mark.parametrize(
    "name, solver",
    [(name, "default") for name in MATRIX_GAMES]
    + [(name, solver) for name in ("dsp", "biased rock-paper-scissors") for solver in SOLVERS],
)
def test_matrix_games_of_known_value(name, solver):
    """Solved to a duality gap; the gap bounds the error of the value, and a linear program agrees
    with the value that is known."""
    matrix, value, x, y = MATRIX_GAMES[name]
    matrix = np.asarray(matrix, float)
    tol = 1e-4 if solver.startswith("average") else 1e-9
    solution = mm.solve(
        MatrixGame(jnp.asarray(matrix)),
        uniform(matrix),
        None if solver == "default" else SOLVERS[solver](),
        metric=mm.DualityGap(),
        tol=tol,
        max_steps=100_000,
    )
    assert solution.status == mm.Status.converged, solution
    assert abs(float(solution.value) - value) <= tol
    assert value_by_linear_program(matrix) == pytest.approx(value, abs=1e-9)
    # Among all players with a gap of at most e no entry is more than 20 e away from the solution
    # (the worst is biased rock-paper-scissors; by linear programs over those players).
    np.testing.assert_allclose(solution.players["x"], x, rtol=0, atol=20 * tol)
    np.testing.assert_allclose(solution.players["y"], y, rtol=0, atol=20 * tol)
