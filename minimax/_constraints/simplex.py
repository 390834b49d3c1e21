"""The probability simplex."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._axis import along, vectors
from minimax._constraints._simplex import (
    back_to_simplex,
    project_on_simplex,
    project_on_tangent_cone_of_simplex,
)
from minimax._constraints._vector_set import AbstractVectorSet
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class Simplex(AbstractVectorSet, AbstractCompactSet):
    r"""The simplex $\{u : u_i \ge 0, \sum_i u_i = \text{total}\}$: mixed strategies for total 1.

    **Arguments:**

    - `total`: a finite scalar > 0.
    - `axis`: the axis that sums to it; the others are a batch of simplices. `None` takes the
      whole leaf as one vector.

    **Raises:** `GameError` for a total that is not positive.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Simplex().project(jnp.array([0.5, 1.5, -1.0])))
    [0. 1. 0.]

    ```

    The projection is Michelot's (J. Optim. Theory Appl. 50, 1986): no sort, a few sweeps over the
    entries, finite termination.
    """

    total: Array = eqx.field(default=1.0, converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        fits = not is_known(self.total) or bool(
            jnp.all((self.total > 0) & jnp.isfinite(self.total))
        )
        if self.total.ndim != 0 or not fits:
            raise GameError(f"Simplex needs one total > 0 and finite; it got {self.total}.")

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        return project_on_simplex(x, self.total)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        return back_to_simplex(x, s, self.total)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        return project_on_tangent_cone_of_simplex(x <= 0, v)

    def check(self, shape: tuple[int, ...]) -> None:
        if shape == ():
            raise GameError(
                "it needs an axis of entries that sum to one. For one probability take "
                "Box(0.0, 1.0)."
            )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        batch, n = vectors(self.axis, point).shape[:-1], point.size
        simplices = math.prod(batch)
        return self.total.astype(point.dtype) * (2.0 * simplices * (n > simplices)) ** 0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda d: self.total.astype(d.dtype) * _best_vertex(d), direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # A constant added to the direction changes nothing, so take its least entry off: entries
        # that sum to the total only up to rounding would otherwise be multiplied by the offset.
        def excess(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            return d - jnp.min(d, axis=-1, keepdims=True)

        return jnp.sum(point * along(self.axis, excess, direction))


def example() -> Simplex:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Simplex()


def _best_vertex(direction: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    best = jnp.argmin(direction, axis=-1)
    return jax.nn.one_hot(best, direction.shape[-1], dtype=direction.dtype)
