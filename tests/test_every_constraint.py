r"""Laws that hold for every constraint; each file in `_constraints` is tried.

The projection P on a closed convex set is characterised by $\langle x - Px, u - Px\rangle \le 0$
for all feasible u; it follows that P is firmly non-expansive,
$\|Px - Py\|^2 \le \langle Px - Py, x - y\rangle$.

Rounding: a sum of n terms errs by n ε times its largest term, and a projection moves by no more
than its argument does.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from minimax import _constraints
from tests.discovery import check_files, examples
from tests.strategies import seeds

pytestmark = pytest.mark.usefixtures("float64")

EXAMPLES = examples(_constraints)
every_constraint = pytest.mark.parametrize("name", EXAMPLES)
SETS = [name for name, make in EXAMPLES.items() if isinstance(make(), mm.AbstractSet)]
COMPACT = [name for name in SETS if isinstance(EXAMPLES[name](), mm.AbstractCompactSet)]
# The others have a distance of their own, and say so by a proximal step of their own.
EUCLIDEAN = [name for name in SETS if type(EXAMPLES[name]()).prox_step is mm.AbstractSet.prox_step]
WITH_AXIS = [name for name, make in EXAMPLES.items() if hasattr(make(), "axis")]
every_set = pytest.mark.parametrize("name", SETS)
every_euclidean_set = pytest.mark.parametrize("name", EUCLIDEAN)
every_compact_set = pytest.mark.parametrize("name", COMPACT)

project = eqx.filter_jit(lambda constraint, point: constraint.project(point))
minimizer = eqx.filter_jit(lambda constraint, direction: constraint.linear_minimizer(direction))
prox_step = eqx.filter_jit(lambda constraint, *args: constraint.prox_step(*args))
displacement = eqx.filter_jit(lambda constraint, *args: constraint.displacement(*args))
divergence = eqx.filter_jit(lambda constraint, u, point: constraint.divergence(u, point))
jacobian_of = eqx.filter_jit(
    lambda constraint, point: jax.jacobian(lambda x: constraint.project(x))(point)
)

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
DTYPES = st.sampled_from(["float32", "float64"])
SHAPES = st.sampled_from([(4,), (2, 3), ()])
SCALES = st.sampled_from([1e-3, 1.0, 30.0])


def draw(seed: int, shape: tuple[int, ...], scale: float = 1.0, dtype: str = "float64"):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), dtype)


def inner(a, b) -> float:
    return float(np.sum(np.asarray(a, float) * np.asarray(b, float)))


def hard_points(dtype: str) -> dict[str, np.ndarray]:
    """Where projections go wrong: entries that are huge, tiny, equal, tied, signed zeros, alone."""
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    points = {
        "huge and tiny": [1e30, -1e30, 1e-30],
        "huge and equal": [1e30, 1e30, 1e30],
        "all hugely negative": [-1e30, -1e30, -2e30],
        "one hugely negative": [0.0, -1e30, 0.5],
        "largest": [largest, -largest, largest],
        "a third of the largest": [-0.3 * largest, -0.3 * largest, 0.3 * largest],
        "many of them": [0.0] + 7 * [-0.25 * largest],
        "subnormal": [smallest, -smallest, 0.0],
        "just normal": 3 * [float(np.finfo(dtype).tiny)],
        "tiny": [1e-30, 2e-30],
        "zeros": [0.0, -0.0, 0.0],
        "equal": 7 * [0.1],
        "tied": [1.0, 1.0, 0.0, 0.0, -5.0],
        "nearly tied": [1.0, 1.0 - np.finfo(dtype).eps, 1.0 + np.finfo(dtype).eps],
        "alone": [3.0],
        "alone and huge": [-1e30],
        "a ramp": list(np.linspace(-3, 3, 50)),
        "a geometric ramp": list(-(2.0 ** np.arange(60))),
    }
    return {name: np.asarray(point, dtype) for name, point in points.items()}


def infeasibility(constraint: Any, point: Any) -> float:
    """By how much a vector misses the set, relative to the size of the set, written anew."""
    u = np.asarray(point, np.longdouble)
    match type(constraint).__name__:
        case "Simplex" | "EntropicSimplex":
            return float(max(abs(u.sum() - 1), -u.min()))
        case "Box":
            lower, upper = np.asarray(constraint.lower), np.asarray(constraint.upper)
            return float(max(0, np.max(lower - u), np.max(u - upper)))
        case "L2Ball":
            return float(max(0, np.sqrt(np.sum(u**2)) / np.longdouble(constraint.radius) - 1))
        case "NonNegative":
            return float(max(0, -u.min()))
    again = np.asarray(constraint.project(jnp.asarray(point)), np.longdouble)
    return float(np.max(np.abs(again - u)))


def test_every_file_holds_one_constraint_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_constraints, mm.AbstractConstraint)


# Projections --------------------------------------------------------------------------------------


@every_set
@given(seeds, SHAPES, SCALES, DTYPES)
def test_a_projection_is_feasible_and_its_own_projection(name, seed, shape, scale, dtype):
    """P(Px) = Px up to a rounding of the set's own numbers."""
    constraint = EXAMPLES[name]()
    once = project(constraint, draw(seed, shape, scale, dtype))
    assert once.shape == shape and once.dtype == dtype
    size = max(1.0, float(jnp.max(jnp.abs(once))))
    twice = project(constraint, once)
    np.testing.assert_allclose(twice, once, rtol=0, atol=8 * EPS[dtype] * size)
    for vector in np.asarray(once).reshape(-1, shape[-1] if shape else 1):
        assert infeasibility(constraint, vector) <= 8 * EPS[dtype]


