"""How players move: `per_player` gives each its own optax transformation, with the right sign."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
GRADIENT = {"x": np.array([3.0, -4.0]), "y": np.array([1.0, 2.0])}
PLAYERS = {"x": np.array([1.0, 2.0]), "y": np.array([-1.0, 3.0])}
A = np.array([[1.0, 0.5], [-0.25, 0.75]])


def payoff(players):
    """Strongly convex-concave, so that nothing blows up, and not symmetric in the players."""
    x, y = players["x"], players["y"]
    return x @ jnp.asarray(A, x.dtype) @ y + 0.3 * x @ x - 0.1 * y @ y


GAME = mm.Game(payoff, ROLES)


def first_update(optimizer, roles=ROLES):
    transformation = mm.per_player(optimizer, roles)
    gradient, players = jax.tree.map(jnp.asarray, (GRADIENT, PLAYERS))
    update, _ = transformation.update(gradient, transformation.init(players), players)
    return update


def assert_equal(tree, expected, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), tree, expected)


# Signs and addresses ------------------------------------------------------------------------------


def test_minimisers_step_against_their_gradient_and_maximisers_along_it():
    """Δx = -ηg_x, Δy = +ηg_y; with both roles the same, both signs are."""
    assert_equal(first_update(0.5), {"x": -0.5 * GRADIENT["x"], "y": 0.5 * GRADIENT["y"]})
    assert_equal(first_update(0.5, "max"), jax.tree.map(lambda g: 0.5 * g, GRADIENT))
    assert_equal(first_update(0.5, "min"), jax.tree.map(lambda g: -0.5 * g, GRADIENT))


@pytest.mark.parametrize(
    "optimizer",
    [
        {"min": 0.5, "max": 0.25},
        {"x": 0.5, "y": 0.25},
        {"x": optax.sgd(0.5), "y": 0.25},
        {"min": lambda count: 0.5, "max": optax.sgd(0.25)},
        {"x": 0.5, "y": optax.chain(optax.sgd(0.5), optax.scale(0.5))},
    ],
    ids=["per role", "per player", "optax and number", "schedule and optax", "chain"],
)
def test_one_description_per_role_or_per_player(optimizer):
    """Numbers, schedules and transformations mix."""
    expected = {"x": -0.5 * GRADIENT["x"], "y": 0.25 * GRADIENT["y"]}
    assert_equal(first_update(optimizer), expected)


def test_one_optimizer_for_a_part_of_a_player():
    """An optimizer may be a prefix that reaches inside a player."""
    gradient = {"x": (jnp.ones(()), jnp.ones(())), "y": jnp.ones(())}
    transformation = mm.per_player({"x": (0.1, 0.2), "y": 0.3}, ROLES)
    update, _ = transformation.update(gradient, transformation.init(gradient), gradient)
    assert_equal(update, {"x": (-0.1, -0.2), "y": 0.3})


# What an optimizer sees is its part of the players, and nothing of others: masks and labels by
# place are those that fit the player.

NETS = {name: {"w": np.ones(2), "b": np.ones(1)} for name in ("x", "y")}
BIG = {name: {"w": np.full(2, 3.0), "b": np.full(1, 4.0)} for name in ("x", "y")}


def is_weight(tree):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[0].key == "w", tree)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.add_decayed_weights(0.5, mask=is_weight), optax.sgd(0.1)),
        optax.chain(optax.add_decayed_weights(0.5, mask={"w": True, "b": False}), optax.sgd(0.1)),
        optax.masked(optax.sgd(0.1), {"w": True, "b": False}),
        optax.adamw(0.1, mask={"w": False, "b": True}),
        optax.multi_transform(
            {"fast": optax.sgd(1.0), "slow": optax.adam(0.1)}, {"w": "slow", "b": "fast"}
        ),
        optax.lars(0.1, weight_decay_mask=is_weight, trust_ratio_mask=is_weight),
    ],
)
@pytest.mark.parametrize("solver", [mm.GradientDescentAscent, mm.BestResponse])
def test_an_optimizer_sees_a_player_as_if_there_were_no_other(solver, optimizer):
    """By hand: the optimizer at work on each player alone, on what that player descends."""

    def payoff(p):
        return sum(
            jnp.sum(p["x"][k] * BIG["x"][k]) - jnp.sum(p["y"][k] * BIG["y"][k]) for k in "wb"
        )

    rows = iterates(mm.Game(payoff, ROLES), NETS, solver({"x": optimizer, "y": optimizer}), 3)
    for name in ("x", "y"):
        alone = jax.tree.map(jnp.asarray, NETS[name])
        state = optimizer.init(alone)
        for _ in range(3):
            update, state = optimizer.update(BIG[name], state, alone)
            alone = optax.apply_updates(alone, update)
        assert_equal(jax.tree.map(lambda leaf: leaf[-1], rows[name]), alone, rtol=1e-12)


def test_one_seed_is_other_noise_for_every_player():
    """The first player's is that of the seed; who shares an optimizer does not share its noise."""
    noise = optax.add_noise(1.0, 0.0, 0)
    nothing = {name: np.zeros(3) for name in ("x", "y", "z")}
    transformation = mm.per_player(
        optax.chain(noise, optax.sgd(1.0)), dict.fromkeys(nothing, "min")
    )
    update: Any = transformation.update(nothing, transformation.init(nothing), nothing)[0]
    expected: Any = noise.update(np.zeros(3), noise.init(np.zeros(3)))[0]
    assert_equal(update["x"], -expected)
    assert abs(np.corrcoef(np.stack(jax.tree.leaves(update)))[np.triu_indices(3, 1)]).max() < 0.999


