"""The sum of absolute values."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._separable import (
    back_by_soft_threshold,
    gap_of_absolute_values,
    soft_threshold,
)
from minimax._constraints._weight import as_weight, is_within, like
from minimax._constraints.base import AbstractRegularizer


class L1(AbstractRegularizer):
    r"""The regulariser $g(u) = \sum_i w_i |u_i|$, which makes players sparse.

    Its proximal step is soft thresholding. Its conjugate is zero where $|d_i| \le w_i$ for all
    entries and infinite elsewhere, and so is its gap; a direction beyond by no more than 16 units
    of rounding counts as inside. On the way to a solution gradients are often beyond by more, so a
    run that is to be stopped by a duality gap wants an `ElasticNet` with a little curvature.

    **Arguments:**

    - `weight`: $w \ge 0$, a scalar or an array that broadcasts to the leaf.

    **Raises:** `GameError` for weights that are negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L1(1.0).prox(jnp.array([3.0, 0.5, -2.0]), 1.0))
    [ 2.  0. -1.]

    ```
    """

    weight: Array = eqx.field(converter=as_weight)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        return jnp.sum(like(self.weight, point) * jnp.abs(point))

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        return soft_threshold(point, like(step_size, point) * like(self.weight, point))

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        threshold = like(step_size, point) * like(self.weight, point)
        return back_by_soft_threshold(point, like(step_size, point) * direction, threshold)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        weight = like(self.weight, point)
        inside = is_within(jnp.abs(direction), weight)
        finite = gap_of_absolute_values(point, direction, weight)
        return jnp.sum(jnp.where(inside, finite, jnp.inf))


def example() -> L1:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L1(0.7)
