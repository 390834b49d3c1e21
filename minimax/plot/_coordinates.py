"""The scalar variables of players: what they are called, which are drawn, what they are worth."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError


class Coordinate(NamedTuple):
    """A scalar variable: entry `entry` of the leaf number `leaf` among the variables."""

    label: str
    leaf: int
    entry: tuple[int, ...]


Plane = tuple[Coordinate, Coordinate]
"""The coordinate drawn across and the one drawn up."""


def label(path: tuple[Any, ...], entry: tuple[int, ...] = ()) -> str:
    """The place `path` as the user would write it: `x`, `net.weight[0, 1]`, `players[0]`."""
    if path and isinstance(path[0], jax.tree_util.DictKey) and isinstance(path[0].key, str):
        place = path[0].key + jax.tree_util.keystr(path[1:])
    elif path and isinstance(path[0], jax.tree_util.GetAttrKey):
        place = jax.tree_util.keystr(path).removeprefix(".")
    else:
        place = _tree.place("players", path)
    return place + (str(list(entry)) if entry else "")


def chosen_plane(players: PyTree, axes: tuple[str, str] | None) -> Plane:
    """The two coordinates that `axes` names, or else the only two that there are."""
    size = sum(leaf.size for leaf in jax.tree.leaves(_tree.variables(players)))
    if axes is None and size == 2:
        across, up = _coordinates(players)
        return across, up
    some = [coordinate.label for coordinate in itertools.islice(_coordinates(players), 6)]
    known = ", ".join(some) + (f", … ({size} in all)" if size > len(some) else "")
    if axes is None:
        raise GameError(
            f"a phase portrait draws two scalar variables and the players have {size} ({known}): "
            f"name two, for example axes=({some[0]!r}, {some[-1]!r})."
        )
    if isinstance(axes, str) or len(axes) != 2:
        raise GameError(f"axes is {axes!r}: expected the names of two scalar variables.")
    found = {c.label: c for c in _coordinates(players) if c.label in axes}
    for axis in axes:
        if axis not in found:
            raise GameError(f"axes names {axis!r}, which is no scalar variable: there are {known}.")
    return found[axes[0]], found[axes[1]]


def check_like(held: PyTree, name: str, players: PyTree) -> None:
    """Raises `GameError` where `players` have other variables than `held`."""
    given, expected = _shapes(players), _shapes(held)
    if given != expected:
        raise GameError(
            f"{name} has the variables {given} and the last solution has {expected} (place and "
            "shape): a phase portrait draws players of one game."
        )


def points(players: PyTree, plane: Plane) -> np.ndarray:
    """The players in the plane, of shape (rows, 2); one row where there is no axis of rows."""
    leaves = jax.tree.leaves(_tree.variables(players))
    columns = [np.asarray(leaves[c.leaf], float)[..., *c.entry] for c in plane]
    return np.stack([np.atleast_1d(column) for column in columns], axis=-1)


def _coordinates(players: PyTree) -> Iterator[Coordinate]:
    """All scalar variables of `players`, in the order of the pytree."""
    leaves = jax.tree_util.tree_leaves_with_path(_tree.variables(players))
    for number, (path, leaf) in enumerate(leaves):
        for entry in np.ndindex(leaf.shape):
            yield Coordinate(label(path, entry), number, entry)


def _shapes(players: PyTree) -> list[tuple[str, tuple[int, ...]]]:
    leaves = jax.tree_util.tree_leaves_with_path(_tree.variables(players))
    return [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves]
