"""Which vector of a leaf a constraint acts on."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float


def along(
    axis: int | None,
    function: Callable[[Float[Array, "*batch n"]], Float[Array, "*batch n"]],
    array: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """`function`, which acts on the last axis, applied along `axis` (None: the leaf as one vector).

    A scalar counts as a vector of one entry.
    """
    if axis is None or array.ndim == 0:
        return function(array.reshape(1, -1)).reshape(array.shape)
    return jnp.moveaxis(function(jnp.moveaxis(array, axis, -1)), -1, axis)
