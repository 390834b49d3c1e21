r"""What a certificate claims is true: bounds against exact gaps, and words against what is proved.

The exact gap of a quadratic on a box, convex or not, comes from all 3ⁿ faces of the box.
"""

import itertools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Array, Float, PyTree
from scipy.optimize import linprog

import minimax as mm
from minimax._rounding import rounded
from tests.strategies import Network, flat, seeds


class Quadratic(mm.AbstractGame):
    r"""$\tfrac12 x^\top P x + p^\top x + x^\top A y - \tfrac12 y^\top Q y + q^\top y + c$."""

    P: Float[Array, "2 2"]
    p: Float[Array, " 2"]
    A: Float[Array, "2 3"]
    Q: Float[Array, "3 3"]
    q: Float[Array, " 3"]
    c: Float[Array, ""]
    constraints: Any = mm.Box(-1.0, 1.0)
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        own = 0.5 * x @ self.P @ x + self.p @ x - 0.5 * y @ self.Q @ y + self.q @ y
        return own + x @ self.A @ y + self.c


def quadratic(seed: int, curvature: float = 0.0, scale: float = 1.0, offset: float = 0.0):
    """P and Q with one eigenvalue `curvature` and the others of order one."""
    rng = np.random.default_rng(seed)

    def hessian(n):
        basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
        return (basis * [curvature, *rng.uniform(0, 2, n - 1)]) @ basis.T

    numbers = [hessian(2), rng.normal(size=2), rng.normal(size=(2, 3)), hessian(3)]
    numbers = [scale * each for each in (*numbers, rng.normal(size=3), offset)]
    return Quadratic(*(jnp.asarray(each, float) for each in numbers))


def points(seed: int, near: PyTree = None) -> dict[str, Array]:
    """Feasible players; some of their entries at the bounds."""
    rng = np.random.default_rng(seed)
    players = {"x": rng.uniform(-1.5, 1.5, 2), "y": rng.uniform(-1.5, 1.5, 3)}
    return jax.tree.map(lambda z: jnp.asarray(np.clip(z, -1, 1), float), players)


def least_on_box(H: np.ndarray, g: np.ndarray) -> float:
    """The global minimum of ½uᵀHu + gᵀu over [-1, 1]ⁿ: every face has one candidate."""
    best = math.inf
    for signs in itertools.product([-1.0, 0.0, 1.0], repeat=g.size):
        u = np.array(signs)
        free = u == 0
        if free.any():
            slope = g[free] + H[np.ix_(free, ~free)] @ u[~free]
            u[free] = np.linalg.lstsq(H[np.ix_(free, free)], -slope, rcond=None)[0]
        if np.all(np.abs(u) <= 1):
            best = min(best, float(0.5 * u @ H @ u + g @ u))
    return best


def gap_of_quadratic(game: Quadratic, players: PyTree) -> tuple[float, float]:
    """The gap in double precision of the numbers given, and the size of its terms."""
    P, p, A, Q, q = (np.asarray(each, float) for each in (game.P, game.p, game.A, game.Q, game.q))
    x, y = (np.asarray(players[name], float) for name in "xy")
    P, Q = (P + P.T) / 2, (Q + Q.T) / 2  # only this part is in the payoff
    gain_x = 0.5 * x @ P @ x + (p + A @ y) @ x - least_on_box(P, p + A @ y)
    gain_y = 0.5 * y @ Q @ y - (q + x @ A) @ y - least_on_box(Q, -q - x @ A)
    size = sum(float(np.abs(each).sum()) for each in (P, p, A, Q, q))
    return float(gain_x + gain_y), size


