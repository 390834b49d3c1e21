r"""Exact laws and proven bounds of the methods that anchor, reflect or reuse an evaluation.

On a bilinear game each pair of singular vectors is a complex number $\zeta$ on which $-\eta F$ is
multiplication by $ic$, $c = \eta s$ (see `test_bilinear_laws`); so every method is a recurrence in
complex numbers, written out here as in its paper.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, Float

import minimax as mm
from tests.iterates import iterates, outputs
from tests.strategies import bilinear_games, fractions
from tests.test_bilinear_laws import STEPS, rounding

pytestmark = pytest.mark.usefixtures("float64")


def popov(zeta, ic):
    w = zeta
    while True:
        yield zeta
        w = zeta + ic * w
        zeta = zeta + ic * w


def reflected(zeta, ic):
    previous = zeta
    while True:
        yield zeta
        zeta, previous = zeta + ic * (2 * zeta - previous), zeta


def extragradient(zeta, ic):
    while True:
        yield zeta
        zeta = zeta + ic * (zeta + ic * zeta)


def extra_anchored(zeta, ic):
    anchor, k = zeta, 0
    while True:
        yield zeta
        pulled = zeta + (anchor - zeta) / (k + 2)
        zeta, k = pulled + ic * (pulled + ic * zeta), k + 1


def anchored_popov(zeta, ic):
    anchor, w, k = zeta, zeta, 0
    while True:
        yield zeta
        pulled = zeta + (anchor - zeta) / (k + 2)
        w = pulled + ic * w
        zeta, k = pulled + ic * w, k + 1


def fast_extragradient(share):
    """rho = share eta."""

    def recurrence(zeta, ic):
        anchor, k = zeta, 0
        while True:
            yield zeta
            b = 1 / (k + 1)
            pulled = zeta + b * (anchor - zeta)
            w = pulled + (1 - b) * (1 + 2 * share) * ic * zeta
            zeta, k = pulled + ic * w + 2 * (1 - b) * share * ic * zeta, k + 1

    return recurrence


METHODS = {
    "popov": (mm.PopovExtraGradient, popov),
    "reflected": (mm.ReflectedGradient, reflected),
    "forward-backward-forward": (mm.ForwardBackwardForward, extragradient),
    "extra-anchored": (mm.ExtraAnchoredGradient, extra_anchored),
    "anchored popov": (mm.AnchoredPopov, anchored_popov),
    "fast": (mm.FastExtraGradient, fast_extragradient(0.0)),
    "fast, comonotone": (
        lambda eta: mm.FastExtraGradient(eta, comonotonicity=-0.2 * eta),
        fast_extragradient(-0.2),
    ),
}


@pytest.mark.parametrize("method", METHODS)
@given(bilinear_games(), fractions(0.02, 0.6))
def test_iterates_follow_the_recurrence_of_the_paper(method, planted, c_max):
    """ζ_0, ..., ζ_30 of every pair, iterate by iterate."""
    solver, recurrence = METHODS[method]
    eta = c_max / planted.s_max
    rows = iterates(planted.game, planted.players, solver(eta), STEPS)
    zeta, ic = planted.pairs(rows), 1j * eta * planted.singular_values
    expected = np.stack([z for z, _ in zip(recurrence(zeta[0], ic), range(STEPS + 1))])  # noqa: B905
    tolerance = 8 * rounding(planted, rows, c_max)  # a step adds up to five vectors
    np.testing.assert_allclose(zeta, expected, rtol=0, atol=tolerance)


# Bounds -------------------------------------------------------------------------------------------


class Linear(mm.AbstractGame):
    r"""Affine F with matrix $a I + b\, \mathrm{Rot}$ per coordinate: F(z) = M (z - z*).

    $\|M\|$ per coordinate is $\sqrt{a^2 + b^2}$, and M is a/(a² + b²)-comonotone.
    """

    a: Float[Array, " n"]
    b: Float[Array, " n"]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return jnp.sum(self.a / 2 * (x**2 - y**2) + self.b * x * y)


def residuals(game, solver, players, steps: int) -> np.ndarray:
    """‖F(z_k)‖ for k = 0, ..., steps."""
    rows = iterates(game, players, solver, steps)
    x, y = np.asarray(rows["x"]), np.asarray(rows["y"])
    a, b = np.asarray(game.a), np.asarray(game.b)
    return np.sqrt(np.sum((a * x + b * y) ** 2 + (a * y - b * x) ** 2, axis=-1))


def linear_game(comonotonicity: float, angles) -> Linear:
    """L = 1: every coordinate has |a + ib| = 1, with a from the comonotonicity up to 1."""
    a = comonotonicity + (1 - comonotonicity) * np.asarray(angles)
    return Linear(jnp.asarray(a), jnp.asarray(np.sqrt(1 - a**2)))


POINTS = {"x": np.array([1.0, -2.0, 0.5]), "y": np.array([0.3, 1.0, -1.5])}
DISTANCE = float(np.sqrt(sum(np.sum(np.square(p)) for p in POINTS.values())))
FAR = 200


@given(st.lists(fractions(0.0, 0.9), min_size=3, max_size=3), fractions(-0.45, 0.4))
def test_fast_extragradient_keeps_its_bound(angles, rho):
    """‖F(z_k)‖ <= 2 D / ((η + 2ρ) k) at η = 1/L, for ρ from below zero to above."""
    game = linear_game(rho, angles)
    solver = mm.FastExtraGradient(1.0, comonotonicity=min(rho, 0.99))
    k = np.arange(1, FAR + 1)
    bound = 2 * DISTANCE / ((1 + 2 * rho) * k)
    assert np.all(residuals(game, solver, POINTS, FAR)[1:] <= bound * (1 + 1e-9) + 1e-12)


@pytest.mark.parametrize("rho", [-0.4, -0.2])
def test_the_bound_of_fast_extragradient_is_tight(rho):
    """M = ρI + √(1 - ρ²)Rot comes within 2 % of it: a method that were slower would break it."""
    game = linear_game(rho, np.zeros(3))
    k = np.arange(1, FAR + 1)
    solver = mm.FastExtraGradient(1.0, comonotonicity=rho)
    share = residuals(game, solver, POINTS, FAR)[1:] * (1 + 2 * rho) * k / (2 * DISTANCE)
    assert 0.98 <= share.max() <= 1 + 1e-9


def test_what_is_not_comonotone_defeats_extragradient_but_not_the_fast_one():
    """At ρ = -0.3/L extragradient runs away."""
    game = linear_game(-0.3, np.zeros(3))
    assert mm.solve(game, POINTS, mm.ExtraGradient(0.9), max_steps=2000).status == "diverged"
    fast = mm.FastExtraGradient(1.0, comonotonicity=-0.3)
    assert mm.solve(game, POINTS, fast, max_steps=20_000, tol=1e-2).success


@given(st.lists(fractions(0.0, 1.0), min_size=3, max_size=3), fractions(0.01, 0.125))
def test_extra_anchored_gradient_keeps_its_bound(angles, c):
    """‖F(z_k)‖² <= 4(1 + c + c²)/(η²(1 + c)) D²/(k + 1)² for monotone F and c = ηL <= 1/8."""
    k = np.arange(FAR + 1)
    bound = 4 * (1 + c + c**2) / (c**2 * (1 + c)) * DISTANCE**2 / (k + 1) ** 2
    solver = mm.ExtraAnchoredGradient(c)
    squares = residuals(linear_game(0.0, angles), solver, POINTS, FAR) ** 2
    assert np.all(squares <= bound * (1 + 1e-9))


@given(st.lists(fractions(0.0, 1.0), min_size=3, max_size=3), fractions(1 / 12, 0.5))
def test_anchored_popov_falls_like_one_over_k(angles, eta):
    """k ‖F(z_k)‖ stays below 2 D/η on such operators, the constant of its limit η -> 0."""
    k = np.arange(FAR + 1)
    scaled = k * residuals(linear_game(0.0, angles), mm.AnchoredPopov(eta), POINTS, FAR)
    assert scaled.max() <= 2 * DISTANCE / eta


@given(st.lists(fractions(0.0, 1.0), min_size=3, max_size=3))
def test_popov_has_a_lyapunov_function(angles):
    """At η = 1/(3L), ‖z_k‖² + (k + 32)/3 η² (‖F(z_k)‖² + 2‖F(z_k) - F(w_{k-1})‖²) never grows
    from k = 1 on (Gorbunov et al. 2022, arXiv:2205.08446)."""
    eta, game = 1 / 3, linear_game(0.0, angles)
    rows = iterates(game, POINTS, mm.PopovExtraGradient(eta), FAR)
    z = np.asarray(rows["x"]) + 1j * np.asarray(rows["y"])
    m = np.asarray(game.a) - 1j * np.asarray(game.b)  # F of a pair, as a complex factor
    w_before = np.concatenate([z[:1], (z[:-1] - z[1:]) / (eta * m)])  # z_k = z_{k-1} - η F(w_{k-1})
    k = np.arange(FAR + 1)

    def squares(v):
        return np.sum(np.abs(v) ** 2, axis=-1)

    psi = squares(z) + (k + 32) / 3 * eta**2 * (squares(m * z) + 2 * squares(m * (z - w_before)))
    assert np.all(np.diff(psi[1:]) <= 1e-9 * psi[1])


@pytest.mark.parametrize("offset", [-0.02, 0.02])
@pytest.mark.parametrize(
    "method, limit",
    [
        (mm.PopovExtraGradient, 1 / np.sqrt(3)),
        (mm.ReflectedGradient, 1 / np.sqrt(3)),
        (mm.ForwardBackwardForward, 1.0),
    ],
)
def test_it_converges_exactly_below_its_limit(method, limit, offset):
    """The largest step size on a rotation, from both sides."""
    game, eta = linear_game(0.0, np.zeros(3)), limit * (1 + offset)
    status = mm.solve(game, POINTS, method(eta), max_steps=20_000, tol=1e-7).status
    assert status == ("converged" if offset < 0 else "diverged")


# The step size that varies ------------------------------------------------------------------------


def varying_step_sizes(steps: int) -> list[float]:
    """α_k for L = 1, as in the paper."""
    alphas = [0.618]
    for k in range(steps):
        square = alphas[-1] ** 2
        factor = 1 - (k + 2) ** 2 * square / ((k + 1) * (k + 3))
        alphas.append(alphas[-1] / (1 - square) * factor)
    return alphas


@given(bilinear_games(), fractions(0.5, 3.0))
def test_the_varying_extra_anchored_gradient_is_that_of_the_paper(planted, excess):
    """Pair by pair, for some bound on ‖A‖."""
    lipschitz = excess * planted.s_max
    solver = mm.VaryingExtraAnchoredGradient(lipschitz)
    rows = iterates(planted.game, planted.players, solver, STEPS)
    zeta, s = planted.pairs(rows), planted.singular_values
    expected, alphas = [zeta[0]], varying_step_sizes(STEPS)
    for k in range(STEPS):
        ic = 1j * alphas[k] * s / lipschitz
        pulled = expected[-1] + (zeta[0] - expected[-1]) / (k + 2)
        expected.append(pulled + ic * (pulled + ic * expected[-1]))
    tolerance = 8 * rounding(planted, rows, 1 / excess)
    np.testing.assert_allclose(zeta, expected, rtol=0, atol=tolerance)


@given(st.lists(fractions(0.0, 1.0), min_size=3, max_size=3))
def test_the_varying_extra_anchored_gradient_keeps_its_bound(angles):
    """‖F(z_k)‖² <= 27 D²/((k + 1)(k + 2)) for L = 1."""
    k = np.arange(FAR + 1)
    solver = mm.VaryingExtraAnchoredGradient(1.0)
    squares = residuals(linear_game(0.0, angles), solver, POINTS, FAR) ** 2
    assert np.all(squares <= 27 * DISTANCE**2 / ((k + 1) * (k + 2)) * (1 + 1e-9))


@pytest.mark.parametrize("x64", [False, True])
def test_the_step_size_varies_down_to_its_limit(x64):
    """0.437/L, in both precisions: what it loses per step is soon less than a rounding."""
    with jax.enable_x64(x64):
        game = mm.Game(lambda players: players[0] * players[1])
        solver = mm.VaryingExtraAnchoredGradient(2.0)
        solution = mm.solve(game, (1.0, 1.0), solver, tol=0.0, max_steps=4000, record=1000)
    assert solution.trace is not None
    alphas = np.asarray(solution.trace.stats["step_size"], float) * 2
    np.testing.assert_allclose(
        alphas, varying_step_sizes(4000)[::1000], rtol=1e-12 if x64 else 1e-4
    )
    np.testing.assert_allclose(alphas[-1], 0.437, atol=5e-4)


@pytest.mark.parametrize("lipschitz", [0, -1.0, np.nan, np.inf])
def test_a_lipschitz_constant_is_one_finite_number_above_zero(lipschitz, as_users_run_it):
    """And nothing else."""
    with pytest.raises(mm.GameError, match="lipschitz is .*: expected one finite number > 0"):
        mm.VaryingExtraAnchoredGradient(lipschitz)


# Sets ---------------------------------------------------------------------------------------------


def test_where_an_operator_is_evaluated():
    """Popov stays in the sets; the others leave them, and report what does not."""

    def payoff(players):
        inside = (players["x"] >= 0.5) & (players["x"] <= 1)
        return jnp.where(inside, players["x"], jnp.nan) * players["y"]

    game = mm.Game(payoff, {"x": "min", "y": "max"}, mm.Box(0.5, 1.0))
    everywhere = mm.Game(lambda p: p["x"] * p["y"], game.roles, game.constraints)
    start = {"x": np.array(0.9), "y": np.array(0.6)}
    for method in (mm.PopovExtraGradient, mm.ReflectedGradient, mm.ForwardBackwardForward):
        last = iterates(game, start, method(0.6), 6)["y"][-1]
        assert bool(jnp.isfinite(last)) == (method is mm.PopovExtraGradient)
        for reported in outputs(everywhere, start, method(0.6), 6).values():
            assert np.all((reported >= 0.5) & (reported <= 1))


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_size", [0, -0.1, np.nan, np.inf, None, "0.1", [0.1, 0.1], 1j])
@pytest.mark.parametrize("method", [method for method in METHODS if "," not in method])
def test_a_step_size_is_one_finite_number_above_zero(method, step_size, as_users_run_it):
    """And nothing else; a whole number will do."""
    with pytest.raises(mm.GameError, match="step_size is .*: expected one finite number > 0"):
        METHODS[method][0](step_size)
    assert METHODS[method][0](1).step_size.dtype == float


@pytest.mark.parametrize("rho", [-0.5, np.nan, np.inf])
def test_comonotonicity_has_a_limit(rho):
    """ρ > -η/2."""
    with pytest.raises(mm.GameError, match="comonotonicity is .* finite number > -step_size/2"):
        mm.FastExtraGradient(1.0, comonotonicity=rho)
