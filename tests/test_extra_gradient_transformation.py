"""`mm.extra_gradient`: extragradient as an optax transformation, in the user's own loop.

Two calls of `update` make one step of `mm.ExtraGradient`. The transformation must be right inside
`optax.multi_transform`, where one player's transformation never sees the other player
(google-deepmind/optax#1109).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

A = np.array([[1.0, 0.5, 0.0], [-0.25, 0.75, 0.3]])
PLAYERS = {"x": np.array([1.0, 2.0]), "y": np.array([-1.0, 3.0, 0.5])}
ROLES = {"x": "min", "y": "max"}


def payoff(players):
    x, y = players["x"], players["y"]
    return x @ A @ y + 0.05 * jnp.sum(x**4) - 0.1 * y @ y


GAME = mm.Game(payoff, ROLES)


def user_loop(optimizer, steps, game=GAME, players=PLAYERS, project=lambda players: players):
    """A training loop as a user writes it, two calls per step; the players after every step."""

    def call(carry):
        players, state = carry
        gradient = jax.grad(game.payoff)(players)
        update, state = optimizer.update(gradient, state, players)
        return project(optax.apply_updates(players, update)), state

    def body(carry, _):
        carry = call(call(carry))
        return carry, carry[0]

    players = jax.tree.map(jnp.asarray, players)
    _, rows = jax.lax.scan(body, (players, optimizer.init(players)), None, length=steps)
    return rows


def both(x, y, **options):
    """The way of optax#1109: one transformation per player, by name."""
    x, y = mm.extra_gradient(x, **options), mm.extra_gradient(y, **options)
    return optax.multi_transform({"x": x, "y": y}, {"x": "x", "y": "y"})


def solver_rows(optimizer, steps, game=GAME, players=PLAYERS, **options):
    rows = iterates(game, players, mm.ExtraGradient(optimizer, **options), steps)
    return jax.tree.map(lambda row: row[1:], rows)


def assert_same(rows, expected, atol=1e-12):
    """Equal but for the rounding of (a - w) + u + w against a + u, in 40 contracting steps."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), rows, expected)


# With negative step sizes, as in the issue --------------------------------------------------------

SIGNED = {
    "step size": lambda sign: sign * 0.1,
    "sgd": lambda sign: optax.sgd(sign * 0.1),
    "schedule": lambda sign: optax.linear_schedule(sign * 0.2, sign * 0.02, 10),
    "sgd with schedule": lambda sign: optax.sgd(optax.linear_schedule(sign * 0.2, 0.0, 10)),
    "momentum": lambda sign: optax.sgd(sign * 0.05, momentum=0.5),
    "adam": lambda sign: optax.adam(sign * 0.02, b1=0.5),
    "adam with schedule": lambda sign: optax.adam(
        optax.linear_schedule(sign * 0.05, sign * 0.01, 10), b1=0.5
    ),
    "injected schedule": lambda sign: optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.linear_schedule(sign * 0.05, sign * 0.01, 10), b1=0.5
    ),
    "injected number": lambda sign: optax.inject_hyperparams(optax.sgd)(learning_rate=sign * 0.1),
    "scheduled in a chain": lambda sign: optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_schedule(optax.linear_schedule(-sign * 0.2, 0.0, 10)),
    ),
}


@pytest.mark.parametrize("moments", ["shared", "discarded"])
@pytest.mark.parametrize("name", SIGNED)
def test_multi_transform_with_positive_and_negative_steps_is_the_solver(name, moments):
    """Iterate by iterate, for every inner transformation of which a negative step ascends."""
    inner = SIGNED[name]
    rows = user_loop(both(inner(1), inner(-1), moments=moments), 20)
    assert_same(rows, solver_rows(inner(1), 20, moments=moments))


@pytest.mark.parametrize("moments", ["shared", "discarded"])
def test_weight_decay_inside_is_the_solver_with_the_sign_in_front(moments):
    """For weight decay the maximiser's sign belongs in front: chain(scale(-1), adamw)."""

    def decayed():
        return optax.adamw(0.02, b1=0.5, weight_decay=0.3)

    rows = user_loop(
        both(decayed(), optax.chain(optax.scale(-1.0), decayed()), moments=moments), 20
    )
    assert_same(rows, solver_rows(decayed(), 20, moments=moments))


def test_two_solvers_in_one():
    """Each player may have its own: sgd beside Adam."""
    rows = user_loop(both(0.1, optax.adam(-0.02, b1=0.5)), 20)
    assert_same(rows, solver_rows({"x": 0.1, "y": optax.adam(0.02, b1=0.5)}, 20))


def test_per_player_wraps_into_one_transformation_for_all():
    """`extra_gradient(per_player(...))` needs no labels: the signs are inside."""
    rows = user_loop(mm.extra_gradient(mm.per_player(0.1, ROLES)), 20)
    assert_same(rows, solver_rows(0.1, 20))


