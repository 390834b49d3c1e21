"""Popov's extragradient on regrets."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers._regret import (
    check_simplices,
    project_above_simplex,
    regrets,
    shares,
    strategies,
)
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class SmoothPredictiveRegretMatchingPlusState(NamedTuple):
    """`sums`: Q, to which the strategies are in proportion; `regret`: r at the last point that was
    looked ahead to."""

    sums: PyTree
    regret: PyTree


@final
class SmoothPredictiveRegretMatchingPlus(AbstractSolver):
    r"""SPRM+: the past regrets tell where to look ahead; the last iterates converge.

    As `ExtraGradientRegretMatchingPlus`, looking ahead along the regrets of the previous look:

    $$w_k = P(Q_k + \eta\, r(w_{k-1})), \qquad Q_{k+1} = P(Q_k + \eta\, r(w_k)), \qquad
      w_{-1} = Q_0 = x_0.$$

    One evaluation per step, and one at the start. On a matrix game the iterates converge to a
    solution for $\eta \le 1/(8L)$ (asymptotically; the best of them like $1/\sqrt{k}$), with the
    L told there. Larger steps are not covered. Totals and `EntropicSimplex` count as there.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0, and where a player's
    constraint is no `mm.Simplex` or `mm.EntropicSimplex`.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    >>> game = mm.Game(lambda players: players[0] @ A @ players[1], constraints=mm.Simplex())
    >>> start = jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5])
    >>> mm.solve(game, start, mm.SmoothPredictiveRegretMatchingPlus(0.3)).status
    <Status.converged: 0>

    ```

    Source: Farina et al., "Regret matching+: (in)stability and fast convergence in games", NeurIPS
    2023, arXiv:2305.14709; last iterates: Cai et al., "Last-iterate convergence properties of
    regret-matching algorithms in games", arXiv:2311.00676.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> SmoothPredictiveRegretMatchingPlusState:
        regret = regrets(game, players, game.operator(players, data))
        return SmoothPredictiveRegretMatchingPlusState(shares(game, players), regret)

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SmoothPredictiveRegretMatchingPlusState,
        data: PyTree = None,
    ) -> tuple[PyTree, SmoothPredictiveRegretMatchingPlusState]:
        ahead = project_above_simplex(
            game, players, _tree.add_scaled(state.sums, self.step_size, state.regret)
        )
        midpoint = strategies(game, players, ahead)
        regret = regrets(game, midpoint, game.operator(midpoint, data))
        sums = project_above_simplex(
            game, players, _tree.add_scaled(state.sums, self.step_size, regret)
        )
        return strategies(game, players, sums), SmoothPredictiveRegretMatchingPlusState(
            sums, regret
        )

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 1

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_simplices(game, players, "SmoothPredictiveRegretMatchingPlus")


def example() -> SmoothPredictiveRegretMatchingPlus:
    """For the tests that every solver passes."""
    return SmoothPredictiveRegretMatchingPlus(0.1)
