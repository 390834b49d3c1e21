"""Good replies of every side, found by an inner solver."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from minimax import _tree
from minimax._certify._reach import far_end, width_of
from minimax._certify._replies import Point, Replies, costs_of


def best_replies(replies: Replies, max_steps: int) -> Point:
    """The best of what each side has, the far end of its set, and where gradient steps lead from
    there."""
    start = replies.present()
    far = [
        [far_end(*each) for each in zip(own, slope, constraints, strict=True)]
        for own, slope, constraints in zip(
            start, replies.operator(start), replies.constraints, strict=True
        )
    ]
    found = jax.tree.map(lambda *x: jnp.stack(x), start, far)
    if max_steps > 0:
        reached = jax.vmap(lambda point: _descended(replies, point, max_steps))(found)
        found = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), found, reached)
    costs = jax.vmap(lambda point: jnp.stack(costs_of(replies, point)))(found)
    best = jnp.argmin(jnp.where(jnp.isnan(costs), jnp.inf, costs), axis=0)
    return [[x[best[i]] for x in own] for i, own in enumerate(found)]


class _Descent(NamedTuple):
    """Accelerated proximal gradient steps of one side: where it is, where it looks, how far it
    steps, its momentum, and how far its last step went."""

    point: list[Array]
    ahead: list[Array]
    step_size: Array
    momentum: Array
    moved: Array


def _descended(replies: Replies, start: Point, max_steps: int) -> Point:
    """Accelerated proximal gradient steps of every side by itself, with backtracking by gradients,
    whose differences rounding harms less than those of payoffs, and restarts (Beck and Teboulle,
    2009; O'Donoghue and Candès, 2015)."""

    def step(carry: tuple[list[_Descent], Array]) -> tuple[list[_Descent], Array]:
        states, steps = carry
        slopes = replies.operator([state.ahead for state in states])
        back = [
            _natural_map(state.ahead, slope, state.step_size, constraints)
            for state, slope, constraints in zip(states, slopes, replies.constraints, strict=True)
        ]
        reached = [_tree.subtract(state.ahead, b) for state, b in zip(states, back, strict=True)]
        then = replies.operator(reached)
        return [
            _advanced(state, x, b, _tree.subtract(now, later))
            for state, x, b, now, later in zip(states, reached, back, slopes, then, strict=True)
        ], steps + 1

    def goes_on(carry: tuple[list[_Descent], Array]) -> Array:
        states, steps = carry
        moving = [state.moved > 0 for state in states]
        return (steps < max_steps) & functools.reduce(jnp.logical_or, moving)

    states = []
    for own, slope, constraints in zip(
        start, replies.operator(start), replies.constraints, strict=True
    ):
        size, width = _tree.norm(slope), width_of(own, constraints)
        step_size = jnp.where(size > 0, width / jnp.where(size > 0, size, 1), 1)
        one = jnp.ones_like(step_size)
        states.append(_Descent(own, own, step_size, one, one))
    states, _ = jax.lax.while_loop(goes_on, step, (states, jnp.zeros((), int)))
    # The steps may have grown very long, and what went back a long way is off its set by rounding.
    return [
        [x if each is None else each.project(x) for x, each in zip(state.point, own, strict=True)]
        for state, own in zip(states, replies.constraints, strict=True)
    ]


def _advanced(
    state: _Descent, reached: list[Array], back: list[Array], change: list[Array]
) -> _Descent:
    """Where a step that went `back` from where it looked leads, if slopes did not change too much
    for its length: by `change`."""
    moved = _tree.norm(back)
    short = state.step_size * _tree.dot(change, back) <= moved**2  # no longer than 1/L
    astray = _tree.dot(back, _tree.subtract(reached, state.point)) > 0
    momentum = (1 + jnp.sqrt(1 + 4 * state.momentum**2)) / 2
    inertia = jnp.where(astray, 0, (state.momentum - 1) / momentum)
    momentum = jnp.where(astray, 1, momentum).astype(moved.dtype)
    ahead = _tree.add_scaled(reached, inertia, _tree.subtract(reached, state.point))
    good = _Descent(reached, ahead, 1.1 * state.step_size, momentum, moved)
    # Back to where it was, with half the step and without momentum; it moves, or would.
    bad = _Descent(state.point, state.point, state.step_size / 2, jnp.ones_like(momentum), moved)
    bad = bad._replace(moved=jnp.where(state.step_size > jnp.finfo(moved.dtype).tiny, 1.0, 0.0))
    return jax.tree.map(
        lambda x, y, like: jnp.where(short, x, y).astype(like.dtype), good, bad, state
    )


def _natural_map(
    own: list[Array], slope: list[Array], step_size: Array, constraints: list[Any]
) -> list[Array]:
    return [
        step_size.astype(x.dtype) * d
        if constraint is None
        else constraint.natural_map(x, d, step_size.astype(x.dtype))
        for x, d, constraint in zip(own, slope, constraints, strict=True)
    ]
