"""Consensus optimization."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers._jacobian import check_free, linearize
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size, as_weight


@final
class ConsensusOptimization(AbstractSolver):
    r"""Consensus optimization: all players also make the operator small.

    $$z^+ = z - \eta \left( F(z) + \gamma J(z)^\top F(z) \right), \qquad
      J^\top F = \nabla \tfrac12 \|F\|^2.$$

    Two evaluations per step: F, and a product with its transposed Jacobian. On a bilinear game
    every step multiplies the error by $\sqrt{(1 - \eta \gamma s^2)^2 + \eta^2 s^2}$ per singular
    value s, which is below 1 exactly for $\eta < 2\gamma/(1 + \gamma^2 s^2)$. Where F is not
    monotone it may be drawn to points at which $\|F\|$ is least and which no player wants.

    **Arguments:**

    - `step_size`: $\eta > 0$.
    - `weight`: $\gamma > 0$.

    **Raises:** `GameError` for a step size or weight that is not one finite number > 0, and where a
    player has a constraint: there the direction is not zero at a solution.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ConsensusOptimization(0.5, 1.0)).status
    <Status.converged: 0>

    ```

    Source: Mescheder, Nowozin and Geiger, "The numerics of GANs", NeurIPS 2017, arXiv:1705.10461,
    algorithm 1.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    weight: Float[Array, ""] = eqx.field(converter=as_weight)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del game, players, data

    def step(
        self, game: AbstractGame, players: PyTree, state: None, data: PyTree = None
    ) -> tuple[PyTree, None]:
        operator, _, transposed = linearize(game, players, data)
        direction = _tree.add_scaled(operator, self.weight, transposed(operator))
        return _tree.add_scaled(players, -self.step_size, direction), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_free(game, players, "ConsensusOptimization")


def example() -> ConsensusOptimization:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ConsensusOptimization(0.1, 1.0)
