"""Optimistic gradient."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player
from minimax._solvers._optimized import AbstractOptimizedSolver


class OptimisticGradientState(NamedTuple):
    """`optimizer`: of the players; `previous`: the last update; `first`: whether there is none."""

    optimizer: optax.OptState
    previous: PyTree
    first: Bool[Array, ""]


@final
class OptimisticGradient(AbstractOptimizedSolver):
    r"""Optimistic gradient: count on the gradient to change as it just did.

    $$z_{k+1} = P\bigl(z_k - 2\eta F(z_k) + \eta F(z_{k-1})\bigr), \qquad F(z_{-1}) = F(z_0).$$

    One evaluation per step. Converges for every monotone L-Lipschitz F with $\eta < 1/(2L)$, with
    constraints too (where it is `ForwardReflectedBackward`). On a bilinear game its slow root per
    singular value s has modulus $\sqrt{(1 + \sqrt{1 - 4\eta^2 s^2})/2}$ for $\eta s \le 1/2$. With
    another `optimizer` T it is $z_{k+1} = P(z_k + 2T_k - T_{k-1})$: optimistic Adam, with Adam.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.OptimisticGradient(0.4)).status
    <Status.converged: 0>

    ```

    Source: Popov, "A modification of the Arrow-Hurwicz method for search of saddle points" (1980);
    Daskalakis et al., "Training GANs with optimism", ICLR 2018, arXiv:1711.00141; with constraints:
    Malitsky and Tam, "A forward-backward splitting method for monotone inclusions without
    cocoercivity", SIAM J. Optim. 30 (2020), arXiv:1808.04162.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> OptimisticGradientState:
        return OptimisticGradientState(
            per_player(self.optimizer, game.roles_of(players, data)).init(players),
            _tree.scale(0, _tree.variables(players)),
            jnp.asarray(True),
        )

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: OptimisticGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, OptimisticGradientState]:
        move = per_player(self.optimizer, game.roles_of(players, data))
        update, optimizer = move.update(game.gradient(players, data), state.optimizer, players)
        update = _tree.cast(update, state.previous)
        previous = _tree.where(state.first, update, state.previous)
        players = game.project(_tree.add(players, _tree.subtract(_tree.scale(2, update), previous)))
        return players, OptimisticGradientState(optimizer, update, jnp.asarray(False))

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> OptimisticGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return OptimisticGradient(0.1)
