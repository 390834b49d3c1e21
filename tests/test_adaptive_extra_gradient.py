"""What `AdaptiveExtraGradient` promises beyond the laws of every solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jaxtyping import Array, Float

import minimax as mm
from tests.iterates import iterates
from tests.strategies import Bilinear, bilinear_games, plant, seeds

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
SOLVER = mm.AdaptiveExtraGradient()


class Scaled(mm.AbstractGame):
    r"""c times a game that is strongly convex-concave in x, and whose F is not linear."""

    matrix: Float[Array, "n m"]
    c: Float[Array, ""]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return self.c * (x @ self.matrix @ y + jnp.sum(x**4) + x[0] - 0.1 * y @ y)


def scaled(c: float) -> Scaled:
    return Scaled(jnp.asarray(plant(3, 2, [1.0, 0.3], seed=1).matrix), jnp.asarray(c))


START = {"x": np.array([1.0, -2.0, 0.5]), "y": np.array([3.0, 1.0])}


@pytest.mark.parametrize("c", [2.0**-30, 0.125, 2.0**20])
def test_the_units_of_the_payoff_do_not_matter(c):
    """f -> cf: step sizes become η/c by themselves, and no bit of an iterate changes."""
    rows = iterates(scaled(1.0), START, mm.AdaptiveExtraGradient(), 60)
    others = iterates(scaled(c), START, mm.AdaptiveExtraGradient(), 60)
    jax.tree.map(np.testing.assert_array_equal, rows, others)


@given(bilinear_games(least=0.2))
def test_no_step_leads_away_from_a_saddle_point(planted):
    """‖z⁺ - z*‖² <= ‖z - z*‖² - (1 - ν²)‖z - w‖² before the first restart, whatever the scale of
    the game; up to the rounding of a step."""
    rows = iterates(planted.game, planted.players, mm.AdaptiveExtraGradient(), 19)
    distance = planted.distance(rows)
    size = 1 + max(float(jnp.abs(row).max()) for row in rows.values())
    assert np.all(np.diff(distance) <= 1e-13 * size)
    assert distance[-1] < distance[0]


@given(seeds)
def test_a_restart_leads_at_most_a_little_way_back(seed):
    """An average of midpoints w = z - ηF(z): on a bilinear game ‖w - z*‖² = ‖z - z*‖² + η²‖F(z)‖²,
    and η‖F(z)‖ <= ν‖z - z*‖ follows from the inequality. So the first look, after 20 steps, leads
    no further out than √(1 + ν²) times the start; and soon the error is a fraction of it."""
    planted = plant(4, 3, [1.0, 0.3, 0.1], seed)
    rows = iterates(planted.game, planted.players, mm.AdaptiveExtraGradient(), 200)
    error = np.linalg.norm(planted.pairs(rows), axis=-1)
    assert error[20] <= np.sqrt(1 + 0.9**2) * error[0] * (1 + 1e-12)
    assert error[-1] < 0.1 * error[0]


def evaluations(solver: mm.AbstractSolver, condition: float) -> int:
    """Evaluations to a relative residual of 10⁻⁶ on a bilinear game with ten singular values."""
    planted = plant(10, 10, np.geomspace(1 / condition, 1, 10), seed=0)
    game = planted.game
    first = float(mm.NaturalResidual()(game, planted.players))
    solution = mm.solve(game, planted.players, solver, tol=1e-6 * first, max_steps=100_000)
    assert solution.success
    return int(solution.evaluations)


def test_restarts_turn_the_square_of_the_condition_number_into_the_number():
    """From κ = 10 to κ = 40 extragradient needs about 16 times the evaluations (at least 8, here),
    restarts about 4 times (less than 8)."""
    plain = [evaluations(mm.ExtraGradient(1 / np.sqrt(2)), condition) for condition in (10, 40)]
    ours = [evaluations(mm.AdaptiveExtraGradient(), condition) for condition in (10, 40)]
    assert plain[1] > 8 * plain[0]
    assert ours[1] < 8 * ours[0] and ours[1] < plain[1] / 2


def test_it_needs_no_step_size_where_there_is_no_lipschitz_constant():
    """x⁴ from far away, and a payoff of any size."""
    game = mm.Game(lambda p: p["x"] ** 4 + p["x"] * p["y"] - p["y"] ** 4, ROLES)
    for far in (1e-3, 1.0, 1e3):
        solution = mm.solve(game, {"x": far, "y": -far}, SOLVER, tol=1e-6)
        assert solution.success, solution
        # The quartics are flat: |4x³ + y| and |x - 4y³| below 10⁻⁶ leave z at most so large.
        assert abs(float(solution.players["x"])) < 1e-5


@pytest.mark.parametrize("slope", [1e-6, 1e-3, 1.0, 1e6])
def test_it_finds_its_pace_where_f_does_not_change_at_all(slope):
    """A linear payoff on a box: F is constant, so every step size passes the test; it must grow to
    the size of the box within a few dozen steps, from either side."""
    game = mm.Game(lambda p: slope * (p["x"] - p["y"]), ROLES, constraints=mm.Box(-1.0, 1.0))
    solution = mm.solve(game, {"x": 1.0, "y": 1.0}, SOLVER, tol=1e-9 * slope, max_steps=200)
    assert solution.success, solution
    assert (float(solution.players["x"]), float(solution.players["y"])) == (-1.0, -1.0)


class Forsaken(mm.AbstractGame):
    r"""$x(y - 0.45) + \phi(x) - \phi(y)$, $\phi(z) = z^2/4 - z^4/2 + z^6/6$, on a box: not
    monotone; fixed-step methods cycle. Hsieh, Mertikopoulos and Cevher, arXiv:2006.09065."""

    roles = {"x": "min", "y": "max"}
    constraints = mm.Box(-1.5, 1.5)

    def payoff(self, players, data=None):
        def phi(z):
            return z**2 / 4 - z**4 / 2 + z**6 / 6

        return players["x"] * (players["y"] - 0.45) + phi(players["x"]) - phi(players["y"])


class Polar(mm.AbstractGame):
    r"""General-sum, with $F = (-y + xq, x + yq)$, $q = (r^2 - 1)(16 r^2 - 9)/16$: its cycle r = 1
    attracts. Pethick et al., arXiv:2302.09831."""

    roles = {"x": "min", "y": "min"}
    constraints = mm.Box(-1.1, 1.1)

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        fixed_x, fixed_y = jax.lax.stop_gradient(x), jax.lax.stop_gradient(y)
        square = fixed_x**2 + fixed_y**2
        q = (square - 1) * (16 * square - 9) / 16
        return {"x": x * (-fixed_y + fixed_x * q), "y": y * (fixed_x + fixed_y * q)}


@pytest.mark.parametrize(
    "game, solution",
    [(Forsaken(), (0.0780267, 0.4119339)), (Polar(), (0.0, 0.0))],
    ids=["Forsaken", "PolarGame"],
)
def test_the_guard_leaves_cycles(game, solution):
    """From twenty random starts; both have one critical point inside."""
    starts = np.random.default_rng(0).uniform(-1, 1, size=(20, 2))
    batch = jax.vmap(
        lambda z: mm.solve(game, {"x": z[0], "y": z[1]}, SOLVER, max_steps=4000, tol=1e-7)
    )
    solutions = batch(jnp.asarray(starts))
    assert bool(jnp.all(solutions.success)), solutions
    for name, expected in zip("xy", solution, strict=True):
        np.testing.assert_allclose(solutions.players[name], expected, rtol=0, atol=1e-6)


def test_it_never_acts_on_its_own_rounding():
    """Where F is exactly zero there is nothing to probe, nothing to divide by."""
    planted = plant(2, 2, [1.0, 0.5], seed=3)
    game = Bilinear(jnp.asarray(planted.matrix), jnp.zeros(2), jnp.zeros(2))
    zeros = {"x": jnp.zeros(2), "y": jnp.zeros(2)}
    rows = iterates(game, zeros, mm.AdaptiveExtraGradient(), 50)
    assert all(bool(jnp.all(row == 0)) for row in rows.values())


# The precision floor ------------------------------------------------------------------------------


@pytest.mark.parametrize("demand", [10.0, 30.0, 100.0, 200.0, 300.0])
def test_a_market_is_solved_up_to_its_rounding(demand):
    """Three firms in single precision, with the solution far from zero: at the precision floor the
    step size neither grows out of proportion nor shrinks to nothing."""
    game = mm.Game(
        lambda q: {firm: q[firm] * (0.9 * demand - sum(q.values())) for firm in q},
        "max",
        mm.Box(0.0, 10 * demand),
    )
    with jax.enable_x64(False):
        solution = mm.solve(game, {"a": 1.0, "b": 2.0, "c": 3.0}, SOLVER)
    assert solution.success, solution
    np.testing.assert_allclose(list(solution.players.values()), 0.225 * demand, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("radius", [1e3, 1e4])
def test_large_balls_do_not_send_the_step_size_to_infinity(radius, seed):
    """On a sphere a step is rounding long before the residual is small."""
    draw = np.random.default_rng(seed)
    A = jnp.asarray(draw.normal(size=(5, 5)) / radius, "float32")
    b, c = (jnp.asarray(3 * draw.normal(size=5), "float32") for _ in range(2))
    game = mm.Game(lambda p: p[0] @ A @ p[1] + b @ p[0] + c @ p[1], constraints=mm.L2Ball(radius))
    with jax.enable_x64(False):
        start = (jnp.zeros(5, "float32"), jnp.zeros(5, "float32"))
        solution = mm.solve(game, start, SOLVER, record=50)
    assert solution.status in ("converged", "max_steps")
    assert solution.trace is not None
    assert float(solution.trace.stats["step_size"].max()) < 1e9
