"""Batches from any iterable of the host, collected for one call of the loop after another."""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError

_END = object()
"""What comes after the last batch."""


class Feed:
    """The batches of an iterable, `per_step` of them for every step.

    What can be gone through again is, epoch after epoch; an iterator is gone through once.
    """

    def __init__(self, iterable: Iterable[PyTree], per_step: int = 1):
        self._iterable, self._iterator, self._per_step = iterable, iter(iterable), per_step
        self._passed = 0
        self._prepared: tuple[int, PyTree] | Exception | None = None
        first = self._next()
        if first is _END:
            raise GameError("data are an iterable without batches: expected at least one.")
        self.first = first
        self._back = [first]

    def skip(self, steps: int) -> None:
        """Passes over the batches of steps that were made before."""
        for _ in range(steps * self._per_step):
            self._take()

    def prepare(self, steps: int) -> None:
        """Collects for up to `steps` steps ahead of time. What goes wrong is told by `collect`."""
        try:
            self._prepared = self._collected(steps)
        except Exception as error:
            self._prepared = error

    def collect(self, steps: int) -> tuple[int, PyTree]:
        """The batches of up to `steps` steps, stacked, and of how many steps they are: of fewer
        only where the data end."""
        if self._prepared is None:
            self.prepare(steps)
        prepared, self._prepared = self._prepared, None
        if isinstance(prepared, Exception):
            raise prepared
        assert prepared is not None
        return prepared

    def _collected(self, steps: int) -> tuple[int, PyTree]:
        taken: list[PyTree] = []
        while len(taken) < steps * self._per_step and (batch := self._take()) is not _END:
            taken.append(batch)
        steps = len(taken) // self._per_step
        if steps == 0:
            return 0, None
        shape = (steps,) if self._per_step == 1 else (steps, self._per_step)
        stacked = jax.tree.map(
            lambda *leaves: np.stack(leaves).reshape(*shape, *leaves[0].shape),
            *taken[: steps * self._per_step],
        )
        return steps, stacked

    def _take(self) -> Any:
        batch = self._back.pop() if self._back else self._next()
        if batch is not _END and _shapes(batch) != _shapes(self.first):
            raise GameError(
                f"batch {self._passed} of data is {_described(batch)}, and the first one is "
                f"{_described(self.first)}: batches must be equal in structure, shapes and dtypes, "
                "because they are for the steps of one compiled loop. Drop a last batch that is "
                "smaller (drop_last=True)."
            )
        self._passed += 1
        return batch

    def _next(self) -> Any:
        """The next batch, or the first one of a new epoch; `_END` where there are no more."""
        batch = next(self._iterator, _END)
        if batch is _END:  # an iterator gives itself, and has no more; a loader begins anew
            self._iterator = iter(self._iterable)
            batch = next(self._iterator, _END)
        return batch if batch is _END else _on_host(batch)


def is_iterable(data: Any) -> bool:
    """Whether data are an iterable of batches, and not a batch: a pytree is data by itself."""
    return (
        isinstance(data, Iterable)
        and jax.tree_util.all_leaves([data])
        and not eqx.is_array_like(data)
        and not isinstance(data, (str, bytes, np.ndarray))
    )


def _on_host(batch: PyTree) -> PyTree:
    def converted(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        if eqx.is_array(leaf) and _tree.is_key(leaf):
            raise GameError(
                f"{_tree.place('a batch of data', path)} is a key: give key=... to solve, and the "
                "payoff gets the pair (batch, key)."
            )
        array = np.array(leaf)  # copied: a loader may write its next batch where this one is
        if array.dtype.kind not in "biufc" and not jnp.issubdtype(array.dtype, jnp.floating):
            raise GameError(
                f"{_tree.place('a batch of data', path)} is {leaf!r}: expected an array of numbers."
            )
        return array

    return jax.tree_util.tree_map_with_path(converted, batch)


def _shapes(batch: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(batch)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _described(batch: PyTree) -> str:
    return str(jax.tree.map(lambda leaf: f"{leaf.dtype}{list(leaf.shape)}", batch))
