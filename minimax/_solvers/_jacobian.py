"""The operator near a point: products with its Jacobian, which is never formed."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._game import AbstractGame


class Linearized(NamedTuple):
    """`operator`: F(z); `product` and `transposed`: v to J v and to Jᵀ v, with J the Jacobian of F
    at z. Each product costs about as much as F, and counts as one evaluation."""

    operator: PyTree
    product: Callable[[PyTree], PyTree]
    transposed: Callable[[PyTree], PyTree]


def linearize(game: AbstractGame, players: PyTree, data: PyTree) -> Linearized:
    """F and its Jacobian at `players`."""
    variables = _tree.variables(players)

    def operator(variables: PyTree) -> PyTree:
        return game.operator(eqx.combine(variables, players), data)

    value, product = jax.linearize(operator, variables)
    transposed = jax.linear_transpose(product, variables)
    return Linearized(value, product, lambda covector: transposed(covector)[0])


def check_free(
    game: AbstractGame,
    players: PyTree,
    method: str,
    instead: str = "mm.AdaptiveExtraGradient()",
) -> None:
    """Raises `GameError` where a player of `method` has a constraint."""
    for each in game.variables_of(players):
        if each.constraint is not None:
            constraint = type(each.constraint).__name__
            raise GameError(
                f"{method} is for free players; {each.place} has the constraint {constraint}. On "
                "sets its direction is not zero at a solution, so a projection would rest "
                f"elsewhere: take {instead}."
            )