def test_keys_of_an_optimizer_may_be_several():
    """One for each of several arrays, say: each is told apart from that of another player."""

    def init(params):
        return jax.random.split(jax.random.key(0), 3)

    keys = mm.per_player(
        optax.GradientTransformation(init, lambda updates, state, params=None: (updates, state)),
        dict.fromkeys("xyz", "min"),
    ).init(dict.fromkeys("xyz", jnp.ones(())))
    numbers = [jax.random.key_data(leaf) for leaf in jax.tree.leaves(keys)]
    assert_equal(numbers[0], jax.random.key_data(init(None)))
    assert len({tuple(key) for each in numbers for key in np.asarray(each)}) == 9


# One role for several players ---------------------------------------------------------------------


def profits(q):
    price = 10 - q["a"] - q["b"]["one"] - q["b"]["two"]
    return {
        "a": q["a"] * (price - 1),
        "b": {"one": q["b"]["one"] * (price - 2), "two": q["b"]["two"] * (price - 3)},
    }


@pytest.mark.parametrize(
    "solver",
    [
        mm.AlternatingGradientDescentAscent(0.1),
        mm.AlternatingExtrapolatedGDA(0.1),
        mm.BestResponse(0.1),
        mm.BestResponse(0.1, inner_steps={"b": 2}),
        mm.CompetitiveGradientDescent(0.1),
        *(
            solver(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)))
            for solver in (
                mm.GradientDescentAscent,
                mm.ExtraGradient,
                mm.OptimisticGradient,
                mm.TiAda,
                mm.AlternatingGradientDescentAscent,
            )
        ),
    ],
    ids=lambda solver: type(solver).__name__,
)
@pytest.mark.parametrize("roles", ["max", {"a": "max", "b": "max"}])
def test_one_role_for_several_payoffs_is_that_of_each_player(solver, roles):
    """Who has a payoff of its own moves in its own turn and is clipped by its own norm."""
    zero = np.zeros(())
    start = {"a": zero, "b": {"one": zero, "two": zero}}
    in_full = {"a": "max", "b": {"one": "max", "two": "max"}}
    short, full = (iterates(mm.Game(profits, r), start, solver, 4) for r in (roles, in_full))
    assert_equal(short, full)
    game = mm.Game(profits, roles)
    assert game.roles_of(start) == in_full


def test_measures_tell_players_of_one_role_apart():
    """Exploitability is a mean over players; what holds of a local Nash point holds of each."""
    A, B = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[2.0, 0.0], [1.0, 4.0]])

    def bimatrix(p):
        return {"a": p["a"] @ A @ p["b"], "b": p["a"] @ B @ p["b"]}

    a, b = np.array([0.3, 0.7]), np.array([0.6, 0.4])
    gains = (A @ b).max() - a @ A @ b, (a @ B).max() - a @ B @ b
    game = mm.Game(bimatrix, "max", mm.Simplex())
    assert np.isclose(mm.Exploitability()(game, {"a": a, "b": b}), sum(gains) / 2)
    market = mm.Game(lambda q: {name: q[name] * (9 - q["a"] - q["b"]) for name in "ab"}, "max")
    stability = mm.local_stability(market, {"a": 3.0, "b": 3.0})
    np.testing.assert_allclose(stability.own_curvature, [2.0, 2.0])


