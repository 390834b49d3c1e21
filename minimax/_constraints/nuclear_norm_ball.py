"""The ball of the sum of singular values."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._constraints._radius import check_radius, zero_if_near
from minimax._constraints._simplex import project_on_simplex_and_inside
from minimax._constraints._spectral import (
    check_matrix,
    each_matrix,
    on_singular_values,
    product,
    svd,
)
from minimax._constraints.base import AbstractCompactSet


class NuclearNormBall(AbstractCompactSet):
    r"""The ball $\{U : \sum_i \sigma_i(U) \le \text{radius}\}$: matrices of low rank, relaxed.

    It acts on the last two axes of a leaf of shape `(..., n, m)`; the others are a batch.

    **Arguments:**

    - `radius`: a finite scalar, not negative.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.NuclearNormBall(1.0).project(jnp.array([[1.5, 0.0], [0.0, 1.0]])))
    [[0.75 0.  ]
     [0.   0.25]]

    ```

    A projection is one of the singular values on the cross-polytope. Derivatives are finite also
    where singular values tie or vanish.

    Source: Cai, Candès and Shen, "A singular value thresholding algorithm for matrix completion",
    arXiv:0810.3286, theorem 2.1, for the threshold that it amounts to.
    """

    radius: Array = eqx.field(converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_radius("NuclearNormBall", self.radius)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return on_singular_values(project_on_simplex_and_inside, point, self.radius)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        # With q = x - s it is s and what the projection takes off q.
        s = jnp.asarray(step_size * direction)
        return s + on_singular_values(_beyond, point - s, self.radius)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        return 2 * self.radius.astype(point.dtype) * math.prod(point.shape[:-2]) ** 0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def best(d: Float[Array, "n m"]) -> Float[Array, "n m"]:
            left, _, right = svd(d)
            return -self.radius.astype(d.dtype) * jnp.outer(left[:, 0], right[:, 0])

        return each_matrix(best, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # With X = sum_i s_i a_i b_iᵀ and D = sum_k t_k u_k v_kᵀ it is sum_i s_i (t_1 + a_iᵀ D b_i)
        # plus t_1 (r - sum_i s_i), and 2 (t_1 + aᵀ D b) = t_1 (what of |a|² and |b|² no u, v sees)
        # + sum_k t_k (u_kᵀa + v_kᵀb)² + (t_1 - t_k) ((u_kᵀa)² + (v_kᵀb)²): no term is negative.
        def excess(x: Float[Array, "n m"], d: Float[Array, "n m"]) -> Float[Array, ""]:
            radius = self.radius.astype(x.dtype)
            a, s, b = svd(x)
            u, t, v = svd(d)
            on_left, on_right = product(u.T, a), product(v.T, b)
            unseen = (a - product(u, on_left)) ** 2, (b - product(v, on_right)) ** 2
            t = t[:, None]
            twice = (
                t[0] * (jnp.sum(unseen[0], axis=0) + jnp.sum(unseen[1], axis=0))
                + jnp.sum(t * (on_left + on_right) ** 2, axis=0)
                + jnp.sum((t[0] - t) * (on_left**2 + on_right**2), axis=0)
            )
            slack = zero_if_near(radius - jnp.sum(s), radius)
            return jnp.sum(s * twice) / 2 + t[0, 0] * slack

        return jnp.sum(each_matrix(excess, point, direction))

    def check(self, shape: tuple[int, ...]) -> None:
        check_matrix(shape)


def example() -> NuclearNormBall:
    """For the tests that every constraint passes: an instance for matrices of any shape."""
    return NuclearNormBall(1.5)


def _beyond(values: Float[Array, " k"], radius: Array) -> Float[Array, " k"]:
    return values - project_on_simplex_and_inside(values, radius)
