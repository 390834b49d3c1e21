"""One linear equation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._normal import (
    as_reals,
    check_length,
    check_normal,
    excess,
    onto_hyperplane,
    unit_normal,
)
from minimax._constraints._vector_set import AbstractVectorSet


class Hyperplane(AbstractVectorSet):
    r"""The hyperplane $\{u : \langle a, u\rangle = b\}$: a balance.

    **Arguments:**

    - `normal`: a, a scalar or one number for each entry along the axis.
    - `offset`: b, a scalar.
    - `axis`: the axis along which the product is taken; the others are a batch of hyperplanes.
      `None` takes the whole leaf as one vector.

    **Raises:** `GameError` for a normal that is zero or has another length than the leaf, and for
    numbers that are not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Hyperplane(1.0, 2.0).project(jnp.array([0.0, 1.0, 1.0, 2.0])))
    [-0.5  0.5  0.5  1.5]

    ```
    """

    normal: Array = eqx.field(converter=as_reals)
    offset: Array = eqx.field(converter=as_reals)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        check_normal("Hyperplane", self.normal, self.offset, self.axis)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        moved, _ = onto_hyperplane(x, *unit_normal(self.normal, self.offset, x))
        return moved

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        unit, offset = unit_normal(self.normal, self.offset, x)
        return s + (excess(x, unit, offset) - jnp.sum(unit * s, axis=-1, keepdims=True)) * unit

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        unit, offset = unit_normal(self.normal, self.offset, v)
        moved, _ = onto_hyperplane(v, unit, jnp.zeros_like(offset))
        return moved

    def check(self, shape: tuple[int, ...]) -> None:
        if self.normal.ndim > 0:
            check_length(self.normal.size, self.axis, shape)


def example() -> Hyperplane:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Hyperplane(-1.5, 0.5)