def test_a_role_for_one_payoff_stays_as_it_is():
    """A player of many arrays is one player."""
    players = {"x": {"w": np.ones(2), "b": np.ones(1)}, "y": np.ones(2)}
    game = mm.Game(lambda p: jnp.sum(p["x"]["w"]) * jnp.sum(p["y"]), ROLES)
    assert game.roles_of(players) == ROLES
    model = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    game = mm.Game(lambda p: jnp.sum(p["x"](p["y"])), ROLES)
    assert game.roles_of({"x": model, "y": np.ones(2)}) == ROLES


class Firms(eqx.Module):
    a: jax.Array
    b: jax.Array


@pytest.mark.parametrize(
    "solver",
    [
        mm.AlternatingGradientDescentAscent(0.1),
        mm.CompetitiveGradientDescent(0.1),
        mm.GradientDescentAscent(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_modules_hold_several_players_as_dicts_do(solver):
    def profits(a, b):
        return a * (9 - a - b), b * (8 - a - b)

    modules = mm.Game(lambda q: Firms(*profits(q.a, q.b)), roles="max")
    dicts = mm.Game(lambda q: dict(zip("ab", profits(q["a"], q["b"]), strict=True)), roles="max")
    zero = jnp.zeros(())
    in_module = iterates(modules, Firms(zero, zero), solver, 4)
    in_dict = iterates(dicts, {"a": zero, "b": zero}, solver, 4)
    assert_equal([in_module.a, in_module.b], [in_dict["a"], in_dict["b"]])


def test_as_many_roles_as_players():
    """Three players, of which two share a role and none a step size."""
    gradient = (jnp.ones(()), jnp.ones(()), jnp.ones(()))
    transformation = mm.per_player((0.1, 0.2, 0.3), ("min", "max", "max"))
    update, _ = transformation.update(gradient, transformation.init(gradient), gradient)
    assert_equal(update, (-0.1, 0.2, 0.3))


# What a negative step size gets wrong -------------------------------------------------------------


def test_weight_decay_pulls_maximisers_inwards_too():
    """y ← y - lr·wd·y = 0.9 y with zero gradient: adamw(-lr), the naive sign, would grow it to
    117 in 50 steps."""
    flat = mm.Game(lambda p: 0.0 * (p["x"] + p["y"]), ROLES)
    start = {"x": jnp.ones(()), "y": jnp.ones(())}
    rows = iterates(flat, start, mm.GradientDescentAscent(optax.adamw(0.01, weight_decay=10.0)), 50)
    expected = 0.9 ** np.arange(51)
    assert_equal(rows, {"x": expected, "y": expected}, rtol=50 * 4 * 2.3e-16)


def test_weight_decay_inside_extragradient_is_extragradient_on_the_decayed_game():
    """EG with add_decayed_weights(λ) on f is EG on f + λ/2‖x‖² - λ/2‖y‖²."""
    decay = optax.chain(optax.add_decayed_weights(0.2), optax.sgd(0.1))
    damped = mm.Game(lambda p: payoff(p) + 0.1 * p["x"] @ p["x"] - 0.1 * p["y"] @ p["y"], ROLES)
    rows = iterates(GAME, PLAYERS, mm.ExtraGradient(decay), 30)
    assert_equal(rows, iterates(damped, PLAYERS, mm.ExtraGradient(0.1), 30), atol=1e-13)


def test_clipping_inside_acts_on_each_player_alone():
    """A joint global norm of √(25 + 5) would clip both; alone y (norm √5 < 4) is not touched."""
    clipped = first_update(optax.chain(optax.clip_by_global_norm(4.0), optax.sgd(1.0)))
    assert_equal(clipped, {"x": -0.8 * GRADIENT["x"], "y": GRADIENT["y"]}, rtol=1e-15)


def test_clipping_inside_acts_on_each_player_alone_also_where_roles_agree():
    """Two minimisers with one optimizer are still two players."""
    both = optax.chain(optax.clip_by_global_norm(4.0), optax.sgd(1.0))
    clipped = first_update(both, {"x": "min", "y": "min"})
    assert_equal(clipped, {"x": -0.8 * GRADIENT["x"], "y": -GRADIENT["y"]}, rtol=1e-15)


def test_a_maximiser_by_line_search_climbs():
    """L-BFGS on f = -(p - 3)², told -f and its gradient: it is at 3 after a few steps, where a
    learning rate of -1 would run away."""
    game = mm.Game(lambda p: -((p - 3.0) ** 2), "max")
    transformation = mm.per_player(optax.lbfgs(), "max")

    def body(carry, _):
        player, state = carry
        gradient = game.gradient(player)
        update, state = transformation.update(
            gradient,
            state,
            player,
            value=-game.payoff(player),
            grad=-gradient,
            value_fn=lambda p: -game.payoff(p),
        )
        return (optax.apply_updates(player, update), state), None

    start = jnp.zeros(())
    (player, _), _ = jax.lax.scan(body, (start, transformation.init(start)), None, length=3)
    assert player == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize(
    "solver",
    [
        mm.GradientDescentAscent,
        mm.AlternatingGradientDescentAscent,
        mm.ExtraGradient,
        mm.OptimisticGradient,
    ],
)
def test_optimizers_keep_the_dtype_of_the_players(solver):
    """A step size may be a Python number, an array of another dtype or inside optax: players, state
    and moments keep their dtypes, in x64 mode and not, or `lax.scan` would refuse them."""
    for x64, dtypes in ((False, ["float32", "bfloat16"]), (True, ["float32", "float64"])):
        with jax.enable_x64(x64):
            optimizers = [
                jnp.asarray(0.1),
                np.float64(0.1),
                optax.linear_schedule(0.1, 0.2, 10),
                optax.sgd(jnp.asarray(0.1), momentum=0.9),
                optax.adamw(jnp.asarray(0.1), weight_decay=0.1),
                optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
                optax.optimistic_gradient_descent(jnp.asarray(0.1)),
            ]
            for optimizer, dtype in itertools.product(optimizers, dtypes):
                method = solver(optimizer)
                z = {name: jnp.asarray(player, dtype) for name, player in PLAYERS.items()}
                before = jax.eval_shape(lambda z=z, method=method: (z, method.init(GAME, z)))
                after = jax.eval_shape(lambda args, method=method: method.step(GAME, *args), before)
                assert jax.tree.structure(before) == jax.tree.structure(after)
                for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
                    assert (old.shape, old.dtype) == (new.shape, new.dtype)


# Against loops written by hand --------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": lambda sign: optax.sgd(sign * 0.1),
    "momentum": lambda sign: optax.sgd(sign * 0.05, momentum=0.5),
    "adam": lambda sign: optax.adam(sign * 0.05, b1=0.5),
    "schedule": lambda sign: optax.sgd(optax.linear_schedule(sign * 0.2, sign * 0.02, 10)),
    "optimistic": lambda sign: optax.optimistic_gradient_descent(sign * 0.1),
}


def by_hand(tx_x, tx_y, steps: int) -> dict:
    """Simultaneous descent-ascent as one writes it with two optax optimizers."""

    def body(carry, _):
        x, y, state_x, state_y = carry
        gradient = jax.grad(payoff)({"x": x, "y": y})
        update_x, state_x = tx_x.update(gradient["x"], state_x, x)
        update_y, state_y = tx_y.update(gradient["y"], state_y, y)
        after: Any = optax.apply_updates(x, update_x), optax.apply_updates(y, update_y)
        return (*after, state_x, state_y), after

    x: Any = jnp.asarray(PLAYERS["x"])
    y: Any = jnp.asarray(PLAYERS["y"])
    rows: Any = jax.lax.scan(body, (x, y, tx_x.init(x), tx_y.init(y)), None, length=steps)[1]
    return {"x": jnp.concatenate([x[None], rows[0]]), "y": jnp.concatenate([y[None], rows[1]])}


@pytest.mark.parametrize("x", OPTIMIZERS)
def test_iterates_are_those_of_a_loop_by_hand(x):
    """A different optimizer per player; the maximiser's with a negative learning rate by hand."""
    y = {"adam": "momentum"}.get(x, "adam")
    optimizer = {"x": OPTIMIZERS[x](1), "y": OPTIMIZERS[y](1)}
    rows = iterates(GAME, PLAYERS, mm.GradientDescentAscent(optimizer), 40)
    assert_equal(rows, by_hand(OPTIMIZERS[x](1), OPTIMIZERS[y](-1), 40), rtol=0, atol=1e-12)


def test_optimistic_gradient_is_optaxs():
    """`optimistic_gradient_descent` under plain descent-ascent starts with g₋₁ = g₀ too."""
    ours = iterates(GAME, PLAYERS, mm.OptimisticGradient(0.1), 40)
    optimistic = optax.optimistic_gradient_descent(0.1)
    theirs = iterates(GAME, PLAYERS, mm.GradientDescentAscent(optimistic), 40)
    assert_equal(ours, theirs, rtol=0, atol=1e-13)


def test_optimistic_adam_by_hand():
    """z⁺ = z - 2u_k + u_{k-1} with u Adam's direction."""

    def body(carry, _):
        players, states, before, first = carry
        gradient = jax.grad(payoff)(players)
        ascent = {"x": gradient["x"], "y": -gradient["y"]}
        update, states = adam.update(ascent, states, players)
        before = jax.tree.map(lambda u, b: jnp.where(first, u, b), update, before)
        players = jax.tree.map(lambda z, u, b: z + 2 * u - b, players, update, before)
        return (players, states, update, jnp.asarray(False)), players

    adam = optax.adam(0.05, b1=0.5)
    start = jax.tree.map(jnp.asarray, PLAYERS)
    zeros = jax.tree.map(jnp.zeros_like, start)
    _, rows = jax.lax.scan(
        body, (start, adam.init(start), zeros, jnp.asarray(True)), None, length=40
    )
    ours = iterates(GAME, PLAYERS, mm.OptimisticGradient(optax.adam(0.05, b1=0.5)), 40)
    assert_equal(jax.tree.map(lambda row: row[1:], ours), rows, rtol=0, atol=1e-12)


# Schedules and hyperparameters --------------------------------------------------------------------


def test_a_schedule_counts_steps():
    """η_k = schedule(k), k = 0, 1, ...: after k steps of constant gradient 1 the player has moved
    by the sum of the first k step sizes."""
    game = mm.Game(lambda p: p["x"] + p["y"], ROLES)
    start = {"x": jnp.zeros(()), "y": jnp.zeros(())}
    for solver in (mm.GradientDescentAscent, mm.ExtraGradient, mm.AlternatingGradientDescentAscent):
        rows = iterates(game, start, solver(lambda count: 1.0 / (count + 1.0)), 20)
        moved = np.cumsum(1 / np.arange(1.0, 21))
        assert_equal(rows["y"][1:], moved, rtol=1e-14)
        assert_equal(rows["x"][1:], -moved, rtol=1e-14)


@pytest.mark.parametrize(
    "solver",
    [mm.GradientDescentAscent, mm.AlternatingGradientDescentAscent, mm.OptimisticGradient],
)
def test_alternating_and_optimistic_keep_one_state_per_player(solver):
    """Moments advance once per step, whatever the solver: Adam's count after k steps is k."""
    method = solver({"x": optax.adam(0.1), "y": optax.adam(0.2)})
    players = jax.tree.map(jnp.asarray, PLAYERS)
    state = method.init(GAME, players)
    for _ in range(3):
        players, state = method.step(GAME, players, state)
    counts = [
        int(np.asarray(part.count))
        for part in jax.tree.leaves(
            state, is_leaf=lambda part: isinstance(part, optax.ScaleByAdamState)
        )
        if isinstance(part, optax.ScaleByAdamState)
    ]
    assert counts == [3, 3]


def test_two_timescales_converge_to_the_same_point():
    """Different step sizes per role change the way, not the solution, which is 0."""
    for optimizer in (0.2, {"min": 0.05, "max": 0.2}, {"x": 0.2, "y": 0.05}):
        solution = mm.solve(GAME, PLAYERS, mm.GradientDescentAscent(optimizer))
        assert solution.success
        assert_equal(solution.players, jax.tree.map(jnp.zeros_like, PLAYERS), atol=1e-7)


# Players with holes -------------------------------------------------------------------------------


class Callable(eqx.Module):
    """A module that can be called, as every neural network can: optax takes callables among labels
    and masks for functions, so the engine must never hand it one."""

    weight: jax.Array

    def __call__(self, x):
        return self.weight * x


def test_players_may_be_callable_modules():
    """The whole tree of players may be one module with a `__call__`, such as a network."""
    game = mm.Game(lambda model: (model(2.0) - 3.0) ** 2, "min")
    solution = mm.solve(game, Callable(jnp.asarray(0.0)), mm.GradientDescentAscent(0.1))
    assert solution.players.weight == pytest.approx(1.5, abs=1e-8)


# Jointly ------------------------------------------------------------------------------------------


def clipped_iterates_by_numpy(norm, steps):
    """Extragradient, each of whose gradients is scaled to at most this norm, of both players."""
    z = {name: leaf.copy() for name, leaf in PLAYERS.items()}
    path = []

    def move(at):
        g = {"x": A @ at["y"] + 0.6 * at["x"], "y": A.T @ at["x"] - 0.2 * at["y"]}
        length = np.sqrt(sum(leaf @ leaf for leaf in g.values()))
        share = min(1.0, norm / length)
        return {"x": z["x"] - 0.3 * share * g["x"], "y": z["y"] + 0.2 * share * g["y"]}

    for _ in range(steps):
        z = move(move(z))
        path.append(z)
    return path


def test_clipping_jointly_keeps_the_direction_of_all_players():
    """One factor for both, in both halves of every step, as in NumPy."""
    solver = mm.ExtraGradient(mm.Jointly(optax.clip_by_global_norm(0.7), {"x": 0.3, "y": 0.2}))
    run = mm.solve(GAME, PLAYERS, solver, max_steps=20, record=1, tol=0.0)
    assert run.trace is not None
    for name in PLAYERS:
        expected = np.stack([z[name] for z in clipped_iterates_by_numpy(0.7, 20)])
        np.testing.assert_allclose(run.trace.players[name][1:], expected, rtol=0, atol=1e-13)


def test_clipping_in_an_optimizer_is_clipping_of_one_player():
    """What `Jointly` is not."""
    own = first_update(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0)))
    assert_equal(jax.tree.map(jnp.linalg.norm, own), {"x": 1.0, "y": 1.0}, rtol=1e-14)
    together = first_update(mm.Jointly(optax.clip_by_global_norm(1.0), 1.0))
    np.testing.assert_allclose(optax.tree.norm(together), 1.0, rtol=1e-14)
    assert_equal(
        together,
        jax.tree.map(lambda u: u / np.sqrt(30.0), first_update(1.0)),
        rtol=1e-14,
    )


