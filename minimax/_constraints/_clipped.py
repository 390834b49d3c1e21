"""Entries between bounds that sum to a total."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._clip import clip


def project_on_clipped(
    point: Float[Array, "*batch n"],
    lower: Array,
    upper: Array,
    total: Array,
) -> Float[Array, "*batch n"]:
    r"""The projection on $\{u : \text{lower} \le u \le \text{upper}, \sum_i u_i =
    \text{total}\}$, where there is a point in it.

    The lower bounds are 0 or minus infinity, so that it is known exactly where they are reached;
    the upper ones may be infinite.

    It is $\text{clip}(x - \mu, \text{lower}, \text{upper})$, and the sum falls with $\mu$, on
    lines between the $2n$ values of $\mu$ where an entry reaches a bound. A binary search over
    these, sorted, finds the line, and the root on it is exact.
    """
    x = point.astype(jnp.promote_types(point.dtype, jnp.float32))
    lower, upper, total = (each.astype(x.dtype) for each in (lower, upper, total))
    # A first search shifts the root to about zero, where rounding is on the scale of the bounds,
    # however large the entries are.
    left, right = _bracket(jax.lax.stop_gradient(x), lower, upper, total)
    largest = float(jnp.finfo(x.dtype).max) / 4
    root = jnp.where(jnp.isfinite(right), right, jnp.where(jnp.isfinite(left), left, 0))
    x = clip(x - root, -largest, largest)
    still = jax.lax.stop_gradient(x)
    left, right = _bracket(still, lower, upper, total)
    reaches_upper, reaches_lower = still - upper, still - lower
    free = (reaches_upper <= left) & (reaches_lower >= right)
    bound = jnp.where(reaches_upper >= right, upper, lower)
    held = jnp.sum(jnp.where(free, 0, bound), axis=-1, keepdims=True)
    count = jnp.sum(free, axis=-1, keepdims=True).astype(x.dtype)
    shift = (jnp.sum(jnp.where(free, x, 0), axis=-1, keepdims=True) + held - total) / jnp.maximum(
        count, 1
    )
    projected = jnp.where(free, clip(x - shift, lower, upper), bound)
    unknown = jnp.any(jnp.isnan(point), axis=-1, keepdims=True)
    return jnp.where(unknown, jnp.nan, projected).astype(point.dtype)


def _bracket(
    x: Float[Array, "*batch n"], lower: Array, upper: Array, total: Array
) -> tuple[Array, Array]:
    """Neighbouring values of the shift at which an entry reaches a bound; the sum is above the
    total at the left one (minus infinity, if there is none) and not at the right one."""
    points = jnp.sort(jnp.concatenate([x - upper, x - lower], axis=-1), axis=-1)
    most = points.shape[-1] - 1

    def at(index: Array) -> Array:
        return jnp.take_along_axis(points, jnp.maximum(index, 0), axis=-1)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) // 2
        total_there = jnp.sum(jnp.clip(x - at(middle), lower, upper), axis=-1, keepdims=True)
        enough = total_there <= total
        open_ = high - low > 1
        return jnp.where(open_ & ~enough, middle, low), jnp.where(open_ & enough, middle, high)

    start = jnp.full((*x.shape[:-1], 1), -1), jnp.full((*x.shape[:-1], 1), most)
    halvings = math.ceil(math.log2(most + 1)) + 1
    low, high = jax.lax.fori_loop(0, halvings, halve, start)
    return jnp.where(low < 0, -jnp.inf, at(low)), at(high)
