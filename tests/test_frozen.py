# Traces are asked for where they are looked at.
# pyright: reportOptionalMemberAccess=false
"""Parts of players that no solver moves: frozen ones, and the state that a forward pass leaves."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from minimax import _tree
from minimax._kinds import Frozen

KEY = jax.random.key(0)
X = np.asarray(np.random.default_rng(0).normal(size=(8, 2)), "float32")
STEPS = 4


class Model(eqx.Module):
    """An encoder and a head, with an activation function, a setting and integers."""

    encoder: eqx.nn.Linear
    head: eqx.nn.Linear
    labels: Any
    activation: Any = jnp.tanh
    rate: float = 0.5

    @staticmethod
    def of(seed: int = 0) -> "Model":
        one, two = jax.random.split(jax.random.key(seed))
        return Model(eqx.nn.Linear(2, 3, key=one), eqx.nn.Linear(3, 1, key=two), jnp.arange(3))

    def __call__(self, x):
        return self.rate * self.head(self.activation(self.encoder(x)))


def assert_same(one, other):
    """The same bits and structure, random keys included."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if _tree.is_key(a):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def frozen_paths(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, Frozen))
    return {jax.tree_util.keystr(path) for path, leaf in leaves if isinstance(leaf, Frozen)}


# What is selected ---------------------------------------------------------------------------------

ENCODER = {".encoder.weight", ".encoder.bias"}


def test_a_function_picks_parts():
    model = Model.of()
    assert frozen_paths(mm.freeze(model, lambda m: m.encoder)) == ENCODER
    both = mm.freeze(model, lambda m: (m.encoder.bias, [m.head.bias]))
    assert frozen_paths(both) == {".encoder.bias", ".head.bias"}
    every = frozen_paths(mm.freeze(model))
    assert every == ENCODER | {".head.weight", ".head.bias", ".labels"}
    assert frozen_paths(mm.freeze(model, lambda m: ())) == frozen_paths(model) == set()


def test_booleans_pick_parts_by_place():
    model = {"a": {"kernel": np.ones(2), "bias": 0.0}, "b": [1.0, np.arange(2)]}
    where: Any = {"a": True, "b": [False, True]}
    assert frozen_paths(mm.freeze(model, where)) == {"['a']['kernel']", "['a']['bias']", "['b'][1]"}
    by_path = jax.tree_util.tree_map_with_path(lambda path, _: "bias" in str(path), model)
    assert frozen_paths(mm.freeze(model, by_path)) == {"['a']['bias']"}
    assert frozen_paths(mm.freeze(model, False)) == set()


def test_unfreezing_gives_back_what_was_frozen():
    model = Model.of()
    assert_same(mm.unfreeze(mm.freeze(model)), model)
    head_only = mm.unfreeze(mm.freeze(model), lambda m: m.head)
    assert frozen_paths(head_only) == ENCODER | {".labels"}
    assert_same(mm.freeze(head_only), mm.freeze(mm.freeze(model)))
    assert_same(mm.unfreeze({"key": mm.freeze(KEY), "x": 1.0}), {"key": KEY, "x": 1.0})


@pytest.mark.parametrize(
    "where, message",
    [
        (lambda m: 2.0, "no part of the player"),
        (lambda m: "encoder", "no part of the player"),
        ({"encoder": True}, r"where\['encoder'\] fits no player"),
        ("encoder", "where is 'encoder': expected booleans"),
        (1, "where is 1: expected booleans"),
    ],
)
def test_what_selects_nothing_is_refused(where, message, as_users_run_it):
    with pytest.raises(mm.GameError, match=message):
        mm.freeze(Model.of(), where)


# Training a part ----------------------------------------------------------------------------------

SOLVERS = {
    "extra-adam": mm.ExtraGradient(optax.adamw(1e-2, b1=0.5, weight_decay=0.1)),
    "lookahead": mm.Lookahead(mm.AlternatingGradientDescentAscent(0.05), period=2),
    "adaptive": mm.AdaptiveExtraGradient(),
}


