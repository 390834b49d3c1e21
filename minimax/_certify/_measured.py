"""All numbers of a certificate."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._certify._best_replies import best_replies
from minimax._certify._bounds import Bounds, compared
from minimax._certify._convexity import Pair
from minimax._certify._replies import Replies, are_linear, replies_of
from minimax._game import AbstractGame, Variable
from minimax._metrics._feasible import rounding_of_projection
from minimax._metrics.natural_residual import NaturalResidual


class Measured(NamedTuple):
    """All numbers of a certificate, and what is known of the game without numbers."""

    bounds: list[Bounds]
    worst: list[Pair]
    looked_at: Array
    residual: Array
    outside: list[Array]
    finite: Array
    replies: Replies
    is_linear: bool
    unknown: list[str]
    variables: list[Variable]


@eqx.filter_jit
def measured(
    game: AbstractGame, players: PyTree, data: PyTree, pairs: int, max_steps: int
) -> Measured:
    """Everything that `certify` computes, in one compiled program."""
    variables = game.variables_of(players)
    replies = replies_of(game, players, data)
    linear = are_linear(replies)
    bounded = all(side.unbounded is None for side in replies.sides)
    unknown: set[str] = set()
    here = replies.present()
    reply = best_replies(replies, 0 if all(linear) and bounded else max_steps)
    pairs = 0 if all(linear) else pairs
    bounds, worst, looked_at = compared(replies, here, reply, pairs, linear, unknown)
    projected = jax.tree.leaves(_tree.variables(game.project(players)))
    numbers = jax.tree.leaves((players, game.operator(players, data), game.value(players, data)))
    return Measured(
        bounds=bounds,
        worst=worst,
        looked_at=looked_at,
        residual=NaturalResidual()(game, players, data),
        outside=[_outside(*each) for each in zip(variables, projected, strict=True)],
        finite=functools.reduce(jnp.logical_and, map(_is_finite, numbers)),
        replies=replies,
        is_linear=all(linear),
        unknown=sorted(unknown),
        variables=variables,
    )


def _is_finite(x: Any) -> Array:
    return jnp.all(jnp.isfinite(x)) if _tree.is_variable(x) else jnp.asarray(True)


def _outside(variable: Variable, projected: Array) -> Array:
    """How far a point is off its set, beyond the rounding of a projection."""
    apart = jnp.abs(variable.value - projected)
    tolerance = rounding_of_projection(variable.value, projected, variable.constraint)
    return jnp.max(jnp.where(apart <= tolerance, 0, apart), initial=0)
