"""Pytrees in files: whole or not at all.

A file is a NumPy archive with one array for each leaf, under its place in the pytree, and a note.
It is written beside its place and moved there once it is on the disk, so that whoever reads it
finds the old one or the new one, whenever the writer was stopped. Nothing in it is code.
"""

import json
import os
import pathlib
import tempfile
import zipfile
import zlib
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax._errors import GameError

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
    target = pathlib.Path(path)
    arrays, kinds = {}, {}
    for place, leaf in _places(tree).items():
        kinds[place] = _kind(leaf)
        arrays[place] = as_numbers(leaf)
    head = json.dumps({"kinds": kinds, "note": note})
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            named = {f"array{i}": array for i, array in enumerate(arrays.values())}
            np.savez(file, note=np.frombuffer(head.encode(), np.uint8), **named)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise
    _settle(target.parent)


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
        raise GameError(f"{os.fspath(path)} is no file of minimax, or damaged: {error}") from error
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
        ours = jax.eval_shape(_as_numbers_of_key, leaf) if _is_key(leaf) else leaf
        if kind != _kind(leaf) or array.shape != ours.shape:
            raise GameError(
                f"{what} does not fit: {place} is {kind}{list(array.shape)} there and "
                f"{_kind(leaf)}{list(ours.shape)} here."
            )
        if _is_key(leaf):
            return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
        return jnp.asarray(array.view(leaf.dtype))

    return jax.tree_util.tree_map_with_path(fill, like)


def remove_unfinished(path: str | os.PathLike) -> None:
    """Removes what writers of `path` left beside it that were stopped."""
    target = pathlib.Path(path)
    for part in target.parent.glob(f".{target.name}.*.part"):
        part.unlink(missing_ok=True)


def _places(tree: PyTree) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if eqx.is_array(leaf)}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _kind(leaf: Any) -> str:
    return str(leaf.dtype)


def _as_numbers_of_key(key: Any) -> jax.Array:
    return jax.random.key_data(key)


def as_numbers(leaf: Any) -> np.ndarray:
    """An array as NumPy can store it: keys as their data, JAX's own half precision as bits."""
    array = np.asarray(_as_numbers_of_key(leaf) if _is_key(leaf) else leaf)
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


def _settle(folder: pathlib.Path) -> None:
    """Makes sure that the move itself is on the disk, where folders can be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
