"""One linear inequality."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._clip import at_least
from minimax._constraints._normal import (
    as_reals,
    check_length,
    check_normal,
    excess,
    onto_hyperplane,
    unit_normal,
)
from minimax._constraints._vector_set import AbstractVectorSet


class Halfspace(AbstractVectorSet):
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

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        moved, outside = onto_hyperplane(x, *unit_normal(self.normal, self.offset, x))
        return jnp.where(outside, moved, x)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        unit, offset = unit_normal(self.normal, self.offset, x)
        beyond = excess(x, unit, offset) - jnp.sum(unit * s, axis=-1, keepdims=True)
        return s + at_least(beyond, 0) * unit

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        unit, offset = unit_normal(self.normal, self.offset, x)
        outward = jnp.maximum(jnp.sum(unit * v, axis=-1, keepdims=True), 0)
        return v - jnp.where(excess(x, unit, offset) >= 0, outward, 0) * unit

    def check(self, shape: tuple[int, ...]) -> None:
        if self.normal.ndim > 0:
            check_length(self.normal.size, self.axis, shape)


def example() -> Halfspace:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Halfspace(-1.5, 0.5)
