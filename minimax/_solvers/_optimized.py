"""What methods that move players by optax optimizers have in common."""

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._constraints.base import AbstractConstraint, AbstractRegularizer
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer
from minimax._players import as_players
from minimax._solvers.base import AbstractSolver


class AbstractOptimizedSolver(AbstractSolver):
    """A method that moves players by `optimizer`, and then projects them on their sets.

    So it knows nothing of regularisers, whose proximal steps need a step size, which an optimizer
    such as Adam does not have.
    """

    optimizer: eqx.AbstractVar[PyTree[Optimizer]]

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        constraints = game.constraint_of_each(_tree.variables(as_players(players)))
        leaves = jax.tree_util.tree_leaves_with_path(
            constraints, is_leaf=lambda leaf: isinstance(leaf, AbstractConstraint)
        )
        for path, constraint in leaves:
            if isinstance(constraint, AbstractRegularizer):
                name = type(self).__name__
                raise GameError(
                    f"{name} moves players by an optimizer and projects them, so it cannot take a "
                    f"regulariser; {_tree.place('players', path)} has {constraint!r}. Take "
                    "mm.AdaptiveExtraGradient() or mm.ForwardReflectedBackward(step_size), or put "
                    "the regulariser into the payoff."
                )
