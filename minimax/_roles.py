"""The role of a player, and the one place where it becomes a sign."""

from typing import Any

import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError

_SIGNS = {"min": 1.0, "max": -1.0}


def check_roles(roles: PyTree) -> None:
    """Raises `GameError` where a role is neither "min" nor "max"."""
    leaves = jax.tree_util.tree_leaves_with_path(roles, is_leaf=_is_role)
    if not leaves:
        raise GameError('roles are empty: give every player "min" or "max".')
    for path, role in leaves:
        if not isinstance(role, str) or role not in _SIGNS:
            raise GameError(
                f'{_tree.place("roles", path)} is {role!r}: a role is "min" (the player descends '
                'its payoff) or "max" (it ascends).'
            )


def role_of_each(roles: PyTree, players: PyTree) -> PyTree:
    """The role of each leaf of `players`, as `players` with strings for leaves."""
    check_roles(roles)
    try:
        return _tree.broadcast_prefix(roles, players, "roles", is_leaf=_is_role)
    except GameError as error:
        if isinstance(players, dict) and not isinstance(roles, dict):
            names = ", ".join(f"{name!r}: ..." for name in players)
            raise GameError(f'{error} Give roles={{{names}}}, each "min" or "max".') from None
        raise


def sign_of_each(roles: PyTree, players: PyTree) -> PyTree:
    """+1 at each leaf that descends its payoff, -1 at each that ascends it."""
    return jax.tree.map(_SIGNS.__getitem__, role_of_each(roles, players))


def number_of_each(roles: PyTree, players: PyTree) -> PyTree[int]:
    """The number of the player, among the leaves of `roles`, to which each leaf belongs."""
    return _tree.numbered(roles, players, "roles")


def turns(roles: PyTree) -> list[PyTree]:
    """One prefix pytree of booleans per player, in the order of the pytree: whose turn it is."""
    leaves, structure = jax.tree.flatten(roles)
    return [
        jax.tree.unflatten(structure, [player == turn for player in range(len(leaves))])
        for turn in range(len(leaves))
    ]


def minimisers(roles: PyTree) -> PyTree[bool]:
    """Which players descend: the prefix pytree of `roles` with booleans."""
    return jax.tree.map(lambda role: role == "min", roles)


def choose(turn: PyTree[bool], ours: PyTree, theirs: PyTree) -> PyTree:
    """`ours` for the players whose turn it is, `theirs` for the others."""
    return jax.tree.map(lambda here, a, b: a if here else b, turn, ours, theirs)


def _is_role(leaf: Any) -> bool:
    return leaf is None
