r"""Functions of a matrix that act on its eigenvalues or singular values.

The derivative of an eigenvector is infinite where eigenvalues tie, but that of such a function is
not: with $X = U \operatorname{diag}(\lambda) U^\top$ and $\tilde H = U^\top H U$ it is

$$DF(X)[H] = U (\Omega \circ \tilde H + \operatorname{diag}(f'(\lambda)[\operatorname{diag} \tilde
H]) - \operatorname{diag}(\Omega \circ \tilde H)) U^\top,\quad
\Omega_{ij} = \frac{f_i - f_j}{\lambda_i - \lambda_j},$$

whose divided differences tend to $\partial_i f_i - \partial_j f_i$ (Daleckii and Krein; Bhatia,
"Matrix Analysis", theorem V.3.3, for functions of each eigenvalue alone; Ding, Sun, Sun and Toh,
"Spectral operators of matrices", arXiv:1401.2269, for those of all and for singular values).

The functions here must be proximal maps of convex functions that do not mind in which order the
values come: that keeps divided differences in [0, 1]. Second derivatives are those of the
eigenvectors, which are not finite at ties.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._polar import magnitude
from minimax._errors import GameError


def check_square(shape: tuple[int, ...]) -> None:
    """Raises `GameError` where a leaf holds no square matrices in its last two axes."""
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise GameError("it needs square matrices: expected a leaf of shape (..., n, n).")


def check_matrix(shape: tuple[int, ...]) -> None:
    """Raises `GameError` where a leaf holds no matrices in its last two axes."""
    if len(shape) < 2:
        raise GameError("it needs matrices: expected a leaf of shape (..., n, m).")


def each_matrix(
    function: Callable[..., Array], *arrays: Float[Array, "*batch n m"]
) -> Float[Array, "..."]:
    """`function` on each matrix of the last two axes, in single precision or better."""
    first = arrays[0]
    dtype = jnp.promote_types(first.dtype, jnp.float32)
    batch = first.shape[:-2]
    flat = [each.astype(dtype).reshape(-1, *each.shape[-2:]) for each in arrays]
    result = jax.vmap(function)(*flat)
    return result.reshape(*batch, *result.shape[1:]).astype(first.dtype)


def on_eigenvalues(
    function: Callable[..., Array], matrix: Float[Array, "*batch n n"], *parameters: Array
) -> Float[Array, "*batch n n"]:
    """`function(eigenvalues, *parameters)` for the eigenvalues of the symmetric part of each
    matrix."""
    dtype = jnp.promote_types(matrix.dtype, jnp.float32)
    cast = tuple(parameter.astype(dtype) for parameter in parameters)
    return each_matrix(lambda x: _on_eigenvalues(function, symmetric_part(x), cast), matrix)


def on_singular_values(
    function: Callable[..., Array], matrix: Float[Array, "*batch n m"], *parameters: Array
) -> Float[Array, "*batch n m"]:
    """`function(singular values, *parameters)` for those of each matrix.

    In other units it must be the same function, f(c s, c p) = c f(s, p), because the largest
    matrices are taken in theirs: no singular value overflows.
    """

    def each(x: Float[Array, "n m"]) -> Float[Array, "n m"]:
        unit = jnp.maximum(_unit(x), 1)
        scaled = tuple(parameter.astype(x.dtype) / unit[0] for parameter in parameters)
        return unit * _on_singular_values(function, x / unit, scaled)

    return each_matrix(each, matrix)


def on_tangent_cone(
    function: Callable[[Array, Array], Array],
    point: Float[Array, "n n"],
    direction: Float[Array, "n n"],
) -> Float[Array, "n n"]:
    """The projection on the tangent cone of a set of positive semidefinite matrices.

    In the eigenvectors of `point` the cone binds the block of its null space alone, whose
    eigenvalues are the active entries of `function(active, values)`; the other values are the
    diagonal of the rest, of which the set may know the sum.
    """
    values, vectors = eigh(symmetric_part(point))
    largest = jnp.maximum(values[-1], 0)
    active = values <= 8 * len(values) * jnp.finfo(values.dtype).eps * largest
    h = product(vectors.T, symmetric_part(direction), vectors)
    block = active[:, None] & active[None, :]
    diagonal = jnp.diag(jnp.where(active, 0, jnp.diag(h)))
    # Far above the block, so that its eigenvalues come first and mix with no others.
    above = 1 + 2 * len(values) * jnp.max(jnp.abs(h))
    bound, frame = eigh(jnp.where(block, h, 0) + jnp.diag(jnp.where(active, 0, above)))
    rest = jnp.diag(h)
    moved = function(active, jnp.where(active, bound, rest))
    inner = product(frame * jnp.where(active, moved, 0), frame.T)
    shifted = h - diagonal + jnp.diag(jnp.where(active, 0, moved))
    tangent = jnp.where(block, inner, shifted)
    return symmetric_part(product(vectors, tangent, vectors.T))


def symmetric_part(x: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """(X + Xᵀ)/2; no entry overflows."""
    return x / 2 + x.T / 2


def product(*matrices: Array) -> Array:
    """The matrix product, also where a device would round its factors."""
    return functools.reduce(lambda a, b: jnp.matmul(a, b, precision="highest"), matrices)


def eigh(x: Float[Array, "n n"]) -> tuple[Array, Array]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix."""
    scale = _unit(x)
    values, vectors = jnp.linalg.eigh(x / scale, symmetrize_input=False)
    return scale * values, vectors


