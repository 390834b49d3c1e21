r"""What only some regularisers obey, and games with them whose answers are known.

A game with regularisers is $\min_x \max_y f(x, y) + g(x) - h(y)$.
"""

from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import softmax

import minimax as mm
from tests.strategies import seeds

pytestmark = pytest.mark.usefixtures("float64")

EPS = float(np.finfo(float).eps)


@eqx.filter_jit
def natural_map(g, point, direction, step):
    return g.natural_map(point, direction, step)


@eqx.filter_jit
def after_many_steps(g, point, direction, step):
    return jax.lax.fori_loop(0, 80, lambda _, z: g.prox_step(z, direction, step), point)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def least_squares(A: np.ndarray, b: np.ndarray, regularizer: mm.AbstractRegularizer) -> mm.Game:
    r"""$\min_x \max_y \langle y, Ax - b\rangle - \|y\|^2/2 + g(x) = \min_x \|Ax - b\|^2/2 + g(x)$,
    with the square as a regulariser of y."""
    A_, b_ = jnp.asarray(A), jnp.asarray(b)
    return mm.Game(
        lambda p: p["y"] @ (A_ @ p["x"].ravel() - b_),
        {"x": "min", "y": "max"},
        {"x": regularizer, "y": mm.SquaredL2(1.0)},
    )


def solved(game: mm.AbstractGame, players, tol: float = 1e-10):
    solution = mm.solve(game, players, tol=tol, max_steps=50_000)
    assert solution.success, solution
    return jax.tree.map(np.asarray, solution.players)


A, B = draw(0, 8, 6), 3 * draw(1, 8)


def coordinate_descent(l1: float, l2: float) -> np.ndarray:
    """The elastic net, one coordinate after the other."""
    x = np.zeros(6)
    for _ in range(2000):
        for i in range(6):
            rest = B - A @ x + A[:, i] * x[i]
            pull = A[:, i] @ rest
            x[i] = np.sign(pull) * max(abs(pull) - l1, 0) / (A[:, i] @ A[:, i] + l2)
    return x