def payoff(model, y, x):
    out = jax.vmap(model)(x + y)
    return jnp.mean(out) - 0.1 * jnp.mean(out**2) + 0.1 * jnp.sum(y**2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_training_a_part_is_training_that_part_alone(solver):
    """Frozen leaves keep their bits; the rest moves as where the frozen part is a constant."""
    model, roles = Model.of(), {"m": "max", "y": "min"}
    options: dict[str, Any] = dict(data=X, max_steps=STEPS, tol=0.0, record=1, check_every=2)

    def whole(players, x):
        assert not frozen_paths(players)
        return payoff(players["m"], players["y"], x)

    def by_hand(players, x):
        return payoff(eqx.tree_at(lambda m: m.head.weight, model, players["m"]), players["y"], x)

    frozen = {"m": mm.freeze(model, lambda m: (m.encoder, m.head.bias)), "y": jnp.ones(2)}
    alone = {"m": model.head.weight, "y": jnp.ones(2)}
    ours = mm.solve(mm.Game(whole, roles), frozen, SOLVERS[solver], **options)
    theirs = mm.solve(mm.Game(by_hand, roles), alone, SOLVERS[solver], **options)

    assert jax.tree.structure(ours.players) == jax.tree.structure(frozen)
    found = mm.unfreeze(ours.players["m"])
    assert_same(eqx.tree_at(lambda m: m.head.weight, found, model.head.weight), model)
    np.testing.assert_allclose(found.head.weight, theirs.players["m"], rtol=1e-5)
    np.testing.assert_allclose(ours.players["y"], theirs.players["y"], rtol=1e-5)
    assert not np.allclose(found.head.weight, model.head.weight, rtol=1e-3), "nothing moved"
    rows = [leaf.shape[0] for leaf in jax.tree.leaves(ours.trace.players)]
    assert rows == 2 * [STEPS + 1], "only what moves is recorded"


def test_roles_constraints_and_optimizers_fit_as_before():
    """Prefixes go into a player whose parts are frozen; what is frozen is not projected."""
    game = mm.Game(
        lambda p: p["x"]["a"] * p["y"] + p["x"]["b"] * p["y"],
        roles={"x": {"a": "min", "b": "min"}, "y": "max"},
        constraints={"x": {"a": mm.Box(0.0, 1.0), "b": mm.Box(0.0, 1.0)}, "y": None},
    )
    players = {"x": mm.freeze({"a": 5.0, "b": 5.0}, lambda x: x["b"]), "y": 1.0}
    projected = mm.unfreeze(game.project(players))
    assert projected == {"x": {"a": 1.0, "b": 5.0}, "y": 1.0}
    assert [each.place for each in game.variables_of(players)] == [
        "players['x']['a']",
        "players['y']",
    ]
    solver = mm.GradientDescentAscent({"x": {"a": 0.5, "b": 0.25}, "y": 0.125})
    solution = mm.solve(game, players, solver, max_steps=1, tol=0.0)
    assert mm.unfreeze(solution.players) == {"x": {"a": 0.5, "b": 5.0}, "y": 1.75}
    gradient = game.gradient(players)
    assert mm.unfreeze(gradient) == {"x": {"a": 1.0, "b": None}, "y": 10.0}


def test_tools_know_what_is_frozen():
    """What is measured, checked and certified is the game of the rest."""
    game = mm.Game(lambda p: p["x"][0] * p["y"] + 3.0 * p["x"][1], {"x": "min", "y": "max"})
    saddle = {"x": mm.freeze((0.0, 2.0), lambda x: x[1]), "y": 0.0}
    assert [each.place for each in mm.check_game(game, saddle).players] == [
        "players['x'][0]",
        "players['y']",
    ]
    eigenvalues = mm.local_stability(game, saddle).eigenvalues
    np.testing.assert_allclose(np.sort(np.imag(eigenvalues)), [-1, 1], rtol=1e-6)
    assert game.operator(saddle)["x"][1].value is None
    assert mm.certify(game, saddle).residual == 0


def test_something_must_move():
    with pytest.raises(mm.GameError, match="nothing for a solver to move.*frozen"):
        mm.solve(mm.Game(lambda p: p[0] * p[1]), mm.freeze((1.0, 1.0)))
    with pytest.raises(mm.GameError, match=r"int32.*mm\.freeze"):
        mm.solve(mm.Game(lambda p: p[0] * p[1]), (1.0, np.int32(3)))


# State that a forward pass leaves -----------------------------------------------------------------


class Stateful(eqx.Module):
    """A critic with batch normalisation and dropout."""

    inner: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    outer: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.inner = eqx.nn.Linear(2, 3, key=one)
        self.norm = eqx.nn.BatchNorm(3, "batch", momentum=0.9, mode="batch")
        self.dropout = eqx.nn.Dropout(0.5)
        self.outer = eqx.nn.Linear(3, 1, key=two)

    def __call__(self, x, state, key):
        hidden, state = self.norm(self.inner(x), state)
        return self.outer(self.dropout(jnp.tanh(hidden), key=key)), state


def forward(model, state, key, y, x):
    keys = jax.random.split(key, len(x))
    out, state = jax.vmap(model, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))(
        x + y, state, keys
    )
    return jnp.mean(out) - 0.1 * jnp.mean(out**2) + 0.1 * jnp.sum(y**2), state


