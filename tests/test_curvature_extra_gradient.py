"""What `CurvatureExtraGradient` promises beyond the laws of every solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, Float

import minimax as mm
from tests.iterates import iterates
from tests.strategies import fractions
from tests.test_adaptive_extra_gradient import Forsaken

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 60


class Cohypomonotone(mm.AbstractGame):
    r"""F is multiplication by $\rho - i\sqrt{1 - \rho^2}$ on x + iy: L = 1, and exactly
    $\rho$-comonotone."""

    rho: Float[Array, ""]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return jnp.sum(self.rho / 2 * (x**2 - y**2) + jnp.sqrt(1 - self.rho**2) * x * y)


class Polar(mm.AbstractGame):
    r"""General-sum, $F = (-y + xq, x + yq)$, $q = a(r^2 - 1)(16 r^2 - 9)/16$: the cycle r = 1
    attracts. Pethick et al., arXiv:2302.09831, example 3."""

    a: Float[Array, ""]
    roles = {"x": "min", "y": "min"}
    constraints = mm.Box(-1.1, 1.1)

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        fixed_x, fixed_y = jax.lax.stop_gradient(x), jax.lax.stop_gradient(y)
        square = fixed_x**2 + fixed_y**2
        q = self.a * (square - 1) * (16 * square - 9) / 16
        return {"x": x * (-fixed_y + fixed_x * q), "y": y * (fixed_x + fixed_y * q)}


START = {"x": np.array(1.0), "y": np.array(-0.5)}


def run(rho: float, solver: mm.AbstractSolver, steps: int = STEPS) -> np.ndarray:
    rows = iterates(Cohypomonotone(jnp.asarray(rho)), START, solver, steps)
    return np.asarray(rows["x"]) + 1j * np.asarray(rows["y"])


@given(
    fractions(-0.3, 0.9), st.floats(-0.45, 0.0), st.floats(0.1, 1.9), st.sampled_from([0.5, 0.9])
)
def test_iterates_follow_the_recurrence_of_the_paper(rho, shift, relaxation, nu):
    """With γ = 0.98 ν/L, which a linear F never makes shrink or grow; and α >= δ/γ + 1/(1 + ν)."""
    solver = mm.CurvatureExtraGradient(shift, relaxation, nu)
    z, gamma = run(rho, solver), 0.98 * nu
    m = rho - 1j * np.sqrt(1 - rho**2)
    w = z - gamma * m * z
    d = (z - w) - gamma * m * (z - w)
    alpha = shift + np.real((z - w).conj() * d) / np.maximum(np.abs(d) ** 2, 1e-300)
    assert np.all(alpha >= shift + 1 / (1 + nu) - 1e-9)
    size = np.abs(z).max()
    np.testing.assert_allclose(
        z[1:], (z - relaxation * alpha * d)[:-1], rtol=0, atol=1e-8 * size
    )  # the probe finds L to about eight digits


@given(fractions(-0.39, 0.5), st.floats(0.1, 1.9))
def test_no_step_leads_away_from_the_solution(rho, relaxation):
    """‖z⁺‖² <= ‖z‖² - (2 - λ)/λ ‖z - z⁺‖² for ρ down to δ = -0.45 γ, γ = 0.98 ν, ν = 0.9."""
    z = run(rho, mm.CurvatureExtraGradient(relaxation=relaxation))
    fall = np.abs(z[:-1]) ** 2 - np.abs(z[1:]) ** 2
    assert np.all(fall >= (2 - relaxation) / relaxation * np.abs(np.diff(z)) ** 2 - 1e-14)


@given(fractions(-0.39, 0.5), st.floats(0.1, 1.9))
def test_the_least_residual_falls_like_one_over_root_k(rho, relaxation):
    """min ‖γF(w)‖ <= ‖z_0‖/(√(λ(2 - λ)K)(δ/γ + 1/(1 + ν)))."""
    z, gamma = run(rho, mm.CurvatureExtraGradient(relaxation=relaxation)), 0.98 * 0.9
    m = rho - 1j * np.sqrt(1 - rho**2)
    least = np.minimum.accumulate(np.abs(gamma * m * (z - gamma * m * z)))[:-1]
    share = -0.45 + 1 / 1.9
    bound = np.abs(z[0]) / np.sqrt(relaxation * (2 - relaxation) * np.arange(1, STEPS + 1)) / share
    assert np.all(least <= bound * (1 + 1e-9))


def test_what_is_cohypomonotone_defeats_extragradient_and_smaller_shifts():
    """ρ = -1/3: not for extragradient, nor for the projection and contraction method."""
    game = Cohypomonotone(jnp.asarray(-1 / 3))
    solution = mm.solve(game, START, mm.CurvatureExtraGradient(), tol=1e-8)
    assert solution.success and abs(solution.players["x"]) < 1e-7
    assert mm.solve(game, START, mm.ExtraGradient(0.5)).status == "diverged"
    assert not mm.solve(game, START, mm.CurvatureExtraGradient(shift=0.0)).success


@pytest.mark.parametrize(
    "game, solution",
    [(Polar(jnp.asarray(1 / 3)), (0.0, 0.0)), (Forsaken(), (0.0780267, 0.4119339))],
    ids=["PolarGame", "Forsaken"],
)
def test_it_leaves_cycles(game, solution):
    """From twenty random starts. PolarGame is covered by theory (ρL = -0.1), Forsaken is not."""
    starts = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, size=(20, 2)))
    solver = mm.CurvatureExtraGradient()
    batch = jax.vmap(lambda z: mm.solve(game, {"x": z[0], "y": z[1]}, solver, tol=1e-7))
    solutions = batch(starts)
    assert bool(jnp.all(solutions.success)), solutions
    for name, expected in zip("xy", solution, strict=True):
        np.testing.assert_allclose(solutions.players[name], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("far", [1e-3, 1.0, 1e3])
def test_it_needs_no_lipschitz_constant(far):
    """x⁴ from near and far, and the step size follows: flat at the end, steep at the beginning."""
    game = mm.Game(lambda p: p["x"] ** 4 + p["x"] * p["y"] - p["y"] ** 4, {"x": "min", "y": "max"})
    start = {"x": far, "y": -far}
    solution = mm.solve(game, start, mm.CurvatureExtraGradient(), tol=1e-6, record=1)
    assert solution.success and solution.trace is not None
    gammas = solution.trace.stats["step_size"]
    assert 0.3 < gammas[solution.steps] <= 0.9  # L = 1 at the saddle
    assert gammas[0] == pytest.approx(0.98 * 0.9 / np.hypot(12 * far**2, 1), rel=0.01)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shift": -0.5}, "shift .* > -1/2 and <= 0"),
        ({"shift": 0.1}, "shift .* > -1/2 and <= 0"),
        ({"shift": np.nan}, "shift .* > -1/2 and <= 0"),
        ({"relaxation": 0.0}, "relaxation .* between 0 and 2"),
        ({"relaxation": 2.0}, "relaxation .* between 0 and 2"),
        ({"contraction": 1.0}, "contraction .* between 0 and 1"),
    ],
)
def test_its_ranges(options, message):
    """As its theorem has them."""
    with pytest.raises(mm.GameError, match=message):
        mm.CurvatureExtraGradient(**options)
