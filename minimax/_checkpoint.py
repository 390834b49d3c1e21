"""Checkpoints: a run that goes on where it was stopped, whoever stopped it."""

import hashlib
import os
import pathlib
import re
import time
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _store
from minimax._errors import GameError
from minimax._loop import RUNNING, Outcome, Plan
from minimax._solution import Status, Trace
from minimax._watch import AbstractWatcher, Moment

_FILE = "checkpoint.npz"
_SECONDS = 60.0
"""How long a run may take between two checkpoints, where no number of steps is given."""


@final
class Checkpoint:
    """Where a run is written to, and how often.

    Hand it to `solve(..., checkpoint=...)`. Where the folder holds a checkpoint already, of the
    same call, the run goes on from there, to the bit as if it had never been stopped: state of the
    optimizers, keys and the position in the data included. What is written appears under its name
    only when it is whole, so a process may be killed at any moment.

    **Arguments:**

    - `folder`: made where it does not exist. One run, one folder.
    - `every`: steps between two checkpoints; by default a minute is. The last look is written, too.

    **Raises:** `GameError` where `every` is no whole number >= 1.

    ```python
    >>> import tempfile, minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> folder = tempfile.mkdtemp()
    >>> kept = mm.Checkpoint(folder, every=100)
    >>> half = mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.1), checkpoint=kept, max_steps=200)
    >>> mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.1), checkpoint=kept, max_steps=400)
    Solution: max_steps after 400 steps of ExtraGradient
    ...

    ```
    """

    def __init__(self, folder: str | os.PathLike, every: int | None = None):
        if every is not None and (isinstance(every, bool) or not isinstance(every, int)):
            raise GameError(f"every is {every!r}: expected a whole number of steps >= 1, or None.")
        if every is not None and every < 1:
            raise GameError(f"every is {every}: expected a whole number of steps >= 1, or None.")
        self.folder = pathlib.Path(folder)
        self.every = every

    @property
    def path(self) -> pathlib.Path:
        """The file."""
        return self.folder / _FILE


@final
class Keeper(AbstractWatcher):
    """Writes what it is shown. `problem`: what makes a run another run."""

    def __init__(self, checkpoint: Checkpoint, problem: PyTree):
        self._checkpoint = checkpoint
        self._problem = _fingerprint(problem)
        self._latest: Moment | None = None
        self._written = -1
        self._written_at = time.monotonic()

    def restored(self, outcome: Outcome, plan: Plan) -> Outcome:
        """The outcome in the file; `outcome`, that of a run which has not begun, without one."""
        path = self._checkpoint.path
        path.parent.mkdir(parents=True, exist_ok=True)
        _store.remove_unfinished(path)
        if not path.exists():
            return outcome
        stored = _store.read(path)
        if stored.note.get("problem") != self._problem:
            raise GameError(
                f"{path} is a checkpoint of another run: game, players, solver, data, key or "
                "options differ. Take another folder, or remove this one."
            )
        found = _store.filled(_like(outcome, stored), stored, f"the checkpoint {path}")
        found = found._replace(trace=_with_room(found.trace, outcome.trace))
        self._written = steps = int(found.now.progress.steps)
        done = steps - int(found.first_step)
        if int(found.status) != Status.max_steps or done >= plan.max_steps:
            return found
        if done % plan.check_every:
            raise GameError(
                f"{path} holds a run that ended after {done} steps, between two looks: with "
                f"check_every={plan.check_every} it cannot go on. Remove it, and choose a "
                "max_steps that is a multiple."
            )
        return found._replace(status=jnp.int32(RUNNING))

    def next_stop(self, steps: int) -> int | None:
        every = self._checkpoint.every
        return None if every is None else (steps // every + 1) * every

    def watch(self, moment: Moment) -> None:
        self._latest = moment
        every, steps = self._checkpoint.every, moment.steps
        if every is not None:
            due = steps // every > self._written // every
        else:
            due = time.monotonic() - self._written_at >= _SECONDS
        if due or int(moment.outcome.status) >= 0:
            self._write(moment)

    def close(self) -> None:
        if self._latest is not None and self._latest.steps != self._written:
            self._write(self._latest)

    def _write(self, moment: Moment) -> None:
        if any(leaf.is_deleted() for leaf in jax.tree.leaves(moment.outcome) if _is_ours(leaf)):
            return  # the next call has begun already, and failed: what was written before counts
        _store.write(self._checkpoint.path, moment.outcome, {"problem": self._problem})
        self._written, self._written_at = moment.steps, time.monotonic()


def _is_ours(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def _fingerprint(problem: PyTree) -> str:
    """Equal for equal problems, in another process, too: where functions lie in memory is left
    out."""
    digest = hashlib.blake2b(digest_size=16)
    arrays, rest = eqx.partition(problem, eqx.is_array)
    digest.update(re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.flatten(rest))).encode())
    for leaf in jax.tree.leaves(arrays):
        numbers = _store.as_numbers(leaf)
        digest.update(f"{leaf.dtype}{leaf.shape}".encode())
        digest.update(np.ascontiguousarray(numbers).data)
    return digest.hexdigest()


def _like(outcome: Outcome, stored: _store.Stored) -> Outcome:
    """`outcome` with as many rows in its trace as the one in the file."""
    rows = stored.arrays.get(".trace.steps")
    if outcome.trace is None or rows is None:
        return outcome
    return outcome._replace(trace=outcome.trace.with_room_for(len(rows)))


def _with_room(trace: Trace | None, other: Trace | None) -> Trace | None:
    """`trace` with as many rows as `other`, or more."""
    if trace is None or other is None:
        return trace
    return trace.with_room_for(max(len(trace.steps), len(other.steps)))
