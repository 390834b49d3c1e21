"""The simplex of a total and its tangent cones: what several sets are built of.

Both are Michelot's sweeps (J. Optim. Theory Appl. 50, 1986): no sort, finite termination.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._errors import GameError


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
    largest = jnp.max(jax.lax.stop_gradient(x), axis=-1, keepdims=True)
    x = x - largest
    # The largest entry is 0 here and gets at most the total, so nothing at or below minus that
    # gets anything.
    still = jax.lax.stop_gradient(x)
    kept = _support(still, still > -total, jnp.asarray(False), total)
    projected = jnp.maximum(x - _threshold(x, kept, total), 0) * kept
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


def project_on_tangent_cone_of_simplex(
    active: Array, direction: Float[Array, "*batch n"]
) -> Float[Array, "*batch n"]:
    r"""The projection on $\{d : \sum_i d_i = 0,\ d_i \ge 0 \text{ where active}\}$."""
    v = direction.astype(jnp.promote_types(direction.dtype, jnp.float32))
    v = v - jnp.max(jax.lax.stop_gradient(v), axis=-1, keepdims=True)
    nothing = jnp.zeros((), v.dtype)
    kept = _support(jax.lax.stop_gradient(v), jnp.ones_like(active), ~active, nothing)
    return jnp.where(kept, v - _threshold(v, kept, nothing), 0).astype(direction.dtype)


def _support(x: Float[Array, "*batch n"], start: Array, always: Array, total: Array) -> Array:
    """Drop what lies below the threshold of what is left, until nothing does."""

    def sweep(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        kept, _ = carry
        still = kept & (always | (x > _threshold(x, kept, total)))
        return still, jnp.any(still != kept)

    kept, _ = jax.lax.while_loop(lambda carry: carry[1], sweep, (start, jnp.asarray(True)))
    return kept


def _threshold(x: Float[Array, "*batch n"], kept: Array, total: Array) -> Float[Array, "*batch 1"]:
    """The shift after which the kept entries sum to the total."""
    sum_of_kept = jnp.sum(jnp.where(kept, x, 0), axis=-1, keepdims=True)
    count = jnp.sum(kept, axis=-1, keepdims=True).astype(x.dtype)
    return (sum_of_kept - total) / jnp.maximum(count, 1)
