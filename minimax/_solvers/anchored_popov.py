"""Anchored Popov scheme."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class AnchoredPopovState(NamedTuple):
    """`anchor`: where the run began; `operator`: F at the last point that was looked ahead to;
    `steps`: how many have been made."""

    anchor: PyTree
    operator: PyTree
    steps: Int[Array, ""]


@final
class AnchoredPopov(AbstractSolver):
    r"""Popov's extragradient that is pulled back to where it began, ever less.

    With $w_{-1} = z_0$, and in step $k = 0, 1, \dots$ with $b = 1/(k + 2)$ and
    $z_k' = z_k + b (z_0 - z_k)$,

    $$w_k = P(z_k' - \eta F(w_{k-1})), \qquad z_{k+1} = P(z_k' - \eta F(w_k)).$$

    One evaluation per step, and one at the start. Without constraints the residual of the last
    iterate of a monotone Lipschitz F falls like 1/k.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.AnchoredPopov(0.4), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Tran-Dinh and Luo, "Halpern-type accelerated and splitting algorithms for monotone
    inclusions" (2021), arXiv:2110.08150.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> AnchoredPopovState:
        return AnchoredPopovState(players, game.operator(players, data), jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: AnchoredPopovState, data: PyTree = None
    ) -> tuple[PyTree, AnchoredPopovState]:
        b = 1 / (state.steps + 2)
        pulled = _tree.toward(players, state.anchor, b)
        midpoint = game.prox_step(pulled, state.operator, self.step_size)
        operator = game.operator(midpoint, data)
        players = game.prox_step(pulled, operator, self.step_size)
        return players, AnchoredPopovState(state.anchor, operator, state.steps + 1)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 1


def example() -> AnchoredPopov:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return AnchoredPopov(0.4)
