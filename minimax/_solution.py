"""What `solve` returns: players, how they were reached, and how good they are."""

import dataclasses
import enum
import html
import os
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from minimax import _store
from minimax._errors import is_known
from minimax.plot.overview import overview


class Status(enum.IntEnum):
    """Why `solve` stopped. Inside `jit` and `vmap` it is the integer.

    A status prints as its name and equals it: `solution.status == "converged"`.
    """

    converged = 0
    max_steps = 1
    diverged = 2
    nonfinite = 3
    stalled = 4
    cycling = 5
    unbounded = 6
    time_limit = 7
    interrupted = 8
    stopped = 9
    exhausted = 10

    @property
    def message(self) -> str:
        """What happened and what to do next."""
        return _MESSAGES[self]

    def __eq__(self, other: object) -> bool:
        return self.name == other if isinstance(other, str) else int(self) == other

    __hash__ = enum.IntEnum.__hash__

    def __str__(self) -> str:
        return self.name


_MESSAGES = {
    Status.converged: "The metric is at or below the tolerance.",
    Status.max_steps: (
        "The steps ran out before the metric reached the tolerance. Raise max_steps, raise tol, "
        "or try another step size or solver; solution.trace (record=...) shows how fast the "
        "residual falls."
    ),
    Status.diverged: (
        "The players ran away, ever faster: they are a million times further out than they began, "
        "and the metric is no better. The steps are too long: lower the step size, if the solver "
        "has one. Descent-ascent runs away from rotating games at every step size, where "
        "extragradient does not."
    ),
    Status.unbounded: (
        "The players run away, and the metric stays large: either the solution is very far, or "
        "the game has no saddle point, because constraints cannot be met or a payoff is without "
        "bound. Look at the constraints, give the players sets such as mm.Box, or start nearer."
    ),
    Status.stalled: (
        "The metric stopped improving: this is where rounding ends, or a step size that does not "
        "shrink. Switch to double precision (jax_enable_x64), take a constant off the payoff if it "
        "is far larger than what is at stake, or raise tol to the residual reached."
    ),
    Status.cycling: (
        "The players go in circles: they come back to where they were, and the metric has not "
        "improved in the last half of the run. Where the payoff is convex-concave, the default "
        "solver does not cycle, nor does Averaged(solver); elsewhere there may be no solution that "
        "attracts."
    ),
    Status.nonfinite: (
        "Players, payoff or metric became infinite or NaN; the players returned are the last that "
        "were looked at and finite. Lower the step size, start elsewhere, or look at the payoff "
        "there: game.value(solution.players, data), game.gradient(solution.players, data)."
    ),
    Status.time_limit: (
        "The time was up before the run was over. Go on from here with "
        "solve(..., state=solution.state), or raise time_limit."
    ),
    Status.interrupted: (
        "Ctrl-C was pressed: these are the players at the last look. Go on from here with "
        "solve(..., state=solution.state)."
    ),
    Status.stopped: (
        "The callback raised StopIteration: these are the players at the last look. Go on from "
        "here with solve(..., state=solution.state)."
    ),
    Status.exhausted: (
        "The data ended: all batches are used. Go on from here with more of them, "
        "solve(..., state=solution.state), or take an iterable that can be gone through again, "
        "which an iterator cannot: it begins a new epoch by itself."
    ),
}


_NONFINITE_AT_START = (
    "Players, payoff, gradient or metric are infinite or NaN at the start already: "
    "mm.check_game(game, players, data) names the place, where data is one batch of those that are "
    "sampled. Start elsewhere, or look for 0/0, log(0) and the derivative of sqrt(x) at 0 in the "
    "payoff."
)

_NONFINITE_SOON = (
    "Players, payoff or metric became infinite or NaN before the first look at them, within a few "
    "steps of the start, which is returned. Lower the step size, or see where they went with "
    "check_every=1."
)

_AS_STATUS = np.vectorize(Status, otypes=[object])

_MOST_SHOWN = 8
"""How many failed members of a batch are named."""


