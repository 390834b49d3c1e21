"""Extragradient that finds its own step size and restarts at its average."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver

_MOST_ATTEMPTS = 100  # at least a factor 0.7 each: from any step size to none


class Point(NamedTuple):
    """Players z, the operator F(z) there, and the residual ‖z - P(z - ηF(z))‖/η."""

    players: PyTree
    operator: PyTree
    residual: Float[Array, ""]


class Epoch(NamedTuple):
    """What happened since the last restart: `steps`; the sum of their step sizes, `weight`; the
    average of their midpoints with these weights; and the point that the epoch began at."""

    steps: Int[Array, ""]
    weight: Float[Array, ""]
    average: PyTree
    first: Point


class AdaptiveExtraGradientState(NamedTuple):
    """`operator`: F at the players; `best`: the point with the least residual yet; `cautious`:
    whether the guard has fallen; `restarts`, `evaluations`: counts."""

    step_size: Float[Array, ""]
    operator: PyTree
    epoch: Epoch
    best: Point
    cautious: Bool[Array, ""]
    steps: Int[Array, ""]
    restarts: Int[Array, ""]
    evaluations: Int[Array, ""]


class _Trial(NamedTuple):
    """A look ahead: its step size, the midpoint w, F(w), η‖F(w) - F(z)‖/‖w - z‖, ‖w - z‖, and how
    many were tried."""

    step_size: Float[Array, ""]
    midpoint: PyTree
    operator: PyTree
    ratio: Float[Array, ""]
    moved: Float[Array, ""]
    attempts: Int[Array, ""]


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
      $\rho$-comonotonicity with negative $\rho$ (CEG+), which also leave cycles. No theorem covers
      the guard.

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
        if (
            isinstance(self.patience, bool)
            or not isinstance(self.patience, int)
            or self.patience < 1
        ):
            raise GameError(
                f"patience of AdaptiveExtraGradient is {self.patience!r}: expected a whole number "
                ">= 1."
            )

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> AdaptiveExtraGradientState:
        operator = game.operator(players, data)
        step_size = self._probe(game, players, operator, data)
        best = _point(game, players, operator, step_size)
        return AdaptiveExtraGradientState(
            step_size=step_size,
            operator=operator,
            epoch=_begin(best),
            best=best,
            cautious=jnp.asarray(False),
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
        trial = self._backtrack(game, players, state, data)
        players = _tree.where(
            state.cautious,
            _short_step(game, players, state.operator, trial),
            game.prox_step(players, trial.operator, trial.step_size),
        )
        # Far beyond the players a longer step leads nowhere else, it only overflows one day.
        reach = trial.step_size * _tree.norm(state.operator)
        grows = (trial.ratio < self.contraction / 2) & (trial.moved > 0)
        grows = grows & (reach <= 100 * jnp.maximum(1, _tree.norm(players)))
        state = state._replace(
            step_size=jnp.where(grows, 1.2, 1.0).astype(trial.step_size.dtype) * trial.step_size,
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
            "cautious": state.cautious,
        }

    def _probe(
        self, game: AbstractGame, players: PyTree, operator: PyTree, data: PyTree
    ) -> Float[Array, ""]:
        """A first step size: the contraction over how fast F changes a little way along -F."""
        size = _tree.norm(operator)
        finest = max(jnp.finfo(x.dtype).eps for x in jax.tree.leaves(_tree.variables(players)))
        reach = max(1e-4, float(finest) ** 0.5) * jnp.maximum(1, _tree.norm(players))
        aside = _tree.add_scaled(players, -reach / jnp.where(size > 0, size, 1), operator)
        moved = _tree.norm(_tree.subtract(aside, players))
        changed = _tree.norm(_tree.subtract(game.operator(aside, data), operator))
        known = (changed > 0) & (moved > 0) & jnp.isfinite(changed)
        step_size = self.contraction * moved / jnp.where(known, changed, 1)
        return jnp.where(known, step_size, 1).astype(size.dtype)

    def _again(
        self, game: AbstractGame, players: PyTree, point: Point, state: AdaptiveExtraGradientState
    ) -> Point:
        """A point from before, with its residual at the present step size."""
        return _point(game, eqx.combine(point.players, players), point.operator, state.step_size)

    def _backtrack(
        self,
        game: AbstractGame,
        players: PyTree,
        state: AdaptiveExtraGradientState,
        data: PyTree,
    ) -> _Trial:
        """Shrinks the step size until the look ahead is short enough for F to be trusted there, or
        so short that it is lost in the rounding of z, where shrinking would never end."""
        floor = 10 * jnp.finfo(state.step_size.dtype).eps * _tree.norm(players)

        def attempt(last: _Trial) -> _Trial:
            shrink = 0.7 * jnp.clip(1 / last.ratio, 0.1, 1)
            step_size = jnp.where(last.attempts == 0, last.step_size, shrink * last.step_size)
            midpoint = game.prox_step(players, state.operator, step_size)
            operator = game.operator(midpoint, data)
            moved = _tree.norm(game.displacement(players, state.operator, step_size))
            changed = _tree.norm(_tree.subtract(operator, state.operator))
            ratio = step_size * changed / jnp.where(moved > 0, moved, 1)
            # A look ahead that is not finite failed; but where F is NaN at z itself, no step is
            # short enough: let the loop find it.
            ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)
            ratio = jnp.where(jnp.isnan(moved), 0, ratio)
            return _Trial(
                step_size.astype(last.step_size.dtype),
                _tree.variables(midpoint),
                operator,
                ratio.astype(last.ratio.dtype),
                moved,
                last.attempts + 1,
            )

        untried = _Trial(
            state.step_size,
            _tree.variables(players),
            state.operator,
            jnp.full_like(state.step_size, jnp.inf),
            jnp.full_like(state.step_size, jnp.inf),
            jnp.zeros((), int),
        )
        return jax.lax.while_loop(
            lambda trial: (
                (trial.ratio > self.contraction)
                & ~(trial.moved <= floor)
                & (trial.attempts < _MOST_ATTEMPTS)
            ),
            attempt,
            untried,
        )

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
        astray = ~(here.residual <= 100 * at_best.residual)

        best = _better(candidate, at_best)
        target = _tree.where(astray, best, _tree.where(restart, candidate, here))
        begins = restart | astray
        return target.players, state._replace(
            operator=target.operator,
            epoch=_tree.where(begins, _begin(target), epoch),
            best=best,
            cautious=state.cautious | astray,
            restarts=state.restarts + begins,
            evaluations=state.evaluations + 1,
        )


def _short_step(game: AbstractGame, players: PyTree, operator: PyTree, trial: _Trial) -> PyTree:
    r"""The CEG+ step $z^+ = z - \lambda\alpha d$, $d = (z - w) - \gamma(F(z) - F(w))$,
    $\alpha = \delta/\gamma + \langle z - w, d\rangle/\|d\|^2$, with $\lambda = 1/2$ and
    $\delta = -0.45\gamma$."""
    back = _tree.subtract(players, trial.midpoint)
    change = _tree.subtract(operator, trial.operator)
    d = _tree.add_scaled(_tree.variables(back), -trial.step_size, change)
    squared = _tree.dot(d, d)
    alpha = -0.45 + _tree.dot(back, d) / jnp.where(squared > 0, squared, 1)
    return game.project(_tree.add_scaled(players, -0.5 * alpha, d))


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


def _extend(epoch: Epoch, trial: _Trial) -> Epoch:
    weight = epoch.weight + trial.step_size
    average = _tree.toward(epoch.average, trial.midpoint, trial.step_size / weight)
    return Epoch(epoch.steps + 1, weight, average, epoch.first)


def example() -> AdaptiveExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return AdaptiveExtraGradient()
