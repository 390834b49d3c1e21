"""What a game computes: gradients, the operator and its signs, projections; and its symmetries."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from jaxtyping import Array, Float

import minimax as mm
from tests.iterates import iterates
from tests.strategies import PLAYERS, ROLES, Bilinear, Network, flat, parts, plant, rotation, seeds

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps


class Quadratic(mm.AbstractGame):
    r"""$\tfrac12 z^\top H z$ over the eight numbers of any players: no player is separable."""

    hessian: Float[Array, "8 8"]
    roles: Any = eqx.field(static=True)

    def payoff(self, players, data=None):
        z = jnp.concatenate(parts(players))
        size = z.size
        return 0.5 * z @ self.hessian[:size, :size] @ z


class GeneralSum(mm.AbstractGame):
    r"""n players, each with its own quadratic $f_i(z) = \tfrac12 z^\top H_i z$ in all variables."""

    hessians: Float[Array, "3 6 6"]
    roles = {"a": "min", "b": "max", "c": "min"}

    def payoff(self, players, data=None):
        z = flat(players)
        return {name: 0.5 * z @ h @ z for name, h in zip("abc", self.hessians, strict=True)}


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def finite_differences(function, players):
    """Central differences in every variable; exact for quadratics but for rounding."""
    leaves, structure = jax.tree.flatten(eqx.filter(players, eqx.is_inexact_array))
    rest = eqx.filter(players, eqx.is_inexact_array, inverse=True)

    def at(i, j, h):
        moved = leaves[i].ravel().at[j].add(h).reshape(leaves[i].shape)
        tree = jax.tree.unflatten(structure, [*leaves[:i], moved, *leaves[i + 1 :]])
        return function(eqx.combine(tree, rest))

    h = 2.0**-8
    slopes = [
        jnp.asarray([(at(i, j, h) - at(i, j, -h)) / (2 * h) for j in range(leaf.size)]).reshape(
            leaf.shape
        )
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, slopes)


# An 8-variable quadratic form with entries of about 3 is about 200 and has 64 terms; the difference
# of two is divided by 2⁻⁷.
FINITE_DIFFERENCE_ERROR = 64 * 200 * 2**7 * EPS


@pytest.mark.parametrize("kind", PLAYERS)
def test_operator_is_the_signed_central_difference(kind):
    """F = (∇ₓf, -∇ᵧf) for players of any kind; the gradient is the same without signs."""
    players = PLAYERS[kind](jnp.asarray(draw(1, 8)))
    game = Quadratic(jnp.asarray(draw(2, 8, 8)), ROLES[kind])
    gradient, operator = game.gradient(players), game.operator(players)
    expected = finite_differences(game.payoff, players)
    np.testing.assert_allclose(flat(gradient), flat(expected), atol=FINITE_DIFFERENCE_ERROR)
    (first, second), (dx, dy) = parts(operator), parts(expected)
    np.testing.assert_allclose(first, dx, rtol=0, atol=FINITE_DIFFERENCE_ERROR)
    np.testing.assert_allclose(second, -dy, rtol=0, atol=FINITE_DIFFERENCE_ERROR)


def test_operator_of_a_general_sum_game_is_each_players_own_signed_difference():
    """F_i = s_i ∇_i f_i: each from its own payoff, in its own variables only."""
    game = GeneralSum(jnp.asarray(draw(3, 3, 6, 6)))
    z = jnp.asarray(draw(4, 6))
    players = {"a": z[:2], "b": (z[2], z[3:5]), "c": z[5]}
    operator = game.operator(players)
    for name, sign in {"a": 1, "b": -1, "c": 1}.items():
        expected = finite_differences(lambda p, name=name: game.payoff(p)[name], players)[name]
        np.testing.assert_allclose(
            flat(operator[name]), sign * flat(expected), rtol=0, atol=FINITE_DIFFERENCE_ERROR
        )


def test_a_payoff_may_stand_for_several_leaves_of_the_players():
    """A general-sum payoff is a prefix of the players, at any depth."""
    game = mm.Game(lambda p: (p[0][0] * p[1], 3.0 * p[0][1] + p[1] ** 2), (("min", "max"), "max"))
    operator = game.operator(((2.0, 5.0), 7.0))
    # The first payoff belongs to both leaves of the first player.
    assert operator == ((7.0, -0.0), -14.0)


def test_roles_and_constraints_may_differ_inside_one_payoff():
    """Roles and constraints are prefixes of the players: here of two depths."""
    game = mm.Game(
        lambda p: p["x"][0] * p["y"] + p["x"][1] * p["y"],
        roles={"x": ("min", "max"), "y": "max"},
        constraints={"x": (None, mm.Box(0.0, 1.0)), "y": None},
    )
    players = {"x": (5.0, 5.0), "y": 3.0}
    assert game.operator(players) == {"x": (3.0, -3.0), "y": -10.0}
    assert game.project(players) == {"x": (5.0, 1.0), "y": 3.0}


@pytest.mark.parametrize("kind", PLAYERS)
def test_gradient_is_structured_like_the_variables(kind):
    """`None` where a leaf is no variable; same shapes and dtypes elsewhere."""
    players = PLAYERS[kind](jnp.asarray(draw(1, 8)))
    game = Quadratic(jnp.asarray(draw(2, 8, 8)), ROLES[kind])
    variables = eqx.filter(players, eqx.is_inexact_array)
    for tree in (game.gradient(players), game.operator(players)):
        assert jax.tree.structure(tree) == jax.tree.structure(variables)
        for ours, theirs in zip(jax.tree.leaves(tree), jax.tree.leaves(variables), strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize("kind", PLAYERS)
def test_game_on_a_pytree_is_the_game_on_flat_vectors(kind):
    """The shape of the players is bookkeeping: operator and iterates are those of two vectors."""
    hessian = jnp.asarray(draw(2, 8, 8)) / 8
    players = PLAYERS[kind](jnp.asarray(draw(1, 8)))
    vectors = dict(zip("xy", parts(players), strict=True))
    pytree, plain = Quadratic(hessian, ROLES[kind]), Quadratic(hessian, {"x": "min", "y": "max"})
    np.testing.assert_array_equal(flat(pytree.operator(players)), flat(plain.operator(vectors)))
    solver = mm.ExtraGradient(0.1)
    last = iterates(pytree, players, solver, 10)
    expected = iterates(plain, vectors, solver, 10)
    ours = jnp.concatenate([leaf.reshape(11, -1) for leaf in jax.tree.leaves(last)], axis=-1)
    theirs = jnp.concatenate([expected["x"], expected["y"]], axis=-1)
    # Both compute the same sums, perhaps in another order.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=10 * 64 * EPS * np.abs(theirs).max())


def test_what_is_no_variable_reaches_the_payoff_and_comes_back_unchanged():
    """Activation functions, settings and integer arrays are handed through by every method."""
    seen = {}

    def payoff(players):
        seen.update(rate=players["x"].rate, labels=players["x"].labels)
        hidden = players["x"].activation(players["x"].weight * 2.0 + players["x"].bias)
        return jnp.sum(hidden) * players["y"] - 0.5 * players["y"] ** 2

    game = mm.Game(payoff, {"x": "min", "y": "max"})
    players = {"x": Network.of(jnp.ones(2), jnp.zeros(())), "y": 1.0}
    solution = mm.solve(game, players, mm.ExtraGradient(0.1), max_steps=3)
    assert seen["rate"] == 0.5 and seen["labels"].dtype == players["x"].labels.dtype
    network = solution.players["x"]
    assert network.activation is jnp.tanh and network.rate == 0.5
    np.testing.assert_array_equal(network.labels, players["x"].labels)
    assert game.gradient(players)["x"].labels is None and game.project(players)["x"].rate == 0.5


# Symmetries ---------------------------------------------------------------------------------------

SOLVERS = {
    "descent-ascent": lambda eta: mm.GradientDescentAscent(eta),
    "alternating": lambda eta: mm.AlternatingGradientDescentAscent(eta),
    "extragradient": lambda eta: mm.ExtraGradient(eta),
    "optimistic": lambda eta: mm.OptimisticGradient(eta),
}


@pytest.mark.parametrize("solver", SOLVERS)
@given(seed=seeds)
def test_rotating_the_players_rotates_the_iterates(solver, seed):
    """f'(x, y) = f(Ux, Vy) has the iterates (Uᵀx_k, Vᵀy_k)."""
    planted = plant(4, 3, [1.0, 0.5, 0.2], seed)
    generator = np.random.default_rng(seed)
    U, V = rotation(generator, 4), rotation(generator, 3)
    turned = Bilinear(
        jnp.asarray(U.T @ planted.matrix @ V),
        jnp.asarray(U.T @ planted.saddle["x"]),
        jnp.asarray(V.T @ planted.saddle["y"]),
    )
    start = {"x": U.T @ planted.start["x"], "y": V.T @ planted.start["y"]}
    method = SOLVERS[solver](0.4)
    rows = iterates(planted.game, planted.players, method, 20)
    turned_rows = iterates(turned, jax.tree.map(jnp.asarray, start), method, 20)
    error = 20 * 8 * 7 * EPS * 4 * max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(rows))
    np.testing.assert_allclose(turned_rows["x"], rows["x"] @ U, rtol=0, atol=error)
    np.testing.assert_allclose(turned_rows["y"], rows["y"] @ V, rtol=0, atol=error)