@pytest.mark.parametrize("x64", [False, True])
def test_no_certificate_is_false(x64):
    """lower <= gap <= upper at hundreds of games of all curvatures, scales and offsets; upper is
    finite, and close, wherever a payoff is convex; where it is far from convex, that is found."""
    with jax.enable_x64(x64):
        eps = float(jnp.finfo(jnp.asarray(1.0).dtype).eps)
        for seed in range(150):
            curvature = (0.0, 1.0, 1e-3, -1e-3, -0.5)[seed % 5]
            scale, offset = (1.0, 1e3, 1e-4)[seed % 3], (0.0, 0.0, 0.0, 1e4)[seed % 4]
            game = quadratic(seed, curvature, scale, offset)
            players = points(seed)
            if seed % 7 == 0:  # near a solution, where rounding decides
                players = mm.solve(game, players, max_steps=400).players
            found = mm.certify(game, players)
            gap, size = gap_of_quadratic(game, players)
            truth_is_off = 16 * 2.3e-16 * size
            message = f"seed {seed}: {found}, exactly {gap}"
            assert 0 <= found.lower <= gap + truth_is_off, message
            assert gap - truth_is_off <= found.upper, message
            rounding = 400 * eps * (size + abs(float(game.c)))
            if curvature >= 0:
                assert found.kind == "interval", message
                assert found.upper - found.lower <= 0.1 * gap + 1e-7 * size + rounding, message
                assert found.rounding <= rounding, message
            if curvature == -0.5:
                assert found.kind == "not certifiable", message
                assert found.upper == math.inf, message
                assert found.counterexample is not None
                assert found.lower >= 0.1 * gap - rounding, message


def test_the_bounds_hold_with_poor_replies():
    """After two steps of the inner solver the interval is wide, and still holds."""
    for seed in range(40):
        game, players = quadratic(seed, 1.0, offset=(0.0, 100.0)[seed % 2]), points(seed)
        found = mm.certify(game, players, max_steps=2, pairs=0)
        gap, size = gap_of_quadratic(game, players)
        message = f"seed {seed}: {found}, exactly {gap}"
        assert found.lower <= gap + 1e-14 * size and gap - 1e-14 * size <= found.upper, message


def test_cancellation_inside_a_payoff_is_seen():
    """x ((y + c) - c) in single precision with c = 10^5 knows y to two digits: the gap is
    |x| + |y| = 0.8, its floating-point value 0.797, and the certificate holds both."""
    game = mm.Game(lambda p: p[0] * ((p[1] + 1e5) - 1e5), constraints=mm.Box(-1.0, 1.0))
    players = (jnp.asarray(0.5, "float32"), jnp.asarray(0.3, "float32"))
    assert abs(float(mm.DualityGap()(game, players)) - 0.8) > 1e-3
    found = mm.certify(game, players)
    assert found.kind == "exact" and found.lower <= 0.8 <= found.upper
    assert 1e-3 < found.rounding < 0.2


def test_a_counterexample_is_one():
    """Between its two points the payoff is not convex, and the words say for whom."""
    game = quadratic(4, -0.5)
    game = eqx.tree_at(lambda g: g.P, game, jnp.eye(2))
    found = mm.certify(game, points(1))
    assert "not concave for players['y']" in found.message
    assert found.counterexample is not None
    a, b = found.counterexample
    assert np.array_equal(a["x"], b["x"])
    step = np.asarray(a["y"], float) - np.asarray(b["y"], float)
    assert step @ np.asarray(game.Q, float) @ step < 0
    assert np.abs(np.concatenate([a["y"], b["y"]])).max() <= 1


def test_the_linearised_bound_alone_would_be_false():
    """Where a minimiser is stationary at the top of a concave payoff, F = 0 and so is the
    linearised gap; but the gap is not."""
    game = mm.Game(
        lambda p: -(p["x"] ** 2) - p["y"] ** 2, {"x": "min", "y": "max"}, mm.Box(-1.0, 1.0)
    )
    players = {"x": 0.0, "y": 0.0}
    assert float(mm.DualityGap()(game, players)) == 0
    found = mm.certify(game, players)
    assert found.kind == "not certifiable" and found.upper == math.inf
    assert found.lower > 0 or found.counterexample is not None


