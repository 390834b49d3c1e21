"""The norm of the operator, where there are no sets."""

from typing import final

from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players


@final
class OperatorResidual(AbstractMetric):
    r"""The norm of the operator, $\|F(z)\|$, for players who are all free.

    The Euclidean norm over all players of the gradients of their own payoffs: what is plotted of
    unconstrained games. It is zero exactly at their critical points; where the payoff is
    convex-concave, those are its saddle points. `NaturalResidual` and `TangentResidual` are the
    same number there; this one says that it knows no sets, instead of measuring something else.

    **Raises:** `GameError` where a player has a set or a regulariser, because a solution at which
    it holds a player back has an operator that is not zero.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(mm.OperatorResidual()(game, (3.0, 4.0)))
    5.0

    ```

    Source: Yoon and Ryu, "Accelerated algorithms for smooth convex-concave minimax problems with
    O(1/k^2) rate on squared gradient norm", ICML 2021, arXiv:2102.07922, which bounds its square.
    """

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        self.check(game, players)
        return _tree.scaled_norm(game.operator(as_players(players), data))

    def check(self, game: AbstractGame, players: PyTree) -> None:
        for each in game.variables_of(players):
            if each.constraint is not None:
                raise GameError(
                    f"OperatorResidual is for players who are free; {each.place} has "
                    f"{type(each.constraint).__name__}, and where that holds a player back the "
                    "operator is not zero at a solution. Use mm.NaturalResidual()."
                )


def example() -> OperatorResidual:
    """For the tests that every metric passes."""
    return OperatorResidual()