def payoff_with_state(players, x):
    c = players["c"]
    key, mask = jax.random.split(c["key"])
    value, state = forward(c["model"], c["state"], mask, players["y"], x)
    return mm.WithState(value, {"c": {**c, "state": state, "key": key}, "y": players["y"]})


GAN = mm.Game(payoff_with_state, {"c": "max", "y": "min"})


def gan(seed=0):
    model, state = eqx.nn.make_with_state(Stateful)(jax.random.key(seed))
    c = {"model": model, "state": mm.freeze(state), "key": mm.freeze(jax.random.key(seed))}
    return {"c": c, "y": jnp.ones(2)}


apply: Any = optax.apply_updates


def by_hand(players, steps, extra):
    """What one writes without the library: two optimizers, state by `has_aux`, keys by hand."""
    model, state = players["c"]["model"], mm.unfreeze(players["c"]["state"])
    key, y = mm.unfreeze(players["c"]["key"]), players["y"]
    down, up = optax.adam(1e-2, b1=0.5), optax.adam(-1e-2, b1=0.5)
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    memory = (up.init(weights), down.init(y))

    def gradient(weights, y, state, mask):
        def loss(weights, y):
            return forward(eqx.combine(weights, static), state, mask, y, X)

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(weights, y)

    def moved(at, slopes, memory):
        to_w, up_state = up.update(slopes[0], memory[0], at[0])
        to_y, down_state = down.update(slopes[1], memory[1], at[1])
        return (to_w, to_y), (up_state, down_state)

    @jax.jit
    def step(weights, y, state, key, memory):
        key, mask = jax.random.split(key)
        slopes, after = gradient(weights, y, state, mask)
        by, memory = moved((weights, y), slopes, memory)
        if extra:
            ahead = apply((weights, y), by)
            slopes, _ = gradient(ahead[0], ahead[1], state, mask)
            by, memory = moved(ahead, slopes, memory)
        weights, y = apply((weights, y), by)
        return weights, y, after, key, memory

    for _ in range(steps):
        weights, y, state, key, memory = step(weights, y, state, key, memory)
    return {"c": {"model": eqx.combine(weights, static), "state": state, "key": key}, "y": y}


ADAM = optax.adam(1e-2, b1=0.5)


@pytest.mark.parametrize(
    "solver", [mm.GradientDescentAscent(ADAM), mm.ExtraGradient(ADAM)], ids=["gda", "extra-adam"]
)
def test_batch_normalisation_and_dropout_as_one_trains_them_by_hand(solver):
    players = gan()
    ours = mm.solve(GAN, players, solver, data=X, max_steps=STEPS, tol=0.0).players
    theirs = by_hand(players, STEPS, isinstance(solver, mm.ExtraGradient))
    ours = mm.unfreeze(ours)
    assert_same(ours["c"]["key"], theirs["c"]["key"])
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # noqa: E731
    one, other = (eqx.filter(tree, eqx.is_inexact_array) for tree in (ours, theirs))
    assert len(jax.tree.leaves(one)) == 6 + 1 + 2  # weights, y, and the running mean and variance
    jax.tree.map(close, one, other)


