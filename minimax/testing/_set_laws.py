r"""Laws of constraints.

The projection P on a closed convex set is characterised by $\langle x - Px, u - Px\rangle \le 0$
for all feasible u; it follows that P is firmly non-expansive,
$\|Px - Py\|^2 \le \langle Px - Py, x - y\rangle$. On a closed set that is not convex, P is only
nearest, $\|x - Px\| \le \|x - u\|$: it is monotone, but jumps where two points are nearest, and
its derivatives grow without bound towards there.

Rounding: a sum of n terms errs by n ε times its largest term, and a projection moves by no more
than its argument does.
"""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minimax.testing._constraint_case import (
    ConstraintCase,
    anything,
    displacement,
    divergence,
    draw,
    fits,
    gap,
    hard_points,
    has_axis,
    inner,
    is_compact,
    is_convex_and_knows_tangent_cones,
    is_convex_set,
    is_euclidean_set,
    is_set,
    is_set_that_is_not_convex,
    jacobian_of,
    knows_tangent_cones,
    minimizer,
    natural_map,
    project,
    prox_step,
    tangent,
)
from minimax.testing._law import DTYPES, EPS, Law, law, seeds

WHICH = st.integers(0, 2)
SCALES = st.sampled_from([1e-3, 1.0, 30.0])
LAWS: list[Law] = []


def with_axis(constraint: Any, axis: int | None) -> Any:
    """The same constraint along another axis."""
    changed = copy.copy(constraint)
    object.__setattr__(changed, "axis", axis)
    return changed


# Projections --------------------------------------------------------------------------------------


@law(LAWS, is_set)
@given(seeds, WHICH, SCALES, DTYPES)
def a_projection_is_feasible_and_its_own_projection(
    subject: ConstraintCase, seed, which, scale, dtype
):
    """P(Px) = Px up to a rounding of the set's own numbers."""
    constraint, shape = subject.constraint, subject.shape(which)
    once = project(constraint, draw(seed, shape, scale, dtype))
    assert once.shape == shape and once.dtype == dtype
    size = max(1.0, float(jnp.max(jnp.abs(once))))
    twice = project(constraint, once)
    np.testing.assert_allclose(twice, once, rtol=0, atol=8 * EPS[dtype] * size)
    assert subject.miss(once) <= 8 * EPS[dtype]


@law(LAWS, is_convex_set)
@given(seeds, WHICH, SCALES, DTYPES)
def a_projection_is_firmly_non_expansive(subject: ConstraintCase, seed, which, scale, dtype):
    """‖Px - Py‖² <= ⟨Px - Py, x - y⟩ <= ‖Px - Py‖ ‖x - y‖, hence ‖Px - Py‖ <= ‖x - y‖."""
    constraint, shape = subject.constraint, subject.shape(which)
    x, y = draw(seed, shape, scale, dtype), draw(seed + 1, shape, scale, dtype)
    step, change = x - y, project(constraint, x) - project(constraint, y)
    size = 1.0 + float(jnp.max(jnp.abs(x))) + float(jnp.max(jnp.abs(y)))
    rounding = 16 * EPS[dtype] * x.size * size
    assert inner(change, change) <= inner(change, step) + rounding * size
    assert np.sqrt(inner(change, change)) <= np.sqrt(inner(step, step)) + rounding


@law(LAWS, is_set_that_is_not_convex)
@given(seeds, WHICH, SCALES, DTYPES)
def a_projection_is_no_farther_than_any_feasible_point(
    subject: ConstraintCase, seed, which, scale, dtype
):
    """‖x - Px‖ <= ‖x - u‖ for feasible u, of which some are near to Px; so P is monotone,
    ⟨Px - Py, x - y⟩ >= 0."""
    constraint, shape = subject.constraint, subject.shape(which)
    x = draw(seed, shape, scale, dtype)
    nearest = project(constraint, x)
    away = np.sqrt(inner(x - nearest, x - nearest))
    for k in range(1, 9):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        if k > 4:
            u = project(constraint, nearest + draw(seed + k, shape, 0.01, dtype))
        size = 1.0 + sum(float(jnp.max(jnp.abs(leaf))) for leaf in (x, u))
        rounding = 16 * EPS[dtype] * x.size * size
        assert away <= np.sqrt(inner(x - u, x - u)) + rounding
        y = draw(seed + k, shape, scale, dtype)
        change = nearest - project(constraint, y)
        assert inner(change, x - y) >= -rounding * (1 + float(jnp.max(jnp.abs(x - y))))


