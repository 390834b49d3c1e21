"""Saddle points and min-max games on JAX: define a game, solve it, certify it, plot it."""

from minimax import plot as plot
from minimax._certificate import Certificate as Certificate
from minimax._certify import certify as certify
from minimax._check_game import GameReport as GameReport
from minimax._check_game import check_game as check_game
from minimax._constraints.base import AbstractCompactSet as AbstractCompactSet
from minimax._constraints.base import AbstractConstraint as AbstractConstraint
from minimax._constraints.base import AbstractSet as AbstractSet
from minimax._constraints.box import Box as Box
from minimax._constraints.l1_ball import L1Ball as L1Ball
from minimax._constraints.l2_ball import L2Ball as L2Ball
from minimax._constraints.l_inf_ball import LInfBall as LInfBall
from minimax._constraints.non_negative import NonNegative as NonNegative
from minimax._constraints.positive_semidefinite_cone import (
    PositiveSemidefiniteCone as PositiveSemidefiniteCone,
)
from minimax._constraints.simplex import Simplex as Simplex
from minimax._errors import GameError as GameError
from minimax._example import Example as Example
from minimax._game import AbstractGame as AbstractGame
from minimax._game import Game as Game
from minimax._metrics.base import AbstractMetric as AbstractMetric
from minimax._metrics.duality_gap import DualityGap as DualityGap
from minimax._metrics.exploitability import Exploitability as Exploitability
from minimax._metrics.natural_residual import NaturalResidual as NaturalResidual
from minimax._metrics.normalized_gap import NormalizedGap as NormalizedGap
from minimax._metrics.restricted_gap import RestrictedGap as RestrictedGap
from minimax._metrics.subgradient_residual import SubgradientResidual as SubgradientResidual
from minimax._metrics.tangent_residual import TangentResidual as TangentResidual
from minimax._optimizers import per_player as per_player
from minimax._solution import Solution as Solution
from minimax._solution import Status as Status
from minimax._solution import Trace as Trace
from minimax._solve import solve as solve
from minimax._solvers.adaptive_extra_gradient import (
    AdaptiveExtraGradient as AdaptiveExtraGradient,
)
from minimax._solvers.alternating_gradient_descent_ascent import (
    AlternatingGradientDescentAscent as AlternatingGradientDescentAscent,
)
from minimax._solvers.anchored_popov import AnchoredPopov as AnchoredPopov
from minimax._solvers.averaged import Averaged as Averaged
from minimax._solvers.base import AbstractSolver as AbstractSolver
from minimax._solvers.extra_anchored_gradient import ExtraAnchoredGradient as ExtraAnchoredGradient
from minimax._solvers.extra_gradient import ExtraGradient as ExtraGradient
from minimax._solvers.fast_extra_gradient import FastExtraGradient as FastExtraGradient
from minimax._solvers.forward_backward_forward import (
    ForwardBackwardForward as ForwardBackwardForward,
)
from minimax._solvers.gradient_descent_ascent import GradientDescentAscent as GradientDescentAscent
from minimax._solvers.halpern import Halpern as Halpern
from minimax._solvers.lookahead import Lookahead as Lookahead
from minimax._solvers.optimistic_gradient import OptimisticGradient as OptimisticGradient
from minimax._solvers.pdhg import PDHG as PDHG
from minimax._solvers.popov_extra_gradient import PopovExtraGradient as PopovExtraGradient
from minimax._solvers.reflected_gradient import ReflectedGradient as ReflectedGradient
from minimax._solvers.restarted_pdhg import RestartedPDHG as RestartedPDHG
from minimax._stability import Stability as Stability
from minimax._stability import local_stability as local_stability
from minimax._transforms.extra_gradient import extra_gradient as extra_gradient

__version__ = "0.1.0"