def test_the_state_given_can_still_be_used():
    """Equinox invalidates a state that was set: the user's is not the one that is handed in."""
    players = gan()
    given = mm.unfreeze(players["c"]["state"])
    before = jax.tree.map(lambda x: x, players)
    for _ in range(2):
        mm.solve(GAN, players, mm.ExtraGradient(ADAM), data=X, max_steps=STEPS, tol=0.0)
        jax.eval_shape(lambda x: GAN.value(players, x), X)
    assert_same(players, before)
    index = players["c"]["model"].norm.batch_state_index
    assert_same(mm.unfreeze(players["c"]["state"]).get(index), given.get(index))


# Random keys --------------------------------------------------------------------------------------


def noisy(players, data):
    """Slopes that are noise, and nothing else."""
    key, draw = jax.random.split(players["key"])
    value = jax.random.normal(draw) * players["x"] + 0.0 * players["y"] * data
    return mm.WithState(value, {**players, "key": key})


NOISY = mm.Game(noisy, {"x": "min", "y": "max", "key": "min"})
ONE = np.float32(1.0)


def start(seed=0):
    return {"x": jnp.zeros(()), "y": jnp.ones(()), "key": mm.freeze(jax.random.key(seed))}


def walk(steps, seed=0):
    """Where noise leads, one draw a step, and the key after it."""
    key, x = jax.random.key(seed), 0.0
    for _ in range(steps):
        key, draw = jax.random.split(key)
        x -= 0.125 * jax.random.normal(draw)
    return x, key


def run(
    solver: mm.AbstractSolver = mm.ExtraGradient(0.125), players=None, max_steps=STEPS, **options
):
    players = start() if players is None else players
    return mm.solve(NOISY, players, solver, data=ONE, max_steps=max_steps, tol=0.0, **options)


