"""Fast extragradient."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class FastExtraGradientState(NamedTuple):
    """`anchor`: where the run began; `steps`: how many have been made since."""

    anchor: PyTree
    steps: Int[Array, ""]


@final
class FastExtraGradient(AbstractSolver):
    r"""Fast extragradient: pulled back to where it began, ever less, with the best residual bound.

    With $b = 1/(k + 1)$ in step $k = 0, 1, \dots$ and $z_k' = z_k + b (z_0 - z_k)$,

    $$w = P\bigl(z_k' - (1 - b)(\eta + 2\rho) F(z_k)\bigr), \qquad
      z_{k+1} = P\bigl(z_k' - \eta F(w) - 2(1 - b)\rho F(z_k)\bigr).$$

    Two evaluations per step. Without constraints, for every L-Lipschitz F that is
    $\rho$-comonotone, $\langle F(z) - F(z'), z - z' \rangle \ge \rho \|F(z) - F(z')\|^2$ with
    $\rho > -1/(2L)$, and $\eta = 1/L$: $\|F(z_k)\| \le 2 \|z_0 - z^\star\| / ((\eta + 2\rho) k)$,
    which no method with as many evaluations improves by more than a constant factor. Negative
    $\rho$ admits games that are not monotone. The projections are ours: with them there is no
    proof of a rate.

    **Arguments:**

    - `step_size`: $\eta > 0$, at most 1/L.
    - `comonotonicity`: $\rho > -\eta/2$; 0 for monotone F.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.FastExtraGradient(1.0), tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Lee and Kim, "Fast extra gradient methods for smooth structured nonconvex-nonconcave
    minimax problems", NeurIPS 2021, arXiv:2106.02326, algorithm 1 and theorem 4.1.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    comonotonicity: Float[Array, ""] = eqx.field(default=0.0, converter=_tree.as_real)

    def __check_init__(self) -> None:
        eta, rho = self.step_size, self.comonotonicity
        if is_known(eta, rho) and not -float(eta) / 2 < float(rho) < float("inf"):
            raise GameError(
                f"comonotonicity is {rho}: expected a finite number > -step_size/2 = "
                f"{-float(eta) / 2:.6g}."
            )

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> FastExtraGradientState:
        del game, data
        return FastExtraGradientState(players, jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: FastExtraGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, FastExtraGradientState]:
        eta, rho, b = self.step_size, self.comonotonicity, 1 / (state.steps + 1)
        operator = game.operator(players, data)
        pulled = _tree.toward(players, state.anchor, b)
        midpoint = game.prox_step(pulled, operator, (1 - b) * (eta + 2 * rho))
        pushed = _tree.add_scaled(pulled, -2 * (1 - b) * rho, operator)
        players = game.prox_step(pushed, game.operator(midpoint, data), eta)
        return players, FastExtraGradientState(state.anchor, state.steps + 1)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps


def example() -> FastExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return FastExtraGradient(1.0)
