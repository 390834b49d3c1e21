"""Forward-backward-forward splitting."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class ForwardBackwardForwardState(NamedTuple):
    """`midpoint`: the last projected point, which is the one to report."""

    midpoint: PyTree


@final
class ForwardBackwardForward(AbstractSolver):
    r"""Tseng's method: extragradient with one projection per step.

    $$w = P(z - \eta F(z)), \qquad z^+ = w + \eta \bigl(F(z) - F(w)\bigr).$$

    Two evaluations and one projection per step. Converges for every monotone L-Lipschitz F with
    $\eta < 1/L$. The iterates z may leave the players' sets, so the payoff must be defined there;
    reported are the w, which do not. Without constraints it is extragradient.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ForwardBackwardForward(0.5)).status
    <Status.converged: 0>

    ```

    Source: Tseng, "A modified forward-backward splitting method for maximal monotone mappings",
    SIAM J. Control Optim. 38 (2000), equations 2.2 and 2.3.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ForwardBackwardForwardState:
        del game, data
        return ForwardBackwardForwardState(players)

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ForwardBackwardForwardState,
        data: PyTree = None,
    ) -> tuple[PyTree, ForwardBackwardForwardState]:
        del state
        forward = game.operator(players, data)
        midpoint = game.prox_step(players, forward, self.step_size)
        correction = _tree.subtract(forward, game.operator(midpoint, data))
        players = _tree.add_scaled(midpoint, self.step_size, correction)
        return players, ForwardBackwardForwardState(midpoint)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def output(self, players: PyTree, state: ForwardBackwardForwardState) -> PyTree:
        del players
        return state.midpoint


def example() -> ForwardBackwardForward:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ForwardBackwardForward(0.1)
