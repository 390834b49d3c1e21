"""What the program of an operator proves, against what is true of it.

A polynomial of degree d along a line has vanishing (d + 1)-th differences; a bound that is too low
is a false proof, one that is too high only a missed one.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from minimax._polynomial import degrees
from minimax._structure import structure_of

pytestmark = pytest.mark.usefixtures("float64")

A = np.arange(12.0).reshape(3, 4) / 7
START = (np.ones(3), np.ones(4))


@jax.custom_jvp
def liar(x):
    """The square, which says that it is the identity."""
    return x * x


liar.defjvp(lambda primals, tangents: (liar(*primals), tangents[0]))

BILINEAR = {
    "a product": lambda x, y: x @ A @ y,
    "with linear terms": lambda x, y: x @ A @ y + jnp.sum(x) - 3 * y[1] / 2 + 1.0,
    "by loops over rows": lambda x, y: sum(x[i] * (A[i] @ y) for i in range(3)),
    "mapped": lambda x, y: jnp.sum(jax.vmap(lambda a, e: e * (a @ y))(jnp.asarray(A), x)),
    "by einsum": lambda x, y: jnp.einsum("i,ij,j->", x, A, y),
    "some entries": lambda x, y: (
        jnp.sum(x[jnp.array([2, 0])] * y[:2]) + jnp.where(A[0] > 0, y, 0)[1]
    ),
    "differences": lambda x, y: jnp.sum(x * jnp.diff(y)) + jnp.mean(jnp.cumsum(x)),
    "an entry overwritten": lambda x, y: x.at[0].set(2.0) @ A @ y,
    "compiled": lambda x, y: jax.jit(lambda x: x @ A)(x) @ y,
    "recomputed": jax.checkpoint(lambda x, y: x @ A @ y),
}
NOT_BILINEAR = {
    "own square": lambda x, y: x @ A @ y + x @ x,
    "square of a product": lambda x, y: (x @ A @ y) ** 2,
    "product on one side": lambda x, y: x[0] * x[1] + x @ A @ y,
    "a quotient": lambda x, y: x @ A @ y / y[0],
    "a norm": lambda x, y: x @ A @ y + jnp.linalg.norm(x),
    "kinks": lambda x, y: x @ A @ y + jnp.sum(jnp.abs(x)),
    "clipped": lambda x, y: jnp.clip(x, 0, 1) @ A @ y,
    "sorted": lambda x, y: jnp.sort(x) @ A @ y,
    "a choice by a player": lambda x, y: x @ A @ y + x[jnp.argmax(y)],
    "a branch on a player": lambda x, y: jnp.where(x[0] > 0, x, 2 * x) @ A @ y,
    "rounded": lambda x, y: x @ A @ y + jnp.sum(x.astype(int)),
    "a gradient of its own": lambda x, y: jnp.sum(liar(x)) + x @ A @ y,
    "fewer digits": lambda x, y: jax.lax.reduce_precision(x, 8, 1) @ A @ y,
    "half precision": lambda x, y: x.astype("bfloat16").astype(float) @ A @ y,
    "exponential": lambda x, y: jnp.exp(x) @ A @ y,
    "negative power": lambda x, y: x @ A @ y + 1 / x[0],
}


def game(payoff):
    return mm.Game(lambda players: payoff(*players))


@pytest.mark.parametrize("name", BILINEAR)
def test_what_is_bilinear_is_proved(name):
    """And truly is: each block of F is affine in the other player, by second differences."""
    payoff = BILINEAR[name]
    assert structure_of(game(payoff), START) == (True, True, True)
    x, y = START
    z, d = np.random.default_rng(0).normal(size=(2, 7))
    line = [payoff(jnp.asarray(x * z[:3] + t * d[:3]), y * z[3:]) for t in (0.0, 1.0, 2.0)]
    assert abs(line[0] - 2 * line[1] + line[2]) < 1e-12


@pytest.mark.parametrize("name", NOT_BILINEAR)
def test_what_is_not_bilinear_is_not(name):
    assert not structure_of(game(NOT_BILINEAR[name]), START).is_bilinear


def test_quadratic_games_are_affine():
    found = structure_of(game(lambda x, y: x @ A @ y + x @ x - jnp.sum(y**2) + x[0] * x[1]), START)
    assert found == (True, False, False)
    cubic = structure_of(game(lambda x, y: x @ A @ y + jnp.sum(x**3)), START)
    assert not cubic.is_affine


def test_sides_and_players_are_told_apart():
    """Two minimisers whose product is in the payoff: each payoff is affine in its own player, but
    the game is not bilinear between the sides."""
    coupled = mm.Game(
        lambda p: p["a"] * p["b"] + (p["a"] + p["b"]) * p["y"],
        {"a": "min", "b": "min", "y": "max"},
    )
    assert structure_of(coupled, {"a": 1.0, "b": 1.0, "y": 1.0}) == (True, True, False)
    # One player of two arrays is not affine in all that it owns.
    one = mm.Game(lambda p: p[0][0] * p[0][1] + p[0][0] * p[1])
    assert structure_of(one, ((1.0, 1.0), 1.0)) == (True, False, False)


def test_a_general_sum_game_is_no_bilinear_one():
    both = mm.Game(lambda p: (p[0] @ A @ p[1], 2 * p[0] @ A @ p[1]))
    assert structure_of(both, START) == (True, True, False)


def test_data_and_modules_are_constants():
    class Player(eqx.Module):
        weight: jax.Array
        activation: object

    player = Player(jnp.ones(3), jnp.tanh)
    shared = mm.Game(lambda p, scale: scale**2 * (p[0].weight @ A @ p[1]))
    assert structure_of(shared, (player, START[1]), jnp.asarray(2.0)).is_bilinear
    bent = mm.Game(lambda p: jnp.sum(p[0].activation(p[0].weight)) + p[0].weight @ A @ p[1])
    assert not structure_of(bent, (player, START[1])).is_affine


@st.composite
def polynomials(draw):
    """A random program of sums and products in x and y, and its true degrees if nothing cancels."""
    terms = [(lambda x, y: x[0], (1, 0)), (lambda x, y: y[1], (0, 1)), (lambda x, y: 2.0, (0, 0))]
    for _ in range(draw(st.integers(1, 6))):
        (f, a), (g, b) = draw(st.sampled_from(terms)), draw(st.sampled_from(terms))
        if draw(st.booleans()):
            made = (lambda x, y, f=f, g=g: f(x, y) * g(x, y), (a[0] + b[0], a[1] + b[1]))
        else:
            made = (lambda x, y, f=f, g=g: f(x, y) + g(x, y), (max(a[0], b[0]), max(a[1], b[1])))
        terms.append(made)
    return terms[-1]


@given(polynomials())
def test_degrees_of_sums_and_products_are_those_of_polynomials(polynomial):
    function, expected = polynomial
    (found,) = degrees(
        lambda z: jnp.asarray(function(*z)),
        (jnp.ones(2), jnp.ones(2)),
        [(True, False), (False, True)],
    )
    assert found == expected
