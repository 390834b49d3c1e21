"""What two points say of the convexity of a payoff."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from minimax import _tree
from minimax._certify._reach import total
from minimax._certify._view import View


class Pair(NamedTuple):
    """Two points a and b; by how much the payoff at one is below its tangent at the other, beyond
    rounding; how much of that rounding may hide; and whether they are two points with numbers."""

    deficit: Array
    hidden: Array
    counts: Array
    a: list[Array]
    b: list[Array]


def pair_of(
    i: int, a: list[Array], b: list[Array], at_a: View, at_b: View, kind: Any, careful: bool
) -> Pair:
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
    return Pair(deficit, hidden, counts.astype(int), a, b)


def _above_tangent(
    i: int, a: list[Array], b: list[Array], at_a: View, at_b: View, kind: Any
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
    return one - other - total(terms), total(errors)


def _turn(
    i: int, a: list[Array], b: list[Array], at_a: View, at_b: View, kind: Any, careful: bool
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
    return total(terms), total(errors)


def worse(one: Pair, other: Pair) -> Pair:
    """The pair that is further from convex; what was hidden at either; how many there were."""
    worse = _tree.where(other.deficit > one.deficit, other, one)
    return worse._replace(
        hidden=jnp.maximum(one.hidden, other.hidden), counts=one.counts + other.counts
    )
