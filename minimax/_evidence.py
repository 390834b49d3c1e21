"""What the looks at a run say about why it does not converge."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from minimax import _tree

LEAST_LOOKS = 20
"""After fewer looks nothing is said."""

RAN_OFF = 100.0
"""How many times larger than at the start players are that drift without end."""


class Window(NamedTuple):
    """What was seen between two marks: distance per look, and that before; the greatest residual,
    and that before; whether the players only left; whether they came back; whether the residual
    ever rose from one look to the next."""

    speed: Float[Array, ""]
    speed_before: Float[Array, ""]
    greatest: Float[Array, ""]
    greatest_before: Float[Array, ""]
    is_straight: Bool[Array, ""]
    returned: Bool[Array, ""]
    rose: Bool[Array, ""]


class Evidence(NamedTuple):
    """A summary of all looks so far, of constant size.

    At looks 1, 2, 4, 8, ... the players are marked; until the next mark their distance from it is
    watched: what cycles leaves it and comes back, what drifts only leaves it.

    **Attributes:**

    - `looks`, `best`, `best_at`: how many looks; the least residual, and at which look it was last
      improved by more than a hundredth.
    - `mark`, `marked_at`: the variables of the marked players, many of them as one vector, and at
      which look.
    - `distance`, `farthest`, `returned`: from the mark: now, and at most; whether the players came
      back to a fifth of the farthest.
    - `residual`, `greatest`, `rose`: the last residual, the greatest since the mark, and whether it
      rose from one look to the next since then.
    - `last`: what was seen between the last two marks.
    """

    looks: Int[Array, ""]
    best: Float[Array, ""]
    best_at: Int[Array, ""]
    mark: list[Array]
    marked_at: Int[Array, ""]
    distance: Float[Array, ""]
    farthest: Float[Array, ""]
    returned: Bool[Array, ""]
    residual: Float[Array, ""]
    greatest: Float[Array, ""]
    rose: Bool[Array, ""]
    last: Window

    @staticmethod
    def before_all(players: PyTree, residual: Float[Array, ""]) -> "Evidence":
        """Before the first look, at players and a residual of the right types."""
        mark = _tree.parts(players)
        zero, count = jnp.zeros_like(_tree.norm(mark)), jnp.zeros((), int)
        best, false = jnp.full_like(residual, jnp.inf), jnp.asarray(False)
        last = Window(zero, zero, best, best, false, false, false)
        none = jnp.zeros_like(residual)
        return Evidence(count, best, count, mark, count, zero, zero, false, best, none, false, last)

    def after(self, players: PyTree, residual: Float[Array, ""]) -> "Evidence":
        """After one more look."""
        looks, parts = self.looks + 1, _tree.parts(players)
        better = residual < 0.99 * self.best
        distance = _tree.norm(_tree.subtract(parts, self.mark))
        farthest = jnp.maximum(self.farthest, distance)
        returned = self.returned | ((farthest > 0) & (distance <= 0.2 * farthest))
        speed = distance / (looks - self.marked_at)
        greatest = jnp.maximum(self.greatest, residual)
        rose = self.rose | (residual > self.residual)
        window = Window(
            speed,
            self.last.speed,
            greatest,
            self.last.greatest,
            distance >= farthest,
            returned,
            rose,
        )
        marks = looks >= 2 * self.marked_at
        return Evidence(
            looks=looks,
            best=jnp.where(better, residual, self.best),
            best_at=jnp.where(better, looks, self.best_at),
            mark=_tree.where(marks, parts, self.mark),
            marked_at=jnp.where(marks, looks, self.marked_at),
            distance=jnp.where(marks, 0, distance),
            farthest=jnp.where(marks, 0, farthest),
            returned=~marks & returned,
            residual=residual,
            greatest=jnp.where(marks, 0, greatest),
            rose=~marks & rose,
            last=_tree.where(marks, window, self.last),
        )

    def is_stale(self) -> Bool[Array, ""]:
        """Whether the residual has not improved in the last half of the run."""
        return (self.looks >= LEAST_LOOKS) & (2 * self.best_at <= self.looks)

    def is_at_floor(self, first_residual: Float[Array, ""]) -> Bool[Array, ""]:
        """No better for long, far below where it began, and not even falling slowly; or unmoved."""
        last = self.last
        unmoved = (self.farthest == 0) & (last.speed == 0) & last.is_straight
        return self.is_stale() & ((self.is_deep(first_residual) & last.rose) | unmoved)

    def is_deep(self, first_residual: Float[Array, ""]) -> Bool[Array, ""]:
        """Whether the residual fell by half of the digits."""
        return self.best <= jnp.finfo(self.best.dtype).eps ** 0.5 * first_residual

    def is_cycle(self) -> Bool[Array, ""]:
        """No better for long, back where it was, and the greatest residual does not fall either: a
        contraction that goes round slowly lowers it, from one window to the next, by more than
        looks at other points of a cycle do."""
        last = self.last
        returned = self.returned | last.returned
        return self.is_stale() & returned & (last.greatest >= 0.9995 * last.greatest_before)

    def is_drift(self, size: Float[Array, ""], first_size: Float[Array, ""]) -> Bool[Array, ""]:
        """No better for long, far out, and leaving as fast as before: without a solution,
        the steps of a method for monotone games tend to a vector that is not zero."""
        last, looks = self.last, self.looks - self.marked_at
        leaves = last.is_straight & (self.distance >= self.farthest)
        leaves = leaves & ~self.returned & ~last.returned & (size >= _tree.largest(self.mark))
        as_fast = _is_near(last.speed, last.speed_before) & _is_near(
            self.distance, last.speed * looks
        )
        # A straight way from near the start: what it covers in a window is a good part of it.
        covers = last.speed * (self.marked_at / 2) >= 0.1 * size
        return self.is_stale() & (size > RAN_OFF * (1 + first_size)) & leaves & as_fast & covers


def _is_near(speed: Float[Array, ""], before: Float[Array, ""]) -> Bool[Array, ""]:
    """As fast as before: what diverges is faster in every window, by a power."""
    return (speed >= 0.7 * before) & (speed <= 4 * before)