# Games --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "regularizer, l1, l2",
    [(mm.L1(6.0), 6.0, 0.0), (mm.SquaredL2(2.0), 0.0, 2.0), (mm.ElasticNet(6.0, 2.0), 6.0, 2.0)],
)
def test_a_regularised_least_squares_game_has_the_answer_of_coordinate_descent(regularizer, l1, l2):
    """Lasso, ridge and elastic net; y is the residual Ax - b. Zeros are zeros, not small."""
    players = solved(least_squares(A, B, regularizer), {"x": jnp.ones(6), "y": jnp.zeros(8)})
    expected = coordinate_descent(l1, l2)
    np.testing.assert_allclose(players["x"], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(players["y"], A @ expected - B, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(players["x"] == 0, expected == 0)
    assert (l1 == 0) == np.all(expected != 0)


def test_group_lasso_is_what_block_coordinate_descent_finds():
    """Three groups of two with weights of their own; one group is zero as a whole."""
    weights = np.array([1.0, 20.0, 2.0])
    game = least_squares(A, B, mm.GroupLasso(weights[:, None]))
    found = solved(game, {"x": jnp.ones((3, 2)), "y": jnp.zeros(8)})["x"]
    x = np.zeros((3, 2))
    for _ in range(60):
        for k in range(3):
            block = A[:, 2 * k : 2 * k + 2]
            rest = B - A @ x.ravel() + block @ x[k]
            pull = block.T @ rest
            if np.linalg.norm(pull) <= weights[k]:
                x[k] = 0
                continue
            # (BᵀB + w/|x|) x = pull, by bisection on the length r of x
            low, high, candidate = 0.0, 1e3, pull
            for _ in range(60):
                r = (low + high) / 2
                candidate = np.linalg.solve(block.T @ block * r + weights[k] * np.eye(2), r * pull)
                low, high = (r, high) if np.linalg.norm(candidate) > r else (low, r)
            x[k] = candidate
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-8)
    assert np.all(x[1] == 0) and np.all(found[1] == 0) and np.all(found[[0, 2]] != 0)


def test_nuclear_norm_denoises_by_soft_thresholds_on_singular_values():
    r"""$\min_X \max_Y \langle Y, X - M\rangle - \|Y\|^2/2 + w\|X\|_*$ is at $U(s - w)_+V^\top$."""
    M, weight = draw(3, 4, 3), 1.2
    game = mm.Game(
        lambda p: jnp.sum(p[1] * (p[0] - M)) - jnp.sum(p[1] ** 2) / 2,
        constraints=(mm.NuclearNorm(weight), None),
    )
    x, _ = solved(game, (jnp.zeros((4, 3)), jnp.zeros((4, 3))))
    left, s, right = np.linalg.svd(M, full_matrices=False)
    assert 0 < np.sum(s > weight) < 3
    expected = left * np.maximum(s - weight, 0) @ right
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("start", ["uniform", "vertex"])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_entropy_makes_a_matrix_game_one_of_quantal_response(start, temperature):
    """x = softmax(-Ay/w), y = softmax(Aᵀx/w), found by averaging in NumPy; from vertices too, where
    multiplicative steps alone would stay for ever."""
    payoff = draw(4, 3, 4)
    game = mm.Game(
        lambda p: p[0] @ jnp.asarray(payoff) @ p[1], constraints=mm.NegativeEntropy(temperature)
    )
    x, y = np.full(3, 1 / 3), np.full(4, 1 / 4)
    for _ in range(6000):
        x = 0.95 * x + 0.05 * softmax(-payoff @ y / temperature)
        y = 0.95 * y + 0.05 * softmax(payoff.T @ x / temperature)
    np.testing.assert_allclose(x, softmax(-payoff @ y / temperature), rtol=0, atol=1e-12)
    first = (jnp.eye(3)[0], jnp.eye(4)[1]) if start == "vertex" else (jnp.ones(3), jnp.ones(4))
    for found, expected in zip(solved(game, first), (x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


# The duality gap ----------------------------------------------------------------------------------


@given(seeds)
def test_the_duality_gap_is_that_of_the_regularised_game(seed):
    r"""$\max_{y'}[f(x, y') - h(y')] + g(x) - \min_{x'}[f(x', y) + g(x')] + h(y)$, each in closed
    form: with a payoff linear in each player the number is the gap itself, not a bound."""
    game = least_squares(A, B, mm.ElasticNet(1.5, 0.5))
    x, y = 2 * draw(seed, 6), 2 * draw(seed + 1, 8)
    primal = np.sum((A @ x - B) ** 2) / 2 + 1.5 * np.sum(np.abs(x)) + 0.25 * np.sum(x**2)
    beyond = np.maximum(np.abs(A.T @ y) - 1.5, 0)
    dual = -y @ B - np.sum(beyond**2) / (2 * 0.5) - np.sum(y**2) / 2
    found = float(mm.DualityGap()(game, {"x": jnp.asarray(x), "y": jnp.asarray(y)}))
    assert found == pytest.approx(primal - dual, rel=1e-12)


def test_the_duality_gap_stops_a_run_where_the_regularisers_are_strongly_convex():
    """And at the solution it is as small as asked, with a box on the other side."""
    game = mm.Game(
        lambda p: p[1] @ (jnp.asarray(A) @ p[0] - B),
        constraints=(mm.ElasticNet(2.0, 0.5), mm.Box(-1.0, 1.0)),
    )
    metric = mm.DualityGap()
    solution = mm.solve(game, (jnp.zeros(6), jnp.zeros(8)), metric=metric, tol=1e-9)
    assert solution.success and 0 <= float(solution.residual) <= 1e-9
    x, y = (np.asarray(player) for player in solution.players)
    primal = np.sum(np.abs(A @ x - B)) + 2 * np.sum(np.abs(x)) + 0.25 * np.sum(x**2)
    dual = -y @ B - np.sum(np.maximum(np.abs(A.T @ y) - 2, 0) ** 2)
    assert 0 <= primal - dual <= 2e-9


def test_the_duality_gap_with_a_norm_is_infinite_until_the_dual_player_is_feasible():
    """The lasso: finite exactly where |Aᵀy| <= w, and then the gap of its dual."""
    game = least_squares(A, B, mm.L1(6.0))
    x = draw(9, 6)
    inside = B * 5.9 / np.max(np.abs(A.T @ B))
    found = float(mm.DualityGap()(game, {"x": jnp.asarray(x), "y": jnp.asarray(inside)}))
    primal = np.sum((A @ x - B) ** 2) / 2 + 6 * np.sum(np.abs(x))
    assert found == pytest.approx(primal + inside @ B + np.sum(inside**2) / 2, rel=1e-12)
    outside = {"x": jnp.asarray(x), "y": jnp.asarray(1.1 * inside)}
    assert float(mm.DualityGap()(game, outside)) == np.inf


# Entropy ------------------------------------------------------------------------------------------


@given(seeds, st.floats(0.05, 5.0))
def test_the_proximal_step_of_entropy_minimises_with_the_kullback_leibler_divergence(seed, step):
    """Against SciPy's search over logits, from any interior point."""
    weight, z, d = 0.7, softmax(draw(seed, 3)), draw(seed + 1, 3)

    def objective(logits):
        u = softmax(logits)
        return d @ u + weight * u @ np.log(u) + u @ np.log(u / z) / step

    best = minimize(objective, np.zeros(3), method="BFGS", options=dict(gtol=1e-10))
    found = mm.NegativeEntropy(weight).prox_step(jnp.asarray(z), jnp.asarray(d), step)
    np.testing.assert_allclose(found, softmax(best.x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("weight", [1e-2, 0.1, 10.0])
def test_no_face_holds_entropy_fast(weight):
    """At a vertex and on an edge the natural map is not small, though the steps of the
    Kullback-Leibler divergence are slow there; those leave, and find softmax(-d/w)."""
    g, d = mm.NegativeEntropy(weight), jnp.array([0.3, -0.1, 0.0])
    solution = softmax(-np.asarray(d) / weight)
    for face in (jnp.array([1.0, 0.0, 0.0]), jnp.array([0.5, 0.5, 0.0])):
        back = natural_map(g, face, d, 1.0)
        apart = np.linalg.norm(face - solution)
        assert np.linalg.norm(back) >= apart / (1 + 1 / weight) > 1e-4
        found = after_many_steps(g, face, d, 1 / weight)
        np.testing.assert_allclose(found, solution, rtol=1e-12)


@given(seeds, st.sampled_from([1e-4, 0.1, 10.0]))
def test_the_natural_map_of_entropy_is_zero_at_softmax_and_nowhere_else(seed, weight):
    """By the optimality condition of the Euclidean step; it is as long as a solution is far, up to
    the constant of a w-strongly monotone problem with η = 1: ‖x - x*‖ <= (1 + 1/w)‖natural map‖."""
    g, d = mm.NegativeEntropy(weight), draw(seed, 4)
    solution = softmax(-d / weight)
    back = natural_map(g, jnp.asarray(solution), jnp.asarray(d), 1.0)
    assert np.max(np.abs(back)) <= 64 * EPS
    x = softmax(3 * draw(seed + 1, 4))
    x = np.where(x == x.min(), 0, x) / (1 - x.min())
    back = np.linalg.norm(natural_map(g, jnp.asarray(x), jnp.asarray(d), 1.0))
    assert np.linalg.norm(x - solution) <= (1 + 1 / weight) * back


# Singular values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matrix",
    {
        "all equal": 2 * np.eye(3),
        "equal and rotated": np.linalg.qr(draw(1, 3, 3))[0],
        "two equal, wide": np.eye(2, 3) * 3,
        "two equal, tall": np.eye(3, 2) * 3,
        "rank one": 2 * np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]),
        "zero": np.zeros((2, 3)),
        "small": 0.1 * draw(2, 3, 2),
    }.values(),
)
@pytest.mark.parametrize("method", ["prox", "displacement"])
def test_the_nuclear_norm_has_derivatives_where_singular_values_are_equal(matrix, method):
    """Central differences; the singular vectors themselves have no derivative there."""
    g, d = mm.NuclearNorm(0.7), draw(5, *matrix.shape)

    def function(x, direction):
        return g.prox(x, 1.0) if method == "prox" else g.displacement(x, direction, 1.0)

    function = jax.jit(function)
    e, h = draw(6, *matrix.shape), 1e-6
    moves = 0.0 * d
    _, slope = jax.jvp(lambda x: function(x, moves), (jnp.asarray(matrix),), (jnp.asarray(e),))
    expected = (function(matrix + h * e, moves) - function(matrix - h * e, moves)) / (2 * h)
    np.testing.assert_allclose(slope, expected, rtol=0, atol=1e-8)
    _, pull = jax.vjp(lambda x: function(x, moves), jnp.asarray(matrix))
    pulled = float(jnp.sum(pull(jnp.asarray(d))[0] * e))
    assert pulled == pytest.approx(float(jnp.sum(slope * d)), rel=1e-11, abs=1e-14)


def test_the_prox_of_the_nuclear_norm_differentiates_in_its_weight():
    """-UVᵀ on the singular values that are left; in a batch each matrix by itself."""
    matrices = draw(7, 2, 4, 3)
    slope = jax.jacobian(lambda w: mm.NuclearNorm(w).prox(jnp.asarray(matrices), 1.0))(1.5)
    for matrix, found in zip(matrices, slope, strict=True):
        left, s, right = np.linalg.svd(matrix, full_matrices=False)
        expected = -(left * (s > 1.5)) @ right
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mm.L1(-1.0), "weight is -1.0.*>= 0"),
        (lambda: mm.L1(jnp.inf), "finite"),
        (lambda: mm.L1(cast(Any, "much")), "weight is 'much'"),
        (lambda: mm.SquaredL2(float("nan")), "finite"),
        (lambda: mm.ElasticNet(1.0, -2.0), "weight is -2.0"),
        (lambda: mm.GroupLasso(jnp.array([1.0, -1.0])), ">= 0"),
        (lambda: mm.NuclearNorm(jnp.ones(2)), r"shape \(2,\)"),
        (lambda: mm.NuclearNorm(-1.0), ">= 0"),
        (lambda: mm.NegativeEntropy(0.0), "> 0"),
    ],
)
def test_weights_that_are_none_are_refused(make, message):
    """When the regulariser is made."""
    with pytest.raises(mm.GameError, match=message):
        make()


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "regularizer",
    [
        mm.L1(np.ones((2, 3))),
        mm.ElasticNet(1.0, np.ones(2)),
        mm.SquaredL2(np.ones(2)),
        mm.GroupLasso(np.ones(2)),
        mm.GroupLasso(1.0, axis=1),
    ],
)
def test_weights_that_do_not_fit_a_leaf_are_named(regularizer):
    """Before anything compiles."""
    game = mm.Game(lambda p: jnp.sum(p[0]) * p[1], constraints=(regularizer, None))
    with pytest.raises(mm.GameError, match=r"does not fit players\[0\] of shape \(3,\)"):
        mm.check_game(game, (jnp.ones(3), 1.0))


