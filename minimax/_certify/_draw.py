"""Where to look for a payoff that is not convex."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from minimax import _tree
from minimax._certify._reach import far_end, stepped, unit
from minimax._certify._replies import Point, Replies


def drawn(
    replies: Replies, here: Point, reply: Point, number: Array, key: Array
) -> tuple[Point, Point]:
    """Two feasible points. Every other time b is the players or the replies, where the bounds are
    linearised; half of the times a lies from there along the direction of least curvature, as a few
    power steps find it."""
    leaves, structure = jax.tree.flatten(here)
    ends = [0, *itertools.accumulate(leaf.size for leaf in leaves)]
    noise, uniform = jax.random.split(key)
    normal = jax.random.normal(noise, (3, ends[-1]), "float32")
    # From a thousandth of the width of the sets to all of it.
    shares = 10.0 ** jax.random.uniform(uniform, (3,), minval=-3, maxval=0)
    noises = [normal[:, i:j] for i, j in itertools.pairwise(ends)]
    noises = [n.reshape(3, *x.shape).astype(x.dtype) for n, x in zip(noises, leaves, strict=True)]
    noises = jax.tree.unflatten(structure, noises)
    turns = jnp.stack([number // 2, number // 4, number])
    one, other = (jax.tree.map(lambda x, i=i: x[i], noises) for i in (0, 1))
    sampled = [
        _sampled(replies, here, noise, shares[i], turns[i]) for i, noise in enumerate((one, other))
    ]
    b = _tree.where(number % 4 == 0, here, sampled[0])
    b = _tree.where(number % 4 == 2, reply, b)
    curved = _along_least_curvature(replies, b, jax.tree.map(lambda x: x[2], noises), shares[2])
    a = _tree.where((number // 4) % 2 == 0, curved, sampled[1])
    both = jax.tree.map(lambda *x: jnp.stack(x), a, b)
    both = jax.vmap(replies.project)(both)
    return tuple(jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))


def _sampled(replies: Replies, here: Point, noise: Point, share: Array, turn: Array) -> Point:
    """Some way off the players or, every other turn, part of the way to an end of the sets."""
    ends = [
        [far_end(*each) for each in zip(own, n, constraints, strict=True)]
        for own, n, constraints in zip(here, noise, replies.constraints, strict=True)
    ]
    off = stepped(replies, here, share, noise)
    return _tree.where(turn % 2 == 0, off, _tree.toward(here, ends, share))


def _along_least_curvature(replies: Replies, at: Point, directions: Point, share: Array) -> Point:
    """From `at` along directions that are turned towards each side's least curvature by power
    steps, with differences of gradients: they need no second derivative."""
    first = replies.operator(at)
    eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(at))
    h = [eps**0.5 * (1 + _tree.norm(own)) for own in at]

    def turn(_: Any, carry: tuple[Point, list[Array]]) -> tuple[Point, list[Array]]:
        directions, most = carry
        directions = [unit(v) for v in directions]
        ahead = [_tree.add_scaled(*each) for each in zip(at, h, directions, strict=True)]
        change = _tree.subtract(replies.operator(ahead), first)
        turned, grown = [], []
        for v, c, step, largest in zip(directions, change, h, most, strict=True):
            curved = _tree.scale(1 / step, c)
            size = _tree.norm(curved)
            largest = jnp.where(size < jnp.inf, jnp.maximum(largest, size), largest)
            new = _tree.subtract(_tree.scale(largest, v), curved)
            usable = (size < jnp.inf) & (_tree.norm(new) > 0)
            turned.append(_tree.where(usable, new, v))
            grown.append(largest)
        return turned, grown

    start = (directions, [jnp.zeros_like(each) for each in h])
    directions, _ = jax.lax.fori_loop(0, 8, turn, start)
    return stepped(replies, at, share, directions)