def svd(x: Float[Array, "n m"]) -> tuple[Array, Array, Array]:
    """The thin singular value decomposition $X = U \\operatorname{diag}(s) V^\\top$, as U, s, V."""
    scale = _unit(x)
    left, values, right = jnp.linalg.svd(x / scale, full_matrices=False)
    return left, scale * values, right.T


def _unit(x: Array) -> Array:
    """About the largest magnitude, as a power of two, so that scaling rounds nothing."""
    _, exponent = jnp.frexp(magnitude(jnp.ravel(x)))
    return jnp.ldexp(jnp.ones(1, x.dtype), exponent)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_eigenvalues(function: Callable[..., Array], x: Array, parameters: tuple) -> Array:
    values, vectors = eigh(x)
    after = function(values, *parameters)
    return symmetric_part(_assembled(x, vectors, values, after, vectors))


@_on_eigenvalues.defjvp
def _(function: Callable[..., Array], primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, parameters), (dx, d_parameters) = primals, tangents
    values, vectors = eigh(x)
    after, slopes = function(values, *parameters), jax.jacfwd(function)(values, *parameters)
    h = product(vectors.T, dx, vectors)
    tied = jnp.diag(slopes)[:, None] - slopes
    ratios = _divided(after[:, None] - after, values[:, None] - values, (tied + tied.T) / 2, values)
    _, diagonal = jax.jvp(function, (values, *parameters), (jnp.diag(h), *d_parameters))
    change = product(vectors, _with_diagonal(ratios * h, diagonal), vectors.T)
    moved = symmetric_part(_assembled(x, vectors, values, after, vectors))
    return moved, symmetric_part(change)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _on_singular_values(function: Callable[..., Array], x: Array, parameters: tuple) -> Array:
    left, values, right = svd(x)
    return _assembled(x, left, values, function(values, *parameters), right)


@_on_singular_values.defjvp
def _(function: Callable[..., Array], primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    (x, parameters), (dx, d_parameters) = primals, tangents
    left, values, right = svd(x)
    after, slopes = function(values, *parameters), jax.jacfwd(function)(values, *parameters)
    h = product(left.T, dx, right)
    even, odd = (h + h.T) / 2, (h - h.T) / 2
    tied = jnp.diag(slopes)[:, None] - slopes
    apart = _divided(after[:, None] - after, values[:, None] - values, (tied + tied.T) / 2, values)
    at_zero = (jnp.diag(slopes)[:, None] + jnp.diag(slopes)) / 2
    across = _divided(after[:, None] + after, values[:, None] + values, at_zero, values)
    _, diagonal = jax.jvp(function, (values, *parameters), (jnp.diag(h), *d_parameters))
    inside = _with_diagonal(apart * even + across * odd, diagonal)
    ratio = jnp.diag(across)
    beside_left = product(dx, right) - product(left, h)
    beside_right = product(left.T, dx) - product(h, right.T)
    change = (
        product(left, inside, right.T)
        + product(beside_left * ratio, right.T)
        + product(left * ratio, beside_right)
    )
    return _assembled(x, left, values, after, right), change


def _assembled(x: Array, left: Array, values: Array, after: Array, right: Array) -> Array:
    """Left diag(after) Rightᵀ; as a change of X where that is small, because then what hardly
    moves hardly rounds."""
    change = after - values
    small = jnp.max(jnp.abs(change), initial=0) <= jnp.max(jnp.abs(after), initial=0)
    rotated = product(left * jnp.where(small, change, after), right.T)
    return jnp.where(small, x + rotated, rotated)


def _divided(rise: Array, run: Array, limit: Array, values: Array) -> Array:
    """rise/run, or the limit where the run is lost to the rounding of the values."""
    tiny = jnp.finfo(run.dtype).eps ** 0.5 * jnp.max(jnp.abs(values), initial=0)
    resolved = jnp.abs(run) > tiny
    ratio = jnp.where(resolved, rise / jnp.where(resolved, run, 1), limit)
    return jnp.clip(ratio, 0, 1)


def _with_diagonal(matrix: Array, diagonal: Array) -> Array:
    return matrix - jnp.diag(jnp.diag(matrix)) + jnp.diag(diagonal)