@law(LAWS, is_convex_set)
@given(seeds, WHICH, SCALES, DTYPES)
def a_projection_is_the_nearest_feasible_point(subject: ConstraintCase, seed, which, scale, dtype):
    """⟨x - Px, u - Px⟩ <= 0 for feasible u."""
    constraint, shape = subject.constraint, subject.shape(which)
    x = draw(seed, shape, scale, dtype)
    nearest = project(constraint, x)
    for k in range(1, 6):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        size = 1.0 + sum(float(jnp.max(jnp.abs(leaf))) for leaf in (x, u))
        assert inner(x - nearest, u - nearest) <= 16 * EPS[dtype] * x.size * size**2


@law(LAWS, anything)
def hard_points_are_projected_on_the_set(subject: ConstraintCase):
    """Feasible to rounding, finite, and of the same dtype, wherever the point lies."""
    for dtype in EPS:
        for hard in hard_points(dtype):
            point = subject.hard_leaf(hard, dtype)
            if point is None:
                continue  # it has another length
            projected = project(subject.constraint, point)
            assert projected.dtype == dtype, f"{dtype} became {projected.dtype}"
            assert bool(jnp.all(jnp.isfinite(projected))), f"{hard}: {point} became {projected}"
            size = float(jnp.max(jnp.abs(point)))
            assert subject.miss(projected, size) <= 8 * EPS[dtype], (
                f"{hard}: {point} became {projected}, which is not in the set"
            )


