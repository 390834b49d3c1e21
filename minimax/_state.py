"""What a forward pass leaves behind: statistics of a batch normalisation, counters, random keys."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._computed import computed
from minimax._errors import GameError
from minimax._frozen import unfreeze


class WithState(NamedTuple):
    """What a payoff returns whose players have state: what is at stake, and the players with the
    state that the evaluation leaves.

    Of these players only what no solver moves is taken: what `mm.freeze` marks, and arrays of
    modules that are not floating-point. It is what the next step begins with. All evaluations of
    one step see the same state, so that both halves of an extragradient step draw the same dropout
    mask, and what is kept is what the evaluation where the step began leaves.

    Payoffs of Flax NNX modules just return a scalar: what they leave in the modules is seen.

    **Arguments:**

    - `payoff`: a scalar, or one scalar per player.
    - `players`: structured like the players that the payoff was given.

    **Raises:** `GameError`, from `solve`, for something new in what solvers move.

    ```python
    >>> import jax
    >>> import minimax as mm
    >>> def payoff(players):
    ...     x, key = players["x"]
    ...     key, draw = jax.random.split(key)
    ...     value = (x + jax.random.normal(draw)) * players["y"]
    ...     return mm.WithState(value, {**players, "x": (x, key)})
    >>> game = mm.Game(payoff, {"x": "min", "y": "max"})
    >>> players = {"x": (1.0, mm.freeze(jax.random.key(0))), "y": 1.0}
    >>> solution = mm.solve(game, players, mm.ExtraGradient(0.1), max_steps=100)
    >>> x, key = mm.unfreeze(solution.players["x"])  # the key of the next step

    ```
    """

    payoff: PyTree
    players: PyTree


def has_state(players: PyTree) -> bool:
    """Whether there is an array that a forward pass may change and no solver moves."""
    return any(map(eqx.is_array, jax.tree.leaves(_tree.constants(players))))


def places(players: PyTree) -> list[tuple[Any, ...]]:
    """The path of each leaf, by the names that payoffs know."""
    return [path for path, _ in jax.tree_util.tree_leaves_with_path(unfreeze(players))]


def check_left(payoff: Callable[[PyTree], WithState], players: PyTree) -> None:
    """Raises `GameError` where a payoff leaves something new in what solvers move, since nobody
    would take it. `payoff` takes players like `players`, among them modules that it may change."""
    variables, rest = _tree.partition(players)

    def left(variables: PyTree) -> list[Array]:
        after = payoff(eqx.combine(variables, rest)).players
        by_place = dict(jax.tree_util.tree_leaves_with_path(after))
        moved = jax.tree_util.tree_leaves_with_path(variables)
        return [
            by_place[path] if eqx.is_array(by_place.get(path)) else given for path, given in moved
        ]

    moved = jax.tree_util.tree_leaves_with_path(variables)
    for is_new, (path, _) in zip(computed(left, variables), moved, strict=True):
        if is_new:
            raise GameError(
                f"the payoff leaves something new in {_tree.place('players', path)}, which the "
                "solver moves: state is what no solver moves. Freeze it, mm.freeze(player, where), "
                "or return these players as they were given."
            )


def taken_over(players: PyTree, left: PyTree, tree: PyTree) -> PyTree:
    """`tree` with what no solver moves as it is in `left`, in every part structured like `players`.

    Besides the next players these are the points that a solver remembers: it may evaluate there.
    """
    leaves, structure = jax.tree.flatten(players)
    by_place = dict(jax.tree_util.tree_leaves_with_path(left))
    moved = structure.flatten_up_to(_tree.variables(players))
    current = [
        _taken(path, leaf, by_place.get(path)) if variable is None and eqx.is_array(leaf) else leaf
        for path, leaf, variable in zip(places(players), leaves, moved, strict=True)
    ]
    if all(new is old for new, old in zip(current, leaves, strict=True)):
        return tree
    current = jax.tree.unflatten(structure, current)

    def is_like_players(node: PyTree) -> bool:
        return jax.tree.structure(node) == structure

    return jax.tree.map(
        lambda node: eqx.combine(_tree.variables(node), current) if is_like_players(node) else node,
        tree,
        is_leaf=is_like_players,
    )


def _taken(path: tuple[Any, ...], old: Array, new: Any) -> Array:
    """The new array in the dtype of the old one."""
    if new is None:
        raise GameError(
            f"the payoff leaves nothing in {_tree.place('players', path)}: expected all players as "
            "it was given them, with new state in them."
        )
    if not _fits(old, new):
        raise GameError(
            f"the payoff leaves {eqx.tree_pformat(new)} in {_tree.place('players', path)}, which "
            f"was {eqx.tree_pformat(old)}: expected the same shape and kind of number, because "
            "every step is the same program."
        )
    return new if _tree.is_key(old) else jnp.asarray(new, old.dtype)


def _fits(old: Array, new: Any) -> bool:
    if not eqx.is_array_like(new) or jnp.shape(new) != old.shape:
        return False
    if _tree.is_key(old) or _tree.is_key(new):
        return getattr(new, "dtype", None) == old.dtype
    return jnp.can_cast(jnp.result_type(new), old.dtype, "same_kind")
