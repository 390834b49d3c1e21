r"""What L1, SquaredL2 and ElasticNet share: $g(u) = \sum_i l_{1,i}|u_i| + l_{2,i}u_i^2/2$."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._clip import clip


def soft_threshold(
    point: Float[Array, "*shape"], threshold: Float[Array, "..."]
) -> Float[Array, "*shape"]:
    """Every entry nearer to zero by `threshold`, or zero."""
    return point - clip(point, -threshold, threshold)


def back_by_soft_threshold(
    point: Float[Array, "*shape"],
    step: Float[Array, "*shape"],
    threshold: Float[Array, "..."],
) -> Float[Array, "*shape"]:
    """`point - soft_threshold(point - step, threshold)` without taking the difference: an entry
    goes back by the step plus or minus the threshold, or all the way to zero."""
    return clip(point, step - threshold, step + threshold)


def gap_of_absolute_values(
    point: Float[Array, "*shape"],
    direction: Float[Array, "*shape"],
    weight: Float[Array, "..."],
) -> Float[Array, "*shape"]:
    r"""$d_i x_i + w_i|x_i|$ for directions cut off at $\pm w_i$: never negative, not by rounding
    either, because it is $|x_i|(w_i + d_i \operatorname{sign} x_i)$."""
    return jnp.abs(point) * (weight + jnp.clip(direction, -weight, weight) * jnp.sign(point))


def gap_of_squares(
    point: Float[Array, "*shape"],
    direction: Float[Array, "*shape"],
    weight: Float[Array, "..."],
) -> Float[Array, "*shape"]:
    r"""$d_i x_i + w_i x_i^2/2 + d_i^2/(2w_i) = (w_i x_i + d_i)^2/(2w_i)$: a square, so that no
    rounding makes it negative. Where $w_i = 0$, it is infinite unless $d_i = 0$."""
    residual = weight * point + direction
    curved = residual * (residual / jnp.where(weight > 0, weight, 1)) / 2
    return jnp.where(weight > 0, curved, jnp.where(direction == 0, 0, jnp.inf))
