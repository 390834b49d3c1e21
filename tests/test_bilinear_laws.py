r"""Exact laws on bilinear games, per pair of singular vectors.

For $f = (x - x^\star)^\top A (y - y^\star)$ with $A = U \operatorname{diag}(s) V^\top$ let
$\zeta = u^\top (x - x^\star) + i\, v^\top (y - y^\star)$ and $c = \eta s$. Then descent-ascent is
$\zeta^+ = (1 + ic) \zeta$, and the other methods are polynomials in $ic$.

Rounding: one step multiplies a vector by a matrix twice, so it errs by at most about
$8 (n + m)\, \epsilon\, (1 + c)^2$ of the largest number in it, and k steps by k times that much.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

import minimax as mm
from tests.iterates import iterates, outputs
from tests.strategies import Bilinear, PlantedBilinear, bilinear_games, fractions, plant

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps
STEPS = 30


def rounding(planted: PlantedBilinear, rows: dict, c: float, steps: int = STEPS) -> float:
    """What `steps` steps may err by in float64 (see above)."""
    size = sum(rows[k].shape[-1] for k in "xy")
    largest = max(float(np.max(np.abs(np.asarray(row)))) for row in rows.values())
    largest = max(largest, *(float(np.max(np.abs(point))) for point in planted.saddle.values()))
    return 8 * size * steps * EPS * (1 + c) ** 2 * largest


def linear(zeta: np.ndarray, factor: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """zeta, factor zeta, factor² zeta, ..."""
    return zeta * factor ** np.arange(steps + 1)[:, None]


# Descent-ascent -----------------------------------------------------------------------------------


@given(bilinear_games(), fractions(0.02, 0.9))
def test_descent_ascent_multiplies_every_pair_by_one_plus_ic(planted, c_max):
    """ζ⁺ = (1 + ic)ζ, so |ζ⁺| = √(1 + c²)|ζ| in every step."""
    eta = c_max / planted.s_max
    rows = iterates(planted.game, planted.players, mm.GradientDescentAscent(eta), STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    tolerance = rounding(planted, rows, c_max)
    np.testing.assert_allclose(zeta, linear(zeta[0], 1 + 1j * c), rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        np.abs(zeta[1:]), np.sqrt(1 + c**2) * np.abs(zeta[:-1]), rtol=0, atol=tolerance
    )


@given(bilinear_games(shapes=((2, 2),)), fractions(0.4, 0.9))
def test_descent_ascent_diverges_on_every_bilinear_game(planted, c_max):
    """√(1 + c²) > 1 for every c > 0: at c >= 0.4, 600 steps grow the error 10¹⁹ fold."""
    solver = mm.GradientDescentAscent(c_max / planted.s_max)
    solution = mm.solve(planted.game, planted.players, solver, max_steps=600)
    assert solution.status == mm.Status.diverged
    assert planted.distance(solution.players) > 1e6


# Extragradient ------------------------------------------------------------------------------------


@given(bilinear_games(), fractions(0.02, 1.2))
def test_extragradient_multiplies_every_pair_by_one_minus_c_squared_plus_ic(planted, c_max):
    """ζ⁺ = (1 - c² + ic)ζ."""
    eta = c_max / planted.s_max
    rows = iterates(planted.game, planted.players, mm.ExtraGradient(eta), STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    np.testing.assert_allclose(
        zeta,
        linear(zeta[0], 1 - c**2 + 1j * c),
        rtol=0,
        atol=rounding(planted, rows, c_max),
    )


@given(bilinear_games(least=0.5, shapes=((2, 2),)), fractions(0.005, 0.02))
def test_extragradient_converges_exactly_below_one(planted, offset):
    """|1 - c² + ic|² = 1 - c²(1 - c²) is below 1 exactly where c = η s is below 1."""
    below, above = (
        mm.solve(
            planted.game,
            planted.players,
            mm.ExtraGradient(c / planted.s_max),
            max_steps=20_000,
            tol=1e-7 * planted.s_max,
        ).status
        for c in (1 - offset, 1 + offset)
    )
    assert (below, above) == (mm.Status.converged, mm.Status.diverged)


def test_extragradient_contracts_best_at_one_over_root_two():
    """min over c of √(1 - c² + c⁴) is √3/2, at c = 1/√2."""
    planted = plant(1, 1, [3.0], seed=0)
    solver = mm.ExtraGradient(1 / np.sqrt(2) / 3.0)
    distance = planted.distance(iterates(planted.game, planted.players, solver, STEPS))
    np.testing.assert_allclose(distance[1:] / distance[:-1], np.sqrt(3) / 2, rtol=1e-11)


# Alternating descent-ascent -----------------------------------------------------------------------


def alternating(planted: PlantedBilinear, c: float, balance: float, steps: int):
    """Iterates of alternating descent-ascent at √(η_x η_y) s_max = c and η_x / η_y = balance²."""
    eta_x, eta_y = c * balance / planted.s_max, c / balance / planted.s_max
    solver = mm.AlternatingGradientDescentAscent({"x": eta_x, "y": eta_y})
    rows = iterates(planted.game, planted.players, solver, steps)
    x, y = (np.asarray(rows[k]) - planted.saddle[k] for k in "xy")
    return x, y, eta_x, eta_y, rounding(planted, rows, max(eta_x, eta_y) * planted.s_max, steps)


@given(bilinear_games(), fractions(0.05, 1.9), fractions(0.5, 2.0))
def test_alternating_descent_ascent_keeps_its_invariant(planted, c, balance):
    """‖x‖²/η_x + ‖y‖²/η_y - xᵀAy is the same after every step, whatever the step sizes."""
    x, y, eta_x, eta_y, error = alternating(planted, c, balance, STEPS)
    invariant = (
        np.sum(x**2, -1) / eta_x
        + np.sum(y**2, -1) / eta_y
        - np.einsum("ki,ij,kj->k", x, planted.matrix, y)
    )
    largest = max(np.max(np.abs(x)), np.max(np.abs(y)))
    slope = 2 * (x.shape[-1] + y.shape[-1]) * largest * (1 / eta_x + 1 / eta_y + planted.s_max)
    np.testing.assert_allclose(invariant, invariant[0], rtol=0, atol=slope * error)


@given(bilinear_games(), fractions(0.05, 1.95), fractions(0.5, 2.0))
def test_alternating_descent_ascent_stays_bounded_below_two(planted, c, balance):
    """With |z|² = ‖x‖²/η_x + ‖y‖²/η_y the invariant lies between (1 ± c/2)|z|², so
    |z_k|² <= (1 + c/2)/(1 - c/2) |z_0|² for ever."""
    x, y, eta_x, eta_y, _ = alternating(planted, c, balance, 500)
    size = np.sum(x**2, -1) / eta_x + np.sum(y**2, -1) / eta_y
    bound = (1 + c / 2) / (1 - c / 2) * size[0]
    assert np.all(size <= bound * (1 + 1e-9))
    assert size[-1] >= (1 - c / 2) / (1 + c / 2) * size[0] * (1 - 1e-9), "it does not converge"


@given(bilinear_games(least=0.5, shapes=((2, 2),)), fractions(0.05, 0.5), fractions(0.5, 2.0))
def test_alternating_descent_ascent_diverges_above_two(planted, excess, balance):
    """Per pair the step has determinant 1 and trace 2 - c²: beyond c = 2 a root leaves the unit
    circle; at c = 2.05 it is 1.25."""
    x, y, *_ = alternating(planted, 2 + excess, balance, 200)
    assert np.sqrt(np.sum(x[-1] ** 2) + np.sum(y[-1] ** 2)) > 1e9


@given(bilinear_games(), fractions(0.05, 1.9), fractions(0.5, 2.0))
def test_average_of_alternating_descent_ascent_telescopes_and_falls_like_one_over_k(
    planted, c, balance
):
    r"""Since x_{t+1} = x_t - η_x A y_t and y_{t+1} = y_t + η_y Aᵀ x_{t+1}, the uniform averages of
    z_1, ..., z_k satisfy η_y Aᵀ x̄_k = (y_k - y_0)/k and η_x A ȳ_k = (x_1 - x_{k+1})/k; with the
    bound above, |F(z̄_k)| in the norms scaled by √η is at most
    2√2 √((1 + c/2)/(1 - c/2)) |z_0| / k."""
    x, y, eta_x, eta_y, error = alternating(planted, c, balance, STEPS + 1)
    solver = mm.Averaged(mm.AlternatingGradientDescentAscent({"x": eta_x, "y": eta_y}))
    average = outputs(planted.game, planted.players, solver, STEPS)
    x_bar, y_bar = (np.asarray(average[k])[1:] - planted.saddle[k] for k in "xy")
    k = np.arange(1, STEPS + 1)[:, None]
    force_y, force_x = x_bar @ planted.matrix, y_bar @ planted.matrix.T
    error = error * 4 * (1 + planted.s_max * max(eta_x, eta_y))
    np.testing.assert_allclose(eta_y * force_y, (y[1:-1] - y[0]) / k, rtol=0, atol=error)
    np.testing.assert_allclose(eta_x * force_x, (x[1] - x[2:]) / k, rtol=0, atol=error)
    size = np.sum(x[0] ** 2) / eta_x + np.sum(y[0] ** 2) / eta_y
    scaled = np.sqrt(eta_x * np.sum(force_x**2, -1) + eta_y * np.sum(force_y**2, -1))
    bound = 2 * np.sqrt(2) * np.sqrt((1 + c / 2) / (1 - c / 2) * size) / k[:, 0]
    assert np.all(scaled <= bound * (1 + 1e-9))


# Optimistic gradient ------------------------------------------------------------------------------


def two_roots(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The roots of r² - (1 + 2ic) r + ic."""
    root = np.sqrt(1 - 4 * c.astype(complex) ** 2)
    return (1 + 2j * c + root) / 2, (1 + 2j * c - root) / 2