@every_set
@given(seeds, SHAPES, SCALES, DTYPES)
def test_a_projection_is_firmly_non_expansive(name, seed, shape, scale, dtype):
    """‖Px - Py‖² <= ⟨Px - Py, x - y⟩ <= ‖Px - Py‖ ‖x - y‖, hence ‖Px - Py‖ <= ‖x - y‖."""
    constraint = EXAMPLES[name]()
    x, y = draw(seed, shape, scale, dtype), draw(seed + 1, shape, scale, dtype)
    step, change = x - y, project(constraint, x) - project(constraint, y)
    size = 1.0 + float(jnp.max(jnp.abs(x))) + float(jnp.max(jnp.abs(y)))
    rounding = 16 * EPS[dtype] * x.size * size
    assert inner(change, change) <= inner(change, step) + rounding * size
    assert np.sqrt(inner(change, change)) <= np.sqrt(inner(step, step)) + rounding


@every_set
@given(seeds, SHAPES, SCALES, DTYPES)
def test_a_projection_is_the_nearest_feasible_point(name, seed, shape, scale, dtype):
    """⟨x - Px, u - Px⟩ <= 0 for feasible u."""
    constraint = EXAMPLES[name]()
    x = draw(seed, shape, scale, dtype)
    nearest = project(constraint, x)
    for k in range(1, 6):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        size = 1.0 + sum(float(jnp.max(jnp.abs(leaf))) for leaf in (x, u))
        assert inner(x - nearest, u - nearest) <= 16 * EPS[dtype] * x.size * size**2


@every_constraint
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", hard_points("float32"))
def test_hard_points_are_projected_on_the_set(name, dtype, case):
    """Feasible to rounding, finite, and of the same dtype, wherever the point lies."""
    constraint, point = EXAMPLES[name](), hard_points(dtype)[case]
    projected = project(constraint, jnp.asarray(point))
    assert projected.dtype == dtype and bool(jnp.all(jnp.isfinite(projected)))
    assert infeasibility(constraint, projected) <= 8 * EPS[dtype]


@every_constraint
@pytest.mark.parametrize("case", hard_points("float32"))
def test_derivatives_at_hard_points_are_finite(name, case):
    """Also at corners, ties, zero and far away: a NaN there would end a run."""
    constraint, point = EXAMPLES[name](), jnp.asarray(hard_points("float32")[case])
    jacobian = jacobian_of(constraint, point)
    assert bool(jnp.all(jnp.isfinite(jacobian))), jacobian


