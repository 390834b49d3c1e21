"""The gap within reach, per unit of reach."""

from typing import final

from jaxtyping import Array, ArrayLike, Float, PyTree

from minimax._game import AbstractGame
from minimax._metrics._feasible import check_bounds_hold
from minimax._metrics.base import AbstractMetric
from minimax._metrics.restricted_gap import RestrictedGap


@final
class NormalizedGap(AbstractMetric):
    r"""The normalised gap
    $\frac1R \max \{\langle F(z), z - u \rangle : u \in Z, \|u - z\| \le R\}$.

    `RestrictedGap` in units of a residual: it does not grow with the radius R, tends to the tangent
    residual as R tends to zero, and without sets is $\|F(z)\|$. Restarted primal-dual methods for
    linear programs stop on it, with R the distance that they went.

    **Arguments:**

    - `radius`: $R > 0$.

    **Raises:** `GameError` for a radius that is not positive and finite, and where a set is not
    convex.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(mm.NormalizedGap(2.0)(game, (3.0, 4.0)))
    5.0

    ```

    Source: Applegate et al., "Faster first-order primal-dual methods for linear programming using
    restarts and sharpness", arXiv:2105.12715, definition 1.
    """

    restricted: RestrictedGap

    def __init__(self, radius: ArrayLike):
        self.restricted = RestrictedGap(radius)

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        self.check(game, players)
        gap = self.restricted(game, players, data)
        return gap / self.restricted.radius.astype(gap.dtype)

    def check(self, game: AbstractGame, players: PyTree) -> None:
        check_bounds_hold(self, game, players)


def example() -> NormalizedGap:
    """For the tests that every metric passes."""
    return NormalizedGap(1.0)
