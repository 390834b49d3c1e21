"""The tangent residual: the norm of the least subgradient."""

from typing import final

import jax
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._metrics._feasible import where_feasible
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players


@final
class TangentResidual(AbstractMetric):
    r"""The tangent residual $\min_{c \in N(z)} \|F(z) + c\| = \|P_{T(z)}(-F(z))\|$.

    N(z) and T(z) are the normal and the tangent cone of the players' sets. It is how fast the
    payoffs improve along the best feasible direction; no step size enters. It bounds the natural
    residual at every step size, and the gap restricted to a ball:

    $$\max_{u \in Z, \|u - z\| \le R} \langle F(z), z - u \rangle \le R\, \|P_{T(z)}(-F(z))\|.$$

    It is not continuous: next to a corner that solves the game it may be large, because there the
    set still lets players move on. Infinite for players outside their sets.

    **Raises:** `GameError` where a constraint does not know its tangent cones.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda p: 3 * p[0] + 4 * p[1], constraints=(mm.Box(0.0, 1.0), None))
    >>> print(mm.TangentResidual()(game, (0.0, 7.0)))
    4.0
    >>> print(mm.TangentResidual()(game, (0.5, 7.0)))
    5.0

    ```

    Source: Cai, Oikonomou and Zheng, "Finite-time last-iterate convergence for learning in
    multi-player games", NeurIPS 2022, arXiv:2204.09228, definition 3.
    """

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        players = as_players(players)
        downhill = _tree.scale(-1, game.operator(players, data))
        steepest = game.project_on_tangent_cone(players, downhill)
        return where_feasible(game, players, _tree.scaled_norm(steepest))

    def check(self, game: AbstractGame, players: PyTree) -> None:
        variables = _tree.variables(as_players(players))
        jax.eval_shape(lambda z: game.project_on_tangent_cone(z, z), variables)


def example() -> TangentResidual:
    """For the tests that every metric passes."""
    return TangentResidual()
