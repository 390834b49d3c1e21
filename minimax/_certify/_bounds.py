"""What a side can gain, bounded from both sides."""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from minimax import _tree
from minimax._certify._convexity import Pair, pair_of, worse
from minimax._certify._draw import drawn
from minimax._certify._replies import Point, Replies
from minimax._certify._view import View, view_of


class Bounds(NamedTuple):
    """What is known of one side: its bounds; how much of them is rounding, and how much more of the
    upper one, below which a lack of convexity may hide; and what the players cost it at least."""

    lower: Array
    upper: Array
    rounding: Array
    hidden: Array
    least: Array


def compared(
    replies: Replies, here: Point, reply: Point, pairs: int, linear: list[bool], unknown: set[str]
) -> tuple[list[Bounds], list[Pair], Array]:
    """What the replies gain, what no reply can gain where payoffs are convex, the worst pairs of
    points: the players and the replies first, then those that are drawn; and how many there were.

    One loop for all, since everything is the same look at two points, and compiled once.
    """
    kinds = [
        jnp.result_type(jnp.float32, payoff.dtype, *own)
        for payoff, own in zip(eqx.filter_eval_shape(replies.value, here), here, strict=True)
    ]
    none = [
        Pair(jnp.zeros((), kind), jnp.zeros((), kind), jnp.zeros((), int), b, b)
        for kind, b in zip(kinds, here, strict=True)
    ]

    def compare(
        worst: list[Pair], at: tuple[Array, Array]
    ) -> tuple[list[Pair], tuple[list[Bounds], list[Array]]]:
        number, key = at
        a, b = drawn(replies, here, reply, number, key) if pairs else (reply, here)
        a, b = _tree.where(number == 0, (reply, here), (a, b))
        both = jax.tree.map(lambda *x: jnp.stack(x), a, b)
        views = jax.lax.map(lambda point: view_of(replies, point, unknown), both)
        at_a, at_b = (jax.tree.map(lambda x, i=i: x[i], views) for i in (0, 1))
        worst = [
            worse(worst[i], pair_of(i, a[i], b[i], at_a, at_b, kind, bool(unknown)))
            for i, kind in enumerate(kinds)
        ]
        bounds = [bounds_of(i, at_b, at_a, linear[i]) for i in range(len(here))]
        costs = [jnp.minimum(_most(i, at_a), _most(i, at_b)) for i in range(len(here))]
        return worst, (bounds, costs)

    keys = jax.random.split(jax.random.key(0), 1 + pairs)
    worst, (bounds, costs) = jax.lax.scan(compare, none, (jnp.arange(1 + pairs), keys))
    # Each point that was looked at is a reply, though most are poor ones.
    bounds = jax.tree.map(lambda x: x[0], bounds)
    if not pairs:
        worst = none
    bounds = [
        each._replace(
            lower=jnp.maximum(each.lower, each.least - jnp.min(cost)),
            upper=each.upper + (0 if is_linear else pair.hidden),
            hidden=jnp.zeros_like(pair.hidden) if is_linear else pair.hidden,
        )
        for each, cost, pair, is_linear in zip(bounds, costs, worst, linear, strict=True)
    ]
    counts = [pair.counts for pair, is_linear in zip(worst, linear, strict=True) if not is_linear]
    looked_at = functools.reduce(jnp.minimum, counts) if counts else jnp.zeros((), int)
    return bounds, worst, looked_at


def _most(i: int, view: View) -> Array:
    """What a point costs a side at most."""
    cost = view.payoffs[i] + view.penalties[i]
    rounding = view.payoff_errors[i] + 4 * jnp.finfo(cost.dtype).eps * (
        jnp.abs(view.payoffs[i]) + jnp.abs(view.penalties[i])
    )
    return jnp.where(jnp.isfinite(cost + rounding), cost + rounding, jnp.inf)


def bounds_of(i: int, here: View, there: View, is_linear: bool) -> Bounds:
    gap, slack = here.gaps[i], here.gap_errors[i]
    gain = here.payoffs[i] - there.payoffs[i] + (here.penalties[i] - there.penalties[i])
    eps = jnp.finfo(gain.dtype).eps
    size = jnp.abs(here.payoffs[i]) + jnp.abs(there.payoffs[i])
    size += jnp.abs(here.penalties[i]) + jnp.abs(there.penalties[i])
    error = here.payoff_errors[i] + there.payoff_errors[i] + 4 * eps * size
    known = jnp.isfinite(gain) & jnp.isfinite(error)
    lower = jnp.where(known, gain - error, 0)
    beyond = gain + error + there.gaps[i] + there.gap_errors[i]
    beyond = jnp.where(known & ~jnp.isnan(beyond), jnp.maximum(beyond, 0), jnp.inf)
    upper = jnp.where(jnp.isnan(gap + slack), jnp.inf, gap + slack)
    if is_linear:
        lower = jnp.where(jnp.isfinite(upper), jnp.maximum(lower, gap - slack), lower)
    return Bounds(
        lower=jnp.maximum(lower, 0),
        upper=jnp.minimum(upper, beyond),
        rounding=jnp.where(beyond < upper, error + there.gap_errors[i], slack),
        hidden=jnp.zeros_like(slack),
        least=2 * (here.payoffs[i] + here.penalties[i]) - _most(i, here),
    )
