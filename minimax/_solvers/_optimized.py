"""What methods that move players by optax optimizers have in common."""

import equinox as eqx
from jaxtyping import PyTree

from minimax._constraints.base import AbstractRegularizer
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer
from minimax._solvers.base import AbstractSolver


class AbstractOptimizedSolver(AbstractSolver):
    """A method that moves players by `optimizer`, and then projects them on their sets.

    So it knows nothing of regularisers, whose proximal steps need a step size, which an optimizer
    such as Adam does not have.
    """

    optimizer: eqx.AbstractVar[PyTree[Optimizer]]

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        refuse_regularizers(self, game, players)


def refuse_regularizers(solver: AbstractSolver, game: AbstractGame, players: PyTree) -> None:
    """Raises `GameError` where a player has a regulariser."""
    for each in game.variables_of(players):
        if isinstance(each.constraint, AbstractRegularizer):
            raise GameError(
                f"{type(solver).__name__} moves players by an optimizer and projects them, so it "
                f"cannot take a regulariser; {each.place} has {each.constraint!r}. Take "
                "mm.AdaptiveExtraGradient() or mm.ForwardReflectedBackward(step_size), or put "
                "the regulariser into the payoff."
            )
