"""`BestResponse`: players in turn, each with several steps of its own optimizer.

Held against loops written by hand with optax, and against linear algebra, on
f = x'Qx/2 + x'Ay - y'Ry/2 + b'x with cond(Q) = 1000.
"""

import functools
import re
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import minimax as mm
from minimax._source import Drawn
from minimax.testing._counted import Watched, calls
from minimax.testing._families import FREE
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
N, M = 10, 8
LBFGS = optax.lbfgs()
BACKTRACKING = optax.chain(optax.sgd(1.5), optax.scale_by_backtracking_linesearch(20))


class IllConditioned(mm.AbstractGame):
    """The quadratic above."""

    Q: Any
    A: Any
    R: Any
    b: Any
    roles = ROLES

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return x @ self.Q @ x / 2 + x @ self.A @ y - y @ self.R @ y / 2 + self.b @ x


def game_of(coupling):
    """Q has the eigenvalues 1 to 1000, R those from 1 to 2, and A this norm."""
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.normal(size=(N, N)))[0]
    V = np.linalg.qr(rng.normal(size=(M, M)))[0]
    Q, R = U @ np.diag(np.geomspace(1, 1000, N)) @ U.T, V @ np.diag(np.linspace(1, 2, M)) @ V.T
    A = rng.normal(size=(N, M))
    A *= coupling / np.linalg.norm(A, 2)
    return IllConditioned(*map(jnp.asarray, (Q, A, R, rng.normal(size=N))))


WEAK, STRONG = 1.0, 4.0
"""Couplings for which best responses converge and diverge."""


def radius(game):
    """The spectral radius of what a round of exact best responses does to the error."""
    Q, A, R = map(np.asarray, (game.Q, game.A, game.R))
    return max(abs(np.linalg.eigvals(np.linalg.solve(Q, A) @ np.linalg.solve(R, A.T))))


def saddle(game):
    Q, A, R, b = map(np.asarray, (game.Q, game.A, game.R, game.b))
    z = np.linalg.solve(np.block([[Q, A], [A.T, -R]]), -np.concatenate([b, np.zeros(M)]))
    return {"x": z[:N], "y": z[N:]}


def zeros():
    return {"x": jnp.zeros(N), "y": jnp.zeros(M)}


def errors(game, rows):
    """The distance of each row to the saddle."""
    z = saddle(game)
    return np.sqrt(sum(np.sum((np.asarray(rows[k]) - z[k]) ** 2, -1) for k in "xy"))


SLOW = mm.BestResponse({"x": LBFGS, "y": 0.1}, inner_steps={"x": 5})
ALL = mm.BestResponse({"x": LBFGS, "y": LBFGS})
ExtraArgs: Any = optax.GradientTransformationExtraArgs
step = eqx.filter_jit(lambda solver, *args: solver.step(*args))


@functools.cache
def rows_of(solver, coupling):
    """300 steps from zero; one program for all couplings."""
    return iterates(game_of(coupling), zeros(), {"slow": SLOW, "all": ALL}[solver], 300)


@functools.partial(jax.jit, static_argnames=("inner_steps", "steps", "searches", "rebase"))
def by_hand(game, inner_steps, steps, searches, rebase=True):
    """The iterates of a loop that anyone would write: L-BFGS on f(., y) for x, and for y a step of
    0.1, or L-BFGS on -f(x, .)."""

    def f(x, y):
        return game.payoff({"x": x, "y": y})

    def turn(v, state, function, k):
        if rebase:
            memory = state[0]
            state = (memory._replace(updates=jax.grad(function)(memory.params)), *state[1:])

        def inner(_, at):
            v, state = at
            value, grad = jax.value_and_grad(function)(v)
            update, state = LBFGS.update(grad, state, v, value=value, grad=grad, value_fn=function)
            return v + update, state

        return jax.lax.fori_loop(0, k, inner, (v, state))

    def step(carry, _):
        x, y, of_x, of_y = carry
        x, of_x = turn(x, of_x, lambda q: f(q, y), inner_steps)
        if searches:
            y, of_y = turn(y, of_y, lambda q: -f(x, q), 1)
        else:
            y = y + 0.1 * jax.grad(f, 1)(x, y)
        return (x, y, of_x, of_y), {"x": x, "y": y}

    x, y = jnp.zeros(N), jnp.zeros(M)
    rows = jax.lax.scan(step, (x, y, LBFGS.init(x), LBFGS.init(y)), None, length=steps)[1]
    return jax.tree.map(lambda z, row: jnp.concatenate([z[None], row]), {"x": x, "y": y}, rows)


