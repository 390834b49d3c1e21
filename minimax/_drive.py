"""A run in several calls of one compiled program, with somebody at the wheel.

    begin  ->  advance  ->  advance  ->  ...    each call as many looks as fit in SECONDS
                        ^ between two calls: time limit, Ctrl-C

The calls cost next to nothing, because there are few of them, and what they do does not depend on
how many looks each has.
"""

import math
import time
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int

from minimax import _loop, _tree
from minimax._interrupt import interruptible
from minimax._solution import Status

SECONDS = 0.2
"""About how long one call takes, and so how long nobody listens."""

_GROWTH = 8
"""How many times more looks a call may have than the one before it."""


def drive(
    problem: _loop.Problem,
    outcome: _loop.Outcome,
    plan: _loop.Plan,
    deadline: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> _loop.Outcome:
    """Goes on from `outcome` until the run has a status, the clock shows the deadline, or somebody
    presses Ctrl-C. At least one look is made.

    **Returns:** the outcome, with the status of what ended it.
    """
    first_step = int(outcome.first_step)
    looks = 1
    with interruptible() as interruption:
        while int(outcome.status) < 0:
            began = clock()
            length, until = _next_call(plan, int(outcome.now.progress.steps) - first_step, looks)
            until = _tree.as_array(first_step + until)
            outcome = _advance((problem, until), outcome, plan, length)
            outcome.status.block_until_ready()
            now = clock()
            if int(outcome.status) >= 0:
                break
            if interruption.requested:
                return outcome._replace(status=jnp.int32(Status.interrupted))
            if now >= deadline:
                return outcome._replace(status=jnp.int32(Status.time_limit))
            seconds = max((now - began) / looks, 1e-9)
            fitting = int(min(SECONDS, deadline - now) / seconds)
            looks = max(1, min(fitting, _GROWTH * looks))
    return outcome


def _next_call(plan: _loop.Plan, done: int, looks: int) -> tuple[int, int]:
    """The steps of a chunk of the next call, and how many steps will be done after it."""
    if plan.rest and done >= plan.even:
        return plan.rest, plan.max_steps
    return plan.check_every, min(done + looks * plan.check_every, plan.even)


@eqx.filter_jit(donate="all-except-first")
def _advance(
    kept: tuple[_loop.Problem, Int[Array, ""]],
    outcome: _loop.Outcome,
    plan: _loop.Plan,
    length: int,
) -> _loop.Outcome:
    problem, until = kept
    return _loop.advance(problem, outcome, plan, length, until)
