"""Dual extrapolation."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers._mean import Mean, check_means_stay
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class DualExtrapolationState(NamedTuple):
    """`first`: where the run began; `operator`: the average of F over the points looked ahead to;
    `average`: of these points; `steps`: how many there are."""

    first: PyTree
    operator: PyTree
    average: Mean
    steps: Int[Array, ""]


@final
class DualExtrapolation(AbstractSolver):
    r"""Steps from the first point along all that has been seen, reported at the average.

    With $D$ the sum of the distances of the players' constraints,

    $$y_k = \arg\min_u\, \langle \eta F(z_k), u \rangle + D(u, z_k), \qquad
      z_{k+1} = \arg\min_u\, \Bigl\langle \eta \sum_{i \le k} F(y_i), u \Bigr\rangle + D(u, z_0),
      \qquad \bar y_K = \frac1K \sum_{k < K} y_k.$$

    Two evaluations per step. For monotone F, with L its Lipschitz constant in a norm in which D is
    1-strongly convex, and $\eta \le 1/L$,
    $\langle F(u), \bar y_K - u \rangle \le D(u, z_0) / (\eta K)$ for all feasible u: the bound of
    `MirrorProx`, whose iterates are the same where players are free; on sets they differ, since
    what has been seen is never forgotten at a boundary. A regulariser counts as often as F does;
    the bound is for sets.

    **Arguments:**

    - `step_size`: $\eta > 0$, one over the $\beta$ of the paper.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.EntropicSimplex())
    >>> start = (jnp.array([0.6, 0.3, 0.1]), jnp.array([0.1, 0.1, 0.8]))
    >>> solver = mm.DualExtrapolation(1.0)
    >>> mm.solve(game, start, solver, metric=mm.DualityGap(), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Nesterov, "Dual extrapolation and its applications to solving variational inequalities
    and related problems", Math. Program. 109 (2007).
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_means_stay(self, game.variables_of(players))

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> DualExtrapolationState:
        del game, data
        nothing = _tree.scale(0, _tree.variables(players))
        return DualExtrapolationState(players, nothing, Mean.at(players), jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: DualExtrapolationState,
        data: PyTree = None,
    ) -> tuple[PyTree, DualExtrapolationState]:
        ahead = game.prox_step(players, game.operator(players, data), self.step_size)
        steps = state.steps + 1
        # The average of F with a step size that grows is their sum with one that does not, but a
        # regulariser grows with it as it must, and half precision does not overflow.
        operator = _tree.toward(state.operator, game.operator(ahead, data), 1 / steps)
        average = state.average.including(ahead, 1 / steps)
        players = game.prox_step(state.first, operator, steps * self.step_size)
        return players, DualExtrapolationState(state.first, operator, average, steps)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def output(self, players: PyTree, state: DualExtrapolationState) -> PyTree:
        del players
        return state.average.value


def example() -> DualExtrapolation:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return DualExtrapolation(0.5)
