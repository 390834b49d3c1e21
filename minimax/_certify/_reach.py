"""How far sets go."""

import functools

import jax.numpy as jnp
from jaxtyping import Array

from minimax import _tree
from minimax._certify._replies import Point, Replies
from minimax._constraints.base import AbstractCompactSet, AbstractConstraint


def far_end(x: Array, slope: Array, constraint: AbstractConstraint | None) -> Array:
    """A point as far down the slope as the set goes, if it is compact, else one step."""
    if isinstance(constraint, AbstractCompactSet):
        far = constraint.linear_minimizer(slope)
        return jnp.where(jnp.isfinite(far), far, x)
    return x - slope if constraint is None else constraint.project(x - slope)


def width_of(own: list[Array], constraints: list[AbstractConstraint | None]) -> Array:
    """How far apart two points of the set may be; where that is infinite, how far out it is."""
    widths = []
    for x, constraint in zip(own, constraints, strict=True):
        out = 1 + norm(x)
        if isinstance(constraint, AbstractCompactSet):
            diameter = constraint.diameter(x)
            out = jnp.where(jnp.isfinite(diameter), diameter, out)
        widths.append(out)
    return _tree.norm(widths)


def stepped(replies: Replies, at: Point, share: Array, directions: Point) -> Point:
    """From `at` along `directions`, by a share of the widths of the sets."""
    return [
        _tree.add_scaled(own, share * width_of(own, constraints), unit(v))
        for own, v, constraints in zip(at, directions, replies.constraints, strict=True)
    ]


def unit(direction: list[Array]) -> list[Array]:
    return _tree.scale(1 / jnp.maximum(_tree.norm(direction), 1e-30), direction)


def norm(x: Array) -> Array:
    return _tree.scaled_norm([x])


def total(terms: list[Array]) -> Array:
    return functools.reduce(jnp.add, terms)