def test_it_agrees_with_optaxs_sam():
    """`optax.contrib.sam` with a negated adversary is the same two-phase pattern: an oracle that
    shares no code with us."""

    def oracle(step_size):
        return optax.contrib.sam(optax.sgd(step_size), optax.sgd(-step_size), sync_period=2)

    sam = optax.multi_transform({"x": oracle(0.1), "y": oracle(-0.1)}, {"x": "x", "y": "y"})
    assert_same(user_loop(both(0.1, -0.1), 40), user_loop(sam, 40))


def test_projecting_after_every_call_is_projected_extragradient():
    """P after both phases: then rock-paper-scissors ends at the uniform strategies."""
    matrix = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    game = mm.Game(lambda p: p["x"] @ matrix @ p["y"], ROLES, constraints=mm.Simplex())
    start = {"x": np.array([0.8, 0.1, 0.1]), "y": np.array([0.2, 0.2, 0.6])}
    rows = user_loop(both(0.3, -0.3), 400, game, start, game.project)
    assert_same(rows, solver_rows(0.3, 400, game, start))
    assert_same(jax.tree.map(lambda row: row[-1], rows), {"x": [1 / 3] * 3, "y": [1 / 3] * 3})


# Schedules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner",
    [
        lambda schedule: schedule,
        lambda schedule: optax.sgd(schedule),
        lambda schedule: optax.chain(optax.scale(2.0), optax.sgd(schedule), optax.scale(0.5)),
        lambda schedule: optax.inject_hyperparams(optax.sgd)(learning_rate=schedule),
        lambda schedule: optax.masked(optax.sgd(schedule), True),
        lambda schedule: optax.flatten(optax.sgd(schedule)),
        lambda schedule: optax.apply_if_finite(optax.sgd(schedule), 3),
    ],
    ids=["bare", "sgd", "chain", "inject", "masked", "flatten", "apply_if_finite"],
)
def test_a_schedule_counts_steps_and_both_phases_use_its_step_size(inner):
    """Step k is extragradient with η_k = 0.3/(k + 1): by hand, on a bilinear game, where the two
    phases leave their mark: ζ⁺ = (1 - η_k² + iη_k) ζ."""
    game = mm.Game(lambda p: p["x"] * p["y"], ROLES)
    start = {"x": np.array(1.0), "y": np.array(1.0)}

    def schedule(count):
        return 0.3 / (count + 1.0)

    eta = schedule(np.arange(10.0))
    zeta = (1 + 1j) * np.cumprod(1 - eta**2 + 1j * eta)
    expected = {"x": zeta.real, "y": zeta.imag}
    assert_same(solver_rows(inner(schedule), 10, game, start), expected)
    signed = inner(lambda count: -schedule(count))
    assert_same(user_loop(both(inner(schedule), signed), 10, game, start), expected)


def test_a_schedule_of_weight_decay_counts_steps_too():
    """optax schedules weight decay as well as step sizes. With zero payoff, decay λ_k = 1/(k + 1)
    and step size η, one step is z⁺ = z - ηλ_k w, w = (1 - ηλ_k) z."""
    game = mm.Game(lambda p: 0.0 * p["x"] * p["y"], ROLES)
    start = {"x": np.array(1.0), "y": np.array(1.0)}
    decay = optax.chain(
        optax.add_decayed_weights(lambda count: 1.0 / (count + 1.0)), optax.sgd(0.5)
    )
    c = 0.5 / np.arange(1.0, 11.0)
    expected = np.cumprod(1 - c * (1 - c))
    assert_same(solver_rows(decay, 10, game, start), {"x": expected, "y": expected})


def test_the_count_of_moments_advances_in_both_phases_only_if_shared():
    """ExtraAdam as published counts both halves of a step for Adam's bias correction."""
    players = jax.tree.map(jnp.asarray, PLAYERS)
    options: dict[Any, int] = {"shared": 6, "discarded": 3}
    for moments, expected in options.items():
        optimizer = mm.extra_gradient(optax.adam(0.1), moments=moments)
        state: Any = optimizer.init(players)
        for _ in range(6):
            _, state = optimizer.update(players, state, players)
        assert int(state.inner[0].count) == expected


# ExtraAdam ----------------------------------------------------------------------------------------

EXTRA_ADAM: dict[tuple[float, float], dict[Any, float]] = {
    # Distance after 10 000 steps with learning rate 0.01 on f = xy from (1, 1). Adam's default
    # b1 = 0.9 fails on bilinear games; without it ExtraAdam settles at a distance of the order of
    # the learning rate. Digits as in a float32 run of an independent loop.
    (0.9, 0.999): {"shared": 1.83, "discarded": 3.60, "simultaneous": 3.87},
    (0.5, 0.9): {"shared": 0.041, "discarded": 0.092},
    (0.0, 0.9): {"shared": 0.011, "discarded": 0.010},
}