@every_set
@given(seeds, st.sampled_from([0.3, 3.0]))
def test_derivatives_are_central_differences(name, seed, scale):
    """At random points, which lie off the kinks, the Jacobian of P is the slope of P; P is the
    gradient of a convex function, so it is symmetric, with eigenvalues in [0, 1]."""
    constraint, x = EXAMPLES[name](), draw(seed, (3,), scale)
    jacobian = jacobian_of(constraint, x)
    h = 1e-6
    slopes = np.stack(
        [
            (project(constraint, x.at[i].add(h)) - project(constraint, x.at[i].add(-h))) / (2 * h)
            for i in range(3)
        ],
        axis=-1,
    )
    # ε/h of rounding and h² of curvature (of a ball: 1/‖x‖² >= h); a kink within h of x changes a
    # slope by its jump, and random points do not come that near.
    np.testing.assert_allclose(jacobian, slopes, rtol=0, atol=1e-8)
    np.testing.assert_allclose(jacobian, jacobian.T, rtol=0, atol=1e-14)
    eigenvalues = np.linalg.eigvalsh(jacobian)
    assert eigenvalues.min() >= -1e-14 and eigenvalues.max() <= 1 + 1e-14


# Steps and corners --------------------------------------------------------------------------------


@every_euclidean_set
@given(seeds, SHAPES, st.floats(0.01, 3.0))
def test_the_proximal_step_of_a_set_is_a_projected_step(name, seed, shape, step_size):
    """prox_step(z, d, η) = P(z - ηd), where the distance is Euclidean."""
    constraint = EXAMPLES[name]()
    z, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    expected = project(constraint, z - step_size * d)
    np.testing.assert_allclose(after, expected, rtol=0, atol=32 * EPS["float64"])


@every_set
@given(seeds, SHAPES, st.floats(0.01, 3.0))
def test_the_proximal_step_of_a_set_obeys_the_three_point_inequality(name, seed, shape, step_size):
    """η⟨d, z⁺ - u⟩ <= D(u, z) - D(u, z⁺) - D(z⁺, z) for all feasible u, by whatever distance D;
    so z⁺ minimises ⟨d, u⟩ + D(u, z)/η."""
    constraint = EXAMPLES[name]()

    def feasible(k: int, scale: float):  # in the interior, where every distance is finite
        some, other = (project(constraint, draw(seed + i, shape, scale)) for i in (k, k + 50))
        return 0.98 * some + 0.02 * project(constraint, 0.01 * other)

    z, d = feasible(0, 1.0), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    for k in range(2, 6):
        u = feasible(k, 2.0)
        room = divergence(constraint, u, z) - divergence(constraint, u, after)
        room = float(room - divergence(constraint, after, z))
        assert step_size * inner(d, after - u) <= room + 1e-13 * (1 + abs(room))


@every_constraint
@given(seeds, SHAPES)
def test_distances_are_distances(name, seed, shape):
    """Zero from a point to itself, else at least ‖u - z‖²/2: they are 1-strongly convex."""
    constraint = EXAMPLES[name]()
    u, z = (project(constraint, draw(seed + k, shape, 0.3)) for k in range(2))
    assert divergence(constraint, z, z) == 0
    apart = divergence(constraint, u, z)
    assert apart.shape == () and apart >= inner(u - z, u - z) / 2 - 8 * EPS["float64"] * u.size


@every_constraint
@given(seeds, SHAPES, st.floats(0.01, 3.0))
def test_the_displacement_is_what_a_proximal_step_goes_back(name, seed, shape, step_size):
    """displacement(z, d, η) = z - prox_step(z, d, η), whether or not z is feasible."""
    constraint, z, d = EXAMPLES[name](), draw(seed, shape, 2.0), draw(seed + 1, shape)
    expected = z - prox_step(constraint, z, d, step_size)
    np.testing.assert_allclose(
        displacement(constraint, z, d, step_size), expected, rtol=0, atol=64 * EPS["float64"]
    )


