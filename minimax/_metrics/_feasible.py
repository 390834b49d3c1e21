"""What a metric says of players outside their sets."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from minimax import _tree
from minimax._check import check_convex
from minimax._constraints._axis import along
from minimax._constraints.base import AbstractConstraint
from minimax._constraints.box import Box
from minimax._constraints.l_inf_ball import LInfBall
from minimax._constraints.non_negative import NonNegative
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric


def where_feasible(
    game: AbstractGame, players: PyTree, number: Float[Array, ""]
) -> Float[Array, ""]:
    """`number` for players in their sets, infinity for others, NaN where there is one."""
    variables = _tree.variables(players)
    inside = jax.tree.map(
        _is_where_it_is_projected,
        variables,
        game.project(variables),
        game.constraint_of_each(variables),
    )
    feasible = functools.reduce(jnp.logical_and, jax.tree.leaves(inside))
    unknown = jnp.isnan(_tree.largest(variables))
    return jnp.where(feasible, number, jnp.where(unknown, jnp.nan, jnp.inf))


def check_bounds_hold(metric: AbstractMetric, game: AbstractGame, players: PyTree) -> None:
    """Raises `GameError` where a set is not convex, for metrics that bound what could be gained."""
    check_convex(
        type(metric).__name__,
        "elsewhere slopes bound no gains, and there need be no saddle point",
        "Take mm.TangentResidual(), which is zero at critical points.",
        game.variables_of(players),
    )


def rounding_of_projection(
    point: Float[Array, "*shape"],
    projected: Float[Array, "*shape"],
    constraint: AbstractConstraint | None,
) -> Float[Array, "*shape"]:
    """How far a point that was projected may be off its set, in each entry: on the scale of this
    entry where the set takes each by itself, or else of the vector that it is part of."""
    size = jnp.maximum(jnp.abs(point), jnp.abs(projected))
    if not isinstance(constraint, (Box, LInfBall, NonNegative)):
        size = along(getattr(constraint, "axis", None), _largest, size)
    return 16 * jnp.finfo(point.dtype).eps * size


def _largest(size: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    return jnp.broadcast_to(jnp.max(size, axis=-1, keepdims=True, initial=0), size.shape)


def _is_where_it_is_projected(
    point: Array, projected: Array, constraint: AbstractConstraint | None
) -> Bool[Array, ""]:
    tolerance = rounding_of_projection(point, projected, constraint)
    return jnp.all(jnp.abs(point - projected) <= tolerance)
