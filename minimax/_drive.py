"""A run in several calls of one compiled program, with somebody at the wheel.

    begin  ->  advance  ->  advance  ->  ...    each call as many looks as fit in SECONDS
                        ^ between two calls: time limit, Ctrl-C, callback, progress, checkpoint;
                          and the next batches, where the host feeds them

The calls cost next to nothing, because there are few of them, and what they do does not depend on
how many looks each has.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from minimax import _loop
from minimax._feed import Feed
from minimax._interrupt import interruptible
from minimax._solution import Status
from minimax._watch import AbstractWatcher, Moment

SECONDS = 0.2
"""About how long one call takes, and so how long nobody listens."""

_GROWTH = 8
"""How many times more looks a call may have than the one before it."""


class Crew(NamedTuple):
    """Who is on board: `deadline`, on the clock of `drive`; who watches; who feeds."""

    deadline: float = math.inf
    watchers: Sequence[AbstractWatcher] = ()
    feed: Feed | None = None

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do between two calls, besides listening."""
        return self.deadline < math.inf or bool(self.watchers) or self.feed is not None


def drive(
    problem: _loop.Problem,
    outcome: _loop.Outcome,
    plan: _loop.Plan,
    crew: Crew = Crew(),
    clock: Callable[[], float] = time.perf_counter,
) -> _loop.Outcome:
    """Goes on from `outcome` until the run has a status, a watcher ends it, the data end, the clock
    shows the deadline, or somebody presses Ctrl-C. At least one look is made.

    **Returns:** the outcome, with the status of what ended it.
    """
    first_step, started = int(outcome.first_step), clock()
    done, looks = int(outcome.now.progress.steps) - first_step, 1
    with contextlib.ExitStack() as stack:
        for watcher in crew.watchers:
            stack.callback(watcher.close)
        interruption = stack.enter_context(interruptible())
        while int(outcome.status) < 0:
            began = clock()
            length, until = _next_call(plan, crew, first_step, done, looks)
            if crew.feed is not None:
                length, problem = _fed(problem, crew.feed, length)
                until = min(until, done + length)
                if length == 0:
                    return outcome._replace(status=jnp.int32(Status.exhausted))
            if length < plan.check_every:
                _keep(crew, Moment(problem.solver, outcome, plan, began - started))
            step = np.asarray(first_step + until, outcome.first_step.dtype)
            kept = problem, step, plan.inside().max_steps
            outcome = _advance(kept, outcome, length, plan.record)
            if crew.feed is not None and until < plan.max_steps:  # while the device is at work
                crew.feed.prepare(_next_call(plan, crew, first_step, until, looks)[0])
            outcome.status.block_until_ready()
            done, now = int(outcome.now.progress.steps) - first_step, clock()
            status = _watched(crew, Moment(problem.solver, outcome, plan, now - started))
            if int(outcome.status) >= 0:
                break
            if status is None and interruption.requested:
                status = Status.interrupted
            if status is None and now >= crew.deadline:
                status = Status.time_limit
            if status is not None:
                return outcome._replace(status=jnp.int32(status))
            seconds = max((now - began) / looks, 1e-9)
            fitting = int(min(SECONDS, crew.deadline - now) / seconds)
            looks = 1 if crew.feed is not None else max(1, min(fitting, _GROWTH * looks))
    return outcome


def _next_call(
    plan: _loop.Plan, crew: Crew, first_step: int, done: int, looks: int
) -> tuple[int, int]:
    """The steps of a chunk of the next call, and how many steps will be done after it."""
    if plan.rest and done >= plan.even:
        return plan.rest, plan.max_steps
    for watcher in crew.watchers:
        stop = watcher.next_stop(first_step + done)
        if stop is not None:  # at the first look from there on
            looks = min(looks, -((first_step + done - stop) // plan.check_every))
    return plan.check_every, min(done + looks * plan.check_every, plan.even)


def _fed(problem: _loop.Problem, feed: Feed, steps: int) -> tuple[int, _loop.Problem]:
    """The problem with the batches of the next steps, and how many those are."""
    steps, batches = feed.collect(steps)
    return steps, eqx.tree_at(
        lambda problem: problem.source,
        problem,
        dataclasses.replace(problem.source, batches=batches),
    )


def _keep(crew: Crew, moment: Moment) -> None:
    for watcher in crew.watchers:
        watcher.keep(moment)


def _watched(crew: Crew, moment: Moment) -> Status | None:
    """`Status.stopped` where a watcher ends the run."""
    try:
        for watcher in crew.watchers:
            watcher.watch(moment)
    except StopIteration:
        return Status.stopped
    return None


@eqx.filter_jit(donate="all-except-first")
def _advance(
    kept: tuple[_loop.Problem, ArrayLike, ArrayLike],
    outcome: _loop.Outcome,
    length: int,
    record: int | None,
) -> _loop.Outcome:
    problem, until, max_steps = kept
    plan = _loop.Plan(max_steps, length, rest=0, record=record, rows=0)
    return _loop.advance(problem, outcome, plan, until)