def assert_close(tree, expected, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), tree, expected)


# Plain optimizers ---------------------------------------------------------------------------------

SMALL = mm.Game(
    lambda p: (
        0.3 * p["x"] @ p["x"]
        + p["x"] @ jnp.array([[1.0, 0.5], [-0.2, 0.7]]) @ p["y"]
        - 0.1 * p["y"] @ p["y"]
    ),
    ROLES,
    {"x": mm.Box(-0.5, 2.0), "y": None},
)
START = {"x": np.array([1.0, 2.0]), "y": np.array([-1.0, 3.0])}


@pytest.mark.parametrize(
    "optimizer",
    [
        0.1,
        {"min": 0.1, "max": lambda count: 0.2 / (1 + count)},
        {"x": optax.adam(0.05, b1=0.5), "y": optax.adamw(0.05, weight_decay=0.5)},
        {"x": (0.1), "y": optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.3, 0.5))},
    ],
    ids=["step size", "per role", "adam and adamw", "clipped momentum"],
)
def test_one_step_each_is_alternating_descent_ascent(optimizer):
    """For optimizers that look at gradients alone: a sign of the payoff is the sign of `per_player`
    in front of them, bit by bit. x ends on its boundary, so projections count."""
    ours = iterates(SMALL, START, mm.BestResponse(optimizer), 40)
    theirs = iterates(SMALL, START, mm.AlternatingGradientDescentAscent(optimizer), 40)
    assert np.min(np.asarray(ours["x"])) == -0.5
    assert_close(ours, theirs, atol=40 * 2**-52)


def test_inner_steps_by_hand():
    """Two steps of a projected x, then three of y, whose decay pulls inwards."""
    A = np.array([[1.0, 0.5], [-0.2, 0.7]])
    x, y = START["x"].copy(), START["y"].copy()
    decayed = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.2))
    solver = mm.BestResponse({"x": 0.1, "y": decayed}, inner_steps={"x": 2, "y": 3})
    rows = iterates(SMALL, START, solver, 10)
    for k in range(1, 11):
        for _ in range(2):
            x = np.clip(x - 0.1 * (0.6 * x + A @ y), -0.5, 2.0)
        for _ in range(3):
            y = y + 0.2 * (A.T @ x - 0.2 * y - 0.5 * y)
        assert_close({"x": rows["x"][k], "y": rows["y"][k]}, {"x": x, "y": y}, atol=1e-13)


@pytest.mark.parametrize("samples", ["same", "independent"])
def test_inner_steps_on_one_batch_or_on_batches_of_their_own(samples):
    """min over x, max over y of ⟨x, y + d⟩ + |x|²/4 - |y|²/2 + ⟨d, y⟩, whose d is drawn."""
    key = jax.random.key(3)
    game = mm.Game(
        lambda p, d: p["x"] @ (p["y"] + d) + p["x"] @ p["x"] / 4 - p["y"] @ p["y"] / 2 + d @ p["y"],
        ROLES,
    )
    data = mm.Sampler(lambda key: jax.random.normal(key, (2,)))
    solver = mm.BestResponse({"x": 0.1, "y": 0.2}, inner_steps={"y": 3}, samples=samples)
    options: dict[str, Any] = dict(data=data, key=key, max_steps=4, check_every=2, record=1)
    run = mm.solve(game, START, solver, **options)
    assert run.trace is not None
    source = Drawn(data, key, solver.batches_per_step).ready()
    x, y = START["x"].copy(), START["y"].copy()
    for k in range(4):
        drawn = source.batch(jnp.asarray(k))
        d = np.asarray(drawn.stacked if samples == "independent" else [drawn] * 3)
        assert d.shape == (3, 2)
        x = x - 0.1 * (y + d[0] + x / 2)
        for i in range(3):
            y = y + 0.2 * (x - y + d[i])
        assert_close(
            jax.tree.map(lambda rows: rows[k + 1], run.trace.players),  # noqa: B023
            {"x": x, "y": y},
            atol=1e-13,
        )


