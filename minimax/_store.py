"""Pytrees in files: whole or not at all.

A file is a NumPy archive with one array for each leaf, under its place in the pytree, and a note.
Nothing in it is code.
"""

import json
import os
import zipfile
import zlib
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._files import replaced

_DAMAGED = (
    OSError,
    EOFError,
    LookupError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise at files that are none of theirs; of their errors all that are not
said to be impossible."""


class Stored(NamedTuple):
    """What a file holds: arrays by place, what they are besides numbers, and the note."""

    arrays: dict[str, np.ndarray]
    kinds: dict[str, str]
    note: dict[str, Any]


def write(path: str | os.PathLike, tree: PyTree, note: dict[str, Any]) -> None:
    """Writes the arrays of `tree`, and a note that JSON can hold."""
    arrays, kinds = {}, {}
    for place, leaf in _places(tree).items():
        kinds[place] = str(leaf.dtype)
        arrays[place] = as_numbers(leaf)
    head = json.dumps({"kinds": kinds, "note": note})
    named = {f"array{i}": array for i, array in enumerate(arrays.values())}
    with replaced(path) as file:
        np.savez(file, note=np.frombuffer(head.encode(), np.uint8), **named)


def read(path: str | os.PathLike) -> Stored:
    """What `write` has written.

    Raises `GameError` where the file is none of those, or damaged.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            head = json.loads(bytes(file["note"]))
            arrays = [file[f"array{i}"] for i in range(len(head["kinds"]))]
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise GameError(f"{os.fspath(path)} is no file of minimax, or damaged.") from error
    return Stored(dict(zip(head["kinds"], arrays, strict=True)), head["kinds"], head["note"])


def filled(like: PyTree, stored: Stored, what: str) -> PyTree:
    """`like` with the arrays of the file in place of its own.

    Raises `GameError` where places, shapes or dtypes differ.
    """
    expected = _places(like)
    if missing := sorted(expected.keys() ^ stored.arrays.keys()):
        raise GameError(f"{what} does not fit: only one of both has {missing[0]}.")

    def fill(path: tuple[Any, ...], leaf: Any) -> Any:
        if not eqx.is_array(leaf):
            return leaf
        place = jax.tree_util.keystr(path)
        array, kind = stored.arrays[place], stored.kinds[place]
        ours = jax.eval_shape(jax.random.key_data, leaf) if _tree.is_key(leaf) else leaf
        if kind != str(leaf.dtype) or array.shape != ours.shape:
            raise GameError(
                f"{what} does not fit: {place} is {kind}{list(array.shape)} there and "
                f"{str(leaf.dtype)}{list(ours.shape)} here."
            )
        if _tree.is_key(leaf):
            return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        return jnp.asarray(array.view(leaf.dtype))

    return jax.tree_util.tree_map_with_path(fill, like)


def _places(tree: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if eqx.is_array(leaf)}


def as_numbers(leaf: Any) -> np.ndarray:
    """An array as NumPy can store it: keys as their data, JAX's own half precision as bits."""
    array = np.asarray(jax.random.key_data(leaf) if _tree.is_key(leaf) else leaf)
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array
