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
"""How many times larger than at the start players are that have run away."""

_UNSEEN, _RUNNING = -2, -1


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
    value: PyTree
    status: Int[Array, ""]
    first_residual: Float[Array, ""]
    first_size: Float[Array, ""]
    trace: Trace | None


def run(
    problem: Problem, start: Progress, max_steps: int, check_every: int, record: int | None
) -> Outcome:
    """Steps until converged, diverged, non-finite, or `max_steps` steps further on.

    **Arguments:**

    - `check_every`: steps between two looks.
    - `record`: steps between two rows of the trace, a multiple of `check_every`; `None`: no trace.
    """

    def look(before: Outcome, after: Progress) -> Outcome:
        size, residual, value = (
            _tree.largest(after.players),
            problem.residual(after),
            problem.value(after),
        )
        finite = jnp.isfinite(size) & jnp.isfinite(_tree.largest(value)) & ~jnp.isnan(residual)
        # A branch, and not a choice entry by entry, which would compile a kernel for each leaf.
        progress = _unless(~finite, lambda: after, before.progress)
        residual = jnp.where(finite, residual, before.residual)
        value = _tree.where(finite, value, before.value)
        unseen = before.status == _UNSEEN
        first_size = jnp.where(unseen, size, before.first_size)
        first_residual = jnp.where(unseen, residual, before.first_residual)
        far = size > FAR * (1 + first_size)
        status = _first_that_holds(
            (~finite, Status.nonfinite),
            (residual <= problem.tol, Status.converged),
            (far & ~(residual < first_residual), Status.diverged),
        )
        trace = before.trace
        if trace is not None and record is not None:
            # A row is overwritten until it is full, so the last row is where the run stands.
            row = -((start.steps - progress.steps) // record)
            trace = trace.written(row, **_row(problem, progress, residual, value))
        return Outcome(progress, residual, value, status, first_residual, first_size, trace)

    def go_on(outcome: Outcome, length: int, until: int) -> Outcome:
        """Chunks of `length` steps until there have been `until` or there is a status."""

        def more(now: Outcome) -> Array:
            steps = now.progress.steps - start.steps
            return (now.status == _UNSEEN) | ((now.status == _RUNNING) & (steps < until))

        def chunk(now: Outcome) -> Outcome:
            # The first pass only looks. Looking before the loop as well would compile the metric
            # twice, and for a neural network that costs more than the branch ever does.
            stay = now.progress
            return look(
                now, _unless(now.status == _UNSEEN, lambda: problem.advance(stay, length), stay)
            )

        return _while(more, chunk, outcome)

    chunks, rest = divmod(max_steps, check_every)
    outcome = go_on(_unseen(problem, start, max_steps, record), check_every, chunks * check_every)
    if rest:
        outcome = go_on(outcome, rest, max_steps)
    ran_out = outcome.status == _RUNNING
    return outcome._replace(status=jnp.where(ran_out, int(Status.max_steps), outcome.status))


def _unseen(problem: Problem, start: Progress, max_steps: int, record: int | None) -> Outcome:
    """What is known before the first look: nothing but shapes."""

    def first_row() -> dict[str, PyTree]:
        return _row(problem, start, problem.residual(start), problem.value(start))

    row = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(first_row))
    unknown = jax.tree.map(
        lambda leaf: jnp.full_like(leaf, jnp.nan), (row["residual"], row["value"])
    )
    trace = None if record is None else Trace.empty(-(-max_steps // record) + 1, **row)
    status = jnp.asarray(_UNSEEN, jnp.int32)
    residual, value = unknown
    size = jnp.zeros_like(_tree.largest(start.players))
    return Outcome(start, residual, value, status, residual, size, trace)


def _row(problem: Problem, progress: Progress, residual: Array, value: PyTree) -> dict[str, PyTree]:
    return dict(
        steps=progress.steps,
        evaluations=problem.evaluations(progress),
        players=_tree.variables(problem.output(progress)),
        value=value,
        residual=residual,
        stats=problem.solver.stats(progress.state),
    )


def _first_that_holds(*cases: tuple[Any, Status]) -> Int[Array, ""]:
    conditions, statuses = zip(*cases, strict=True)
    codes = [jnp.asarray(int(status), jnp.int32) for status in statuses]
    return jnp.select(conditions, codes, jnp.asarray(_RUNNING, jnp.int32))


def _scan(step: Callable[[PyTree], PyTree], carry: PyTree, length: int) -> PyTree:
    """`step` `length` times. Only arrays travel; what else players hold stays where it is."""

    def body(arrays: PyTree, _: None) -> tuple[PyTree, None]:
        return _arrays(step(eqx.combine(arrays, carry))), None

    arrays, _ = jax.lax.scan(body, _arrays(carry), None, length=length)
    return eqx.combine(arrays, carry)


def _unless(condition: Array, advance: Callable[[], Progress], stay: Progress) -> Progress:
    """`stay` where the condition holds, else `advance()`, as a branch; only arrays travel."""
    arrays = jax.lax.cond(condition, lambda: _arrays(stay), lambda: _arrays(advance()))
    return eqx.combine(arrays, stay)


def _while(
    condition: Callable[[Outcome], Array], body: Callable[[Outcome], Outcome], carry: Outcome
) -> Outcome:
    """`lax.while_loop` over a carry of which only the arrays travel."""
    arrays = jax.lax.while_loop(
        lambda arrays: condition(eqx.combine(arrays, carry)),
        lambda arrays: _arrays(body(eqx.combine(arrays, carry))),
        _arrays(carry),
    )
    return eqx.combine(arrays, carry)


def _arrays(tree: PyTree) -> PyTree:
    return eqx.filter(tree, eqx.is_array)