@pytest.mark.usefixtures("as_users_run_it")
def test_line_searches_compare_values_on_one_batch():
    game, solver = game_of(WEAK), mm.BestResponse(LBFGS, inner_steps=2, samples="independent")
    with pytest.raises(mm.GameError, match="searches along a line, which compares values"):
        mm.solve(game, zeros(), solver)
    with pytest.raises(mm.GameError, match="samples is 'other'"):
        mm.BestResponse(0.1, samples="other")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "inner_steps",
    [{"y": 3}, {"max": 3}, {"x": 1, "y": 3}, {"x": [1], "y": 3}],
    ids=["some players", "per role", "all players", "a prefix"],
)
def test_who_is_not_named_takes_one_step(inner_steps):
    game = mm.Game(lambda p: p["x"][0] ** 2 + p["x"][0] * p["y"] - p["y"] ** 2, ROLES)
    start = {"x": [jnp.asarray(1.0)], "y": jnp.asarray(1.0)}
    rows = iterates(game, start, mm.BestResponse(0.25, inner_steps=inner_steps), 1)
    x, y = 1 - 0.25 * 3, 1.0
    for _ in range(3):
        y += 0.25 * (x - 2 * y)
    assert rows["x"][0][1] == x and rows["y"][1] == y


def test_the_program_does_not_grow_with_inner_steps():
    def length(k):
        step = mm.BestResponse(BACKTRACKING, inner_steps=k).step
        state = mm.BestResponse(BACKTRACKING).init(game_of(WEAK), zeros())
        return len(str(jax.make_jaxpr(functools.partial(step, game_of(WEAK)))(zeros(), state)))

    assert length(9) == length(2)


# What an optimizer is told ------------------------------------------------------------------------


def spy():
    """Steps of 0.1, and how far the extra arguments contradict one another and `updates`."""

    def update(updates, state, params=None, *, value, grad, value_fn) -> Any:
        there, slope = jax.value_and_grad(value_fn)(params)
        pairs = [(value, there), (grad, slope), (grad, updates)]
        apart = [jax.tree.leaves(jax.tree.map(jnp.subtract, a, b)) for a, b in pairs]
        far = [jnp.max(jnp.abs(leaf)) for leaves in apart for leaf in leaves]
        return jax.tree.map(lambda g: -0.1 * g, updates), (jnp.stack([state[0], *far]).max(), value)

    return ExtraArgs(lambda _: (jnp.zeros(()), jnp.zeros(())), update)


def test_values_gradients_and_functions_are_of_one_signed_payoff_at_the_same_opponents():
    """Three players with payoffs of their own, of whom two ascend. The value that each was told
    last is its own signed payoff where its last step began: opponents before it have moved."""

    def payoffs(p):
        a, b, c = p["a"], p["b"][0], p["c"]
        return {
            "a": (a - b) ** 2 + c,
            "b": -((b - 2 * c) ** 2) + a,
            "c": -((c + a + 1) ** 2) * b**2,
        }

    roles = {"a": "min", "b": "max", "c": "max"}
    game = mm.Game(payoffs, roles)
    start = {"a": jnp.asarray(1.0), "b": [jnp.asarray(2.0)], "c": jnp.asarray(-0.5)}
    solver = mm.BestResponse(spy(), inner_steps={"b": 2})
    players, state = solver.step(game, start, solver.init(game, start))
    told = [next(iter(each.inner_states.values())).inner_state for each in state.optimizers]
    assert all(float(contradiction) == 0 for contradiction, _ in told)
    a, b, c = 1.0, 2.0, -0.5
    a_new = a - 0.1 * 2 * (a - b)
    b_mid = b - 0.1 * 2 * (b - 2 * c)
    b_new = b_mid - 0.1 * 2 * (b_mid - 2 * c)
    expected = [(a - b) ** 2 + c, (b_mid - 2 * c) ** 2 - a_new, (c + a_new + 1) ** 2 * b_new**2]
    np.testing.assert_allclose([value for _, value in told], expected, rtol=1e-14)
    c_new = c - 0.1 * 2 * (c + a_new + 1) * b_new**2
    assert_close(players, {"a": a_new, "b": [b_new], "c": c_new}, atol=1e-14)


