"""Symplectic gradient adjustment."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._solvers._jacobian import check_free, linearize
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size, as_weight

_BIAS = 0.1  # of the paper: where the signs say next to nothing, lambda is positive


@final
class SymplecticGradientAdjustment(AbstractSolver):
    r"""Descent-ascent, turned against its own rotation.

    With the antisymmetric part of the Jacobian J of F,

    $$z^+ = z - \eta \left( F(z) + \lambda A(z)^\top F(z) \right), \qquad
      A = \tfrac12 (J - J^\top).$$

    Three evaluations per step: F, and a product with its Jacobian and with the transposed one. On a
    bilinear game it is consensus optimization: every step multiplies the error by
    $\sqrt{(1 - \eta \lambda s^2)^2 + \eta^2 s^2}$ per singular value s, which is below 1 exactly
    for $\eta < 2\lambda/(1 + \lambda^2 s^2)$. Where J is symmetric, as for players with a common
    goal, it is gradient descent. With `align`, $\lambda$ takes the sign of

    $$\langle F, J^\top F \rangle \langle A^\top F, J^\top F \rangle / d + 0.1$$

    for d variables, with which it turns to stable points of F and away from unstable ones.

    **Arguments:**

    - `step_size`: $\eta > 0$.
    - `weight`: $|\lambda| > 0$.
    - `align`: whether to choose the sign; otherwise it is +.

    **Raises:** `GameError` for a step size or weight that is not one finite number > 0, and where a
    player has a constraint: there the direction is not zero at a solution.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.SymplecticGradientAdjustment(0.5, 1.0)).status
    <Status.converged: 0>

    ```

    Source: Balduzzi et al., "The mechanics of n-player differentiable games", ICML 2018,
    arXiv:1802.05642, algorithm 1.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    weight: Float[Array, ""] = eqx.field(converter=as_weight)
    align: bool = eqx.field(default=True, static=True)

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del game, players, data

    def step(
        self, game: AbstractGame, players: PyTree, state: None, data: PyTree = None
    ) -> tuple[PyTree, None]:
        operator, product, transposed = linearize(game, players, data)
        consensus = transposed(operator)
        adjustment = _tree.scale(0.5, _tree.subtract(consensus, product(operator)))
        weight = self.weight
        if self.align:
            size = sum(leaf.size for leaf in jax.tree.leaves(operator))
            growth = _nonzero_dot(operator, consensus)
            toward = growth * _tree.dot(adjustment, consensus)
            weight = jnp.where(toward / size + _BIAS >= 0, weight, -weight)
        direction = _tree.add_scaled(operator, weight, adjustment)
        return _tree.add_scaled(players, -self.step_size, direction), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 3 * steps

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_free(game, players, "SymplecticGradientAdjustment")


def example() -> SymplecticGradientAdjustment:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return SymplecticGradientAdjustment(0.1, 1.0)


def _nonzero_dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """The inner product, or zero where rounding may have made all of it: on a bilinear game it is
    zero, and its sign would be drawn by lot."""
    leaves = jax.tree.leaves(a)
    rounding = max(float(jnp.finfo(leaf.dtype).eps) for leaf in leaves)
    noise = 8 * sum(leaf.size for leaf in leaves) * rounding * _tree.norm(a) * _tree.norm(b)
    product = _tree.dot(a, b)
    return jnp.where(jnp.abs(product) <= noise, 0, product)