@pytest.mark.parametrize(
    "solver",
    [
        mm.GradientDescentAscent(0.125),
        mm.ExtraGradient(0.125),
        mm.AlternatingGradientDescentAscent(0.125),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_each_step_has_its_own_noise_and_all_of_a_step_the_same(solver):
    solution = run(solver)
    x, key = walk(STEPS)
    np.testing.assert_allclose(solution.players["x"], x, rtol=1e-5)
    assert_same(mm.unfreeze(solution.players["key"]), key)


@pytest.mark.parametrize(
    "solver",
    [
        mm.Averaged(mm.GradientDescentAscent(0.125)),
        mm.Lookahead(mm.GradientDescentAscent(0.125), period=3),
        mm.Halpern(mm.GradientDescentAscent(0.125)),
        mm.ForwardBackwardForward(0.125),
        mm.GoldenRatio(),
        mm.SemismoothNewton(mm.GradientDescentAscent(0.125)),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_what_is_reported_and_what_is_remembered_has_the_state_of_now(solver):
    solution = run(solver)
    _, key = walk(STEPS)
    assert_same(mm.unfreeze(solution.players["key"]), key)
    keys = [leaf for leaf in jax.tree.leaves(solution.state) if _tree.is_key(leaf)]
    assert keys
    for each in keys:
        assert_same(each, key)


def test_every_way_to_run_carries_the_same_state():
    """In one call and in several; at once and in two parts; recorded; compiled; in a batch."""
    options: dict[str, Any] = dict(solver=mm.Averaged(mm.GradientDescentAscent(0.125)))
    whole = run(**options)
    assert_same(run(**options, time_limit=1e9).state, whole.state)
    assert_same(run(**options, record=1).players, whole.players)
    half = run(**options, max_steps=STEPS // 2)
    assert_same(run(**options, max_steps=STEPS // 2, state=half.state).state, whole.state)
    in_parts = run(**options, max_steps=STEPS // 2, state=half.state, time_limit=1e9)
    assert_same(in_parts.state, whole.state)
    assert_same(half.state, run(**options, max_steps=STEPS // 2).state)
    jitted = eqx.filter_jit(lambda players: run(players=players, **options).players)
    assert_same(jitted(start()), whole.players)

    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), start(0), start(1))
    batch = eqx.filter_vmap(lambda players: run(players=players, **options).players)(starts)
    for seed in (0, 1):
        alone = run(players=start(seed), **options).players
        assert_same(jax.tree.map(lambda leaf, i=seed: leaf[i], batch["key"]), alone["key"])
        np.testing.assert_allclose(batch["x"][seed], alone["x"], rtol=1e-6)


def test_a_run_that_ends_in_no_number_goes_back_with_its_state():
    """The last finite look, and the key of then."""
    game = mm.Game(
        lambda p: mm.WithState(
            jnp.where(p["steps"] < 5, p["x"] * p["y"], jnp.nan), {**p, "steps": p["steps"] + 1}
        ),
        {"x": "min", "y": "max", "steps": "min"},
    )
    players = {"x": 1.0, "y": 1.0, "steps": mm.freeze(np.int32(0))}
    solution = mm.solve(game, players, mm.ExtraGradient(0.1), max_steps=9, check_every=2)
    assert solution.status == "nonfinite"
    assert solution.steps == 4 and mm.unfreeze(solution.players["steps"]) == 4


def test_a_loop_of_ones_own_carries_by_one_call():
    solver, players = mm.ExtraGradient(0.125), start()
    state = solver.init(NOISY, players, ONE)
    for _ in range(STEPS):
        after = solver.step(NOISY, players, state, ONE)
        players, state = NOISY.carry(players, after, ONE)
    assert_same(players["key"], run().players["key"])


# What it costs ------------------------------------------------------------------------------------


def test_players_without_state_are_not_evaluated_for_it():
    def payoff(players):
        raise AssertionError

    after = ({"x": jnp.zeros(2), "y": 2.0}, None)
    players = {"x": jnp.ones(2), "y": eqx.nn.MLP(1, 1, 1, 1, key=KEY)}
    assert mm.Game(payoff).carry(players, after) is after


def test_what_is_left_as_it_was_changes_nothing():
    players = {"x": mm.freeze((1.0, 2.0), lambda x: x[1]), "y": 2.0}
    after = (players, None)
    assert mm.Game(lambda p: p["x"][0] * p["y"]).carry(players, after) is after


def test_the_forward_pass_for_the_state_is_the_first_of_the_step():
    """XLA makes one of both: as many products as without."""

    def products(carries):
        solver = mm.ExtraGradient(0.1)
        players = gan()
        arrays, static = eqx.partition((players, solver.init(GAN, players, X)), eqx.is_array)

        def step(arrays, x):
            players, state = eqx.combine(arrays, static)
            after = solver.step(GAN, players, state, x)
            return eqx.filter(GAN.carry(players, after, x) if carries else after, eqx.is_array)

        text = jax.jit(step).lower(arrays, X).compile().as_text() or ""
        return len(re.findall(r"= \S+ dot\(", text)), len(re.findall(r"= \S+ tanh\(", text))

    assert products(True) == products(False) != (0, 0)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left, message",
    [
        ({}, r"leaves nothing in players\['n'\]"),
        ({"n": jnp.zeros(3)}, r"leaves .*players\['n'\].*the same shape"),
        ({"n": 1j}, r"leaves .*players\['n'\].*kind of number"),
        ({"n": KEY}, r"leaves .*players\['n'\].*kind of number"),
        ({"n": "three"}, r"leaves .*players\['n'\]"),
    ],
)
def test_state_must_fit_where_it_was(left, message):
    game = mm.Game(
        lambda p: mm.WithState(p["x"] * p["y"], left), {"x": "min", "y": "max", "n": "min"}
    )
    with pytest.raises(mm.GameError, match=message):
        mm.solve(game, {"x": 1.0, "y": 1.0, "n": mm.freeze(np.zeros(2))}, mm.ExtraGradient(0.1))


def test_state_that_nobody_froze_is_told():
    """A solver would move it, and what the payoff leaves there would be lost."""

    def payoff(p):
        return mm.WithState(
            p["x"]["w"] * p["y"], {**p, "x": {**p["x"], "mean": p["x"]["mean"] + 1}}
        )

    game, start = mm.Game(payoff, {"x": "min", "y": "max"}), {"w": 1.0, "mean": np.float32(0.0)}
    with pytest.raises(mm.GameError, match=r"something new in players\['x'\]\['mean'\].*Freeze it"):
        mm.solve(game, {"x": start, "y": 1.0}, mm.ExtraGradient(0.1))
    frozen = mm.freeze(start, lambda x: x["mean"])
    solution = mm.solve(game, {"x": frozen, "y": 1.0}, mm.ExtraGradient(0.1), max_steps=7)
    assert mm.unfreeze(solution.players["x"])["mean"] == 7


def counting(p):
    x, count = p["x"]
    return mm.WithState(x * p["y"], {**p, "x": (x, count + 1)})


def popping(p):
    x, count = p.pop("x")
    y = p.pop("y")
    return mm.WithState(x * y, {"x": (x, count + 1), "y": y})


def rounding(p):
    """Computes in half precision, and casts back what it was given."""
    half = {"x": (p["x"][0].astype("bfloat16"), p["x"][1]), "y": p["y"].astype("bfloat16")}
    payoff, left = counting(half)
    return mm.WithState(
        payoff.astype("float32"), jax.tree.map(lambda a, b: a.astype(b.dtype), left, p)
    )


@pytest.mark.parametrize(
    "payoff",
    [
        counting,
        jax.jit(counting),
        eqx.filter_jit(counting),
        jax.checkpoint(counting),
        popping,
        rounding,
        lambda p: mm.WithState(counting(p).payoff, jax.lax.stop_gradient(counting(p).players)),
    ],
)
def test_what_is_passed_on_counts_as_given(payoff):
    start = {"x": (np.float32(1.0), mm.freeze(np.int32(0))), "y": np.float32(1.0)}
    solution = mm.solve(
        mm.Game(payoff, {"x": "min", "y": "max"}), start, mm.ExtraGradient(0.1), max_steps=7
    )
    assert mm.unfreeze(solution.players["x"])[1] == 7


def in_place(p):
    left = counting(p)
    p["x"] = (2 * p["x"][0], left.players["x"][1])
    return mm.WithState(left.payoff, p)


@pytest.mark.parametrize("payoff", [in_place, jax.jit(in_place), jax.checkpoint(in_place)])
def test_what_is_computed_anew_is_told(payoff):
    start = {"x": (1.0, mm.freeze(np.int32(0))), "y": 1.0}
    with pytest.raises(mm.GameError, match=r"something new in players\['x'\]\[0\]"):
        mm.solve(mm.Game(payoff, {"x": "min", "y": "max"}), start, mm.ExtraGradient(0.1))


def test_a_payoff_may_cast_what_it_computes_with():
    def payoff(p):
        x = p["x"].astype("float16")
        return mm.WithState(x.astype("float32") * p["y"], {"x": x, "y": p["y"], "n": p["n"] + 1})

    game = mm.Game(payoff, {"x": "min", "y": "max", "n": "min"})
    start = {"x": np.float32(1.0), "y": 1.0, "n": mm.freeze(np.int32(0))}
    solution = mm.solve(game, start, mm.ExtraGradient(0.1), max_steps=3)
    assert mm.unfreeze(solution.players["n"]) == 3


def test_state_keeps_its_dtype():
    """As all that players hold: a number of another size in a float32 is a float32."""
    game = mm.Game(
        lambda p: mm.WithState(p["x"] * p["y"], {"n": 2 * p["n"].astype("float16")}),
        {"x": "min", "y": "max", "n": "min"},
    )
    players = {"x": 1.0, "y": 1.0, "n": mm.freeze(np.ones(2, "float32"))}
    n = mm.unfreeze(mm.solve(game, players, mm.ExtraGradient(0.1), max_steps=3).players["n"])
    assert n.dtype == "float32" and n.tolist() == [8.0, 8.0]
