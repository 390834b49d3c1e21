"""Extragradient on regrets."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers._regret import (
    check_simplices,
    project_above_simplex,
    regrets,
    shares,
    strategies,
)
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class ExtraGradientRegretMatchingPlusState(NamedTuple):
    """`sums`: Q, to which the strategies are in proportion."""

    sums: PyTree


@final
class ExtraGradientRegretMatchingPlus(AbstractSolver):
    r"""ExRM+: extragradient on the regrets of mixed strategies, whose last iterates converge.

    Where $x(Q) = Q/\sum_a Q_a$ has the regrets $r(Q) = \langle l, x \rangle 1 - l$, with losses
    $l = F(z)$, and P projects on $\{Q : Q \ge 0, \sum_a Q_a \ge 1\}$, for each strategy,

    $$w = P(Q + \eta\, r(Q)), \qquad Q^+ = P(Q + \eta\, r(w)), \qquad Q_0 = x_0.$$

    Two evaluations per step. The floor under the sums makes r Lipschitz, which it is not in regret
    matching+; it is not monotone. On a matrix game $x^\top A y$ with n and m actions its constant
    is $L \le \sqrt6\, \|A\|_2 \max(n, m)$, and for $\eta < 1/L$ the iterates converge to a
    solution (asymptotically; the best of them like $1/\sqrt{k}$). Larger steps are not covered.

    A player x on a `Simplex` of total t is t times a strategy u = x/t, and all of the above is in
    the game of the strategies: there A has the factor of both totals. An `EntropicSimplex` is a
    `Simplex` here: no step measures its distance.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0, and where a player's
    constraint is no `mm.Simplex` or `mm.EntropicSimplex`.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    >>> game = mm.Game(lambda players: players[0] @ A @ players[1], constraints=mm.Simplex())
    >>> start = jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5])
    >>> mm.solve(game, start, mm.ExtraGradientRegretMatchingPlus(0.5)).status
    <Status.converged: 0>

    ```

    Source: Farina et al., "Regret matching+: (in)stability and fast convergence in games", NeurIPS
    2023, arXiv:2305.14709; last iterates: Cai et al., "Last-iterate convergence properties of
    regret-matching algorithms in games", arXiv:2311.00676.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ExtraGradientRegretMatchingPlusState:
        del data
        return ExtraGradientRegretMatchingPlusState(shares(game, players))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ExtraGradientRegretMatchingPlusState,
        data: PyTree = None,
    ) -> tuple[PyTree, ExtraGradientRegretMatchingPlusState]:
        sums = self._move(game, players, state.sums, players, data)
        midpoint = strategies(game, players, sums)
        sums = self._move(game, players, state.sums, midpoint, data)
        return strategies(game, players, sums), ExtraGradientRegretMatchingPlusState(sums)

    def _move(
        self, game: AbstractGame, players: PyTree, sums: PyTree, seen: PyTree, data: PyTree
    ) -> PyTree:
        regret = regrets(game, seen, game.operator(seen, data))
        moved = _tree.add_scaled(sums, self.step_size, regret)
        return project_above_simplex(game, players, moved)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_simplices(game, players, "ExtraGradientRegretMatchingPlus")


def example() -> ExtraGradientRegretMatchingPlus:
    """For the tests that every solver passes."""
    return ExtraGradientRegretMatchingPlus(0.1)
