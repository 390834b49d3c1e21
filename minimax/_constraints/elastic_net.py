"""Absolute values and squares together."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._separable import (
    back_by_soft_threshold,
    gap_of_absolute_values,
    gap_of_squares,
    soft_threshold,
)
from minimax._constraints._weight import as_weight, is_within, like
from minimax._constraints.base import AbstractRegularizer


class ElasticNet(AbstractRegularizer):
    r"""The regulariser $g(u) = \sum_i l_{1,i}|u_i| + \tfrac12 \sum_i l_{2,i}u_i^2$.

    Sparse like `L1`, strongly convex like `SquaredL2`, so its gap is finite for all players and
    directions, where no `l2` is zero. Its proximal step is a soft threshold $\eta l_1$, divided by
    $1 + \eta l_2$.

    **Arguments:**

    - `l1`, `l2`: scalars or arrays that broadcast to the leaf, not negative.

    **Raises:** `GameError` for weights that are negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.ElasticNet(1.0, 1.0).prox(jnp.array([3.0, 0.5, -2.0]), 1.0))
    [ 1.   0.  -0.5]

    ```

    Source: Zou and Hastie, "Regularization and variable selection via the elastic net", Journal of
    the Royal Statistical Society B 67 (2005).
    """

    l1: Array = eqx.field(converter=as_weight)
    l2: Array = eqx.field(converter=as_weight)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        l1, l2 = like(self.l1, point), like(self.l2, point)
        return jnp.sum(l1 * jnp.abs(point) + l2 / 2 * point**2)

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        l1, l2 = like(self.l1, point), like(self.l2, point)
        step = like(step_size, point)
        return soft_threshold(point, step * l1) / (1 + step * l2)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        l1, l2 = like(self.l1, point), like(self.l2, point)
        # With b the way back by the threshold, x - (x - b)/(1 + ηl₂) = (ηl₂x + b)/(1 + ηl₂).
        step = like(step_size, point)
        back = back_by_soft_threshold(point, step * direction, step * l1)
        shrink = 1 + step * l2
        return step / shrink * l2 * point + back / shrink

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # The conjugate is Σ (|d_i| - l₁)₊²/(2 l₂): what l₁ holds and what is left over for l₂.
        l1, l2 = like(self.l1, point), like(self.l2, point)
        left = jnp.where(
            is_within(jnp.abs(direction), l1), 0, direction - jnp.clip(direction, -l1, l1)
        )
        held = gap_of_absolute_values(point, direction, l1)
        return jnp.sum(held + gap_of_squares(point, left, l2))


def example() -> ElasticNet:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return ElasticNet(0.5, 0.8)
