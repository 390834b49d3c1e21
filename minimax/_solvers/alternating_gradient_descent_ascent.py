"""Gradient descent-ascent in turns."""

from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player, refuse_jointly
from minimax._roles import choose, turns
from minimax._solvers._optimized import AbstractOptimizedSolver


@final
class AlternatingGradientDescentAscent(AbstractOptimizedSolver):
    r"""Descent-ascent in turns: each player sees what those before it have just done.

    $$x^+ = P(x - \eta_x \nabla_x f(x, y)), \qquad y^+ = P(y + \eta_y \nabla_y f(x^+, y)).$$

    Players move in the order of the pytree (a dict: in the order of its sorted keys). One gradient
    per player and step, which counts as one evaluation. On a bilinear game $x^\top A y$ it neither
    converges nor diverges while $\sqrt{\eta_x \eta_y}\, s_{\max} < 2$: it keeps
    $\|x\|^2/\eta_x + \|y\|^2/\eta_y - x^\top A y$ exactly, and its average converges like 1/k.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Averaged(mm.AlternatingGradientDescentAscent(0.5))
    >>> mm.solve(game, (1.0, 1.0), solver, tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Bailey, Gidel and Piliouras, "Finite regret and cycles with fixed step-size via
    alternating gradient descent-ascent", COLT 2020, arXiv:1907.04392.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)

    def __check_init__(self) -> None:
        refuse_jointly(type(self).__name__, self.optimizer)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> PyTree:
        return per_player(self.optimizer, game.roles_of(players, data)).init(players)

    def step(
        self, game: AbstractGame, players: PyTree, state: PyTree, data: PyTree = None
    ) -> tuple[PyTree, PyTree]:
        roles = game.roles_of(players, data)
        move = per_player(self.optimizer, roles)
        first, *later = turns(roles)
        gradient = game.gradient(players, data)
        moved = first
        for turn in later:
            # The blocks of those that have moved are final; a transformation works player by
            # player, so what it makes of the other blocks meanwhile is not used.
            update, _ = move.update(gradient, state, players)
            seen = choose(moved, game.project(_tree.add(players, update)), players)
            gradient = choose(turn, game.gradient(seen, data), gradient)
            moved = jax.tree.map(lambda a, b: a or b, moved, turn)
        update, state = move.update(gradient, state, players)
        return game.project(_tree.add(players, update)), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> AlternatingGradientDescentAscent:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return AlternatingGradientDescentAscent(0.1)
