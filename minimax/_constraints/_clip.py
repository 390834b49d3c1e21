"""Bounds on entries, with derivatives that survive compilation.

The derivative of `jnp.maximum` is that of the argument to which its value is *equal*. A compiler
may compute that argument twice and round it differently each time (as part of a fused product and
sum, or not); then it is equal to neither, and the derivative is lost. Comparisons have no such gap.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


def at_least(x: Float[Array, "..."], bound: ArrayLike) -> Float[Array, "..."]:
    """max(x, bound); where they are equal, with the derivative of x."""
    return jnp.where((x < bound) | jnp.isnan(bound), bound, x)


def at_most(x: Float[Array, "..."], bound: ArrayLike) -> Float[Array, "..."]:
    """min(x, bound); where they are equal, with the derivative of x."""
    return jnp.where((x > bound) | jnp.isnan(bound), bound, x)


def clip(x: Float[Array, "..."], lower: ArrayLike, upper: ArrayLike) -> Float[Array, "..."]:
    """The number between the bounds that is nearest to x."""
    return at_most(at_least(x, lower), upper)
