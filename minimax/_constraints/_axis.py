"""Which vector of a leaf a constraint acts on."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float


def along(
    axis: int | None,
    function: Callable[..., Float[Array, "*batch n"]],
    *arrays: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`function`, which acts on the last axis, applied along `axis` (None: the leaf as one vector).

    A scalar counts as a vector of one entry.
    """
    array = arrays[0]
    result = function(*(vectors(axis, each) for each in arrays))
    if axis is None or array.ndim == 0:
        return result.reshape(array.shape)
    return jnp.moveaxis(result, -1, axis)


def vectors(axis: int | None, array: Float[Array, "*shape"]) -> Float[Array, "*batch n"]:
    """The vectors of a leaf along `axis`, as the last axis of an array."""
    if axis is None or array.ndim == 0:
        return array.reshape(1, -1)
    return jnp.moveaxis(array, axis, -1)