def test_polyak_steps_of_both_signs_halve_the_distance_to_the_best_response():
    """With least value 0, g² / 2 = value and so the step is half of the way: x⁺ = (x + y)/2 for
    min (x - y)²/2, then y⁺ = (y - x⁺)/2 for max -(x + y)²/2."""
    game = mm.Game(
        lambda p: {"x": (p["x"] - p["y"]) ** 2 / 2, "y": -((p["x"] + p["y"]) ** 2) / 2}, ROLES
    )
    start = {"x": jnp.asarray(1.0), "y": jnp.asarray(3.0)}
    rows = iterates(game, start, mm.BestResponse(optax.polyak_sgd()), 20)
    x, y = 1.0, 3.0
    for k in range(1, 21):
        x = (x + y) / 2
        y = (y - x) / 2
        np.testing.assert_allclose([rows["x"][k], rows["y"][k]], [x, y], atol=1e-14)


# L-BFGS -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver, inner_steps", [("slow", 5), ("all", 1)])
def test_iterates_are_those_of_a_loop_by_hand(solver, inner_steps):
    """Five steps of L-BFGS for x, and 0.1 for y; or L-BFGS for both. Line searches multiply what
    sums in another order round differently."""
    ours = jax.tree.map(lambda rows: rows[:9], rows_of(solver, WEAK))
    assert_close(ours, by_hand(game_of(WEAK), inner_steps, 8, solver == "all"), atol=1e-7)


def test_best_responses_by_l_bfgs_solve_ill_conditioned_games():
    """cond(Q) = 1000: twelve digits within 300 steps, where y steps by 0.1 and where all respond.
    Without the new gradient for its memory the loop by hand is far behind."""
    game = game_of(WEAK)
    assert 0.25 < radius(game) < 0.35
    assert errors(game, rows_of("slow", WEAK))[300] <= 1e-12
    stale = errors(game, by_hand(game, 1, 100, True, rebase=False))
    assert errors(game, rows_of("all", WEAK))[300] <= 1e-12
    assert errors(game, rows_of("all", WEAK))[100] <= 1e-7 and stale[100] >= 1e-5


def test_best_responses_of_all_diverge_where_the_coupling_is_strong():
    """The spectral radius is above one; a slow y converges all the same."""
    game = game_of(STRONG)
    assert radius(game) > 4
    assert errors(game, rows_of("all", STRONG))[100] > 1e20
    assert errors(game, rows_of("slow", STRONG))[300] <= 1e-12


def test_l_bfgs_remembers_the_curvature_of_its_own_player_alone():
    """Every pair (s, u) in its memory has u = Qs, though y has moved in between: A Δy is in none
    of them. And what a line search found is forgotten, since y has moved after it, too."""
    game = game_of(STRONG)
    players, state = zeros(), SLOW.init(game, zeros())
    for _ in range(2):
        players, state = step(SLOW, game, players, state)
    memory, _, search = state.optimizers[0].inner_states["player 0 is min, optimizer 0"].inner_state
    s = np.asarray(memory.diff_params_memory)
    u = np.asarray(memory.diff_updates_memory)
    assert np.sum(np.any(s != 0, axis=1)) == 9  # of ten points
    np.testing.assert_allclose(u, s @ np.asarray(game.Q), atol=1e-11)
    assert jnp.isinf(search.value) and jnp.any(search.grad != 0)


def newton():
    """The exact best response on a quadratic, by the Hessian of `value_fn`."""

    def update(updates, state, params=None, *, value_fn, **_):
        flat, unravel = ravel_pytree(params)
        hessian = jax.hessian(lambda q: value_fn(unravel(q)))(flat)
        return unravel(-jnp.linalg.solve(hessian, ravel_pytree(updates)[0])), state

    return ExtraArgs(optax.init_empty_state, update)


