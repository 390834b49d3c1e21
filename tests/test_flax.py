# What is in a module is asked for where it is looked at.
# pyright: reportOptionalMemberAccess=false, reportIndexIssue=false
"""Flax models as players, and minimax in loops that train Flax models."""

import sys
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import minimax as mm
import minimax.flax
from minimax import _tree

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)), "float32")
STEPS = 4
ADAM = optax.adam(1e-2, b1=0.5)
ROLES = {"critic": "max", "y": "min"}


class Critic(nnx.Module):
    """With batch normalisation, dropout, a counter, a setting and an activation function."""

    def __init__(self, rngs):
        self.inner = nnx.Linear(2, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.outer = nnx.Linear(3, 1, rngs=rngs)
        self.calls = nnx.Variable(jnp.array(0))
        self.scale = 0.5
        self.activation = jnp.tanh

    def __call__(self, x):
        self.calls[...] += 1
        return self.scale * self.outer(self.dropout(self.activation(self.norm(self.inner(x)))))


def stake(critic, y, x):
    out = critic(x + y)
    return jnp.mean(out) - 0.1 * jnp.mean(out**2) + 0.1 * jnp.sum(y**2)


GAME = mm.Game(lambda p, x: stake(p["critic"], p["y"], x), ROLES)


def start(seed=0):
    return {"critic": Critic(nnx.Rngs(seed)), "y": jnp.ones(2)}


def run(
    players=None, solver: mm.AbstractSolver = mm.ExtraGradient(ADAM), max_steps=STEPS, **options
):
    players = start() if players is None else players
    return mm.solve(GAME, players, solver, data=X, max_steps=max_steps, tol=0.0, **options)


def numbers(tree):
    """The arrays by their place, random keys as numbers."""
    return {
        jax.tree_util.keystr(path): np.asarray(
            jax.random.key_data(leaf) if _tree.is_key(leaf) else leaf
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if eqx.is_array_like(leaf)
    }


def assert_close(one, other, rtol=1e-4):
    one, other = numbers(one), numbers(other)
    assert one.keys() == other.keys()
    for place, leaf in one.items():
        np.testing.assert_allclose(leaf, other[place], rtol=rtol, atol=1e-6 * rtol / 1e-4)


def assert_same(one, other):
    assert_close(one, other, rtol=0)


apply: Any = optax.apply_updates


# NNX modules as players ---------------------------------------------------------------------------


def by_hand(extra):
    """What one writes without the library: split and merge, two optimizers, state by `has_aux`."""
    players = start()
    graph, weights, rest = nnx.split(players["critic"], nnx.Param, ...)
    y, up, down = players["y"], optax.adam(-1e-2, b1=0.5), optax.adam(1e-2, b1=0.5)

    def gradient(weights, y, rest):
        def loss(weights, y):
            critic = nnx.merge(graph, weights, rest, copy=True)
            return stake(critic, y, X), nnx.split(critic, nnx.Param, ...)[2]

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(weights, y)

    def moved(at, slopes, memory):
        to_weights, up_memory = up.update(slopes[0], memory[0], at[0])
        to_y, down_memory = down.update(slopes[1], memory[1], at[1])
        return (to_weights, to_y), (up_memory, down_memory)

    @jax.jit
    def step(weights, y, rest, memory):
        slopes, after = gradient(weights, y, rest)
        by, memory = moved((weights, y), slopes, memory)
        if extra:
            ahead = apply((weights, y), by)
            slopes, _ = gradient(ahead[0], ahead[1], rest)
            by, memory = moved(ahead, slopes, memory)
        weights, y = apply((weights, y), by)
        return weights, y, after, memory

    memory: Any = (up.init(weights), down.init(y))
    for _ in range(STEPS):
        weights, y, rest, memory = step(weights, y, rest, memory)
    return {"critic": nnx.merge(graph, weights, rest), "y": y}


@pytest.mark.parametrize("extra", [False, True], ids=["gda", "extra-adam"])
def test_a_module_is_trained_as_one_trains_it_by_hand(extra):
    """Parameters, running statistics, counters and random streams."""
    solver = mm.ExtraGradient(ADAM) if extra else mm.GradientDescentAscent(ADAM)
    ours = run(solver=solver).players
    assert_close(ours, by_hand(extra))
    assert not np.allclose(ours["critic"].norm.mean[...], 0), "no statistics"


def test_what_is_given_is_left_alone_and_what_comes_back_is_a_module():
    players = start()
    before = numbers(players)
    critic = run(players).players["critic"]
    after = numbers(players)
    assert all(np.array_equal(after[place], before[place]) for place in before)
    players["critic"](X)  # nothing of a trace is left in it
    assert players["critic"].calls[...] == 1

    assert type(critic) is Critic and critic.activation is jnp.tanh and critic.scale == 0.5
    assert critic.calls[...] == STEPS and critic.dropout.rngs.count[...] == STEPS
    critic(X)
    assert critic.calls[...] == STEPS + 1
    critic.eval()
    np.testing.assert_array_equal(critic(X), critic(X))


def test_only_parameters_are_moved():
    """Arrays of a module that are none, other variables, settings; also where all is in a list."""

    class Mine(nnx.Param):
        pass

    class Player(nnx.Module):
        def __init__(self):
            self.param = nnx.Param(1.0)
            self.mine = nnx.List([Mine(np.float32(1.0))])
            self.plain = jnp.ones(())
            self.numpy = nnx.data(np.zeros(()))
            self.other = nnx.Variable(np.float32(1.0))
            self.setting = 1.0

    def payoff(p):
        x = p["x"]
        x.other[...] *= 2.0
        all_of_it = (
            x.param
            + x.mine[0]
            + x.plain
            + x.numpy
            + jax.lax.stop_gradient(x.other[...])
            + x.setting
        )
        return all_of_it * p["y"]

    game = mm.Game(payoff, {"x": "min", "y": "max"})
    players = {"x": Player(), "y": 1.0}
    gradient = game.gradient(players)
    assert type(gradient["x"]) is Player
    assert numbers(gradient) == {"['x'].mine[0].value": 1, "['x'].param.value": 1, "['y']": 6}
    x = mm.solve(game, players, mm.GradientDescentAscent(0.25), max_steps=1, tol=0.0).players["x"]
    assert (x.param[...], x.mine[0][...], x.plain, x.other[...]) == (0.75, 0.75, 1.0, 2.0)
    assert x.setting == 1.0 and isinstance(x.setting, float)

    state = nnx.state(players["x"])  # as a pytree of variables
    assert numbers(_tree.variables(state)) == {"['mine'][0].value": 1, "['param'].value": 1}
    assert len(numbers(_tree.variables(nnx.as_pure(state)))) == 5, "bare arrays are arrays"
    with pytest.raises(mm.GameError, match=r"nothing for a solver to move.*nnx\.Param"):
        mm.solve(game, {"x": nnx.BatchNorm(1, use_bias=False, use_scale=False, rngs=nnx.Rngs(0))})


def test_every_way_to_run_carries_the_same_state():
    options: dict[str, Any] = dict(solver=mm.Lookahead(mm.GradientDescentAscent(0.01), period=3))
    whole = run(**options)
    assert whole.players["critic"].calls[...] == STEPS
    assert_same(run(**options, time_limit=1e9).state, whole.state)
    recorded = run(**options, record=1)
    assert_same(recorded.players, whole.players)
    assert recorded.trace is not None
    rows = numbers(recorded.trace.players)
    assert len(rows) == 7 and all(len(row) == STEPS + 1 for row in rows.values())
    half = run(**options, max_steps=STEPS // 2)
    assert_same(run(**options, max_steps=STEPS // 2, state=half.state).state, whole.state)
    starts = jax.tree.map(lambda *leaves: jnp.stack(leaves), start(0), start(1))
    batch = eqx.filter_jit(eqx.filter_vmap(lambda players: run(players, **options).players))(starts)
    for seed in (0, 1):
        alone = run(start(seed), **options).players
        assert_close(jax.tree.map(lambda leaf, i=seed: leaf[i], batch), alone)


def test_the_default_solver_takes_modules():
    """Nothing to tune, and nothing proved of a network."""
    solution = mm.solve(GAME, start(), data=X, max_steps=2)
    assert solution.reason == "for any payoff" and solution.players["critic"].calls[...] == 2


def test_a_payoff_may_change_how_a_module_is_built():
    """What it adds or switches is of that one call."""

    def payoff(p, x):
        p["critic"].seen = nnx.Intermediate(x)
        p["critic"].eval()
        p["critic"].extra = nnx.Param(jnp.ones(3))
        return stake(p["critic"], p["y"], x)

    solution = mm.solve(
        mm.Game(payoff, ROLES), start(), mm.ExtraGradient(ADAM), data=X, max_steps=2
    )
    critic = solution.players["critic"]
    assert critic.calls[...] == 2 and critic.dropout.rngs.count[...] == 0
    assert not critic.dropout.deterministic and not hasattr(critic, "seen")


def test_state_that_changes_its_shape_is_refused():
    def payoff(p, x):
        value = stake(p["critic"], p["y"], x)
        p["critic"].norm.mean = nnx.BatchStat(jnp.zeros((2, 3)))
        return value

    with pytest.raises(mm.GameError, match=r"the payoff leaves .*\['critic'\]\.norm\.mean\.value"):
        mm.solve(mm.Game(payoff, ROLES), start(), mm.ExtraGradient(ADAM), data=X, max_steps=2)


def test_shared_variables_are_refused():
    """JAX would make two of them: tied weights, a module at two places, a random stream."""

    class Tied(nnx.Module):
        def __init__(self, rngs):
            self.a = nnx.Linear(2, 2, rngs=rngs)
            self.b = nnx.Linear(2, 2, rngs=rngs)
            self.b.kernel = self.a.kernel

    both = r"players\['x'\]\.b\.kernel and players\['x'\]\.a\.kernel are one nnx\.Param.*split"
    with pytest.raises(mm.GameError, match=both):
        mm.solve(GAME, {"x": Tied(nnx.Rngs(0)), "y": 1.0})
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(mm.GameError, match=r"players\['y'\].* and players\['x'\].* are one"):
        mm.solve(GAME, {"x": layer, "y": {"part": layer}})


def test_tied_weights_are_trained_by_their_state():
    """As the message says: the state has each of them once, and so has the gradient."""

    class Tied(nnx.Module):
        def __init__(self):
            self.a = nnx.Param(jnp.ones(()))
            self.b = self.a
            self.count = nnx.Variable(0)

        def __call__(self):
            self.count[...] += 1
            return self.a[...] + self.b[...]

    graph, state = nnx.split(Tied())

    def payoff(p):
        x = nnx.merge(graph, p["x"])
        value = x() * p["y"]
        return mm.WithState(value, {**p, "x": nnx.state(x)})

    game = mm.Game(payoff, {"x": "min", "y": "max"})
    solver = mm.GradientDescentAscent(0.25)
    solution = mm.solve(game, {"x": state, "y": 1.0}, solver, max_steps=1, tol=0.0)
    trained = nnx.merge(graph, solution.players["x"])
    assert trained.a is trained.b and trained.a[...] == 0.5 and trained.count[...] == 1


# Other kinds --------------------------------------------------------------------------------------


def test_linen_parameters_with_their_statistics():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=False, momentum=0.9)(nn.Dense(3)(x))
            return nn.Dense(1)(nn.Dropout(0.5, deterministic=False)(jnp.tanh(x)))

    net, key = Net(), jax.random.key(0)
    variables = net.init({"params": key, "dropout": key}, X)

    def forward(variables, key, y):
        out, new = net.apply(variables, X + y, rngs={"dropout": key}, mutable=["batch_stats"])
        return jnp.mean(out) - 0.1 * jnp.mean(out**2) + 0.1 * jnp.sum(y**2), new

    def payoff(p):
        key, mask = jax.random.split(p["critic"]["key"])
        critic = {name: p["critic"][name] for name in ("params", "batch_stats")}
        value, new = forward(critic, mask, p["y"])
        return mm.WithState(value, {"critic": {**critic, **new, "key": key}, "y": p["y"]})

    critic = mm.freeze({**variables, "key": key}, lambda c: (c["batch_stats"], c["key"]))
    players = {"critic": critic, "y": jnp.ones(2)}
    solver = mm.GradientDescentAscent(0.01)
    solution = mm.solve(mm.Game(payoff, ROLES), players, solver, max_steps=STEPS, tol=0.0)

    params, stats, y = variables["params"], variables["batch_stats"], jnp.ones(2)
    gradient = jax.jit(
        jax.grad(
            lambda params, stats, key, y: forward({"params": params, "batch_stats": stats}, key, y),
            argnums=(0, 3),
            has_aux=True,
        )
    )
    for _ in range(STEPS):
        key, mask = jax.random.split(key)
        (slopes, slope), new = gradient(params, stats, mask, y)
        params = jax.tree.map(lambda w, g: w + 0.01 * g, params, slopes)
        stats, y = new["batch_stats"], y - 0.01 * slope
    theirs = {"critic": {"params": params, "batch_stats": stats, "key": key}, "y": y}
    assert_close(mm.unfreeze(solution.players), theirs)


def test_players_of_several_kinds_play_one_game():
    """A Flax critic, an Equinox generator and a dict: gradients as each library takes them."""

    def payoff(p, x):
        fake = jax.vmap(p["generator"])(x) * p["shift"]["scale"] + p["shift"]["by"]
        return jnp.mean(p["critic"](x)) - jnp.mean(p["critic"](fake)) + jnp.sum(fake**2)

    players = {
        "critic": nnx.Linear(2, 1, rngs=nnx.Rngs(0)),
        "generator": eqx.nn.Linear(2, 2, key=jax.random.key(0)),
        "shift": {"by": np.ones(2, "float32"), "scale": 2.0},
    }
    game = mm.Game(payoff, {"critic": "max", "generator": "min", "shift": "min"})
    gradient = game.gradient(players, X)
    by_flax = nnx.grad(lambda critic: payoff({**players, "critic": critic}, X))(players["critic"])
    by_equinox = eqx.filter_grad(lambda g: payoff({**players, "generator": g}, X))(
        players["generator"]
    )
    np.testing.assert_allclose(gradient["critic"].kernel[...], by_flax["kernel"][...], rtol=1e-6)
    np.testing.assert_allclose(gradient["generator"].weight, by_equinox.weight, rtol=1e-6)
    solution = mm.solve(game, players, mm.ExtraGradient(ADAM), data=X, max_steps=2)
    assert type(solution.players["critic"]) is nnx.Linear
    assert jax.tree.structure(solution.players) == jax.tree.structure(players)


def test_part_of_a_module_is_frozen():
    """By its attributes, and by booleans that Flax's own kinds of variables give."""
    critic = Critic(nnx.Rngs(0))
    players = {"critic": mm.freeze(critic, lambda c: (c.inner, c.norm.scale)), "y": jnp.ones(2)}
    trained = mm.unfreeze(run(players, mm.GradientDescentAscent(0.01)).players["critic"])
    assert_same(trained.inner, critic.inner)
    assert_same(trained.norm.scale, critic.norm.scale)
    for moved in ("outer", "norm"):
        before, after = numbers(getattr(critic, moved)), numbers(getattr(trained, moved))
        assert any(not np.allclose(before[place], after[place]) for place in before)
    assert trained.calls[...] == STEPS and type(trained) is Critic

    no_biases = jax.tree_util.tree_map_with_path(lambda path, _: "bias" in str(path), critic)
    gradient = _tree.variables(mm.freeze(critic, no_biases))
    assert numbers(gradient).keys() == {
        ".inner.kernel.value",
        ".norm.scale.value",
        ".outer.kernel.value",
    }


# Loops of ones own --------------------------------------------------------------------------------


def test_extra_gradient_in_a_loop_by_flax_is_the_solver():
    """Two updates of an `nnx.Optimizer` are one step, by `multi_transform` and by `per_player`."""
    labels = nnx.State({"critic": "max", "y": "min"})
    each: dict[Any, Any] = {
        "min": mm.extra_gradient(optax.adam(1e-2, b1=0.5)),
        "max": mm.extra_gradient(optax.adam(-1e-2, b1=0.5)),
    }
    critic = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    expected = run({"critic": critic, "y": jnp.ones(2)}).players
    for transformation in (
        optax.multi_transform(each, labels),
        mm.extra_gradient(mm.per_player(ADAM, labels)),
    ):
        players = nnx.Dict(critic=nnx.clone(critic), y=nnx.Param(jnp.ones(2)))
        optimizer = nnx.Optimizer(players, transformation, wrt=nnx.Param)

        @nnx.jit
        def update(players, optimizer):
            gradient = nnx.grad(lambda p: stake(p["critic"], p["y"], X))(players)
            optimizer.update(players, gradient)

        for _ in range(2 * STEPS):
            update(players, optimizer)
        assert_close(players["critic"], expected["critic"])
        np.testing.assert_allclose(players["y"][...], expected["y"], rtol=1e-5)


def fit(model):
    return jnp.mean((model(X) - X[:, :1]) ** 2)


@pytest.mark.parametrize(
    "transformation",
    [
        optax.lbfgs(),
        optax.chain(optax.sgd(0.5), optax.scale_by_backtracking_linesearch(8)),
        optax.adam(1e-2),
        optax.GradientTransformation(*optax.scale(-0.1)),
    ],
    ids=["lbfgs", "backtracking", "adam", "plain"],
)
def test_any_optimizer_updates_a_model(transformation):
    """As optax does it with the parameters as a pytree; all else is what the forward pass left."""
    model = Critic(nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = jax.tree.map(lambda x: x, (params, rest))  # those of the model will change

    def loss(params, rest):
        critic = nnx.merge(graph, params, rest, copy=True)
        return fit(critic), nnx.split(critic, nnx.Param, ...)[2]

    optax_update = optax.with_extra_args_support(transformation).update

    @jax.jit
    def by_optax(params, rest, memory):
        (value, after), slopes = jax.value_and_grad(loss, has_aux=True)(params, rest)
        update, memory = optax_update(
            slopes,
            memory,
            params,
            value=value,
            grad=slopes,
            value_fn=lambda params: loss(params, rest)[0],
        )
        return optax.apply_updates(params, update), after, memory, value

    @nnx.jit
    def ours(optimizer, model):
        return minimax.flax.update(optimizer, model, fit)

    optimizer = nnx.Optimizer(model, transformation, wrt=nnx.Param)
    memory = transformation.init(params)
    for _ in range(3):
        params, rest, memory, expected = by_optax(params, rest, memory)
        np.testing.assert_allclose(ours(optimizer, model), expected, rtol=1e-4)
    assert_close(model, nnx.merge(graph, params, rest), rtol=1e-3)
    assert model.calls[...] == 3 and optimizer.step[...] == 3


def test_only_what_the_optimizer_is_for_is_updated():
    model = Critic(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.PathContains("outer"))
    before = numbers(model)
    minimax.flax.update(optimizer, model, fit)
    changed = {
        place for place, leaf in numbers(model).items() if not np.array_equal(leaf, before[place])
    }
    assert changed == {
        ".outer.bias.value",
        ".outer.kernel.value",
        ".calls.value",
        ".dropout.rngs.count.value",
        ".norm.mean.value",
        ".norm.var.value",
    }


def test_without_flax_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flax", None)
    monkeypatch.delitem(sys.modules, "minimax.flax")
    with pytest.raises(ImportError, match=r'pip install "minimax-jax\[flax\]"'):
        __import__("minimax.flax")


def test_modules_made_anew_are_no_new_program():
    """What is static in a module is compared, and so found to be the same."""
    traces = []

    def payoff(p, x):
        traces.append(1)
        return stake(p["critic"], p["y"], x)

    game, solver = mm.Game(payoff, ROLES), mm.GradientDescentAscent(0.01)
    mm.solve(game, start(0), solver, data=X, max_steps=1)
    before = len(traces)
    solution = mm.solve(game, start(1), solver, data=X, max_steps=1)
    mm.solve(game, solution.players, solver, data=X, max_steps=1)
    assert len(traces) == before


def test_what_a_payoff_raises_names_modules_in_short():
    def payoff(p, x):
        return p["critic"].inner(x[:, :1]).mean()

    short = r"players \{'critic': Critic\(\.\.\.\), 'y': f32\[2\]\}"
    with pytest.raises(mm.GameError, match=short):
        mm.solve(mm.Game(payoff, ROLES), start(), data=X)
