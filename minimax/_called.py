"""Solvers and metrics of users' own: called, and what is wrong with them said in one line."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._check import TRACED, TRACER_ERRORS, first_line, shapes
from minimax._errors import GameError
from minimax._game import AbstractGame


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
    return _called(
        f"{name}.init", init, (game, players, data), lambda: f"players {_brief(players)}"
    )


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
    after = _called(
        f"{name}.step",
        step,
        (game, players, state, data),
        lambda: f"players {_brief(players)} and the state {_brief(state)}, which init returned",
    )
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
    found = _called(name, metric, (game, players, data), lambda: f"players {_brief(players)}")
    is_number = _tree.is_variable(found) or isinstance(found, float)
    if not is_number or jnp.shape(found) != ():
        raise GameError(
            f"{name} returned {_brief(found)}: expected one real floating-point number, an array "
            "of shape (). Take a norm or a maximum."
        )
    return jnp.asarray(found)


def called_output(
    name: str, output: Callable[..., PyTree], players: PyTree, state: PyTree
) -> PyTree:
    """The players that a solver reports.

    Raises `GameError` where they do not look like the players.
    """
    found = _called(
        f"{name}.output", output, (players, state), lambda: f"players {_brief(players)}"
    )
    change = _change("players", players, found)
    if change is not None:
        raise GameError(f"{name}.output returned {change}: an answer is as the players are.")
    return found


def called_evaluations(
    name: str, evaluations: Callable[..., Any], steps: Array, state: PyTree
) -> Array:
    """How many evaluations a solver says it made.

    Raises `GameError` where that is not one whole number.
    """
    found = _called(
        f"{name}.evaluations", evaluations, (steps, state), lambda: f"steps {_brief(steps)}"
    )
    is_whole = isinstance(found, int) or (
        eqx.is_array(found) and jnp.issubdtype(found.dtype, jnp.integer)
    )
    if not is_whole or jnp.shape(found) != ():
        raise GameError(
            f"{name}.evaluations returned {_brief(found)}: expected one whole number, such as "
            "2 * steps."
        )
    return jnp.asarray(found, int)


def called_stats(name: str, stats: Callable[..., Any], state: PyTree) -> dict[str, Array]:
    """What a solver tells of itself.

    Raises `GameError` where that is no dict of numbers by name.
    """
    found = _called(f"{name}.stats", stats, (state,), lambda: f"the state {_brief(state)}")
    is_told = isinstance(found, dict) and all(isinstance(key, str) for key in found)
    if not is_told or any(jnp.shape(number) != () for number in found.values()):
        raise GameError(
            f"{name}.stats returned {_brief(found)}: expected a dict of numbers by name, such as "
            '{"step_size": state.step_size}.'
        )
    return found


def _called(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], given: Callable[[], str]
) -> Any:
    """What the function returns; a `GameError` for what it raises, with what it was given."""
    try:
        return function(*args)
    except GameError:
        raise
    except Exception as error:
        remedy = TRACED.format("it") if isinstance(error, TRACER_ERRORS) else ""
        if isinstance(error, TypeError) and "'value_fn'" in str(error):
            remedy = "Of all solvers, mm.BestResponse alone tells optimizers of values."
        raise GameError(
            f"{name} raised {type(error).__name__}: {first_line(error)[:200]} (it was called with "
            f"{given()}). {remedy}".rstrip()
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
        x == y or (x != x and y != y)
        for x, y in zip(olds, news, strict=True)
        if isinstance(x, (int, float, complex))
    )


def _brief(tree: PyTree) -> str:
    shown = shapes(tree)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
