"""What solvers around other solvers have in common."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver


class AbstractWrapper(AbstractSolver):
    """A method around another solver: the field `solver`, whose state is `state.inner`.

    What the wrapper does not say itself is what the solver inside says.
    """

    solver: eqx.AbstractVar[AbstractSolver]

    @property
    def batches_per_step(self) -> int:
        return self.solver.batches_per_step

    @property
    def chooses_step_size(self) -> bool:
        return self.solver.chooses_step_size

    @property
    def compares_points(self) -> bool:
        return self.solver.compares_points

    @property
    def draws_batches(self) -> bool:
        return self.solver.draws_batches

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        self.solver.check(game, players, data)

    def refine(self, game: AbstractGame, players: PyTree, state: Any, data: PyTree = None) -> Any:
        return state._replace(inner=self.solver.refine(game, players, state.inner, data))

    def evaluations(self, steps: Int[Array, ""], state: Any) -> Int[Array, ""]:
        return self.solver.evaluations(steps, state.inner)

    def output(self, players: PyTree, state: Any) -> PyTree:
        return self.solver.output(players, state.inner)

    def stats(self, state: Any) -> dict[str, Array]:
        return self.solver.stats(state.inner)


def residual(game: AbstractGame, players: PyTree, data: PyTree) -> Float[Array, ""]:
    r"""The natural residual $\|z - P(z - F(z))\|$, by which a wrapper compares points."""
    return _tree.norm(game.natural_map(players, game.operator(players, data), 1.0))


def begin_anew(
    solver: AbstractSolver,
    game: AbstractGame,
    condition: Array,
    there: PyTree,
    players: PyTree,
    state: Any,
    data: PyTree,
) -> tuple[PyTree, Any]:
    """`players` and `state`; or, where the condition holds, a new run of the inner solver `there`.

    A state that knows of several runs has the fields `inner`, `since`: the steps of the present
    run, and `spent`: all evaluations but those of the present run.
    """
    players, inner = _tree.cond(
        condition,
        lambda: (there, solver.init(game, there, data)),
        lambda: (players, state.inner),
    )
    before = solver.evaluations(state.since, state.inner)
    return players, state._replace(
        inner=inner,
        since=jnp.where(condition, 0, state.since),
        spent=state.spent + jnp.where(condition, before, 0),
    )
