"""Saddle points and min-max games on JAX: define a game, solve it, certify it, plot it."""

from minimax import plot as plot
from minimax._certify._certificate import Certificate as Certificate
from minimax._certify.certify import certify as certify
from minimax._check_game import GameReport as GameReport
from minimax._check_game import check_game as check_game
from minimax._checkpoint import Checkpoint as Checkpoint
from minimax._constraints.affine_set import AffineSet as AffineSet
from minimax._constraints.base import AbstractCompactSet as AbstractCompactSet
from minimax._constraints.base import AbstractConstraint as AbstractConstraint
from minimax._constraints.base import AbstractRegularizer as AbstractRegularizer
from minimax._constraints.base import AbstractSet as AbstractSet
from minimax._constraints.box import Box as Box
from minimax._constraints.capped_simplex import CappedSimplex as CappedSimplex
from minimax._constraints.elastic_net import ElasticNet as ElasticNet
from minimax._constraints.entropic_simplex import EntropicSimplex as EntropicSimplex
from minimax._constraints.group_lasso import GroupLasso as GroupLasso
from minimax._constraints.halfspace import Halfspace as Halfspace
from minimax._constraints.hyperplane import Hyperplane as Hyperplane
from minimax._constraints.l1 import L1 as L1
from minimax._constraints.l1_ball import L1Ball as L1Ball
from minimax._constraints.l1_sphere import L1Sphere as L1Sphere
from minimax._constraints.l2_ball import L2Ball as L2Ball
from minimax._constraints.l2_sphere import L2Sphere as L2Sphere
from minimax._constraints.l_inf_ball import LInfBall as LInfBall
from minimax._constraints.l_inf_sphere import LInfSphere as LInfSphere
from minimax._constraints.negative_entropy import NegativeEntropy as NegativeEntropy
from minimax._constraints.non_negative import NonNegative as NonNegative
from minimax._constraints.nuclear_norm import NuclearNorm as NuclearNorm
from minimax._constraints.nuclear_norm_ball import NuclearNormBall as NuclearNormBall
from minimax._constraints.positive_semidefinite_cone import (
    PositiveSemidefiniteCone as PositiveSemidefiniteCone,
)
from minimax._constraints.second_order_cone import SecondOrderCone as SecondOrderCone
from minimax._constraints.simplex import Simplex as Simplex
from minimax._constraints.spectral_norm_ball import SpectralNormBall as SpectralNormBall
from minimax._constraints.spectraplex import Spectraplex as Spectraplex
from minimax._constraints.squared_l2 import SquaredL2 as SquaredL2
from minimax._errors import GameError as GameError
from minimax._example import Example as Example
from minimax._frozen import freeze as freeze
from minimax._frozen import unfreeze as unfreeze
from minimax._game import AbstractGame as AbstractGame
from minimax._game import Game as Game
from minimax._metrics.base import AbstractMetric as AbstractMetric
from minimax._metrics.duality_gap import DualityGap as DualityGap
from minimax._metrics.exploitability import Exploitability as Exploitability
from minimax._metrics.natural_residual import NaturalResidual as NaturalResidual
from minimax._metrics.normalized_gap import NormalizedGap as NormalizedGap
from minimax._metrics.operator_residual import OperatorResidual as OperatorResidual
from minimax._metrics.restricted_gap import RestrictedGap as RestrictedGap
from minimax._metrics.subgradient_residual import SubgradientResidual as SubgradientResidual
from minimax._metrics.tangent_residual import TangentResidual as TangentResidual
from minimax._optimizers import Jointly as Jointly
from minimax._optimizers import per_player as per_player
from minimax._sampler import IndependentBatches as IndependentBatches
from minimax._sampler import Sampler as Sampler
from minimax._solution import Solution as Solution
from minimax._solution import Status as Status
from minimax._solution import Trace as Trace
from minimax._solve import solve as solve
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient as AdaptiveExtraGradient
from minimax._solvers.alternating_extrapolated_gda import (
    AlternatingExtrapolatedGDA as AlternatingExtrapolatedGDA,
)
from minimax._solvers.alternating_gradient_descent_ascent import (
    AlternatingGradientDescentAscent as AlternatingGradientDescentAscent,
)
from minimax._solvers.anchored_popov import AnchoredPopov as AnchoredPopov
from minimax._solvers.anderson import Anderson as Anderson
from minimax._solvers.averaged import Averaged as Averaged
from minimax._solvers.base import AbstractSolver as AbstractSolver
from minimax._solvers.best_response import BestResponse as BestResponse
from minimax._solvers.best_so_far import BestSoFar as BestSoFar
from minimax._solvers.competitive_gradient_descent import (
    CompetitiveGradientDescent as CompetitiveGradientDescent,
)
from minimax._solvers.consensus_optimization import ConsensusOptimization as ConsensusOptimization
from minimax._solvers.curvature_extra_gradient import (
    CurvatureExtraGradient as CurvatureExtraGradient,
)
from minimax._solvers.dual_extrapolation import DualExtrapolation as DualExtrapolation
from minimax._solvers.exponential_moving_average import (
    ExponentialMovingAverage as ExponentialMovingAverage,
)
from minimax._solvers.extra_anchored_gradient import ExtraAnchoredGradient as ExtraAnchoredGradient
from minimax._solvers.extra_gradient import ExtraGradient as ExtraGradient
from minimax._solvers.extra_gradient_regret_matching_plus import (
    ExtraGradientRegretMatchingPlus as ExtraGradientRegretMatchingPlus,
)
from minimax._solvers.fast_extra_gradient import FastExtraGradient as FastExtraGradient
from minimax._solvers.forward_backward_forward import (
    ForwardBackwardForward as ForwardBackwardForward,
)
from minimax._solvers.forward_reflected_backward import (
    ForwardReflectedBackward as ForwardReflectedBackward,
)
from minimax._solvers.golden_ratio import GoldenRatio as GoldenRatio
from minimax._solvers.gradient_descent_ascent import GradientDescentAscent as GradientDescentAscent
from minimax._solvers.halpern import Halpern as Halpern
from minimax._solvers.lookahead import Lookahead as Lookahead
from minimax._solvers.mirror_prox import MirrorProx as MirrorProx
from minimax._solvers.newton import Newton as Newton
from minimax._solvers.optimistic_gradient import OptimisticGradient as OptimisticGradient
from minimax._solvers.optimistic_mirror_descent import (
    OptimisticMirrorDescent as OptimisticMirrorDescent,
)
from minimax._solvers.pdhg import PDHG as PDHG
from minimax._solvers.popov_extra_gradient import PopovExtraGradient as PopovExtraGradient
from minimax._solvers.reflected_gradient import ReflectedGradient as ReflectedGradient
from minimax._solvers.regret_matching_plus import RegretMatchingPlus as RegretMatchingPlus
from minimax._solvers.restarted import Restarted as Restarted
from minimax._solvers.restarted_pdhg import RestartedPDHG as RestartedPDHG
from minimax._solvers.semismooth_newton import SemismoothNewton as SemismoothNewton
from minimax._solvers.smooth_predictive_regret_matching_plus import (
    SmoothPredictiveRegretMatchingPlus as SmoothPredictiveRegretMatchingPlus,
)
from minimax._solvers.smoothed_gradient_descent_ascent import (
    SmoothedGradientDescentAscent as SmoothedGradientDescentAscent,
)
from minimax._solvers.symplectic_gradient_adjustment import (
    SymplecticGradientAdjustment as SymplecticGradientAdjustment,
)
from minimax._solvers.tiada import TiAda as TiAda
from minimax._solvers.variance_reduced_extra_gradient import (
    VarianceReducedExtraGradient as VarianceReducedExtraGradient,
)
from minimax._solvers.varying_extra_anchored_gradient import (
    VaryingExtraAnchoredGradient as VaryingExtraAnchoredGradient,
)
from minimax._stability import Stability as Stability
from minimax._stability import local_stability as local_stability
from minimax._state import WithState as WithState
from minimax._transforms.extra_gradient import extra_gradient as extra_gradient
from minimax._transforms.scale_by_tiada import scale_by_tiada as scale_by_tiada

__version__ = "0.1.0"
