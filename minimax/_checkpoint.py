"""Checkpoints: a run that goes on where it was stopped, whoever stopped it."""

import hashlib
import os
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _store
from minimax._errors import GameError, check_whole
from minimax._files import remove_parts
from minimax._loop import RUNNING, Outcome, Plan, Problem
from minimax._solution import Status, Trace
from minimax._watch import AbstractWatcher, Moment

_FILE = "checkpoint.npz"
_FOR_GOOD = (Status.converged, Status.diverged, Status.nonfinite)
"""What has ended so would not go on with more steps."""
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
        if every is not None:
            check_whole("every", every)
        self.folder = pathlib.Path(folder)
        self.every = every

    @property
    def path(self) -> pathlib.Path:
        """The file."""
        return self.folder / _FILE


@final
class Keeper(AbstractWatcher):
    """Writes what it is shown. `options`: of `solve`, by name, which make a run another run."""

    def __init__(self, checkpoint: Checkpoint, options: dict[str, Any]):
        self._checkpoint = checkpoint
        self._options = options
        self._note: dict[str, Any] = {}
        self._latest: tuple[int, Moment] | None = None
        self._written = -1
        self._written_at = time.monotonic()

    def restored(self, problem: Problem, outcome: Outcome, plan: Plan) -> Outcome:
        """The outcome in the file; `outcome`, that of a run which has not begun, without one."""
        path = self._checkpoint.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GameError(
                f"{path.parent} cannot be the folder of a checkpoint: {error.strerror or error}."
            ) from error
        remove_parts(path)
        self._note = {"run": _fingerprints(problem, outcome, self._options)}
        if not path.exists():
            return outcome
        try:
            stored = _store.read(path)
        except GameError as error:
            raise GameError(f"{error} Remove it, and the run begins anew.") from error
        if differences := _differences(stored.note.get("run"), self._note["run"]):
            raise GameError(
                f"{path} is a checkpoint of another run. What differs: {differences}. Take another "
                "folder, or remove this one."
            )
        found = _store.filled(_like(outcome, stored), stored, f"the checkpoint {path}")
        found = found._replace(trace=_with_room(found.trace, outcome.trace))
        self._written = int(found.now.progress.steps)
        status, done = int(found.status), self._written - int(found.first_step)
        if status in _FOR_GOOD or (status >= 0 and done >= plan.max_steps):
            return found
        goes_on = RUNNING if done < plan.max_steps else Status.max_steps
        return found._replace(status=jnp.int32(goes_on))

    def next_stop(self, steps: int) -> int | None:
        every = self._checkpoint.every
        return None if every is None else (steps // every + 1) * every

    def keep(self, moment: Moment) -> None:
        if moment.steps != self._written:
            self._write(moment.steps, moment)

    def watch(self, moment: Moment) -> None:
        every, steps = self._checkpoint.every, moment.steps
        self._latest = (steps, moment) if moment.is_at_a_look else None
        if self._latest is None:
            return  # the look before this one has been kept
        if every is not None:
            due = steps // every > self._written // every
        else:
            due = time.monotonic() - self._written_at >= _SECONDS
        if due or int(moment.outcome.status) >= 0:
            self._write(steps, moment)

    def close(self) -> None:
        if self._latest is not None and self._latest[0] != self._written:
            self._write(*self._latest)

    def _write(self, steps: int, moment: Moment) -> None:
        if any(leaf.is_deleted() for leaf in jax.tree.leaves(moment.outcome) if _is_ours(leaf)):
            return  # the next call has begun already, and failed: what was written before counts
        _store.write(self._checkpoint.path, moment.outcome, self._note)
        self._written, self._written_at = steps, time.monotonic()


def _is_ours(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array)


def _fingerprints(problem: Problem, outcome: Outcome, options: dict[str, Any]) -> dict[str, str]:
    """What makes a run, by name: equal for equal runs, in another process, too, and for no others.

    The program of start, step and look, with all constants in it, and the numbers that it is for.
    Where functions lie in memory is left out, and which batches an iterable will have cannot be
    known.
    """
    players = outcome.now.progress.players
    arrays, rest = eqx.partition((problem, outcome.now.progress), eqx.is_array)

    def program(arrays: PyTree) -> PyTree:
        problem, progress = eqx.combine(arrays, rest)
        game, solver, source = problem.game, problem.solver, problem.source
        # By its program and not by its numbers, the last digits of which differ between machines.
        begun = solver.init(game, progress.players, source.seen())
        players, state = solver.step(game, progress.players, progress.state, source.example())
        state = solver.refine(game, players, state, source.seen())
        return eqx.filter((begun, players, state, problem.look(progress)), eqx.is_array)

    traced = jax.make_jaxpr(program)(arrays)
    text = re.sub(r" at 0x[0-9a-f]+", "", str(traced.jaxpr))
    parts = {
        "the players": players,
        "the numbers of the game": problem.game,
        "the numbers of the solver": problem.solver,
        "the numbers of the metric": problem.metric,
        "tol": problem.tol,
        "the data or the key": problem.source.identity(),
        **options,
        "the program (payoff, solver, metric, sampler, shapes or the version of JAX)": (
            text,
            list(_constants(traced)),
        ),
    }
    return {name: _digest(part) for name, part in parts.items()}


def _differences(then: Any, now: dict[str, str]) -> str:
    """What is not `now` as it was `then`, in words; empty where all is."""
    if not isinstance(then, dict) or then.keys() != now.keys():
        return "the version of minimax"
    return ", ".join(name for name in now if now[name] != then[name])


def _digest(part: PyTree) -> str:
    """Of arrays the numbers, of text and whole numbers what they are."""
    digest = hashlib.blake2b(digest_size=8)
    for leaf in jax.tree.leaves(part, is_leaf=lambda leaf: leaf is None):
        if eqx.is_array(leaf) or isinstance(leaf, (np.ndarray, np.generic)):
            digest.update(f"{leaf.dtype}{leaf.shape}".encode())
            digest.update(np.ascontiguousarray(_store.as_numbers(leaf)).tobytes())
        elif leaf is None or isinstance(leaf, (str, int)):
            digest.update(repr(leaf).encode())
    return digest.hexdigest()


def _constants(program: Any) -> Iterator[Any]:
    """The arrays in a program, and in those inside it, which its text leaves out."""
    yield from getattr(program, "consts", ())
    for equation in getattr(program, "jaxpr", program).eqns:
        yield from (atom.val for atom in equation.invars if hasattr(atom, "val"))
        for parameter in jax.tree.leaves(equation.params, is_leaf=_is_program):
            if _is_program(parameter):
                yield from _constants(parameter)


def _is_program(parameter: Any) -> bool:
    return hasattr(parameter, "eqns") or hasattr(parameter, "jaxpr")


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
