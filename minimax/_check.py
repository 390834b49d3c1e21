"""What can be wrong with a game, said before anything is compiled."""

import warnings

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._players import as_players


def check_fits(game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
    """Raises `GameError` with the place and the remedy where game and players do not fit.

    Nothing is computed: shapes, dtypes and structures are enough.
    """
    if not isinstance(game, AbstractGame):
        raise GameError(
            f"game is {game!r}: expected an instance of mm.AbstractGame. A payoff function becomes "
            "a game with mm.Game(payoff, roles=...)."
        )
    players = as_players(players)
    _check_constraints(game, players)
    _check_payoff(game, players, data)


def _check_constraints(game: AbstractGame, players: PyTree) -> None:
    for each in game.variables_of(players):
        place, leaf, constraint = each.place, each.value, each.constraint
        if constraint is None:
            continue
        try:
            constraint.check(leaf.shape)
            projected = jax.eval_shape(constraint.project, leaf)
        except (TypeError, ValueError) as error:
            raise GameError(
                f"{constraint!r} does not fit {place} of shape {leaf.shape}: {_first_line(error)}"
            ) from error
        if projected.shape != leaf.shape:
            raise GameError(
                f"{constraint!r} does not fit {place}: it turns shape {leaf.shape} into "
                f"{projected.shape}."
            )


def _check_payoff(game: AbstractGame, players: PyTree, data: PyTree) -> None:
    try:
        value = eqx.filter_eval_shape(game.value, players, data)
    except GameError:
        raise
    except Exception as error:
        raise GameError(
            f"the payoff raised {type(error).__name__}: {_first_line(error)} "
            f"(it was called with players {_shapes(players)}"
            + (")" if data is None else f" and data {_shapes(data)})")
            + (f". {_SIGNATURE}" if _is_about_arguments(error) else "")
        ) from error
    _tree.broadcast_prefix(value, _tree.variables(players), "payoff")
    roles = jax.tree.leaves(game.roles)
    if len(roles) > 1 and len(set(roles)) == 1 and len(jax.tree.leaves(value)) == 1:
        warnings.warn(
            f'every player is "{roles[0]}" of one shared payoff, so they pull in one direction: '
            "give one of them the other role, or return one scalar per player.",
            stacklevel=3,
        )


_SIGNATURE = (
    "A payoff takes all players as its first argument, and what solve(..., data=...) was given, if "
    "anything, as its second."
)


def _is_about_arguments(error: Exception) -> bool:
    return isinstance(error, TypeError) and "positional argument" in str(error)


def _shapes(tree: PyTree) -> str:
    return eqx.tree_pformat(tree, width=10_000)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
