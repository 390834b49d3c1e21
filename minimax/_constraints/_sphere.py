"""How far a projection on a sphere goes back."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._polar import polar
from minimax._constraints._radius import is_short, zero_if_near


def slack(x: Float[Array, "*batch n"], radius: Array) -> Array:
    """r² - |x|², zero on the sphere."""
    norm, _ = polar(x)
    return zero_if_near(radius - norm, radius) * (radius + norm)


def back_to_sphere(
    x: Float[Array, "*batch n"],
    s: Float[Array, "*batch n"],
    radius: Array,
    moves: Callable[[Array, Array], Array],
) -> Float[Array, "*batch n"]:
    """With q = x - s: x - r q/|q| where `moves(|q|, |q|² - r²)` in some units, else s. In sum that
    is s r/|q| + x (1 - r/|q|), and |q|² - r² is computed without a difference of large numbers
    where x is on the sphere."""
    norm, length, stride = (polar(each)[0] for each in (x - s, x, s))
    scale = jax.lax.stop_gradient(jnp.maximum(jnp.maximum(norm, length), radius))
    scale = jnp.where(scale > 0, scale, 1)  # in these units no square overflows
    x, s, norm, radius = x / scale, s / scale, norm / scale, radius / scale
    by_step = jnp.sum(s * (s - 2 * x), axis=-1, keepdims=True) - slack(x, radius)
    directly = (norm - radius) * (norm + radius)
    excess = jnp.where(is_short(stride, length), by_step, directly)
    moved = moves(norm, excess)
    norm = jnp.where(moved, norm, 1)
    back = s * (radius / norm) + x * (excess / norm / (norm + radius))
    return scale * jnp.where(moved, back, s)
