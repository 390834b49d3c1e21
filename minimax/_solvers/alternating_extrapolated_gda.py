"""Gradient descent-ascent in turns that shows more than was done."""

from typing import NamedTuple, final

import equinox as eqx
import optax
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player, refuse_jointly
from minimax._roles import choose, turns
from minimax._solvers._optimized import AbstractOptimizedSolver


class AlternatingExtrapolatedGDAState(NamedTuple):
    """`optimizer`: of the players; `shown`: where each player seems to the others to be."""

    optimizer: optax.OptState
    shown: PyTree


@final
class AlternatingExtrapolatedGDA(AbstractOptimizedSolver):
    r"""Gradient descent-ascent in turns, each player seen where its move would lead if longer
    (Alex-GDA).

    $$x^+ = P(x - \eta_x \nabla_x f(x, \tilde y)), \quad \tilde x^+ = x + \gamma (x^+ - x), \qquad
      y^+ = P(y + \eta_y \nabla_y f(\tilde x^+, y)), \quad \tilde y^+ = y + \delta (y^+ - y).$$

    One gradient per player and step, which counts as one evaluation. $\gamma = \delta = 1$ is
    `AlternatingGradientDescentAscent`, and $\gamma = 0$, $\delta = 1$ is `GradientDescentAscent`;
    neither converges on bilinear games $x^\top A y$. The default $\gamma = 2$, $\delta = 1$ does:
    it is the primal-dual hybrid gradient method there, with constraints too. Without, with
    $q = \eta_x \eta_y s^2$ per singular value s, the error falls like $(1 - q)^{k/2}$ for $q < 1$,
    and it converges for q < 4/3. Where the payoff is strongly convex-concave, Alex-GDA needs, for
    suitable numbers, as many steps as extragradient by order of magnitude. $\tilde x$ and
    $\tilde y$ may lie outside the players' sets, so the payoff must be defined there.

    Players move in the order of the pytree (a dict: in the order of its sorted keys). Of more than
    two, all but the last are shown with $\gamma$.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`.
    - `gamma`, `delta`: how much of its move the first player and the last one show, finite and
      >= 0.

    **Raises:** `GameError` for other numbers.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.AlternatingExtrapolatedGDA(0.5)).status
    <Status.converged: 0>

    ```

    Source: Lee, Cho and Yun, "Fundamental benefit of alternating updates in minimax optimization",
    ICML 2024, arXiv:2402.10475.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    gamma: Float[Array, ""] = eqx.field(default=2.0, converter=_tree.as_real)
    delta: Float[Array, ""] = eqx.field(default=1.0, converter=_tree.as_real)

    def __check_init__(self) -> None:
        refuse_jointly(type(self).__name__, self.optimizer)
        for name in ("gamma", "delta"):
            number = getattr(self, name)
            if is_known(number) and not 0 <= float(number) < float("inf"):
                raise GameError(
                    f"{name} of AlternatingExtrapolatedGDA is {number}: expected a finite number "
                    ">= 0."
                )

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> AlternatingExtrapolatedGDAState:
        optimizer = per_player(self.optimizer, game.roles_of(players, data)).init(players)
        return AlternatingExtrapolatedGDAState(optimizer, players)

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: AlternatingExtrapolatedGDAState,
        data: PyTree = None,
    ) -> tuple[PyTree, AlternatingExtrapolatedGDAState]:
        roles = game.roles_of(players, data)
        move = per_player(self.optimizer, roles)
        optimizer, shown = state
        everyone = turns(roles)
        gradient, moved, after = None, players, optimizer
        for i, turn in enumerate(everyone):
            ours = game.gradient(choose(turn, players, shown), data)
            gradient = ours if gradient is None else choose(turn, ours, gradient)
            # A transformation works player by player, so what it makes of the blocks of those who
            # have not moved yet is not used.
            update, after = move.update(gradient, optimizer, players)
            moved = game.project(_tree.add(players, update))
            share = self.delta if i == len(everyone) - 1 else self.gamma
            shown = choose(turn, _tree.toward(players, moved, share), shown)
        return moved, AlternatingExtrapolatedGDAState(after, shown)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps


def example() -> AlternatingExtrapolatedGDA:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return AlternatingExtrapolatedGDA(0.1)
