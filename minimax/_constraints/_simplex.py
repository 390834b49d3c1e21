"""The simplex of a total and its tangent cones: what several sets are built of.

Both are Michelot's sweeps (J. Optim. Theory Appl. 50, 1986): no sort, finite termination.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._clip import at_least, at_most
from minimax._constraints._radius import near, zero_if_near
from minimax._errors import GameError
from minimax._largest import largest_entry


def project_on_simplex(
    point: Float[Array, "*batch n"], total: Float[Array, ""]
) -> Float[Array, "*batch n"]:
    r"""The projection on $\{u : u_i \ge 0, \sum_i u_i = \text{total}\}$ for a total > 0."""
    if point.shape[-1] == 0:
        raise GameError("Simplex has no point with no entries: expected an axis of length >= 1.")
    # Shifting all entries moves no projection; it keeps the threshold's arithmetic near zero, so
    # that the largest entry is always kept however large the entries are.
    x = point.astype(jnp.promote_types(point.dtype, jnp.float32))  # half precision cannot count
    total = total.astype(x.dtype)
    largest = largest_entry(jax.lax.stop_gradient(x), axis=-1, keepdims=True)
    x = x - largest
    # The largest entry is 0 here and gets at most the total, so nothing at or below minus that
    # gets anything.
    still = jax.lax.stop_gradient(x)
    kept = _support(still > -total, lambda kept: still > _threshold(still, kept, total))
    projected = at_least(x - _threshold(x, kept, total), 0) * kept
    # No comparison with NaN holds, so it would come out as zeros, which look like an answer.
    return jnp.where(jnp.isfinite(largest), projected, jnp.nan).astype(point.dtype)


def project_on_simplex_and_inside(
    point: Float[Array, "*batch n"], total: Float[Array, ""]
) -> Float[Array, "*batch n"]:
    r"""The projection of a vector of entries >= 0 on $\{u : u_i \ge 0, \sum_i u_i \le
    \text{total}\}$ for a total >= 0."""
    if point.shape[-1] == 0:
        return point
    total = total.astype(point.dtype)
    positive = jnp.where(total > 0, total, 1)
    inside = jnp.sum(jax.lax.stop_gradient(point), axis=-1, keepdims=True) <= total
    outer = project_on_simplex(point, positive)
    return jnp.where(inside, point, jnp.where(total > 0, outer, total * outer))


def back_to_simplex(
    point: Float[Array, "*batch n"], step: Float[Array, "*batch n"], total: Float[Array, ""]
) -> Float[Array, "*batch n"]:
    r"""`point - project_on_simplex(point - step, total)` without taking the difference.

    It is $\min(x_i, s_i + \mu)$, with the same sweeps for $\mu$: all its numbers are small where
    the step is, however large a point of the simplex is.
    """
    if point.shape[-1] == 0:
        return point
    x, s, total, digits = _in_single(point, step, total)
    # A constant added to all steps moves nothing.
    s = s - jnp.min(jax.lax.stop_gradient(s), axis=-1, keepdims=True)
    still_x, still_s = jax.lax.stop_gradient((x, s))
    moved = still_x - still_s
    largest = largest_entry(moved, axis=-1, keepdims=True)
    # What the largest entry exceeds by more than the total gets nothing; twice, for rounding.
    start = moved > largest - 2 * total

    def is_above(kept: Array) -> Array:
        shift = _mean_surplus(still_x, still_s, kept, total, digits)
        return (still_x > still_s + shift) | (moved >= largest)

    kept = _support(start, is_above)
    shift = _mean_surplus(x, s, kept, total, digits)
    back = jnp.where(kept, at_most(s + shift, x), x)
    return jnp.where(jnp.isfinite(largest), back, jnp.nan).astype(point.dtype)


def surplus(
    point: Float[Array, "*batch n"], step: Float[Array, "*batch n"], total: Float[Array, ""]
) -> Float[Array, "*batch 1"]:
    r"""$\sum_i (x_i - s_i) - \text{total}$, right to the digits of the step where $\sum_i |x_i|$ is
    the total."""
    x, s, total, digits = _in_single(point, step, total)
    return _surplus(x, s, jnp.ones_like(x, bool), total, digits)


def project_on_tangent_cone_of_simplex(
    active: Array, direction: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    r"""The projection on $\{d : \sum_i d_i = 0,\ d_i \ge 0 \text{ where active}\}$."""
    v = direction.astype(jnp.promote_types(direction.dtype, jnp.float32))
    largest = largest_entry(jax.lax.stop_gradient(v), axis=-1, keepdims=True)
    v = v - largest
    nothing = jnp.zeros((), v.dtype)
    still = jax.lax.stop_gradient(v)
    kept = _support(
        jnp.ones_like(active), lambda kept: ~active | (still > _threshold(still, kept, nothing))
    )
    along = jnp.where(kept, v - _threshold(v, kept, nothing), 0)
    return jnp.where(jnp.isfinite(largest), along, jnp.nan).astype(direction.dtype)


def _support(start: Array, is_above: Callable[[Array], Array]) -> Array:
    """Drop what lies below the threshold of what is left, until nothing does."""

    def sweep(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        kept, _ = carry
        still = kept & is_above(kept)
        return still, jnp.any(still != kept)

    kept, _ = jax.lax.while_loop(lambda carry: carry[1], sweep, (start, jnp.asarray(True)))
    return kept


def _threshold(x: Float[Array, "*batch n"], kept: Array, total: Array) -> Float[Array, "*batch 1"]:
    """The shift after which the kept entries sum to the total."""
    sum_of_kept = jnp.sum(jnp.where(kept, x, 0), axis=-1, keepdims=True)
    count = jnp.sum(kept, axis=-1, keepdims=True).astype(x.dtype)
    return (sum_of_kept - total) / jnp.maximum(count, 1)


def _in_single(point: Array, step: Array, total: Array) -> tuple[Array, Array, Array, float]:
    """All in single precision or better, because half precision cannot count; and how many units
    of rounding of that one of the point is."""
    dtype = jnp.promote_types(point.dtype, jnp.float32)
    digits = float(jnp.finfo(point.dtype).eps / jnp.finfo(dtype).eps)
    return point.astype(dtype), step.astype(dtype), total.astype(dtype), digits


def _surplus(x: Array, s: Array, kept: Array, total: Array, digits: float) -> Array:
    """The sum of x - s over the kept entries, less the total."""
    size = jnp.abs(x)
    beyond = jnp.sum(size, axis=-1, keepdims=True) - total
    scale = digits * (jnp.sum(size, axis=-1, keepdims=True) + total)
    # On the boundary the entries sum to the total: what is kept lacks what is not, which is small.
    lacking = jnp.sum(jnp.where(kept, size - x, size), axis=-1, keepdims=True)
    direct = jnp.sum(jnp.where(kept, x, 0), axis=-1, keepdims=True) - total
    on_boundary = jnp.abs(beyond) <= near(scale)
    held = jnp.where(on_boundary, zero_if_near(beyond, scale) - lacking, direct)
    return held - jnp.sum(jnp.where(kept, s, 0), axis=-1, keepdims=True)


def _mean_surplus(x: Array, s: Array, kept: Array, total: Array, digits: float) -> Array:
    """The shift after which the kept entries of x - s sum to the total."""
    count = jnp.sum(kept, axis=-1, keepdims=True).astype(x.dtype)
    return _surplus(x, s, kept, total, digits) / jnp.maximum(count, 1)
