r"""`certify`: what the players could still gain, bounded from both sides.

lower  <-- best responses, found by an inner solver      any feasible reply is a proof
upper  <-- linearisation at the players or at the reply  valid where payoffs are convex
words  <-- what is proved, what no probe refuted, what rounding allows
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._certificate import Certificate, Kind
from minimax._check import check_fits
from minimax._constraints.base import AbstractCompactSet, AbstractConstraint, AbstractRegularizer
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._metrics._feasible import rounding_of_projection
from minimax._metrics.natural_residual import NaturalResidual
from minimax._players import as_players
from minimax._polynomial import degrees
from minimax._roles import sign_of_each
from minimax._rounding import rounded


def certify(
    game: AbstractGame,
    players: PyTree,
    data: PyTree = None,
    *,
    pairs: int = 64,
    max_steps: int = 500,
) -> Certificate:
    r"""Bounds on the duality gap at `players`, and what they are worth.

    $$\max_{y'} f(x, y') - \min_{x'} f(x', y),$$

    with x all players that share the payoff and are "min", and y all that are "max". For payoffs
    $f_i$ of their own it is the Nikaido-Isoda function
    $\sum_i \max_{u_i} s_i (f_i(z) - f_i(u_i, z_{-i}))$, the sum of what each player could gain
    alone. A regulariser counts as part of the payoff of its player.

    - `lower` is what replies found by a solver gain. It holds for every game: what has been gained
      can be gained.
    - `upper` is $\sum_i \min\{g_i(z_i), f_i(z) - f_i(u_i, z_{-i}) + g_i(u_i)\}$ with the linearised
      gap $g_i(b) = \max_v \langle F_i(b, z_{-i}), b - v \rangle$, at the players and at the replies
      $u_i$. It holds where each $s_i f_i$ is convex in the variables of player i while the others
      stay. That F is monotone is not needed. Where the payoff is proved to be linear in each
      player's own variables, both bounds are exact; else convexity is probed at pairs of feasible
      points, and the certificate says so.
    - Both leave room for rounding, by a running error analysis of the program of payoff and
      gradient, to first order. What an elementary function of the machine may err is taken to be 8
      units in the last place, and more for powers and exponentials. What is below rounding where
      convexity was probed is added to the upper bound. Operations that it does not know make the
      certificate an estimate.

    The bounds are for the feasible players nearest to those given, which may be a rounding error
    away.

    **Arguments:**

    - `game`, `players`, `data`: as for `solve`; the players of a solution, or any others.
    - `pairs`: how many pairs of points convexity is probed at, for each player.
    - `max_steps`: how many steps the inner solver makes at most for each reply.

    **Returns:** a `Certificate`. Players outside their sets, players that are free or in an
    unbounded set, and payoffs found not convex have no upper bound, and it says which.

    **Raises:** `GameError` where game and players do not fit together, and under `jit` or `vmap`:
    a certificate is words about numbers.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    >>> rock = jnp.array([1.0, 0.0, 0.0])
    >>> certificate = mm.certify(game, (rock, rock))
    >>> assert certificate.lower <= 2 <= certificate.upper

    ```

    Source: Nikaido and Isoda, "Note on non-cooperative convex games" (1955); the linearised gap is
    that of Frank and Wolfe (1956); Facchinei and Kanzow, "Generalized Nash equilibrium problems"
    (2007).
    """
    check_fits(game, players, data)
    for name, number in (("pairs", pairs), ("max_steps", max_steps)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise GameError(f"{name} of certify is {number!r}: expected a whole number >= 0.")
    players, data = as_players(players), _tree.floats_as_arrays(data)
    if not is_known(*jax.tree.leaves((game, players, data))):
        raise GameError(
            "certify was called under jit or vmap: expected numbers that can be looked at. Inside "
            "compiled code take a metric, such as mm.DualityGap() or mm.NaturalResidual()."
        )
    return _worded(_measured(game, players, data, pairs, max_steps))


class _Side(NamedTuple):
    """One decision: the leaves that descend `sign` times the payoff of this number together."""

    payoff: int
    sign: float
    mine: tuple[int, ...]
    places: tuple[str, ...]
    unbounded: str | None


class _Replies(AbstractGame):
    """Every side alone against the others as they are: its players are one list of leaves per
    side, its payoffs what each side descends."""

    game: AbstractGame
    data: PyTree
    leaves: list[Array]
    rest: PyTree
    structure: Any = eqx.field(static=True)
    sides: list[_Side]
    constraints: list[list[AbstractConstraint | None]]
    roles = "min"

    def payoff(self, players: PyTree, data: PyTree = None) -> list[Array]:
        del data
        return [self._descended(side, own) for side, own in zip(self.sides, players, strict=True)]

    def whole(self, side: _Side, own: list[Array]) -> PyTree:
        """The players of the game with what one side decides replaced."""
        leaves = list(self.leaves)
        for i, leaf in zip(side.mine, own, strict=True):
            leaves[i] = leaf
        return eqx.combine(jax.tree.unflatten(self.structure, leaves), self.rest)

    def present(self) -> list[list[Array]]:
        """What each side plays now."""
        return [[self.leaves[i] for i in side.mine] for side in self.sides]

    def _descended(self, side: _Side, own: list[Array]) -> Array:
        payoffs = jax.tree.leaves(self.game.value(self.whole(side, own), self.data))
        return side.sign * payoffs[side.payoff]


Point = list[list[Array]]
"""Leaves of each side."""


class _View(NamedTuple):
    """A point as each side sees it, with the others where they are: its payoff, what its
    regularisers add, its slopes, how far rounding may have carried them; and the linearised gap."""

    payoffs: list[Array]
    payoff_errors: list[Array]
    penalties: list[Array]
    slopes: Point
    slope_errors: Point
    gaps: list[Array]
    gap_errors: list[Array]


class _Bounds(NamedTuple):
    """What is known of one side: its bounds, how much of them is rounding, and what the players
    cost it at least."""

    lower: Array
    upper: Array
    rounding: Array
    least: Array


class _Pair(NamedTuple):
    """Two points a and b; by how much the payoff at one is below its tangent at the other, beyond
    rounding; how much of that rounding may hide; and whether they are two points with numbers."""

    deficit: Array
    hidden: Array
    counts: Array
    a: list[Array]
    b: list[Array]


class _Measured(NamedTuple):
    """All numbers of a certificate, and what is known of the game without numbers."""

    bounds: list[_Bounds]
    worst: list[_Pair]
    looked_at: Array
    residual: Array
    outside: list[Array]
    finite: Array
    replies: _Replies
    is_linear: bool
    unknown: list[str]
    places: list[str]
    constraints: list[AbstractConstraint | None]


@eqx.filter_jit
def _measured(
    game: AbstractGame, players: PyTree, data: PyTree, pairs: int, max_steps: int
) -> _Measured:
    variables, rest = eqx.partition(players, _tree.is_variable)
    paths, structure = jax.tree_util.tree_flatten_with_path(variables)
    leaves = [leaf for _, leaf in paths]
    places = [_tree.place("players", path) for path, _ in paths]
    constraints = structure.flatten_up_to(game.constraint_of_each(variables))
    sides = _sides(game, players, data, places, constraints)
    replies = _Replies(
        game=game,
        data=data,
        leaves=leaves,
        rest=rest,
        structure=structure,
        sides=sides,
        constraints=[[constraints[i] for i in side.mine] for side in sides],
    )
    linear = _are_linear(replies)
    bounded = all(side.unbounded is None for side in sides)
    unknown: set[str] = set()
    here = replies.present()
    reply = _best_replies(replies, 0 if all(linear) and bounded else max_steps)
    pairs = 0 if all(linear) else pairs
    bounds, worst, looked_at = _compared(replies, here, reply, pairs, linear, unknown)
    projected = jax.tree.leaves(_tree.variables(game.project(players)))
    numbers = [*leaves, *jax.tree.leaves((game.operator(players, data), game.value(players, data)))]
    return _Measured(
        bounds=bounds,
        worst=worst,
        looked_at=looked_at,
        residual=NaturalResidual()(game, players, data),
        outside=[_outside(*each) for each in zip(leaves, projected, constraints, strict=True)],
        finite=functools.reduce(jnp.logical_and, [jnp.all(jnp.isfinite(x)) for x in numbers]),
        replies=replies,
        is_linear=all(linear),
        unknown=sorted(unknown),
        places=places,
        constraints=constraints,
    )


def _sides(
    game: AbstractGame,
    players: PyTree,
    data: PyTree,
    places: list[str],
    constraints: list[AbstractConstraint | None],
) -> list[_Side]:
    """Who decides together: the leaves of one payoff and one role."""
    variables = _tree.variables(players)
    payoffs = eqx.filter_eval_shape(game.value, players, data)
    count = len(jax.tree.leaves(payoffs))
    numbers = jax.tree.unflatten(jax.tree.structure(payoffs), range(count))
    owners = jax.tree.leaves(_tree.broadcast_prefix(numbers, variables, "payoff"))
    signs = jax.tree.leaves(sign_of_each(game.roles, variables))
    keys = list(zip(owners, signs, strict=True))
    sides = []
    for key in dict.fromkeys(keys):
        mine = tuple(i for i, other in enumerate(keys) if other == key)
        unbounded = [_unbounded(places[i], constraints[i]) for i in mine]
        unbounded = next((words for words in unbounded if words is not None), None)
        sides.append(_Side(*key, mine, tuple(places[i] for i in mine), unbounded))
    return sides


def _unbounded(place: str, constraint: AbstractConstraint | None) -> str | None:
    if constraint is None:
        return f"{place} is free"
    if not isinstance(constraint, (AbstractCompactSet, AbstractRegularizer)):
        return f"{place} has {constraint!r}, which is unbounded"
    return None


def _are_linear(replies: _Replies) -> list[bool]:
    """Whether the payoff of each side is proved to be affine in what it decides."""
    point = replies.present()
    everything = [[True]] * len(jax.tree.leaves(point))
    payoffs = degrees(replies.value, point, everything)
    slopes = iter(degrees(replies.operator, point, everything))
    flat = [all([next(slopes)[0] == 0 for _ in own]) for own in point]
    return [degree[0] <= 1 and is_flat for degree, is_flat in zip(payoffs, flat, strict=True)]


def _best_replies(replies: _Replies, max_steps: int) -> Point:
    """The best of what each side has, the far end of its set, and where gradient steps lead from
    there."""
    start = replies.present()
    far = [
        [_far(*each) for each in zip(own, slope, constraints, strict=True)]
        for own, slope, constraints in zip(
            start, replies.operator(start), replies.constraints, strict=True
        )
    ]
    found = jax.tree.map(lambda *x: jnp.stack(x), start, far)
    if max_steps > 0:
        reached = jax.vmap(lambda point: _descended(replies, point, max_steps))(found)
        found = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), found, reached)
    costs = jax.vmap(lambda point: jnp.stack(_costs(replies, point)))(found)
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


def _descended(replies: _Replies, start: Point, max_steps: int) -> Point:
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
        size, width = _tree.norm(slope), _width(own, constraints)
        step_size = jnp.where(size > 0, width / jnp.where(size > 0, size, 1), 1)
        one = jnp.ones_like(step_size)
        states.append(_Descent(own, own, step_size, one, one))
    states, _ = jax.lax.while_loop(goes_on, step, (states, jnp.zeros((), int)))
    return [state.point for state in states]


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


def _far(x: Array, slope: Array, constraint: AbstractConstraint | None) -> Array:
    """A point as far down the slope as the set goes, if it is compact, else one step."""
    if isinstance(constraint, AbstractCompactSet):
        far = constraint.linear_minimizer(slope)
        return jnp.where(jnp.isfinite(far), far, x)
    return x - slope if constraint is None else constraint.project(x - slope)


def _costs(replies: _Replies, point: Point) -> list[Array]:
    payoffs = jax.tree.leaves(replies.value(point))
    return [f + g for f, g in zip(payoffs, _penalties(replies, point), strict=True)]


def _penalties(replies: _Replies, point: Point) -> list[Array]:
    return [
        functools.reduce(
            jnp.add,
            [
                constraint.value(x)
                for x, constraint in zip(own, constraints, strict=True)
                if isinstance(constraint, AbstractRegularizer)
            ],
            jnp.zeros((), jnp.result_type(*own)),
        )
        for own, constraints in zip(point, replies.constraints, strict=True)
    ]


def _view(replies: _Replies, point: Point, unknown: set[str]) -> _View:
    """A point as each side sees it."""
    leaves, structure = jax.tree.flatten(point)
    constraints = [each for own in replies.constraints for each in own]

    def program(*arrays: Array) -> list[Array]:
        # The others are as far off their sets as the side itself.
        against = eqx.tree_at(lambda r: r.leaves, replies, list(arrays[len(leaves) :]))
        point = jax.tree.unflatten(structure, arrays[: len(leaves)])
        slopes = jax.tree.leaves(against.operator(point))
        return [*jax.tree.leaves(against.value(point)), *_penalties(against, point), *slopes]

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
    return _View(
        payoffs=result.values[:n],
        payoff_errors=[result.errors[i] + result.errors[n + i] for i in range(n)],
        penalties=result.values[n : 2 * n],
        slopes=slopes,
        slope_errors=errors,
        gaps=[_sum([gap for gap, _ in side]) for side in linearised],
        gap_errors=[_sum([slack for _, slack in side]) for side in linearised],
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
        size = _norm(slope) + _norm(error)
        slack = _norm(error) * diameter + (x.size + 16) * eps * size * (diameter + 2 * _norm(x))
    elif isinstance(constraint, AbstractRegularizer):
        gap = constraint.gap(x, slope)
        signs = (1, -1, jnp.sign(x), -jnp.sign(x), jnp.sign(slope), -jnp.sign(slope))
        around = [constraint.gap(x, slope + (sign * error).astype(x.dtype)) - gap for sign in signs]
        slack = 2 * functools.reduce(jnp.maximum, around, jnp.zeros_like(gap))
        slack += (x.size + 16) * eps * (jnp.abs(gap) + _norm(slope) * _norm(x))
        unknown.add(f"the gap of {type(constraint).__name__}")
    else:
        gap, slack = jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), x.dtype)
    flat = jnp.all((slope == 0) & (error == 0))
    return jnp.where(flat, 0, jnp.maximum(gap, 0)), jnp.where(flat, 0, slack)


def _compared(
    replies: _Replies, here: Point, reply: Point, pairs: int, linear: list[bool], unknown: set[str]
) -> tuple[list[_Bounds], list[_Pair], Array]:
    """What the replies gain, what no reply can gain where payoffs are convex, the worst pairs of
    points: the players and the replies first, then those that are drawn; and how many there were.

    One loop for all, since everything is the same look at two points, and compiled once.
    """
    kinds = [
        jnp.result_type(jnp.float32, payoff.dtype, *own)
        for payoff, own in zip(eqx.filter_eval_shape(replies.value, here), here, strict=True)
    ]
    none = [
        _Pair(jnp.zeros((), kind), jnp.zeros((), kind), jnp.zeros((), int), b, b)
        for kind, b in zip(kinds, here, strict=True)
    ]

    def compare(
        worst: list[_Pair], at: tuple[Array, Array]
    ) -> tuple[list[_Pair], tuple[list[_Bounds], list[Array]]]:
        number, key = at
        a, b = _drawn(replies, here, reply, number, key) if pairs else (reply, here)
        a, b = _tree.where(number == 0, (reply, here), (a, b))
        both = jax.tree.map(lambda *x: jnp.stack(x), a, b)
        views = jax.lax.map(lambda point: _view(replies, point, unknown), both)
        at_a, at_b = (jax.tree.map(lambda x, i=i: x[i], views) for i in (0, 1))
        worst = [
            _worse(worst[i], _looked_at(i, a[i], b[i], at_a, at_b, kind, bool(unknown)))
            for i, kind in enumerate(kinds)
        ]
        bounds = [_bounds(i, at_b, at_a, linear[i]) for i in range(len(here))]
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
            rounding=each.rounding + (0 if is_linear else pair.hidden),
        )
        for each, cost, pair, is_linear in zip(bounds, costs, worst, linear, strict=True)
    ]
    counts = [pair.counts for pair, is_linear in zip(worst, linear, strict=True) if not is_linear]
    looked_at = functools.reduce(jnp.minimum, counts) if counts else jnp.zeros((), int)
    return bounds, worst, looked_at


def _most(i: int, view: _View) -> Array:
    """What a point costs a side at most."""
    cost = view.payoffs[i] + view.penalties[i]
    rounding = view.payoff_errors[i] + 4 * jnp.finfo(cost.dtype).eps * (
        jnp.abs(view.payoffs[i]) + jnp.abs(view.penalties[i])
    )
    return jnp.where(jnp.isfinite(cost + rounding), cost + rounding, jnp.inf)


def _bounds(i: int, here: _View, there: _View, is_linear: bool) -> _Bounds:
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
    return _Bounds(
        lower=jnp.maximum(lower, 0),
        upper=jnp.minimum(upper, beyond),
        rounding=jnp.where(beyond < upper, error + there.gap_errors[i], slack),
        least=2 * (here.payoffs[i] + here.penalties[i]) - _most(i, here),
    )


def _looked_at(
    i: int, a: list[Array], b: list[Array], at_a: _View, at_b: _View, kind: Any, careful: bool
) -> _Pair:
    r"""What two points say of the payoff of side i, by its values,
    $f(a) - f(b) - \langle \nabla f(b), a - b\rangle$ and the same with a and b exchanged, and by
    its slopes: the sum of both is $\langle \nabla f(a) - \nabla f(b), a - b\rangle$, which no
    offset of the payoff harms. All are at least 0 where f is convex."""
    forward, forward_error = _above_tangent(i, a, b, at_a, at_b, kind)
    backward, backward_error = _above_tangent(i, b, a, at_b, at_a, kind)
    turn, turn_error = _turn(i, a, b, at_a, at_b, kind, careful)
    found = jnp.stack([forward, backward, turn / 2])
    errors = jnp.stack([forward_error, backward_error, turn_error / 2])
    known = jnp.isfinite(found) & jnp.isfinite(errors)
    deficit = jnp.max(jnp.where(known, -found - errors, 0), initial=0)
    # What one of them has seen to be convex needs no other.
    seen = jnp.any(known & (found >= errors))
    hidden = jnp.where(seen, 0, jnp.min(jnp.where(known, errors - found, jnp.inf)))
    counts = jnp.any(known) & (_tree.largest(_tree.subtract(a, b)) > 0)
    hidden = jnp.where(counts, hidden, 0)
    return _Pair(deficit, hidden, counts.astype(int), a, b)


def _above_tangent(
    i: int, a: list[Array], b: list[Array], at_a: _View, at_b: _View, kind: Any
) -> tuple[Array, Array]:
    """By how much the payoff at a is above its tangent at b, and the rounding of that."""
    terms, errors = [], []
    for x, y, slope, error in zip(a, b, at_b.slopes[i], at_b.slope_errors[i], strict=True):
        unit = (x.size + 8) * jnp.finfo(x.dtype).eps
        x, y, slope, error = (each.astype(kind) for each in (x, y, slope, error))
        terms.append(jnp.sum(slope * (x - y)))
        errors.append(jnp.sum((error + unit * jnp.abs(slope)) * jnp.abs(x - y)))
        errors.append(jnp.asarray(x.size * jnp.finfo(kind).tiny, kind))
    one, other = at_a.payoffs[i].astype(kind), at_b.payoffs[i].astype(kind)
    errors.append(at_a.payoff_errors[i].astype(kind) + at_b.payoff_errors[i].astype(kind))
    errors.append(64 * jnp.finfo(at_a.payoffs[i].dtype).eps * (jnp.abs(one) + jnp.abs(other)))
    return one - other - _sum(terms), _sum(errors)


def _turn(
    i: int, a: list[Array], b: list[Array], at_a: _View, at_b: _View, kind: Any, careful: bool
) -> tuple[Array, Array]:
    """How far slopes turn towards where one goes from b to a, and the rounding of that."""
    terms, errors = [], []
    for j, (x, y) in enumerate(zip(a, b, strict=True)):
        unit = (x.size + 8) * jnp.finfo(x.dtype).eps
        x, y = x.astype(kind), y.astype(kind)
        change = at_a.slopes[i][j].astype(kind) - at_b.slopes[i][j].astype(kind)
        error = at_a.slope_errors[i][j].astype(kind) + at_b.slope_errors[i][j].astype(kind)
        if careful:  # there is more rounding than is known
            slopes = jnp.abs(at_a.slopes[i][j]) + jnp.abs(at_b.slopes[i][j])
            error += 64 * jnp.finfo(slopes.dtype).eps * slopes.astype(kind)
        terms.append(jnp.sum(change * (x - y)))
        errors.append(jnp.sum((error + unit * jnp.abs(change)) * jnp.abs(x - y)))
        errors.append(jnp.asarray(x.size * jnp.finfo(kind).tiny, kind))
    return _sum(terms), _sum(errors)


def _worse(one: _Pair, other: _Pair) -> _Pair:
    """The pair that is further from convex; what was hidden at either; how many there were."""
    worse = _tree.where(other.deficit > one.deficit, other, one)
    return worse._replace(
        hidden=jnp.maximum(one.hidden, other.hidden), counts=one.counts + other.counts
    )


# Where to look for a payoff that is not convex ----------------------------------------------------


def _drawn(
    replies: _Replies, here: Point, reply: Point, number: Array, key: Array
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


def _sampled(replies: _Replies, here: Point, noise: Point, share: Array, turn: Array) -> Point:
    """Some way off the players or, every other turn, part of the way to an end of the sets."""
    ends = [
        [_far(*each) for each in zip(own, n, constraints, strict=True)]
        for own, n, constraints in zip(here, noise, replies.constraints, strict=True)
    ]
    off = _stepped(replies, here, share, noise)
    return _tree.where(turn % 2 == 0, off, _tree.toward(here, ends, share))


def _along_least_curvature(replies: _Replies, at: Point, directions: Point, share: Array) -> Point:
    """From `at` along directions that are turned towards each side's least curvature by power
    steps, with differences of gradients: they need no second derivative."""
    first = replies.operator(at)
    eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(at))
    h = [eps**0.5 * (1 + _tree.norm(own)) for own in at]

    def turn(_: Any, carry: tuple[Point, list[Array]]) -> tuple[Point, list[Array]]:
        directions, most = carry
        directions = [_unit(v) for v in directions]
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
    return _stepped(replies, at, share, directions)


def _stepped(replies: _Replies, at: Point, share: Array, directions: Point) -> Point:
    """From `at` along `directions`, by a share of the widths of the sets."""
    return [
        _tree.add_scaled(own, share * _width(own, constraints), _unit(v))
        for own, v, constraints in zip(at, directions, replies.constraints, strict=True)
    ]


def _width(own: list[Array], constraints: list[AbstractConstraint | None]) -> Array:
    """How far apart two points of the set may be; where that is infinite, how far out it is."""
    widths = []
    for x, constraint in zip(own, constraints, strict=True):
        out = 1 + _norm(x)
        if isinstance(constraint, AbstractCompactSet):
            diameter = constraint.diameter(x)
            out = jnp.where(jnp.isfinite(diameter), diameter, out)
        widths.append(out)
    return _tree.norm(widths)


def _unit(direction: list[Array]) -> list[Array]:
    return _tree.scale(1 / jnp.maximum(_tree.norm(direction), 1e-30), direction)


def _outside(x: Array, projected: Array, constraint: AbstractConstraint | None) -> Array:
    """How far a point is off its set, beyond the rounding of a projection."""
    apart = jnp.abs(x - projected)
    tolerance = rounding_of_projection(x, projected, constraint)
    return jnp.max(jnp.where(apart <= tolerance, 0, apart), initial=0)


def _norm(x: Array) -> Array:
    return _tree.scaled_norm([x])


def _sum(terms: list[Array]) -> Array:
    return functools.reduce(jnp.add, terms)


# What the numbers mean ----------------------------------------------------------------------------


def _worded(found: _Measured) -> Certificate:
    kind, message, upper_holds = _verdict(found)
    lower, upper, rounding = (
        math.fsum(float(getattr(bounds, name)) for bounds in found.bounds)
        for name in ("lower", "upper", "rounding")
    )
    certified = bool(found.finite) and not any(float(x) > 0 for x in found.outside)
    return Certificate(
        lower=lower if certified else 0.0,
        upper=upper if upper_holds else math.inf,
        residual=float(found.residual),
        kind=kind,
        message=message,
        rounding=rounding,
        counterexample=_counterexample(found),
    )


def _counterexample(found: _Measured) -> tuple[PyTree, PyTree] | None:
    for side, pair in zip(found.replies.sides, found.worst, strict=True):
        if float(pair.deficit) > 0:
            return found.replies.whole(side, pair.a), found.replies.whole(side, pair.b)
    return None


def _verdict(found: _Measured) -> tuple[Kind, str, bool]:
    """What the numbers are, why, and whether the upper bound is one."""
    if not bool(found.finite):
        return (
            "not certifiable",
            "Players, payoff or gradient are infinite or NaN: nothing is known. Look at "
            "game.value(players) and game.gradient(players).",
            False,
        )
    for place, constraint, outside in zip(
        found.places, found.constraints, found.outside, strict=True
    ):
        if float(outside) > 0:
            return (
                "not certifiable",
                f"{place} is outside {constraint!r}, by {float(outside):.2g} in an entry: the gap "
                "of infeasible players is infinite. Certify game.project(players).",
                False,
            )
    for side, pair in zip(found.replies.sides, found.worst, strict=True):
        if float(pair.deficit) > 0:
            return (
                "not certifiable",
                f"The payoff is not convex for {' and '.join(side.places)}, its own player: at two "
                f"feasible points it is {float(pair.deficit):.2g} below its tangent "
                "(counterexample). Only the lower bound holds; small residuals say that no player "
                "gains by a small move.",
                False,
            )
    for side, bounds in zip(found.replies.sides, found.bounds, strict=True):
        if float(bounds.lower) > float(bounds.upper):
            beware = " (or rounds more than is estimated)" if found.unknown else ""
            return (
                "not certifiable",
                f"The payoff is not convex{beware} for {' and '.join(side.places)}, its own "
                "player: a reply gains more than any could if it were. Only the lower bound "
                "holds.",
                False,
            )
        if not math.isfinite(bounds.upper):
            why = side.unbounded or f"the linearised payoff of {side.places[0]} has no bound"
            return (
                "not certifiable",
                f"Nothing bounds the gap from above: {why}. The lower bound holds; so does the "
                "residual, or a gap restricted to a ball (mm.RestrictedGap).",
                False,
            )
    known = not found.unknown
    if found.is_linear and known:
        return (
            "exact",
            "The duality gap, up to rounding: the payoff is linear in each player's own variables, "
            "as its program proves.",
            True,
        )
    proviso = (
        "the payoff is linear in each player's own variables, as its program proves"
        if found.is_linear
        else "the duality gap lies in between, provided that each payoff is convex for its own "
        f"player: not proved, but not violated beyond rounding at {int(found.looked_at)} pairs of "
        "points"
    )
    if known:
        return "interval", f"{proviso[0].upper()}{proviso[1:]}.", True
    return (
        "estimate",
        f"{proviso[0].upper()}{proviso[1:]}. Rounding is estimated and not bounded, because of "
        f"{', '.join(found.unknown)}.",
        True,
    )