@every_constraint
@given(seeds, st.floats(0.01, 3.0))
def test_a_proximal_step_is_feasible_and_goes_downhill(name, seed, step_size):
    """With Bregman distances and regularisers too: ⟨d, z⁺⟩ <= ⟨d, z⟩ on a set, and z⁺ is in it."""
    constraint = EXAMPLES[name]()
    z, d = project(constraint, draw(seed, (4,))), draw(seed + 1, (4,))
    after = prox_step(constraint, z, d, step_size)
    assert infeasibility(constraint, after) <= 8 * EPS["float64"]
    if name in SETS:
        assert inner(d, after) <= inner(d, z) + 1e-14


@every_compact_set
@given(seeds, SHAPES, DTYPES, SCALES)
def test_the_linear_minimiser_is_feasible_and_minimal(name, seed, shape, dtype, scale):
    """⟨d, u*⟩ <= ⟨d, u⟩ for feasible u."""
    constraint, d = EXAMPLES[name](), draw(seed, shape, scale, dtype)
    best = minimizer(constraint, d)
    assert best.shape == shape and best.dtype == dtype
    for vector in np.asarray(best).reshape(-1, shape[-1] if shape else 1):
        assert infeasibility(constraint, vector) <= 8 * EPS[dtype]
    for k in range(1, 6):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        assert inner(d, best) <= inner(d, u) + 16 * EPS[dtype] * d.size * scale * 5


@every_compact_set
@pytest.mark.parametrize("case", hard_points("float32"))
def test_the_linear_minimiser_survives_hard_directions(name, case):
    """Ties, zeros and huge entries: some feasible point, and as good as any projection."""
    constraint, d = EXAMPLES[name](), hard_points("float32")[case]
    best = minimizer(constraint, jnp.asarray(d))
    assert infeasibility(constraint, best) <= 8 * EPS["float32"]
    other = np.asarray(project(constraint, jnp.asarray(d)), np.longdouble)
    slope, best = np.asarray(d, np.longdouble), np.asarray(best, np.longdouble)
    flushed = np.finfo("float32").tiny  # subnormal numbers may count as zero
    assert slope @ (best - other) <= d.size * (8 * EPS["float32"] * np.abs(slope).max() + flushed)