@pytest.mark.parametrize("constraint", [None, mm.NonNegative()])
def test_convexity_is_probed_where_players_are_free(constraint):
    """A saddle point of -x² + y² that is none: no set bounds it, and its gradient vanishes."""
    game = mm.Game(lambda p: -(p[0] ** 2) + p[1] ** 2, constraints=(constraint, None))
    found = mm.certify(game, (0.0, 0.0), max_steps=2, pairs=8)
    assert found.kind == "not certifiable" and found.upper == math.inf
    assert "not convex" in found.message


class Hidden(mm.AbstractGame):
    """Concave, below the rounding of the payoff but not of its gradient."""

    offset: Array
    curvature: Array
    constraints = mm.Box(-1.0, 1.0)
    roles = ("min", "max")

    def payoff(self, players, data=None):
        return self.offset - self.curvature * players[0] ** 2 + 0 * players[1]


@pytest.mark.parametrize(
    ("dtype", "offset", "curvature"),
    [("float16", 1.0, 0.02), ("float32", 1e4, 0.02), ("float32", 1e8, 1.0), ("float64", 0, 1e-50)],
)
def test_no_offset_hides_that_a_payoff_is_not_convex(dtype, offset, curvature):
    with jax.enable_x64(dtype == "float64"):
        zero = jnp.zeros((), dtype)
        game = Hidden(jnp.asarray(offset, dtype), jnp.asarray(curvature, dtype))
        found = mm.certify(game, (zero, zero), max_steps=2, pairs=8)
    assert found.kind == "not certifiable" and "not convex" in found.message
    assert found.upper == math.inf and found.lower <= curvature


def test_what_rounding_hides_from_the_probes_is_added():
    """(x + 10⁷) - 10⁷ knows x to a digit at most: what is concave is not seen,
    and not certified either."""
    big = jnp.asarray(1e7, "float32")
    game = mm.Game(
        lambda p: -0.1 * p[0] * ((p[0] + big) - big) + 0 * p[1], constraints=mm.Box(-1.0, 1.0)
    )
    found = mm.certify(game, (0.0, 0.0), max_steps=2, pairs=8)
    assert found.upper >= 0.1 >= found.lower


def test_the_message_counts_the_pairs_that_were_looked_at():
    game = mm.Game(lambda p: p[0] ** 2 - p[1] ** 2, constraints=mm.Box(-1.0, 1.0))
    found = mm.certify(game, (0.5, 0.0), max_steps=2, pairs=0)
    assert found.kind == "interval" and "at 0 pairs" in found.message


def test_players_that_are_not_feasible_or_not_finite_are_told():
    """With place, constraint and remedy; nothing is projected in silence."""
    game = quadratic(3, 1.0)
    outside = {"x": jnp.array([1.5, 0.0]), "y": jnp.zeros(3)}
    found = mm.certify(game, outside)
    assert (found.lower, found.upper, found.kind) == (0.0, math.inf, "not certifiable")
    assert "players['x'] is outside Box" in found.message and "0.5" in found.message
    found = mm.certify(game, {"x": jnp.array([jnp.nan, 0.0]), "y": jnp.zeros(3)})
    assert (found.lower, found.upper, found.kind) == (0.0, math.inf, "not certifiable")
    assert "NaN" in found.message


def test_a_large_entry_does_not_excuse_a_small_one():
    """180 is not in [0, 1], whatever stands beside it: not for metrics either."""
    box = mm.Box(jnp.array([-1e8, 0.0]), jnp.array([1e8, 1.0]))
    game = mm.Game(lambda p: p[0][1] * p[1] + 0 * p[0][0], constraints=(box, mm.Box(-1.0, 1.0)))
    players = (jnp.array([1e8, 180.0]), 0.5)
    assert mm.certify(game, players, pairs=0, max_steps=0).kind == "not certifiable"
    assert float(mm.DualityGap()(game, players)) == math.inf
    assert math.isfinite(float(mm.DualityGap()(game, (jnp.array([1e8, 1.0]), 0.5))))


