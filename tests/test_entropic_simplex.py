"""What `EntropicSimplex` promises beyond the laws of every constraint."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

import minimax as mm
from tests.strategies import seeds

pytestmark = pytest.mark.usefixtures("float64")

SIMPLEX = mm.EntropicSimplex()
EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
DTYPES = st.sampled_from(list(EPS))
prox_step = jax.jit(SIMPLEX.prox_step)


def multiply_weights(point, direction, step_size) -> np.ndarray:
    """x e^(-ηd) / Σ x e^(-ηd), in extended precision."""
    x, d = (np.asarray(each, np.longdouble) for each in (point, direction))
    weights = x * np.exp(-np.longdouble(step_size) * (d - d.min()))
    return (weights / weights.sum()).astype(float)


def interior(seed: int, dtype: str = "float64", n: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(n, 0.5)).astype(dtype)


@given(seeds, DTYPES, st.sampled_from([1e-3, 1.0, 30.0]), st.floats(0.01, 3.0))
def test_a_step_multiplies_weights(seed, dtype, scale, step_size):
    """Each entry to a few roundings of its own, times the size of its exponent."""
    x = np.maximum(interior(seed, dtype), np.finfo(dtype).tiny)
    d = (scale * np.random.default_rng(seed).normal(size=5)).astype(dtype)
    after = prox_step(jnp.asarray(x), jnp.asarray(d), step_size)
    exponent = step_size * (d.max() - d.min()) + np.abs(np.log(x)).max()
    assert after.dtype == dtype
    np.testing.assert_allclose(
        after,
        multiply_weights(x, d, np.dtype(dtype).type(step_size)),
        rtol=4 * EPS[dtype] * (1 + exponent),
        atol=np.finfo(dtype).tiny,
    )


@pytest.mark.parametrize("dtype", EPS)
def test_a_common_part_of_the_losses_changes_nothing(dtype):
    """Bit by bit, where the sums are exact: it never meets the logarithms."""
    x, d = jnp.asarray(interior(0, dtype)), jnp.asarray([1.0, 2.0, -3.0, 0.5, 0.0], dtype)
    np.testing.assert_array_equal(prox_step(x, d, 0.3), prox_step(x, d + 2.0**16, 0.3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_vertex_that_is_preferred_stays(dtype):
    """Up to the smallest normal numbers, however often one steps."""
    vertex = jnp.asarray([1.0, 0.0, 0.0], dtype)
    x = vertex
    for _ in range(20):
        x = prox_step(x, jnp.asarray([0.0, 0.0, 1.0], dtype), 0.5)
    assert x.dtype == dtype
    least = 2 * float(jnp.finfo(dtype).tiny)
    np.testing.assert_allclose(np.asarray(x, float), np.asarray(vertex, float), rtol=0, atol=least)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_was_lost_to_underflow_comes_back(dtype):
    """From zero an entry grows by e^η per step: to one half after log(1/tiny)/η of them."""
    x, eta = jnp.asarray([1.0, 0.0], dtype), 2.0
    steps = int(np.ceil(-np.log(float(jnp.finfo(dtype).tiny)) / eta))
    for _ in range(steps + 1):
        x = prox_step(x, jnp.asarray([1.0, 0.0], dtype), eta)
    assert x[1] > 0.5


@pytest.mark.parametrize("dtype", EPS)
def test_huge_losses_underflow_and_unknown_ones_are_not_hidden(dtype):
    """exp never overflows; NaN and a loss of minus infinity give NaN."""
    largest = float(np.finfo(dtype).max)
    x = jnp.full(3, 1 / 3, dtype)
    np.testing.assert_array_equal(prox_step(x, jnp.asarray([0, 1e30, 1e30], dtype), 1.0), [1, 0, 0])
    far = jnp.asarray([-largest, largest, largest], dtype)
    np.testing.assert_array_equal(prox_step(x, far, 1.0), [1, 0, 0])
    for bad in (jnp.nan, -jnp.inf):
        assert bool(jnp.all(jnp.isnan(prox_step(x, jnp.asarray([0, bad, 0], dtype), 1.0))))


@given(seeds)
def test_the_distance_is_the_divergence_of_kullback_and_leibler(seed):
    """Against scipy, along an axis; zero entries of u count as zero."""
    u, x = (
        np.stack([interior(seed + i, n=4), interior(seed + 7 + i, n=4)], axis=1) for i in range(2)
    )
    u[0] = 0
    u = u / u.sum(axis=0)
    expected = rel_entr(u, x).sum()
    ours = mm.EntropicSimplex(axis=0).divergence(jnp.asarray(u), jnp.asarray(x))
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)


def test_the_distance_is_infinite_from_where_an_entry_is_zero():
    """And only there; and the smallest numbers do not overflow."""
    half, first = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
    assert SIMPLEX.divergence(half, first) == jnp.inf
    np.testing.assert_allclose(SIMPLEX.divergence(first, half), np.log(2), rtol=1e-15)
    assert SIMPLEX.divergence(first, first) == 0
    nearly = jnp.array([np.finfo(float).tiny, 1.0])
    np.testing.assert_allclose(SIMPLEX.divergence(first, nearly), -np.log(nearly[0]), rtol=1e-2)


def test_certificates_are_those_of_the_simplex():
    """A multiplicative step (almost) stays at every vertex; residual and gap say which solve."""
    losses, worst = jnp.array([1.0, 0.0, 2.0]), jnp.array([0.0, 0.0, 1.0])
    games = [
        mm.Game(lambda p: losses @ p["x"], {"x": "min"}, constraint)
        for constraint in (SIMPLEX, mm.Simplex())
    ]
    assert float(jnp.abs(SIMPLEX.displacement(worst, losses, 1.0)).max()) < 1e-300
    for metric in (mm.NaturalResidual(), mm.DualityGap()):
        ours, theirs = (metric(game, {"x": worst}) for game in games)
        assert ours == theirs > 0.5
        assert metric(games[0], {"x": jnp.array([0.0, 1.0, 0.0])}) == 0


def test_derivatives_are_finite_on_the_boundary():
    """Where the logarithm has none."""
    jacobian = jax.jacobian(SIMPLEX.prox_step)(jnp.array([1.0, 0.0, 0.0]), jnp.ones(3), 1.0)
    assert bool(jnp.all(jnp.isfinite(jacobian)))


def test_a_scalar_is_no_simplex():
    """As for `Simplex`, before anything compiles."""
    game = mm.Game(lambda p: p["x"], {"x": "min"}, SIMPLEX)
    with pytest.raises(mm.GameError, match="an axis of entries that sum to one"):
        mm.solve(game, {"x": 1.0})