def test_exact_best_responses_multiply_the_error_by_the_matrix():
    """x⁺ = -Q⁻¹(Ay + b) and y⁺ = R⁻¹Aᵀx⁺."""
    game = game_of(WEAK)
    rows = iterates(game, zeros(), mm.BestResponse(newton()), 3)
    Q, A, R, b = map(np.asarray, (game.Q, game.A, game.R, game.b))
    y = np.zeros(M)
    for k in range(1, 4):
        x = -np.linalg.solve(Q, A @ y + b)
        y = np.linalg.solve(R, A.T @ x)
        assert_close({"x": rows["x"][k], "y": rows["y"][k]}, {"x": x, "y": y}, atol=1e-11)


def test_after_a_best_response_the_gradient_is_that_of_the_maximum():
    """Danskin, with y first: x⁺ = x - η((Q + A R⁻¹Aᵀ)x + b), where max_y f is a quadratic."""
    quadratic = game_of(STRONG)
    game = mm.Game(lambda p: quadratic.payoff({"x": p[1], "y": p[0]}), ("max", "min"))
    Q, A, R, b = map(np.asarray, (quadratic.Q, quadratic.A, quadratic.R, quadratic.b))
    _, rows = iterates(game, (jnp.zeros(M), jnp.ones(N)), mm.BestResponse((newton(), 1e-3)), 5)
    x = np.ones(N)
    for k in range(1, 6):
        x = x - 1e-3 * ((Q + A @ np.linalg.solve(R, A.T)) @ x + b)
        np.testing.assert_allclose(rows[k], x, atol=1e-11)


def test_a_line_search_of_a_maximiser_climbs():
    """In no turn does the searching player lose: y has gained at x, though a step of 1.5 is too
    long at first."""
    game = game_of(WEAK)
    start = {"x": jnp.ones(N), "y": 5 * jnp.ones(M)}
    rows = iterates(game, start, mm.BestResponse({"x": 1e-3, "y": BACKTRACKING}), 40)
    value = jax.vmap(lambda x, y: game.payoff({"x": x, "y": y}))
    gain = value(rows["x"][1:], rows["y"][1:]) - value(rows["x"][1:], rows["y"][:-1])
    assert float(jnp.min(gain)) >= 0 and float(gain[0]) > 1


# Counting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer, inner_steps, exact",
    [
        ({"x": 0.1, "y": 0.1}, {"y": 4}, True),
        ({"x": LBFGS, "y": 0.1}, {"x": 3}, True),
        ({"x": BACKTRACKING, "y": 0.1}, 1, False),
    ],
    ids=["unequal", "zoom", "backtracking"],
)
def test_every_gradient_is_counted(optimizer, inner_steps, exact):
    """Those of line searches by zoom and for the memory of L-BFGS included; trials by backtracking
    are counted and cost less."""
    inner = FREE.quadratic()
    game, players = Watched(inner, inner.constraints), FREE.start()
    solver = mm.BestResponse(optimizer, inner_steps=inner_steps)
    calls.update(x=0, y=0)
    state = solver.init(game, players)
    for k in range(1, 5):
        players, state = jax.block_until_ready(step(solver, game, players, state))
        made = calls["x"] + calls["y"]
        assert made == state.gradients if exact else made < state.gradients
        assert solver.evaluations(jnp.asarray(k), state) == -(-int(state.gradients) // 2)
    if inner_steps == {"y": 4}:
        assert calls == {"x": 4, "y": 16}


# Any player ---------------------------------------------------------------------------------------


class Net(eqx.Module):
    """A player with holes: only `weight` and `bias` are moved."""

    weight: Any
    activation: Any
    labels: Any
    bias: Any


def test_players_may_be_modules():
    """L-BFGS on a module of two arrays is L-BFGS on the vector of both."""
    game = game_of(WEAK)
    holes = mm.Game(
        lambda p: game.payoff(
            {"x": jnp.concatenate([p["x"].weight, p["x"].activation(p["x"].bias)]), "y": p["y"][0]}
        ),
        ROLES,
    )
    net = Net(jnp.zeros(4), lambda b: b, jnp.arange(3), jnp.zeros(N - 4))
    players = {"x": net, "y": [jnp.zeros(M)]}
    state = SLOW.init(holes, players)
    for _ in range(3):
        players, state = step(SLOW, holes, players, state)
    rows, x = rows_of("slow", WEAK), players["x"]
    np.testing.assert_allclose(jnp.concatenate([x.weight, x.bias]), rows["x"][3], atol=1e-9)
    np.testing.assert_allclose(players["y"][0], rows["y"][3], atol=1e-9)
    assert x.activation is net.activation
    np.testing.assert_array_equal(x.labels, net.labels)


def test_a_batch_is_a_loop():
    """Line searches of different lengths, and a member that is solved at the start."""
    solved = eqx.tree_at(lambda g: g.b, game_of(WEAK), jnp.zeros(N))
    games = [game_of(WEAK), game_of(STRONG), solved]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *games)

    @jax.jit
    @jax.vmap
    def third(game):
        at = (zeros(), SLOW.init(game, zeros()))
        return jax.lax.fori_loop(0, 3, lambda _, at: SLOW.step(game, *at), at)[0]

    players = third(together)
    for i, coupling in enumerate((WEAK, STRONG)):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], players)
        expected = jax.tree.map(lambda rows: rows[3], rows_of("slow", coupling))
        assert_close(one, expected, atol=1e-9)
    assert not np.any(np.asarray(players["x"][2]))


