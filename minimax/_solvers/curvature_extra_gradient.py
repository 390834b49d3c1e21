"""Extragradient for operators that are comonotone at worst."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers._backtracking import backtrack, grow, probe, project_on_hyperplane
from minimax._solvers.base import AbstractSolver


class CurvatureExtraGradientState(NamedTuple):
    """`step_size`: to try next; `operator`: F at the players; `evaluations`: a count."""

    step_size: Float[Array, ""]
    operator: PyTree
    evaluations: Int[Array, ""]


@final
class CurvatureExtraGradient(AbstractSolver):
    r"""Extragradient with a second step whose length comes from what the first has found (CEG+).

    $$w = P(z - \gamma F(z)), \qquad d = (z - w) - \gamma (F(z) - F(w)), \qquad
      z^+ = P(z - \lambda \alpha d), \qquad
      \alpha = \frac{\delta}{\gamma} + \frac{\langle z - w, d \rangle}{\|d\|^2},$$

    where $\gamma \|F(w) - F(z)\| \le \nu \|w - z\|$ by backtracking: $\gamma$ starts from the
    curvature of F along its own direction and follows it up and down, so no Lipschitz constant is
    needed. Two evaluations per step, one for each backtrack, and two at the start.

    F need not be monotone. Where
    $\langle v, w - z^\star \rangle \ge \delta \|v\|^2$ for the subgradients $v = d/\gamma$ of the
    game at w (for $\rho$-comonotone F with $\rho \ge \delta$, for example; a weak Minty solution),
    every step leads nearer to the solution,

    $$\|z^+ - z^\star\|^2 \le \|z - z^\star\|^2 - \lambda (2 - \lambda) \alpha^2 \|d\|^2, \qquad
      \alpha \ge \delta/\gamma + 1/(1 + \nu),$$

    so the least $\|d\|$ of K steps is at most
    $\|z_0 - z^\star\| / (\sqrt{\lambda (2 - \lambda) K} (\delta/\gamma + 1/(1 + \nu)))$. With
    `shift` $\delta/\gamma = -1/2$ in the limit, and $\nu \to 1$, that is $\rho > -1/(2L)$, which
    also leaves cycles that attract extragradient; with 0, for monotone F, it is the classical
    projection and contraction method. All this is by Euclidean distance: give players a `Simplex`,
    not an `EntropicSimplex`.

    **Arguments:**

    - `shift`: $\delta/\gamma \in (-1/2, 0]$. The nearer to -1/2, the less F need be monotone, and
      the shorter are the steps.
    - `relaxation`: $\lambda \in (0, 2)$.
    - `contraction`: $\nu \in (0, 1)$.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda p: -(p[0]**2) / 6 + 8**0.5 / 3 * p[0] * p[1] + p[1]**2 / 6)
    >>> mm.solve(game, (1.0, 1.0), mm.CurvatureExtraGradient()).status
    <Status.converged: 0>

    ```

    Source: Pethick et al., "Escaping limit cycles: global convergence for constrained
    nonconvex-nonconcave minimax problems", ICLR 2022, arXiv:2302.09831, AdaptiveEG+ and
    CurvatureEG+. Their first step size comes from the norm of the Jacobian; ours needs one
    evaluation. The projection of $z^+$ is ours, and leads no solution further away.
    """

    shift: Float[Array, ""] = eqx.field(default=-0.45, converter=_tree.as_real)
    relaxation: Float[Array, ""] = eqx.field(default=1.0, converter=_tree.as_real)
    contraction: Float[Array, ""] = eqx.field(default=0.9, converter=_tree.as_real)

    def __check_init__(self) -> None:
        for name, expected, fits in (
            ("shift", "a number > -1/2 and <= 0", lambda number: -0.5 < number <= 0),
            ("relaxation", "a number between 0 and 2", lambda number: 0 < number < 2),
            ("contraction", "a number between 0 and 1", lambda number: 0 < number < 1),
        ):
            number = getattr(self, name)
            if is_known(number) and not fits(float(number)):
                raise GameError(
                    f"{name} of CurvatureExtraGradient is {number}: expected {expected}."
                )

    @property
    def chooses_step_size(self) -> bool:
        return True

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> CurvatureExtraGradientState:
        operator = game.operator(players, data)
        # A little below, lest the first look ahead should fail by a rounding where F is linear.
        step_size = 0.98 * probe(game, players, operator, self.contraction, data)
        return CurvatureExtraGradientState(step_size, operator, jnp.full((), 2, int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: CurvatureExtraGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, CurvatureExtraGradientState]:
        trial = backtrack(game, players, state.operator, state.step_size, self.contraction, data)
        players = project_on_hyperplane(
            game, players, state.operator, trial, self.shift, self.relaxation
        )
        return players, CurvatureExtraGradientState(
            grow(players, state.operator, trial, self.contraction),
            game.operator(players, data),
            state.evaluations + trial.attempts + 1,
        )

    def evaluations(
        self, steps: Int[Array, ""], state: CurvatureExtraGradientState
    ) -> Int[Array, ""]:
        del steps
        return state.evaluations

    def stats(self, state: CurvatureExtraGradientState) -> dict[str, Array]:
        return {"step_size": state.step_size}


def example() -> CurvatureExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return CurvatureExtraGradient()
