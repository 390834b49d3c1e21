"""What the cross-polytope and its boundary share: the magnitudes are as on a simplex."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._simplex import (
    back_to_simplex,
    project_on_simplex_and_inside,
    project_on_tangent_cone_of_simplex,
    surplus,
)


def signs_of(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """1 or -1, and 1 for zeros of either sign."""
    return jnp.where(x < 0, -jnp.ones_like(x), jnp.ones_like(x))


def nearest_in_l1_ball(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    return jnp.sign(x) * project_on_simplex_and_inside(jnp.abs(x), radius)


def back_to_l1_ball(
    x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array
) -> tuple[Array, Array]:
    r"""By how much $\|x - s\|_1$ is beyond the radius, right to the digits of s; and where it is,
    x - P(x - s)."""
    signs = signs_of(x - s)
    beyond = surplus(signs * x, signs * s, radius)
    positive = jnp.where(radius > 0, radius, 1)
    back = signs * back_to_simplex(signs * x, signs * s, positive)
    return beyond, jnp.where(radius > 0, back, x)


def along_l1_sphere(
    x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
) -> tuple[Array, Array, Array]:
    r"""How fast the norm grows from x along v, $\sum_{x_i \ne 0} v_i \operatorname{sign} x_i +
    \sum_{x_i = 0} |v_i|$, the signs that this sum has before its $v_i$, and where it grows, the
    nearest direction along which it does not: all of |.| is as on the simplex."""
    flat = x == 0
    signs = jnp.where(flat, signs_of(v), jnp.sign(x))
    single = jnp.promote_types(v.dtype, jnp.float32)  # half precision has no room for sums
    growth = jnp.sum(signs * v, axis=-1, keepdims=True, dtype=single)
    return growth, signs, signs * project_on_tangent_cone_of_simplex(flat, signs * v)
