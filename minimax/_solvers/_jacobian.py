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


def check_free(game: AbstractGame, players: PyTree, method: str) -> None:
    """Raises `GameError` where a player of `method` has a constraint."""
    variables = _tree.variables(players)
    leaves, structure = jax.tree_util.tree_flatten_with_path(variables)
    constraints = structure.flatten_up_to(game.constraint_of_each(variables))
    for (path, _), constraint in zip(leaves, constraints, strict=True):
        if constraint is not None:
            raise GameError(
                f"{method} is for free players; {_tree.place('players', path)} has the constraint "
                f"{constraint!r}. On sets its direction is not zero at a solution, so a projection "
                "would rest elsewhere: take mm.AdaptiveExtraGradient()."
            )
