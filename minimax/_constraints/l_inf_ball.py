"""The ball of the largest entry."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._constraints._bounds import project_on_tangent_cone_of_bounds
from minimax._constraints._clip import clip
from minimax._constraints._radius import check_radius
from minimax._constraints.base import AbstractCompactSet


class LInfBall(AbstractCompactSet):
    r"""The ball $\{u : \max_i |u_i| \le \text{radius}\}$: what an adversary may do to each entry.

    **Arguments:**

    - `radius`: a finite scalar, not negative.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.LInfBall(0.5).project(jnp.array([0.25, -3.0])))
    [ 0.25 -0.5 ]

    ```
    """

    radius: Array = eqx.field(converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_radius("LInfBall", self.radius)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        radius = self.radius.astype(point.dtype)
        return clip(point, -radius, radius)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        radius = self.radius.astype(point.dtype)
        return clip(jnp.asarray(step_size * direction), point - radius, point + radius)

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        radius = self.radius.astype(point.dtype)
        return project_on_tangent_cone_of_bounds(point, direction, -radius, radius)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        return 2 * self.radius.astype(point.dtype) * point.size**0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return -self.radius.astype(direction.dtype) * jnp.sign(direction)


def example() -> LInfBall:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return LInfBall(1.5)
