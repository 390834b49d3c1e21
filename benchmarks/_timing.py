"""Two programs timed against each other, so that a noisy machine disturbs both alike.

Samples alternate, A B B A A B …, and every round gives one ratio. The median of the ratios with
its quartiles is reported: a machine that slows down for a second spoils a round, not the result.
Both programs are compiled several times: where the compiler happens to put code and buffers changes
the speed of a short loop by up to 10 %.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

COMPILATIONS, ROUNDS = 5, 5

_SHORTEST = 0.03
"""Seconds that a sample lasts at least: far above the noise of the timer and of the scheduler."""


class Program(NamedTuple):
    """Something to time. `work`: how many units (steps, projections) one `call` does."""

    call: Callable[[], Any]
    work: int = 1


class Spread(NamedTuple):
    """Quartiles of a sample."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, sample: list[float]) -> "Spread":
        """The quartiles of `sample`."""
        return cls(*statistics.quantiles(sample, n=4, method="inclusive"))


class Duel(NamedTuple):
    """Seconds per unit of work of both programs, and the quotient ours/theirs per round."""

    ours: Spread
    theirs: Spread
    slowdown: Spread
    speedup: Spread


def duel(ours: Program, theirs: Program, compilations: int = COMPILATIONS) -> Duel:
    """Times both programs in alternation. Compilation and calibration are not timed."""
    pairs = [pair for _ in range(compilations) for pair in _rounds(ours, theirs)]
    of_ours, of_theirs = (list(side) for side in zip(*pairs, strict=True))
    return Duel(
        ours=Spread.of(of_ours),
        theirs=Spread.of(of_theirs),
        slowdown=Spread.of([a / b for a, b in pairs]),
        speedup=Spread.of([b / a for a, b in pairs]),
    )


def _rounds(ours: Program, theirs: Program) -> Iterator[tuple[float, float]]:
    """Seconds per unit of work of both, in every round; compiled anew before the first."""
    jax.clear_caches()
    programs = (ours, theirs)
    repeats = [_calls_per_sample(program.call) for program in programs]
    for turn in range(ROUNDS):
        pair = [0.0, 0.0]
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            seconds = _seconds(programs[side].call, repeats[side])
            pair[side] = seconds / programs[side].work
        yield pair[0], pair[1]


def seconds_per_work(program: Program) -> Spread:
    """Seconds per unit of work of one program alone."""
    repeats = _calls_per_sample(program.call)
    rounds = range(COMPILATIONS * ROUNDS)
    return Spread.of([_seconds(program.call, repeats) / program.work for _ in rounds])


def _calls_per_sample(call: Callable[[], Any]) -> int:
    """So many calls that a sample lasts long enough; compiles and warms up on the way."""
    _seconds(call, 1)
    repeats = 1
    while (seconds := _seconds(call, repeats) * repeats) < _SHORTEST:
        repeats = max(2 * repeats, round(1.5 * repeats * _SHORTEST / max(seconds, 1e-9)))
    return repeats


def _seconds(call: Callable[[], Any], repeats: int) -> float:
    """Seconds per call, all results waited for."""
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(call())
    return (time.perf_counter() - start) / repeats
