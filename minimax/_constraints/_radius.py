"""What a ball is told."""

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
