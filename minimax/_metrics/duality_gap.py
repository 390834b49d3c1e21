"""The duality gap on compact sets and with regularisers."""

import functools
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._constraints.base import AbstractCompactSet, AbstractConstraint, AbstractRegularizer
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._metrics._feasible import check_bounds_hold, where_feasible
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players


@final
class DualityGap(AbstractMetric):
    r"""The duality gap $\max_{u} \langle F(z), z - u \rangle$ over the players' compact sets.

    Where the payoff is linear in each player's own variables (matrix games, bilinear games), this
    is exactly $\max_{y'} f(x, y') - \min_{x'} f(x', y)$: what the players could still gain. Where
    it is convex-concave, it is an upper bound of that. In units of the payoff; infinite for players
    outside their sets.

    A player with a regulariser g gains by it too: its part is
    $\max_u \langle F(z), z - u\rangle + g(z) - g(u)$, and the sum is the gap, or an upper bound of
    it, of $\min_x \max_y f(x, y) + g(x) - h(y)$. It is finite for all players where g grows faster
    than linearly or has a bounded domain (`SquaredL2`, `ElasticNet`, `NegativeEntropy`). With a
    norm alone (`L1`, `GroupLasso`, `NuclearNorm`) it is infinite wherever a gradient exceeds the
    weight in the dual norm, so on most ways to a solution: stop such runs by `NaturalResidual`.

    **Raises:** `GameError` where a player is free or its set is unbounded by its kind, such as
    `NonNegative`, because then the gap is infinite almost everywhere; and where a set is not
    convex.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    >>> rock = jnp.array([1.0, 0.0, 0.0])
    >>> print(mm.DualityGap()(game, (rock, rock)))
    2.0
    >>> ridge = mm.Game(
    ...     lambda p: p[1] * (p[0] - 3.0), constraints=(mm.SquaredL2(1.0), mm.SquaredL2(1.0))
    ... )
    >>> print(mm.DualityGap()(ridge, (0.0, 0.0)))  # max_y -3y - y²/2 = 4.5, min_x x²/2 = 0
    4.5

    ```
    """

    def __call__(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> Float[Array, ""]:
        self.check(game, players)
        players = as_players(players)
        variables = _tree.variables(players)
        gaps = jax.tree.map(
            lambda x, direction, constraint: jnp.maximum(constraint.gap(x, direction), 0),
            variables,
            game.operator(players, data),
            game.constraint_of_each(variables),
        )
        gap = functools.reduce(jnp.add, jax.tree.leaves(gaps))
        return where_feasible(game, players, gap)

    def check(self, game: AbstractGame, players: PyTree) -> None:
        check_bounds_hold(self, game, players)
        for each in game.variables_of(players):
            if not isinstance(each.constraint, (AbstractCompactSet, AbstractRegularizer)):
                raise GameError(
                    "DualityGap needs a compact set or a regularizer for every player; "
                    f"{each.place} {_kept_by(each.constraint)}. Give it bounds, for example "
                    "mm.Box(-10.0, 10.0) or mm.L2Ball(10.0), or use mm.NaturalResidual()."
                )


def _kept_by(constraint: AbstractConstraint | None) -> str:
    return "is free" if constraint is None else f"has {type(constraint).__name__}"


def example() -> DualityGap:
    """For the tests that every metric passes."""
    return DualityGap()