class Trace(eqx.Module):
    """What was recorded: one row at step 0, at every `record`-th step, and at the last one.

    On the host the rows end where the run did. Inside `jit` and `vmap` there is room for all rows
    that the run could have had, and `rows` says how many of them hold anything.

    **Attributes:** arrays whose first axis is the row.

    - `steps`, `evaluations`: the counts so far.
    - `players`: what the solver would report at that step.
    - `value`, `residual`: payoff and metric there.
    - `stats`: scalars of the solver, by name.
    """

    steps: Int[Array, "*batch row"]
    evaluations: Int[Array, "*batch row"]
    players: PyTree
    value: PyTree
    residual: Float[Array, "*batch row"]
    stats: dict[str, Array]
    rows: Int[Array, "*batch"]

    @classmethod
    def empty(cls, rows: int, **row: Any) -> "Trace":
        """Room for `rows` rows like `row`."""
        room = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), row)
        return cls(**room, rows=jnp.zeros((), int))

    def written(self, index: Int[Array, ""], **row: Any) -> "Trace":
        """This trace with `row` at `index`, where it ends."""
        columns = {name: getattr(self, name) for name in row}
        columns = jax.tree.map(lambda column, leaf: column.at[index].set(leaf), columns, row)
        return Trace(**columns, rows=index + 1)

    def with_room_for(self, rows: int) -> "Trace":
        """This trace with so many rows, which hold what they held."""
        now = len(self.steps)
        return jax.tree.map(
            lambda leaf: (
                jnp.pad(leaf[:rows], [(0, max(rows - now, 0))] + [(0, 0)] * (leaf.ndim - 1))
                if leaf.ndim
                else leaf
            ),
            self,
        )

    def trimmed(self) -> "Trace":
        """Only the rows that hold something, where that can be known."""
        if not is_known(self.rows) or self.rows.ndim != 0:
            return self
        rows = int(self.rows)
        if rows == len(self.steps):
            return self
        # Sliced by NumPy, because JAX compiles anew for every length.
        return jax.tree.map(
            lambda leaf: jnp.asarray(np.asarray(leaf)[:rows]) if leaf.ndim else leaf, self
        )

    def to_dict(self) -> dict[str, np.ndarray]:
        """The columns by name, as NumPy arrays; players by their place in the pytree."""
        columns: dict[str, Any] = {"step": self.steps, "evaluations": self.evaluations}
        for name, tree in (("value", self.value), ("players", self.players)):
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                columns[name + jax.tree_util.keystr(path)] = leaf
        columns |= {"residual": self.residual, **self.stats}
        return {name: np.asarray(column) for name, column in columns.items()}