@pytest.mark.parametrize(
    "dtypes", [("float32", "float32"), ("float32", "float64"), ("bfloat16", "float16")]
)
def test_players_keep_their_dtypes_on_line_searches(dtypes):
    """In x64 mode; also where they differ, and so the payoff has another dtype than x."""
    game = mm.Game(
        lambda p: p["x"] @ p["x"] / 2 + jnp.sum(p["x"]) * jnp.sum(p["y"]) / 4 - p["y"] @ p["y"] / 2,
        ROLES,
    )
    players = {k: jnp.ones(3, dtype) for k, dtype in zip("xy", dtypes, strict=True)}
    for optimizer in (LBFGS, BACKTRACKING, optax.polyak_sgd()):
        solver = mm.BestResponse({"x": optimizer, "y": 0.5}, inner_steps=2)
        before = jax.eval_shape(lambda solver=solver: (players, solver.init(game, players)))
        after = jax.eval_shape(lambda args, solver=solver: solver.step(game, *args), before)
        assert jax.tree.structure(before) == jax.tree.structure(after)
        for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
            assert (old.shape, old.dtype) == (new.shape, new.dtype)


# What is refused ----------------------------------------------------------------------------------


def refused(game, optimizer, players=START):
    with pytest.raises(mm.GameError) as error:
        mm.solve(game, players, mm.BestResponse(optimizer), max_steps=1)
    return str(error.value)


@pytest.mark.parametrize("search", [LBFGS, BACKTRACKING, optax.lbfgs(0.1, linesearch=None)])
def test_searches_on_sets_are_refused_and_steps_are_not(search):
    message = refused(SMALL, {"x": search, "y": 0.1})
    assert re.match(r"players\['x'\] has a constraint.*optax\.adam", message)
    solver = mm.BestResponse({"x": optax.adam(0.1), "y": search})
    solver.check(SMALL, START)


@pytest.mark.parametrize("search", [LBFGS, BACKTRACKING])
def test_searches_without_an_end_are_refused(search):
    """Of the two players of x²/2 + xy only y is linear; of a general-sum game only its own payoff
    counts."""
    game = mm.Game(lambda p: p["x"] @ p["x"] / 2 + p["x"] @ p["y"], ROLES)
    message = refused(game, {"x": 0.1, "y": search})
    assert re.match(r"players\['y'\] has a payoff that is linear", message)
    mm.BestResponse({"x": search, "y": 0.1}).check(game, START)
    own = mm.Game(lambda p: {"x": p["x"] @ p["y"], "y": -p["y"] @ p["y"] + p["x"] @ p["y"]}, ROLES)
    mm.BestResponse({"x": 0.1, "y": search}).check(own, START)
    assert "players['x']" in refused(own, {"x": search, "y": 0.1})


