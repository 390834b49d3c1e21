"""Positive semidefinite matrices of trace one."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._simplex import project_on_simplex, project_on_tangent_cone_of_simplex
from minimax._constraints._spectral import (
    check_square,
    each_matrix,
    eigh,
    on_eigenvalues,
    on_tangent_cone,
    product,
    symmetric_part,
)
from minimax._constraints.base import AbstractCompactSet


class Spectraplex(AbstractCompactSet):
    r"""The spectraplex $\{U : U = U^\top, U \succeq 0, \operatorname{tr} U = 1\}$: density
    matrices, and the matrix player of $\max_U \langle A, U\rangle = \lambda_{\max}(A)$.

    It acts on the last two axes of a leaf of shape `(..., n, n)`; the others are a batch. Its
    points are symmetric: a leaf is replaced by its symmetric part first.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Spectraplex().project(jnp.array([[2.0, 0.0], [0.0, 1.5]])))
    [[0.75 0.  ]
     [0.   0.25]]

    ```

    A projection is one of the eigenvalues on the simplex. Derivatives are finite also where
    eigenvalues tie.

    Source: Nesterov, "Smoothing technique and its applications in semidefinite optimization",
    Math. Program. 110 (2007), for the use.
    """

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return on_eigenvalues(_on_simplex, point)

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return each_matrix(
            lambda x, h: on_tangent_cone(project_on_tangent_cone_of_simplex, x, h),
            point,
            direction,
        )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        matrices = math.prod(point.shape[:-2])
        return jnp.asarray((2.0 * matrices * (point.shape[-1] > 1)) ** 0.5, point.dtype)

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def best(d: Float[Array, "n n"]) -> Float[Array, "n n"]:
            _, vectors = eigh(symmetric_part(d))
            return jnp.outer(vectors[:, 0], vectors[:, 0])

        return each_matrix(best, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # In the eigenvectors of the direction, less its least eigenvalue, as on the simplex.
        def excess(x: Float[Array, "n n"], d: Float[Array, "n n"]) -> Float[Array, " n"]:
            values, vectors = eigh(symmetric_part(d))
            weights = jnp.sum(vectors * product(x, vectors), axis=0)
            return (values - values[0]) * weights

        return jnp.sum(each_matrix(excess, point, direction))

    def check(self, shape: tuple[int, ...]) -> None:
        check_square(shape)


def example() -> Spectraplex:
    """For the tests that every constraint passes: an instance for square matrices."""
    return Spectraplex()


def _on_simplex(values: Float[Array, " n"]) -> Float[Array, " n"]:
    return project_on_simplex(values, jnp.ones(()))
