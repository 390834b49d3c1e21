"""What a metric is: the number that says whether players solve a game."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from minimax._game import AbstractGame


class AbstractMetric(eqx.Module):
    """A number that is zero at a solution and positive elsewhere; `solve` stops on it."""

    @abc.abstractmethod
    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        """How far `players` are from solving `game`."""

    def check(self, game: AbstractGame, players: PyTree) -> None:
        """Raises `GameError` where this metric means nothing for this game."""
        del game, players
