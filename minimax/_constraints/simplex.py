"""The probability simplex."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._axis import along, vectors
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError


class Simplex(AbstractCompactSet):
    r"""The probability simplex $\{u : u_i \ge 0, \sum_i u_i = 1\}$: mixed strategies.

    **Arguments:**

    - `axis`: the axis that sums to one; the others are a batch of simplices. `None` takes the
      whole leaf as one vector.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.Simplex().project(jnp.array([0.5, 1.5, -1.0])))
    [0. 1. 0.]

    ```

    The projection is Michelot's (J. Optim. Theory Appl. 50, 1986): no sort, a few sweeps over the
    entries, finite termination.
    """

    axis: int | None = eqx.field(default=-1, static=True)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, _project, point)

    def check(self, shape: tuple[int, ...]) -> None:
        if shape == ():
            raise GameError(
                "it needs an axis of entries that sum to one. For one probability take "
                "Box(0.0, 1.0)."
            )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        batch, n = vectors(self.axis, point).shape[:-1], point.size
        simplices = math.prod(batch)
        return jnp.sqrt(jnp.asarray(2.0 * simplices * (n > simplices), point.dtype))

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, _best_vertex, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # A constant added to the direction changes nothing, so take its least entry off: entries
        # that sum to one only up to rounding would otherwise be multiplied by the offset.
        def excess(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            return d - jnp.min(d, axis=-1, keepdims=True)

        return jnp.sum(point * along(self.axis, excess, direction))


def example() -> Simplex:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return Simplex()


def _project(point: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    if point.shape[-1] == 0:
        raise GameError("Simplex has no point with no entries: expected an axis of length >= 1.")
    # Shifting all entries moves no projection; it keeps the threshold's arithmetic near zero, so
    # that the largest entry is always kept however large the entries are.
    x = point.astype(jnp.promote_types(point.dtype, jnp.float32))  # half precision cannot count
    largest = jnp.max(jax.lax.stop_gradient(x), axis=-1, keepdims=True)
    x = x - largest
    kept = _support(jax.lax.stop_gradient(x))
    projected = jnp.maximum(x - _threshold(x, kept), 0) * kept
    # No comparison with NaN holds, so it would come out as zeros, which look like an answer.
    return jnp.where(jnp.isfinite(largest), projected, jnp.nan).astype(point.dtype)


def _support(x: Float[Array, "*batch n"]) -> Array:
    """Michelot's sweeps: drop what lies below the threshold of what is left, until nothing does."""

    def sweep(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        kept, _ = carry
        still = kept & (x > _threshold(x, kept))
        return still, jnp.any(still != kept)

    # The largest entry is 0 here and gets at most 1, so nothing at or below -1 gets anything.
    kept, _ = jax.lax.while_loop(lambda carry: carry[1], sweep, (x > -1, jnp.asarray(True)))
    return kept


def _threshold(x: Float[Array, "*batch n"], kept: Array) -> Float[Array, "*batch 1"]:
    """The shift after which the kept entries sum to one."""
    total = jnp.sum(jnp.where(kept, x, 0), axis=-1, keepdims=True)
    count = jnp.sum(kept, axis=-1, keepdims=True).astype(x.dtype)
    return (total - 1) / count


def _best_vertex(direction: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    best = jnp.argmin(direction, axis=-1)
    return jax.nn.one_hot(best, direction.shape[-1], dtype=direction.dtype)
