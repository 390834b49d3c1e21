"""What a player may be: any pytree whose floating-point arrays are the player's variables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._kinds import Kind, is_flax_variable, kind_of


def as_players(players: PyTree) -> PyTree:
    """`players` with every number outside a module as a JAX array of definite dtype.

    Python floats and NumPy arrays become variables; inside an Equinox module only arrays are
    variables, so a dropout rate or an activation function stays what it is; inside a Flax NNX
    module only parameters are. What is frozen, and what Flax modules hold beside parameters, is as
    arrays, too, but need not be floating-point.

    Raises `GameError` for integers, booleans and complex numbers, where there is no variable, and
    where two places hold the same Flax variable.
    """
    _check_shares_nothing(players)
    converted = jax.tree_util.tree_map_with_path(_as_leaf, players, is_leaf=_tree.has_kind)
    _check_real(converted)
    if not jax.tree.leaves(_tree.variables(converted)):
        message = "players hold no floating-point array: there is nothing for a solver to move."
        if any(map(_tree.has_kind, jax.tree.leaves(players, is_leaf=_tree.has_kind))):
            message += " What is frozen does not count, nor what Flax modules have but nnx.Param."
        raise GameError(message)
    return converted


def _as_leaf(path: tuple[Any, ...], leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and _tree.is_variable(leaf) and not leaf.weak_type:
        return leaf
    if _tree.has_kind(leaf):
        return _as_arrays(_tree.map_variables(_tree.as_array, leaf))
    if not isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic, jax.Array)):
        return leaf
    array = _tree.as_array(leaf)
    if not _tree.is_variable(array):
        raise GameError(
            f"{_tree.place('players', path)} has dtype {array.dtype}: a player's variables must "
            "be real floating-point numbers, because solvers move them along gradients. "
            "Convert it, for example with jnp.asarray(value, float), or let it be: mm.freeze keeps "
            "an array as it is."
        )
    return array


def _as_arrays(node: PyTree) -> PyTree:
    """A node with the numbers as arrays that no solver moves and a payoff may change."""
    is_flax = kind_of(node) is Kind.NNX_MODULE

    def at(inner: Any) -> Any:
        if _is_fixed(inner):
            return jax.tree.map(_number_as_array, inner)
        return _tree.as_array(inner) if is_flax and isinstance(inner, np.ndarray) else inner

    return jax.tree.map(at, node, is_leaf=_is_fixed)


def _number_as_array(leaf: Any) -> Any:
    if isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic, jax.Array)):
        return _tree.as_array(leaf)
    return leaf


def _check_real(players: PyTree) -> None:
    """Complex arrays in modules would stand still, where others of their kind are moved."""
    nodes = jax.tree_util.tree_leaves_with_path(players, is_leaf=_is_fixed)
    for path, node in nodes:
        is_array = isinstance(node, (jax.Array, np.ndarray, np.generic))
        if is_array and jnp.issubdtype(node.dtype, jnp.complexfloating):
            raise GameError(
                f"{_tree.place('players', path)} has dtype {node.dtype}: a player's variables must "
                "be real floating-point numbers. Make it of two real arrays, or let it be: "
                "mm.freeze keeps an array as it is."
            )


def _is_fixed(node: Any) -> bool:
    return kind_of(node) is Kind.FIXED


def _check_shares_nothing(players: PyTree) -> None:
    """JAX flattens a Flax variable that is at two places to two arrays: both would be moved, each
    by its own gradient, and what was one would be two."""
    first: dict[int, tuple[Any, ...]] = {}
    nodes = jax.tree_util.tree_leaves_with_path(players, is_leaf=is_flax_variable)
    for path, node in nodes:
        if not is_flax_variable(node):
            continue
        if id(node) in first:
            raise GameError(
                f"{_tree.place('players', path)} and {_tree.place('players', first[id(node)])} "
                f"are one nnx.{type(node).__name__}, of which a solver would make two: a pytree "
                "holds no shared variables. Hand over what can be moved, and put the module "
                "together in the payoff: graph, state = nnx.split(module); players = state; "
                "nnx.merge(graph, players). Give random streams by rngs.fork()."
            )
        first[id(node)] = path
