"""The step size of methods that take one number for all players, and its like."""

from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._errors import GameError, is_known


def as_step_size(number: ArrayLike) -> Float[Array, ""]:
    """`number` as an array, so that a new step size does not recompile.

    Raises `GameError` for what is not one finite number > 0.
    """
    return as_positive("step_size", number)


def as_weight(number: ArrayLike) -> Float[Array, ""]:
    """As `as_step_size`, for the weight of a term."""
    return as_positive("weight", number)


def as_positive(name: str, number: ArrayLike) -> Float[Array, ""]:
    """`number` as an array; a message calls it `name`."""
    try:
        scalar = _tree.as_real(number)
    except TypeError:
        scalar = None
    if scalar is None or scalar.ndim != 0 or not _is_positive(scalar):
        raise GameError(f"{name} is {number!r}: expected one finite number > 0, such as 0.1.")
    return scalar


def _is_positive(scalar: Array) -> bool:
    return _tree.is_variable(scalar) and (not is_known(scalar) or 0 < float(scalar) < float("inf"))
