"""Half a squared Euclidean norm."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._separable import gap_of_squares
from minimax._constraints._weight import as_weight, like
from minimax._constraints.base import AbstractRegularizer


class SquaredL2(AbstractRegularizer):
    r"""The regulariser $g(u) = \tfrac12 \sum_i w_i u_i^2$: weight decay, with the factor one half.

    Its proximal step divides by $1 + \eta w_i$. Its conjugate is $\sum_i d_i^2/(2w_i)$, so its gap
    is finite for all players and directions, where no weight is zero.

    **Arguments:**

    - `weight`: $w \ge 0$, a scalar or an array that broadcasts to the leaf.

    **Raises:** `GameError` for weights that are negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.SquaredL2(3.0).prox(jnp.array([4.0, -2.0]), 1.0))
    [ 1.  -0.5]

    ```
    """

    weight: Array = eqx.field(converter=as_weight)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        return jnp.sum(like(self.weight, point) * point**2) / 2

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        return point / (1 + like(step_size, point) * like(self.weight, point))

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        # x - (x - ηd)/(1 + ηw) = η(wx + d)/(1 + ηw), each product small enough not to overflow.
        weight, step = like(self.weight, point), like(step_size, point)
        share = step / (1 + step * weight)
        return share * weight * point + share * direction

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        return jnp.sum(gap_of_squares(point, direction, like(self.weight, point)))


def example() -> SquaredL2:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return SquaredL2(0.7)
