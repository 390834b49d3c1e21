"""Projected reflected gradient."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class ReflectedGradientState(NamedTuple):
    """`previous`: the players before the last step."""

    previous: PyTree


@final
class ReflectedGradient(AbstractSolver):
    r"""Projected reflected gradient: evaluate where the last step would lead once more.

    $$z_{k+1} = P\bigl(z_k - \eta F(2 z_k - z_{k-1})\bigr), \qquad z_{-1} = z_0.$$

    One evaluation and one projection per step. Converges for every monotone L-Lipschitz F with
    $\eta < (\sqrt 2 - 1)/L$. The point $2 z_k - z_{k-1}$ may lie outside the players' sets, so the
    payoff must be defined there. Where F is affine and players are free these are the iterates of
    the optimistic gradient.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ReflectedGradient(0.4)).status
    <Status.converged: 0>

    ```

    Source: Malitsky, "Projected reflected gradient methods for monotone variational inequalities",
    SIAM J. Optim. 25 (2015), arXiv:1502.04968, algorithm 3.1.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ReflectedGradientState:
        del game, data
        return ReflectedGradientState(players)

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ReflectedGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, ReflectedGradientState]:
        reflected = _tree.add(players, _tree.subtract(players, state.previous))
        operator = game.operator(reflected, data)
        return game.prox_step(players, operator, self.step_size), ReflectedGradientState(players)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> ReflectedGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ReflectedGradient(0.1)
