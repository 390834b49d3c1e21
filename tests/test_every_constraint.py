r"""Laws that hold for every constraint; each file in `_constraints` is tried.

The projection P on a closed convex set is characterised by $\langle x - Px, u - Px\rangle \le 0$
for all feasible u; it follows that P is firmly non-expansive,
$\|Px - Py\|^2 \le \langle Px - Py, x - y\rangle$.

Rounding: a sum of n terms errs by n ε times its largest term, and a projection moves by no more
than its argument does.
"""

import copy
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax, xlogy

import minimax as mm
from minimax import _constraints
from tests.discovery import check_files, examples
from tests.strategies import seeds

pytestmark = pytest.mark.usefixtures("float64")

EXAMPLES = examples(_constraints)
every_constraint = pytest.mark.parametrize("name", EXAMPLES)
SETS = [name for name, make in EXAMPLES.items() if isinstance(make(), mm.AbstractSet)]
UNBOUNDED = [n for n in SETS if not isinstance(EXAMPLES[n](), mm.AbstractCompactSet)]
COMPACT = [name for name in SETS if isinstance(EXAMPLES[name](), mm.AbstractCompactSet)]
# The others have a distance of their own, and say so by a proximal step of their own.
EUCLIDEAN = [name for name in SETS if type(EXAMPLES[name]()).prox_step is mm.AbstractSet.prox_step]
WITH_AXIS = [name for name, make in EXAMPLES.items() if hasattr(make(), "axis")]
every_set = pytest.mark.parametrize("name", SETS)
every_euclidean_set = pytest.mark.parametrize("name", EUCLIDEAN)
every_compact_set = pytest.mark.parametrize("name", COMPACT)
WITH_TANGENT_CONES = [
    name
    for name, make in EXAMPLES.items()
    if type(make()).project_on_tangent_cone is not mm.AbstractConstraint.project_on_tangent_cone
]

project = eqx.filter_jit(lambda constraint, point: constraint.project(point))
minimizer = eqx.filter_jit(lambda constraint, direction: constraint.linear_minimizer(direction))
stepped = eqx.filter_jit(lambda constraint, *args: constraint.prox_step(*args))
displaced = eqx.filter_jit(lambda constraint, *args: constraint.displacement(*args))
tangent = eqx.filter_jit(lambda constraint, *args: constraint.project_on_tangent_cone(*args))
gap = eqx.filter_jit(lambda constraint, *args: constraint.gap(*args))
divergence = eqx.filter_jit(lambda constraint, u, point: constraint.divergence(u, point))
jacobian_of = eqx.filter_jit(
    lambda constraint, point: jax.jacobian(lambda x: constraint.project(x))(point)
)


EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
DTYPES = st.sampled_from(["float32", "float64"])
WHICH = st.integers(0, 2)
SCALES = st.sampled_from([1e-3, 1.0, 30.0])


def prox_step(constraint, point, direction, step_size):
    """With the step size as an array, because every new Python number compiles."""
    return stepped(constraint, point, direction, jnp.asarray(step_size))


def displacement(constraint, point, direction, step_size):
    return displaced(constraint, point, direction, jnp.asarray(step_size))


def fits(constraint: Any, shape: tuple[int, ...]) -> bool:
    """Whether leaves of this shape can be meant."""
    try:
        constraint.check(shape)
    except mm.GameError:
        return False
    return True


def shape_of(name: str, which: int = 0) -> tuple[int, ...]:
    """The first few shapes that fit; few, because every new shape compiles."""
    constraint = EXAMPLES[name]()
    shapes = [(4,), (2, 3), (), (3, 3), (2, 2, 2)]
    fitting = [shape for shape in shapes if fits(constraint, shape)][:3]
    return fitting[which % len(fitting)]


def small_shape(name: str) -> tuple[int, ...]:
    """Three entries, or a matrix of four."""
    return (3,) if fits(EXAMPLES[name](), (3,)) else (2, 2)


def members(name: str, leaf: Any) -> np.ndarray:
    """The vectors or matrices, each of which is a member of the set by itself."""
    leaf = np.asarray(leaf)
    if fits(EXAMPLES[name](), (3,)):
        return leaf.reshape(-1, leaf.shape[-1] if leaf.shape else 1)
    return leaf.reshape(-1, *leaf.shape[-2:])


def draw(seed: int, shape: tuple[int, ...], scale: float = 1.0, dtype: str = "float64"):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), dtype)


def inner(a, b) -> float:
    return float(np.sum(np.asarray(a, float) * np.asarray(b, float)))


def with_axis(constraint: Any, axis: int | None) -> Any:
    """The same constraint along another axis."""
    changed = copy.copy(constraint)
    object.__setattr__(changed, "axis", axis)
    return changed


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


