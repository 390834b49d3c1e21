"""The cross-polytope."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._constraints._axis import along, vectors
from minimax._constraints._radius import check_radius, near, zero_if_near
from minimax._constraints._simplex import (
    back_to_simplex,
    project_on_simplex_and_inside,
    project_on_tangent_cone_of_simplex,
    surplus,
)
from minimax._constraints.base import AbstractCompactSet


class L1Ball(AbstractCompactSet):
    r"""The cross-polytope $\{u : \sum_i |u_i| \le \text{radius}\}$: few entries that differ from
    zero.

    **Arguments:**

    - `radius`: a finite scalar, not negative.
    - `axis`: the axis along which the sum is taken; the others are a batch of balls. `None` takes
      the whole leaf as one vector.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L1Ball(1.0).project(jnp.array([1.5, -1.0, 0.25])))
    [ 0.75 -0.25  0.  ]

    ```

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the l1-ball for
    learning in high dimensions", ICML 2008, section 4: it is the projection of the magnitudes on a
    simplex. That one is Michelot's here.
    """

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        check_radius("L1Ball", self.radius)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda x: _shrink(x, self.radius.astype(x.dtype)), point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis,
            lambda x, s: _back(x, s, self.radius.astype(x.dtype)),
            point,
            jnp.asarray(step_size * direction),
        )

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis, lambda x, d: _inward(x, d, self.radius.astype(x.dtype)), point, direction
        )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        balls = math.prod(vectors(self.axis, point).shape[:-1])
        return 2 * self.radius.astype(point.dtype) * balls**0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def vertex(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            steepest = jnp.argmax(jnp.abs(d), axis=-1)
            chosen = jax.nn.one_hot(steepest, d.shape[-1], dtype=d.dtype)
            return -self.radius.astype(d.dtype) * jnp.sign(d) * chosen

        return along(self.axis, vertex, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # <d, x> + r max|d| = sum_i |x_i| (max|d| + d_i sign x_i) + max|d| (r - sum_i |x_i|), of
        # which no term is a small difference of large sums.
        x, d = vectors(self.axis, point), vectors(self.axis, direction)
        radius = self.radius.astype(x.dtype)
        steepest = jnp.max(jnp.abs(d), axis=-1, keepdims=True, initial=0)
        slack = zero_if_near(radius - jnp.sum(jnp.abs(x), axis=-1, keepdims=True), radius)
        return jnp.sum(jnp.abs(x) * (steepest + d * jnp.sign(x))) + jnp.sum(steepest * slack)


def example() -> L1Ball:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L1Ball(1.5)


def _shrink(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    return jnp.sign(x) * project_on_simplex_and_inside(jnp.abs(x), radius)


def _back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array) -> Array:
    """x - P(x - s): s where x - s is inside, else as on the simplex of the magnitudes of x - s."""
    signs = jnp.where(x - s >= 0, jnp.ones_like(x), -jnp.ones_like(x))
    inside = surplus(signs * x, signs * s, radius) <= 0
    positive = jnp.where(radius > 0, radius, 1)
    back = signs * back_to_simplex(signs * x, signs * s, positive)
    return jnp.where(inside, s, jnp.where(radius > 0, back, x))


def _inward(x: Float[Array, "*batch n"], d: Float[Array, "*batch n"], radius: Array) -> Array:
    r"""On the boundary, $T = \{d : \sum_{x_i \ne 0} d_i \operatorname{sign} x_i + \sum_{x_i = 0}
    |d_i| \le 0\}$: where d is not in it, all of |.| is as on the simplex."""
    flat = x == 0
    signs = jnp.where(flat, jnp.sign(d), jnp.sign(x))
    growth = jnp.sum(signs * d, axis=-1, keepdims=True)
    along_boundary = signs * project_on_tangent_cone_of_simplex(flat, signs * d)
    on_boundary = jnp.sum(jnp.abs(x), axis=-1, keepdims=True) >= radius - near(radius)
    inward = jnp.where(on_boundary & (growth > 0), along_boundary, d)
    return jnp.where(radius > 0, inward, 0)
