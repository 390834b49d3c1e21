"""The adaptive golden ratio algorithm."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers._backtracking import probe
from minimax._solvers.base import AbstractSolver

_GOLDEN = (1 + 5**0.5) / 2


class GoldenRatioState(NamedTuple):
    r"""`centre`: the average $\bar z$ of the iterates before; `operator`: F at the players;
    `step_size`: $\eta$ of the next step; `theta`: $\phi$ times by how much it has just changed."""

    centre: PyTree
    operator: PyTree
    step_size: Float[Array, ""]
    theta: Float[Array, ""]


@final
class GoldenRatio(AbstractSolver):
    r"""The adaptive golden ratio algorithm (aGRAAL): one evaluation per step and nothing to tune.

    $$\bar z_k = \tfrac{(\phi - 1) z_k + \bar z_{k-1}}{\phi}, \qquad
      z_{k+1} = P(\bar z_k - \eta_k F(z_k)), \qquad
      \eta_k = \min\Bigl\{\bigl(\tfrac1\phi + \tfrac1{\phi^2}\bigr) \eta_{k-1},\;
      \frac{\phi\, \theta_{k-1}}{4 \eta_{k-1}}
      \frac{\|z_k - z_{k-1}\|^2}{\|F(z_k) - F(z_{k-1})\|^2}\Bigr\}, \qquad
      \theta_k = \phi\, \eta_k / \eta_{k-1}.$$

    One evaluation per step and two at the start; no backtracking, since the step size follows what
    F did between the last two iterates, so F need only be Lipschitz near them. For monotone F, with
    or without constraints, the iterates converge to a solution, and their average with weights
    $\eta_k$ has a gap of O(1/K):

    $$\sum_{k=1}^{K} \eta_k \langle F(u), z_k - u \rangle \le
      \frac{\phi}{2 (\phi - 1)} \|\bar z_1 - u\|^2 + \frac{\theta_0}{4} \|z_1 - z_0\|^2
      \quad \text{for all feasible } u.$$

    This is by Euclidean distance: give players a `Simplex`, not an `EntropicSimplex`. No rate is
    known for the residual of the last iterate, which is reported. Where F is not
    monotone it may converge where extragradient cycles: on Forsaken with the default $\phi$ from
    all of fifty random starts, but not with 1.5.

    **Arguments:**

    - `phi`: $\phi$, above 1 and at most the golden ratio 1.618; by default half way between.

    **Raises:** `GameError` for another $\phi$.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.GoldenRatio()).status
    <Status.converged: 0>

    ```

    Source: Malitsky, "Golden ratio algorithms for variational inequalities", Math. Program. 184
    (2020), arXiv:1803.08832, algorithm 2; without monotonicity: Alacaoglu, Böhm and Malitsky,
    "Beyond the golden ratio for variational inequality algorithms", arXiv:2212.13955. The first
    step size is ours (theirs compares F at two points as near as 1e-9, which single precision
    cannot tell apart), with $\theta_0 = \phi$ as if the one before had been equal; so is that it
    grows no further where a step leads a hundred times beyond the players.
    """

    phi: Float[Array, ""] = eqx.field(default=(1 + _GOLDEN) / 2, converter=_tree.as_real)

    def __check_init__(self) -> None:
        # A golden ratio in single precision is one.
        if is_known(self.phi) and not 1 < float(self.phi) <= _GOLDEN * (1 + 1e-7):
            raise GameError(
                f"phi of GoldenRatio is {self.phi}: expected a number above 1 and at most the "
                "golden ratio, (1 + 5**0.5) / 2."
            )

    @property
    def chooses_step_size(self) -> bool:
        return True

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> GoldenRatioState:
        operator = game.operator(players, data)
        # Where F is linear, phi/(2L) is the step size that the rule keeps.
        step_size = probe(game, players, operator, self.phi / 2, data)
        return GoldenRatioState(players, operator, step_size, self.phi.astype(step_size.dtype))

    def step(
        self, game: AbstractGame, players: PyTree, state: GoldenRatioState, data: PyTree = None
    ) -> tuple[PyTree, GoldenRatioState]:
        centre = _tree.toward(state.centre, players, 1 - 1 / self.phi)
        following = game.prox_step(centre, state.operator, state.step_size)
        operator = game.operator(following, data)
        step_size = self._next(players, following, state, operator)
        theta = self.phi * step_size / state.step_size
        return following, GoldenRatioState(
            centre, operator, step_size, theta.astype(state.theta.dtype)
        )

    def _next(
        self, players: PyTree, following: PyTree, state: GoldenRatioState, operator: PyTree
    ) -> Float[Array, ""]:
        last, phi = state.step_size, self.phi
        moved = _tree.norm(_tree.subtract(following, players))
        changed = _tree.norm(_tree.subtract(operator, state.operator))
        known = (moved > 0) & (changed > 0)
        curvature = changed / jnp.where(known, moved, 1)
        limit = phi * state.theta / (4 * last) / jnp.where(known, curvature, 1) ** 2
        # Where F is zero, or far beyond the players, a longer step leads nowhere else.
        force, size = _tree.norm(operator), _tree.norm(following)
        grows = (force > 0) & (last * force <= 100 * jnp.maximum(1, size))
        grown = jnp.where(grows, 1 / phi + 1 / phi**2, 1) * last
        return jnp.where(known, jnp.minimum(grown, limit), grown).astype(last.dtype)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps + 2

    def stats(self, state: GoldenRatioState) -> dict[str, Array]:
        return {"step_size": state.step_size}


def example() -> GoldenRatio:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return GoldenRatio()
