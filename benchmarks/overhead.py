"""`solve` against a scan written by hand: what the generic engine costs per iteration.

Both sides run the same method on the same game. `solve` looks at the metric once, at the end, so
that only the step is compared; `looking` measures the looks. Runs are so long that the cost of a
call does not count; that cost is a row of its own.
"""

from collections.abc import Iterator

import optax

import minimax as mm
from benchmarks import _bilinear, _gan
from benchmarks._table import Row, alone, slower
from benchmarks._timing import Program, duel, seconds_per_work

STEPS = {2: 4_000_000, 100: 60_000, 1000: 1500}
"""Steps per call by size of the game: 0.1 to 0.2 s, so that the cost of a call is under 1 %."""

SCAN = "lax.scan by hand"


def rows() -> Iterator[Row]:
    """Extragradient and ExtraAdam on xᵀAy, ExtraAdam on a GAN, one call."""
    for n, steps in STEPS.items():
        yield _extra_gradient(n, steps)
    for n, steps in STEPS.items():
        yield _extra_adam(n, steps // 2)
    yield _extra_adam_gan(50)
    yield from _one_call()


def _extra_gradient(n: int, steps: int) -> Row:
    ours = _bilinear.by_solve(n, steps, check_every=steps)
    measured = duel(ours, _bilinear.by_scan(n, steps))
    return slower(f"extragradient, n={n}, per step", SCAN, measured, 1.02)


def _extra_adam(n: int, steps: int) -> Row:
    adam = optax.adam(_bilinear.LEARNING_RATE, b1=0.5)
    ours = _bilinear.by_solve(n, steps, adam, check_every=steps)
    players, matrix = _bilinear.problem(n)
    theirs = Program(lambda: _bilinear.extra_adam(matrix, players, steps), steps)
    return slower(f"ExtraAdam, n={n}, per step", SCAN, duel(ours, theirs), 1.05)


def _extra_adam_gan(steps: int) -> Row:
    game, players, batch = _gan.problem()
    solver = mm.ExtraGradient(optax.adam(_gan.LEARNING_RATE, b1=0.5))

    def call() -> mm.Solution:
        return mm.solve(
            game, players, solver, data=batch, max_steps=steps, tol=0.0, check_every=steps
        )

    train, arrays = _gan.by_hand(players, steps)
    theirs = Program(lambda: train(arrays, batch), steps)
    return slower("ExtraAdam, GAN, per step", SCAN, duel(Program(call, steps), theirs))


def _one_call() -> Iterator[Row]:
    by_scan = seconds_per_work(_bilinear.by_scan(2, 1))
    for record in (None, 1):
        ours = seconds_per_work(_bilinear.by_solve(2, 1, record=record))
        yield alone(f"one compiled call, 1 step, record={record}", ours, SCAN, by_scan)
