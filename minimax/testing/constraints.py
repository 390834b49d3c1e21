"""All laws of constraints, in one call."""

from collections.abc import Callable, Sequence
from typing import Any

import minimax as mm
from minimax.testing import _regularizer_laws, _set_laws
from minimax.testing._constraint_case import ConstraintCase as ConstraintCase
from minimax.testing._law import check, check_kind

constraint_laws = [*_set_laws.LAWS, *_regularizer_laws.LAWS]
"""Each is called with a `ConstraintCase`, and `applies` to some of them."""


def check_constraint(
    constraint: mm.AbstractConstraint,
    shapes: Sequence[tuple[int, ...]] | None = None,
    violation: Callable[[Any, float], float] | None = None,
    value: Callable[[Any], float] | None = None,
) -> None:
    r"""Holds every law of its kind against a set or regulariser, in single and double precision.

    The laws say that `project` is the projection on *some* convex set (or, where `is_convex` says
    that it is none, that no feasible point is nearer), that a proximal step
    minimises what it should by the distance that is claimed, that `displacement`, `gap`,
    `diameter`, `linear_minimizer` and tangent cones agree with it, and that all of this survives
    huge, tiny and tied entries. That it is the set you mean only `violation` can say.

    **Arguments:**

    - `constraint`: an instance of `mm.AbstractConstraint`.
    - `shapes`: of the leaves to try; by default those of a few usual ones that its `check` accepts.
    - `violation`: `violation(u, size)` is by how much `u` misses the set relative to the size of
      the set, or to `size`, the largest number that `u` was computed from; at most 8 roundings are
      allowed. By default that is how far `project` moves `u`.
    - `value`: the value of a regulariser at a NumPy array, in words of your own.

    **Raises:** `AssertionError` with the name and the sentence of the first law that fails;
    `GameError` for what is of another kind.
    """
    check_kind("constraint", constraint, mm.AbstractConstraint)
    check(constraint_laws, ConstraintCase(constraint, shapes, violation, value))
