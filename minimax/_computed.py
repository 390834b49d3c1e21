"""Which results of a program are computed, and not passed on as they were given."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Literal
from jaxtyping import Array, PyTree

from minimax._calls import ALL_CALLS, program_called

_ARITHMETIC = frozenset(
    "add add_any sub mul div neg max min clamp dot_general conv_general_dilated reduce_sum exp log "
    "sqrt rsqrt square integer_pow pow tanh logistic erf sin cos abs sign".split()
)


def computed(function: Callable[[PyTree[Array]], list[Array]], argument: PyTree) -> list[bool]:
    """Of each result of `function`, whether the last thing that was done to it is arithmetic.

    What goes through `jit`, a checkpoint or a cast and back again has not been computed; nor, as
    far as is known here, what comes out of a loop.
    """
    program = jax.make_jaxpr(function)(argument).jaxpr
    return [_is_computed(program, result) for result in program.outvars]


def _is_computed(program: Any, result: Any) -> bool:
    if isinstance(result, Literal):
        return False
    for equation in program.eqns:
        if result in equation.outvars:
            name, index = equation.primitive.name, equation.outvars.index(result)
            if name not in ALL_CALLS:
                return name in _ARITHMETIC
            inner, _ = program_called(equation)
            return _is_computed(inner, inner.outvars[index])
    return False
