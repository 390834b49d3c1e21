"""What the look ahead of an extragradient step leaves in an optimizer's memory."""

from typing import Any, Literal

import jax
import optax
from jaxtyping import PyTree

from minimax._errors import GameError

Moments = Literal["shared", "discarded"]


def check_moments(moments: Any) -> None:
    """Raises `GameError` where `moments` is neither "shared" nor "discarded"."""
    if moments not in ("shared", "discarded"):
        raise GameError(f'moments is {moments!r}: expected "shared" or "discarded".')


def carry_over(moments: Moments, before: PyTree, ahead: PyTree) -> PyTree:
    """The optimizer state for the second half of a step.

    **Arguments:**

    - `moments`: "shared" goes on from the state that the look ahead left, "discarded" from the one
      before it.
    - `before`, `ahead`: the states before and after the look ahead.

    Either way the counts of learning-rate schedules stay as they were before: both halves of a
    step use the same step size, and a schedule counts steps.
    """
    if moments == "discarded":
        return before
    return jax.tree.map(_hold_schedule, before, ahead, is_leaf=_has_schedule)


def _hold_schedule(before: Any, ahead: Any) -> Any:
    if _is_schedule(before):
        return before
    if isinstance(before, optax.InjectStatefulHyperparamsState):
        inner = carry_over("shared", before.inner_state, ahead.inner_state)
        return before._replace(inner_state=inner)
    return ahead


def _has_schedule(state: Any) -> bool:
    return _is_schedule(state) or isinstance(state, optax.InjectStatefulHyperparamsState)


def _is_schedule(state: Any) -> bool:
    """Whether a state is that of a schedule, of step sizes or of weight decay: a count alone."""
    return getattr(state, "_fields", None) == ("count",)