# Leaves and axes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_AXIS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_other_axes_are_a_batch(name, axis):
    """Along `axis` each vector is projected by itself, as in a loop."""
    constraint = dataclasses.replace(EXAMPLES[name](), axis=axis)
    alone = EXAMPLES[name]()
    x = draw(1, (2, 3, 4), 2.0)
    vectors = np.moveaxis(np.asarray(x), axis, -1)
    for method in (project, minimizer) if name in COMPACT else (project,):
        whole = np.moveaxis(np.asarray(method(constraint, x)), axis, -1)
        for index in np.ndindex(vectors.shape[:-1]):
            expected = method(alone, jnp.asarray(vectors[index]))
            np.testing.assert_allclose(whole[index], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", WITH_AXIS)
def test_no_axis_takes_the_whole_leaf_as_one_vector(name):
    """`axis=None`: a matrix of shape (2, 3) is a vector of six entries."""
    constraint, alone = dataclasses.replace(EXAMPLES[name](), axis=None), EXAMPLES[name]()
    x = draw(2, (2, 3), 2.0)
    expected = project(alone, x.ravel()).reshape(2, 3)
    np.testing.assert_allclose(project(constraint, x), expected, rtol=0, atol=1e-15)
    assert not np.allclose(project(alone, x), expected), "rows would have been projected alone"


@every_constraint
def test_vmap_is_a_loop(name):
    """Over points; and over step sizes."""
    constraint = EXAMPLES[name]()
    points, directions, sizes = draw(3, (5, 4), 2.0), draw(4, (5, 4)), jnp.linspace(0.1, 2, 5)
    batch = jax.vmap(constraint.project)(points)
    steps = jax.vmap(constraint.prox_step)(points, directions, sizes)
    for i in range(5):
        np.testing.assert_allclose(batch[i], project(constraint, points[i]), rtol=0, atol=1e-15)
        alone = prox_step(constraint, points[i], directions[i], sizes[i])
        np.testing.assert_allclose(steps[i], alone, rtol=0, atol=1e-15)


# The simplex, against sorting ---------------------------------------------------------------------


def project_on_simplex_by_sorting(x: np.ndarray) -> np.ndarray:
    """Held, Wolfe and Crowder (1974), in extended precision."""
    x = np.asarray(x, np.longdouble)
    x = x - x.max()  # exact for what stays positive, by Sterbenz or because it is in (-1, 0]
    u = np.sort(x)[::-1]
    thresholds = (np.cumsum(u) - 1) / np.arange(1, u.size + 1)
    threshold = thresholds[np.nonzero(u > thresholds)[0][-1]]
    return np.maximum(x - threshold, 0)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", hard_points("float32"))
def test_simplex_projection_of_hard_points_is_that_by_sorting(dtype, case):
    """Two algorithms, one answer: the threshold is an average of numbers in [-1, 0]."""
    x = hard_points(dtype)[case]
    ours = project(mm.Simplex(), jnp.asarray(x))
    if case == "subnormal":
        x = np.zeros_like(x)  # processors may flush these to zero
    np.testing.assert_allclose(
        ours, np.asarray(project_on_simplex_by_sorting(x), float), rtol=0, atol=4 * EPS[dtype]
    )


@given(seeds, DTYPES, st.sampled_from([1, 7]), st.sampled_from([1e-6, 0.1, 1.0, 1e3, 1e9]))
def test_simplex_projection_is_that_by_sorting(seed, dtype, n, scale):
    """Supports from all entries (scale 10⁻⁶) to one (10⁹)."""
    x = np.asarray(scale * np.random.default_rng(seed).normal(size=n), dtype)
    ours, expected = project(mm.Simplex(), jnp.asarray(x)), project_on_simplex_by_sorting(x)
    np.testing.assert_allclose(ours, np.asarray(expected, float), rtol=0, atol=4 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_simplex_projection_of_ten_thousand_entries(dtype, scale):
    """A sum of n numbers in any order errs by n ε times their mean, which is at most 1 here."""
    x = np.asarray(scale * np.random.default_rng(0).normal(size=10_000), dtype)
    ours, expected = project(mm.Simplex(), jnp.asarray(x)), project_on_simplex_by_sorting(x)
    assert abs(np.asarray(ours, np.longdouble).sum() - 1) <= 100 * EPS[dtype]
    np.testing.assert_allclose(ours, np.asarray(expected, float), rtol=0, atol=4 * EPS[dtype])


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mm.Box(1.0, 0.0), "lower <= upper"),
        (lambda: mm.Box(jnp.zeros(2), jnp.array([1.0, -1.0])), "lower <= upper"),
        (lambda: mm.Box(float("nan"), 1.0), "lower <= upper"),
        (lambda: mm.L2Ball(-1.0), "radius >= 0"),
        (lambda: mm.L2Ball(jnp.ones(2)), "one radius"),
        (lambda: mm.L2Ball(float("nan")), "radius >= 0"),
    ],
)
def test_sets_that_are_none_are_refused(make, message):
    """Empty boxes and balls, when they are made."""
    with pytest.raises(mm.GameError, match=message):
        make()


def test_bounds_may_be_arrays_infinite_or_equal():
    """An infinite bound leaves an entry free; equal bounds fix it."""
    box = mm.Box(jnp.array([-jnp.inf, 0.0, 2.0]), jnp.array([1.0, jnp.inf, 2.0]))
    np.testing.assert_array_equal(box.project(jnp.array([-9.0, -9.0, 9.0])), [-9.0, 0.0, 2.0])
    np.testing.assert_array_equal(mm.Box(0, 1).project(jnp.array([0.5, 3.0])), [0.5, 1.0])
    np.testing.assert_array_equal(mm.L2Ball(0.0).project(jnp.array([0.5, 3.0])), [0.0, 0.0])
