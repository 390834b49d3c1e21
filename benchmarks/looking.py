"""What looking and recording cost: `solve` with its default checks against a scan without any.

The tolerance is never met, so both sides make the same steps. Memory is measured in processes of
their own; rows of the trace are 10,000 numbers.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import _bilinear, _memory
from benchmarks._table import Goal, Row, quantity, slower
from benchmarks._timing import Spread, duel
from benchmarks.overhead import SCAN, STEPS

SIZES = {2: STEPS[2], 10: 200_000, 100: STEPS[100], 1000: STEPS[1000]}
"""Steps per call by size of the game. At n=10 a step is short and a look is not one kernel."""

PROCESSES = 5


def rows() -> Iterator[Row]:
    """Early stopping, recording, and the memory that recording takes."""
    for what, record in (("early stopping", None), ("recording every 100 steps", 100)):
        for n, steps in SIZES.items():
            yield _time(what, n, steps, record)
    if _memory.can_be_measured():
        yield from _peak_memory()


def _time(what: str, n: int, steps: int, record: int | None) -> Row:
    measured = duel(_bilinear.by_solve(n, steps, record=record), _bilinear.by_scan(n, steps))
    return slower(f"{what}, n={n}, per step", SCAN, measured, 1.05)


def _peak_memory() -> Iterator[Row]:
    bare = Spread.of([_grown("by_hand") for _ in range(PROCESSES)])
    for variant, record in (("unrecorded", None), ("every_100th", 100), ("every_step", 1)):
        ours = Spread.of([_grown(variant) for _ in range(PROCESSES)])
        ideal = 0.0 if record is None else _memory.ideal(record)
        yield Row(
            what=f"peak memory, 10,000 steps, record={record}",
            against=f"{SCAN}, ideal {ideal:.0f} MB",
            result=Spread(*(mine - bare.median for mine in ours)),
            unit="MB",
            goal=Goal("<=", 1.2 * ideal + 15),
            ours=quantity(ours.median, "MB"),
            theirs=quantity(bare.median, "MB"),
        )


def _grown(variant: str) -> float:
    command = [sys.executable, "-m", "benchmarks._memory", variant]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=_memory.environment())
    return json.loads(run.stdout)
