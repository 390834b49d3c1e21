"""Extragradient that finds its own step size and restarts at its average."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._solvers._backtracking import Trial, backtrack, grow, probe, project_on_hyperplane
from minimax._solvers.base import AbstractSolver


class Point(NamedTuple):
    """Players z, the operator F(z) there, and the residual ‖z - P(z - ηF(z))‖/η."""

    players: PyTree
    operator: PyTree
    residual: Float[Array, ""]


MOST_FALLS = 3
"""How often players are brought back."""


class Epoch(NamedTuple):
    """What happened since the last restart: `steps`; the sum of their step sizes, `weight`; the
    average of their midpoints with these weights; and the point that the epoch began at."""

    steps: Int[Array, ""]
    weight: Float[Array, ""]
    average: PyTree
    first: Point


class AdaptiveExtraGradientState(NamedTuple):
    """`operator`: F at the players; `best`: the point with the least residual yet; `falls`, of the
    guard, `restarts`, `evaluations`: counts."""

    step_size: Float[Array, ""]
    operator: PyTree
    epoch: Epoch
    best: Point
    falls: Int[Array, ""]
    steps: Int[Array, ""]
    restarts: Int[Array, ""]
    evaluations: Int[Array, ""]


@final
class AdaptiveExtraGradient(AbstractSolver):
    r"""Restarted averaged extragradient with backtracking: nothing to tune.

    $$w = P(z - \eta F(z)), \qquad z^+ = P(z - \eta F(w)), \qquad
      \eta \lVert F(w) - F(z) \rVert \le \nu \lVert w - z \rVert.$$

    - *Backtracking.* $\eta$ shrinks until the inequality holds and grows where it holds by far, so
      no Lipschitz constant is needed, nor need there be a global one. Every step then brings the
      players nearer to every solution of a monotone F:
      $\|z^+ - z^\star\|^2 \le \|z - z^\star\|^2 - (1 - \nu^2)\|z - w\|^2$.
    - *Restarts.* Every `patience` steps the better of z and the average of the midpoints, by
      residual, is looked at; where it has `decrease` times the residual that the epoch began with,
      the method begins anew there. On bilinear games with condition number $\kappa$ this takes
      $O(\kappa)$ evaluations where extragradient takes $O(\kappa^2)$.
    - *Guard.* Where the residual grows a hundredfold over the best, F is hardly monotone: the
      players return to the best point, and from then on move by shorter steps that need only
      $\rho$-comonotonicity with negative $\rho$ (CEG+), which also leave cycles. Who has been
      brought back three times and runs off again is let go: the payoff may be without bound. No
      theorem covers the guard.

    Residuals are compared at one step size, the present one, since they depend on it.

    Two evaluations per step, one for each backtrack, and one per look at the average.

    **Arguments:**

    - `contraction`: $\nu \in (0, 1)$.
    - `patience`: steps between two looks at the average.
    - `decrease`: the fraction of the epoch's first residual that ends it, in (0, 1).

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.AdaptiveExtraGradient()).status
    <Status.converged: 0>

    ```

    Source: backtracking: Khobotov (1987), Marcotte (1991); restarts: Applegate et al., "Faster
    first-order primal-dual methods for linear programming using restarts and sharpness",
    arXiv:2105.12715; guard: Pethick et al., "Escaping limit cycles: global convergence for
    constrained nonconvex-nonconcave minimax problems", ICLR 2022, arXiv:2302.09831, algorithm 1.
    """

    contraction: Array = eqx.field(default=0.9, converter=jnp.asarray)
    patience: int = eqx.field(default=20, static=True)
    decrease: Array = eqx.field(default=0.2, converter=jnp.asarray)

    def __check_init__(self) -> None:
        for name in ("contraction", "decrease"):
            number = getattr(self, name)
            if is_known(number) and not 0 < float(number) < 1:
                raise GameError(
                    f"{name} of AdaptiveExtraGradient is {number}: expected a number between 0 "
                    "and 1."
                )
        check_whole("patience", self.patience)

    @property
    def chooses_step_size(self) -> bool:
        return True

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> AdaptiveExtraGradientState:
        operator = game.operator(players, data)
        step_size = probe(game, players, operator, self.contraction, data)
        best = _point(game, players, operator, step_size)
        return AdaptiveExtraGradientState(
            step_size=step_size,
            operator=operator,
            epoch=_begin(best),
            best=best,
            falls=jnp.zeros((), int),
            steps=jnp.zeros((), int),
            restarts=jnp.zeros((), int),
            evaluations=jnp.full((), 2, int),
        )

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: AdaptiveExtraGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, AdaptiveExtraGradientState]:
        trial = backtrack(game, players, state.operator, state.step_size, self.contraction, data)
        players = _tree.where(
            state.falls > 0,
            project_on_hyperplane(game, players, state.operator, trial, -0.45, 0.5),
            game.prox_step(players, trial.operator, trial.step_size),
        )
        state = state._replace(
            step_size=grow(players, state.operator, trial, self.contraction),
            operator=game.operator(players, data),
            epoch=_extend(state.epoch, trial),
            steps=state.steps + 1,
            evaluations=state.evaluations + trial.attempts + 1,
        )
        moved, state = jax.lax.cond(
            state.steps % self.patience == 0,
            lambda: self._look(game, players, state, data),
            lambda: (_tree.variables(players), state),
        )
        return eqx.combine(moved, players), state

    def evaluations(
        self, steps: Int[Array, ""], state: AdaptiveExtraGradientState
    ) -> Int[Array, ""]:
        del steps
        return state.evaluations

    def stats(self, state: AdaptiveExtraGradientState) -> dict[str, Array]:
        return {
            "step_size": state.step_size,
            "restarts": state.restarts,
            "falls": state.falls,
        }

    def _again(
        self, game: AbstractGame, players: PyTree, point: Point, state: AdaptiveExtraGradientState
    ) -> Point:
        """A point from before, with its residual at the present step size."""
        return _point(game, eqx.combine(point.players, players), point.operator, state.step_size)

    def _look(
        self,
        game: AbstractGame,
        players: PyTree,
        state: AdaptiveExtraGradientState,
        data: PyTree,
    ) -> tuple[PyTree, AdaptiveExtraGradientState]:
        """Restart at the better of iterate and average, go back to the best point, or go on."""
        average = eqx.combine(state.epoch.average, players)
        here = _point(game, players, state.operator, state.step_size)
        there = _point(game, average, game.operator(average, data), state.step_size)
        candidate = _better(here, there)

        epoch = state.epoch
        at_first = self._again(game, players, epoch.first, state).residual
        at_best = self._again(game, players, state.best, state)
        falls = candidate.residual <= self.decrease * at_first
        lasts_long = (
            (epoch.steps >= 10 * self.patience)
            & (2 * epoch.steps > state.steps)
            & (candidate.residual <= 0.9 * at_first)
        )
        restart = falls | lasts_long
        astray = (state.falls < MOST_FALLS) & ~(here.residual <= 100 * at_best.residual)

        best = _better(candidate, at_best)
        target = _tree.where(astray, best, _tree.where(restart, candidate, here))
        begins = restart | astray
        return target.players, state._replace(
            operator=target.operator,
            epoch=_tree.where(begins, _begin(target), epoch),
            best=best,
            falls=state.falls + astray,
            restarts=state.restarts + begins,
            evaluations=state.evaluations + 1,
        )


def _point(
    game: AbstractGame, players: PyTree, operator: PyTree, step_size: Float[Array, ""]
) -> Point:
    residual = _tree.norm(game.natural_map(players, operator, step_size)) / step_size
    return Point(_tree.variables(players), operator, residual)


def _better(one: Point, other: Point) -> Point:
    """The point with the smaller residual; one that is not a number is never better."""
    return _tree.where((one.residual < other.residual) | jnp.isnan(other.residual), one, other)


def _begin(point: Point) -> Epoch:
    zero = jnp.zeros_like(point.residual)
    return Epoch(jnp.zeros((), int), zero, point.players, point)


def _extend(epoch: Epoch, trial: Trial) -> Epoch:
    weight = epoch.weight + trial.step_size
    average = _tree.toward(epoch.average, trial.midpoint, trial.step_size / weight)
    return Epoch(epoch.steps + 1, weight, average, epoch.first)


def example() -> AdaptiveExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return AdaptiveExtraGradient()
