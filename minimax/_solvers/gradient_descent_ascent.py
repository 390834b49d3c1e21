"""Simultaneous gradient descent-ascent."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player
from minimax._solvers._optimized import AbstractOptimizedSolver


@final
class GradientDescentAscent(AbstractOptimizedSolver):
    r"""Simultaneous gradient descent-ascent, $z^+ = P(z - \eta F(z))$.

    One evaluation per step. Converges for $\eta < 2\mu/L^2$ where F is $\mu$-strongly monotone and
    L-Lipschitz; on a bilinear game every step grows the error by $\sqrt{1 + \eta^2 s^2}$ per
    singular value s: it diverges at every step size. With optax's momentum, Adam or
    `optimistic_gradient_descent` as `optimizer` it is that method.

    **Arguments:**

    - `optimizer`: a step size, a schedule or an optax transformation, for all players, per role or
      per player. Different step sizes per player are two-timescale descent-ascent.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.GradientDescentAscent(0.5), max_steps=1000).status
    <Status.diverged: 2>

    ```

    Source: Arrow, Hurwicz and Uzawa, "Studies in Linear and Non-Linear Programming" (1958).
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> PyTree:
        return per_player(self.optimizer, game.roles_of(players, data)).init(players)

    def step(
        self, game: AbstractGame, players: PyTree, state: PyTree, data: PyTree = None
    ) -> tuple[PyTree, PyTree]:
        move = per_player(self.optimizer, game.roles_of(players, data))
        update, state = move.update(game.gradient(players, data), state, players)
        return game.project(_tree.add(players, update)), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> GradientDescentAscent:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return GradientDescentAscent(0.1)
