"""Smoothed gradient descent-ascent."""

from typing import NamedTuple, final

import equinox as eqx
import optax
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player, refuse_jointly
from minimax._roles import choose, minimisers
from minimax._solvers._optimized import AbstractOptimizedSolver


class SmoothedGradientDescentAscentState(NamedTuple):
    """`optimizer`: its state; `center`: c, which follows the minimisers (that of the
    maximisers is not used)."""

    optimizer: optax.OptState
    center: PyTree


@final
class SmoothedGradientDescentAscent(AbstractOptimizedSolver):
    r"""Descent-ascent in turns, in which minimisers are held by a center that follows slowly.

    $$x^+ = P(x - \eta_x (\nabla_x f(x, y) + p (x - c))), \qquad
      y^+ = P(y + \eta_y \nabla_y f(x^+, y)), \qquad c^+ = c + \beta (x^+ - c).$$

    All minimisers x move first, then all maximisers y. One gradient per player and step, which
    counts as one evaluation. Where $\nabla f$ is L-Lipschitz, $p > L$ makes
    $f + \tfrac p2 \|x - c\|^2$ strongly convex in x. For f nonconvex in x and concave in y, with y
    in a compact set, the method then reaches an $\epsilon$-stationary point in $O(\epsilon^{-4})$
    steps, if the step sizes are small enough and $\beta$ is of order $\epsilon^2$; a constant
    $\beta$ and $O(\epsilon^{-2})$ steps do, under a condition of strict complementarity, where f is
    the maximum of finitely many functions (linear in y on the simplex). It also damps the rotation
    of bilinear games.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`.
    - `smoothing`: $p \ge 0$; about 2L is usual.
    - `pull`: $\beta \in (0, 1]$.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.SmoothedGradientDescentAscent(0.3, smoothing=1.0, pull=0.5)
    >>> mm.solve(game, (1.0, 1.0), solver).status
    <Status.converged: 0>

    ```

    Source: Zhang, Xiao, Sun and Luo, "A single-loop smoothed gradient descent-ascent algorithm for
    nonconvex-concave min-max problems", NeurIPS 2020, arXiv:2010.15768, algorithm 2.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    smoothing: Float[Array, ""] = eqx.field(converter=_tree.as_real)
    pull: Float[Array, ""] = eqx.field(default=0.5, converter=_tree.as_real)

    def __check_init__(self) -> None:
        refuse_jointly(type(self).__name__, self.optimizer)
        if is_known(self.smoothing) and not 0 <= float(self.smoothing) < float("inf"):
            raise GameError(f"smoothing is {self.smoothing}: expected a finite number >= 0.")
        if is_known(self.pull) and not 0 < float(self.pull) <= 1:
            raise GameError(f"pull is {self.pull}: expected a number above 0 and up to 1.")

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> SmoothedGradientDescentAscentState:
        optimizer = per_player(self.optimizer, game.roles_of(players, data)).init(players)
        return SmoothedGradientDescentAscentState(optimizer, _tree.variables(players))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SmoothedGradientDescentAscentState,
        data: PyTree = None,
    ) -> tuple[PyTree, SmoothedGradientDescentAscentState]:
        move = per_player(self.optimizer, game.roles_of(players, data))
        descends = minimisers(game.roles)
        # What is made of the maximisers here is not used: a transformation works player by player.
        away = _tree.subtract(players, state.center)
        held = _tree.add_scaled(game.gradient(players, data), self.smoothing, away)
        update, _ = move.update(held, state.optimizer, players)
        seen = choose(descends, game.project(_tree.add(players, update)), players)
        gradient = choose(descends, held, game.gradient(seen, data))
        update, optimizer = move.update(gradient, state.optimizer, players)
        players = game.project(_tree.add(players, update))
        center = _tree.toward(state.center, _tree.variables(players), self.pull)
        return players, SmoothedGradientDescentAscentState(optimizer, center)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> SmoothedGradientDescentAscent:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return SmoothedGradientDescentAscent(0.1, smoothing=1.0)
