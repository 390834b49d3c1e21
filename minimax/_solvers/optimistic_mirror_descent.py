"""Optimistic mirror descent."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax._game import AbstractGame
from minimax._solvers._mean import Mean, check_means_stay
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class OptimisticMirrorDescentState(NamedTuple):
    """`centre`: where mirror descent along all that has been seen stands; `average`: of the players
    that have been played; `steps`: how many."""

    centre: PyTree
    average: Mean
    steps: Int[Array, ""]


@final
class OptimisticMirrorDescent(AbstractSolver):
    r"""Mirror descent that counts on seeing the last operator once more, reported at its average.

    With $D$ the sum of the distances of the players' constraints, the players play $w_k$:

    $$z_{k+1} = \arg\min_u\, \langle \eta F(w_k), u \rangle + D(u, z_k), \qquad
      w_{k+1} = \arg\min_u\, \langle \eta F(w_k), u \rangle + D(u, z_{k+1}), \qquad w_0 = z_0.$$

    In an `EntropicSimplex`, from the uniform distribution, it is optimistic multiplicative weights:
    $w_k = \operatorname{softmax}(-\eta (\sum_{s < k} \ell_s + \ell_{k-1}))$, $\ell_s$ the player's
    block of $F(w_s)$.

    One evaluation and two proximal steps per step. For monotone F, with L its Lipschitz constant in
    a norm in which D is 1-strongly convex, and $\eta \le (\sqrt 2 - 1)/L$, the uniform average
    $\bar w_K$ of $w_0, \dots, w_{K-1}$, which is reported, has
    $\langle F(u), \bar w_K - u \rangle \le (D(u, z_0)/\eta + \eta \|F(z_0)\|_*^2) / K$ for all
    feasible u. The last play is another matter: with multiplicative weights and short steps
    it converges on matrix games with one solution, but there is no bound on how long that takes in
    terms of the size of the game and of its payoffs.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.EntropicSimplex())
    >>> start = (jnp.array([0.6, 0.3, 0.1]), jnp.array([0.1, 0.1, 0.8]))
    >>> solver = mm.OptimisticMirrorDescent(0.4)
    >>> mm.solve(game, start, solver, metric=mm.DualityGap(), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Rakhlin and Sridharan, "Optimization, learning, and games with predictable sequences",
    NeurIPS 2013, arXiv:1311.1869, lemma 1, from which the bound follows; the last play: Cai et
    al., "Fast last-iterate convergence of learning in games requires forgetful algorithms",
    NeurIPS 2024, arXiv:2406.10631.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_means_stay(self, game.variables_of(players))

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> OptimisticMirrorDescentState:
        del game, data
        return OptimisticMirrorDescentState(players, Mean.at(players), jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: OptimisticMirrorDescentState,
        data: PyTree = None,
    ) -> tuple[PyTree, OptimisticMirrorDescentState]:
        operator = game.operator(players, data)
        steps = state.steps + 1
        average = state.average.including(players, 1 / steps)
        centre = game.prox_step(state.centre, operator, self.step_size)
        players = game.prox_step(centre, operator, self.step_size)
        return players, OptimisticMirrorDescentState(centre, average, steps)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps

    def output(self, players: PyTree, state: OptimisticMirrorDescentState) -> PyTree:
        del players
        return state.average.value


def example() -> OptimisticMirrorDescent:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return OptimisticMirrorDescent(0.3)
