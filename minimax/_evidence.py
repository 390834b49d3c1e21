"""What the looks at a run say about why it does not converge."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from minimax import _tree

LEAST_LOOKS = 20
"""After fewer looks nothing is said."""

RAN_OFF = 100.0
"""How many times larger than at the start players are that drift without end."""


class Evidence(NamedTuple):
    """A summary of all looks so far, of constant size.

    At looks 1, 2, 4, 8, ... the players are marked; from then on their distance from the mark is
    watched: what cycles leaves it and comes back, what drifts only leaves it.

    **Attributes:**

    - `looks`, `best`, `best_at`: how many looks; the least residual, and at which look it was last
      improved by more than a hundredth.
    - `mark`, `marked_at`: the marked players, and at which look.
    - `speed`: distance per look between the last two marks.
    - `distance`, `farthest`: from the mark: now, and at most.
    - `returned`: whether the players came back to a fifth of the farthest distance.
    """

    looks: Int[Array, ""]
    best: Float[Array, ""]
    best_at: Int[Array, ""]
    mark: PyTree
    marked_at: Int[Array, ""]
    speed: Float[Array, ""]
    distance: Float[Array, ""]
    farthest: Float[Array, ""]
    returned: Bool[Array, ""]

    @staticmethod
    def before_all(players: PyTree, residual: Float[Array, ""]) -> "Evidence":
        """Before the first look, at players and a residual of the right types."""
        mark = _tree.variables(players)
        zero, count = jnp.zeros_like(_tree.norm(mark)), jnp.zeros((), int)
        infinite = jnp.full_like(residual, jnp.inf)
        false = jnp.asarray(False)
        return Evidence(count, infinite, count, mark, count, zero, zero, zero, false)

    def after(self, players: PyTree, residual: Float[Array, ""]) -> "Evidence":
        """After one more look."""
        looks, players = self.looks + 1, _tree.variables(players)
        better = residual < 0.99 * self.best
        distance = _tree.norm(_tree.subtract(players, self.mark))
        marks = looks >= 2 * self.marked_at
        speed = distance / (looks - self.marked_at)
        farthest = jnp.maximum(self.farthest, distance)
        return Evidence(
            looks=looks,
            best=jnp.where(better, residual, self.best),
            best_at=jnp.where(better, looks, self.best_at),
            mark=_tree.where(marks, players, self.mark),
            marked_at=jnp.where(marks, looks, self.marked_at),
            speed=jnp.where(marks, speed, self.speed),
            distance=jnp.where(marks, 0, distance),
            farthest=jnp.where(marks, 0, farthest),
            returned=~marks & (self.returned | (distance <= 0.2 * farthest)),
        )

    @property
    def is_stale(self) -> Bool[Array, ""]:
        """Whether the residual has not improved in the last half of the run."""
        return (self.looks >= LEAST_LOOKS) & (2 * self.best_at <= self.looks)

    def is_at_floor(self, first_residual: Float[Array, ""]) -> Bool[Array, ""]:
        """No better for long, and far below where it began; or unmoved."""
        deep = self.best <= jnp.finfo(self.best.dtype).eps ** 0.5 * first_residual
        watched = self.looks - self.marked_at >= 4
        return self.is_stale & (deep | (watched & (self.farthest == 0)))

    def is_cycle(self) -> Bool[Array, ""]:
        """No better for long, and back where it was."""
        return self.is_stale & self.returned & (self.farthest > 0)

    def is_drift(self, size: Float[Array, ""], first_size: Float[Array, ""]) -> Bool[Array, ""]:
        """No better for long, far out, and leaving as fast as before: without a solution,
        the steps of a method for monotone games tend to a vector that is not zero."""
        far_out = size > RAN_OFF * (1 + first_size)
        watched = jnp.maximum(self.looks - self.marked_at, 1)
        leaves = (self.distance >= self.farthest) & (self.distance >= 0.7 * self.speed * watched)
        return self.is_stale & far_out & leaves
