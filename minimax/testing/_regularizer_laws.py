"""Laws of regularisers, beside those of all constraints."""

import itertools

import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from minimax.testing._constraint_case import (
    ConstraintCase,
    displacement,
    draw,
    gap,
    hard_points,
    inner,
    is_regularizer,
    jacobian_of_prox,
    natural_map,
    project,
    prox,
    prox_step,
    value,
)
from minimax.testing._law import DTYPES, EPS, Law, law, seeds
from minimax.testing._set_laws import SCALES, WHICH

LAWS: list[Law] = []


def in_domain(subject: ConstraintCase, seed: int, shape: tuple[int, ...], scale: float, dtype: str):
    """Points of the domain: any, scarce ones with zeros, and zero or what is nearest to it."""
    g, x = subject.constraint, draw(seed, shape, scale, dtype)
    scarce = x * (np.random.default_rng(seed).uniform(size=shape) < 0.5).astype(dtype)
    return [project(g, each) for each in (x, scarce, jnp.zeros_like(x))]


def of_few_lengths(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Filled up with zeros to 8 or 60 entries, because every length compiles."""
    return {
        case: np.pad(point, (0, (8 if point.size <= 8 else 60) - point.size))
        for case, point in points.items()
    }


@law(LAWS, is_regularizer)
@given(seeds, WHICH, SCALES)
def the_value_is_what_numpy_finds(subject: ConstraintCase, seed, which, scale):
    """A scalar of the dtype of the leaf."""
    shape = subject.shape(which)
    for dtype in EPS:
        for u in in_domain(subject, seed, shape, scale, dtype):
            found = value(subject.constraint, u)
            assert found.shape == () and found.dtype == dtype
            expected = subject.value(u)
            rounding = EPS[dtype] * max(16 * abs(expected), 1)
            assert abs(float(found) - expected) <= rounding, f"g({u}) = {found}, not {expected}"


@law(LAWS, is_regularizer)
@given(seeds, WHICH, SCALES, DTYPES, st.floats(0.05, 5.0))
def a_prox_is_a_minimiser(subject: ConstraintCase, seed, which, scale, dtype, step):
    """⟨x - p, u - p⟩/η <= g(u) - g(p) for all u, which is that p minimises g + ‖· - x‖²/(2η)."""
    shape = subject.shape(which)
    g, x = subject.constraint, draw(seed, shape, scale, dtype)
    p = prox(g, x, jnp.asarray(step))
    assert p.shape == shape and p.dtype == dtype
    assert subject.miss(p) <= 8 * EPS[dtype]
    at_p = subject.value(p)
    for u in in_domain(subject, seed + 1, shape, 3 * scale, dtype) + [project(g, 2 * p - x)]:
        size = 1.0 + sum(float(jnp.max(jnp.abs(leaf))) for leaf in (x, u))
        slope = inner(np.asarray(x, float) - np.asarray(p, float), u - p)
        rounding = 16 * EPS[dtype] * x.size * size**2 * (1 + step)
        assert slope <= step * (subject.value(u) - at_p) + rounding


@law(LAWS, is_regularizer)
@given(seeds, WHICH, SCALES, DTYPES, st.floats(0.05, 5.0))
def a_prox_is_firmly_non_expansive(subject: ConstraintCase, seed, which, scale, dtype, step):
    """‖p - q‖² <= ⟨p - q, x - y⟩."""
    shape = subject.shape(which)
    g, x, y = (
        subject.constraint,
        draw(seed, shape, scale, dtype),
        draw(seed + 1, shape, scale, dtype),
    )
    apart, change = x - y, prox(g, x, jnp.asarray(step)) - prox(g, y, jnp.asarray(step))
    size = 1.0 + float(jnp.max(jnp.abs(x))) + float(jnp.max(jnp.abs(y)))
    rounding = 16 * EPS[dtype] * x.size * size**2
    assert inner(change, change) <= inner(change, apart) + rounding


@law(LAWS, is_regularizer)
@given(seeds, WHICH, st.floats(0.05, 5.0), DTYPES)
def the_gap_bounds_what_moving_gains(subject: ConstraintCase, seed, which, step, dtype):
    """gap >= ⟨d, x - u⟩ + g(x) - g(u) for all u, gap >= 0, and η gap >= ‖natural map‖²: a point
    whose gap is small is nearly where a Euclidean step leaves it."""
    shape = subject.shape(which)
    g, n = subject.constraint, max(1, int(np.prod(shape)))
    d = draw(seed + 1, shape, 0.3, dtype)
    for x in in_domain(subject, seed, shape, 1.0, dtype):
        found = float(gap(g, x, d))
        assert found >= 0
        for u in in_domain(subject, seed + 2, shape, 2.0, dtype):
            gain = inner(d, np.asarray(x, float) - np.asarray(u, float))
            gain += subject.value(x) - subject.value(u)
            assert found >= gain - 64 * EPS[dtype] * n
        back = natural_map(g, x, d, jnp.asarray(step))
        assert inner(back, back) <= step * found + 64 * EPS[dtype] * n


@law(LAWS, is_regularizer)
@given(seeds, WHICH, DTYPES, st.floats(1.0, 3.0))
def the_gap_is_zero_at_subgradients(subject: ConstraintCase, seed, which, dtype, step):
    """With p the prox of x, (x - p)/η is a subgradient at p, up to roundings: those must not make
    the gap infinite. The natural map is zero there too."""
    shape = subject.shape(which)
    g, x = subject.constraint, draw(seed, shape, 1.0, dtype)
    p = prox(g, x, jnp.asarray(step))
    d = (p - x) / jnp.asarray(step, dtype)
    assert 0 <= float(gap(g, p, d)) <= 64 * EPS[dtype] * max(1, x.size)
    back = natural_map(g, p, d, jnp.asarray(step))
    assert float(jnp.max(jnp.abs(back))) <= 32 * EPS[dtype] * step


@law(LAWS, is_regularizer)
def a_prox_of_hard_points_is_finite(subject: ConstraintCase):
    """A point of the domain, with the dtype of the leaf, wherever the point lies."""
    for dtype in EPS:
        for hard, point in of_few_lengths(hard_points(dtype)).items():
            p = np.asarray(prox(subject.constraint, subject.like(point), jnp.asarray(0.9)))
            assert p.dtype == dtype and np.all(np.isfinite(p)), f"{hard}: {point} became {p}"
            assert subject.miss(p) <= 8 * EPS[dtype], f"{hard}: {point} became {p}"


@law(LAWS, is_regularizer)
def derivatives_of_a_prox_at_hard_points_are_finite(subject: ConstraintCase):
    """At zeros, ties, and far away."""
    for case, point in of_few_lengths(hard_points("float32")).items():
        jacobian = jacobian_of_prox(subject.constraint, subject.like(point))
        assert bool(jnp.all(jnp.isfinite(jacobian))), case


@law(LAWS, is_regularizer)
def derivatives_of_a_prox_are_central_differences(subject: ConstraintCase):
    """Off the kinks. A prox is the gradient of a convex function, and is firmly non-expansive: its
    Jacobian is symmetric, with eigenvalues in [0, 1]."""
    for shape, scale in itertools.product(subject.some_matrices, (0.3, 3.0)):
        g, x, h = subject.constraint, draw(5, shape, scale), 1e-6
        n = x.size
        jacobian = np.asarray(jacobian_of_prox(g, x)).reshape(n, n)
        moves = h * jnp.eye(n).reshape(n, *shape)
        slopes = np.stack(
            [
                (prox(g, x + e, jnp.asarray(0.9)) - prox(g, x - e, jnp.asarray(0.9))).ravel()
                / (2 * h)
                for e in moves
            ],
            axis=-1,
        )
        np.testing.assert_allclose(jacobian, slopes, rtol=0, atol=1e-8)
        np.testing.assert_allclose(jacobian, jacobian.T, rtol=0, atol=1e-13)
        eigenvalues = np.linalg.eigvalsh(jacobian)
        assert eigenvalues.min() >= -1e-13 and eigenvalues.max() <= 1 + 1e-13


@law(LAWS, is_regularizer)
@given(seeds, st.sampled_from([1e3, 1e6]), st.floats(0.1, 3.0))
def a_displacement_does_not_drown_in_large_players(subject: ConstraintCase, seed, far, step):
    """In single precision, against the same in double: relative to itself, not to the player."""
    g = subject.constraint
    if type(g).displacement is mm.AbstractConstraint.displacement:
        assert bool(jnp.all(jnp.abs(project(g, draw(seed, subject.a_matrix, far))) <= 1)), (
            "not bounded"
        )
        return
    z, d = (
        draw(seed, subject.a_matrix, far, "float32"),
        draw(seed + 1, subject.a_matrix, 1.0, "float32"),
    )
    step = float(np.float32(step))
    found = displacement(g, z, d, jnp.asarray(step, "float32"))
    assert found.dtype == "float32"
    z, d = z.astype("float64"), d.astype("float64")
    expected = np.asarray(z - prox_step(g, z, d, step))
    # Singular vectors have errors of their own, as large as singular values are near each other.
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=64 * EPS["float32"] * np.abs(expected).max()
    )


@law(LAWS, is_regularizer)
def half_precision_runs(subject: ConstraintCase):
    """With the dtype of the leaf, and right to its digits."""
    for dtype in ("float16", "bfloat16"):
        g, x, d = (
            subject.constraint,
            draw(1, subject.a_matrix, 1.0, dtype),
            draw(2, subject.a_matrix, 0.1, dtype),
        )
        x = project(g, x)
        step = jnp.asarray(0.5, dtype)
        for found in (prox(g, x, step), prox_step(g, x, d, step), displacement(g, x, d, step)):
            assert found.dtype == dtype and bool(jnp.all(jnp.isfinite(found)))
        assert value(g, x).dtype == dtype and gap(g, x, d).dtype == dtype
        expected, rounding = prox(g, x.astype("float32"), step), 4 * float(jnp.finfo(dtype).eps)
        found = prox(g, x, step).astype("float32")
        np.testing.assert_allclose(found, expected, rtol=0, atol=rounding)
