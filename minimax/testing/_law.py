"""What a law is, and how all laws of a kind are held against one object."""

import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from minimax._errors import GameError

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float32", "float64")}
DTYPES = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1)

# Few examples, because every new shape compiles.
few: Any = settings(
    deadline=None,
    max_examples=15,
    database=None,
    phases=[Phase.generate, Phase.shrink],  # and no lines of libraries as an explanation
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Law(NamedTuple):
    """A law: called with what it is about, it raises `AssertionError` where that does not hold."""

    name: str
    sentence: str
    applies: Callable[[Any], bool]
    holds: Callable[[Any], None]

    def __call__(self, subject: Any) -> None:
        if not __debug__:
            raise RuntimeError("python -O drops assertions: laws are held without it only.")
        try:
            with jax.enable_x64(True):
                self.holds(subject)
        except Exception as error:
            # An assertion without words is told by its line; with what hypothesis says of the
            # numbers that it drew.
            words = str(error) or traceback.extract_tb(error.__traceback__)[-1].line
            notes = getattr(error, "__notes__", [])
            detail = "\n".join([f"{type(error).__name__}: {words}", *notes])
            raise AssertionError(
                f"{self.name.replace('_', ' ')}: {self.sentence}\n{detail}"
            ) from error


def law(laws: list[Law], applies: Callable[[Any], bool]) -> Callable[[Any], Law]:
    """Makes a law of a function and adds it to `laws`; it is for what `applies` says."""

    def of(function: Any) -> Law:
        sentence = " ".join((function.__doc__ or "").split())
        drawn = hasattr(function, "hypothesis")
        holds = few(function) if drawn else function
        laws.append(Law(function.__name__, sentence, applies, holds))
        return laws[-1]

    return of


def check_kind(name: str, given: Any, kind: type) -> None:
    """Raises `GameError` for what is no instance of what laws are for."""
    if not isinstance(given, kind):
        raise GameError(
            f"{name} is {given!r}: expected an instance of mm.{kind.__name__}"
            + (", and not the class." if isinstance(given, type) else ".")
        )


def check(laws: Iterable[Law], subject: Any) -> None:
    """Holds each law that is for it against the subject, and raises what the first that fails
    raises."""
    for each in laws:
        if each.applies(subject):
            each(subject)
