"""Popov's extragradient."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class PopovExtraGradientState(NamedTuple):
    """`operator`: F at the last point that was looked ahead to."""

    operator: PyTree


@final
class PopovExtraGradient(AbstractSolver):
    r"""Extragradient that looks ahead along the operator of the previous look: past extragradient.

    $$w_k = P(z_k - \eta F(w_{k-1})), \qquad z_{k+1} = P(z_k - \eta F(w_k)), \qquad w_{-1} = z_0.$$

    One evaluation per step, and one at the start; F is only evaluated in the players' sets.
    Converges for every monotone L-Lipschitz F with
    $\eta < 1/(2L)$; without constraints the w are the iterates of the optimistic gradient.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.PopovExtraGradient(0.4)).status
    <Status.converged: 0>

    ```

    Source: Popov, "A modification of the Arrow-Hurwicz method for search of saddle points" (1980);
    Hsieh et al., "On the convergence of single-call stochastic extra-gradient methods", NeurIPS
    2019, arXiv:1908.08465.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> PopovExtraGradientState:
        return PopovExtraGradientState(game.operator(players, data))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: PopovExtraGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, PopovExtraGradientState]:
        midpoint = game.prox_step(players, state.operator, self.step_size)
        operator = game.operator(midpoint, data)
        players = game.prox_step(players, operator, self.step_size)
        return players, PopovExtraGradientState(operator)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 1


def example() -> PopovExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return PopovExtraGradient(0.1)
