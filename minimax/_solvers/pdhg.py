"""The primal-dual hybrid gradient method."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._roles import choose, minimisers
from minimax._solvers._sides import check_zero_sum
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class PDHGState(NamedTuple):
    r"""`primal_step_size`: $\tau$; `dual_step_size`: $\sigma$; `reported`: the last $T z$, which is
    feasible where the relaxed players need not be."""

    primal_step_size: Float[Array, ""]
    dual_step_size: Float[Array, ""]
    reported: PyTree


@final
class PDHG(AbstractSolver):
    r"""The primal-dual hybrid gradient method of Chambolle and Pock.

    For $\min_x \max_y\; g(x) + f(x, y) - h(y)$, with all minimisers as x, all maximisers as y, and
    sets or regularisers g and h. With $\tau = \eta/\omega$ and $\sigma = \eta\,\omega$

    $$x' = \text{prox}_{\tau g}(x - \tau \nabla_x f(x, y)), \quad
      \bar x = x' + \theta (x' - x), \quad
      y' = \text{prox}_{\sigma h}(y + \sigma \nabla_y f(\bar x, y)), \quad
      z^+ = z + r (z' - z),$$

    with $\theta = 1$, or, where g is $\gamma$-strongly convex, $\theta = 1/\sqrt{1 + 2 \gamma
    \tau}$, after which $\tau \leftarrow \theta \tau$ and $\sigma \leftarrow \sigma/\theta$ (before
    the step of y). One evaluation per step: each side at its own point.

    For bilinear $f = \langle K x, y \rangle$ and $\eta \|K\| \le 1$ it converges, with
    $\bar z_N$ the average of the first N of the $z'$ for r = 1:

    $$L(\bar x_N, v) - L(u, \bar y_N) \le \frac{1}{2N} \Bigl(\frac{\|u - x_0\|^2}{\tau} +
      \frac{\|v - y_0\|^2}{\sigma} - 2 \langle K (u - x_0), v - y_0 \rangle\Bigr),$$

    and with $\gamma > 0$ the error of x falls like 1/N. With an additional smooth convex $f_0(x)$
    in the payoff, of which $L_0$ bounds how fast its gradient changes, it converges for $1/\tau -
    \sigma \|K\|^2 \ge L_0/2$ (Condat and Vũ). For other payoffs there is no proof here.

    Reported is $z'$.

    **Arguments:**

    - `step_size`: $\eta > 0$, at most 1/‖K‖.
    - `primal_weight`: $\omega > 0$: how far y moves for what x moves.
    - `relaxation`: r in (0, 2).
    - `strong_convexity`: $\gamma \ge 0$ of g; then r must be 1.

    **Raises:** `GameError` for numbers outside these ranges, and for games that are not zero-sum.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[1.0, 2.0], [3.0, 1.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    >>> half = jnp.array([0.5, 0.5])
    >>> mm.solve(game, (half, half), mm.PDHG(0.25), metric=mm.DualityGap()).status
    <Status.converged: 0>

    ```

    Source: Chambolle and Pock, "A first-order primal-dual algorithm for convex problems with
    applications to imaging", J. Math. Imaging Vision 40 (2011), algorithms 1 and 2; the bound and
    relaxation: "On the ergodic convergence rates of a first-order primal-dual algorithm", Math.
    Program. 159 (2016); smooth terms: Condat (2013) and Vũ (2013).
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    primal_weight: Float[Array, ""] = eqx.field(default=1.0, converter=_tree.as_real)
    relaxation: Float[Array, ""] = eqx.field(default=1.0, converter=_tree.as_real)
    strong_convexity: Float[Array, ""] = eqx.field(default=0.0, converter=_tree.as_real)

    def __check_init__(self) -> None:
        omega, r, gamma = self.primal_weight, self.relaxation, self.strong_convexity
        if is_known(omega) and not 0 < float(omega) < float("inf"):
            raise GameError(f"primal_weight is {omega}: expected a finite number > 0.")
        if is_known(r) and not 0 < float(r) < 2:
            raise GameError(f"relaxation is {r}: expected a number between 0 and 2.")
        if is_known(gamma) and not 0 <= float(gamma) < float("inf"):
            raise GameError(f"strong_convexity is {gamma}: expected a finite number >= 0.")
        if is_known(r, gamma) and float(gamma) > 0 and float(r) != 1:
            raise GameError(
                f"relaxation is {r} and strong_convexity {gamma}: where step sizes change there "
                "is no theory for relaxation. Leave one of them at its default."
            )

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        check_zero_sum("PDHG", game, players, data)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> PDHGState:
        del game, data
        eta, omega = self.step_size, self.primal_weight
        return PDHGState(eta / omega, eta * omega, _tree.variables(players))

    def step(
        self, game: AbstractGame, players: PyTree, state: PDHGState, data: PyTree = None
    ) -> tuple[PyTree, PDHGState]:
        tau, sigma, _ = state
        minimiser = minimisers(game.roles)
        x_moved = game.prox_step(players, game.operator(players, data), tau)
        theta = 1 / jnp.sqrt(1 + 2 * self.strong_convexity * tau)
        tau, sigma = theta * tau, sigma / theta
        x_ahead = _tree.toward(x_moved, players, -theta)
        ahead = choose(minimiser, x_ahead, players)
        y_moved = game.prox_step(players, game.operator(ahead, data), sigma)
        moved = choose(minimiser, x_moved, y_moved)
        relaxed = _tree.toward(players, moved, self.relaxation)
        return relaxed, PDHGState(tau, sigma, _tree.variables(moved))

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps

    def output(self, players: PyTree, state: PDHGState) -> PyTree:
        return eqx.combine(state.reported, players)


def example() -> PDHG:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return PDHG(0.5)
