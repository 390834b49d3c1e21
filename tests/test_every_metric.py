"""Each file in `_metrics` is held to the laws of `minimax.testing`, and to what is known of it
alone."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, Float, PyTree
from scipy.optimize import linprog, minimize

import minimax as mm
from minimax import _metrics
from minimax.testing import MetricCase, metric_laws
from minimax.testing._metric_case import (
    RPS,
    Matrix,
    draw,
    matrix_game,
    measure,
    rock_paper_scissors,
)
from tests.discovery import check_files, examples
from tests.strategies import flat, seeds

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps
EXAMPLES = examples(_metrics)


class Concave(mm.AbstractGame):
    r"""$\tfrac12 x^\top P x + x^\top A y - \tfrac12 y^\top Q y$, convex-concave, on sets."""

    P: Float[Array, "n n"]
    A: Float[Array, "n m"]
    Q: Float[Array, "m m"]
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return 0.5 * x @ self.P @ x + x @ self.A @ y - 0.5 * y @ self.Q @ y


def feasible(game: mm.AbstractGame, seed: int) -> dict[str, Array]:
    return game.project({"x": draw(seed, 3), "y": draw(seed + 1, 4)})


def case_of(name: str) -> MetricCase:
    """An example. The gap of rock-paper-scissors grows at least like the distance over 12 (six
    vertices, payoffs >= 1/2); exploitability is half of it."""
    return MetricCase(EXAMPLES[name](), sharpness=1 / 24)


LAWS = [
    pytest.param(law, name, id=f"{name}-{law.name}")
    for name in EXAMPLES
    for law in metric_laws
    if law.applies(case_of(name))
]


@pytest.mark.parametrize("law, name", LAWS)
def test_laws(law, name):
    """Each law that is for it."""
    law(case_of(name))


def test_every_file_holds_one_metric_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_metrics, mm.AbstractMetric)


# The natural residual -----------------------------------------------------------------------------


@given(seeds, st.floats(0.05, 0.9), st.floats(1.1, 20.0))
def test_natural_residual_is_monotone_in_its_step_size(seed, small, ratio):
    """r_η = ‖z - P(z - ηF)‖/η does not grow with η, and η r_η does not fall."""
    game = matrix_game(seed)
    players = feasible(game, seed + 3)
    shorter, longer = (
        float(measure(mm.NaturalResidual(eta), game, players)) for eta in (small, small * ratio)
    )
    assert longer <= shorter * (1 + 64 * EPS) + 16 * EPS / small
    assert small * ratio * longer >= small * shorter * (1 - 64 * EPS) - 16 * EPS


@given(seeds, st.floats(0.1, 5.0))
def test_natural_residual_is_the_norm_of_a_projected_step(seed, eta):
    """Against the definition, on a box, where NumPy can project."""
    game = matrix_game(seed, mm.Box(-0.5, 0.5))
    players = feasible(game, seed + 3)
    x, y, A = (np.asarray(each) for each in (players["x"], players["y"], game.matrix))
    moved = np.concatenate(
        [
            x - np.clip(x - eta * (A @ y), -0.5, 0.5),
            y - np.clip(y + eta * (x @ A), -0.5, 0.5),
        ]
    )
    expected = np.linalg.norm(moved) / eta
    found = float(measure(mm.NaturalResidual(eta), game, players))
    assert found == pytest.approx(expected, abs=16 * EPS * (1 + 1 / eta))


@given(seeds, st.sampled_from([1e-3, 1.0, 1e3]))
def test_natural_residual_without_constraints_is_the_norm_of_the_operator(seed, eta):
    """P is the identity, so r_η = ‖F(z)‖ for every η."""
    game = matrix_game(seed, None)
    players = {"x": draw(seed + 1, 3), "y": draw(seed + 2, 4)}
    expected = np.linalg.norm(flat(game.operator(players)))
    assert float(measure(mm.NaturalResidual(eta), game, players)) == pytest.approx(
        expected, rel=1e-14
    )


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("free", [None, mm.Box(-jnp.inf, jnp.inf), mm.NonNegative()])
def test_natural_residual_does_not_drown_in_large_players(far, free):
    """‖F(z)‖ = 10⁻³ at z of size 10³ to 10⁹ in float32 must not round to zero: z - (z - F) would,
    and a run would be called converged."""
    game = mm.Game(lambda p: 1e-3 * p[0] - 1e-3 * p[1], constraints=free)
    players = (jnp.asarray(far, "float32"), jnp.asarray(far, "float32"))
    residual = float(mm.NaturalResidual()(game, players))
    assert residual == pytest.approx(np.hypot(1e-3, 1e-3), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_natural_residual_adds_up_half_precision_numbers_in_single(dtype):
    """10⁴ entries of 2·10⁻⁴ have the norm 0.02, though each square is below the float16 numbers;
    and 400 entries of 300 have the norm 6000, though the sum of squares is above them."""
    slope = mm.Game(lambda p: 300 * jnp.sum(p, dtype=dtype), "min")
    tiny = mm.Game(lambda p: jnp.asarray(2e-4, dtype) * jnp.sum(p, dtype=dtype), "min")
    ulp = float(jnp.finfo(dtype).eps)
    for game, n, expected in ((slope, 400, 6e3), (tiny, 10_000, 0.02)):
        residual = float(mm.NaturalResidual()(game, jnp.zeros(n, dtype)))
        assert residual == pytest.approx(expected, rel=4 * ulp)


# The operator residual ----------------------------------------------------------------------------


@given(seeds, st.sampled_from([1e-200, 1.0, 1e200]))
def test_operator_residual_is_the_norm_of_the_gradients(seed, scale):
    """‖(Ay, -Aᵀx)‖, where no square over- or underflows; and what the natural residual is there."""
    game = matrix_game(seed, None, scale)
    x, y, A = (np.asarray(each) for each in (draw(seed + 1, 3), draw(seed + 2, 4), game.matrix))
    expected = scale * np.linalg.norm(np.concatenate([A @ y, -x @ A]))
    players = {"x": jnp.asarray(x), "y": jnp.asarray(y)}
    found = float(measure(mm.OperatorResidual(), game, players))
    assert found == pytest.approx(expected, rel=64 * EPS)
    assert found == pytest.approx(float(measure(mm.NaturalResidual(), game, players)), rel=8 * EPS)


def test_operator_residual_stops_a_run_at_what_it_says():
    game = mm.Game(lambda p: (p[0] - 1) ** 2 + p[0] * p[1] - p[1] ** 2)
    solution = mm.solve(
        game, (1.0, 1.0), mm.ExtraGradient(0.2), metric=mm.OperatorResidual(), tol=1e-9
    )
    assert solution.success and solution.metric == "OperatorResidual"
    np.testing.assert_allclose(solution.players, [0.8, 0.4], rtol=0, atol=1e-9)


@pytest.mark.parametrize("kept", [mm.Box(-jnp.inf, jnp.inf), mm.Simplex(), mm.L1(0.1)])
def test_operator_residual_refuses_sets_and_regularisers(kept):
    """It names the player, says why and what to do, before anything compiles."""

    def payoff(players):
        raise AssertionError("it was traced")

    game = mm.Game(payoff, {"x": "min", "y": "max"}, {"x": None, "y": kept})
    players, message = {"x": jnp.ones(2), "y": jnp.ones(2)}, rf"\['y'\] has {type(kept).__name__}"
    for refused in (mm.OperatorResidual(), lambda *args: mm.OperatorResidual().check(*args)):
        with pytest.raises(mm.GameError, match=message + r".*mm\.NaturalResidual\(\)"):
            refused(game, players)
    bilinear = mm.Game(lambda p: p["x"] @ p["y"], game.roles, game.constraints)
    with pytest.raises(mm.GameError, match=message):
        mm.solve(bilinear, players, mm.ExtraGradient(0.1), metric=mm.OperatorResidual())


# The duality gap ----------------------------------------------------------------------------------


def best_by_linear_program(cost: np.ndarray, constraint: str) -> float:
    """min ⟨cost, u⟩ over the simplex or the box [-0.5, 0.5]ⁿ, by HiGHS."""
    n = cost.size
    if constraint == "simplex":
        options = dict(A_eq=np.ones((1, n)), b_eq=[1], bounds=[(0, None)] * n)
    else:
        options = dict(bounds=[(-0.5, 0.5)] * n)
    return linprog(cost, **options, method="highs").fun


@given(seeds, st.sampled_from(["simplex", "box"]))
def test_duality_gap_of_a_matrix_game_is_what_linear_programs_find(seed, constraint):
    """max_y f(x, y) - min_x f(x, y)."""
    game = matrix_game(seed, mm.Simplex() if constraint == "simplex" else mm.Box(-0.5, 0.5))
    players = feasible(game, seed + 5)
    x, y, A = (np.asarray(each) for each in (players["x"], players["y"], game.matrix))
    best = best_by_linear_program
    expected = -best(-x @ A, constraint) - best(A @ y, constraint)
    # HiGHS returns a vertex, so its value is exact but for rounding.
    assert float(measure(mm.DualityGap(), game, players)) == pytest.approx(expected, abs=1e-13)


@given(seeds)
def test_duality_gap_on_balls_is_a_sum_of_norms(seed):
    """max_{‖y‖<=r} xᵀAy - min_{‖x‖<=r} xᵀAy = r‖Aᵀx‖ + r‖Ay‖."""
    game = matrix_game(seed, mm.L2Ball(2.0))
    players = feasible(game, seed + 5)
    x, y, A = (np.asarray(each) for each in (players["x"], players["y"], game.matrix))
    expected = 2 * np.linalg.norm(x @ A) + 2 * np.linalg.norm(A @ y)
    assert float(measure(mm.DualityGap(), game, players)) == pytest.approx(expected, abs=1e-13)


@given(seeds)
def test_duality_gap_is_an_upper_bound_where_the_payoff_is_convex_concave(seed):
    """⟨F(z), z - u⟩ >= f(x, u_y) - f(u_x, y) for every u: tried at all vertices of the boxes, at
    random points, and at best responses by projected gradient steps."""
    one, two = draw(seed, 3, 3), draw(seed + 1, 4, 4)
    constraints = {"x": mm.Box(-1.0, 1.0), "y": mm.Box(-1.0, 1.0)}
    game = Concave(one @ one.T, draw(seed + 2, 3, 4), two @ two.T, constraints)
    players = feasible(game, seed + 3)
    bound = float(measure(mm.DualityGap(), game, players))
    P, A, Q = (np.asarray(each) for each in (game.P, game.A, game.Q))
    x, y = np.asarray(players["x"]), np.asarray(players["y"])

    def payoff(x, y):
        return 0.5 * x @ P @ x + x @ A @ y - 0.5 * y @ Q @ y

    u, v = x, y
    for _ in range(200):
        u = np.clip(u - (P @ u + A @ y) / np.linalg.norm(P, 2), -1, 1)
        v = np.clip(v + (x @ A - Q @ v) / np.linalg.norm(Q, 2), -1, 1)
    gap = payoff(x, v) - payoff(u, y)
    assert 0 <= gap <= bound + 1e-12
    for corner in itertools.product([-1.0, 1.0], repeat=3):
        assert payoff(x, v) - payoff(np.asarray(corner), y) <= bound + 1e-12
    for corner in itertools.product([-1.0, 1.0], repeat=4):
        assert payoff(x, np.asarray(corner)) - payoff(u, y) <= bound + 1e-12


@given(seeds, st.sampled_from([1e-3, 7.0, 1e4]))
def test_duality_gap_is_in_units_of_the_payoff(seed, scale):
    """The gap of cf is c times that of f."""
    players = feasible(matrix_game(seed), seed + 1)
    one, other = (
        float(measure(mm.DualityGap(), matrix_game(seed, scale=c), players)) for c in (1.0, scale)
    )
    assert other == pytest.approx(scale * one, rel=1e-12, abs=scale * 16 * EPS)


def test_duality_gap_is_infinite_where_a_bound_is():
    """An unbounded player that can still gain can gain without end; a flat one cannot gain."""
    game = mm.Game(
        lambda p: p[0] * p[1], constraints=(mm.Box(-jnp.inf, jnp.inf), mm.Box(-1.0, 1.0))
    )
    assert float(mm.DualityGap()(game, (0.0, 0.5))) == np.inf
    assert float(mm.DualityGap()(game, (0.0, 0.0))) == 0.0


@given(seeds)
def test_duality_gap_is_infinite_outside_the_sets(seed):
    """There ⟨F(z), z - u⟩ may be negative, and is no certificate."""
    game = matrix_game(seed)
    players = feasible(game, seed + 1)
    outside = {"x": players["x"] + 0.01, "y": players["y"]}
    assert float(measure(mm.DualityGap(), game, outside)) == np.inf


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e7])
def test_duality_gap_on_simplices_is_free_of_payoff_offsets(offset):
    """A constant added to the payoff is no gain, though strategies sum to one only up to rounding:
    in float32, an offset of 10⁷ may cost the digits of the payoffs themselves, no more."""
    game, solution = rock_paper_scissors()
    shifted = Matrix(jnp.asarray(RPS, "float32") + offset, jnp.ones((), "float32"), mm.Simplex())
    players = {k: z.astype("float32") for k, z in solution.items()}
    gap = float(mm.DualityGap()(shifted, players))
    assert 0 <= gap <= 8 * float(np.finfo("float32").eps) * (1 + abs(offset))


def test_duality_gap_refuses_players_that_are_not_bounded():
    """It names the player and says what to do."""
    game = mm.Game(
        lambda p: p["x"] * p["y"][0], {"x": "min", "y": "max"}, {"x": mm.Box(0.0, 1.0), "y": None}
    )
    with pytest.raises(mm.GameError, match=r"players\['y'\]\[0\] is free.*mm.Box"):
        mm.solve(game, {"x": 0.5, "y": [1.0]}, mm.ExtraGradient(0.1), metric=mm.DualityGap())
    half = mm.Game(game.payoff, game.roles, {"x": mm.Box(0.0, 1.0), "y": mm.NonNegative()})
    with pytest.raises(mm.GameError, match=r"players\['y'\]\[0\] has NonNegative"):
        mm.DualityGap()(half, {"x": 0.5, "y": [1.0]})


# The other residuals and gaps ---------------------------------------------------------------------

CHAIN = eqx.filter_jit(
    lambda game, players, step_size: (
        mm.NaturalResidual()(game, players),
        mm.TangentResidual()(game, players),
        mm.SubgradientResidual(step_size)(game, players),
        mm.TangentResidual()(game, extragradient_midpoint(game, players, step_size)),
    )
)


def extragradient_midpoint(game, players, step_size):
    return game.prox_step(players, game.operator(players), step_size)


@given(seeds, st.sampled_from(["simplex", "box", "ball"]), st.floats(0.01, 2.0))
def test_each_residual_bounds_the_one_before(seed, constraint, eta):
    """r₁(z) <= r_tan(z), and r_tan(w) <= ‖v‖ at the point w that v certifies, for every η."""
    sets = {"simplex": mm.Simplex(), "box": mm.Box(-0.5, 0.5), "ball": mm.L2Ball(0.7)}
    game = matrix_game(seed, sets[constraint])
    natural, tangent, subgradient, tangent_at_w = map(
        float, CHAIN(game, feasible(game, seed + 3), jnp.asarray(eta))
    )
    assert natural <= tangent + 64 * EPS
    assert tangent_at_w <= subgradient + 64 * EPS / eta


@given(seeds)
def test_tangent_residual_is_the_least_norm_over_the_normal_cone(seed):
    """On a box, where NumPy can drop the entries that point out of it."""
    game = matrix_game(seed, mm.Box(-0.5, 0.5))
    players = feasible(game, seed + 3)
    x, y, A = (np.asarray(each) for each in (players["x"], players["y"], game.matrix))
    z, F = np.concatenate([x, y]), np.concatenate([A @ y, -x @ A])
    kept = F[~(((z == 0.5) & (F < 0)) | ((z == -0.5) & (F > 0)))]
    found = float(measure(mm.TangentResidual(), game, players))
    assert found == pytest.approx(np.linalg.norm(kept), abs=16 * EPS)


@given(seeds, st.floats(0.01, 0.9))
def test_subgradient_residual_without_sets_is_the_operator_one_step_on(seed, eta):
    """v = F(w), w = z - ηF(z); F is not skew, or the other sign would give the same length."""
    one, two = draw(seed, 3, 3), draw(seed + 1, 4, 4)
    game = Concave(one @ one.T, draw(seed + 2, 3, 4), two @ two.T, None)
    players = {"x": draw(seed + 3, 3), "y": draw(seed + 4, 4)}
    expected = np.linalg.norm(flat(game.operator(extragradient_midpoint(game, players, eta))))
    found = float(measure(mm.SubgradientResidual(eta), game, players))
    assert found == pytest.approx(expected, rel=1e-11)


@given(seeds, st.floats(1e-3, 10.0))
def test_restricted_gap_is_what_a_convex_program_finds(seed, radius):
    """max ⟨F, z - u⟩ over box and ball, by SLSQP; at small radii within R r_tan, and the whole
    duality gap once the ball holds the box. No worse point than the bound is ever found."""
    game = matrix_game(seed, mm.Box(-0.5, 0.5))
    players = feasible(game, seed + 3)
    found = float(measure(mm.RestrictedGap(radius), game, players))
    x, y, A = (np.asarray(each) for each in (players["x"], players["y"], game.matrix))
    z, F = np.concatenate([x, y]), np.concatenate([A @ y, -x @ A])
    best = minimize(
        lambda u: F @ (u - z),
        z,
        jac=lambda u: F,
        bounds=[(-0.5, 0.5)] * 7,
        constraints={
            "type": "ineq",
            "fun": lambda u: radius**2 - (u - z) @ (u - z),
            "jac": lambda u: -2 * (u - z),
        },
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 300},
    )
    u = np.clip(best.x, -0.5, 0.5)
    u = z + (u - z) * min(1.0, radius / max(np.linalg.norm(u - z), 1e-300))
    assert found >= F @ (z - u) - 64 * EPS
    assert found <= F @ (z - u) + 1e-5 * radius
    assert found <= radius * float(measure(mm.TangentResidual(), game, players)) + 64 * EPS
    if radius >= np.sqrt(7):
        gap = float(measure(mm.DualityGap(), game, players))
        assert found == pytest.approx(gap, abs=1e-10)


@given(seeds, st.floats(1e-3, 1e3))
def test_normalized_gap_without_sets_is_the_norm_of_the_operator(seed, radius):
    """max ⟨F, z - u⟩/R over the ball; and R times it is the restricted gap."""
    game = matrix_game(seed, None)
    players = {"x": draw(seed + 1, 3), "y": draw(seed + 2, 4)}
    expected = np.linalg.norm(flat(game.operator(players)))
    found = float(measure(mm.NormalizedGap(radius), game, players))
    assert found == pytest.approx(expected, rel=1e-10)
    restricted = float(measure(mm.RestrictedGap(radius), game, players))
    assert restricted == pytest.approx(radius * expected, rel=1e-10)


def test_exploitability_is_nash_conv_over_the_number_of_players():
    """OpenSpiel's convention: rock against rock, either gains 1, so NashConv 2, exploitability 1;
    three players who each want to match the next: the sum of the gains over three."""
    game, _ = rock_paper_scissors()
    rock = {"x": jnp.eye(3)[0], "y": jnp.eye(4)[0]}
    assert float(mm.Exploitability()(game, rock)) == 1.0
    ring = mm.Game(
        lambda p: {"a": p["a"] @ p["b"], "b": p["b"] @ p["c"], "c": -p["c"] @ p["a"]},
        {"a": "max", "b": "max", "c": "min"},
        mm.Simplex(),
    )
    e = jnp.eye(2)
    players = {"a": e[0], "b": e[1], "c": 0.25 * e[0] + 0.75 * e[1]}
    # a gets 0 and could get 1; b has .75, its best; c has 0.25 and could have 1.
    assert float(mm.Exploitability()(ring, players)) == pytest.approx((1 + 0 + 0.75) / 3)


def test_exploitability_refuses_payoffs_whose_best_replies_it_does_not_know():
    game = mm.Game(lambda p: p[0] ** 2 - p[0] * p[1], constraints=mm.Box(-1.0, 1.0))
    with pytest.raises(mm.GameError, match="linear in each player's own.*mm.certify"):
        mm.Exploitability()(game, (0.5, 0.5))


@given(seeds)
def test_every_metric_but_the_natural_residual_knows_what_is_outside(seed):
    """Infinite there; the subgradient is at a point that is inside."""
    game = matrix_game(seed)
    players = feasible(game, seed + 1)
    outside = {"x": players["x"] + 0.01, "y": players["y"]}
    for metric in (mm.TangentResidual(), mm.RestrictedGap(1.0), mm.Exploitability()):
        assert float(measure(metric, game, outside)) == np.inf
    assert np.isfinite(float(measure(mm.SubgradientResidual(0.1), game, outside)))


def test_metrics_refuse_numbers_and_sets_that_they_cannot_take():
    class Halfspace(mm.AbstractSet):
        def project(self, point):
            return point - jnp.maximum(jnp.sum(point), 0) / point.size

    game = mm.Game(lambda p: jnp.sum(p[0] * p[1]), constraints=(Halfspace(), None))
    with pytest.raises(mm.GameError, match="tangent cones"):
        mm.TangentResidual().check(game, (jnp.ones(2), jnp.ones(2)))
    for bad in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(mm.GameError):
            mm.RestrictedGap(bad)
        with pytest.raises(mm.GameError):
            mm.NormalizedGap(bad)
        with pytest.raises(mm.GameError):
            mm.SubgradientResidual(bad)


def test_a_radius_below_the_rounding_of_the_players_makes_no_gap_too_small():
    """A step this short rounds to none, which says nothing of the gap."""
    A = jnp.array([[1.0, 2.0], [3.0, 0.3]])
    game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    players = (jnp.array([0.6, 0.4]), jnp.array([0.55, 0.45]))
    assert float(mm.NormalizedGap(1e-9)(game, players)) >= 0.41
