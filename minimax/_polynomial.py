"""Polynomial degrees, proved from a traced program.

A function is a black box to calculus but not to JAX: its program is a list of primitives, of which
sums keep the larger degree and products add degrees. What is found holds at every point, unlike
anything seen at samples; what cannot be proved counts as infinite.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
from jaxtyping import PyTree

from minimax._calls import CALLS, program_called

Degree = tuple[float, ...]
"""Upper bounds of the degree of a value in each of several groups of variables."""


def degrees(
    function: Callable[[PyTree], PyTree], point: PyTree, members: Sequence[Sequence[bool]]
) -> list[Degree]:
    """The degree of each output leaf of `function` in each group of inputs.

    **Arguments:**

    - `function`: from pytrees of arrays like `point` to pytrees of arrays. It is traced, not run.
    - `members`: for each leaf of `point`, to which of the groups it belongs.
    """
    program = jax.make_jaxpr(function)(point).jaxpr
    return _outputs(program, [tuple(map(float, member)) for member in members])


# Linear in all operands together.
_SUMS = frozenset(
    "add add_any sub neg copy real imag reduce_sum cumsum reduce_window_sum reshape transpose "
    "squeeze expand_dims broadcast_in_dim concatenate pad rev slice split "
    "optimization_barrier".split()
)
# Linear in each of two operands.
_PRODUCTS = frozenset(["mul", "dot_general", "conv_general_dilated"])
# Linear in these operands together, where the others are constant: they say which entries.
_CHOICES = {
    "gather": slice(0, 1),
    "dynamic_slice": slice(0, 1),
    "dynamic_update_slice": slice(0, 2),
    "scatter": slice(0, 3, 2),
    "scatter-add": slice(0, 3, 2),
    "select_n": slice(1, None),
}


def _outputs(jaxpr: Any, inputs: Sequence[Degree]) -> list[Degree]:
    """The degrees of what a program returns, from those of its inputs; its constants have none."""
    constant: Degree = tuple(0.0 for _ in inputs[0]) if inputs else ()
    known = dict.fromkeys(jaxpr.constvars, constant) | dict(zip(jaxpr.invars, inputs, strict=True))

    def degree_of(operand: Any) -> Degree:
        return constant if isinstance(operand, jax.extend.core.Literal) else known[operand]

    for equation in jaxpr.eqns:
        operands = [degree_of(operand) for operand in equation.invars]
        results = _results(equation, operands or [constant])
        known |= zip(equation.outvars, results, strict=True)
    return [degree_of(output) for output in jaxpr.outvars]


def _results(equation: Any, operands: list[Degree]) -> list[Degree]:
    """The degrees of what one primitive returns."""
    name, parameters, count = equation.primitive.name, equation.params, len(equation.outvars)
    if not any(map(any, operands)):
        return [operands[0]] * count
    if name in _SUMS or (name == "convert_element_type" and not _rounds(equation)):
        return [_most(operands)] * count
    if name in _PRODUCTS:
        return [_sum(operands)]
    if name == "div":
        return [_sum([operands[0], _unless_constant(operands[1])])]
    if name in ("integer_pow", "square"):
        power = parameters.get("y", 2)
        return [tuple(d * power if power >= 0 or d == 0 else math.inf for d in operands[0])]
    if name in _CHOICES:
        chosen = set(range(len(operands))[_CHOICES[name]])
        entries = _most([degree for i, degree in enumerate(operands) if i in chosen])
        where = [_unless_constant(degree) for i, degree in enumerate(operands) if i not in chosen]
        return [_sum([entries, *where])]
    if name in CALLS:
        inner, _ = program_called(equation)
        return _outputs(inner, operands)
    return [_unless_constant(_most(operands))] * count


def _most(operands: Sequence[Degree]) -> Degree:
    return tuple(map(max, zip(*operands, strict=True)))


def _sum(operands: Sequence[Degree]) -> Degree:
    return tuple(map(sum, zip(*operands, strict=True)))


def _unless_constant(degree: Degree) -> Degree:
    """Infinite in every group that the value depends on at all."""
    return tuple(0.0 if each == 0 else math.inf for each in degree)


def _rounds(conversion: Any) -> bool:
    """Whether a conversion of types loses digits, so that it is not linear."""
    old, new = conversion.invars[0].aval.dtype, conversion.params["new_dtype"]
    return not jnp.issubdtype(new, jnp.floating) or jnp.promote_types(old, new) != new