def test_weights_may_be_arrays_or_zero():
    """A weight of zero leaves an entry free; then only a direction of zero has a finite gap."""
    weights = np.array([0.0, 1.0])
    x = jnp.array([2.0, 2.0])
    for g, expected in (
        (mm.L1(weights), [2.0, 1.0]),
        (mm.SquaredL2(weights), [2.0, 1.0]),
        (mm.ElasticNet(weights, 0.0), [2.0, 1.0]),
        (mm.ElasticNet(0.0, weights), [2.0, 1.0]),
    ):
        np.testing.assert_array_equal(g.prox(x, 1.0), expected)
        assert float(g.gap(x, jnp.array([1e-3, 0.0]))) == np.inf
        assert np.isfinite(g.gap(x, jnp.array([0.0, 0.5])))
    for free in (mm.GroupLasso(0.0), mm.NuclearNorm(0.0)):
        np.testing.assert_allclose(free.prox(x, 1.0), x, rtol=1e-15)
        assert float(free.gap(x, jnp.zeros(2))) == 0


def test_a_gradient_that_is_not_a_number_has_no_gap():
    """NaN stays NaN: it must not be taken for a bound that is exceeded."""
    for g in (mm.L1(1.0), mm.SquaredL2(1.0), mm.ElasticNet(1.0, 1.0), mm.GroupLasso(1.0)):
        assert np.isnan(g.gap(jnp.ones(2), jnp.array([0.1, jnp.nan])))


@pytest.mark.parametrize(
    "solver",
    [mm.ExtraGradient(0.1), mm.Averaged(mm.GradientDescentAscent(0.1)), mm.OptimisticGradient(0.1)],
    ids=lambda solver: type(solver).__name__,
)
def test_methods_that_only_project_refuse_regularizers(solver):
    """They would solve the game without it, and say so."""
    game = mm.Game(lambda p: p[0] * p[1], constraints=(mm.L1(0.1), None))
    with pytest.raises(mm.GameError, match=r"players\[0\] has L1"):
        mm.solve(game, (1.0, 1.0), solver)