def hard_leaf(name: str, case: str, dtype: str) -> Any:
    """A hard point as a leaf: as it is, or as a small diagonal matrix.

    Projections on unbounded sets can have larger entries than their arguments, hence the half.
    """
    constraint, point = EXAMPLES[name](), hard_points(dtype)[case]
    if case == "largest" and name in UNBOUNDED:
        point = point / 2
    leaf = point if fits(constraint, (3,)) else np.diag(point[:6])
    return jnp.asarray(leaf) if fits(constraint, leaf.shape) else None


def infeasibility(constraint: Any, point: Any, size: float = 0.0) -> float:
    """By how much a member misses the set, relative to the size of the set, or where it has none
    to the `size` of the numbers that the point was computed from; written anew."""
    u, smallest = np.asarray(point, np.longdouble), np.finfo(np.asarray(point).dtype).tiny
    match type(constraint).__name__:
        case "Simplex" | "EntropicSimplex" | "NegativeEntropy":
            return float(max(abs(u.sum() - 1), -u.min()))
        case "Box":
            lower, upper = np.asarray(constraint.lower), np.asarray(constraint.upper)
            return float(max(0, np.max(lower - u), np.max(u - upper)))
        case "L2Ball":
            return float(max(0, np.sqrt(np.sum(u**2)) / np.longdouble(constraint.radius) - 1))
        case "LInfBall":
            return float(max(0, np.max(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "L1Ball":
            return float(max(0, np.sum(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "PositiveSemidefiniteCone":
            values = np.linalg.eigvalsh(np.asarray(u, float))
            worst = max(-values.min(), float(np.max(np.abs(u - u.T))))
            return float(max(0, worst) / max(values.max(), smallest))
        case "Halfspace" | "Hyperplane":
            normal = np.broadcast_to(np.asarray(constraint.normal, np.longdouble), u.shape)
            beyond = normal @ u - np.longdouble(constraint.offset)
            worst = max(0, beyond) if type(constraint) is mm.Halfspace else abs(beyond)
            length = np.sqrt(normal @ normal)
            return float(worst / (length * max(1, size, np.max(np.abs(u)))))
        case "AffineSet":
            error = np.abs(np.array([1, 2, -1]) @ u - 1.5) / np.sqrt(6)
            return float(error / max(1, size, np.max(np.abs(u))))
        case "CappedSimplex":
            lower, cap = np.longdouble(constraint.lower), np.longdouble(constraint.cap)
            return float(max(abs(u.sum() - 1), lower - u.min(), u.max() - cap))
        case "SecondOrderCone":
            beyond = np.sqrt(np.sum(u[:-1] ** 2)) - u[-1]
            return float(max(0, beyond) / max(np.abs(u[-1]), smallest))
        case "Spectraplex":
            values = np.linalg.eigvalsh(np.asarray(u, float))
            return float(max(-values.min(), np.max(np.abs(u - u.T)), abs(np.trace(u) - 1)))
        case "NuclearNormBall" | "SpectralNormBall":
            values = np.linalg.svd(np.asarray(u, float), compute_uv=False)
            norm = values.sum() if type(constraint) is mm.NuclearNormBall else values.max()
            return float(max(0, norm / constraint.radius - 1))
        case "NonNegative":
            return float(max(0, -u.min()))
    again = np.asarray(constraint.project(jnp.asarray(point)), np.longdouble)
    return float(np.max(np.abs(again - u)))


def test_every_file_holds_one_constraint_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_constraints, mm.AbstractConstraint)


# Projections --------------------------------------------------------------------------------------


@every_set
@given(seeds, WHICH, SCALES, DTYPES)
def test_a_projection_is_feasible_and_its_own_projection(name, seed, which, scale, dtype):
    """P(Px) = Px up to a rounding of the set's own numbers."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    once = project(constraint, draw(seed, shape, scale, dtype))
    assert once.shape == shape and once.dtype == dtype
    size = max(1.0, float(jnp.max(jnp.abs(once))))
    twice = project(constraint, once)
    np.testing.assert_allclose(twice, once, rtol=0, atol=8 * EPS[dtype] * size)
    for member in members(name, once):
        assert infeasibility(constraint, member) <= 8 * EPS[dtype]


@every_set
@given(seeds, WHICH, SCALES, DTYPES)
def test_a_projection_is_firmly_non_expansive(name, seed, which, scale, dtype):
    """‖Px - Py‖² <= ⟨Px - Py, x - y⟩ <= ‖Px - Py‖ ‖x - y‖, hence ‖Px - Py‖ <= ‖x - y‖."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    x, y = draw(seed, shape, scale, dtype), draw(seed + 1, shape, scale, dtype)
    step, change = x - y, project(constraint, x) - project(constraint, y)
    size = 1.0 + float(jnp.max(jnp.abs(x))) + float(jnp.max(jnp.abs(y)))
    rounding = 16 * EPS[dtype] * x.size * size
    assert inner(change, change) <= inner(change, step) + rounding * size
    assert np.sqrt(inner(change, change)) <= np.sqrt(inner(step, step)) + rounding


@every_set
@given(seeds, WHICH, SCALES, DTYPES)
def test_a_projection_is_the_nearest_feasible_point(name, seed, which, scale, dtype):
    """⟨x - Px, u - Px⟩ <= 0 for feasible u."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
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
    constraint, point = EXAMPLES[name](), hard_leaf(name, case, dtype)
    if point is None:
        return  # it has another length
    projected = project(constraint, point)
    assert projected.dtype == dtype and bool(jnp.all(jnp.isfinite(projected)))
    size = float(jnp.max(jnp.abs(point)))
    assert infeasibility(constraint, projected, size) <= 8 * EPS[dtype]


@every_set
def test_what_is_not_a_number_is_no_answer(name):
    """A NaN among the entries stays visible."""
    point = draw(0, small_shape(name)).at[0].set(jnp.nan)
    assert bool(jnp.any(jnp.isnan(project(EXAMPLES[name](), point))))


@every_constraint
@pytest.mark.parametrize("case", hard_points("float32"))
def test_derivatives_at_hard_points_are_finite(name, case):
    """Also at corners, ties, zero and far away: a NaN there would end a run."""
    point = hard_leaf(name, case, "float32")
    if point is None:
        return  # it has another length
    jacobian = jacobian_of(EXAMPLES[name](), point)
    assert bool(jnp.all(jnp.isfinite(jacobian))), jacobian


@every_set
@given(seeds, st.sampled_from([0.3, 3.0]))
def test_derivatives_are_central_differences(name, seed, scale):
    """At random points, which lie off the kinks, the Jacobian of P is the slope of P; P is the
    gradient of a convex function, so it is symmetric, with eigenvalues in [0, 1]."""
    constraint, x = EXAMPLES[name](), draw(seed, small_shape(name), scale)
    jacobian = jacobian_of(constraint, x).reshape(x.size, x.size)
    h = 1e-6
    directions = jnp.eye(x.size).reshape(x.size, *x.shape)
    slopes = np.stack(
        [
            jnp.ravel(project(constraint, x + h * d) - project(constraint, x - h * d)) / (2 * h)
            for d in directions
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
@given(seeds, WHICH, st.floats(0.01, 3.0))
def test_the_proximal_step_of_a_set_is_a_projected_step(name, seed, which, step_size):
    """prox_step(z, d, η) = P(z - ηd), where the distance is Euclidean."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    z, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    expected = project(constraint, z - step_size * d)
    np.testing.assert_allclose(after, expected, rtol=0, atol=32 * EPS["float64"])


@every_set
@given(seeds, WHICH, st.floats(0.01, 3.0))
def test_the_proximal_step_of_a_set_obeys_the_three_point_inequality(name, seed, which, step_size):
    """η⟨d, z⁺ - u⟩ <= D(u, z) - D(u, z⁺) - D(z⁺, z) for all feasible u, by whatever distance D;
    so z⁺ minimises ⟨d, u⟩ + D(u, z)/η."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)

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
@given(seeds, WHICH)
def test_distances_are_distances(name, seed, which):
    """Zero from a point to itself, else at least ‖u - z‖²/2: they are 1-strongly convex."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    u, z = (project(constraint, draw(seed + k, shape, 0.3)) for k in range(2))
    assert divergence(constraint, z, z) == 0
    apart = divergence(constraint, u, z)
    assert apart.shape == () and apart >= inner(u - z, u - z) / 2 - 8 * EPS["float64"] * u.size


@every_constraint
@given(seeds, WHICH, st.floats(0.01, 3.0))
def test_the_displacement_is_what_a_proximal_step_goes_back(name, seed, which, step_size):
    """displacement(z, d, η) = z - prox_step(z, d, η), whether or not z is feasible."""
    shape = shape_of(name, which)
    constraint, z, d = EXAMPLES[name](), draw(seed, shape, 2.0), draw(seed + 1, shape)
    expected = z - prox_step(constraint, z, d, step_size)
    np.testing.assert_allclose(
        displacement(constraint, z, d, step_size), expected, rtol=0, atol=64 * EPS["float64"]
    )


@every_constraint
@given(seeds, st.floats(0.01, 3.0))
def test_a_proximal_step_is_feasible_and_goes_downhill(name, seed, step_size):
    """With Bregman distances and regularisers too: ⟨d, z⁺⟩ <= ⟨d, z⟩ on a set, and z⁺ is in it."""
    constraint, shape = EXAMPLES[name](), shape_of(name)
    z, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    for member in members(name, after):
        assert infeasibility(constraint, member) <= 8 * EPS["float64"]
    if name in SETS:
        assert inner(d, after) <= inner(d, z) + 1e-14


@every_compact_set
@given(seeds, WHICH, DTYPES, SCALES)
def test_the_linear_minimiser_is_feasible_and_minimal(name, seed, which, dtype, scale):
    """⟨d, u*⟩ <= ⟨d, u⟩ for feasible u."""
    shape = shape_of(name, which)
    constraint, d = EXAMPLES[name](), draw(seed, shape, scale, dtype)
    best = minimizer(constraint, d)
    assert best.shape == shape and best.dtype == dtype
    for member in members(name, best):
        assert infeasibility(constraint, member) <= 8 * EPS[dtype]
    for k in range(1, 6):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        assert inner(d, best) <= inner(d, u) + 16 * EPS[dtype] * d.size * scale * 5


@every_compact_set
@pytest.mark.parametrize("case", hard_points("float32"))
def test_the_linear_minimiser_survives_hard_directions(name, case):
    """Ties, zeros and huge entries: some feasible point, and as good as any projection."""
    constraint, d = EXAMPLES[name](), hard_leaf(name, case, "float32")
    if d is None:
        return  # it has another length
    best = minimizer(constraint, d)
    assert infeasibility(constraint, best) <= 8 * EPS["float32"]
    other = np.asarray(project(constraint, d), np.longdouble)
    slope, best = np.asarray(d, np.longdouble), np.asarray(best, np.longdouble)
    flushed = np.finfo("float32").tiny  # subnormal numbers may count as zero
    rounding = len(d) * (8 * EPS["float32"] * np.abs(slope).max() + flushed)
    assert np.sum(slope * (best - other)) <= rounding


@every_compact_set
@given(seeds, WHICH)
def test_the_gap_is_what_the_linear_minimiser_gains(name, seed, which):
    """max_u ⟨d, x - u⟩, at feasible x: never negative, and not less than any u gains."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    x, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    expected = inner(d, x - minimizer(constraint, d))
    rounding = 16 * EPS["float64"] * x.size * float(jnp.max(jnp.abs(d)))
    np.testing.assert_allclose(gap(constraint, x, d), expected, rtol=0, atol=4 * rounding)
    best = minimizer(constraint, d)
    assert 0 <= gap(constraint, best, d) + rounding <= 2 * rounding


@every_compact_set
@given(seeds, WHICH, DTYPES)
def test_the_diameter_bounds_every_distance_and_is_attained(name, seed, which, dtype):
    """‖u - v‖ <= diameter; and climbing ‖u - v‖ by linear steps from many starts finds it."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    diameter = constraint.diameter(jnp.zeros(shape, dtype))
    assert diameter.shape == () and diameter.dtype == dtype
    farthest = 0.0
    for k in range(4):
        d = draw(seed + k, shape, 1.0, dtype)
        for _ in range(3):
            u, v = np.asarray(minimizer(constraint, d)), np.asarray(minimizer(constraint, -d))
            farthest = max(farthest, np.sqrt(inner(v - u, v - u)))
            d = (v - u) + np.asarray(1e-3 * d)  # where entries are equal, the old order
    assert farthest <= diameter * (1 + 8 * EPS[dtype])
    assert farthest >= diameter * (1 - 8 * EPS[dtype])


# Tangent cones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_TANGENT_CONES)
@given(seeds, WHICH, st.sampled_from([0.3, 3.0]))
def test_tangent_cones_hold_the_directions_in_which_projections_leave(name, seed, which, scale):
    """P_T v = lim (P(x + tv) - x)/t for t → 0; and v = P_T v + (v - P_T v) is Moreau's
    decomposition: the parts are orthogonal, and no step to a feasible point has a positive product
    with the second, which is therefore normal."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    x, v = project(constraint, draw(seed, shape, scale)), draw(seed + 1, shape)
    along, size = tangent(constraint, x, v), float(jnp.max(jnp.abs(x)))
    assert along.shape == shape
    t = 1e-7  # rounding ε/t, curvature t
    slope = (project(constraint, x + t * v) - x) / t
    np.testing.assert_allclose(along, slope, rtol=0, atol=1e-5)
    rounding = 64 * EPS["float64"] * x.size * (1 + size)
    assert abs(inner(along, v - along)) <= rounding
    for k in range(2, 7):
        u = project(constraint, draw(seed + k, shape, 3.0))
        assert inner(v - along, u - x) <= 4 * rounding
        inward = tangent(constraint, x, u - x)
        np.testing.assert_allclose(inward, u - x, rtol=0, atol=4 * rounding)


@pytest.mark.parametrize("name", WITH_TANGENT_CONES)
@given(seeds, WHICH, DTYPES)
def test_the_projection_on_a_tangent_cone_is_its_own(name, seed, which, dtype):
    """T is a cone: P_T(P_T v) = P_T v, and P_T(2v) = 2 P_T v."""
    constraint, shape = EXAMPLES[name](), shape_of(name, which)
    x = project(constraint, draw(seed, shape, 3.0, dtype))
    v = draw(seed + 1, shape, 1.0, dtype)
    once, size = tangent(constraint, x, v), 1 + float(jnp.max(jnp.abs(v)))
    assert once.dtype == dtype
    again, twice = tangent(constraint, x, once), tangent(constraint, x, 2 * v)
    np.testing.assert_allclose(again, once, rtol=0, atol=32 * EPS[dtype] * size)
    np.testing.assert_allclose(twice, 2 * once, rtol=0, atol=32 * EPS[dtype] * size)


# Leaves and axes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_AXIS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_other_axes_are_a_batch(name, axis):
    """Along `axis` each vector is projected, and moves, by itself, as in a loop."""
    constraint = with_axis(EXAMPLES[name](), axis)
    alone = EXAMPLES[name]()
    x = draw(1, (3, 3, 3), 2.0)
    vectors = np.moveaxis(np.asarray(x), axis, -1)
    for method in (project, minimizer) if name in COMPACT else (project,):
        whole = np.moveaxis(np.asarray(method(constraint, x)), axis, -1)
        for index in np.ndindex(vectors.shape[:-1]):
            expected = method(alone, jnp.asarray(vectors[index]))
            np.testing.assert_allclose(whole[index], expected, rtol=0, atol=16 * EPS["float64"])
    z, d = project(constraint, x), draw(2, x.shape)
    whole = np.moveaxis(np.asarray(prox_step(constraint, z, d, 1.0)), axis, -1)
    z, d = (jnp.moveaxis(each, axis, -1) for each in (z, d))
    for index in np.ndindex(vectors.shape[:-1]):
        expected = prox_step(alone, z[index], d[index], 1.0)
        np.testing.assert_allclose(whole[index], expected, rtol=0, atol=16 * EPS["float64"])


@pytest.mark.parametrize("name", WITH_AXIS)
def test_no_axis_takes_the_whole_leaf_as_one_vector(name):
    """`axis=None`: a matrix of shape (2, 3) is a vector of six entries."""
    constraint, alone = with_axis(EXAMPLES[name](), None), EXAMPLES[name]()
    if not fits(alone, (6,)):
        return  # it has another length
    x, d = project(alone, draw(2, (2, 3), 2.0)), -draw(3, (2, 3), 20.0)
    for step_size in (0.0, 1.0):  # of which the first projects
        expected = prox_step(alone, x.ravel(), d.ravel(), step_size).reshape(2, 3)
        whole = prox_step(constraint, x, d, step_size)
        np.testing.assert_allclose(whole, expected, rtol=0, atol=16 * EPS["float64"])
    rows = prox_step(alone, x, d, 1.0)
    assert not np.allclose(rows, expected), "rows would have been moved alone"


@every_constraint
def test_vmap_is_a_loop(name):
    """Over points; and over step sizes. Products of many vectors may add in another order."""
    constraint, shape = EXAMPLES[name](), (5, *shape_of(name))
    points, directions, sizes = draw(3, shape, 2.0), draw(4, shape), jnp.linspace(0.1, 2, 5)
    batch = jax.vmap(constraint.project)(points)
    steps = jax.vmap(constraint.prox_step)(batch, directions, sizes)
    for i in range(5):
        np.testing.assert_allclose(
            batch[i], project(constraint, points[i]), rtol=0, atol=16 * EPS["float64"]
        )
        alone = prox_step(constraint, batch[i], directions[i], sizes[i])
        np.testing.assert_allclose(steps[i], alone, rtol=0, atol=16 * EPS["float64"])


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


# Regularisers -------------------------------------------------------------------------------------

REGULARIZERS = [n for n, make in EXAMPLES.items() if isinstance(make(), mm.AbstractRegularizer)]
every_regularizer = pytest.mark.parametrize("name", REGULARIZERS)

prox = eqx.filter_jit(lambda constraint, point, step: constraint.prox(point, step))
value = eqx.filter_jit(lambda constraint, point: constraint.value(point))
natural_map = eqx.filter_jit(lambda constraint, *args: constraint.natural_map(*args))
jacobian_of_prox = eqx.filter_jit(
    lambda constraint, point: jax.jacobian(lambda x: constraint.prox(x, 0.9))(point)
)


def value_by_numpy(g: Any, u: Any) -> float:
    """g(u) at a point of its domain, written anew."""
    u = np.asarray(u, float)
    rows = u.reshape(-1, u.shape[-1] if u.ndim else 1)
    match type(g).__name__:
        case "L1":
            return float(g.weight * np.abs(u).sum())
        case "SquaredL2":
            return float(g.weight * (u**2).sum() / 2)
        case "ElasticNet":
            return float(g.l1 * np.abs(u).sum() + g.l2 * (u**2).sum() / 2)
        case "GroupLasso":
            return float(g.weight * np.linalg.norm(rows, axis=-1).sum())
        case "NuclearNorm":
            return float(g.weight * np.linalg.svd(rows, compute_uv=False).sum())
        case "NegativeEntropy":
            return float(g.weight * xlogy(rows, rows).sum())
    return float(value(g, jnp.asarray(u)))


def prox_of_conjugate(g: Any, y: np.ndarray, step: float) -> np.ndarray | None:
    """The minimiser v of g*(v)/step + |v - y|²/2, written anew; `None` where nobody wrote it."""
    rows = y.reshape(-1, y.shape[-1] if y.ndim else 1)
    match type(g).__name__:
        case "L1":
            v = np.clip(rows, -g.weight, g.weight)
        case "SquaredL2":
            v = rows / (1 + 1 / (step * g.weight))
        case "ElasticNet":
            inside = np.clip(rows, -g.l1, g.l1)
            v = inside + (rows - inside) / (1 + 1 / (step * g.l2))
        case "GroupLasso":
            norms = np.linalg.norm(rows, axis=-1, keepdims=True)
            v = rows * np.minimum(1, g.weight / norms)
        case "NuclearNorm":
            left, s, right = np.linalg.svd(rows, full_matrices=False)
            v = left * np.minimum(s, g.weight) @ right
        case "NegativeEntropy":
            v = np.stack([_prox_of_log_sum_exp(row, float(g.weight), step) for row in rows])
        case _:
            return None
    return np.asarray(v).reshape(y.shape)


def _prox_of_log_sum_exp(y: np.ndarray, weight: float, step: float) -> np.ndarray:
    """The v with softmax(v/w)/step + v - y = 0, by the trust-region method of SciPy."""

    def objective(v):
        return weight * logsumexp(v / weight) / step + (v - y) @ (v - y) / 2

    def slope(v):
        return softmax(v / weight) / step + v - y

    def curvature(v):
        p = softmax(v / weight)
        return (np.diag(p) - np.outer(p, p)) / (weight * step) + np.eye(y.size)

    # The objective is flat to rounding near its minimum, so the last digits are Newton's.
    v = minimize(objective, y, jac=slope, hess=curvature, method="trust-exact").x
    for _ in range(3):
        v = v - np.linalg.solve(curvature(v), slope(v))
    return v


def in_domain(name: str, seed: int, shape: tuple[int, ...], scale: float, dtype: str):
    """Points of the domain: any, scarce ones with zeros, and zero or what is nearest to it."""
    g, x = EXAMPLES[name](), draw(seed, shape, scale, dtype)
    scarce = x * (np.random.default_rng(seed).uniform(size=shape) < 0.5).astype(dtype)
    return [project(g, each) for each in (x, scarce, jnp.zeros_like(x))]


def of_few_lengths(points: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Filled up with zeros to 8 or 60 entries, because every length compiles."""
    return {
        case: np.pad(point, (0, (8 if point.size <= 8 else 60) - point.size))
        for case, point in points.items()
    }


@every_regularizer
@given(seeds, WHICH, SCALES)
def test_the_value_is_what_numpy_finds(name, seed, which, scale):
    """A scalar of the dtype of the leaf."""
    shape = shape_of(name, which)
    for dtype in EPS:
        for u in in_domain(name, seed, shape, scale, dtype):
            found = value(EXAMPLES[name](), u)
            assert found.shape == () and found.dtype == dtype
            expected = value_by_numpy(EXAMPLES[name](), u)
            assert float(found) == pytest.approx(expected, rel=16 * EPS[dtype], abs=EPS[dtype])


@every_regularizer
@given(seeds, WHICH, SCALES, DTYPES, st.floats(0.05, 5.0))
def test_a_prox_is_a_minimiser(name, seed, which, scale, dtype, step):
    """⟨x - p, u - p⟩/η <= g(u) - g(p) for all u, which is that p minimises g + ‖· - x‖²/(2η)."""
    shape = shape_of(name, which)
    g, x = EXAMPLES[name](), draw(seed, shape, scale, dtype)
    p = prox(g, x, jnp.asarray(step))
    assert p.shape == shape and p.dtype == dtype
    for vector in np.asarray(p).reshape(-1, shape[-1] if shape else 1):
        assert infeasibility(g, vector) <= 8 * EPS[dtype]
    at_p = value_by_numpy(g, p)
    for u in in_domain(name, seed + 1, shape, 3 * scale, dtype) + [project(g, 2 * p - x)]:
        size = 1.0 + sum(float(jnp.max(jnp.abs(leaf))) for leaf in (x, u))
        slope = inner(np.asarray(x, float) - np.asarray(p, float), u - p)
        rounding = 16 * EPS[dtype] * x.size * size**2 * (1 + step)
        assert slope <= step * (value_by_numpy(g, u) - at_p) + rounding


@every_regularizer
@given(seeds, WHICH, SCALES, DTYPES, st.floats(0.05, 5.0))
def test_a_prox_is_firmly_non_expansive(name, seed, which, scale, dtype, step):
    """‖p - q‖² <= ⟨p - q, x - y⟩."""
    shape = shape_of(name, which)
    g, x, y = EXAMPLES[name](), draw(seed, shape, scale, dtype), draw(seed + 1, shape, scale, dtype)
    apart, change = x - y, prox(g, x, jnp.asarray(step)) - prox(g, y, jnp.asarray(step))
    size = 1.0 + float(jnp.max(jnp.abs(x))) + float(jnp.max(jnp.abs(y)))
    rounding = 16 * EPS[dtype] * x.size * size**2
    assert inner(change, change) <= inner(change, apart) + rounding


@every_regularizer
@given(seeds, WHICH, st.sampled_from([0.1, 1.0, 30.0]), st.floats(0.1, 5.0))
def test_moreaus_identity(name, seed, which, scale, step):
    """prox_{ηg}(x) + η prox_{g*/η}(x/η) = x, with the other prox by NumPy."""
    shape = shape_of(name, which)
    g, x = EXAMPLES[name](), draw(seed, shape, scale)
    other = prox_of_conjugate(g, np.asarray(x) / step, step)
    if other is not None:
        found = prox(g, x, jnp.asarray(step))
        np.testing.assert_allclose(
            found + step * other, x, rtol=0, atol=64 * EPS["float64"] * (1 + 10 * scale)
        )


@every_regularizer
@given(seeds, WHICH, st.floats(0.05, 5.0), DTYPES)
def test_the_gap_bounds_what_moving_gains(name, seed, which, step, dtype):
    """gap >= ⟨d, x - u⟩ + g(x) - g(u) for all u, gap >= 0, and η gap >= ‖natural map‖²: a point
    whose gap is small is nearly where a Euclidean step leaves it."""
    shape = shape_of(name, which)
    g, n = EXAMPLES[name](), max(1, int(np.prod(shape)))
    d = draw(seed + 1, shape, 0.3, dtype)
    for x in in_domain(name, seed, shape, 1.0, dtype):
        found = float(gap(g, x, d))
        assert found >= 0
        for u in in_domain(name, seed + 2, shape, 2.0, dtype):
            gain = inner(d, np.asarray(x, float) - np.asarray(u, float))
            gain += value_by_numpy(g, x) - value_by_numpy(g, u)
            assert found >= gain - 64 * EPS[dtype] * n
        back = natural_map(g, x, d, jnp.asarray(step))
        assert inner(back, back) <= step * found + 64 * EPS[dtype] * n


@every_regularizer
@given(seeds, WHICH, DTYPES, st.floats(1.0, 3.0))
def test_the_gap_is_zero_at_subgradients(name, seed, which, dtype, step):
    """With p the prox of x, (x - p)/η is a subgradient at p, up to roundings: those must not make
    the gap infinite. The natural map is zero there too."""
    shape = shape_of(name, which)
    g, x = EXAMPLES[name](), draw(seed, shape, 1.0, dtype)
    p = prox(g, x, jnp.asarray(step))
    d = (p - x) / jnp.asarray(step, dtype)
    assert 0 <= float(gap(g, p, d)) <= 64 * EPS[dtype] * max(1, x.size)
    back = natural_map(g, p, d, jnp.asarray(step))
    assert float(jnp.max(jnp.abs(back))) <= 32 * EPS[dtype] * step


@every_regularizer
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.1, 3.0])
def test_the_gap_is_the_largest_gain_that_a_search_finds(name, seed, size):
    """Powell's method on ⟨d, u⟩ + g(u) for matrices u; where it is unbounded below, the search
    finds that as well."""
    g, d = EXAMPLES[name](), draw(seed + 9, (2, 2), size)
    x = project(g, draw(seed, (2, 2)))

    def point(free):
        u = free.reshape(2, 2)
        return softmax(4 * u, axis=-1) if name == "negative_entropy" else u

    def objective(free):
        return inner(d, point(free)) + value_by_numpy(g, point(free))

    near = [(-20, 20)] * 4
    best = minimize(objective, np.zeros(4), method="Powell", bounds=near, options=dict(xtol=1e-9))
    found = float(gap(g, x, d))
    if np.isfinite(found):
        expected = inner(d, x) + value_by_numpy(g, x) - best.fun
        assert found == pytest.approx(expected, abs=1e-6)
    else:
        assert best.fun < -0.1 and objective(2 * best.x) == pytest.approx(2 * best.fun)


@every_regularizer
@pytest.mark.parametrize("dtype", EPS)
def test_a_prox_of_hard_points_is_finite_and_no_longer_than_they_are(name, dtype):
    """Every regulariser here is least at zero, except on the simplex."""
    for case, point in of_few_lengths(hard_points(dtype)).items():
        p = np.asarray(prox(EXAMPLES[name](), jnp.asarray(point), jnp.asarray(0.9)))
        assert p.dtype == dtype and np.all(np.isfinite(p)), case
        if name == "negative_entropy":
            assert infeasibility(EXAMPLES[name](), p) <= 8 * EPS[dtype], case
        else:
            largest = np.abs(point.astype(np.longdouble)).max()
            assert np.abs(p.astype(np.longdouble)).max() <= largest * (1 + 8 * EPS[dtype]), case


@every_regularizer
def test_derivatives_of_a_prox_at_hard_points_are_finite(name):
    """At zeros, ties, and far away."""
    for case, point in of_few_lengths(hard_points("float32")).items():
        jacobian = jacobian_of_prox(EXAMPLES[name](), jnp.asarray(point))
        assert bool(jnp.all(jnp.isfinite(jacobian))), case


@every_regularizer
@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 2), (2, 2)])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_derivatives_of_a_prox_are_central_differences(name, shape, scale):
    """Off the kinks. A prox is the gradient of a convex function, and is firmly non-expansive: its
    Jacobian is symmetric, with eigenvalues in [0, 1]."""
    g, x, h = EXAMPLES[name](), draw(5, shape, scale), 1e-6
    n = x.size
    jacobian = np.asarray(jacobian_of_prox(g, x)).reshape(n, n)
    moves = h * jnp.eye(n).reshape(n, *shape)
    slopes = np.stack(
        [
            (prox(g, x + e, jnp.asarray(0.9)) - prox(g, x - e, jnp.asarray(0.9))).ravel() / (2 * h)
            for e in moves
        ],
        axis=-1,
    )
    np.testing.assert_allclose(jacobian, slopes, rtol=0, atol=1e-8)
    np.testing.assert_allclose(jacobian, jacobian.T, rtol=0, atol=1e-13)
    eigenvalues = np.linalg.eigvalsh(jacobian)
    assert eigenvalues.min() >= -1e-13 and eigenvalues.max() <= 1 + 1e-13


