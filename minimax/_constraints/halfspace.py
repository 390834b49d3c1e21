"""One linear inequality."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along
from minimax._constraints._clip import at_least
from minimax._constraints._normal import (
    as_reals,
    check_length,
    check_normal,
    excess,
    onto_hyperplane,
    unit_normal,
)
from minimax._constraints.base import AbstractSet


class Halfspace(AbstractSet):
    r"""The halfspace $\{u : \langle a, u\rangle \le b\}$: a budget.

    **Arguments:**

    - `normal`: a, a scalar or one number for each entry along the axis.
    - `offset`: b, a scalar.
    - `axis`: the axis along which the product is taken; the others are a batch of halfspaces.
      `None` takes the whole leaf as one vector.

    **Raises:** `GameError` for a normal that is zero or has another length than the leaf, and for
    numbers that are not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Halfspace(1.0, 2.0).project(jnp.array([4.0, 0.0, 0.0, 2.0])))
    [ 3. -1. -1.  1.]

    ```
    """

    normal: Array = eqx.field(converter=as_reals)
    offset: Array = eqx.field(converter=as_reals)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        check_normal("Halfspace", self.normal, self.offset, self.axis)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def onto(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            moved, outside = onto_hyperplane(x, *unit_normal(self.normal, self.offset, x))
            return jnp.where(outside, moved, x)

        return along(self.axis, onto, point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        def back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]) -> Array:
            unit, offset = unit_normal(self.normal, self.offset, x)
            beyond = excess(x, unit, offset) - jnp.sum(unit * s, axis=-1, keepdims=True)
            return s + at_least(beyond, 0) * unit

        return along(self.axis, back, point, jnp.asarray(step_size * direction))

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        def inward(x: Float[Array, "*batch n"], d: Float[Array, "*batch n"]) -> Array:
            unit, offset = unit_normal(self.normal, self.offset, x)
            outward = jnp.maximum(jnp.sum(unit * d, axis=-1, keepdims=True), 0)
            return d - jnp.where(excess(x, unit, offset) >= 0, outward, 0) * unit

        return along(self.axis, inward, point, direction)

    def check(self, shape: tuple[int, ...]) -> None:
        if self.normal.ndim > 0:
            check_length(self.normal.size, self.axis, shape)


def example() -> Halfspace:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Halfspace(-1.5, 0.5)
