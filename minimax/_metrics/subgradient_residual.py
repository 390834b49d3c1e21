"""The subgradient that an extragradient step comes by."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players
from minimax._step_size import as_step_size


@final
class SubgradientResidual(AbstractMetric):
    r"""The norm of $v = (z - w)/\eta + F(w) - F(z)$ with $w = P(z - \eta F(z))$.

    v is in $(F + N)(w)$, for any proximal step P, so the norm of v bounds the tangent residual at
    **w**, the point one step on, and not at the players z: where it is small, w is what is
    certified. No tangent cone need be known, and players may have regularisers.

    Where F is L-Lipschitz it is at least $(1/\eta - L)\|z - w\|$, so for $\eta < 1/L$ it is zero
    exactly at solutions. For longer steps it may be zero at players that solve nothing, one step
    before a solution. An extragradient method has both values of F, so to it this costs nothing; as
    a metric it costs two evaluations.

    **Arguments:**

    - `step_size`: $\eta > 0$, below 1/L.

    **Raises:** `GameError` for a step size that is not positive and finite.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(mm.SubgradientResidual(0.5)(game, (1.0, 1.0)))  # |F(w)| at w = (0.5, 1.5)
    1.5811388

    ```

    Source: Monteiro and Svaiter, "On the complexity of the hybrid proximal extragradient method for
    the iterates and the ergodic mean" (2010), section 5.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        z = as_players(players)
        at_z = game.operator(z, data)
        back = game.natural_map(z, at_z, self.step_size)
        w = _tree.subtract(z, back)
        at_w = game.operator(w, data)
        v = _tree.add_scaled(_tree.subtract(at_w, at_z), 1 / self.step_size, back)
        return _tree.scaled_norm(v)


def example() -> SubgradientResidual:
    """For the tests that every metric passes."""
    return SubgradientResidual(0.1)
