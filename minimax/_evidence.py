"""What the looks at a run say about why it does not converge."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, PyTree

from minimax import _tree

LEAST_LOOKS = 20
"""After fewer looks nothing is said."""

RAN_OFF = 100.0
"""How many times larger than at the start players are that drift without end."""

FAR = 1e6
"""How many times larger than at the start players are that have run away."""

Number = Float[Array, ""]


class Run(NamedTuple):
    """What is known of all looks.

    **Attributes:**

    - `looks`: how many.
    - `residual`, `size`: at the last one; `size` is the largest entry of any player.
    - `first_residual`, `first_size`: at the first one.
    - `best`, `best_at`: the least residual, and at which look it was last improved by more than a
      hundredth.
    - `marked_at`: the look at which players were marked.
    """

    looks: Number
    residual: Number
    size: Number
    first_residual: Number
    first_size: Number
    best: Number
    best_at: Number
    marked_at: Number


class Window(NamedTuple):
    """What is known of the looks between two marks.

    **Attributes:**

    - `farthest`: the greatest distance from the mark.
    - `greatest`: the greatest residual.
    - `returned`: whether the players came back to a fifth of the farthest.
    - `rose`: whether the residual ever rose from one look to the next.
    - `speed`: distance per look, at the end.
    - `straight`: whether the players only left: at the end they are farthest.
    """

    farthest: Number
    greatest: Number
    returned: Number
    rose: Number
    speed: Number
    straight: Number


class Evidence(NamedTuple):
    """A summary of all looks so far, of constant size.

    At looks 1, 2, 4, 8, ... the players are marked; until the next mark their distance from it is
    watched: what cycles leaves it and comes back, what drifts only leaves it.

    Numbers travel as vectors, counts and answers among them (as 0 and 1): each that travels alone
    is a program to compile, which takes longer than everything that it will ever do.

    **Attributes:**

    - `mark`: the variables of the marked players, many of them as one vector.
    - `numbers`: a `Run`.
    - `windows`: three of `Window`: since the mark, before it, and before that.
    """

    mark: list[Array]
    numbers: Float[Array, "8"]
    windows: Float[Array, "3 6"]

    @staticmethod
    def before_all(players: PyTree, residual: Number) -> "Evidence":
        """Before the first look, at players and a residual of the right types."""
        mark = _tree.parts(players)
        dtype = jnp.result_type(jnp.float32, residual, *mark)
        return Evidence(mark, jnp.zeros(len(Run._fields), dtype), jnp.zeros((3, 6), dtype))

    def after(self, players: PyTree, residual: Number, size: Number) -> "Evidence":
        """After one more look."""
        (run, since, *_), dtype = self.read(), self.numbers.dtype
        parts, looks, is_first = _tree.parts(players), run.looks + 1, run.looks == 0
        residual, size = jnp.asarray(residual, dtype), jnp.asarray(size, dtype)
        distance = jnp.asarray(_tree.norm(_tree.subtract(parts, self.mark)), dtype)
        farthest = jnp.maximum(since.farthest, distance)
        seen = Window(
            farthest=farthest,
            greatest=jnp.maximum(since.greatest, residual),
            returned=since.returned + (farthest > 0) * (distance <= 0.2 * farthest),
            rose=since.rose + (residual > run.residual) * ~is_first,
            speed=distance / (looks - run.marked_at),
            straight=jnp.asarray(distance >= farthest, dtype),
        )
        better = is_first | (residual < 0.99 * run.best)
        marks = looks >= 2 * run.marked_at
        now = Run(
            looks=looks,
            residual=residual,
            size=size,
            first_residual=jnp.where(is_first, residual, run.first_residual),
            first_size=jnp.where(is_first, size, run.first_size),
            best=jnp.where(better, residual, run.best),
            best_at=jnp.where(better, looks, run.best_at),
            marked_at=jnp.where(marks, looks, run.marked_at),
        )
        window = _vector(seen, dtype)
        begun = jnp.where(_SINCE_THE_MARK, 0, window)
        further = jnp.stack([window, self.windows[1], self.windows[2]])
        marked = jnp.stack([begun, window, self.windows[1]])
        return Evidence(
            mark=_tree.where(marks, parts, self.mark),
            numbers=_vector(now, dtype),
            windows=jnp.where(marks, marked, further),
        )

    def read(self) -> "Findings":
        """The numbers by their names."""
        windows = [Window(*jnp.unstack(window)) for window in jnp.unstack(self.windows)]
        return Findings(Run(*jnp.unstack(self.numbers)), *windows, mark=self.mark)


class Findings(NamedTuple):
    """What the evidence says, and the verdicts that follow.

    **Attributes:**

    - `run`: what is known of all looks.
    - `since`, `last`, `before`: since the mark, in the window before it, in the one before that.
    - `mark`: the marked players.
    """

    run: Run
    since: Window
    last: Window
    before: Window
    mark: list[Array]

    def is_far(self) -> Bool[Array, ""]:
        """Whether the players have run away."""
        return self.run.size > FAR * (1 + self.run.first_size)

    def is_worse(self) -> Bool[Array, ""]:
        """Whether they have run away from something better."""
        return self.is_far() & ~(self.run.residual < self.run.first_residual)

    def is_stale(self) -> Bool[Array, ""]:
        """Whether the residual has not improved in the last half of the run."""
        return (self.run.looks >= LEAST_LOOKS) & (2 * self.run.best_at <= self.run.looks)

    def is_at_floor(self) -> Bool[Array, ""]:
        """No better for long, far below where it began, and not even falling slowly; or unmoved."""
        last = self.last
        unmoved = (self.since.farthest == 0) & (last.speed == 0) & (last.straight > 0)
        return self.is_stale() & ((self.is_deep() & (last.rose > 0)) | unmoved)

    def is_deep(self) -> Bool[Array, ""]:
        """Whether the residual fell by half of the digits."""
        return self.run.best <= jnp.finfo(self.run.best.dtype).eps ** 0.5 * self.run.first_residual

    def is_cycle(self) -> Bool[Array, ""]:
        """No better for long, back where it was, and the greatest residual does not fall either: a
        contraction that goes round slowly lowers it, from one window to the next, by more than
        looks at other points of a cycle do."""
        returned = self.since.returned + self.last.returned > 0
        stays = self.last.greatest >= 0.9995 * self.before.greatest
        return self.is_stale() & returned & stays

    def is_drift(self) -> Bool[Array, ""]:
        """No better for long, far out, and leaving as fast as before: without a solution,
        the steps of a method for monotone games tend to a vector that is not zero."""
        run, since, last, before, _ = self
        far_out = run.size > RAN_OFF * (1 + run.first_size)
        leaves = (last.straight * since.straight > 0) & (since.returned + last.returned == 0)
        leaves = leaves & (run.size >= _tree.largest(self.mark))
        as_fast = _is_near(last.speed, before.speed) & _is_near(since.speed, last.speed)
        # A straight way from near the start: what it covers in a window is a good part of it.
        covers = last.speed * (run.marked_at / 2) >= 0.1 * run.size
        return self.is_stale() & far_out & leaves & as_fast & covers


_SINCE_THE_MARK = np.array([True, True, True, True, False, False])
"""What of a window begins anew at a mark."""


def _vector(numbers: tuple[Array, ...], dtype: DTypeLike) -> Float[Array, " n"]:
    return jnp.stack([jnp.asarray(number, dtype) for number in numbers])


def _is_near(speed: Float[Array, ""], before: Float[Array, ""]) -> Bool[Array, ""]:
    """As fast as before: what diverges is faster in every window, by a power."""
    return (speed >= 0.7 * before) & (speed <= 4 * before)
