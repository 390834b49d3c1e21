"""The natural residual of a variational inequality."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric


@final
class NaturalResidual(AbstractMetric):
    r"""The natural residual $\|z - P(z - \eta F(z))\| / \eta$.

    The Euclidean norm over all players of how far one projected step would move them. It is zero
    exactly where no player can improve to first order; where the payoff is convex-concave, that is
    at a saddle point. Without constraints it is $\|F(z)\|$, in units of payoff per unit of player.
    On a set that is not convex a step may leave a critical point if it is long (`L2Sphere`).

    **Arguments:**

    - `step_size`: $\eta > 0$. The residual does not grow with it; on compact sets it is at most
      their diameter over $\eta$, so a large step size makes every point look good.

    **Raises:** `GameError` for a step size that is not positive and finite.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(mm.NaturalResidual()(game, (3.0, 4.0)))
    5.0

    ```

    Source: Facchinei and Pang, "Finite-Dimensional Variational Inequalities and Complementarity
    Problems" (2003), section 1.5.
    """

    step_size: Array = eqx.field(default=1.0, converter=jnp.asarray)

    def __check_init__(self) -> None:
        if is_known(self.step_size) and not 0 < float(self.step_size) < float("inf"):
            raise GameError(
                f"NaturalResidual needs a finite step size > 0; it got {self.step_size}."
            )

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        back = game.natural_map(players, game.operator(players, data), self.step_size)
        distance = _tree.scaled_norm(back)
        return distance / self.step_size.astype(distance.dtype)


def example() -> NaturalResidual:
    """For the tests that every metric passes."""
    return NaturalResidual()
