"""Bounds on each entry."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._bounds import project_on_tangent_cone_of_bounds
from minimax._constraints._clip import clip
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class Box(AbstractCompactSet):
    r"""The box $\{u : \text{lower}_i \le u_i \le \text{upper}_i\}$.

    **Arguments:**

    - `lower`, `upper`: scalars or arrays that broadcast to the leaf. They may be infinite: then a
      duality gap on this set is infinite too, unless the payoff is flat there.

    **Raises:** `GameError` where `lower` exceeds `upper` or one of them is not a number.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Box(-1.0, 1.0).project(jnp.array([0.5, 3.0])))
    [0.5 1. ]

    ```
    """

    lower: Array = eqx.field(converter=jnp.asarray)
    upper: Array = eqx.field(converter=jnp.asarray)

    def __check_init__(self) -> None:
        if is_known(self.lower, self.upper) and not jnp.all(self.lower <= self.upper):
            raise GameError(
                f"Box needs lower <= upper in every entry; it got lower {self.lower} and upper "
                f"{self.upper}."
            )

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return clip(point, self.lower.astype(point.dtype), self.upper.astype(point.dtype))

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        to_upper = point - self.upper.astype(point.dtype)
        to_lower = point - self.lower.astype(point.dtype)
        return clip(jnp.asarray(step_size * direction), to_upper, to_lower)

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        lower, upper = self.lower.astype(point.dtype), self.upper.astype(point.dtype)
        return project_on_tangent_cone_of_bounds(point, direction, lower, upper)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        widths = jnp.broadcast_to(self.upper - self.lower, point.shape).astype(point.dtype)
        return jnp.linalg.norm(widths.ravel())

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        indifferent = self.project(jnp.zeros_like(direction))
        best = jnp.where(direction > 0, self.lower, self.upper).astype(direction.dtype)
        return jnp.where(direction == 0, indifferent, best)


def example() -> Box:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Box(-1.0, 2.0)
