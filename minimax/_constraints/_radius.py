"""What a ball is told, and when a point is on its boundary."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from minimax._errors import GameError, is_known


def check_radius(name: str, radius: Array) -> None:
    """Raises `GameError` for what is not one finite number >= 0."""
    fits = not is_known(radius) or bool(jnp.all((radius >= 0) & jnp.isfinite(radius)))
    if radius.ndim != 0 or not fits:
        raise GameError(f"{name} needs one radius >= 0 and finite; it got {radius}.")


def near(size: Array) -> Array:
    """A point as near to a boundary as projections come counts as on it."""
    return 8 * jnp.finfo(size.dtype).eps * size


def zero_if_near(distance: Array, size: Array) -> Array:
    """A signed distance from a boundary; zero for a point that counts as on it, but with its
    derivative there: the point may move."""
    on_boundary = jnp.abs(distance) <= near(size)
    return distance - jnp.where(on_boundary, jax.lax.stop_gradient(distance), 0)


def is_short(step: Array, length: Array) -> Array:
    """Whether a point of this length moves by so little that how far it goes beyond a boundary is
    known better from the step than from where it ends."""
    return step <= length / 2
