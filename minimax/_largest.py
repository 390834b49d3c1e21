"""The largest entry of an array."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def largest_entry(x: Float[Array, "..."], **options: Any) -> Float[Array, "..."]:
    """`jnp.max(x, **options)`, but infinite where there is a NaN: XLA forgets them on CPUs, in
    arrays of thousands (openxla/xla, issue 21461)."""
    return jnp.max(jnp.where(jnp.isnan(x), jnp.inf, x), **options)
