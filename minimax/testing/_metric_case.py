"""A metric with what its laws need to know of it, and the games whose solutions they know."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

import minimax as mm
from minimax.testing._families import FREE, Posed

measure = eqx.filter_jit(lambda metric, *args: metric(*args))
project = eqx.filter_jit(lambda game, players: game.project(players))


class Matrix(mm.AbstractGame):
    r"""$c\, x^\top A y$ on sets."""

    matrix: Float[Array, "n m"]
    scale: Float[Array, ""]
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        return self.scale * (players["x"] @ self.matrix @ players["y"])


def draw(seed: int, *shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def matrix_game(seed: int, constraints: Any = mm.Simplex(), scale: float = 1.0) -> Matrix:
    return Matrix(draw(seed, 3, 4), jnp.asarray(scale), constraints)


# Rock-paper-scissors and one more column, worse for its player than any other.
RPS = [[0.0, -1.0, 1.0, -2.0], [1.0, 0.0, -1.0, -2.0], [-1.0, 1.0, 0.0, -2.0]]


def rock_paper_scissors() -> tuple[Matrix, dict[str, Array]]:
    third = jnp.full(3, 1 / 3)
    solution = {"x": third, "y": jnp.concatenate([third, jnp.zeros(1)])}
    return Matrix(jnp.asarray(RPS), jnp.asarray(1.0), mm.Simplex()), solution


def turned_on_boxes() -> Posed:
    """x₁y₂ - x₂y₁ + x₃y₃ on [-1, 1]³, solved by zero alone."""
    turn = jnp.asarray([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    zero = {"x": jnp.zeros(3), "y": jnp.zeros(3)}
    return Posed(Matrix(turn, jnp.asarray(1.0), mm.Box(-1.0, 1.0)), zero)


SOLVED: dict[str, Callable[[], Any]] = {
    "simplices": rock_paper_scissors,
    "boxes": turned_on_boxes,
    "free": FREE.solved,
}
"""Games at their only solution."""


@dataclasses.dataclass(frozen=True)
class MetricCase:
    """A metric, and what is claimed for it.

    **Arguments:**

    - `metric`: an instance.
    - `meant_for`: `meant_for(game, players)` says whether the metric means anything for that game,
      where its own `check` does not say so. Matrix games on simplices or boxes and strongly
      monotone quadratic games of free players are tried; at least one must be left.
    - `sharpness`: claims that the metric is at least so many times the distance of the players'
      worst entry to the solution of those games. It is positive by default, and no more.
    """

    metric: mm.AbstractMetric
    meant_for: Callable[[mm.AbstractGame, PyTree], bool] | None = None
    sharpness: float = 0.0

    def suits(self, game: mm.AbstractGame, players: PyTree) -> bool:
        """Whether the metric means something for the game."""
        if self.meant_for is not None and not self.meant_for(game, players):
            return False
        try:
            self.metric.check(game, players)
        except mm.GameError:
            return False
        return True

    def suited(self, game: mm.AbstractGame, players: PyTree) -> mm.AbstractGame | None:
        """The game; or the same without sets, for a metric that is for free players; or `None`."""
        for each in (game, mm.Game(game.payoff, game.roles)):
            if self.suits(each, players):
                return each
        return None

    @functools.cached_property
    def solved(self) -> list[Posed]:
        """The solved games that the metric is for."""
        posed = [Posed(*make()) for make in SOLVED.values()]
        suiting = [each for each in posed if self.suits(*each)]
        assert suiting, f"{type(self.metric).__name__} is for none of the games on {list(SOLVED)}"
        return suiting


def anything(case: MetricCase) -> bool:
    del case
    return True


def near(game: mm.AbstractGame, solution: PyTree, seed: int) -> PyTree:
    """Feasible players, with entries of about one."""
    sizes = {k: x.size for k, x in solution.items()}
    return project(game, {k: draw(seed + i, n) for i, (k, n) in enumerate(sizes.items())})


def in_units(game: mm.AbstractGame, scale: float) -> mm.AbstractGame:
    """`scale` times the payoff of a game of `SOLVED`, which is the same program."""
    if isinstance(game, Matrix):
        return eqx.tree_at(lambda g: g.scale, game, scale * game.scale)
    terms = lambda g: (g.matrix, g.curvature, g.push)  # noqa: E731
    return eqx.tree_at(terms, game, tuple(scale * term for term in terms(game)))
