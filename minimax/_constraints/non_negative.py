"""The non-negative orthant: multipliers of inequality constraints."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._bounds import project_on_tangent_cone_of_bounds
from minimax._constraints._clip import at_least, at_most
from minimax._constraints.base import AbstractSet


class NonNegative(AbstractSet):
    r"""The non-negative orthant $\{u : u_i \ge 0\}$.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.NonNegative().project(jnp.array([0.5, -3.0])))
    [0.5 0. ]

    ```
    """

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return at_least(point, 0)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return at_most(jnp.asarray(step_size * direction), point)

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        zero, no_bound = jnp.zeros((), point.dtype), jnp.full((), jnp.inf, point.dtype)
        return project_on_tangent_cone_of_bounds(point, direction, zero, no_bound)


def example() -> NonNegative:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return NonNegative()
