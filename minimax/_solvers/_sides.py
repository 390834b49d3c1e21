"""What methods for the two sides of a zero-sum game ask of it."""

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._structure import structure_of


def check_zero_sum(name: str, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
    """Raises `GameError` where there are not one payoff and two sides."""
    players = as_players(players)
    payoffs = jax.tree.leaves(eqx.filter_eval_shape(game.value, players, data))
    roles = {each.role for each in game.variables_of(players)}
    if len(payoffs) != 1 or roles != {"min", "max"}:
        raise GameError(
            f"{name} needs a zero-sum game, one payoff that some players minimise and others "
            f"maximise; this one has {len(payoffs)} payoffs and the roles {sorted(roles)}. "
            "mm.ExtraGradient and mm.AdaptiveExtraGradient take any game."
        )


def check_bilinear(name: str, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
    """Raises `GameError` where the payoff is not proved bilinear, or a distance not Euclidean."""
    players = as_players(players)
    check_zero_sum(name, game, players, data)
    if not structure_of(game, players, data).is_bilinear:
        raise GameError(
            f"{name} needs a payoff that is affine in all minimisers together and affine in all "
            "maximisers together, and could not prove that of this one from the operations in it. "
            "mm.ExtraGradient and mm.AdaptiveExtraGradient take any payoff."
        )
    for each in game.variables_of(players):
        if each.constraint is not None and not each.constraint.is_euclidean:
            raise GameError(
                f"{name} moves by Euclidean distance, and {each.constraint!r} of {each.place} has "
                "another: take mm.Simplex(), or mm.MirrorProx."
            )
