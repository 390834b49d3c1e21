"""Extra-anchored gradient."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class ExtraAnchoredGradientState(NamedTuple):
    """`anchor`: where the run began; `steps`: how many have been made since."""

    anchor: PyTree
    steps: Int[Array, ""]


@final
class ExtraAnchoredGradient(AbstractSolver):
    r"""Extragradient that is pulled back to where it began, ever less.

    With $b = 1/(k + 2)$ in step $k = 0, 1, \dots$ and $z_k' = z_k + b (z_0 - z_k)$,

    $$w = P(z_k' - \eta F(z_k)), \qquad z_{k+1} = P(z_k' - \eta F(w)).$$

    Two evaluations per step. Without constraints, for every monotone L-Lipschitz F and
    $c = \eta L \le 1/8$,
    $\|F(z_k)\|^2 \le \frac{4 (1 + c + c^2)}{\eta^2 (1 + c)} \|z_0 - z^\star\|^2 / (k + 1)^2$: the
    last iterate, at the best possible order. `FastExtraGradient` has a better constant.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ExtraAnchoredGradient(0.5), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Yoon and Ryu, "Accelerated algorithms for smooth convex-concave minimax problems with
    O(1/k^2) rate on squared gradient norm", ICML 2021, arXiv:2102.07922, EAG-C and theorem 2.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ExtraAnchoredGradientState:
        del game, data
        return ExtraAnchoredGradientState(players, jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ExtraAnchoredGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, ExtraAnchoredGradientState]:
        b = 1 / (state.steps + 2)
        pulled = _tree.toward(players, state.anchor, b)
        midpoint = game.prox_step(pulled, game.operator(players, data), self.step_size)
        players = game.prox_step(pulled, game.operator(midpoint, data), self.step_size)
        return players, ExtraAnchoredGradientState(state.anchor, state.steps + 1)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps


def example() -> ExtraAnchoredGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ExtraAnchoredGradient(0.5)
