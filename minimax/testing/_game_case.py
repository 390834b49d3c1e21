"""A game's example with what its laws need to know of it, and how they look at it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

import minimax as mm
from minimax import _tree
from minimax._players import as_players

payoffs = eqx.filter_jit(lambda game, players, data: game.value(players, data))
operator = eqx.filter_jit(lambda game, players, data: game.operator(players, data))
project = eqx.filter_jit(lambda game, players: game.project(players))


@dataclasses.dataclass(frozen=True)
class GameCase:
    """A game with where to start, and what is claimed for it.

    **Arguments:**

    - `example`: a function without arguments that makes the `mm.Example`; it is called once in
      single precision and once in double.
    - `dtypes`: the precisions in which the game can be made.
    - `options`: of the `solve` in which the example's own solver reaches the solution.
    - `unique`: that the solution of the example is the only one, so that the solver finds it.
    """

    example: Callable[[], mm.Example]
    dtypes: Sequence[str] = ("float32", "float64")
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unique: bool = True

    @functools.cached_property
    def made(self) -> dict[str, mm.Example]:
        examples = {}
        for dtype in self.dtypes:
            with jax.enable_x64(dtype == "float64"):
                example = self.example()
                solution = example.solution
                examples[dtype] = example._replace(
                    players=as_players(example.players),
                    solution=None if solution is None else as_players(solution),
                )
        return examples

    def each(self) -> Iterator[tuple[mm.Example, str]]:
        """The example in each of its precisions, which is also that of the mode."""
        for dtype in self.dtypes:
            with self.in_precision(dtype) as example:
                yield example, dtype

    @contextlib.contextmanager
    def in_precision(self, dtype: str) -> Iterator[mm.Example]:
        example = self.made[dtype]
        with jax.enable_x64(dtype == "float64"):
            yield example

    @property
    def finest(self) -> str:
        return max(self.dtypes, key=lambda dtype: -np.finfo(dtype).eps)


def anything(case: GameCase) -> bool:
    del case
    return True


def nudged(players: PyTree, seed: int = 0, size: float = 0.6) -> PyTree:
    """Players moved at random."""
    random = np.random.default_rng(seed)
    return _tree.map_variables(
        lambda x: x + jnp.asarray(size * random.standard_normal(x.shape), x.dtype), players
    )


def in_general_position(example: mm.Example, seed: int = 0) -> PyTree:
    """Feasible players, as far inside as the start of the example is: half way to random ones."""
    players = example.players
    return _tree.toward(players, project(example.game, nudged(players, seed)), 0.5)


def direction_of(turn: PyTree, players: PyTree, seed: int = 1) -> PyTree:
    """A random direction in which only the player whose turn it is moves."""
    random = np.random.default_rng(seed)
    moves = _tree.broadcast_prefix(turn, players, "turn")
    return _tree.map_variables(
        lambda x, own: jnp.asarray(random.standard_normal(x.shape) * own, x.dtype), players, moves
    )


def own(payoffs: PyTree, turn: PyTree, players: PyTree) -> jax.Array:
    """The payoff of the player whose turn it is."""
    variables = _tree.variables(players)
    payoff_of = jax.tree.leaves(_tree.broadcast_prefix(payoffs, variables, "payoff"))
    moves = jax.tree.leaves(_tree.broadcast_prefix(turn, variables, "turn"))
    return next(payoff for payoff, moving in zip(payoff_of, moves, strict=True) if moving)
