"""Tangent cones of bounds on each entry."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def project_on_tangent_cone_of_bounds(
    point: Float[Array, "*shape"], direction: Float[Array, "*shape"], lower: Array, upper: Array
) -> Float[Array, "*shape"]:
    """No further down at a lower bound, no further up at an upper one."""
    direction = jnp.where(point <= lower, jnp.maximum(direction, 0), direction)
    return jnp.where(point >= upper, jnp.minimum(direction, 0), direction)
