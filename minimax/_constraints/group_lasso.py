"""The sum of Euclidean norms."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along, vectors
from minimax._constraints._polar import polar
from minimax._constraints._weight import as_weight, is_within, like
from minimax._constraints.base import AbstractRegularizer


class GroupLasso(AbstractRegularizer):
    r"""The regulariser $g(u) = \sum_k w_k \|u_k\|_2$ over the vectors $u_k$ of a leaf along an
    axis, which makes whole vectors zero.

    Its proximal step shortens each vector by $\eta w_k$, or to zero. Its conjugate is zero where
    $\|d_k\|_2 \le w_k$ for all vectors and infinite elsewhere, and so is its gap; a direction
    beyond by no more than 16 units of rounding counts as inside.

    **Arguments:**

    - `weight`: $w \ge 0$, a scalar or an array that broadcasts to the norms, which are the leaf
      with one entry along `axis`: for a leaf of shape (n, m) and the last axis, of shape (n, 1).
    - `axis`: the axis along which the norm is taken. `None` takes the whole leaf as one group.

    **Raises:** `GameError` for weights that are negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.GroupLasso(2.5).prox(jnp.array([[3.0, 4.0], [1.0, 1.0]]), 1.0))
    [[1.5 2. ]
     [0.  0. ]]

    ```

    Source: Yuan and Lin, "Model selection and estimation in regression with grouped variables",
    Journal of the Royal Statistical Society B 68 (2006).
    """

    weight: Array = eqx.field(converter=as_weight)
    axis: int | None = eqx.field(default=-1, static=True)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        norm, _ = polar(vectors(self.axis, point))
        return jnp.sum(self._weights(point) * norm)

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        threshold = like(step_size, point) * self._weights(point)

        def shorten(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            norm, _ = polar(x)  # may overflow where x does not
            stays = ~(norm <= threshold)  # NaN stays, too
            return jnp.where(stays, x * (1 - threshold / jnp.where(stays, norm, 1)), 0)

        return along(self.axis, shorten, point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        threshold = like(step_size, point) * self._weights(point)

        def back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]) -> Array:
            norm, unit = polar(x - s)
            return jnp.where(norm <= threshold, x, s + threshold * unit)

        return along(self.axis, back, point, like(step_size, point) * direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        weight = self._weights(point)
        norm, unit = polar(vectors(self.axis, point))
        length, _ = polar(vectors(self.axis, direction))
        inside = is_within(length, weight)
        # w|x| + <d, x> = w|x| (|u + d/w|² + 1 - |d/w|²)/2 with u = x/|x|: a sum of squares.
        safe = jnp.where(weight > 0, weight, 1)
        d = vectors(self.axis, direction) / safe
        apart = jnp.sum((unit + d) ** 2, axis=-1, keepdims=True)
        slack = jnp.maximum((1 - length / safe) * (1 + length / safe), 0)
        finite = weight * norm * (apart + slack) / 2
        return jnp.sum(jnp.where(inside, finite, jnp.inf))

    def _weights(self, point: Float[Array, "*shape"]) -> Array:
        """One weight for each vector that `vectors` gives."""
        norms = jnp.sum(point, axis=self.axis if point.ndim else None, keepdims=True)
        return vectors(self.axis, jnp.broadcast_to(like(self.weight, point), norms.shape))


def example() -> GroupLasso:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return GroupLasso(0.7)