@pytest.mark.parametrize("betas", EXTRA_ADAM)
def test_extra_adam_on_a_bilinear_game(betas):
    """Shared moments, discarded moments and simultaneous Adam are three methods."""
    game = mm.Game(lambda p: p["x"] * p["y"], ROLES)
    start = {"x": jnp.ones(()), "y": jnp.ones(())}
    adam = optax.adam(0.01, *betas)
    for name, expected in EXTRA_ADAM[betas].items():
        solver = (
            mm.GradientDescentAscent(adam)
            if name == "simultaneous"
            else mm.ExtraGradient(adam, moments=name)
        )
        solution = mm.solve(game, start, solver, max_steps=10_000, tol=0.0)
        distance = np.hypot(solution.players["x"], solution.players["y"])
        assert distance == pytest.approx(expected, rel=0.1), name


# Not a wrong version ------------------------------------------------------------------------------


def test_it_is_not_the_workaround_that_is_plain_descent_ascent():
    """A published workaround for optax#1109 steps by -lr·g at the current point in every call; on
    f = xy that is descent-ascent, which grows by √(1 + η²) per call, where extragradient
    shrinks."""
    game = mm.Game(lambda p: p["x"] * p["y"], ROLES)
    start = {"x": np.array(1.0), "y": np.array(1.0)}
    wrong = optax.multi_transform({"x": optax.sgd(0.1), "y": optax.sgd(-0.1)}, {"x": "x", "y": "y"})

    def distance(optimizer):
        rows = user_loop(optimizer, 200, game, start)
        return np.hypot(rows["x"][-1], rows["y"][-1])

    assert distance(wrong) == pytest.approx(np.sqrt(2) * (1 + 0.01) ** 200, rel=1e-12)
    right = np.sqrt(2) * (1 - 0.01 + 0.0001) ** 100
    assert distance(both(0.1, -0.1)) == pytest.approx(right, rel=1e-12)
    assert round(right, 6) == 0.522903


# In any loop --------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [jnp.asarray, np.asarray, float], ids=["jax", "numpy", "float"])
def test_it_works_in_a_python_loop_on_any_kind_of_number(convert):
    """Jitted or not, whether the parameters are kept as JAX arrays, NumPy arrays or floats."""
    optimizer = both(0.1, -0.1)
    gradient = jax.grad(lambda p: p["x"] * p["y"])
    for update in (optimizer.update, jax.jit(optimizer.update)):
        players = {"x": convert(1.0), "y": convert(1.0)}
        state = optimizer.init(players)
        for _ in range(20):
            change, state = update(gradient(players), state, players)
            players = jax.tree.map(convert, optax.apply_updates(players, change))
        expected = (1 + 1j) * (1 - 0.01 + 0.1j) ** 10
        assert complex(players["x"], players["y"]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_it_keeps_the_dtype_of_the_parameters(dtype):
    """In x64 mode too, and with step sizes that are arrays of another dtype."""
    players = {"x": jnp.ones(2, dtype), "y": jnp.ones(2, dtype)}
    for step_size in (0.1, jnp.asarray(0.1), optax.sgd(jnp.asarray(0.1))):
        optimizer = both(step_size, step_size)
        state = optimizer.init(players)
        update, after = optimizer.update(players, state, players)
        assert jax.tree.leaves(optax.apply_updates(players, update))[0].dtype == dtype
        assert jax.tree.map(jnp.result_type, state) == jax.tree.map(jnp.result_type, after)


def test_players_with_holes():
    """`None` where a network has no parameter, as `eqx.partition` leaves it."""
    players = {"x": {"w": jnp.ones(2), "activation": None}, "y": jnp.ones(2)}
    optimizer = both(0.1, -0.1)
    update: Any = optimizer.update(players, optimizer.init(players), players)[0]
    assert update["x"]["activation"] is None
    np.testing.assert_allclose(update["x"]["w"], -0.1)


# Misuse -------------------------------------------------------------------------------------------


def test_update_without_parameters_says_how_to_call_it():
    optimizer = mm.extra_gradient(0.1)
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(mm.GameError, match=r"update\(gradient, state, params\)"):
        optimizer.update(jnp.ones(2), state)


@pytest.mark.parametrize("wrong", ["adam", None, {"x": 0.1, "y": -0.1}, object()])
def test_what_is_no_optimizer_is_refused_when_it_is_given(wrong, as_users_run_it):
    """One step size, schedule or transformation: a dict of them belongs in multi_transform."""
    with pytest.raises(mm.GameError, match="expected a step size, a schedule or an optax"):
        mm.extra_gradient(wrong)


def test_unknown_moments_are_refused(as_users_run_it):
    """A misspelt option must not silently mean "shared"."""
    misspelt: Any = "discard"
    with pytest.raises(mm.GameError, match='"shared" or "discarded"'):
        mm.extra_gradient(0.1, moments=misspelt)
    with pytest.raises(mm.GameError, match='"shared" or "discarded"'):
        mm.ExtraGradient(0.1, moments=misspelt)
