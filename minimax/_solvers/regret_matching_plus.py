"""Regret matching+."""

from typing import Any, Literal, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._roles import choose, turns
from minimax._solvers._regret import check_simplices, regrets, strategies
from minimax._solvers.base import AbstractSolver

Order = Literal["simultaneous", "alternating"]


class RegretMatchingPlusState(NamedTuple):
    """`sums`: Q, what each action would have gained, never below zero."""

    sums: PyTree


@final
class RegretMatchingPlus(AbstractSolver):
    r"""Regret matching+: play each action in proportion to how much it is regretted.

    With the losses $l_t = F(z_t)$ of each mixed strategy $x_t$ and its regrets $r_t$,

    $$r_t = \langle l_t, x_t \rangle 1 - l_t, \qquad Q_{t+1} = [Q_t + r_t]_+, \qquad
      x_{t+1} \propto [Q_{t+1} + \theta r_t]_+, \qquad Q_0 = 0;$$

    where that is zero, $x_{t+1} = x_t$. One evaluation per step, and no step size: a payoff times a
    constant has the same iterates. With $\theta = 0$ no action is regretted by more than
    $\sqrt{\sum_t \|r_t\|^2}$ after any losses whatever, so on matrix games the average
    (`mm.Averaged`) of simultaneous play has a duality gap of $O(1/\sqrt{k})$. With $\theta = 1$,
    predictive regret matching+, every player expects the last losses to come again. In practice
    "alternating" order with an average of growing weights (`power=1` or 2) is the fastest; the last
    iterates may circle for ever.

    A player x on a `Simplex` of total t is t times a strategy u = x/t, and all of the above is in
    the game of the strategies, whose losses are t F. An `EntropicSimplex` is a `Simplex` here: no
    step measures its distance.

    **Arguments:**

    - `prediction`: $\theta \ge 0$.
    - `order`: "simultaneous", or "alternating": players move in the order of the pytree, and each
      sees what those before it have just done. Both cost one gradient per player and step.

    **Raises:** `GameError` for another prediction or order, and where a player's constraint is no
    `mm.Simplex` or `mm.EntropicSimplex`.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    >>> game = mm.Game(lambda players: players[0] @ A @ players[1], constraints=mm.Simplex())
    >>> solver = mm.Averaged(mm.RegretMatchingPlus(1.0, "alternating"), power=2)
    >>> solution = mm.solve(game, (jnp.ones(2), jnp.ones(2)), solver, tol=1e-3)
    >>> print(solution.status, f"{solution.value:.2f}")
    converged 0.67

    ```

    Source: Tammelin, "Solving large imperfect information games using CFR+" (2014),
    arXiv:1407.5042; with predictions: Farina, Kroer and Sandholm, "Faster game solving via
    predictive Blackwell approachability", AAAI 2021, arXiv:2007.14358.
    """

    prediction: Float[Array, ""] = eqx.field(default=0.0, converter=_tree.as_real)
    order: Order = eqx.field(default="simultaneous", static=True)

    def __check_init__(self) -> None:
        if is_known(self.prediction) and not 0 <= float(self.prediction) < float("inf"):
            raise GameError(f"prediction is {self.prediction}: expected a finite number >= 0.")
        if self.order not in ("simultaneous", "alternating"):
            raise GameError(f'order is {self.order!r}: expected "simultaneous" or "alternating".')

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> RegretMatchingPlusState:
        del game, data
        return RegretMatchingPlusState(_tree.scale(0, _tree.variables(players)))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: RegretMatchingPlusState,
        data: PyTree = None,
    ) -> tuple[PyTree, RegretMatchingPlusState]:
        sums = state.sums
        is_in_turns = self.order == "alternating"
        for turn in turns(game.roles_of(players, data)) if is_in_turns else [True]:
            regret = regrets(game, players, game.operator(players, data))
            updated = _positive(_tree.add(sums, regret))
            predicted = _positive(_tree.add_scaled(updated, self.prediction, regret))
            sums = choose(turn, updated, sums)
            players = choose(turn, strategies(game, players, predicted), players)
        return players, RegretMatchingPlusState(sums)

    def evaluations(self, steps: Int[Array, ""], state: Any) -> Int[Array, ""]:
        del state
        return steps

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_simplices(game, players, "RegretMatchingPlus")


def example() -> RegretMatchingPlus:
    """For the tests that every solver passes."""
    return RegretMatchingPlus()


def _positive(sums: PyTree) -> PyTree:
    return _tree.map_variables(lambda q: jnp.maximum(q, 0), sums)
