"""What can be wrong with a game, said before anything is compiled."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._frozen import unfreeze
from minimax._game import AbstractGame, Variable
from minimax._kinds import Kind, kind_of
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
        except (TypeError, ValueError) as error:
            raise _misfit(each, error, players) from error


def check_convex(who: str, why: str, remedy: str, game: AbstractGame, players: PyTree) -> None:
    """Raises `GameError` where a set is not convex, for what means nothing there."""
    for each in game.variables_of(players):
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
        except (TypeError, ValueError) as error:
            raise _misfit(each, error, players) from error
        if projected.shape != each.value.shape:
            raise GameError(
                f"{each.constraint!r} does not fit {each.place}: it turns shape "
                f"{each.value.shape} into {projected.shape}."
            )


def _misfit(variable: Variable, error: Exception, players: PyTree) -> GameError:
    return GameError(
        f"{variable.constraint!r} does not fit {variable.place} of shape {variable.value.shape}: "
        f"{_first_line(error)}" + (f" {_LISTS}" if _has_list_of_numbers(players) else "")
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
            + f"{_remedy(error, players)}"
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


_TRACED = (
    "JAX traces {} before there are numbers: compute with jax.numpy instead of numpy, choose with "
    "jnp.where instead of if, and do not convert to float, int or bool."
)

_LISTS = (
    "A list is a pytree of its entries and no array: give players as jnp.asarray([...]) or "
    "np.array([...])."
)


def _remedy(error: Exception, players: PyTree) -> str:
    """What to do about what the payoff raised, where that can be told."""
    if isinstance(error, _TRACER_ERRORS):
        return f". {_TRACED.format('a payoff')}"
    if isinstance(error, TypeError) and "positional argument" in str(error):
        return f". {_SIGNATURE}"
    if isinstance(error, (TypeError, AttributeError)) and _has_list_of_numbers(players):
        return f". {_LISTS}"
    return ""


_TRACER_ERRORS = (
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


def _shapes(tree: PyTree) -> str:
    return eqx.tree_pformat(jax.tree.map(_shown, tree, is_leaf=_tree.has_kind), width=10_000)


def _shown(node: object) -> object:
    """What Flax shows of its modules is a page long."""
    return _Named(node) if kind_of(node) is Kind.NNX_MODULE else unfreeze(node)


class _Named:
    def __init__(self, node: object):
        self.node = node

    def __repr__(self) -> str:
        return f"{type(self.node).__name__}(...)"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


# Solvers and metrics of users' own ----------------------------------------------------------------


def check_calls(name: str, instance: Any, calls: Mapping[str, str]) -> None:
    """Raises `GameError` where a method does not take the arguments that `solve` hands over, which
    `calls` lists."""
    for method, expected in calls.items():
        signature = inspect.signature(getattr(instance, method))
        try:
            signature.bind(*expected.split(", "))
        except TypeError:
            bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
            taken = ", ".join(map(str, bare))
            raise GameError(
                f"{name}.{method} takes ({taken}): expected ({expected}), in which order solve "
                "hands them over."
            ) from None


def called_init(
    name: str, init: Callable[..., PyTree], game: AbstractGame, players: PyTree, data: PyTree
) -> PyTree:
    """The state before the first step."""
    return _called(f"{name}.init", init, (game, players, data), f"players {_brief(players)}")


def called_step(
    name: str,
    step: Callable[..., Any],
    game: AbstractGame,
    players: PyTree,
    state: PyTree,
    data: PyTree,
) -> tuple[PyTree, PyTree]:
    """The next players and state.

    Raises `GameError` where they do not look like those that the step was given.
    """
    given = f"players {_brief(players)} and the state {_brief(state)}, which init returned"
    after = _called(f"{name}.step", step, (game, players, state, data), given)
    expected = "the pair (next players, next state)"
    if not (isinstance(after, (tuple, list)) and len(after) == 2):
        raise GameError(f"{name}.step returned {_brief(after)}: expected {expected}.")
    for what, old, new in (("players", players, after[0]), ("state", state, after[1])):
        change = _change(what, old, new)
        if change is not None:
            raise GameError(
                f"{name}.step returned {change}, as "
                f"{'it was given' if old is players else 'init returned it'}. A step returns "
                f"{expected}."
            )
    return after[0], after[1]


def called_metric(
    name: str, metric: Callable[..., Any], game: AbstractGame, players: PyTree, data: PyTree
) -> Array:
    """What a metric measures.

    Raises `GameError` where that is not one number.
    """
    found = _called(name, metric, (game, players, data), f"players {_brief(players)}")
    is_number = _tree.is_variable(found) or isinstance(found, float)
    if not is_number or jnp.shape(found) != ():
        raise GameError(
            f"{name} returned {_brief(found)}: expected one real floating-point number, an array "
            "of shape (). Take a norm or a maximum."
        )
    return jnp.asarray(found)


def _called(name: str, function: Callable[..., Any], args: tuple[Any, ...], given: str) -> Any:
    try:
        return function(*args)
    except GameError:
        raise
    except Exception as error:
        remedy = _TRACED.format("it") if isinstance(error, _TRACER_ERRORS) else ""
        raise GameError(
            f"{name} raised {type(error).__name__}: {_first_line(error)[:200]} (it was called with "
            f"{given}). {remedy}".rstrip()
        ) from error


def _change(what: str, old: PyTree, new: PyTree) -> str | None:
    """What a loop cannot carry on: another structure, shape or dtype, or a Python number that is no
    longer the same, since arrays alone are carried."""
    numbers = [leaf for leaf in jax.tree.leaves(old) if isinstance(leaf, (int, float, complex))]
    remedy = "; make its numbers arrays, such as jnp.asarray(0)" if numbers else ""
    arrays = [eqx.filter(tree, eqx.is_array) for tree in (old, new)]
    same = jax.tree.structure(arrays[0]) == jax.tree.structure(arrays[1])
    if not same or (numbers and not _has_same_numbers(old, new)):
        return f"the {what} {_brief(new)}{remedy}: expected {_brief(old)}"
    olds, news = (jax.tree_util.tree_leaves_with_path(each) for each in arrays)
    for (path, x), (_, y) in zip(olds, news, strict=True):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"{_tree.place(what, path)} as {_brief(y)}: expected {_brief(x)}"
    return None


def _has_same_numbers(old: PyTree, new: PyTree) -> bool:
    olds, news = ([x for x in jax.tree.leaves(t) if not eqx.is_array(x)] for t in (old, new))
    return len(olds) == len(news) and all(
        x == y for x, y in zip(olds, news, strict=True) if isinstance(x, (int, float, complex))
    )


def _brief(tree: PyTree) -> str:
    shown = " ".join(_shapes(tree).split())
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
