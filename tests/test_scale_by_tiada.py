"""`mm.scale_by_tiada`: the scaling of TiAda as an optax transformation, in the user's own loop."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
LABELS = {"x": "x", "y": "y"}


def payoff(players):
    """Nonconvex in x = (a, b), strongly concave in y."""
    (a, b), y = players["x"], players["y"]
    return jnp.sum(a**2 * y[0]) + jnp.sin(b) * y[1] - y @ y


def numpy_gradient(a, b, y):
    return 2 * a * y[0], np.cos(b) * y[1], np.array([np.sum(a**2), np.sin(b)]) - 2 * y


GAME = mm.Game(payoff, ROLES)
START = {"x": (np.array([1.0, -2.0, 0.5]), np.array(0.3)), "y": np.array([0.2, -0.4])}


def optimizer_of(x: Any, y: Any, **powers: float) -> Any:
    """The way of the docstring: the scaling sees all players, then each has its own."""
    both = optax.multi_transform({"x": x, "y": y}, LABELS)
    return optax.chain(mm.scale_by_tiada(ROLES, **powers), both)


def user_loop(optimizer, steps, dtype="float64"):
    """A compiled training loop as a user writes it; the players before and after every step."""

    def body(carry, _):
        players, state = carry
        update, state = optimizer.update(jax.grad(payoff)(players), state, players)
        return (optax.apply_updates(players, update), state), players

    players = jax.tree.map(lambda x: jnp.asarray(x, dtype), START)
    _, rows = jax.lax.scan(body, (players, optimizer.init(players)), None, length=steps + 1)
    return rows


def assert_same(rows, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-13), rows, expected)


INNER = {
    "sgd": lambda sign: optax.sgd(sign * 0.2),
    "momentum": lambda sign: optax.sgd(sign * 0.05, momentum=0.5),
    "adam": lambda sign: optax.adam(sign * 0.02, b1=0.5),
    "schedule": lambda sign: optax.sgd(optax.linear_schedule(sign * 0.2, 0.0, 20)),
}


@pytest.mark.parametrize("powers", [{}, {"descent_power": 0.7, "ascent_power": 0.2}])
@pytest.mark.parametrize("name", INNER)
def test_an_own_loop_with_it_is_the_solver(name, powers):
    """To the bit step by step, for every transformation that comes behind it; and compiled, where
    the compiler may fuse products and sums in either program, to its roundings in 30 steps."""
    optimizer = optimizer_of(INNER[name](1), INNER[name](-1), **powers)
    solver = mm.TiAda(INNER[name](1), **powers)
    ours = players = jax.tree.map(jnp.asarray, START)
    state, own = solver.init(GAME, ours), optimizer.init(players)
    for _ in range(5):
        ours, state = solver.step(GAME, ours, state)
        update, own = optimizer.update(jax.grad(payoff)(players), own, players)
        players = optax.apply_updates(players, update)
        jax.tree.map(np.testing.assert_array_equal, players, ours)
    start = jax.tree.map(jnp.asarray, START)
    assert_same(user_loop(optimizer, 30), iterates(GAME, start, solver, 30))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_own_loop_with_it_is_what_its_formula_says(dtype):
    """Against NumPy in double precision: the roundings of 30 contracting steps."""
    rows = user_loop(optimizer_of(optax.sgd(0.5), optax.sgd(-0.2)), 30, dtype)
    (a, b), y = START["x"], START["y"]
    descent = ascent = 0.0
    for k in range(31):
        found = (rows["x"][0][k], rows["x"][1][k], rows["y"][k])
        assert all(each.dtype == dtype for each in found)
        for ours, expected in zip(found, (a, b, y), strict=True):
            np.testing.assert_allclose(ours, expected, rtol=0, atol=64 * np.finfo(dtype).eps)
        of_a, of_b, of_y = numpy_gradient(a, b, y)
        descent, ascent = descent + of_a @ of_a + of_b**2, ascent + of_y @ of_y
        slow = max(descent, ascent) ** 0.6
        a, b, y = a - 0.5 * of_a / slow, b - 0.5 * of_b / slow, y + 0.2 * of_y / ascent**0.4


@pytest.mark.parametrize("convert", [jnp.asarray, np.asarray, float], ids=["jax", "numpy", "float"])
def test_it_works_in_a_python_loop_on_any_kind_of_number(convert):
    """Jitted or not. At (1, 1): gradients (0, 1), so x waits, and y's is divided by 1."""
    scale: Any = mm.scale_by_tiada(ROLES)
    players = {"x": convert(1.0), "y": convert(1.0)}
    for update in (scale.update, jax.jit(scale.update)):
        state = scale.init(players)
        scaled, state = update({"x": convert(0.0), "y": convert(1.0)}, state)
        assert scaled == {"x": 0.0, "y": 1.0}
        scaled, state = update({"x": convert(2.0), "y": convert(-2.0)}, state)
        assert scaled["x"] == pytest.approx(2 * 5**-0.6, rel=1e-15)
        assert scaled["y"] == pytest.approx(-2 * 5**-0.4, rel=1e-15)
        assert state.descent == 2 and state.ascent == pytest.approx(5**0.5, rel=1e-15)


