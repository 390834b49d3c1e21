"""Forward-reflected-backward splitting."""

from typing import NamedTuple, final

import equinox as eqx
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class ForwardReflectedBackwardState(NamedTuple):
    """`previous`: F at the players before the last step."""

    previous: PyTree


@final
class ForwardReflectedBackward(AbstractSolver):
    r"""One proximal step along the operator, with its last change added: operator extrapolation.

    With g the sum of the players' regularisers and D of the distances of their constraints,

    $$z_{k+1} = \arg\min_u\, \eta \langle 2 F(z_k) - F(z_{k-1}), u \rangle + \eta g(u) + D(u, z_k),
      \qquad F(z_{-1}) = F(z_0).$$

    One evaluation and one proximal step per step, and one evaluation at the start; F is only
    evaluated in the players' sets. For monotone F, with L its Lipschitz constant in a norm in which
    D is 1-strongly convex, and $\eta \le 1/(2L)$, the uniform average of $z_1, \dots, z_K$ (see
    `Averaged`) satisfies
    $\langle F(u), \bar z_K - u \rangle + g(\bar z_K) - g(u) \le D(u, z_0)/(\eta K)$ for all
    feasible u. By Euclidean distance the iterates converge too, for $\eta < 1/(2L)$. On sets with
    that distance they are those of `OptimisticGradient`, which moves by any optimizer but knows
    neither regularisers nor other distances.

    **Arguments:**

    - `step_size`: $\eta > 0$.

    **Raises:** `GameError` for a step size that is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ForwardReflectedBackward(0.4)).status
    <Status.converged: 0>

    ```

    Source: Malitsky and Tam, "A forward-backward splitting method for monotone inclusions without
    cocoercivity", SIAM J. Optim. 30 (2020), arXiv:1808.04162; with other distances: Kotsalis, Lan
    and Li, "Simple and optimal methods for stochastic variational inequalities, I: operator
    extrapolation", SIAM J. Optim. 32 (2022), arXiv:2011.02987.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ForwardReflectedBackwardState:
        return ForwardReflectedBackwardState(game.operator(players, data))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ForwardReflectedBackwardState,
        data: PyTree = None,
    ) -> tuple[PyTree, ForwardReflectedBackwardState]:
        operator = game.operator(players, data)
        extrapolated = _tree.add(operator, _tree.subtract(operator, state.previous))
        players = game.prox_step(players, extrapolated, self.step_size)
        return players, ForwardReflectedBackwardState(operator)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 1


def example() -> ForwardReflectedBackward:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ForwardReflectedBackward(0.1)
