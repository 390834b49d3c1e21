"""Primitives that do nothing but run another program."""

from collections.abc import Sequence
from typing import Any

CALLS = frozenset("jit pjit closed_call core_call remat remat2 checkpoint".split())
"""By name; their derivatives are those of the program."""

ALL_CALLS = CALLS | {"custom_jvp_call", "custom_vjp_call"}
"""Those with derivatives of a user's own, too."""


def program_called(equation: Any) -> tuple[Any, Sequence[Any]]:
    """The program that a call runs, and the constants in it."""
    parameters = equation.params
    inner = parameters["jaxpr" if "jaxpr" in parameters else "call_jaxpr"]
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