def test_free_players_have_a_lower_bound_and_a_residual():
    """xᵀAy without sets: the gap is infinite but at the solution."""
    game = mm.Game(lambda p: p[0] @ p[1] - p[1] @ p[1] / 2)
    found = mm.certify(game, (jnp.array([3.0, 4.0]), jnp.zeros(2)))
    assert found.upper == math.inf and found.kind == "not certifiable"
    assert "players[1] is free" in found.message
    assert found.lower >= 12.4  # the maximiser's reply y = x gains |x|²/2
    assert found.residual == pytest.approx(5.0)
    at_solution = mm.certify(game, (jnp.zeros(2), jnp.zeros(2)))
    assert (at_solution.lower, at_solution.upper) == (0.0, 0.0)


class ThreePlayers(mm.AbstractGame):
    r"""$f_i(z) = \tfrac12 a_i \|z_i\|^2 + \langle z_i, b_i + z_{i+1}\rangle$ for a, b and c, which
    maximises $-f_3$."""

    curvature: Float[Array, " 3"]
    linear: Float[Array, "3 4"]
    constraints: Any = mm.L2Ball(1.0, axis=None)
    roles = {"a": "min", "b": "min", "c": "max"}

    def payoff(self, players, data=None):
        a, b, c = (flat(players[name]) for name in "abc")
        pairs = zip((a, b, c), (b, c, a), self.curvature, self.linear, strict=True)
        f = [0.5 * k * z @ z + z @ (d + other) for z, other, k, d in pairs]
        return {"a": f[0], "b": f[1], "c": -f[2]}


def test_payoffs_of_their_own_add_up_to_the_nikaido_isoda_function():
    """n players, of any kind: the best reply in a ball is in closed form."""
    rng = np.random.default_rng(0)
    linear = rng.normal(size=(3, 4))
    game = ThreePlayers(jnp.array([0.5, 1.0, 3.0]), jnp.asarray(linear, "float32"))
    z = rng.normal(size=(3, 4))
    z *= 0.8 / np.linalg.norm(z, axis=1, keepdims=True)
    a, b, c = (jnp.asarray(row, "float32") for row in z)
    players = {"a": a, "b": b.reshape(2, 2), "c": c}
    linear, z = (np.asarray(each, "float32").astype(float) for each in (linear, z))
    expected = 0.0
    for i, k in enumerate([0.5, 1.0, 3.0]):
        d = linear[i] + z[(i + 1) % 3]
        size = np.linalg.norm(d)
        t = min(size / k, 1.0)
        expected += 0.5 * k * z[i] @ z[i] + z[i] @ d - (0.5 * k * t**2 - t * size)
    found = mm.certify(game, players)
    assert found.kind == "interval"
    assert found.lower <= expected <= found.upper
    assert found.upper - found.lower <= 3e-4


@given(seeds, st.sampled_from([0.0, 1e5]))
@settings(max_examples=30)
def test_matrix_games_against_linear_programs(seed, offset):
    """Both bounds enclose what HiGHS finds; rounding is what separates them, in single precision
    also where an offset eats the digits."""
    game, players, matrix = matrix_game(seed, offset)
    found = mm.certify(game, players)
    x, y = (np.asarray(each, float) for each in players)
    x, y = (project_on_simplex(each) for each in (x, y))
    gap = -least_on_simplex(-x @ matrix) - least_on_simplex(matrix @ y)
    assert found.kind == "exact"
    assert found.lower - 1e-12 <= gap <= found.upper + 1e-12
    assert found.upper - found.lower <= 2.1 * found.rounding + 0.01 * gap
    assert found.rounding <= 1e3 * float(jnp.finfo("float32").eps) * (4 + offset)


class Matrix(mm.AbstractGame):
    matrix: Float[Array, "3 4"]
    constraints: Any = mm.Simplex()
    roles = ("min", "max")

    def payoff(self, players, data=None):
        return players[0] @ self.matrix @ players[1]


