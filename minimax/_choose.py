"""Which solver `solve` takes where none is given."""

from typing import NamedTuple

import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._constraints.base import AbstractConstraint
from minimax._game import AbstractGame
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient
from minimax._solvers.base import AbstractSolver
from minimax._solvers.restarted_pdhg import RestartedPDHG
from minimax._structure import structure_of


class Choice(NamedTuple):
    """A solver, and why it."""

    solver: AbstractSolver
    reason: str


def choose_solver(game: AbstractGame, players: PyTree, data: PyTree = None) -> Choice:
    """A solver with nothing to tune, by what the payoff's program proves.

    - `RestartedPDHG` where the payoff is bilinear and all distances are Euclidean: one evaluation
      per step, and linear convergence on linear programs and matrix games.
    - `AdaptiveExtraGradient` for every other game.
    """
    if not structure_of(game, players, data).is_bilinear:
        return Choice(AdaptiveExtraGradient(), "for any payoff")
    constraints = jax.tree.leaves(
        game.constraint_of_each(_tree.variables(players)),
        is_leaf=lambda leaf: isinstance(leaf, AbstractConstraint),
    )
    if not all(constraint.is_euclidean for constraint in constraints):
        return Choice(AdaptiveExtraGradient(), "bilinear, but a distance is not Euclidean")
    return Choice(RestartedPDHG(), "the payoff is bilinear")
