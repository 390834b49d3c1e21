"""The ball of the largest singular value."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._constraints._clip import at_least, at_most
from minimax._constraints._radius import check_radius, zero_if_near
from minimax._constraints._spectral import (
    check_matrix,
    each_matrix,
    on_singular_values,
    product,
    svd,
)
from minimax._constraints.base import AbstractCompactSet


class SpectralNormBall(AbstractCompactSet):
    r"""The ball $\{U : \max_i \sigma_i(U) \le \text{radius}\}$: linear maps with a Lipschitz
    constant.

    It acts on the last two axes of a leaf of shape `(..., n, m)`; the others are a batch.

    **Arguments:**

    - `radius`: a finite scalar, not negative.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.SpectralNormBall(1.0).project(jnp.array([[2.0, 0.0], [0.0, 0.5]])))
    [[1.  0. ]
     [0.  0.5]]

    ```

    A projection clips the singular values. Derivatives are finite also where they tie or vanish.

    Source: Parikh and Boyd, "Proximal algorithms" (2014), section 6.7.
    """

    radius: Array = eqx.field(converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_radius("SpectralNormBall", self.radius)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return on_singular_values(at_most, point, self.radius)

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
        values = math.prod(point.shape[:-2]) * min(point.shape[-2:])
        return 2 * self.radius.astype(point.dtype) * values**0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def best(d: Float[Array, "n m"]) -> Float[Array, "n m"]:
            left, _, right = svd(d)
            return -self.radius.astype(d.dtype) * product(left, right.T)

        return each_matrix(best, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # sum_k t_k (r + u_kᵀ X v_k) with D = sum_k t_k u_k v_kᵀ: no term is negative.
        def excess(x: Float[Array, "n m"], d: Float[Array, "n m"]) -> Float[Array, " k"]:
            left, values, right = svd(d)
            radius = self.radius.astype(x.dtype)
            above = radius + jnp.sum(left * product(x, right), axis=0)
            return values * zero_if_near(above, radius)

        return jnp.sum(each_matrix(excess, point, direction))

    def check(self, shape: tuple[int, ...]) -> None:
        check_matrix(shape)


def example() -> SpectralNormBall:
    """For the tests that every constraint passes: an instance for matrices of any shape."""
    return SpectralNormBall(1.5)


def _beyond(values: Float[Array, " k"], radius: Array) -> Float[Array, " k"]:
    return at_least(values - radius, 0)
