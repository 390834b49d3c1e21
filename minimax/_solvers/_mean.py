"""Running means that stay where their points are."""

from collections.abc import Iterable
from typing import NamedTuple

from jaxtyping import PyTree

from minimax import _tree
from minimax._check import check_convex
from minimax._game import Variable
from minimax._solvers.base import AbstractSolver


class Mean(NamedTuple):
    """A running mean, and what rounding has kept from it, which the next point makes good.

    Without, the mean of ten thousand points of a simplex would have left it by a thousandth in
    single precision, and a mean in half precision would stop at its hundredth point. Source: Kahan,
    "Further remarks on reducing truncation errors", Commun. ACM 8 (1965).
    """

    value: PyTree
    lost: PyTree

    @staticmethod
    def at(players: PyTree) -> "Mean":
        """The mean of no points, whose first one will replace `players`."""
        variables = _tree.variables(players)
        return Mean(players, _tree.scale(0, variables))

    def including(self, players: PyTree, share: object) -> "Mean":
        """The mean with one more point, of which it takes a `share`."""
        way = _tree.subtract(players, self.value)
        step = _tree.add(_tree.scale(share, _tree.variables(way)), self.lost)
        value = _tree.add(self.value, step)
        made = _tree.variables(_tree.subtract(value, self.value))
        return Mean(value, _tree.subtract(step, made))


def check_means_stay(solver: AbstractSolver, variables: Iterable[Variable]) -> None:
    """Raises `GameError` where a set is not convex, for methods that report means of points, or go
    on from them."""
    check_convex(
        type(solver).__name__,
        "averages of points of other sets are not in them",
        "Take a method that does not average, such as mm.ExtraGradient(step_size) or "
        "mm.BestSoFar(solver).",
        variables,
    )
