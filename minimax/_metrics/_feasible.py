"""What a metric says of players outside their sets."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from minimax import _tree
from minimax._game import AbstractGame


def where_feasible(
    game: AbstractGame, players: PyTree, number: Float[Array, ""]
) -> Float[Array, ""]:
    """`number` for players in their sets, infinity for others, NaN where there is one."""
    variables = _tree.variables(players)
    inside = jax.tree.map(_is_where_it_is_projected, variables, game.project(variables))
    feasible = functools.reduce(jnp.logical_and, jax.tree.leaves(inside))
    unknown = jnp.isnan(_tree.largest(variables))
    return jnp.where(feasible, number, jnp.where(unknown, jnp.nan, jnp.inf))


def _is_where_it_is_projected(point: Array, projected: Array) -> Bool[Array, ""]:
    """Up to the rounding of a projection, on the scale of this leaf."""
    scale = jnp.max(jnp.abs(point), initial=0)
    return jnp.all(jnp.abs(point - projected) <= 16 * jnp.finfo(point.dtype).eps * scale)
