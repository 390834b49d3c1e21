"""What can be wrong with a game, said before anything is compiled."""

import warnings
from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._frozen import unfreeze
from minimax._game import AbstractGame, Variable, traced_value
from minimax._kinds import Kind, kind_of
from minimax._players import as_players
from minimax._sampler import Sampler
from minimax._state import check_left


def check_fits(game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
    """Raises `GameError` with the place and the remedy where game and players do not fit.

    Nothing is computed: shapes, dtypes and structures are enough.
    """
    if not isinstance(game, AbstractGame):
        raise GameError(
            f"game is {game!r}: expected an instance of mm.AbstractGame. A payoff function becomes "
            "a game with mm.Game(payoff, roles=...)."
        )
    if isinstance(data, Sampler):
        raise GameError(
            "data are a Sampler: one batch is meant here, data=sampler.sample(jax.random.key(0))."
        )
    players = as_players(players)
    check_sets(game, players)
    _check_projections(game, players)
    _check_payoff(game, players, data)


def check_sets(game: AbstractGame, players: PyTree) -> None:
    """Raises `GameError` where a constraint is for players of another shape, or is empty."""
    for each in game.variables_of(players):
        if each.constraint is None:
            continue
        try:
            each.constraint.check(each.value.shape)
        except (TypeError, ValueError, IndexError) as error:
            raise _misfit(each, error, players) from error


def check_sample(sampler: Sampler, key: PRNGKeyArray) -> None:
    """Raises `GameError` where a sampler draws no batch from a key."""
    try:
        batch = eqx.filter_eval_shape(sampler.sample, key)
    except GameError:
        raise
    except Exception as error:
        remedy = TRACED.format("a sampler") if isinstance(error, TRACER_ERRORS) else _SAMPLE
        raise GameError(
            f"sample of the Sampler raised {type(error).__name__}: {first_line(error)[:200]}. "
            f"{remedy}"
        ) from error
    if not jax.tree.leaves(batch):
        raise GameError(f"sample of the Sampler returned {batch!r}: expected a batch. {_SAMPLE}")


_SAMPLE = (
    "It takes a key and returns a batch, any pytree of arrays, such as "
    "lambda key: jax.random.normal(key, (64, 2))."
)


def check_convex(who: str, why: str, remedy: str, variables: Iterable[Variable]) -> None:
    """Raises `GameError` where a set is not convex, for what means nothing there."""
    for each in variables:
        if each.constraint is not None and not each.constraint.is_convex:
            raise GameError(
                f"{who} needs convex sets: {why}. {each.place} has {each.constraint!r}, which is "
                f"not convex. {remedy}"
            )


def _check_projections(game: AbstractGame, players: PyTree) -> None:
    for each in game.variables_of(players):
        if each.constraint is None:
            continue
        try:
            projected = jax.eval_shape(each.constraint.project, each.value)
        except (TypeError, ValueError, IndexError) as error:
            raise _misfit(each, error, players) from error
        if not isinstance(projected, jax.ShapeDtypeStruct):
            raise GameError(
                f"{each.constraint!r}.project returned {projected!r} for {each.place}: expected an "
                "array like the point. Is a return missing?"
            )
        if projected.shape != each.value.shape:
            raise GameError(
                f"{each.constraint!r} does not fit {each.place}: it turns shape "
                f"{each.value.shape} into {projected.shape}."
            )


def _misfit(variable: Variable, error: Exception, players: PyTree) -> GameError:
    return GameError(
        f"{variable.constraint!r} does not fit {variable.place} of shape {variable.value.shape}: "
        f"{first_line(error)}" + (f" {_LISTS}" if _has_list_of_numbers(players) else "")
    )


def _check_payoff(game: AbstractGame, players: PyTree, data: PyTree) -> None:
    try:
        value, has_said_so = eqx.filter_eval_shape(traced_value, game, players, data)
    except GameError:
        raise
    except Exception as error:
        raise GameError(
            f"the payoff raised {type(error).__name__}: {first_line(error)}"
            f"{_remedy(error, players, data)} (it was called with players {shapes(players)}"
            + (")" if data is None else f" and data {shapes(data)})")
        ) from error
    try:
        _tree.broadcast_prefix(value, _tree.variables(players), "payoff")
    except GameError as error:
        raise GameError(
            f"{error} A payoff returns one scalar, or one for each player, and nothing beside: for "
            "state that it updates see mm.WithState."
        ) from error
    if has_said_so:
        check_left(lambda players: game.evaluated(players, data)[0], players)
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


TRACED = (
    "JAX traces {} before there are numbers: compute with jax.numpy instead of numpy, choose with "
    "jnp.where instead of if, and do not convert to float, int or bool."
)

_LISTS = (
    "A list is a pytree of its entries and no array: give players as jnp.asarray([...]) or "
    "np.array([...])."
)


def _remedy(error: Exception, players: PyTree, data: PyTree) -> str:
    """What to do about what the payoff raised, where that can be told."""
    if type(error).__name__ == "TraceContextError":
        return (
            ". A derivative of a Flax module inside of a payoff is nnx.grad's: "
            "nnx.grad(lambda module, x: module(x).sum(), argnums=1)(module, x)."
        )
    if isinstance(error, TRACER_ERRORS):
        return f". {TRACED.format('a payoff')}"
    if isinstance(error, TypeError) and "positional argument" in str(error):
        return f". {_SIGNATURE}"
    if isinstance(error, (TypeError, AttributeError)) and _has_list_of_numbers(players):
        return f". {_LISTS}"
    if callable(data):
        return (
            ". A function is one and the same data for all steps: batches are drawn by "
            "mm.Sampler(function of a key), or come from an iterable."
        )
    if isinstance(data, list):
        return ". A list is one and the same data for all steps: batches are given as iter(list)."
    return ""


TRACER_ERRORS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


def _has_list_of_numbers(players: PyTree) -> bool:
    def is_one(node: object) -> bool:
        return isinstance(node, list) and bool(node) and all(jnp.ndim(each) == 0 for each in node)

    def is_array_or_list(node: object) -> bool:
        return eqx.is_array(node) or (isinstance(node, list) and all(map(eqx.is_array, node)))

    return any(map(is_one, jax.tree.leaves(players, is_leaf=is_array_or_list)))


def shapes(tree: PyTree) -> str:
    """A pytree with dtypes and shapes for its arrays, on one line: of a long one the beginning."""
    shown = jax.tree.map(_shown, tree, is_leaf=_tree.has_kind)
    text = " ".join(eqx.tree_pformat(shown, width=10_000).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


_MOST_SHOWN = 300
"""Characters of a pytree in a message."""


def _shown(node: object) -> object:
    """What Flax shows of its modules is a page long."""
    return _Named(node) if kind_of(node) is Kind.NNX_MODULE else unfreeze(node)


class _Named:
    def __init__(self, node: object):
        self.node = node

    def __repr__(self) -> str:
        return f"{type(self.node).__name__}(...)"


def first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
