"""Restarted Halpern iteration of the primal-dual hybrid gradient method."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._roles import choose, minimisers
from minimax._solvers._sides import check_bilinear
from minimax._solvers.base import AbstractSolver

_PROBES = 20  # power iterations for the norm of K
_SAFETY = 0.95  # of the step size that the estimate of the norm, which is low, would allow
_SPREAD = (
    30.0  # of the primal weight around that of the whole way: near a solution it would run away
)


class Point(NamedTuple):
    """Players z and the operator F(z) there."""

    players: PyTree
    operator: PyTree


class RestartedPDHGState(NamedTuple):
    r"""`step_size`: $\eta$; `primal_weight`: $\omega$; `operator`: F at the players; `anchor`:
    where the epoch began; `reported`: T of the players before, which is feasible; `travelled`:
    how far x and y have come, summed over the epochs; `first_error`, `last_error`: $\|z - Tz\|_M$
    at the epoch's first and last look; `epoch`, `steps`: how many steps since the restart, and in
    all; `restarts`: how many."""

    step_size: Float[Array, ""]
    primal_weight: Float[Array, ""]
    operator: PyTree
    anchor: Point
    reported: Point
    travelled: tuple[Float[Array, ""], Float[Array, ""]]
    first_error: Float[Array, ""]
    last_error: Float[Array, ""]
    epoch: Int[Array, ""]
    steps: Int[Array, ""]
    restarts: Int[Array, ""]


@final
class RestartedPDHG(AbstractSolver):
    r"""The primal-dual hybrid gradient method, anchored and restarted: nothing to tune.

    For bilinear games $\min_x \max_y\; g(x) + b^\top x + x^\top K y - c^\top y - h(y)$ with sets
    or regularisers g and h. With $\tau = \eta/\omega$ and $\sigma = \eta\,\omega$ one step of PDHG,
    $T(x, y) = (x', y')$, is

    $$x' = \text{prox}_{\tau g}(x - \tau (b + K y)), \qquad
      y' = \text{prox}_{\sigma h}(y + \sigma (K^\top (2 x' - x) - c)).$$

    In the norm $\|z\|_M^2 = \omega \|x\|^2 + \|y\|^2/\omega - 2 \eta \langle x, K y\rangle$ it is
    firmly nonexpansive for $\eta \|K\| \le 1$. In step k after a restart at $z_0$

    $$z_{k+1} = \frac{k+1}{k+2} (2 T z_k - z_k) + \frac{1}{k+2} z_0, \qquad
      \|z_k - T z_k\|_M \le \frac{\|z_0 - z^\star\|_M}{k+1},$$

    and the method begins anew at $T z_k$ where the left side has fallen to `decrease` times what
    it began with, or has fallen by half and rises, or after a third of all steps. Then $\omega$
    moves towards the ratio of how far y and x have come. Where the residual grows in proportion to
    the distance to a solution, as in linear programs and matrix games, the restarts make the
    convergence linear. Reported is $T z_k$, which is feasible.

    One evaluation per step, since F of an average is the average of F, and 21 at the start, from
    which the norm of K is estimated. A step size that proves too long is shortened.

    **Arguments:**

    - `patience`: steps between two looks at whether to restart.
    - `decrease`: the fraction of the epoch's first error that ends it, in (0, 1).

    **Raises:** `GameError` for numbers outside these ranges, and for games whose payoff is not
    proved to be bilinear by the program that computes it, or whose sets have another distance than
    the Euclidean.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[1.0, 2.0], [3.0, 1.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    >>> half = jnp.array([0.5, 0.5])
    >>> mm.solve(game, (half, half), mm.RestartedPDHG(), metric=mm.DualityGap()).status
    <Status.converged: 0>

    ```

    Source: Lu and Yang, "Restarted Halpern PDHG for linear programming", arXiv:2407.16144, section
    3 (reflection) and algorithm 2; primal weight as in Applegate et al., "Practical large-scale
    linear programming using primal-dual hybrid gradient", NeurIPS 2021, arXiv:2106.04756,
    algorithm 3.
    """

    patience: int = eqx.field(default=20, static=True)
    decrease: Array = eqx.field(default=0.2, converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_whole("patience", self.patience)
        if is_known(self.decrease) and not 0 < float(self.decrease) < 1:
            raise GameError(f"decrease is {self.decrease}: expected a number between 0 and 1.")

    @property
    def chooses_step_size(self) -> bool:
        return True

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        check_bilinear("RestartedPDHG", game, players, data)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> RestartedPDHGState:
        operator = game.operator(players, data)
        here = Point(_tree.variables(players), operator)
        norm, force = _operator_norm(game, players, operator, data), _tree.norm(operator)
        # Without coupling every step size is safe: one that leads far beyond the players is as good
        # as any on bounded sets, and elsewhere there is no solution.
        far = 100 * jnp.maximum(_tree.norm(players), 1) / jnp.where(force > 0, force, 1)
        step_size = jnp.where(norm > 0, _SAFETY / jnp.where(norm > 0, norm, 1), far)
        zero = jnp.zeros_like(step_size)
        return RestartedPDHGState(
            step_size=step_size,
            primal_weight=jnp.ones_like(step_size),
            operator=operator,
            anchor=here,
            reported=here,
            travelled=(zero, zero),
            first_error=zero,
            last_error=zero,
            epoch=jnp.zeros((), int),
            steps=jnp.zeros((), int),
            restarts=jnp.zeros((), int),
        )

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: RestartedPDHGState,
        data: PyTree = None,
    ) -> tuple[PyTree, RestartedPDHGState]:
        minimiser = minimisers(game.roles)
        here = Point(_tree.variables(players), state.operator)
        target = self._primal_dual_step(game, players, state, minimiser, data)
        b = 1 / (state.epoch + 2)

        def anchored(z: PyTree, z_next: PyTree, z_0: PyTree) -> PyTree:
            reflected = _tree.toward(z, z_next, 2.0)
            return _tree.toward(reflected, z_0, b)

        moved = Point(*map(anchored, here, target, state.anchor))
        state = state._replace(
            operator=moved.operator,
            reported=target,
            epoch=state.epoch + 1,
            steps=state.steps + 1,
        )
        variables, state = jax.lax.cond(
            (state.epoch - 1) % self.patience == 0,
            lambda: self._look(here, moved, state, minimiser),
            lambda: (moved.players, state),
        )
        return eqx.combine(variables, players), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 1 + _PROBES

    def output(self, players: PyTree, state: RestartedPDHGState) -> PyTree:
        return eqx.combine(state.reported.players, players)

    def stats(self, state: RestartedPDHGState) -> dict[str, Array]:
        return {
            "step_size": state.step_size,
            "primal_weight": state.primal_weight,
            "restarts": state.restarts,
        }

    def _primal_dual_step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: RestartedPDHGState,
        minimiser: PyTree[bool],
        data: PyTree,
    ) -> Point:
        """T z and F(T z), of which each side is evaluated once."""
        eta, omega = state.step_size, state.primal_weight
        x_moved = game.prox_step(players, state.operator, eta / omega)
        half_way = choose(minimiser, x_moved, players)
        operator = game.operator(half_way, data)  # its block of y is final: it only depends on x
        extrapolated = _tree.toward(state.operator, operator, 2.0)
        y_moved = game.prox_step(players, extrapolated, eta * omega)
        moved = choose(minimiser, x_moved, y_moved)
        operator = choose(minimiser, game.operator(moved, data), operator)
        return Point(_tree.variables(moved), operator)

    def _look(
        self,
        here: Point,
        moved: Point,
        state: RestartedPDHGState,
        minimiser: PyTree[bool],
    ) -> tuple[PyTree, RestartedPDHGState]:
        """Restart at T z, shorten the step, or go on."""
        eta, omega = state.step_size, state.primal_weight
        change = _tree.subtract(here.players, state.reported.players)
        dx, dy = _lengths(change, minimiser)
        turned = _tree.subtract(here.operator, state.reported.operator)
        # <dx, K dy> from the block of x, since F_x(z) = b + K y.
        coupling = _tree.dot(_only(change, minimiser), _only(turned, minimiser))
        squared = omega * dx**2 + dy**2 / omega
        too_long = 2 * eta * jnp.abs(coupling) > squared
        error = jnp.sqrt(jnp.maximum(squared - 2 * eta * coupling, 0))
        begins = state.epoch == 1
        first = jnp.where(begins, error, state.first_error)
        restarts = ~begins & (
            (error <= self.decrease * first)
            | ((error <= 0.5 * first) & (error > state.last_error))
            | (error > 2 * first)  # rounding, of which every step of an epoch adds its own
            | (state.epoch >= 0.36 * state.steps)
        )
        restarts = restarts | too_long
        way_x, way_y = _lengths(
            _tree.subtract(state.reported.players, state.anchor.players), minimiser
        )
        known = restarts & (way_x > 0) & (way_y > 0) & jnp.isfinite(way_x + way_y)
        far_x, far_y = (
            (far + jnp.where(known, way, 0)).astype(eta.dtype)
            for far, way in zip(state.travelled, (way_x, way_y), strict=True)
        )
        usual = far_y / jnp.where(known, far_x, 1)
        balanced = jnp.sqrt(omega * way_y / jnp.where(known, way_x, 1))
        balanced = jnp.clip(balanced, usual / _SPREAD, usual * _SPREAD)
        shorter = _SAFETY * squared / jnp.where(too_long, 2 * jnp.abs(coupling), 1)
        target, anchor = (
            _tree.where(restarts, state.reported, other) for other in (moved, state.anchor)
        )
        return target.players, state._replace(
            step_size=jnp.where(too_long, shorter, eta).astype(eta.dtype),
            travelled=(far_x, far_y),
            primal_weight=jnp.where(known, balanced, omega).astype(omega.dtype),
            operator=target.operator,
            anchor=anchor,
            first_error=first.astype(eta.dtype),
            last_error=error.astype(eta.dtype),
            epoch=jnp.where(restarts, 0, state.epoch),
            restarts=state.restarts + restarts,
        )


def _only(tree: PyTree, mask: PyTree[bool]) -> PyTree:
    """`tree` without the players that are not in `mask`."""
    return jax.tree.map(lambda keep, player: player if keep else None, mask, tree)


def _lengths(tree: PyTree, minimiser: PyTree[bool]) -> tuple[Array, Array]:
    """The norms of both sides."""
    maximiser = jax.tree.map(lambda is_x: not is_x, minimiser)
    return _tree.norm(_only(tree, minimiser)), _tree.norm(_only(tree, maximiser))


def _operator_norm(
    game: AbstractGame, players: PyTree, operator: PyTree, data: PyTree
) -> Float[Array, ""]:
    """‖K‖ from below, by power iterations with M v = F(z + v) - F(z), M the skew matrix of F."""
    leaves, structure = jax.tree.flatten(_tree.variables(players))
    pairs = zip(jax.random.split(jax.random.key(0), len(leaves)), leaves, strict=True)
    start = [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in pairs]
    direction = jax.tree.unflatten(structure, start)
    reach = jnp.maximum(_tree.norm(players), 1)

    def probe(direction: PyTree, _: None) -> tuple[PyTree, Array]:
        length = _tree.norm(direction)
        direction = _tree.scale(reach / jnp.where(length > 0, length, 1), direction)
        turned = _tree.subtract(game.operator(_tree.add(players, direction), data), operator)
        return turned, _tree.norm(turned) / _tree.norm(direction)

    _, estimates = jax.lax.scan(probe, direction, None, length=_PROBES)
    return jnp.max(jnp.where(jnp.isfinite(estimates), estimates, 0))


def example() -> RestartedPDHG:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return RestartedPDHG()
