"""What a player may be: any pytree whose floating-point arrays are the player's variables."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError


def as_players(players: PyTree) -> PyTree:
    """`players` with every number outside a module as a JAX array of definite dtype.

    Python floats and NumPy arrays become variables; inside an Equinox module only arrays are
    variables, so a dropout rate or an activation function stays what it is.

    Raises `GameError` for integers, booleans and complex numbers, and where there is no variable.
    """
    converted = jax.tree_util.tree_map_with_path(_as_leaf, players, is_leaf=_tree.is_module)
    if not jax.tree.leaves(_tree.variables(converted)):
        raise GameError(
            "players hold no floating-point array: there is nothing for a solver to move."
        )
    return converted


def _as_leaf(path: tuple[Any, ...], leaf: Any) -> Any:
    if isinstance(leaf, jax.Array) and _tree.is_variable(leaf) and not leaf.weak_type:
        return leaf
    if _tree.is_module(leaf):
        return _tree.map_variables(_tree.as_array, leaf)
    if not isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic, jax.Array)):
        return leaf
    array = _tree.as_array(leaf)
    if not _tree.is_variable(array):
        raise GameError(
            f"{_tree.place('players', path)} has dtype {array.dtype}: a player's variables must "
            "be real floating-point numbers, because solvers move them along gradients. "
            "Convert it, for example with jnp.asarray(value, float)."
        )
    return array
