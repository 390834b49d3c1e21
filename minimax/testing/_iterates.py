"""The iterates of a solver by its step API, without `solve`, which looks after every step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

import minimax as mm


def iterates(
    game: mm.AbstractGame, players: PyTree, solver: mm.AbstractSolver, steps: int, data: Any = None
) -> PyTree:
    """The variables of $z_0, \\dots, z_\\text{steps}$, one row each."""
    return _rows(game, players, solver, steps, data)[0]


def outputs(
    game: mm.AbstractGame, players: PyTree, solver: mm.AbstractSolver, steps: int, data: Any = None
) -> PyTree:
    """What the solver reports after 0, ..., `steps` steps, one row each."""
    return _rows(game, players, solver, steps, data)[1]


@eqx.filter_jit
def _rows(
    game: mm.AbstractGame, players: PyTree, solver: mm.AbstractSolver, steps: int, data: Any
) -> tuple[PyTree, PyTree]:
    start = (players, solver.init(game, players, data))
    arrays, rest = eqx.partition(start, eqx.is_array)

    def row(arrays: PyTree) -> PyTree:
        players, state = eqx.combine(arrays, rest)
        return eqx.filter((players, solver.output(players, state)), eqx.is_inexact_array)

    def body(arrays: PyTree, _: None) -> tuple[PyTree, PyTree]:
        players, state = eqx.combine(arrays, rest)
        players, state = solver.step(game, players, state, data)
        state = solver.refine(game, players, state, data)
        return eqx.filter((players, state), eqx.is_array), row(arrays)

    last, rows = jax.lax.scan(body, arrays, None, length=steps)
    return jax.tree.map(lambda rows, end: jnp.concatenate([rows, end[None]]), rows, row(last))
