"""The best iterate so far, of any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import check_whole
from minimax._game import AbstractGame
from minimax._solvers._wrapper import AbstractWrapper, residual
from minimax._solvers.base import AbstractSolver
from minimax._solvers.extra_gradient import ExtraGradient


class BestSoFarState(NamedTuple):
    """`inner`: the state of the inner solver; `best`: the best players seen, with their residual;
    `steps`: how many have been made; `looks`: how many players have been compared."""

    inner: PyTree
    best: PyTree
    residual: Float[Array, ""]
    steps: Int[Array, ""]
    looks: Int[Array, ""]


@final
class BestSoFar(AbstractWrapper):
    r"""Reports the iterate of another solver with the least natural residual so far.

    $$\hat z_k = \arg\min_{z \in \{z_0, z_p, z_{2p}, \dots, z_k\}} \|z - P(z - F(z))\|.$$

    The inner solver runs as it would alone. Where a theorem bounds the least residual of k steps
    and not the last, this is the point that it speaks of; where a method cycles, it is the point of
    the cycle with the least residual.

    One evaluation at the start and one every `period` steps, beside those of the inner solver:
    which of its evaluations were made at a point that it reports is not known outside.

    **Arguments:**

    - `solver`: any solver.
    - `period`: p, the steps between two comparisons.

    **Raises:** `GameError` for a period below one.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> spiral = mm.GradientDescentAscent(0.5)  # leaves (1, 1) for infinity
    >>> print(mm.solve(game, (1.0, 1.0), mm.BestSoFar(spiral), max_steps=20).players)
    (Array(1., dtype=float32), Array(1., dtype=float32))

    ```

    Source: textbook.
    """

    solver: AbstractSolver
    period: int = eqx.field(default=1, static=True)

    def __check_init__(self) -> None:
        check_whole("period", self.period)

    @property
    def compares_points(self) -> bool:
        return True

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> BestSoFarState:
        return BestSoFarState(
            self.solver.init(game, players, data),
            _tree.variables(players),
            residual(game, players, data),
            jnp.zeros((), int),
            jnp.ones((), int),
        )

    def step(
        self, game: AbstractGame, players: PyTree, state: BestSoFarState, data: PyTree = None
    ) -> tuple[PyTree, BestSoFarState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        steps = state.steps + 1
        here = self.solver.output(players, inner)
        looks = steps % self.period == 0
        at_here = jax.lax.cond(
            looks,
            lambda: residual(game, here, data),
            lambda: jnp.full_like(state.residual, jnp.inf),
        )
        # Where there is no number the run has ended, and the loop is to see it.
        better = (at_here < state.residual) | jnp.isnan(at_here)
        return players, BestSoFarState(
            inner,
            _tree.where(better, _tree.variables(here), state.best),
            jnp.where(better, at_here, state.residual),
            steps,
            state.looks + looks,
        )

    def evaluations(self, steps: Int[Array, ""], state: BestSoFarState) -> Int[Array, ""]:
        return self.solver.evaluations(steps, state.inner) + state.looks

    def output(self, players: PyTree, state: BestSoFarState) -> PyTree:
        return eqx.combine(state.best, self.solver.output(players, state.inner))


def example() -> BestSoFar:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return BestSoFar(ExtraGradient(0.1))
