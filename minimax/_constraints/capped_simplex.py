"""Probabilities between bounds."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._axis import along, vectors
from minimax._constraints._clipped import project_on_clipped
from minimax._constraints._vector_set import AbstractVectorSet
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class CappedSimplex(AbstractVectorSet, AbstractCompactSet):
    r"""Probabilities with bounds, $\{u : \text{lower} \le u_i \le \text{cap}, \sum_i u_i =
    1\}$.

    With $\text{cap} = 1/(\alpha n)$ the largest $\langle u, \ell\rangle$ is the mean of the worst
    share $\alpha$ of n losses $\ell$, their conditional value at risk; with a cap of one and
    $\text{lower} > 0$ it is the simplex of strategies that tremble.

    **Arguments:**

    - `cap`, `lower`: finite scalars; n entries need $n\,\text{lower} \le 1 \le n\,\text{cap}$.
    - `axis`: the axis that sums to one; the others are a batch. `None` takes the whole leaf as one
      vector.

    **Raises:** `GameError` where `lower` exceeds `cap`, and for a leaf whose entries cannot sum to
    one. Where bounds are known to `jit` alone, a projection on the empty set is NaN.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.CappedSimplex(0.5).project(jnp.array([2.0, 0.25, 0.0])))
    [0.5   0.375 0.125]

    ```

    Source: Rockafellar and Uryasev, "Optimization of conditional value-at-risk", J. Risk 2 (2000),
    for the use; the projection is ours, a binary search among breakpoints as in Kiwiel,
    "Breakpoint searching algorithms for the continuous quadratic knapsack problem", Math. Program.
    112 (2008).
    """

    cap: Array = eqx.field(converter=_tree.as_real)
    lower: Array = eqx.field(default=0.0, converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        fits = not is_known(self.cap, self.lower) or bool(
            jnp.all((self.lower <= self.cap) & jnp.isfinite(self.lower) & jnp.isfinite(self.cap))
        )
        if self.cap.ndim != 0 or self.lower.ndim != 0 or not fits:
            raise GameError(
                "CappedSimplex needs finite scalars lower <= cap; it got lower "
                f"{self.lower} and cap {self.cap}."
            )

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        # A constant added to all entries moves no projection: what is left above the lower bound is
        # shared out.
        n, room = x.shape[-1], self.cap - self.lower
        shared = project_on_clipped(x, jnp.zeros_like(room), room, 1 - n * self.lower)
        lower, cap = self.lower.astype(x.dtype), self.cap.astype(x.dtype)
        return jnp.where(self._holds(n), jnp.minimum(lower + shared, cap), jnp.nan)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        lower = jnp.where(x <= self.lower.astype(x.dtype), 0, -jnp.inf)
        upper = jnp.where(x >= self.cap.astype(x.dtype), 0, jnp.inf)
        return project_on_clipped(v, lower, upper, jnp.zeros(()))

    def check(self, shape: tuple[int, ...]) -> None:
        n = math.prod(shape) if self.axis is None or shape == () else shape[self.axis]
        holds = self._holds(n)
        if is_known(holds) and not bool(holds):
            raise GameError(
                f"{n} entries from {self.lower} to {self.cap} cannot sum to one: expected a lower "
                f"bound of at most {1 / max(n, 1):.6g} and a cap of at least that."
            )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        # Every vertex is a permutation of one; the farthest from it has its order reversed.
        x = vectors(self.axis, point)
        vertex = self._filled(x.shape[-1])
        one = jnp.linalg.norm(vertex - vertex[::-1])
        return (one * math.prod(x.shape[:-1]) ** 0.5).astype(point.dtype)

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def filled(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            rank = jnp.argsort(jnp.argsort(d, axis=-1), axis=-1)
            return (self.lower + self._filled(d.shape[-1]))[rank].astype(d.dtype)

        return along(self.axis, filled, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # A constant added to the direction changes nothing, so take the price of the last entry
        # that is filled off: then no term is negative.
        def excess(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            last = jnp.maximum(jnp.sum(self._filled(d.shape[-1]) > 0) - 1, 0)
            return d - jnp.sort(d, axis=-1)[..., last, None]

        away = point - self.linear_minimizer(direction)
        return jnp.sum(away * along(self.axis, excess, direction))

    def _filled(self, n: int) -> Float[Array, " n"]:
        """What each of n entries in order of price gets on top of the lower bound."""
        room = self.cap - self.lower
        spent = room * jnp.arange(n, dtype=room.dtype)
        return jnp.clip(1 - n * self.lower - spent, 0, room)

    def _holds(self, n: int) -> Array:
        """Whether n entries can sum to one, up to rounding."""
        rounding = 8 * jnp.finfo(self.cap.dtype).eps
        return (n * self.lower <= 1 + rounding) & (n * self.cap >= 1 - rounding)


def example() -> CappedSimplex:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return CappedSimplex(0.75)
