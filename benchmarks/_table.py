"""Rows of results: how they are judged, printed and saved."""

import dataclasses
import json
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax

from benchmarks._timing import Duel, Spread

Unit = Literal["s", "x", "MB", "M/s"]
_COLUMNS = ("what", "ours", "theirs", "against", "result", "quartiles", "goal", "met")
_WIDTHS = (46, 10, 10, 30, 10, 19, 10, 3)


@dataclasses.dataclass(frozen=True)
class Goal:
    """What the median has to be: at most or at least `bound`."""

    sense: Literal["<=", ">="]
    bound: float

    def met(self, value: float) -> bool:
        """Whether `value` is good enough."""
        return value <= self.bound if self.sense == "<=" else value >= self.bound


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured quantity.

    **Attributes:**

    - `what`, `against`: our program and the one it is compared with.
    - `result`: the quantity that the goal speaks of; `unit` says whether it is a quotient ("x"),
      seconds, megabytes or millions per second.
    - `ours`, `theirs`: both sides in units of their own, as text; they only show scale.
    """

    what: str
    against: str
    result: Spread
    unit: Unit = "x"
    goal: Goal | None = None
    ours: str = ""
    theirs: str = ""

    def cells(self) -> tuple[str, ...]:
        """The texts of the table's columns."""
        low, median, high = (quantity(value, self.unit) for value in self.result)
        goal, met = "", ""
        if self.goal is not None:
            goal = f"{self.goal.sense} {quantity(self.goal.bound, self.unit)}"
            met = "yes" if self.goal.met(self.result.median) else "NO"
        spread = f"{low} - {high}"
        return (self.what, self.ours, self.theirs, self.against, median, spread, goal, met)


def slower(what: str, against: str, measured: Duel, at_most: float | None = None) -> Row:
    """A row that says how many times the time of the other program ours takes."""
    goal = None if at_most is None else Goal("<=", at_most)
    return Row(what, against, measured.slowdown, "x", goal, *_times(measured))


def faster(what: str, against: str, measured: Duel, at_least: float | None = None) -> Row:
    """A row that says how many times faster than the other program ours is."""
    goal = None if at_least is None else Goal(">=", at_least)
    return Row(what, against, measured.speedup, "x", goal, *_times(measured))


def alone(what: str, ours: Spread, against: str, theirs: Spread) -> Row:
    """A row that says how many seconds our program takes; the other one is for scale."""
    texts = quantity(ours.median, "s"), quantity(theirs.median, "s")
    return Row(what, against, ours, "s", None, *texts)


def per_second(what: str, seconds: Spread) -> Row:
    """A row that says how many millions our program does per second."""
    low, median, high = (1e-6 / value for value in reversed(seconds))
    return Row(what, "", Spread(low, median, high), "M/s")


def quantity(value: float, unit: Unit) -> str:
    """`value` with its unit, short."""
    if unit in ("MB", "M/s"):
        return f"{value:.1f} {unit}"
    if unit == "x":
        return f"{value:.3f}x" if value < 2 else f"{value:.3g}x"
    for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


def print_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """Prints rows as they come, under one head, and hands them on."""
    print(_line(_COLUMNS))
    print(_line(tuple("-" * width for width in _WIDTHS)))
    for row in rows:
        print(_line(row.cells()), flush=True)
        yield row


def save(rows: list[Row], path: Path) -> None:
    """Writes the rows and what they were measured with as JSON."""
    record = {"environment": environment(), "rows": [_as_dict(row) for row in rows]}
    path.write_text(json.dumps(record, indent=2) + "\n")


def environment() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "devices": jax.device_count(),
    }


def _as_dict(row: Row) -> dict[str, Any]:
    record = dataclasses.asdict(row)
    record["result"] = row.result._asdict()
    record["met"] = None if row.goal is None else row.goal.met(row.result.median)
    return record


def _times(measured: Duel) -> tuple[str, str]:
    return quantity(measured.ours.median, "s"), quantity(measured.theirs.median, "s")


def _line(cells: tuple[str, ...]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True))
    return "  ".join(padded).rstrip()