@pytest.mark.parametrize("solver", [*SOLVERS, "default"])
def test_minimising_f_is_maximising_minus_f(solver):
    """min over x, max over y of f, and max over x, min over y of -f: the same bits."""
    planted = plant(4, 3, [1.0, 0.5, 0.2], seed=1)
    A = jnp.asarray(planted.matrix)
    one = mm.Game(lambda p: p["x"] @ A @ p["y"] + p["x"][0], {"x": "min", "y": "max"})
    other = mm.Game(lambda p: -(p["x"] @ A @ p["y"] + p["x"][0]), {"x": "max", "y": "min"})
    method = mm.AdaptiveExtraGradient() if solver == "default" else SOLVERS[solver](0.4)
    rows, others = (iterates(game, planted.players, method, 20) for game in (one, other))
    jax.tree.map(np.testing.assert_array_equal, rows, others)


@pytest.mark.parametrize("solver", SOLVERS)
def test_swapping_the_players_swaps_the_iterates(solver):
    """f'(x, y) = -f(y, x): the players change places. (In turns, the first to move is first.)"""
    planted = plant(3, 3, [1.0, 0.5, 0.2], seed=2)
    A = jnp.asarray(planted.matrix)
    first, second = ("max", "min") if solver == "alternating" else ("min", "max")
    one = mm.Game(lambda p: p[0] @ A @ p[1] + p[0][0], ("min", "max"))
    other = mm.Game(lambda p: -(p[1] @ A @ p[0] + p[1][0]), (first, second))
    a, b = planted.players["x"], planted.players["y"]
    method = SOLVERS[solver](0.4)
    if solver == "alternating":
        # Names, not roles, decide whose turn it is: exchange both.
        other = mm.Game(lambda p: -(p[0] @ A @ p[1] + p[0][0]), (first, second))
        x, y = iterates(other, (a, b), method, 20)
    else:
        y, x = iterates(other, (b, a), method, 20)
    rows = iterates(one, (a, b), method, 20)
    np.testing.assert_array_equal(rows[0], x)
    np.testing.assert_array_equal(rows[1], y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("factor", [2.0**-20, 4.0, 2.0**30])
def test_scaling_the_payoff_and_unscaling_the_step_size_changes_no_bit(solver, factor):
    """f -> cf with η -> η/c; c a power of two, so that not even rounding differs."""
    planted = plant(4, 3, [1.0, 0.5, 0.2], seed=3)
    A = jnp.asarray(planted.matrix)
    one = mm.Game(lambda p: p["x"] @ A @ p["y"] + p["x"][0], {"x": "min", "y": "max"})
    other = mm.Game(lambda p, c: c * (p["x"] @ A @ p["y"] + p["x"][0]), {"x": "min", "y": "max"})
    rows = iterates(one, planted.players, SOLVERS[solver](0.25), 20)
    others = iterates(other, planted.players, SOLVERS[solver](0.25 / factor), 20, factor)
    jax.tree.map(np.testing.assert_array_equal, rows, others)


# Projection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("constraint", [mm.Simplex(), mm.L2Ball(1.0)], ids=["simplex", "ball"])
def test_projection_is_per_leaf_never_joint(constraint):
    """Each leaf of a player in its own set: for two players and for two leaves of one player."""
    game = mm.Game(
        lambda p: jnp.sum(p["x"][0]) * jnp.sum(p["y"]),
        {"x": "min", "y": "max"},
        constraints=constraint,
    )
    a, b, c = jnp.asarray(3 * draw(11, 3, 4))
    projected = game.project({"x": (a, b), "y": c})
    for ours, point in ((projected["x"][0], a), (projected["x"][1], b), (projected["y"], c)):
        np.testing.assert_array_equal(ours, constraint.project(point))
        assert not np.allclose(ours, point), "the point is outside its set"


def by_hand(name: str, matrix: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """The projected methods on xᵀAy over boxes, as their papers state them."""

    def F(z):
        return np.concatenate([matrix @ z[3:], -(z[:3] @ matrix)])

    z = np.array([1.0, -1.0, 0.5, 1.0, 0.5])
    rows, before = [z], F(z)
    for _ in range(steps):
        now = F(z)
        if name == "descent-ascent":
            z = np.clip(z - eta * now, -1, 1)
        elif name == "alternating":
            x = np.clip(z - eta * now, -1, 1)[:3]
            z = np.concatenate([x, np.clip(z[3:] + eta * (x @ matrix), -1, 1)])
        elif name == "extragradient":
            z = np.clip(z - eta * F(np.clip(z - eta * now, -1, 1)), -1, 1)
        else:
            z, before = np.clip(z - 2 * eta * now + eta * before, -1, 1), now
        rows.append(z)
    return np.stack(rows)


@pytest.mark.parametrize("solver", SOLVERS)
def test_projected_methods_by_hand(solver):
    """Each point at which a gradient is taken is projected; steps so large that faces of the boxes
    are hit all the time."""
    matrix = draw(13, 3, 2)
    game = mm.Game(
        lambda p: p["x"] @ jnp.asarray(matrix) @ p["y"],
        {"x": "min", "y": "max"},
        constraints=mm.Box(-1.0, 1.0),
    )
    expected = by_hand(solver, matrix, 0.7, 30)
    assert np.mean(np.abs(expected) == 1) > 0.3
    start = {"x": jnp.asarray(expected[0, :3]), "y": jnp.asarray(expected[0, 3:])}
    rows = iterates(game, start, SOLVERS[solver](0.7), 30)
    found = np.concatenate([rows["x"], rows["y"]], axis=-1)
    # A step errs by 8 ε and stretches errors by at most 1 + 0.7 ‖A‖ + ... < 3.
    np.testing.assert_allclose(found[:11], expected[:11], rtol=0, atol=8 * EPS * 3**10)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_projected_step_is_the_projection_of_the_step():
    """On a set, prox_step(z, d, η) = P(z - ηd); free players just step."""
    game = mm.Game(lambda p: p[0] @ p[1], constraints=(mm.Simplex(), None))
    z, d = (jnp.asarray(draw(7, 3)), jnp.asarray(draw(8, 3))), tuple(jnp.asarray(draw(9, 2, 3)))
    first, second = game.prox_step(z, d, 0.3)
    np.testing.assert_array_equal(first, mm.Simplex().project(z[0] - 0.3 * d[0]))
    np.testing.assert_array_equal(second, z[1] - 0.3 * d[1])


@pytest.mark.parametrize("payoff", [{"x": len}, np.eye(2), "x * y"])
def test_a_payoff_that_is_no_function_is_refused_at_once(payoff, as_users_run_it):
    with pytest.raises(mm.GameError, match="the payoff is .*: expected a function of players"):
        mm.Game(payoff)