def test_jointly_in_a_loop_of_ones_own_under_jit():
    """`per_player` takes it as `solve` does, with state in both parts."""
    move = mm.per_player(mm.Jointly(optax.trace(0.9), {"min": 0.1, "max": optax.adam(0.1)}), ROLES)
    gradient, players = jax.tree.map(jnp.asarray, (GRADIENT, PLAYERS))
    state = move.init(players)
    for count in range(1, 4):
        update, state = jax.jit(move.update)(gradient, state, players)
        momentum = sum(0.9**k for k in range(count))
        np.testing.assert_allclose(update["x"], -0.1 * momentum * GRADIENT["x"], rtol=1e-13)


@pytest.mark.parametrize(
    "make",
    [
        mm.AlternatingGradientDescentAscent,
        mm.AlternatingExtrapolatedGDA,
        lambda optimizer: mm.SmoothedGradientDescentAscent(optimizer, smoothing=1.0),
        mm.BestResponse,
    ],
)
def test_methods_in_turns_refuse_jointly(make):
    with pytest.raises(mm.GameError, match="moves players in turn"):
        make(mm.Jointly(optax.clip_by_global_norm(1.0), 0.1))


@pytest.mark.usefixtures("as_users_run_it")
def test_what_comes_before_is_a_transformation_and_optimizers_are_behind_it():
    clip = optax.clip_by_global_norm(1.0)
    with pytest.raises(mm.GameError, match="before of Jointly is 1.0: expected an optax"):
        mm.Jointly(1.0, 0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(mm.GameError, match="is -0.1: expected a step size >= 0"):
        mm.Jointly(clip, -0.1)
    with pytest.raises(mm.GameError, match=r"optimizer\['x'\] is Jointly"):
        mm.ExtraGradient({"x": mm.Jointly(clip, 0.1), "y": 0.1})
