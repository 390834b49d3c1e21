"""The Euclidean ball."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along, vectors
from minimax._constraints._polar import polar
from minimax._constraints._radius import check_radius, near
from minimax._constraints._sphere import back_to_sphere, slack
from minimax._constraints.base import AbstractCompactSet


class L2Ball(AbstractCompactSet):
    r"""The Euclidean ball $\{u : \|u\|_2 \le \text{radius}\}$ around the origin.

    **Arguments:**

    - `radius`: a finite scalar, not negative.
    - `axis`: the axis along which the norm is taken; the others are a batch of balls. `None` takes
      the whole leaf as one vector, so a matrix is held in a Frobenius ball.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L2Ball(1.0).project(jnp.array([3.0, 4.0])))
    [0.6 0.8]

    ```
    """

    radius: Array = eqx.field(converter=jnp.asarray)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        check_radius("L2Ball", self.radius)

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
            self.axis, lambda x, v: _inward(x, v, self.radius.astype(x.dtype)), point, direction
        )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        balls = math.prod(vectors(self.axis, point).shape[:-1])
        return 2 * self.radius.astype(point.dtype) * balls**0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda d: -self.radius.astype(d.dtype) * polar(d)[1], direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        x, d = vectors(self.axis, point), vectors(self.axis, direction)
        radius = self.radius.astype(x.dtype)
        safe = jnp.where(radius > 0, radius, 1)
        length, unit = polar(d)
        # <d, x> + r|d| = r|d| (|x/r + u|² + 1 - |x/r|²)/2, without a difference of large numbers.
        apart = jnp.sum((x / safe + unit) ** 2, axis=-1, keepdims=True)
        return jnp.sum(length * radius * (apart + slack(x / safe, jnp.ones_like(radius))) / 2)


def example() -> L2Ball:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L2Ball(1.5)


def _shrink(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    norm, unit = polar(x)
    return jnp.where(norm > radius, radius * unit, x)


def _inward(x: Float[Array, "*batch n"], v: Float[Array, "*batch n"], radius: Array) -> Array:
    """v, without what points out of the ball where x is on the sphere."""
    norm, unit = polar(x)
    outward = jnp.maximum(jnp.sum(v * unit, axis=-1, keepdims=True), 0)
    on_sphere = norm >= radius - near(radius)
    return jnp.where(radius > 0, v - jnp.where(on_sphere, outward, 0) * unit, 0)


def _back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array) -> Array:
    """x - P(x - s): s where x - s is inside."""
    return back_to_sphere(x, s, radius, lambda _, excess: ~(excess <= 0))
