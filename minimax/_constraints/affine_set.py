"""Linear equations."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._normal import as_reals, check_length
from minimax._constraints._polar import magnitude
from minimax._constraints._radius import zero_if_near
from minimax._constraints._vector_set import AbstractVectorSet
from minimax._errors import GameError, is_known


class AffineSet(AbstractVectorSet):
    r"""The solutions of linear equations, $\{u : A u = b\}$: conservation laws.

    **Arguments:**

    - `matrix`: A of shape `(m, n)`, of any rank.
    - `vector`: b of shape `(m,)`.
    - `axis`: the axis of length n; the others are a batch. `None` takes the whole leaf as one
      vector.

    A is decomposed once, when the set is made (another A needs another set), and a projection
    costs four products with an orthonormal basis of its rows. Singular values below $\epsilon
    \max(m, n) \|A\|$ count as zero.

    **Raises:** `GameError` where the equations contradict each other, by more than
    $\sqrt\epsilon$ of the size of $A u$ and b at their least-squares solution u: a set made
    where that cannot be seen, under `jit`, then projects to NaN.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> line = mm.AffineSet(jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]), jnp.array([2.0, 3.0]))
    >>> print(line.project(jnp.array([1.0, 3.0, 4.0])))
    [2.  3.  1.5]

    ```

    Source: Golub and Van Loan, "Matrix Computations" (4th edition), section 5.5.2.
    """

    basis: Float[Array, "k n"]  # orthonormal rows that span those of A; zeros for lacking rank
    point: Float[Array, " n"]  # the shortest solution
    axis: int | None = eqx.field(static=True)

    def __init__(self, matrix: Any, vector: Any, axis: int | None = -1):
        A, b = as_reals(matrix), as_reals(vector)
        if A.ndim != 2 or b.shape != A.shape[:1]:
            raise GameError(
                "AffineSet needs a matrix of shape (m, n) and a vector of shape (m,); it got "
                f"{A.shape} and {b.shape}."
            )
        self.axis = axis
        self.basis, self.point, contradiction = _decomposed(A, b)
        if is_known(contradiction) and bool(contradiction):
            raise GameError(
                "AffineSet has no point: its equations contradict each other, or hold something "
                "that is not finite. Leave out equations, or take b = A @ u for a point u that is "
                "meant to be in the set."
            )

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        basis, origin = self.basis.astype(x.dtype), self.point.astype(x.dtype)
        scale = jnp.maximum(magnitude(x), magnitude(origin))
        return scale * (_across(x / scale, basis) + origin / scale)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        basis, origin = self.basis.astype(x.dtype), self.point.astype(x.dtype)
        off = _product(x - origin, basis.T)
        size = jnp.sum(jnp.abs(x) + jnp.abs(origin), axis=-1, keepdims=True)
        return _across(s, basis) + _product(zero_if_near(off, size), basis)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        return _across(v, self.basis.astype(v.dtype))

    def check(self, shape: tuple[int, ...]) -> None:
        check_length(self.basis.shape[1], self.axis, shape)


def example() -> AffineSet:
    """For the tests that every constraint passes: three unknowns, and two equations that say the
    same."""
    return AffineSet([[1.0, 2.0, -1.0], [-2.0, -4.0, 2.0]], [1.5, -3.0])


def _decomposed(A: Float[Array, "m n"], b: Float[Array, " m"]) -> tuple[Array, Array, Array]:
    """A basis of the row space, the least-squares solution and whether it solves nothing."""
    dtype = jnp.promote_types(jnp.result_type(A, b), jnp.float32)
    A, b = A.astype(dtype), b.astype(dtype)
    left, values, rows = jnp.linalg.svd(A, full_matrices=False)
    largest, eps = jnp.max(values, initial=0), jnp.finfo(dtype).eps
    counts = values > eps * max(A.shape) * largest
    basis = jnp.where(counts[:, None], rows, 0)
    along_left = _product(b, left) / jnp.where(counts, values, 1)
    point = _product(along_left, basis)
    error = jnp.linalg.norm(_product(A, point) - b)
    size = largest * jnp.linalg.norm(point) + jnp.linalg.norm(b)
    contradiction = ~(error <= eps**0.5 * size)
    return basis, jnp.where(contradiction, jnp.nan, point), contradiction


def _across(x: Float[Array, "*batch n"], basis: Float[Array, "k n"]) -> Array:
    """What no equation sees of x; twice, for what the first time leaves to rounding."""
    x = x - _product(_product(x, basis.T), basis)
    return x - _product(_product(x, basis.T), basis)


def _product(a: Array, b: Array) -> Array:
    """The matrix product, also where a device would round its factors."""
    return jnp.matmul(a, b, precision="highest")
