"""The gap within reach."""

import functools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._constraints.base import AbstractRegularizer
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._metrics._feasible import check_bounds_hold, where_feasible
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players

_OCTAVES = 40
"""How many factors of two the length of the step is searched through, either way."""


@final
class RestrictedGap(AbstractMetric):
    r"""The gap within a ball around the players,
    $\max \{\langle F(z), z - u \rangle : u \in Z, \|u - z\| \le R\}$.

    It is finite on any set, also where players are free. Where the payoff is bilinear it is
    exactly $\max f(x, v) - f(u, y)$ over the ball; where it is convex-concave, an upper bound of
    that. It is zero exactly where the natural residual is, and over R it is at most the tangent
    residual. Regularisers count as in `DualityGap`. Infinite for players outside their sets.

    The ball is Euclidean and around all players together. The best u is a proximal step
    $P(z - tF(z))$, whose length grows with t; t is found by bisection, and the value is that of the
    dual problem there, which is never too small but for rounding.

    **Arguments:**

    - `radius`: $R > 0$.

    **Raises:** `GameError` for a radius that is not positive and finite, and where a set is not
    convex.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(mm.RestrictedGap(2.0)(game, (3.0, 4.0)))  # without sets it is R |F(z)|
    10.0

    ```

    Source: Nesterov, "Dual extrapolation and its applications to solving variational inequalities
    and related problems" (2007), section 2; bisection: Applegate et al., arXiv:2105.12715,
    section 4.
    """

    radius: Float[Array, ""] = eqx.field(converter=_tree.as_real)

    def __check_init__(self) -> None:
        if is_known(self.radius) and not 0 < float(self.radius) < float("inf"):
            raise GameError(f"RestrictedGap needs a finite radius > 0; it got {self.radius}.")

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        self.check(game, players)
        players = as_players(players)
        operator = game.operator(players, data)
        size = _tree.scaled_norm(operator)
        radius = self.radius.astype(size.dtype)
        unit = radius / jnp.where(size > 0, size, 1)  # without sets a step this long has length R

        def back(octave: Array) -> PyTree:
            return game.natural_map(players, operator, unit * 2.0**octave)

        def halve(_: Array, between: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = between
            middle = (low + high) / 2
            short = _tree.scaled_norm(back(middle)) <= radius
            return jnp.where(short, middle, low), jnp.where(short, high, middle)

        ends = (jnp.full_like(size, -_OCTAVES), jnp.full_like(size, _OCTAVES))
        # The dual value is flat at its minimum, so half the digits of t are all of its digits.
        low, high = jax.lax.fori_loop(0, 40, halve, ends)
        octave = jnp.where(high == _OCTAVES, high, low)  # the whole set may be within the ball
        step = back(octave)
        length = _tree.scaled_norm(step)
        slack = (radius - length) * (radius + length) / (2 * unit * 2.0**octave)
        gain = _tree.dot(operator, step) + _gain_of_regularizers(game, players, step)
        gap = jnp.maximum(gain + jnp.maximum(slack, 0), 0)
        # Where the players are so large that a step within the ball rounds to none, the first that
        # does not goes further, and gains more; so does going all of R against F, without sets.
        further = back(high)
        beyond = _tree.dot(operator, further) + _gain_of_regularizers(game, players, further)
        beyond = jnp.maximum(beyond, radius * size)
        gap = jnp.where(length > 0, gap, jnp.where(high < _OCTAVES, beyond, 0))
        gap = jnp.where(jnp.isnan(size), size, gap)
        return where_feasible(game, players, gap.astype(size.dtype))

    def check(self, game: AbstractGame, players: PyTree) -> None:
        check_bounds_hold(self, game, players)


def _gain_of_regularizers(game: AbstractGame, players: PyTree, step: PyTree) -> Array:
    """g(z) - g(z - step), summed over the players that have one."""
    variables = _tree.variables(players)
    gains = jax.tree.map(
        lambda x, back, constraint: (
            constraint.value(x) - constraint.value(x - back)
            if isinstance(constraint, AbstractRegularizer)
            else jnp.zeros((), x.dtype)
        ),
        variables,
        step,
        game.constraint_of_each(variables),
    )
    return functools.reduce(jnp.add, jax.tree.leaves(gains))


def example() -> RestrictedGap:
    """For the tests that every metric passes."""
    return RestrictedGap(1.0)
