"""A point as each side sees it, with how far rounding may have carried it."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from minimax._certify._reach import norm, total
from minimax._certify._replies import Point, Replies, penalties_of
from minimax._constraints.base import AbstractCompactSet, AbstractConstraint, AbstractRegularizer
from minimax._metrics._feasible import rounding_of_projection
from minimax._rounding import rounded


class View(NamedTuple):
    """A point as each side sees it, with the others where they are: its payoff, what its
    regularisers add, its slopes, how far rounding may have carried them; and the linearised gap."""

    payoffs: list[Array]
    payoff_errors: list[Array]
    penalties: list[Array]
    slopes: Point
    slope_errors: Point
    gaps: list[Array]
    gap_errors: list[Array]


def view_of(replies: Replies, point: Point, unknown: set[str]) -> View:
    """A point as each side sees it."""
    leaves, structure = jax.tree.flatten(point)
    constraints = [each for own in replies.constraints for each in own]

    def program(*arrays: Array) -> list[Array]:
        # The others are as far off their sets as the side itself.
        against = eqx.tree_at(lambda r: r.leaves, replies, list(arrays[len(leaves) :]))
        point = jax.tree.unflatten(structure, arrays[: len(leaves)])
        slopes = jax.tree.leaves(against.operator(point))
        return [*jax.tree.leaves(against.value(point)), *penalties_of(against, point), *slopes]

    own = [_blur(*each) for each in zip(leaves, constraints, strict=True)]
    places = [i for side in replies.sides for i in side.mine]
    of_leaf = dict(zip(places, constraints, strict=True))
    others = [_blur(x, of_leaf[i]) for i, x in enumerate(replies.leaves)]
    result = rounded(program, [*leaves, *replies.leaves], [*own, *others])
    unknown |= result.unknown
    n = len(replies.sides)
    slopes = jax.tree.unflatten(structure, result.values[2 * n :])
    errors = jax.tree.unflatten(structure, result.errors[2 * n :])
    linearised = [
        [_linearised(*each, unknown) for each in zip(*side, strict=True)]
        for side in zip(point, slopes, errors, replies.constraints, strict=True)
    ]
    return View(
        payoffs=result.values[:n],
        payoff_errors=[result.errors[i] + result.errors[n + i] for i in range(n)],
        penalties=result.values[n : 2 * n],
        slopes=slopes,
        slope_errors=errors,
        gaps=[total([gap for gap, _ in side]) for side in linearised],
        gap_errors=[total([slack for _, slack in side]) for side in linearised],
    )


def _blur(x: Array, constraint: AbstractConstraint | None) -> Array:
    """How far a projected leaf may be off its set."""
    if constraint is None:
        return jnp.zeros(())
    return rounding_of_projection(x, constraint.project(x), constraint)


def _linearised(
    x: Array, slope: Array, error: Array, constraint: AbstractConstraint | None, unknown: set[str]
) -> tuple[Array, Array]:
    r"""$\max_v \langle F, x - v\rangle$ for one leaf, and how far rounding may have carried it,
    where F is `slope` up to `error`."""
    eps = jnp.finfo(x.dtype).eps
    if isinstance(constraint, AbstractCompactSet):
        gap = constraint.gap(x, slope)
        diameter = constraint.diameter(x)
        # A sum of n products; x and the best reply are each a rounding error off.
        size = norm(slope) + norm(error)
        slack = norm(error) * diameter + (x.size + 16) * eps * size * (diameter + 2 * norm(x))
    elif isinstance(constraint, AbstractRegularizer):
        gap = constraint.gap(x, slope)
        signs = (1, -1, jnp.sign(x), -jnp.sign(x), jnp.sign(slope), -jnp.sign(slope))
        around = [constraint.gap(x, slope + (sign * error).astype(x.dtype)) - gap for sign in signs]
        slack = 2 * functools.reduce(jnp.maximum, around, jnp.zeros_like(gap))
        slack += (x.size + 16) * eps * (jnp.abs(gap) + norm(slope) * norm(x))
        unknown.add(f"the gap of {type(constraint).__name__}")
    else:
        gap, slack = jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), x.dtype)
    flat = jnp.all((slope == 0) & (error == 0))
    return jnp.where(flat, 0, jnp.maximum(gap, 0)), jnp.where(flat, 0, slack)