class Solution(eqx.Module):
    """The outcome of `solve`, as a pytree: under `vmap` every array has a batch axis in front.

    **Attributes:**

    - `players`: the solver's output, structured like the players that were given.
    - `value`: the payoff there, without what regularisers add.
    - `residual`: the metric there; `tol` is what it had to reach (minus infinity where that is not
      asked) and `metric` its name.
    - `steps`, `evaluations`: steps taken and operator evaluations that the solver made for them.
      Looking at the metric is not counted.
    - `trace`: a `Trace`, or `None` without `record`.
    - `state`: what `solve(..., state=...)` needs to go on. Where a solver reports an average of its
      iterates, the last iterate is `state.players`.
    - `solver`: its name; `reason`: why it was chosen, where none was given.
    """

    players: PyTree
    value: PyTree
    residual: Float[Array, "*batch"]
    tol: Float[Array, "*batch"]
    status_code: Int[Array, "*batch"]
    steps: Int[Array, "*batch"]
    evaluations: Int[Array, "*batch"]
    trace: Trace | None
    state: PyTree
    solver: str = eqx.field(static=True)
    reason: str | None = eqx.field(static=True)
    metric: str = eqx.field(static=True)

    @property
    def status(self) -> Any:
        """A `Status`; for a batch a NumPy array of them; inside `jit` the integer codes, comparable
        with `Status` but not with its names."""
        if not is_known(self.status_code):
            return self.status_code
        codes = np.asarray(self.status_code)
        return Status(int(codes)) if codes.ndim == 0 else _AS_STATUS(codes)

    @property
    def success(self) -> Any:
        """Whether the metric reached the tolerance."""
        success = self.status_code == Status.converged
        return bool(success) if is_known(success) and success.ndim == 0 else success

    @property
    def message(self) -> str:
        """What happened and what to do next."""
        if not isinstance(self.status, Status):
            return self._batch_line()
        if self.status == Status.max_steps and float(self.tol) <= 0:
            reason = "with tol=0" if float(self.tol) == 0 else "where data are sampled"
            return f"All steps asked for are made: {reason} nothing else ends a good run."
        if self.status == Status.nonfinite and int(self.steps) == 0:
            return _NONFINITE_SOON if jnp.isfinite(self.residual) else _NONFINITE_AT_START
        return self.status.message

    def raise_if_failed(self) -> "Solution":
        """This solution, or `RuntimeError` with the message where it has not converged.

        Where nothing but `max_steps` was to end the run, as on sampled data or with `tol=0`, it has
        not failed when all steps are made.
        """
        asked_for = (self.tol <= 0) & (self.status_code == Status.max_steps)
        if not bool(jnp.all(jnp.asarray(self.success) | asked_for)):
            if self.status_code.ndim == 0:
                raise RuntimeError(f"{self.solver}: {self.message}")
            rows = "; ".join(" ".join(row.split()) for row in self._batch_rows())
            raise RuntimeError(f"{self._batch_line()}: {rows}")
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Writes all that this solution holds to a file, whole or not at all: a NumPy archive."""
        names = {"solver": self.solver, "reason": self.reason, "metric": self.metric}
        _store.write(path, self, names)

    @classmethod
    def load(cls, path: str | os.PathLike, like: "Solution") -> "Solution":
        """The solution in a file of `save`.

        **Arguments:**

        - `path`: the file.
        - `like`: what it looks like, since a file holds numbers and no functions: a solution of the
          same game by the same solver, such as that of no steps, `solve(..., max_steps=0)`, and
          with a trace where the other has one.

        **Raises:** `GameError` where the file is damaged, or holds something else.

        ```python
        >>> import os, tempfile, minimax as mm
        >>> game, start = mm.Game(lambda players: players[0] * players[1]), (1.0, 1.0)
        >>> path = os.path.join(tempfile.mkdtemp(), "solution.npz")
        >>> mm.solve(game, start, mm.ExtraGradient(0.5)).save(path)
        >>> like = mm.solve(game, start, mm.ExtraGradient(0.5), max_steps=0)
        >>> mm.Solution.load(path, like).status
        <Status.converged: 0>

        ```
        """
        if not isinstance(like, Solution):
            raise GameError(
                f"like is of type {type(like).__name__}: expected a Solution, such as "
                "solve(..., max_steps=0) of the same game by the same solver."
            )
        stored = _store.read(path)
        rows = stored.arrays.get(".trace.steps")
        if like.trace is not None and rows is not None:
            trace = like.trace.with_room_for(rows.shape[-1])
            like = eqx.tree_at(lambda like: like.trace, like, trace)
        found = _store.filled(like, stored, f"the solution in {os.fspath(path)}")
        return dataclasses.replace(found, **stored.note)

    def plot(self, ax: Any = None) -> Any:
        """How fast the residual fell and where the players went, side by side.

        Needs a trace, `solve(..., record=1)`, and the extra `plot`.

        **Arguments:**

        - `ax`: matplotlib axes to draw the residual on, without the players; by default a new
          figure has room for both.

        **Returns:** a NumPy array with both axes of the new figure, or `ax`. More pictures:
        `minimax.plot`.
        """
        return overview(self, ax)

    def trimmed(self) -> "Solution":
        """This solution with only those rows of the trace that hold something."""
        if self.trace is None:
            return self
        return eqx.tree_at(lambda solution: solution.trace, self, self.trace.trimmed())

    def __getitem__(self, index: Any) -> "Solution":
        """One member of a batch of solutions."""
        if self.status_code.ndim == 0:
            raise TypeError("This Solution is a single one: only a batch (from vmap) has members.")
        return jax.tree.map(
            lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, self
        ).trimmed()

    def __repr__(self) -> str:
        if not is_known(self.status_code):
            return f"Solution(traced, {self.solver})"
        if self.status_code.ndim:
            return "\n".join([f"Solution: {self._batch_line()}", *self._batch_rows()])
        return "\n".join([f"Solution: {self._headline()}", *self._rows()])

    def _repr_html_(self) -> str:
        if not is_known(self.status_code) or self.status_code.ndim:
            return f"<pre>{html.escape(repr(self))}</pre>"
        rows = (row.split(maxsplit=1) for row in self._rows())
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in rows
        )
        return f"<b>{html.escape(self._headline())}</b><table>{cells}</table>"

    def _headline(self) -> str:
        chosen = f" ({self.reason})" if self.reason else ""
        return f"{self.status.name} after {int(self.steps)} steps of {self.solver}{chosen}"

    def _rows(self) -> list[str]:
        residual, tol = float(self.residual), float(self.tol)
        bound = f"{'<=' if residual <= tol else '>'} {tol:.3g} ({self.metric})"
        if tol < 0:
            bound = f"({self.metric}, on one batch)"
        rows = [
            f"  residual     {residual:.3g} {bound}",
            f"  value        {_as_text(self.value)}",
            f"  steps        {int(self.steps)}",
            f"  evaluations  {int(self.evaluations)}",
        ]
        return rows if self.success else [*rows, f"  advice       {self.message}"]

    def _batch_rows(self) -> list[str]:
        residuals, steps = np.asarray(self.residual).ravel(), np.asarray(self.steps).ravel()
        failed = np.flatnonzero(np.asarray(self.status_code).ravel() != Status.converged)
        rows = [
            f"  residual     at most {residuals.max():.3g}, tol {np.max(self.tol):.3g} "
            f"({self.metric})",
            f"  steps        {steps.min()} to {steps.max()}",
        ]
        if failed.size:
            shown = ", ".join(map(str, failed[:_MOST_SHOWN]))
            rows.append(f"  failed       {shown}{', …' if failed.size > _MOST_SHOWN else ''}")
        return rows

    def _batch_line(self) -> str:
        codes = np.asarray(self.status_code).ravel()
        counts = {status.name: int(np.sum(codes == status)) for status in Status}
        parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"batch of {codes.size} ({parts}) by {self.solver}"


def _as_text(value: PyTree) -> str:
    if eqx.is_array(value):
        return f"{float(value):.6g}"
    leaves = jax.tree_util.tree_leaves_with_path(value)
    return ", ".join(f"{jax.tree_util.keystr(path)} {float(leaf):.6g}" for path, leaf in leaves)