def matrix_game(seed: int, offset: float) -> tuple[Matrix, tuple[Array, Array], np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = jnp.asarray(rng.normal(size=(3, 4)) + offset, "float32")
    x, y = (jnp.asarray(rng.dirichlet(np.ones(n)), "float32") for n in (3, 4))
    return Matrix(matrix), (x, y), np.asarray(matrix, float)


def project_on_simplex(x: np.ndarray) -> np.ndarray:
    """Of a point that is as near as rounding: one shift of all entries."""
    return x + (1 - x.sum()) / x.size


def least_on_simplex(cost: np.ndarray) -> float:
    n = cost.size
    return linprog(cost, A_eq=np.ones((1, n)), b_eq=[1], bounds=[(0, None)] * n, method="highs").fun


def test_what_rounding_cannot_be_bounded_for_is_an_estimate():
    """An operation that the error analysis does not know is named."""
    A = jnp.eye(2) + 0.1

    def payoff(p):
        return p[0] @ jnp.linalg.solve(A, p[1])

    found = mm.certify(mm.Game(payoff, constraints=mm.Box(-1.0, 1.0)), (jnp.ones(2), jnp.ones(2)))
    assert found.kind == "estimate" and "lu" in found.message


def test_it_takes_networks_and_the_players_of_a_solution():
    """Players of any kind, with what is no variable in them."""
    game = mm.Game(
        lambda p: jnp.sum(flat(p["x"]) ** 2) + jnp.sum(flat(p["x"]) * p["y"]) - p["y"] @ p["y"],
        {"x": "min", "y": "max"},
        mm.Box(-1.0, 1.0),
    )
    players = {"x": Network.of(jnp.array([0.5, -0.5]), jnp.array(0.3)), "y": jnp.ones(3)}
    found = mm.certify(game, mm.solve(game, players).players)
    assert found.kind == "interval" and found.upper <= 1e-4


def test_a_program_inside_a_program_is_looked_into():
    """What `jit` and `checkpoint` hold rounds as it does without them."""

    def payoff(p):
        return p["x"] @ p["y"] + jnp.sum(jax.nn.softplus(p["x"]))

    point = {"x": jnp.array([0.2, 0.8]), "y": jnp.array([0.6, 0.4])}
    plain, inside, kept = (
        mm.certify(mm.Game(f, {"x": "min", "y": "max"}, mm.Simplex()), point)
        for f in (payoff, jax.jit(payoff), jax.checkpoint(payoff))
    )
    assert plain.kind == "interval" and plain.message == inside.message == kept.message
    assert plain.rounding == inside.rounding == kept.rounding


def bound_on_rounding(function, *arrays, errors=None):
    """What `function` gives, and how far that may be from the truth."""
    none = [jnp.zeros(x.shape) for x in arrays]
    found = jax.jit(lambda *x: tuple(rounded(lambda *x: [function(*x)], x, errors or none)[:2]))(
        *arrays
    )
    return tuple(np.asarray(each[0], np.longdouble) for each in found)


@pytest.mark.parametrize("x64", [False, True])
def test_powers_and_elementary_functions_are_no_further_off(x64):
    """Against extended precision, where the machine's functions are at their worst."""
    rng = np.random.default_rng(0)
    near_one, unit, wide = rng.uniform([[0.9], [-1], [-80]], [[1.1], [1], [80]], (3, 500))
    cases = [
        (lambda x: x**100, near_one),
        (lambda x: x**-100, near_one),
        (jnp.exp2, wide),
        (jnp.sinh, wide),
        (jnp.cosh, wide),
        (jnp.exp, wide),
        (jnp.log1p, unit),
        (jnp.arctanh, unit),
    ]
    powers = {0: lambda x: x**100, 1: lambda x: 1 / x**100}
    with jax.enable_x64(x64):
        for i, (function, numbers) in enumerate(cases):
            x = jnp.asarray(numbers, float)
            exact = powers.get(i) or getattr(np, function.__name__)
            value, error = bound_on_rounding(function, x)
            truth = exact(np.asarray(x, np.longdouble))
            assert np.all(np.abs(value - truth) <= error), (
                i,
                np.max(np.abs(value - truth) / error),
            )


def test_doubt_is_not_lost_in_booleans_and_whole_numbers():
    """Where rounding may have changed a choice, the error of the chosen is that of either."""
    x, errors = jnp.array([1e-9, 0.5]), [jnp.array([1e-6, 1e-6])]
    table = jnp.array([3.0, 7.0])
    _, error = bound_on_rounding(
        lambda x: jnp.where((x > 0) & ~(x > 1), 3.0, 7.0), x, errors=errors
    )
    assert error[0] >= 4 and error[1] == 0
    _, error = bound_on_rounding(lambda x: 2.0 * (x + 1).astype(int), x, errors=errors)
    assert error[0] == np.inf and error[1] <= 1e-6
    _, error = bound_on_rounding(lambda x: table[(x[0] + 1).astype(int)] + x, x, errors=errors)
    assert np.all(error == np.inf)
    _, error = bound_on_rounding(lambda x: table[(x[1] + 1).astype(int)] + x, x, errors=errors)
    assert np.all(error <= 2e-6)


def test_operations_that_err_by_an_unknown_amount_make_an_estimate():
    found = mm.certify(
        mm.Game(
            lambda p: p[0] * jax.scipy.special.gammaln(3 + p[1]), constraints=mm.Box(-1.0, 1.0)
        ),
        (-0.3, 0.2),
        pairs=0,
        max_steps=0,
    )
    assert found.kind == "estimate" and "lgamma" in found.message


def test_errors_say_what_to_do(as_users_run_it: Any):
    game = mm.Game(lambda p: p[0] * p[1], constraints=mm.Box(-1.0, 1.0))
    with pytest.raises(mm.GameError, match="under jit"):
        jax.jit(lambda p: mm.certify(game, p).lower)((0.5, 0.5))
    with pytest.raises(mm.GameError, match="pairs of certify is -1"):
        mm.certify(game, (0.5, 0.5), pairs=-1)
    with pytest.raises(mm.GameError, match="fits no player"):
        mm.certify(mm.Game(game.payoff, {"x": "min"}), (0.5, 0.5))


def test_it_can_be_read():
    """The bounds are rounded outwards."""
    found = mm.Certificate(1.23456, 1.23456, 0.5, "exact", "The gap <x>.", 1e-7)
    assert repr(found).startswith("Certificate: exact\n  gap       1.23 to 1.24")
    assert "<table>" in found._repr_html_() and "&lt;x&gt;" in found._repr_html_()


def test_a_reply_is_in_its_set_though_the_steps_to_it_were_long():
    """A reply whose probabilities sum to 1 + 3e-13 gained more than was to be had: the payoff is
    linear in q, so that its linearised gap is what can be gained."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(12, 4))
    y = X @ np.array([1.0, -2, 0, 0.5]) + 0.3 * rng.normal(size=12)
    game = mm.Game(
        lambda p: p["q"] @ (X @ p["w"] - y) ** 2,
        {"w": "min", "q": "max"},
        {"w": mm.Box(-10.0, 10.0), "q": mm.Simplex()},
    )
    with jax.enable_x64(True):
        found = mm.certify(game, {"w": jnp.ones(4), "q": jnp.full(12, 1 / 12)})
    losses = (X @ np.ones(4) - y) ** 2
    least = np.linalg.lstsq(X, y, rcond=None)[1][0] / 12  # inside the box
    assert found.kind == "interval"
    assert found.lower <= losses.max() - least <= found.upper <= found.lower + 1e-10


def test_the_rounding_of_what_is_not_certified_is_rounding():
    """Not how far a payoff is from convex."""
    game = mm.Game(lambda p: -5 * p["x"] ** 2, "min", mm.Box(-1.0, 1.0))
    found = mm.certify(game, {"x": jnp.asarray(1.0)})
    assert found.upper == math.inf and found.rounding <= 1e-3
