r"""Functions of the singular values of a matrix, $X = U\,\mathrm{diag}(s)\,V^\top \mapsto
U\,\mathrm{diag}(f(s))\,V^\top$, with derivatives that survive equal singular values."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Callable[[Array, Array], Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def map_singular_values(
    function: Scalar, matrix: Float[Array, "*batch m n"], parameter: Float[Array, "*#batch 1"]
) -> Float[Array, "*batch m n"]:
    """`function(s, parameter)` on the singular values s, for a function with f(0) = 0."""
    left, s, right = jnp.linalg.svd(matrix, full_matrices=False)
    return _compose(left, function(s, parameter), right)


@map_singular_values.defjvp
def _derivative(
    function: Scalar, primals: tuple[Array, Array], tangents: tuple[Array, Array]
) -> tuple[Array, Array]:
    r"""Singular vectors have no derivative where singular values are equal, but the matrix does:
    with $C = U^\top\, dX\, V$, its symmetric part is multiplied by the divided differences
    $(f_i - f_j)/(s_i - s_j)$, its antisymmetric part by $(f_i + f_j)/(s_i + s_j)$, and what of dX
    lies outside the singular vectors by $f_i/s_i$, all of which tend to f' where they are 0/0.
    """
    (matrix, parameter), (change, moved) = primals, tangents
    left, s, right = jnp.linalg.svd(matrix, full_matrices=False)
    f, slope = jax.jvp(lambda x: function(x, parameter), (s,), (jnp.ones_like(s),))
    _, drift = jax.jvp(lambda t: function(s, t), (parameter,), (moved,))
    core = _product(_transpose(left), change, _transpose(right))
    symmetric = (core + _transpose(core)) / 2
    core = _differences(s, f, slope) * symmetric + _sums(s, f, slope) * (core - symmetric)
    ratio = jnp.where(s > 0, f / jnp.where(s > 0, s, 1), slope)
    below = change - _product(left, _transpose(left), change)
    aside = change - _product(change, _transpose(right), right)
    tangent = (
        _product(left, core, right)
        + _compose(_product(below, _transpose(right)), ratio, right)
        + _compose(left, ratio, _product(_transpose(left), aside))
        + _compose(left, drift, right)
    )
    return _compose(left, f, right), tangent


def _differences(s: Array, f: Array, slope: Array) -> Array:
    """(f_i - f_j)/(s_i - s_j); the mean slope where the difference would be mostly rounding."""
    apart = s[..., :, None] - s[..., None, :]
    scale = jnp.max(s, axis=-1, keepdims=True)[..., None]
    near = jnp.abs(apart) <= jnp.finfo(s.dtype).eps ** 0.5 * scale
    divided = (f[..., :, None] - f[..., None, :]) / jnp.where(near, 1, apart)
    return jnp.where(near, (slope[..., :, None] + slope[..., None, :]) / 2, divided)


def _sums(s: Array, f: Array, slope: Array) -> Array:
    """(f_i + f_j)/(s_i + s_j); the slope where both are zero."""
    # Halves, because the sum of two of the largest numbers would overflow.
    total = s[..., :, None] / 2 + s[..., None, :] / 2
    divided = (f[..., :, None] / 2 + f[..., None, :] / 2) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, divided, slope[..., :, None])


def _compose(left: Array, s: Array, right: Array) -> Array:
    return _product(left * s[..., None, :], right)


def _product(*matrices: Array) -> Array:
    multiply: Any = functools.partial(jnp.matmul, precision="highest")
    return functools.reduce(multiply, matrices)


def _transpose(matrix: Array) -> Array:
    return jnp.swapaxes(matrix, -1, -2)
