"""The cone of positive semidefinite matrices."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._clip import at_least, at_most
from minimax._constraints._spectral import (
    check_square,
    each_matrix,
    on_eigenvalues,
    on_tangent_cone,
    symmetric_part,
)
from minimax._constraints.base import AbstractSet


class PositiveSemidefiniteCone(AbstractSet):
    r"""The cone $\{U : U = U^\top, U \succeq 0\}$: covariances, and multipliers of matrix
    inequalities.

    It acts on the last two axes of a leaf of shape `(..., n, n)`; the others are a batch. Its
    points are symmetric: a leaf is replaced by its symmetric part first.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.PositiveSemidefiniteCone().project(jnp.array([[2.0, 0.0], [0.0, -3.0]])))
    [[2. 0.]
     [0. 0.]]

    ```

    Derivatives are finite also where eigenvalues tie.

    Source: Higham, "Computing a nearest symmetric positive semidefinite matrix", Linear Algebra
    Appl. 103 (1988), theorem 2.1.
    """

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return on_eigenvalues(lambda values: at_least(values, 0), point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        # With q = x - s it is s and what is negative in q; of what is not symmetric it is all of x.
        s = jnp.asarray(step_size * direction)
        taken = on_eigenvalues(lambda values: at_most(values, 0), point - s)
        skew = each_matrix(lambda x: x / 2 - x.T / 2, point)
        return each_matrix(symmetric_part, s) + skew + taken

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        def inward(active: Array, values: Array) -> Array:
            return jnp.where(active, jnp.maximum(values, 0), values)

        return each_matrix(lambda x, h: on_tangent_cone(inward, x, h), point, direction)

    def check(self, shape: tuple[int, ...]) -> None:
        check_square(shape)


def example() -> PositiveSemidefiniteCone:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return PositiveSemidefiniteCone()
