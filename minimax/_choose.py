"""Which solver and which metric `solve` takes where none is given."""

from typing import NamedTuple

from jaxtyping import PyTree

from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._metrics.natural_residual import NaturalResidual
from minimax._metrics.tangent_residual import TangentResidual
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient
from minimax._solvers.base import AbstractSolver
from minimax._solvers.golden_ratio import GoldenRatio
from minimax._solvers.restarted_pdhg import RestartedPDHG
from minimax._solvers.semismooth_newton import SemismoothNewton
from minimax._structure import structure_of

_NOT_CONVEX = (
    "a set is not convex: nothing is proven there, and a short GradientDescentAscent may do better"
)


class Choice(NamedTuple):
    """A solver, and why it."""

    solver: AbstractSolver
    reason: str


def choose_solver(game: AbstractGame, players: PyTree, data: PyTree = None) -> Choice:
    """A solver with nothing to tune, by what the payoff's program proves.

    - `RestartedPDHG` where the payoff is bilinear and all distances are Euclidean: one evaluation
      per step, and linear convergence on linear programs and matrix games.
    - `AdaptiveExtraGradient` for every other game.
    - `GoldenRatio` wherever a set is not convex: nothing is proven there, but its steps are short,
      and a long one leaves a sphere through the origin, to the other side.

    Where all sets are convex, `SemismoothNewton` is around either where the operator is affine and
    has so few dimensions that its Jacobian can be formed.
    """
    structure, variables = structure_of(game, players, data), game.variables_of(players)
    if not _are_convex(game, players):
        return Choice(GoldenRatio(), _NOT_CONVEX)
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


def choose_metric(game: AbstractGame, players: PyTree) -> AbstractMetric:
    """`NaturalResidual`; and where a set is not convex `TangentResidual`, because a step that may
    leave through the origin moves from points where no player gains."""
    return NaturalResidual() if _are_convex(game, players) else TangentResidual()


def _are_convex(game: AbstractGame, players: PyTree) -> bool:
    constraints = (each.constraint for each in game.variables_of(players))
    return all(each is None or each.is_convex for each in constraints)
