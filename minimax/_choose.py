"""Which solver `solve` takes where none is given."""

from typing import NamedTuple

from jaxtyping import PyTree

from minimax._game import AbstractGame
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient
from minimax._solvers.base import AbstractSolver
from minimax._solvers.restarted_pdhg import RestartedPDHG
from minimax._solvers.semismooth_newton import SemismoothNewton
from minimax._structure import structure_of


class Choice(NamedTuple):
    """A solver, and why it."""

    solver: AbstractSolver
    reason: str


def choose_solver(game: AbstractGame, players: PyTree, data: PyTree = None) -> Choice:
    """A solver with nothing to tune, by what the payoff's program proves.

    - `RestartedPDHG` where the payoff is bilinear and all distances are Euclidean: one evaluation
      per step, and linear convergence on linear programs and matrix games.
    - `AdaptiveExtraGradient` for every other game, and wherever a set is not convex.

    Where all sets are convex, `SemismoothNewton` is around either where the operator is affine and
    has so few dimensions that its Jacobian can be formed.
    """
    structure, variables = structure_of(game, players, data), game.variables_of(players)
    if not all(each.constraint is None or each.constraint.is_convex for each in variables):
        return Choice(AdaptiveExtraGradient(), "a set is not convex: nothing is proven there")
    if not structure.is_bilinear:
        reason = "the operator is affine" if structure.is_affine else "for any payoff"
        choice = Choice(AdaptiveExtraGradient(), reason)
    elif not all(each.constraint is None or each.constraint.is_euclidean for each in variables):
        choice = Choice(AdaptiveExtraGradient(), "bilinear, but a distance is not Euclidean")
    else:
        choice = Choice(RestartedPDHG(), "the payoff is bilinear")
    newton = SemismoothNewton(choice.solver)
    is_small = sum(each.value.size for each in variables) <= newton.size
    return choice._replace(solver=newton) if structure.is_affine and is_small else choice