@law(LAWS, anything)
def what_is_not_a_number_is_no_answer(subject: ConstraintCase):
    """A NaN among the entries of point or direction stays visible: few, and thousands, of which
    XLA's reductions forget some."""
    constraint, step = subject.constraint, jnp.asarray(0.1)
    for shape in subject.a_small_and_a_large_shape:
        x, d = draw(0, shape, 0.1, "float32"), draw(1, shape, 0.1, "float32")
        bad = x.at[shape[0] // 2].set(jnp.nan)
        found = {
            "project(NaN)": project(constraint, bad) if is_set(subject) else bad,
            "prox_step(NaN, d)": prox_step(constraint, bad, d, step),
            "prox_step(x, NaN)": prox_step(constraint, x, bad, step),
            "displacement(NaN, d)": displacement(constraint, bad, d, step),
            "displacement(x, NaN)": displacement(constraint, x, bad, step),
            "natural_map(NaN, d)": natural_map(constraint, bad, d, step),
            "natural_map(x, NaN)": natural_map(constraint, x, bad, step),
        }
        if knows_tangent_cones(subject):
            x = project(constraint, x) if is_set(subject) else x
            found["project_on_tangent_cone(x, NaN)"] = tangent(constraint, x, bad)
        for call, answer in found.items():
            assert bool(jnp.any(jnp.isnan(answer))), f"{call} has no NaN, of shape {shape}"


@law(LAWS, anything)
def derivatives_at_hard_points_are_finite(subject: ConstraintCase):
    """Also at corners, ties, zero and far away: a NaN there would end a run. Derivatives of a
    projection on a set that is not convex may be larger than any number next to where it jumps."""
    for hard in hard_points("float32"):
        point = subject.hard_leaf(hard, "float32")
        if point is None:
            continue  # it has another length
        if not subject.constraint.is_convex and 0 < float(jnp.max(jnp.abs(point))) < 1e-30:
            continue
        jacobian = jacobian_of(subject.constraint, point)
        assert bool(jnp.all(jnp.isfinite(jacobian))), f"{hard}: at {point} it is {jacobian}"


@law(LAWS, is_set)
@given(seeds, st.sampled_from([0.3, 3.0]))
def derivatives_are_central_differences(subject: ConstraintCase, seed, scale):
    """At random points, which lie off the kinks, the Jacobian of P is the slope of P; P is the
    gradient of a convex function, so it is symmetric, with eigenvalues in [0, 1]; above 1 only
    where the set is not convex."""
    constraint, x = subject.constraint, draw(seed, subject.small_shape, scale)
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
    eigenvalues = np.linalg.eigvalsh(jacobian)
    steep = max(1.0, float(eigenvalues.max()))  # above 1 where the set is not convex: then 1/‖x‖
    np.testing.assert_allclose(jacobian, slopes, rtol=0, atol=1e-8 * steep**3)
    np.testing.assert_allclose(jacobian, jacobian.T, rtol=0, atol=1e-14 * steep)
    assert eigenvalues.min() >= -1e-14 * steep
    assert eigenvalues.max() <= 1 + 1e-14 or not constraint.is_convex


# Steps and corners --------------------------------------------------------------------------------


@law(LAWS, is_euclidean_set)
@given(seeds, WHICH, st.floats(0.01, 3.0))
def the_proximal_step_of_a_set_is_a_projected_step(subject: ConstraintCase, seed, which, step_size):
    """prox_step(z, d, η) = P(z - ηd), where the distance is Euclidean."""
    constraint, shape = subject.constraint, subject.shape(which)
    z, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    expected = project(constraint, z - step_size * d)
    np.testing.assert_allclose(after, expected, rtol=0, atol=32 * EPS["float64"])


@law(LAWS, is_convex_set)
@given(seeds, WHICH, st.floats(0.01, 3.0))
def the_proximal_step_of_a_set_obeys_the_three_point_inequality(
    subject: ConstraintCase, seed, which, step_size
):
    """η⟨d, z⁺ - u⟩ <= D(u, z) - D(u, z⁺) - D(z⁺, z) for all feasible u, by whatever distance D;
    so z⁺ minimises ⟨d, u⟩ + D(u, z)/η."""
    constraint, shape = subject.constraint, subject.shape(which)

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


@law(LAWS, anything)
@given(seeds, WHICH)
def distances_are_distances(subject: ConstraintCase, seed, which):
    """Zero from a point to itself, else at least ‖u - z‖²/2: they are 1-strongly convex."""
    constraint, shape = subject.constraint, subject.shape(which)
    u, z = (project(constraint, draw(seed + k, shape, 0.3)) for k in range(2))
    assert divergence(constraint, z, z) == 0
    apart = divergence(constraint, u, z)
    assert apart.shape == () and apart >= inner(u - z, u - z) / 2 - 8 * EPS["float64"] * u.size


@law(LAWS, anything)
@given(seeds, WHICH, st.floats(0.01, 3.0))
def the_displacement_is_what_a_proximal_step_goes_back(
    subject: ConstraintCase, seed, which, step_size
):
    """displacement(z, d, η) = z - prox_step(z, d, η), whether or not z is feasible."""
    shape = subject.shape(which)
    constraint, z, d = subject.constraint, draw(seed, shape, 2.0), draw(seed + 1, shape)
    expected = z - prox_step(constraint, z, d, step_size)
    np.testing.assert_allclose(
        displacement(constraint, z, d, step_size), expected, rtol=0, atol=64 * EPS["float64"]
    )


@law(LAWS, anything)
@given(seeds, st.floats(0.01, 3.0))
def a_proximal_step_is_feasible_and_goes_downhill(subject: ConstraintCase, seed, step_size):
    """With Bregman distances and regularisers too: ⟨d, z⁺⟩ <= ⟨d, z⟩ on a set, and z⁺ is in it."""
    constraint, shape = subject.constraint, subject.shape()
    z, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    after = prox_step(constraint, z, d, step_size)
    assert subject.miss(after) <= 8 * EPS["float64"]
    if is_set(subject):
        assert inner(d, after) <= inner(d, z) + 1e-14


@law(LAWS, is_compact)
@given(seeds, WHICH, DTYPES, SCALES)
def the_linear_minimiser_is_feasible_and_minimal(
    subject: ConstraintCase, seed, which, dtype, scale
):
    """⟨d, u*⟩ <= ⟨d, u⟩ for feasible u."""
    shape = subject.shape(which)
    constraint, d = subject.constraint, draw(seed, shape, scale, dtype)
    best = minimizer(constraint, d)
    assert best.shape == shape and best.dtype == dtype
    assert subject.miss(best) <= 8 * EPS[dtype]
    for k in range(1, 6):
        u = project(constraint, draw(seed + k, shape, 3.0, dtype))
        assert inner(d, best) <= inner(d, u) + 16 * EPS[dtype] * d.size * scale * 5


@law(LAWS, is_compact)
def the_linear_minimiser_survives_hard_directions(subject: ConstraintCase):
    """Ties, zeros and huge entries: some feasible point, and as good as any projection."""
    for hard in hard_points("float32"):
        constraint, d = subject.constraint, subject.hard_leaf(hard, "float32")
        if d is None:
            continue  # it has another length
        best = minimizer(constraint, d)
        assert subject.miss(best) <= 8 * EPS["float32"], f"{hard}: {d} gave {best}"
        other = np.asarray(project(constraint, d), np.longdouble)
        slope, best = np.asarray(d, np.longdouble), np.asarray(best, np.longdouble)
        flushed = np.finfo("float32").tiny  # subnormal numbers may count as zero
        rounding = len(d) * (8 * EPS["float32"] * np.abs(slope).max() + flushed)
        assert np.sum(slope * (best - other)) <= rounding, f"{hard}: {d} gave {best}, not {other}"


@law(LAWS, is_compact)
@given(seeds, WHICH)
def the_gap_is_what_the_linear_minimiser_gains(subject: ConstraintCase, seed, which):
    """max_u ⟨d, x - u⟩, at feasible x: never negative, and not less than any u gains."""
    constraint, shape = subject.constraint, subject.shape(which)
    x, d = project(constraint, draw(seed, shape)), draw(seed + 1, shape)
    expected = inner(d, x - minimizer(constraint, d))
    rounding = 16 * EPS["float64"] * x.size * float(jnp.max(jnp.abs(d)))
    np.testing.assert_allclose(gap(constraint, x, d), expected, rtol=0, atol=4 * rounding)
    best = minimizer(constraint, d)
    assert 0 <= gap(constraint, best, d) + rounding <= 2 * rounding


@law(LAWS, is_compact)
@given(seeds, WHICH, DTYPES)
def the_diameter_bounds_every_distance_and_is_attained(subject: ConstraintCase, seed, which, dtype):
    """‖u - v‖ <= diameter; and climbing ‖u - v‖ by linear steps from many starts finds it."""
    constraint, shape = subject.constraint, subject.shape(which)
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


@law(LAWS, knows_tangent_cones)
@given(seeds, WHICH, st.sampled_from([0.3, 3.0]))
def tangent_cones_hold_the_directions_in_which_projections_leave(
    subject: ConstraintCase, seed, which, scale
):
    """P_T v = lim (P(x + tv) - x)/t for t → 0; and v = P_T v + (v - P_T v) is Moreau's
    decomposition: the parts are orthogonal."""
    constraint, shape = subject.constraint, subject.shape(which)
    x, v = project(constraint, draw(seed, shape, scale)), draw(seed + 1, shape)
    along, size = tangent(constraint, x, v), float(jnp.max(jnp.abs(x)))
    assert along.shape == shape
    t = 1e-7  # rounding ε/t, curvature t
    slope = (project(constraint, x + t * v) - x) / t
    np.testing.assert_allclose(along, slope, rtol=0, atol=1e-5)
    rounding = 64 * EPS["float64"] * x.size * (1 + size)
    assert abs(inner(along, v - along)) <= rounding


@law(LAWS, is_convex_and_knows_tangent_cones)
@given(seeds, WHICH, st.sampled_from([0.3, 3.0]))
def tangent_cones_of_convex_sets_hold_the_way_to_every_point(
    subject: ConstraintCase, seed, which, scale
):
    """No step to a feasible point has a positive product with v - P_T v, which is therefore
    normal."""
    constraint, shape = subject.constraint, subject.shape(which)
    x, v = project(constraint, draw(seed, shape, scale)), draw(seed + 1, shape)
    along, size = tangent(constraint, x, v), float(jnp.max(jnp.abs(x)))
    rounding = 64 * EPS["float64"] * x.size * (1 + size)
    for k in range(2, 7):
        u = project(constraint, draw(seed + k, shape, 3.0))
        assert inner(v - along, u - x) <= 4 * rounding
        inward = tangent(constraint, x, u - x)
        np.testing.assert_allclose(inward, u - x, rtol=0, atol=4 * rounding)


@law(LAWS, knows_tangent_cones)
@given(seeds, WHICH, DTYPES)
def the_projection_on_a_tangent_cone_is_its_own(subject: ConstraintCase, seed, which, dtype):
    """T is a cone: P_T(P_T v) = P_T v, and P_T(2v) = 2 P_T v."""
    constraint, shape = subject.constraint, subject.shape(which)
    x = project(constraint, draw(seed, shape, 3.0, dtype))
    v = draw(seed + 1, shape, 1.0, dtype)
    once, size = tangent(constraint, x, v), 1 + float(jnp.max(jnp.abs(v)))
    assert once.dtype == dtype
    again, twice = tangent(constraint, x, once), tangent(constraint, x, 2 * v)
    np.testing.assert_allclose(again, once, rtol=0, atol=32 * EPS[dtype] * size)
    np.testing.assert_allclose(twice, 2 * once, rtol=0, atol=32 * EPS[dtype] * size)


# Leaves and axes ----------------------------------------------------------------------------------


@law(LAWS, has_axis)
def the_other_axes_are_a_batch(subject: ConstraintCase):
    """Along `axis` each vector is projected, and moves, by itself, as in a loop."""
    for axis in (0, 1, -1):
        constraint = with_axis(subject.constraint, axis)
        alone = subject.constraint
        x = draw(1, (3, 3, 3), 2.0)
        vectors = np.moveaxis(np.asarray(x), axis, -1)
        for method in (project, minimizer) if is_compact(subject) else (project,):
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


@law(LAWS, has_axis)
def no_axis_takes_the_whole_leaf_as_one_vector(subject: ConstraintCase):
    """`axis=None`: a matrix of shape (2, 3) is a vector of six entries."""
    constraint, alone = with_axis(subject.constraint, None), subject.constraint
    if not fits(alone, (6,)):
        return  # it has another length
    x, far = project(alone, draw(2, (2, 3), 2.0)), -draw(3, (2, 3), 20.0)
    apart = []
    for d in (0 * far, far, x - far / 1000):  # which project, go far, and go to about zero
        expected = prox_step(alone, x.ravel(), d.ravel(), 1.0).reshape(2, 3)
        whole = prox_step(constraint, x, d, 1.0)
        np.testing.assert_allclose(whole, expected, rtol=0, atol=16 * EPS["float64"])
        apart.append(not np.allclose(prox_step(alone, x, d, 1.0), expected))
    assert any(apart), "rows would have been moved alone"


@law(LAWS, anything)
def vmap_is_a_loop(subject: ConstraintCase):
    """Over points; and over step sizes. Products of many vectors may add in another order."""
    constraint, shape = subject.constraint, (5, *subject.shape())
    points, directions, sizes = draw(3, shape, 2.0), draw(4, shape), jnp.linspace(0.1, 2, 5)
    batch = jax.vmap(constraint.project)(points)
    steps = jax.vmap(constraint.prox_step)(batch, directions, sizes)
    for i in range(5):
        np.testing.assert_allclose(
            batch[i], project(constraint, points[i]), rtol=0, atol=16 * EPS["float64"]
        )
        alone = prox_step(constraint, batch[i], directions[i], sizes[i])
        np.testing.assert_allclose(steps[i], alone, rtol=0, atol=16 * EPS["float64"])
