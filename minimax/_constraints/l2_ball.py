"""The Euclidean ball."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._axis import along, vectors
from minimax._constraints._normed import AbstractBall
from minimax._constraints._polar import polar
from minimax._constraints._radius import near
from minimax._constraints._sphere import back_to_sphere, slack


class L2Ball(AbstractBall):
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

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        norm, unit = polar(x)
        return jnp.where(norm > radius, radius * unit, x)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """s where x - s is inside."""
        radius = self.radius.astype(x.dtype)
        return back_to_sphere(x, s, radius, lambda _, excess: ~(excess <= 0))

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """v, without what points out of the ball where x is on the sphere."""
        radius = self.radius.astype(x.dtype)
        norm, unit = polar(x)
        outward = jnp.maximum(jnp.sum(v * unit, axis=-1, keepdims=True), 0)
        on_sphere = norm >= radius - near(radius)
        return jnp.where(radius > 0, v - jnp.where(on_sphere, outward, 0) * unit, 0)

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
