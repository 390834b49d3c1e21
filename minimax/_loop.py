"""The pure loop: rows of chunks of steps.

    rows (a row of the trace each)
      `-- chunks, until the row is full      chunk -> look: metric, finiteness, status
            `-- steps (a scan)

Looking once per chunk costs next to nothing, and a scan of fixed length inside a `while_loop`
makes `vmap` freeze finished members once per chunk, not once per step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PyTree

from minimax import _tree
from minimax._called import (
    called_evaluations,
    called_init,
    called_metric,
    called_output,
    called_stats,
    called_step,
)
from minimax._constraints.base import AbstractCompactSet
from minimax._evidence import Evidence
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._sampler import batch_of_each
from minimax._solution import Status, Trace
from minimax._solvers.base import AbstractSolver, name_of
from minimax._source import AbstractSource

UNSEEN, RUNNING = -2, -1
"""What the status is before the first look, and while there is none."""

SMALL = 4096
"""Up to so many entries players are small."""


class Progress(NamedTuple):
    """Where a run stands: enough to go on from. `steps` counts from the very first step."""

    players: PyTree
    state: PyTree
    steps: Int[Array, ""]


class Sight(NamedTuple):
    """What a look sees: where the run stands, how good that is, and the largest entry there."""

    progress: Progress
    evaluations: Int[Array, ""]
    residual: Float[Array, ""]
    value: PyTree
    size: Float[Array, ""]


class Problem(eqx.Module):
    """All that stays the same during a run."""

    game: AbstractGame
    solver: AbstractSolver
    metric: AbstractMetric
    source: AbstractSource
    tol: Float[Array, ""]

    def start(self, players: PyTree) -> Progress:
        """The progress of a run that has not begun."""
        name, data = name_of(self.solver), self.source.seen()
        state = called_init(name, self.solver.init, self.game, players, data)
        return Progress(players, state, jnp.zeros((), int))

    def advance(self, progress: Progress, length: int) -> Progress:
        """`length` steps further, and what the solver does where it is looked at."""
        name = name_of(self.solver)

        def step(at: tuple[PyTree, PyTree], item: PyTree) -> tuple[PyTree, PyTree]:
            data = self.source.batch(item)
            after = called_step(name, self.solver.step, self.game, *at, data)
            return self.game.carry(at[0], after, batch_of_each(data, 1)[0])

        stream = self.source.stream(progress.steps, length)
        players, state = _scan(step, (progress.players, progress.state), stream, length)
        state = self.solver.refine(self.game, players, state, self.source.seen())
        return Progress(players, state, progress.steps + length)

    def can_leave(self, progress: Progress) -> bool:
        """Whether there is a way to infinity for any player."""
        variables = self.game.variables_of(progress.players)
        return not all(isinstance(each.constraint, AbstractCompactSet) for each in variables)

    def output(self, progress: Progress) -> PyTree:
        """The players to report."""
        name = name_of(self.solver)
        return called_output(name, self.solver.output, progress.players, progress.state)

    @eqx.filter_jit  # traced once, though looked at in several places
    def look(self, progress: Progress) -> Sight:
        """Metric and payoff at the players to report, and how far the players are."""
        players, data = self.output(progress), self.source.seen()
        return Sight(
            progress,
            evaluations=called_evaluations(
                name_of(self.solver), self.solver.evaluations, progress.steps, progress.state
            ),
            residual=called_metric(
                type(self.metric).__name__, self.metric, self.game, players, data
            ),
            value=self.game.value(players, data),
            size=_largest(progress.players, players),
        )


class Plan(NamedTuple):
    """How long a run is, and how it is cut.

    **Attributes:**

    - `max_steps`: how many steps to make at most; inside a program an array, so that another
      number runs the same program.
    - `check_every`: steps between two looks.
    - `rest`: the steps of the last chunk, where that is a shorter one, or 0.
    - `record`: steps between two rows of the trace, a multiple of `check_every`; `None`: no trace.
    - `rows`: how many rows there is room for, or 0.
    """

    max_steps: Any
    check_every: int
    rest: int
    record: int | None
    rows: int

    @classmethod
    def of(cls, max_steps: int, check_every: int, record: int | None) -> "Plan":
        rows = 0 if record is None else -(-max_steps // record) + 1
        return cls(max_steps, check_every, max_steps % check_every, record, rows)

    @property
    def even(self) -> Any:
        """The steps that fill chunks."""
        return self.max_steps - self.rest

    def inside(self) -> "Plan":
        """This plan as a program takes it."""
        return self._replace(max_steps=np.asarray(self.max_steps, jnp.result_type(int)))


class Outcome(NamedTuple):
    """The loop's carry: the step it began at, the last look, the one before it, all looks in short,
    and what follows."""

    first_step: Int[Array, ""]
    now: Sight
    before: Sight
    evidence: Evidence
    status: Int[Array, ""]
    trace: Trace | None


def run(problem: Problem, start: Progress, plan: Plan) -> Outcome:
    """Steps until converged, diverged, non-finite, or `max_steps` steps further on.

    **Returns:** the outcome whose `now` is the last look at which all was finite.
    """
    loop = _Loop(problem, plan, looks_apart=_are_small(start.players))
    outcome = begin(problem, start, plan.rows)
    if loop.looks_apart:
        outcome = loop.written(loop.look(outcome, start))
    outcome = loop.rows(outcome, plan.check_every, start.steps + plan.even)
    if plan.rest:
        outcome = loop.rows(outcome, plan.rest, start.steps + plan.max_steps)
    return loop.ended(outcome)


def advance(problem: Problem, outcome: Outcome, plan: Plan, until: ArrayLike) -> Outcome:
    """What `run` does between two moments: chunks until step `until`."""
    loop = _Loop(problem, plan, looks_apart=False)
    return loop.ended(loop.rows(outcome, plan.check_every, until))


class _Loop(NamedTuple):
    """What the loop knows besides its carry.

    Large players are first looked at in the loop, whose first pass makes no steps: a look apart
    would compile metric and payoff twice. For small ones that branch would cost more than a look.
    """

    problem: Problem
    plan: Plan
    looks_apart: bool

    def rows(self, outcome: Outcome, length: int, until: ArrayLike) -> Outcome:
        """Chunks until step `until` or a status, with a row of the trace every `record` steps."""
        if self.plan.record is None:
            return self.chunks(outcome, length, until)
        record = self.plan.record

        def row(outcome: Outcome) -> Outcome:
            done = outcome.now.progress.steps - outcome.first_step
            full = outcome.first_step + (done // record + 1) * record
            full = jnp.where(outcome.status == UNSEEN, outcome.first_step, full)
            return self.written(self.chunks(outcome, length, jnp.minimum(full, until)))

        return _while(lambda outcome: self.is_running(outcome, until), row, outcome)

    def chunks(self, outcome: Outcome, length: int, until: ArrayLike) -> Outcome:
        """Chunks of `length` steps, each with a look, until step `until` or a status."""

        def chunk(outcome: Outcome) -> Outcome:
            here = outcome.now.progress
            if self.looks_apart:
                return self.look(outcome, self.problem.advance(here, length))
            unseen = outcome.status == UNSEEN
            further = _tree.cond(unseen, lambda: here, lambda: self.problem.advance(here, length))
            return self.look(outcome, further)

        return _while(lambda outcome: self.is_running(outcome, until), chunk, outcome)

    def is_running(self, outcome: Outcome, until: ArrayLike) -> Array:
        running = (outcome.status == RUNNING) & (outcome.now.progress.steps < until)
        return running if self.looks_apart else running | (outcome.status == UNSEEN)

    def look(self, outcome: Outcome, progress: Progress) -> Outcome:
        """The outcome after a look at `progress`."""
        now = self.problem.look(progress)
        if _are_small(progress.players):
            # A branch is a computation of its own. Of small kernels alone, XLA runs it on one
            # thread; beside the products of the look each would be handed from thread to thread.
            evidence, status = _tree.cond(
                progress.steps >= 0,  # always, which XLA does not know
                lambda: self.judged(outcome, now),
                lambda: (outcome.evidence, outcome.status),
            )
        else:
            evidence, status = self.judged(outcome, now)
        return outcome._replace(now=now, before=outcome.now, evidence=evidence, status=status)

    def judged(self, outcome: Outcome, now: Sight) -> tuple[Evidence, Int[Array, ""]]:
        """What is known after the look `now`, and the status that follows."""
        progress = now.progress
        finite = jnp.isfinite(now.size) & jnp.isfinite(_tree.largest(now.value))
        evidence = outcome.evidence.after(self.problem.output(progress), now.residual, now.size)
        found = evidence.read()
        far, worse = found.is_far(), found.is_worse()
        over = progress.steps - outcome.first_step >= self.plan.max_steps
        # Without a tolerance above zero all steps are wanted, and no verdict on them.
        told = over & (self.problem.tol > 0)
        tunes, can_leave = self.problem.solver.chooses_step_size, self.problem.can_leave(progress)
        lost = told & far & tunes & ~found.is_deep()
        drifts = (worse | told) & found.is_drift()
        status = _first_that_holds(
            (~finite | jnp.isnan(now.residual), Status.nonfinite),
            (now.residual <= self.problem.tol, Status.converged),
            (lost & can_leave, Status.unbounded),
            (told & found.is_at_floor(), Status.stalled),
            (drifts & can_leave, Status.unbounded),
            (worse & (can_leave | (not tunes)), Status.unbounded if tunes else Status.diverged),
            (told & found.is_cycle(), Status.cycling),
            (over, Status.max_steps),
        )
        return evidence, status

    def written(self, outcome: Outcome) -> Outcome:
        """The outcome with the last look in its trace, which ends there."""
        if outcome.trace is None or self.plan.record is None:
            return outcome
        index = -((outcome.first_step - outcome.now.progress.steps) // self.plan.record)
        row = _row(self.problem, outcome.now)
        return outcome._replace(trace=outcome.trace.written(index, **row))

    def ended(self, outcome: Outcome) -> Outcome:
        """The outcome that goes back to the last finite look, if there was one."""
        at_start = outcome.now.progress.steps <= outcome.first_step
        back = (outcome.status == Status.nonfinite) & ~at_start
        last = _tree.cond(back, lambda: outcome.before, lambda: outcome.now)
        return self.written(outcome._replace(now=last))


def begin(problem: Problem, start: Progress, rows: int) -> Outcome:
    """What is known before the first look: nothing but shapes. `rows`: of the trace."""
    shapes = eqx.filter_eval_shape(problem.look, start)
    residual, value, size = jax.tree.map(
        lambda leaf: jnp.full(leaf.shape, jnp.inf, leaf.dtype),  # jax_debug_nans takes it
        (shapes.residual, shapes.value, shapes.size),
    )
    sight = Sight(start, jnp.zeros_like(start.steps), residual, value, size)
    trace = None
    if rows:
        trace = Trace.empty(rows, **jax.eval_shape(lambda: _row(problem, sight)))
    evidence = Evidence.before_all(problem.output(start), residual)
    return Outcome(
        first_step=start.steps,
        now=sight,
        before=sight,
        evidence=evidence,
        status=jnp.int32(UNSEEN),
        trace=trace,
    )


def _first_that_holds(*cases: tuple[Array, Status]) -> Int[Array, ""]:
    status = jnp.int32(RUNNING)
    for condition, code in reversed(cases):
        status = jnp.where(condition, jnp.int32(code), status)
    return status


def _are_small(players: PyTree) -> bool:
    return sum(leaf.size for leaf in jax.tree.leaves(_arrays(players))) <= SMALL


def _largest(players: PyTree, reported: PyTree) -> Float[Array, ""]:
    """The largest entry of both: an average may overflow where what it averages does not."""
    size = _tree.largest(players)
    return size if reported is players else jnp.maximum(size, _tree.largest(reported))


def _row(problem: Problem, sight: Sight) -> dict[str, PyTree]:
    return dict(
        steps=sight.progress.steps,
        evaluations=sight.evaluations,
        players=_tree.variables(problem.output(sight.progress)),
        value=sight.value,
        residual=sight.residual,
        stats=called_stats(name_of(problem.solver), problem.solver.stats, sight.progress.state),
    )


def _scan(
    step: Callable[[PyTree, PyTree], PyTree], carry: PyTree, stream: PyTree, length: int
) -> PyTree:
    """`step` `length` times, along a stream. Only arrays travel; what else players hold stays where
    it is."""

    def body(arrays: PyTree, item: PyTree) -> tuple[PyTree, None]:
        return _arrays(step(eqx.combine(arrays, carry), item)), None

    arrays, _ = jax.lax.scan(body, _arrays(carry), stream, length=length)
    return eqx.combine(arrays, carry)


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