def test_a_search_for_a_part_of_a_player_is_refused():
    game = mm.Game(lambda p: p["x"][0] ** 2 + p["x"][1] ** 2 - p["y"] ** 2, ROLES)
    players = {"x": (jnp.ones(()), jnp.ones(())), "y": jnp.ones(())}
    within = optax.multi_transform({0: LBFGS, 1: optax.sgd(0.1)}, (0, 1))
    for optimizer in ((LBFGS, 0.1), (BACKTRACKING, 0.1), within):
        message = refused(game, {"x": optimizer, "y": 0.1}, players)
        assert re.match(r"players\['x'\] has several optimizers", message)
    solver = mm.BestResponse({"x": (0.1, optax.adam(0.1)), "y": LBFGS})
    solver.check(game, players)


def test_l_bfgs_behind_another_transformation_is_refused():
    game = game_of(WEAK)
    chained = optax.chain(optax.clip_by_global_norm(1.0), LBFGS)
    assert "first in the chain" in refused(game, {"x": chained, "y": 0.1}, zeros())
    flat = optax.flatten(LBFGS)
    pair = mm.Game(lambda p: p["x"][0] ** 2 + p["x"][1] ** 2 - p["y"] ** 2, ROLES)
    parts = {"x": (jnp.ones(()), jnp.ones(())), "y": jnp.ones(())}
    assert "arrays of another shape" in refused(pair, {"x": flat, "y": 0.1}, parts)
    behind = optax.chain(LBFGS, optax.clip_by_global_norm(1.0))
    solver = mm.BestResponse({"x": behind, "y": 0.1})
    solver.check(game, zeros())


def test_regularisers_are_refused():
    game = mm.Game(lambda p: p["x"] @ p["y"], ROLES, {"x": mm.L1(0.1), "y": None})
    assert "BestResponse moves players by an optimizer" in refused(game, 0.1)


def test_several_players_on_l_bfgs_are_warned():
    with pytest.warns(UserWarning, match="2 players are on L-BFGS"):
        mm.BestResponse(LBFGS).check(game_of(WEAK), zeros())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mm.BestResponse({"x": LBFGS, "y": 0.1}).check(game_of(WEAK), zeros())


@pytest.mark.parametrize("inner_steps", [0, -1, 1.5, True, None, {"x": 0}, "2"])
def test_inner_steps_are_whole_numbers(inner_steps, as_users_run_it):
    with pytest.raises(mm.GameError, match=r"inner_steps.* is .*: expected a whole number >= 1"):
        mm.BestResponse(0.1, inner_steps=inner_steps)


def test_inner_steps_are_for_players(as_users_run_it):
    for inner_steps, message in (
        ({"z": 2}, r"inner_steps\['z'\] fits no player"),
        ((1, 2), "inner_steps does not fit the players|fits no player"),
        ({"x": [1, 2], "y": 1}, r"inner_steps are \[1, 2\] for parts of one player"),
    ):
        players = {"x": [1.0, 1.0], "y": 1.0}
        game = mm.Game(lambda p: p["x"][0] * p["x"][1] * p["y"], ROLES)
        with pytest.raises(mm.GameError, match=message):
            mm.solve(game, players, mm.BestResponse(0.1, inner_steps=inner_steps))


def test_one_role_may_stand_for_several_players_with_payoffs_of_their_own():
    """Three firms under roles="max" respond in turn, the second to the new first."""
    game = mm.Game(lambda q: {k: q[k] * (1 - sum(q.values())) for k in "abc"}, "max")
    start = {k: jnp.asarray(0.0) for k in "abc"}
    rows = iterates(game, start, mm.BestResponse(0.25, inner_steps={"c": 2}), 1)
    a = 0.25
    b = 0.25 * (1 - a)
    c = 0.25 * (1 - a - b)
    c += 0.25 * (1 - a - b - 2 * c)
    assert [rows[k][1] for k in "abc"] == [a, b, c]
