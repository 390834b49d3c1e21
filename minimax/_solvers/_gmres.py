"""Linear systems from products with the matrix alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int


class _Arnoldi(NamedTuple):
    """`basis`: rows that are orthonormal, the first along b; `rotation` Q and `triangle` T with
    Q H = T for the Hessenberg matrix H of the products so far; `products`: how many; `residual`:
    ‖b - Ax‖ for the best x in the span of the basis; `rest`: how much of the last product
    was new."""

    basis: Float[Array, "k+1 n"]
    rotation: Float[Array, "k+1 k+1"]
    triangle: Float[Array, "k k"]
    products: Int[Array, ""]
    residual: Float[Array, ""]
    rest: Float[Array, ""]


def gmres(
    product: Callable[[Float[Array, " n"]], Float[Array, " n"]],
    b: Float[Array, " n"],
    size: int,
    tol: ArrayLike,
) -> tuple[Float[Array, " n"], Float[Array, ""], Int[Array, ""]]:
    r"""The least $\|b - Ax\|$ with x in $\text{span}\{b, Ab, A^2 b, \dots\}$.

    **Arguments:**

    - `product`: $v \mapsto Av$.
    - `size`: the largest dimension of that span.
    - `tol`: the $\|b - Ax\| / \|b\|$ at which a smaller dimension is enough.

    **Returns:** x, $\|b - Ax\|$ and the number of products, which is the dimension.

    Source: Saad and Schultz, "GMRES: a generalized minimal residual algorithm for solving
    nonsymmetric linear systems", SIAM J. Sci. Stat. Comput. 7 (1986).
    """
    size = min(size, b.size)
    length = jnp.linalg.norm(b)

    def extend(at: _Arnoldi) -> _Arnoldi:
        k = at.products
        image = product(at.basis[k])
        column = jnp.zeros(size + 1, b.dtype)
        for _ in range(2):  # once more, for what rounding left
            parts = jnp.matmul(at.basis, image, precision="highest")
            image = image - jnp.matmul(parts, at.basis, precision="highest")
            column = column + parts
        rest = jnp.linalg.norm(image)
        # What is left of an image inside the span is rounding, and no direction.
        rest = jnp.where(rest > 10 * jnp.finfo(b.dtype).eps * jnp.linalg.norm(column), rest, 0)
        basis = at.basis.at[k + 1].set(image / jnp.where(rest > 0, rest, 1) * (rest > 0))
        column = jnp.matmul(at.rotation, column, precision="highest").at[k + 1].set(rest)
        radius = jnp.hypot(column[k], rest)
        safe = jnp.where(radius > 0, radius, 1)
        c, s = jnp.where(radius > 0, column[k] / safe, 1), rest / safe
        upper, lower = at.rotation[k], at.rotation[k + 1]
        rotation = at.rotation.at[k].set(c * upper + s * lower)
        rotation = rotation.at[k + 1].set(c * lower - s * upper)
        column = column.at[k].set(radius)
        triangle = at.triangle.at[:, k].set(jnp.where(jnp.arange(size) <= k, column[:-1], 0))
        # Where A is singular, what it sends to zero takes nothing off.
        left = jnp.where(radius > 0, rotation[k + 1, 0], at.rotation[k, 0])
        return _Arnoldi(basis, rotation, triangle, k + 1, length * jnp.abs(left), rest)

    start = _Arnoldi(
        jnp.zeros((size + 1, b.size), b.dtype).at[0].set(b / jnp.where(length > 0, length, 1)),
        jnp.eye(size + 1, dtype=b.dtype),
        jnp.eye(size, dtype=b.dtype),
        jnp.zeros((), int),
        length,
        jnp.ones_like(length),
    )
    end = jax.lax.while_loop(
        lambda at: (at.residual > tol * length) & (at.products < size) & (at.rest > 0),
        extend,
        start,
    )
    diagonal = jnp.diagonal(end.triangle)
    triangle = end.triangle + jnp.diag(jnp.where(diagonal == 0, 1, 0).astype(b.dtype))
    used = (jnp.arange(size) < end.products) & (diagonal != 0)
    weights = jax.scipy.linalg.solve_triangular(
        triangle, length * jnp.where(used, end.rotation[:-1, 0], 0)
    )
    return jnp.matmul(weights, end.basis[:-1], precision="highest"), end.residual, end.products
