"""Training a part of a player: what is frozen stays where it is."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._kinds import Frozen, kind_of

Where = bool | PyTree[bool] | Callable[[PyTree], Any]
"""Parts of a player."""


def freeze(player: PyTree, where: Where = True) -> PyTree:
    """`player`, of which solvers do not move the parts that `where` selects.

    Payoffs see the player as it was: arrays are marked one by one, so that roles, constraints and
    optimizers fit as before, and the marks come off before the payoff is called. The players of a
    solution have them; `mm.unfreeze` takes them off.

    What no solver is to move but a forward pass changes, such as the state of a batch normalisation
    or a random key, is kept among the players by freezing it; the payoff hands it on by
    `mm.WithState`.

    **Arguments:**

    - `player`: any pytree, or several players at once.
    - `where`: a function of the player that returns one of its parts or several, as for
      `equinox.tree_at`: `lambda model: model.encoder`, `lambda p: (p["w"], p["b"])`. Or booleans, a
      prefix of the player; `jax.tree_util.tree_map_with_path` makes them from paths. By default
      all.

    **Raises:** `GameError` where the booleans do not fit the player, and where the function returns
    what is no part of it.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda p: p["x"]["a"] * p["y"] + p["x"]["b"], {"x": "min", "y": "max"})
    >>> x = mm.freeze({"a": 1.0, "b": 2.0}, lambda x: x["b"])
    >>> solution = mm.solve(game, {"x": x, "y": 1.0})
    >>> print(mm.unfreeze(solution.players["x"])["b"])
    2.0

    ```
    """
    arrays = _tree.map_variables(_tree.as_array, player)
    return _map_where(where, lambda leaf: Frozen(leaf) if _is_array(leaf) else leaf, arrays)


def unfreeze(player: PyTree, where: Where = True) -> PyTree:
    """`player` without the marks of `mm.freeze`, or without those that `where` selects: all but the
    head is frozen in `mm.unfreeze(mm.freeze(model), lambda model: model.head)`.

    Containers and modules are made anew, so that changes to what comes back change nothing else.

    **Arguments and errors:** as for `mm.freeze`.

    ```python
    >>> import minimax as mm
    >>> print(mm.unfreeze(mm.freeze({"a": 1.0})))
    {'a': Array(1., dtype=float32)}

    ```
    """
    return _map_where(where, lambda leaf: leaf.value if _is_frozen(leaf) else leaf, player)


def _map_where(where: Any, function: Callable[[Any], Any], player: PyTree) -> PyTree:
    """`function` on the selected leaves, of which a frozen one is one."""
    leaves, structure = jax.tree.flatten(player, is_leaf=_is_frozen)
    selected = [True] * len(leaves) if where is True else _selected(where, structure)
    chosen = zip(leaves, selected, strict=True)
    return jax.tree.unflatten(structure, [function(x) if is_in else x for x, is_in in chosen])


def _selected(where: Any, structure: Any) -> list[bool]:
    """For each leaf, whether `where` selects it."""
    places = [_Place(number) for number in range(structure.num_leaves)]
    player = jax.tree.unflatten(structure, places)
    if callable(where) and kind_of(where) is None:
        parts = jax.tree.leaves(where(player))
        if not all(isinstance(part, _Place) for part in parts):
            raise GameError(
                "where returned what is no part of the player: expected a function that picks "
                "parts and computes nothing, such as lambda model: model.encoder."
            )
        numbers = {part.number for part in parts}
        return [place.number in numbers for place in places]
    flags = jax.tree.leaves(_tree.broadcast_prefix(where, player, "where"))
    if not all(isinstance(flag, (bool, np.bool_)) for flag in flags):
        raise GameError(
            f"where is {where!r}: expected booleans, a prefix of the player, or a function of the "
            "player that returns parts of it, such as lambda model: model.encoder."
        )
    return [bool(flag) for flag in flags]


class _Place:
    """Stands for a leaf: only which one it is can be told, not what it is."""

    def __init__(self, number: int):
        self.number = number


def _is_frozen(leaf: Any) -> bool:
    return isinstance(leaf, Frozen)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic))
