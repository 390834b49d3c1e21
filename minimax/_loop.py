"""The pure loop: run a chunk of steps, look, record, decide; again.

    chunk of steps (scan)  ->  look: metric, finiteness  ->  record  ->  status
            ^                                                              |
            +------------------------- still running ----------------------+

Looking once per chunk costs next to nothing, and a scan of fixed length inside a `while_loop`
makes `vmap` freeze finished members once per chunk, not once per step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._solution import Status, Trace
from minimax._solvers.base import AbstractSolver

FAR = 1e6
"""How many times further out than at the start counts as having run away."""

_RUNNING = -1


class Progress(NamedTuple):
    """Where a run stands: enough to go on from. `steps` counts from the very first step."""

    players: PyTree
    state: PyTree
    steps: Int[Array, ""]


class Problem(eqx.Module):
    """All that stays the same during a run."""

    game: AbstractGame
    solver: AbstractSolver
    metric: AbstractMetric
    data: PyTree
    tol: Float[Array, ""]

    def start(self, players: PyTree) -> Progress:
        """The progress of a run that has not begun."""
        state = self.solver.init(self.game, players, self.data)
        return Progress(players, state, jnp.zeros((), int))

    def advance(self, progress: Progress, length: int) -> Progress:
        """`length` steps further."""

        def step(at: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            return self.solver.step(self.game, *at, self.data)

        players, state = _scan(step, (progress.players, progress.state), length)
        return Progress(players, state, progress.steps + length)

    def output(self, progress: Progress) -> PyTree:
        """The players to report."""
        return self.solver.output(progress.players, progress.state)

    def residual(self, progress: Progress) -> Float[Array, ""]:
        """The metric at the players to report."""
        return self.metric(self.game, self.output(progress), self.data)

    def value(self, progress: Progress) -> PyTree:
        """The payoff at the players to report."""
        return self.game.value(self.output(progress), self.data)

    def evaluations(self, progress: Progress) -> Int[Array, ""]:
        """The operator evaluations of all steps so far."""
        return self.solver.evaluations(progress.steps, progress.state)


class Outcome(NamedTuple):
    """The last finite progress that was looked at, and what was seen: the loop's carry."""

    progress: Progress
    residual: Float[Array, ""]
    status: Int[Array, ""]
    trace: Trace | None


def run(
    problem: Problem, start: Progress, max_steps: int, check_every: int, record: int | None
) -> Outcome:
    """Steps until converged, diverged, non-finite, or `max_steps` steps further on.

    **Arguments:**

    - `check_every`: steps between two looks.
    - `record`: steps between two rows of the trace, a multiple of `check_every`; `None`: no trace.
    """
    reach = FAR * (1 + _tree.norm(start.players))
    first_residual = problem.residual(start)

    def look(before: Outcome, after: Progress) -> Outcome:
        finite = _tree.all_finite(after.players) & _tree.all_finite(problem.output(after))
        progress = _tree.where(finite, after, before.progress)
        residual = problem.residual(progress)
        distance = _tree.norm(_tree.subtract(progress.players, start.players))
        status = _first_that_holds(
            (~finite, Status.nonfinite),
            (residual <= problem.tol, Status.converged),
            ((distance > reach) & ~(residual < first_residual), Status.diverged),
        )
        return Outcome(progress, residual, status, write(before.trace, progress, residual))

    def write(trace: Trace | None, progress: Progress, residual: Array) -> Trace | None:
        if trace is None or record is None:
            return None
        # A row is overwritten until it is full, so the last row is where the run stands.
        row = -((start.steps - progress.steps) // record)
        return trace.written(row, **_row(problem, progress, residual))

    def go_on(outcome: Outcome, length: int, until: int) -> Outcome:
        """Chunks of `length` steps, `until` so many steps were made or a status is reached."""
        return _while(
            lambda now: (now.status == _RUNNING) & (now.progress.steps - start.steps < until),
            lambda now: look(now, problem.advance(now.progress, length)),
            outcome,
        )

    status = _first_that_holds(
        (~_tree.all_finite(start.players), Status.nonfinite),
        (first_residual <= problem.tol, Status.converged),
    )
    trace = None
    if record is not None:
        rows = -(-max_steps // record) + 1
        trace = Trace.empty(rows, **_row(problem, start, first_residual))
    outcome = Outcome(start, first_residual, status, write(trace, start, first_residual))
    chunks, rest = divmod(max_steps, check_every)
    if chunks:
        outcome = go_on(outcome, check_every, chunks * check_every)
    if rest:
        outcome = go_on(outcome, rest, max_steps)
    ran_out = outcome.status == _RUNNING
    return outcome._replace(status=jnp.where(ran_out, int(Status.max_steps), outcome.status))


def _row(problem: Problem, progress: Progress, residual: Array) -> dict[str, PyTree]:
    return dict(
        steps=progress.steps,
        evaluations=problem.evaluations(progress),
        players=_tree.variables(problem.output(progress)),
        value=problem.value(progress),
        residual=residual,
        stats=problem.solver.stats(progress.state),
    )


def _first_that_holds(*cases: tuple[Any, Status]) -> Int[Array, ""]:
    conditions, statuses = zip(*cases, strict=True)
    codes = [jnp.asarray(int(status), jnp.int32) for status in statuses]
    return jnp.select(conditions, codes, jnp.asarray(_RUNNING, jnp.int32))


def _scan(step: Callable[[PyTree], PyTree], carry: PyTree, length: int) -> PyTree:
    """`step` `length` times. Only arrays travel; what else players hold stays where it is."""
    arrays, rest = eqx.partition(carry, eqx.is_array)

    def body(arrays: PyTree, _: None) -> tuple[PyTree, None]:
        return eqx.filter(step(eqx.combine(arrays, rest)), eqx.is_array), None

    arrays, _ = jax.lax.scan(body, arrays, None, length=length)
    return eqx.combine(arrays, rest)


def _while(
    condition: Callable[[Outcome], Array], body: Callable[[Outcome], Outcome], carry: Outcome
) -> Outcome:
    """`lax.while_loop` over a carry of which only the arrays travel."""
    arrays, rest = eqx.partition(carry, eqx.is_array)
    arrays = jax.lax.while_loop(
        lambda arrays: condition(eqx.combine(arrays, rest)),
        lambda arrays: eqx.filter(body(eqx.combine(arrays, rest)), eqx.is_array),
        arrays,
    )
    return eqx.combine(arrays, rest)
