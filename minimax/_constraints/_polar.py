"""Length and direction of a vector."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def polar(x: Float[Array, "*batch n"]) -> tuple[Array, Array]:
    """‖x‖ and x/‖x‖ (0 at 0, with finite derivatives there; NaN where there is one).

    No square over- or underflows.
    """
    scale = magnitude(x)
    scaled = x / scale
    squares = jnp.sum(scaled**2, axis=-1, keepdims=True)
    length = jnp.sqrt(jnp.where(squares != 0, squares, 1))
    return scale * length * (squares != 0), scaled / length


def magnitude(x: Float[Array, "*batch n"]) -> Float[Array, "*batch 1"]:
    """The largest magnitude of any entry, or about that: in its units no square overflows.

    1 for zeros. Without derivative: for what does not depend on the units.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0))
    # Not to the very ends of the range, where compiled code takes one over the scale for zero.
    most = float(jnp.finfo(x.dtype).max) ** 0.75
    return jnp.clip(jnp.where(largest > 0, largest, 1), 1 / most, most)
