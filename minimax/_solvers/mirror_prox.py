"""Mirror-prox."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax._game import AbstractGame
from minimax._solvers._mean import Mean, check_means_stay
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class MirrorProxState(NamedTuple):
    """`average`: of the midpoints; `steps`: how many there are."""

    average: Mean
    steps: Int[Array, ""]


@final
class MirrorProx(AbstractSolver):
    r"""Extragradient in the players' own distances, reported at the average of its midpoints.

    With $D$ the sum of the distances of the players' constraints,

    $$w_k = \arg\min_u\, \langle \eta F(z_k), u \rangle + D(u, z_k), \qquad
      z_{k+1} = \arg\min_u\, \langle \eta F(w_k), u \rangle + D(u, z_k), \qquad
      \bar w_K = \frac1K \sum_{k < K} w_k.$$

    Two evaluations per step. For monotone F, with L its Lipschitz constant in a norm in which D is
    1-strongly convex, and $\eta \le 1/L$, the gap of the average falls like 1/K:

    $$\langle F(u), \bar w_K - u \rangle \le D(u, z_0) / (\eta K)
      \quad \text{for all feasible } u.$$

    On a matrix game with payoffs A, both players in an `EntropicSimplex` and at first uniform, L is
    $\max |A_{ij}|$ and D at most $\log n + \log m$. Where all distances are Euclidean the $z_k$ are
    the iterates of `ExtraGradient`, which reports the last of them.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.EntropicSimplex())
    >>> start = (jnp.array([0.6, 0.3, 0.1]), jnp.array([0.1, 0.1, 0.8]))
    >>> mm.solve(game, start, mm.MirrorProx(1.0), metric=mm.DualityGap(), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Nemirovski, "Prox-method with rate of convergence O(1/t) for variational inequalities
    with Lipschitz continuous monotone operators and smooth convex-concave saddle point problems",
    SIAM J. Optim. 15 (2004).
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_means_stay(self, game.variables_of(players))

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> MirrorProxState:
        del game, data
        return MirrorProxState(Mean.at(players), jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: MirrorProxState, data: PyTree = None
    ) -> tuple[PyTree, MirrorProxState]:
        midpoint = game.prox_step(players, game.operator(players, data), self.step_size)
        players = game.prox_step(players, game.operator(midpoint, data), self.step_size)
        steps = state.steps + 1
        return players, MirrorProxState(state.average.including(midpoint, 1 / steps), steps)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def output(self, players: PyTree, state: MirrorProxState) -> PyTree:
        del players
        return state.average.value


def example() -> MirrorProx:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return MirrorProx(0.5)
