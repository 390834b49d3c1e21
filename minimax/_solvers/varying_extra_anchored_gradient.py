"""Extra-anchored gradient with a step size that varies."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver


class VaryingExtraAnchoredGradientState(NamedTuple):
    r"""`anchor`: where the run began; `scaled_step_size`: $\alpha_k L$; `steps`: how many have been
    made since."""

    anchor: PyTree
    scaled_step_size: Float[Array, ""]
    steps: Int[Array, ""]


@final
class VaryingExtraAnchoredGradient(AbstractSolver):
    r"""Extra-anchored gradient with the longest steps that have a proof (EAG-V).

    As `ExtraAnchoredGradient`, with $\alpha_0 = 0.618/L$ and

    $$\alpha_{k+1} = \frac{\alpha_k}{1 - \alpha_k^2 L^2}
      \Bigl(1 - \frac{(k + 2)^2}{(k + 1)(k + 3)} \alpha_k^2 L^2\Bigr)$$

    for its step size, which falls to $0.437/L$. Two evaluations per step. Without constraints, for
    every monotone L-Lipschitz F,
    $\|F(z_k)\|^2 \le 27 L^2 \|z_0 - z^\star\|^2 / ((k + 1)(k + 2))$: the last iterate, at the best
    possible order, with a tenth of the constant of `ExtraAnchoredGradient`. `FastExtraGradient`
    has a better one. The projections are ours: with them there is no proof of a rate.

    **Arguments:**

    - `lipschitz`: $L > 0$, of F.

    **Raises:** `GameError` for what is not one finite number > 0.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.VaryingExtraAnchoredGradient(lipschitz=1.0)
    >>> mm.solve(game, (1.0, 1.0), solver, tol=1e-3).status
    <Status.converged: 0>

    ```

    Source: Yoon and Ryu, "Accelerated algorithms for smooth convex-concave minimax problems with
    O(1/k^2) rate on squared gradient norm", ICML 2021, arXiv:2102.07922, EAG-V and theorem 1.
    """

    lipschitz: Float[Array, ""] = eqx.field(converter=_tree.as_real)

    def __check_init__(self) -> None:
        number = self.lipschitz
        if number.ndim != 0 or (is_known(number) and not 0 < float(number) < float("inf")):
            raise GameError(f"lipschitz is {number}: expected one finite number > 0, such as 1.0.")

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> VaryingExtraAnchoredGradientState:
        del game, data
        first = jnp.full_like(self.lipschitz, 0.618)
        return VaryingExtraAnchoredGradientState(players, first, jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: VaryingExtraAnchoredGradientState,
        data: PyTree = None,
    ) -> tuple[PyTree, VaryingExtraAnchoredGradientState]:
        anchor, a, k = state
        alpha = a / self.lipschitz
        pulled = _tree.toward(players, anchor, 1 / (k + 2))
        midpoint = game.prox_step(pulled, game.operator(players, data), alpha)
        players = game.prox_step(pulled, game.operator(midpoint, data), alpha)
        # (k + 2)²/((k + 1)(k + 3)) - 1, which single precision would lose by subtraction.
        excess = 1 / ((k + 1.0) * (k + 3.0))
        following = a * (1 - excess * a**2 / (1 - a**2))
        return players, VaryingExtraAnchoredGradientState(anchor, following.astype(a.dtype), k + 1)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps

    def stats(self, state: VaryingExtraAnchoredGradientState) -> dict[str, Array]:
        return {"step_size": state.scaled_step_size / self.lipschitz}


def example() -> VaryingExtraAnchoredGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return VaryingExtraAnchoredGradient(1.0)
