"""The one exception this library raises for what a user can mend."""

import numbers
from typing import Any

import jax.core


class GameError(ValueError):
    """A game, its players or the options of a solve do not fit together.

    The message says what was expected, what came (with its place in the pytree) and what to do.
    """


GameError.__module__ = "minimax"  # where users know it from


def is_known(*values: Any) -> bool:
    """Whether the values can be looked at now, that is, none is traced by `jit` or `vmap`."""
    return not any(isinstance(value, jax.core.Tracer) for value in values)


def check_whole(name: str, number: Any, least: int = 1) -> None:
    """Raises `GameError` where a number is not whole, or less than `least`."""
    if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < least:
        raise GameError(f"{name} is {number!r}: expected a whole number >= {least}.")