@every_regularizer
@given(seeds, st.sampled_from([1e3, 1e6]), st.floats(0.1, 3.0))
def test_a_displacement_does_not_drown_in_large_players(name, seed, far, step):
    """In single precision, against the same in double: relative to itself, not to the player."""
    g = EXAMPLES[name]()
    if type(g).displacement is mm.AbstractConstraint.displacement:
        assert bool(jnp.all(jnp.abs(project(g, draw(seed, (2, 3), far))) <= 1)), "not bounded"
        return
    z, d = draw(seed, (2, 3), far, "float32"), draw(seed + 1, (2, 3), 1.0, "float32")
    step = float(np.float32(step))
    found = displacement(g, z, d, jnp.asarray(step, "float32"))
    assert found.dtype == "float32"
    z, d = z.astype("float64"), d.astype("float64")
    expected = np.asarray(z - prox_step(g, z, d, step))
    # Singular vectors have errors of their own, as large as singular values are near each other.
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=64 * EPS["float32"] * np.abs(expected).max()
    )


@every_regularizer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_runs(name, dtype):
    """With the dtype of the leaf, and right to its digits."""
    g, x, d = EXAMPLES[name](), draw(1, (2, 3), 1.0, dtype), draw(2, (2, 3), 0.1, dtype)
    x = project(g, x)
    step = jnp.asarray(0.5, dtype)
    for found in (prox(g, x, step), prox_step(g, x, d, step), displacement(g, x, d, step)):
        assert found.dtype == dtype and bool(jnp.all(jnp.isfinite(found)))
    assert value(g, x).dtype == dtype and gap(g, x, d).dtype == dtype
    expected, rounding = prox(g, x.astype("float32"), step), 4 * float(jnp.finfo(dtype).eps)
    found = prox(g, x, step).astype("float32")
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding)


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
        (lambda: mm.L1Ball(-1.0), "radius >= 0"),
        (lambda: mm.LInfBall(jnp.ones(2)), "one radius"),
        (lambda: mm.Simplex(0.0), "total > 0"),
        (lambda: mm.CappedSimplex(0.1, lower=0.2), "lower <= cap"),
        (lambda: mm.CappedSimplex(jnp.inf), "finite"),
        (lambda: mm.Halfspace(jnp.zeros(2), 1.0), "normal that is not zero"),
        (lambda: mm.Hyperplane(jnp.ones((2, 2)), 1.0), "one number for each entry"),
        (lambda: mm.Hyperplane(1.0, jnp.ones(2)), "one finite offset"),
        (lambda: mm.AffineSet(jnp.ones(2), 1.0), r"shape \(m, n\)"),
        (lambda: mm.AffineSet([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0]), "contradict"),
        (lambda: mm.AffineSet([[float("nan"), 1.0]], [1.0]), "not finite"),
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