@given(bilinear_games(), fractions(0.02, 0.8))
def test_optimistic_gradient_follows_its_two_roots(planted, c_max):
    """ζ_{k+1} = ζ_k + ic(2ζ_k - ζ_{k-1}), ζ_{-1} = ζ_0: a linear recurrence."""
    eta = c_max / planted.s_max
    rows = iterates(planted.game, planted.players, mm.OptimisticGradient(eta), STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    expected = [zeta[0], zeta[0] * (1 + 1j * c)]
    for _ in range(STEPS - 1):
        expected.append(expected[-1] + 1j * c * (2 * expected[-1] - expected[-2]))
    tolerance = 4 * rounding(planted, rows, c_max)  # a step adds three vectors
    np.testing.assert_allclose(zeta, np.stack(expected), rtol=0, atol=tolerance)

    if np.all(np.abs(c - 0.5) > 0.02):  # apart from the double root: closed form
        slow, fast = two_roots(c)
        share = (zeta[0] * (1 + 1j * c) - fast * zeta[0]) / (slow - fast)
        closed = linear(share, slow) + linear(zeta[0] - share, fast)
        np.testing.assert_allclose(zeta, closed, rtol=0, atol=100 * tolerance)


@pytest.mark.parametrize("c", [0.1, 0.3, 0.5, 0.55, 0.57, 0.6, 0.9])
def test_modulus_of_the_slow_root(c):
    """√((1 + √(1 - 4c²))/2) up to c = 1/2 and √((1 + (2c + √(4c² - 1))²)/4) beyond: the rate that
    the iterates settle to."""
    expected = (
        np.sqrt((1 + np.sqrt(1 - 4 * c**2)) / 2)
        if c <= 0.5
        else np.sqrt((1 + (2 * c + np.sqrt(4 * c**2 - 1)) ** 2) / 4)
    )
    np.testing.assert_allclose(np.max(np.abs(two_roots(np.array(c)))), expected, rtol=1e-12)
    planted = plant(1, 1, [1.0], seed=1)
    rows = iterates(planted.game, planted.players, mm.OptimisticGradient(c), 200)
    # A pair of roots of different modulus is settled; at the double root c = 1/2 a factor
    # polynomial in k remains.
    size = np.abs(planted.pairs(rows))[:, 0]
    rate = (size[60] / size[30]) ** (1 / 30)
    np.testing.assert_allclose(rate, expected, rtol=0.03 if c == 0.5 else 1e-2)


@given(bilinear_games(least=0.5, shapes=((2, 2),)), fractions(0.005, 0.02))
def test_optimistic_gradient_converges_exactly_below_one_over_root_three(planted, offset):
    """The slow root is inside the unit circle exactly where c < 1/√3."""
    below, above = (
        mm.solve(
            planted.game,
            planted.players,
            mm.OptimisticGradient(c / np.sqrt(3) / planted.s_max),
            max_steps=20_000,
            tol=1e-7 * planted.s_max,
        ).status
        for c in (1 - offset, 1 + offset)
    )
    assert (below, above) == (mm.Status.converged, mm.Status.diverged)


# Methods that know the Jacobian ----------------------------------------------------------------


@pytest.mark.parametrize(
    "method", [mm.ConsensusOptimization, mm.SymplecticGradientAdjustment], ids=lambda m: m.__name__
)
@given(planted=bilinear_games(), c_max=fractions(0.02, 0.9), push=fractions(0.1, 1.5))
def test_consensus_and_symplectic_adjustment_damp_every_pair(method, planted, c_max, push):
    """J = A is antisymmetric with J² = -s² per pair, so ζ⁺ = (1 + ic - ηγs²)ζ."""
    eta, weight = c_max / planted.s_max, push / planted.s_max
    rows = iterates(planted.game, planted.players, method(eta, weight), STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    factor = 1 + 1j * c - c * weight * planted.singular_values
    tolerance = 4 * rounding(planted, rows, c_max * (1 + push))
    np.testing.assert_allclose(zeta, linear(zeta[0], factor), rtol=0, atol=tolerance)


@given(bilinear_games(least=0.5, shapes=((2, 2),)), fractions(0.01, 0.03), fractions(0.3, 2.0))
def test_consensus_converges_exactly_below_its_step_size(planted, offset, push):
    """(1 - ηγs²)² + η²s² < 1 exactly where η < 2γ/(1 + γ²s²), which falls with s."""
    weight = push / planted.s_max
    most = 2 * weight / (1 + push**2)
    below, above = (
        mm.solve(
            planted.game,
            planted.players,
            mm.ConsensusOptimization(most * part, weight),
            max_steps=20_000,
            tol=1e-7 * planted.s_max,
        ).status
        for part in (1 - offset, 1 + offset)
    )
    assert (below, above) == (mm.Status.converged, mm.Status.diverged)


@given(bilinear_games(), fractions(0.02, 5.0))
def test_competitive_gradient_descent_is_the_proximal_point_method(planted, c_max):
    """z⁺ = z - ηF(z⁺): ζ⁺ = ζ/(1 - ic), for every step size."""
    eta = c_max / planted.s_max
    solver = mm.CompetitiveGradientDescent(eta, tol=1e-15)
    rows = iterates(planted.game, planted.players, solver, STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    tolerance = 8 * rounding(planted, rows, c_max)
    np.testing.assert_allclose(zeta, linear(zeta[0], 1 / (1 - 1j * c)), rtol=0, atol=tolerance)


# Averages and what does not move ------------------------------------------------------------------


@given(
    bilinear_games(),
    fractions(0.1, 0.9),
    st.sampled_from([0.0, 1.0, 2.0, 2.5]),
    st.sampled_from(["descent-ascent", "extragradient"]),
)
def test_averages_are_closed_form_sums(planted, c_max, power, method):
    """The average of z_1, ..., z_k with weights ∝ Γ(t + p)/Γ(t) ~ t^p, where z_t is a power of the
    method's factor; for p = 0 it is a geometric sum."""
    eta = c_max / planted.s_max
    ic = 1j * eta * planted.singular_values
    inner, factor = {
        "descent-ascent": (mm.GradientDescentAscent(eta), 1 + ic),
        "extragradient": (mm.ExtraGradient(eta), 1 + ic + ic**2),
    }[method]
    rows = outputs(planted.game, planted.players, mm.Averaged(inner, power), STEPS)
    reported = planted.pairs(rows)
    zeta = reported[0]  # before the first step the average is the start
    tolerance = 4 * rounding(planted, rows, c_max) * (1 + power)
    if power == 0:
        k = np.arange(1, STEPS + 1)[:, None]
        closed = factor * (factor**k - 1) / (factor - 1) / k
    else:
        t = np.arange(1, STEPS + 1)
        weights = np.exp(gammaln(t + power) - gammaln(t))[:, None]
        closed = np.cumsum(weights * factor ** t[:, None], 0) / np.cumsum(weights, 0)
    np.testing.assert_allclose(reported[1:], closed * zeta, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "solver",
    [
        mm.GradientDescentAscent,
        mm.AlternatingGradientDescentAscent,
        mm.ExtraGradient,
        mm.OptimisticGradient,
    ],
)
def test_components_in_the_null_space_stay_where_they_are(solver):
    """Where uᵀA = 0, uᵀx never moves; where Av = 0, vᵀy never moves."""
    planted = plant(4, 3, [1.0, 0.3, 0.0], seed=5)
    rows = iterates(planted.game, planted.players, solver(0.4), STEPS)
    x = (np.asarray(rows["x"]) - planted.saddle["x"]) @ planted.left[:, 2:]
    y = (np.asarray(rows["y"]) - planted.saddle["y"]) @ planted.right[:, 2:]
    tolerance = rounding(planted, rows, 0.4)
    np.testing.assert_allclose(x, np.broadcast_to(x[0], x.shape), rtol=0, atol=tolerance)
    np.testing.assert_allclose(y, np.broadcast_to(y[0], y.shape), rtol=0, atol=tolerance)


def test_exact_zero_rows_do_not_move_by_one_bit():
    """A coordinate that the payoff does not know keeps its bits."""
    game = Bilinear(jnp.array([[0.7, 0.0], [0.0, 0.0]]), jnp.zeros(2), jnp.zeros(2))
    start = {"x": jnp.array([1.0, 0.1]), "y": jnp.array([1.0, 0.3])}
    for solver in (mm.ExtraGradient(0.3), mm.OptimisticGradient(0.3), mm.AdaptiveExtraGradient()):
        rows = iterates(game, start, solver, STEPS)
        assert jax.tree.all(
            jax.tree.map(lambda row, z: bool((row[:, 1] == z[1]).all()), rows, start)
        )


# Lookahead ----------------------------------------------------------------------------------------


@given(bilinear_games(), fractions(0.02, 0.8), st.integers(1, 6), fractions(0.05, 1.0))
def test_lookahead_takes_part_of_the_way(planted, c_max, period, pull):
    """Around descent-ascent the slow ζ is multiplied by 1 - α + α(1 + ic)^k every k steps."""
    eta = c_max / planted.s_max
    solver = mm.Lookahead(mm.GradientDescentAscent(eta), period, pull)
    rows = outputs(planted.game, planted.players, solver, STEPS)
    zeta, c = planted.pairs(rows), eta * planted.singular_values
    factor = 1 - pull + pull * (1 + 1j * c) ** period
    expected = zeta[0] * factor ** (np.arange(STEPS + 1) // period)[:, None]
    fast = iterates(planted.game, planted.players, solver, STEPS)
    np.testing.assert_allclose(
        zeta, expected, rtol=0, atol=2 * rounding(planted, {**rows, "fast": fast["x"]}, c_max)
    )


def test_lookahead_tames_descent_ascent():
    """|1 - α + α(1 + ic)^k| < 1 where |1 + ic| > 1."""
    planted = plant(2, 2, [1.0, 0.5], seed=0)
    gda = mm.GradientDescentAscent(0.3)
    assert mm.solve(planted.game, planted.players, gda).status == "diverged"
    assert mm.solve(planted.game, planted.players, mm.Lookahead(gda), tol=1e-6).success


@pytest.mark.parametrize("period, pull", [(0, 0.5), (2.5, 0.5), (5, 0.0), (5, 1.5), (5, np.nan)])
def test_what_lookahead_must_be_given(period, pull, as_users_run_it):
    """A whole number of steps, and part of the way."""
    with pytest.raises(mm.GameError, match="(period|pull) is .*: expected a"):
        mm.Lookahead(mm.GradientDescentAscent(0.3), period, pull)


# What the other laws let pass ---------------------------------------------------------------------


def test_alternating_players_see_where_the_others_are_projected_to():
    """x goes from 0.1 to P(0.1 - 0.5) = 0, so y stays; unprojected it would see -0.4."""
    game = mm.Game(lambda p: p["x"] * p["y"], {"x": "min", "y": "max"}, mm.Box(0.0, 1.0))
    solver = mm.AlternatingGradientDescentAscent(0.5)
    rows = iterates(game, {"x": jnp.asarray(0.1), "y": jnp.asarray(0.9)}, solver, 1)
    np.testing.assert_array_equal(rows["x"], [0.1, 0.0])
    np.testing.assert_array_equal(rows["y"], [0.9, 0.9])


def test_averages_are_of_what_the_inner_solver_reports():
    """Around lookahead, which reports its slow players."""
    planted = plant(2, 2, [1.0, 0.5], seed=0)
    inner = mm.Lookahead(mm.GradientDescentAscent(0.3), period=3)
    reported = outputs(planted.game, planted.players, inner, STEPS)
    average = outputs(planted.game, planted.players, mm.Averaged(inner), STEPS)
    for player in "xy":
        means = np.cumsum(reported[player][1:], axis=0) / np.arange(1, STEPS + 1)[:, None]
        np.testing.assert_allclose(average[player][1:], means, rtol=1e-12, atol=1e-14)