def test_minimisers_look_at_maximisers_and_not_the_other_way_round():
    """A large gradient of y slows x; a large gradient of x leaves y as it is."""
    scale: Any = mm.scale_by_tiada(ROLES)
    players = {"x": jnp.ones(()), "y": jnp.ones(())}
    for x, y in ((1.0, 1e3), (1e3, 1.0)):
        scaled, _ = scale.update({"x": jnp.asarray(x), "y": jnp.asarray(y)}, scale.init(players))
        assert float(scaled["x"]) == pytest.approx(x * 1e6**-0.6)
        assert float(scaled["y"]) == pytest.approx(y * (y**2) ** -0.4)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_squares_neither_over_nor_underflow(size):
    """In single precision, where 1e20² is infinite and 1e-30² is zero."""
    scale: Any = mm.scale_by_tiada(("min", "max"))
    gradient = (jnp.float32(size), jnp.float32(size))
    (x, y), state = scale.update(gradient, scale.init(gradient))
    assert float(x) == pytest.approx(size**-0.2, rel=1e-4)
    assert float(y) == pytest.approx(size**0.2, rel=1e-4)
    assert float(state.ascent) == pytest.approx(size, rel=1e-6)


def test_half_precision_is_added_up_in_single_and_kept():
    """300² is above the float16 numbers."""
    scale: Any = mm.scale_by_tiada(("min", "max"))
    players = (jnp.full(4, 300, "float16"), jnp.ones(4, "float16"))
    scaled, state = scale.update(players, scale.init(players))
    assert [each.dtype for each in scaled] == ["float16", "float16"]
    assert float(state.descent) == 2 * 300
    assert jnp.result_type(state.descent) == "float32"
    np.testing.assert_allclose(scaled[0], 300 * 360_000**-0.6, rtol=2e-3)


def test_half_precision_is_divided_in_single():
    """By sums whose power is no float16 number any more: only the quotient is one."""
    scale: Any = mm.scale_by_tiada(("min", "max"))
    players = (jnp.asarray(3e4, "float16"), jnp.asarray(3e6, "float32"))
    scaled, _ = scale.update(players, scale.init(players))
    expected = float(players[0]) * (float(players[1]) ** 2) ** -0.6
    np.testing.assert_allclose(scaled[0], expected, rtol=2e-3)


def test_players_with_holes():
    """`None` where a network has no parameter, as `eqx.partition` leaves it."""
    players = {"x": {"w": jnp.ones(4), "activation": None}, "y": jnp.ones(4)}
    scale: Any = mm.scale_by_tiada(ROLES)
    scaled: Any = scale.update(players, scale.init(players))[0]
    assert scaled["x"]["activation"] is None
    np.testing.assert_allclose(scaled["x"]["w"], 4**-0.6)


@pytest.mark.parametrize("alpha, beta", [(0.4, 0.6), (0.5, 0.5), (1.0, 0.4), (0.6, 0.0)])
def test_other_powers_are_refused(alpha, beta):
    with pytest.raises(mm.GameError, match="expected 1 > descent_power > ascent_power > 0"):
        mm.scale_by_tiada(ROLES, alpha, beta)


def test_roles_that_are_none_or_do_not_fit_are_refused():
    with pytest.raises(mm.GameError, match=r"roles\['y'\] is 'ascend'"):
        mm.scale_by_tiada({"x": "min", "y": "ascend"})
    scale: Any = mm.scale_by_tiada(ROLES)
    players = {"x": jnp.ones(2), "z": jnp.ones(2)}
    with pytest.raises(mm.GameError, match=r"roles\['y'\] fits no player"):
        scale.update(players, scale.init(players))
