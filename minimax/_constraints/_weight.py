"""How strongly a regulariser pulls."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from minimax import _tree
from minimax._errors import GameError, is_known


def as_weight(number: ArrayLike) -> Float[Array, "..."]:
    """`number` as an array, so that new weights do not recompile.

    Raises `GameError` for what is not real, finite and >= 0.
    """
    return _as_weight(number, lambda weight: weight >= 0, "0.1, or an array of them: each >= 0")


def as_scalar_weight(number: ArrayLike) -> Float[Array, ""]:
    """`as_weight` where one weight is for all."""
    return _scalar(as_weight(number))


def as_temperature(number: ArrayLike) -> Float[Array, ""]:
    """`as_scalar_weight` where zero would leave nothing."""
    return _scalar(_as_weight(number, lambda weight: weight > 0, "0.1: it must be > 0"))


def _as_weight(number: Any, fits: Callable[[Any], Any], expected: str) -> Array:
    try:
        weight = _tree.as_real(number)
    except (TypeError, ValueError):
        weight = None
    if weight is None or not _tree.is_variable(weight) or not _is_known_to_fit(weight, fits):
        raise GameError(f"a weight is {number!r}: expected a finite number such as {expected}.")
    return weight


def _scalar(weight: Array) -> Array:
    if weight.ndim != 0:
        raise GameError(f"a weight has shape {weight.shape}: expected one number such as 0.1.")
    return weight


def _is_known_to_fit(weight: Array, fits: Callable[[Any], Any]) -> bool:
    if not is_known(weight):
        return True
    values = np.asarray(weight, float)
    return bool(np.all(fits(values) & np.isfinite(values)))


def like(number: ArrayLike, point: Float[Array, "*shape"]) -> Array:
    """A weight or a step size in the dtype of the leaf that it is for."""
    return jnp.asarray(number, point.dtype)


def is_within(length: Array, bound: Array) -> Array:
    """Whether `length <= bound`, up to the rounding of a sum that makes up the length.

    The conjugate of a norm is infinite beyond a bound. At a solution gradients lie *on* it, give or
    take a rounding, so an exact comparison would call every other solution infinitely bad.
    """
    return ~(length > bound * (1 + 16 * jnp.finfo(length.dtype).eps))  # what is NaN stays NaN
