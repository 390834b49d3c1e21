"""What a game's file gives: a game ready to be solved."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import PRNGKeyArray, PyTree

from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._sampler import Sampler
from minimax._solvers.base import AbstractSolver


class Example(NamedTuple):
    """A game with all that a tool needs to solve it and to say what the answer means.

    **Attributes:**

    - `game`, `players`: the game and where to start.
    - `solution`: a known solution, structured like the players; `None` where none is known.
    - `solver`, `metric`: ones that suit the game; `None` leaves the choice to `solve`.
    - `summary`: what players mean in the game's own words, by name: a number, a text, or a table
      `{row: {column: number}}`.
    - `data`, `key`: what `solve` is given under these names: fixed data, or a `Sampler` and a key.
    """

    game: AbstractGame
    players: PyTree
    solution: PyTree = None
    solver: AbstractSolver | None = None
    metric: AbstractMetric | None = None
    summary: Callable[[PyTree], dict[str, Any]] | None = None
    data: Any = None
    key: PRNGKeyArray | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether every step sees other data."""
        return isinstance(self.data, Sampler)

    def batch(self) -> PyTree:
        """Data that the payoff takes: the fixed ones, or a batch."""
        if not isinstance(self.data, Sampler):
            return self.data
        assert self.key is not None, "an example with a Sampler needs a key"
        return self.data.sample(self.key)
