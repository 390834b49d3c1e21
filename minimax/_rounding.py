r"""How far rounding may have carried a result: running error analysis of a traced program.

Every value $v$ of the program travels with a bound $e$ of its distance from what exact arithmetic
would give,

$$e_{a + b} = e_a + e_b + \epsilon |a + b|, \quad e_{ab} = |a| e_b + |b| e_a + e_a e_b + \epsilon
|ab|, \quad e_{\langle a, b\rangle} = \langle |a|, e_b\rangle + \langle e_a, |b|\rangle + \langle
e_a, e_b \rangle + n\epsilon \langle |a|, |b|\rangle,$$

and so on, so cancellation is seen where it happens. Other smooth functions carry an error on by
their slope. What a program does that is not known here is named, and bounded by nothing.

Source: Wilkinson, "Error analysis revisited" (1986); Higham, "Accuracy and stability of numerical
algorithms" (2002), section 3.3.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jaxtyping import Array

from minimax._calls import ALL_CALLS, program_called
from minimax._largest import largest_entry

_ULPS = 8
"""How many units in the last place an elementary function may be off; exponentials and powers more,
and those that are known to be off by more are not known here."""


class Rounded(NamedTuple):
    """What a program gives: `values`, as `function` returns them; how far rounding may have
    carried each entry, `errors`; and the operations that nothing is known about, `unknown`."""

    values: list[Array]
    errors: list[Array]
    unknown: frozenset[str]


def rounded(
    function: Callable[..., Sequence[Array]], arrays: Sequence[Array], errors: Sequence[Array]
) -> Rounded:
    """`function(*arrays)` with bounds on its rounding, to first order for elementary functions,
    where the arrays are themselves only known up to `errors`. All else it uses counts as exact."""
    program = jax.make_jaxpr(function)(*arrays)
    unknown: set[str] = set()
    pairs = _run(
        program.jaxpr,
        program.consts,
        [(x, jnp.broadcast_to(e, x.shape)) for x, e in zip(arrays, errors, strict=True)],
        unknown,
    )
    values = [value for value, _ in pairs]
    bounds = [jnp.where(jnp.isnan(error), jnp.inf, error) for _, error in pairs]
    return Rounded(values, bounds, frozenset(unknown))


Pair = tuple[Array, Array]


def _run(program: Any, consts: Sequence[Any], pairs: Sequence[Pair], unknown: set[str]) -> list:
    known: dict[Any, Pair] = {}

    def read(variable: Any) -> Pair:
        return _exact(variable.val) if isinstance(variable, Literal) else known[variable]

    known.update(zip(program.constvars, map(_exact, consts), strict=True))
    known.update(zip(program.invars, pairs, strict=True))
    for equation in program.eqns:
        results = _apply(equation, [read(variable) for variable in equation.invars], unknown)
        known.update(zip(equation.outvars, results, strict=True))
    return [read(variable) for variable in program.outvars]


def _exact(value: Any) -> Pair:
    array = jnp.asarray(value)
    return array, jnp.zeros(array.shape, _error_dtype(array))


def _error_dtype(array: Any) -> Any:
    return jnp.promote_types(jnp.result_type(array), jnp.float32) if _is_real(array) else "float32"


def _is_real(array: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(array), jnp.floating))


def _is_boolean(*arrays: Any) -> bool:
    return all(jnp.result_type(array) == jnp.bool_ for array in arrays)


def _doubted(result: Any, pairs: Sequence[Pair]) -> Pair:
    """Whole numbers from others: known, or not at all."""
    doubts = [jnp.any(error > 0) for _, error in pairs]
    doubt = functools.reduce(jnp.logical_or, doubts, jnp.asarray(False))
    value, none = _exact(result)
    return value, jnp.where(doubt, jnp.inf, none)


def _apply(equation: Any, pairs: list[Pair], unknown: set[str]) -> list[Pair]:
    name, params = equation.primitive.name, equation.params
    if name in ALL_CALLS:
        return _run(*program_called(equation), pairs, unknown)
    values = [value for value, _ in pairs]
    bind = functools.partial(equation.primitive.bind, **equation.params)
    results = bind(*values)
    results = list(results) if equation.primitive.multiple_results else [results]
    if not any(_is_real(array) for array in (*values, *results)) and not (
        name in _OF_MOVES or (name in _OF_LOGIC and _is_boolean(*values))
    ):
        return [_doubted(result, pairs) for result in results]
    if name in ("eq", "ne") and equation.invars[0] is equation.invars[1]:
        return [_exact(result) for result in results]  # x != x: is it a number?
    if len(results) == 1 and name in _RULES:
        value = results[0]
        error = _RULES[name](bind, value, pairs, params)
        return [(value, jnp.asarray(error, _error_dtype(value)))]
    if name in _MOVES_MANY:
        errors = bind(*(error for _, error in pairs))
        return list(zip(results, errors, strict=True))
    if name not in _WITHOUT_ERROR:
        unknown.add(name)
    return [_exact(result) for result in results]


def _eps(value: Array) -> float:
    return float(jnp.finfo(value.dtype).eps) if _is_real(value) else 0.0


def _tiny(value: Array) -> float:
    """What an operation may lose below the normal numbers."""
    return float(jnp.finfo(value.dtype).tiny) if _is_real(value) else 0.0


def _eps_of_products(value: Array, precision: Any) -> float:
    """Accelerators may round the factors of a product to fewer digits, unless told not to."""
    exact = jax.default_backend() == "cpu" or value.dtype == jnp.float64
    exact = exact or "HIGHEST" in str(precision)
    return _eps(value) if exact else max(_eps(value), 2.0**-7)


# What becomes of errors, operation by operation: rule(bind, value, pairs, params) -> error.


def _moves(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """Entries are only moved about: so are their errors."""
    return bind(*(error for _, error in pairs))


def _moves_by_indices(count: int) -> Callable[..., Array]:
    """So are they where all operands but the first `count` say which entries; where these are in
    doubt nothing is known."""

    def moves(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
        errors = bind(*(error for _, error in pairs[:count]), *(i for i, _ in pairs[count:]))
        return errors + _doubted(value, pairs[count:])[1]

    return moves


def _keeps(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    return pairs[0][1]


def _converts(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (x, e), *_ = pairs
    if _is_boolean(value):
        return ((e > 0) & (jnp.abs(x) <= e)).astype("float32")
    if _is_real(x) and not _is_real(value):
        return _jumps(bind, value, pairs, params)
    narrower = _is_real(value) and _eps(value) > _eps(pairs[0][0])
    return pairs[0][1] + (_eps(value) * jnp.abs(value) + _tiny(value) if narrower else 0)


def _largest(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """Functions that no argument moves by more than it moves itself, together or alone."""
    errors = [jnp.broadcast_to(error, value.shape) for _, error in pairs]
    return functools.reduce(jnp.maximum, errors)


def _largest_along(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    return largest_entry(pairs[0][1], axis=params["axes"], initial=0)


def _adds(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (_, one), (_, other) = pairs
    return one + other + _eps(value) * jnp.abs(value)


def _multiplies(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (a, e), (b, h) = pairs
    least = jnp.where((a == 0) | (b == 0), 0, _tiny(value))
    return _times(jnp.abs(a), h) + _times(jnp.abs(b), e) + e * h + _unit(value) + least


def _divides(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (a, e), (b, h) = pairs
    carried = (e + _times(jnp.abs(value), h)) / (jnp.abs(b) - h)
    carried = jnp.where((e == 0) & (h == 0), 0, jnp.where(jnp.abs(b) > h, carried, jnp.inf))
    return carried + _unit(value) + jnp.where(a == 0, 0, _tiny(value))


def _times(size: Array, error: Array) -> Array:
    """Nothing of no error, however large the size."""
    return jnp.where(error == 0, 0, size * error)


def _unit(value: Array) -> Array:
    return _eps(value) * jnp.abs(value)


def _contracts(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (a, e), (b, h) = pairs
    a, b = jnp.abs(a), jnp.abs(b)
    dtype = value.dtype
    e, h = e.astype(a.dtype), h.astype(b.dtype)
    terms = math.prod(pairs[0][0].shape[axis] for axis in params["dimension_numbers"][0][0])
    unit = (terms + 1) * _eps_of_products(value, params.get("precision"))
    own = bind(a, b)
    rounding = unit * own.astype(_error_dtype(value)) + jnp.where(own == 0, 0, terms * _tiny(value))
    return (bind(a, h) + bind(e, b) + bind(e, h)).astype(dtype) * (1 + unit) + rounding


def _sums(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (x, e), *_ = pairs
    terms = x.size // max(value.size, 1)
    return bind(e.astype(x.dtype)) + terms * _eps(value) * bind(jnp.abs(x))


def _sums_up(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (x, e), *_ = pairs
    return bind(e.astype(x.dtype)) + x.shape[params["axis"]] * _eps(value) * bind(jnp.abs(x))


def _scatters(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    (x, e), (indices, _), (update, h) = pairs
    own = bind(jnp.abs(x), indices, jnp.abs(update))
    doubt = _doubted(value, pairs[1:2])[1]
    return (
        bind(e.astype(x.dtype), indices, h.astype(x.dtype))
        + doubt
        + update.size * _eps(value) * own
    )


def _compares(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """1 where rounding may have changed the answer."""
    (a, e), (b, h) = pairs
    unsure = (jnp.abs(a - b) <= e + h) & (e + h > 0)
    return jnp.broadcast_to(unsure, value.shape).astype("float32")


def _selects(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """The error of what was chosen or, where the choice is in doubt, of either."""
    (which, doubt), *cases = pairs
    chosen = bind(which, *(error for _, error in cases))
    either = functools.reduce(jnp.maximum, [error + jnp.abs(case - value) for case, error in cases])
    return jnp.where(doubt > 0, jnp.where(jnp.isnan(either), jnp.inf, either), chosen)


def _bends(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """An elementary function: its steepest slope nearby times the error."""
    carried = jnp.zeros(value.shape, _error_dtype(value))
    for i, (x, error) in enumerate(pairs):
        if not _is_real(x):
            continue

        def alone(x: Array, i: int = i) -> Array:
            return bind(*(x if i == j else other for j, (other, _) in enumerate(pairs)))

        e = error.astype(x.dtype)
        steepest = functools.reduce(
            jnp.maximum,
            [jnp.abs(jax.jvp(alone, (at,), (jnp.ones_like(x),))[1]) for at in (x, x - e, x + e)],
        )
        carried += _times(steepest, e)
    return carried + _ULPS * _unit(value) + _tiny(value)


def _bends_roughly(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """A hundred units were measured in double precision."""
    return _bends(bind, value, pairs, params) + 32 * _ULPS * _unit(value)


def _raises(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """A whole power: every product rounds, and what it has rounded is raised too."""
    off = 2 * abs(params["y"]) * _eps(value)
    off = off / (1 - off) if off < 1 else jnp.inf
    return _bends(bind, value, pairs, params) + jnp.where(value == 0, 0, off * jnp.abs(value))


def _grows(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """An exponential: where the argument of an exponential inside is rounded, the result is off by
    as much as that is large."""
    size = jnp.abs(value)
    size = size * jnp.abs(jnp.log(jnp.where(size > 0, size, 1)))
    return _bends(bind, value, pairs, params) + _ULPS * _eps(value) * size


def _jumps(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    """A function with steps: constant around, or unknown."""
    (x, e), *_ = pairs
    e = jnp.where(e > 0, e + _unit(x) + _tiny(x), 0).astype(x.dtype)
    same = (bind(x - e) == value) & (bind(x + e) == value)
    return jnp.where(same, 0, jnp.inf)


def _certain(bind: Any, value: Array, pairs: list[Pair], params: Any) -> Array:
    return jnp.zeros(value.shape)


_OF_LOGIC = {"and", "or", "not", "xor", "reduce_and", "reduce_or"}
_OF_MOVES = set(
    "reshape transpose broadcast_in_dim squeeze slice concatenate rev pad copy copy_p "
    "gather dynamic_slice dynamic_update_slice".split()
)
_MOVES_MANY = {"split"}
_WITHOUT_ERROR = {"iota", "random_bits", "random_seed", "random_wrap", "random_unwrap"}
_RULES: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(
        "reshape transpose broadcast_in_dim squeeze slice concatenate rev pad copy copy_p".split(),
        _moves,
    ),
    **dict.fromkeys(["gather", "dynamic_slice"], _moves_by_indices(1)),
    "dynamic_update_slice": _moves_by_indices(2),
    **dict.fromkeys("neg abs stop_gradient real optimization_barrier".split(), _keeps),
    **dict.fromkeys("max min clamp and or not xor".split(), _largest),
    **dict.fromkeys("reduce_max reduce_min reduce_and reduce_or".split(), _largest_along),
    **dict.fromkeys("add sub add_any".split(), _adds),
    **dict.fromkeys("eq ne lt le gt ge".split(), _compares),
    **dict.fromkeys(
        "log sqrt rsqrt cbrt sin cos tan asin acos atan atan2 tanh asinh acosh logistic erf "
        "square".split(),
        _bends,
    ),
    **dict.fromkeys(["log1p", "atanh"], _bends_roughly),
    **dict.fromkeys("exp exp2 expm1 sinh cosh pow".split(), _grows),
    "integer_pow": _raises,
    **dict.fromkeys("sign floor ceil round".split(), _jumps),
    "is_finite": _certain,
    "convert_element_type": _converts,
    "mul": _multiplies,
    "div": _divides,
    "dot_general": _contracts,
    "reduce_sum": _sums,
    "cumsum": _sums_up,
    "scatter-add": _scatters,
    "select_n": _selects,
}
