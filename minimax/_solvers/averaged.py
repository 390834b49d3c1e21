"""Averages of iterates, around any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers._mean import Mean, check_means_stay
from minimax._solvers._wrapper import AbstractWrapper
from minimax._solvers.base import AbstractSolver
from minimax._solvers.extra_gradient import ExtraGradient


class AveragedState(NamedTuple):
    """`inner`: the state of the inner solver; `average`: of its iterates; `steps`: how many."""

    inner: PyTree
    average: Mean
    steps: Int[Array, ""]


@final
class Averaged(AbstractWrapper):
    r"""Reports the average of another solver's iterates, $\bar z_k = \sum_{t=1}^k w_t z_t$.

    The inner solver runs as it would alone; only what is reported, measured and stopped on is the
    average. With `power` p the weights grow like $t^p$: 0 is the uniform average, 1 the linear.

    **Arguments:**

    - `solver`: any solver.
    - `power`: $p \ge 0$.

    **Raises:** `GameError` for another power.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Averaged(mm.AlternatingGradientDescentAscent(0.5))
    >>> mm.solve(game, (1.0, 1.0), solver, max_steps=4000, tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: weights as in Shamir and Zhang, "Stochastic gradient descent for non-smooth
    optimization", ICML 2013, section 4, arXiv:1212.1824.
    """

    solver: AbstractSolver
    power: Array = eqx.field(default=0.0, converter=jnp.asarray)

    def __check_init__(self) -> None:
        if is_known(self.power) and not 0 <= float(self.power) < float("inf"):
            raise GameError(f"Averaged needs a finite power >= 0; it got {self.power}.")

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        super().check(game, players, data)
        check_means_stay(self, game.variables_of(players))

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> AveragedState:
        inner = self.solver.init(game, players, data)
        return AveragedState(inner, Mean.at(players), jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: AveragedState, data: PyTree = None
    ) -> tuple[PyTree, AveragedState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        steps = state.steps + 1
        weight = (self.power + 1) / (steps + self.power)
        reported = self.solver.output(players, inner)
        average = state.average.including(reported, weight)
        return players, AveragedState(inner, average, steps)

    def output(self, players: PyTree, state: AveragedState) -> PyTree:
        del players
        return state.average.value


def example() -> Averaged:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Averaged(ExtraGradient(0.1))
