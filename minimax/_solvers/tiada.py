"""TiAda."""

from typing import Any, final

import equinox as eqx
import optax
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player
from minimax._solvers._optimized import AbstractOptimizedSolver
from minimax._transforms.scale_by_tiada import check_powers, scale_by_tiada


@final
class TiAda(AbstractOptimizedSolver):
    r"""Descent-ascent whose step sizes find the two time scales by themselves.

    With the sums of squared gradients so far, $v_x$ of the minimisers and $v_y$ of the maximisers,

    $$x^+ = P\left(x - \frac{\eta_x}{\max(v_x, v_y)^\alpha} \nabla_x f\right), \qquad
      y^+ = P\left(y + \frac{\eta_y}{v_y^\beta} \nabla_y f\right), \qquad \alpha > \beta.$$

    One evaluation per step. Where f is nonconvex in x and strongly concave in y, descent-ascent
    converges only if x is slow enough against y, and how slow depends on the condition number.
    Here the ratio of the step sizes falls of itself until x is slow enough: an
    $\epsilon$-stationary point takes $O(\epsilon^{-2})$ steps, and no constant need be known. With
    constraints on x this is not proven. On bilinear games it does not converge.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`; what it is given are the divided gradients.
    - `descent_power`, `ascent_power`: $1 > \alpha > \beta > 0$.

    **Raises:** `GameError` for other powers.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda z: -(z[0] ** 2) + 2 * z[0] * z[1] - z[1] ** 2 / 2)
    >>> mm.solve(game, (1.0, 1.0), mm.GradientDescentAscent(0.01)).status
    <Status.diverged: 2>
    >>> mm.solve(game, (1.0, 1.0), mm.TiAda(0.5)).status
    <Status.converged: 0>

    ```

    Source: Li, Yang and He, "TiAda: a time-scale adaptive algorithm for nonconvex minimax
    optimization", ICLR 2023, arXiv:2210.17478, algorithm 1; the sums begin at zero here.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    descent_power: Float[Array, ""] = eqx.field(default=0.6, converter=_tree.as_real)
    ascent_power: Float[Array, ""] = eqx.field(default=0.4, converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_powers(self.descent_power, self.ascent_power)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> optax.OptState:
        return self._transformation(game, players, data).init(players)

    def step(
        self, game: AbstractGame, players: PyTree, state: optax.OptState, data: PyTree = None
    ) -> tuple[PyTree, optax.OptState]:
        gradient = game.gradient(players, data)
        update, state = self._transformation(game, players, data).update(gradient, state, players)
        return game.project(_tree.add(players, update)), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps

    def stats(self, state: Any) -> dict[str, Array]:
        return state[0]._asdict()

    def _transformation(
        self, game: AbstractGame, players: PyTree, data: PyTree
    ) -> optax.GradientTransformation:
        scale = scale_by_tiada(game.roles, self.descent_power, self.ascent_power)
        return optax.chain(scale, per_player(self.optimizer, game.roles_of(players, data)))


def example() -> TiAda:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return TiAda(1.0)
