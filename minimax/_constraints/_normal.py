"""What a halfspace and its boundary share: one normal and one offset."""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._polar import magnitude, polar
from minimax._constraints._radius import zero_if_near
from minimax._errors import GameError, is_known


def as_reals(numbers: Any) -> Array:
    """Numbers, also in lists, as real floating-point numbers."""
    return _tree.as_real(jnp.asarray(numbers))


def check_normal(name: str, normal: Array, offset: Array, axis: int | None) -> None:
    """Raises `GameError` for a normal without direction or an offset that is not one number."""
    fits = not is_known(normal, offset) or bool(
        jnp.all(jnp.isfinite(normal)) & jnp.any(normal != 0) & jnp.all(jnp.isfinite(offset))
    )
    if offset.ndim != 0 or (axis is not None and normal.ndim > 1) or not fits:
        raise GameError(
            f"{name} needs a finite normal that is not zero (a scalar, or one number for each "
            f"entry along the axis) and one finite offset; it got normal {normal} and offset "
            f"{offset}."
        )


def check_length(entries: int, axis: int | None, shape: tuple[int, ...]) -> None:
    """Raises `GameError` where the vectors of a leaf do not have this many entries."""
    length = math.prod(shape) if axis is None or shape == () else shape[axis]
    if length != entries:
        raise GameError(f"it has {entries} entries along its axis, the leaf has {length}.")


def unit_normal(normal: Array, offset: Array, x: Float[Array, "*batch n"]) -> tuple[Array, Array]:
    """The normal of length one with its offset, for vectors like x."""
    length, unit = polar(jnp.broadcast_to(jnp.ravel(normal.astype(x.dtype)), x.shape[-1:]))
    return unit, offset.astype(x.dtype) / length


def excess(x: Float[Array, "*batch n"], unit: Array, offset: Array) -> Float[Array, "*batch 1"]:
    """⟨a, x⟩ - b, zero for a point on the boundary."""
    products = unit * x
    beyond = jnp.sum(products, axis=-1, keepdims=True) - offset
    size = jnp.sum(jnp.abs(products), axis=-1, keepdims=True) + jnp.abs(offset)
    return zero_if_near(beyond, size)


def onto_hyperplane(
    x: Float[Array, "*batch n"], unit: Array, offset: Array
) -> tuple[Float[Array, "*batch n"], Array]:
    """x - (⟨a, x⟩ - b) a, and whether ⟨a, x⟩ > b; no sum overflows."""
    scale = jnp.maximum(magnitude(x), magnitude(offset))
    x, offset = x / scale, offset / scale
    beyond = jnp.sum(unit * x, axis=-1, keepdims=True) - offset
    x = x - beyond * unit
    # Once more for what the first time left to rounding, which grows with x.
    return scale * (x - (jnp.sum(unit * x, axis=-1, keepdims=True) - offset) * unit), beyond > 0
