"""The step size of methods that take one number for all players."""

from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._errors import GameError, is_known


def as_step_size(number: ArrayLike) -> Float[Array, ""]:
    """`number` as an array, so that a new step size does not recompile.

    Raises `GameError` for what is not one finite number > 0.
    """
    try:
        step_size = _tree.as_real(number)
    except TypeError:
        step_size = None
    if step_size is None or step_size.ndim != 0 or not _is_step_size(step_size):
        raise GameError(f"step_size is {number!r}: expected one finite number > 0, such as 0.1.")
    return step_size


def _is_step_size(scalar: Array) -> bool:
    return _tree.is_variable(scalar) and (not is_known(scalar) or 0 < float(scalar) < float("inf"))
