"""TiAda."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._optimizers import Optimizer, as_optimizer, per_player
from minimax._roles import role_of_each
from minimax._solvers._optimized import AbstractOptimizedSolver


class TiAdaState(NamedTuple):
    """`optimizer`: its state; `descent`, `ascent`: the sums of the squared gradient norms, of all
    minimisers and of all maximisers."""

    optimizer: optax.OptState
    descent: Float[Array, ""]
    ascent: Float[Array, ""]


@final
class TiAda(AbstractOptimizedSolver):
    r"""Descent-ascent whose step sizes find the two time scales by themselves.

    With the sums of squared gradients so far, $v_x$ of the minimisers and $v_y$ of the maximisers,

    $$x^+ = P\left(x - \frac{\eta_x}{\max(v_x, v_y)^\alpha} \nabla_x f\right), \qquad
      y^+ = P\left(y + \frac{\eta_y}{v_y^\beta} \nabla_y f\right), \qquad \alpha > \beta.$$

    One evaluation per step. Where f is nonconvex in x and strongly concave in y, descent-ascent
    converges only if x is slow enough against y, and how slow depends on the condition number.
    Here the ratio of the step sizes falls of itself until x is slow enough: an
    $\epsilon$-stationary point takes $O(\epsilon^{-2})$ steps, and no constant need be known. With
    constraints on x this is not proven. On bilinear games it does not converge.

    **Arguments:**

    - `optimizer`: as for `GradientDescentAscent`; what it is given are the divided gradients.
    - `descent_power`, `ascent_power`: $1 > \alpha > \beta > 0$.

    **Raises:** `GameError` for other powers.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda z: -(z[0] ** 2) + 2 * z[0] * z[1] - z[1] ** 2 / 2)
    >>> mm.solve(game, (1.0, 1.0), mm.GradientDescentAscent(0.01)).status
    <Status.diverged: 2>
    >>> mm.solve(game, (1.0, 1.0), mm.TiAda(0.5)).status
    <Status.converged: 0>

    ```

    Source: Li, Yang and He, "TiAda: a time-scale adaptive algorithm for nonconvex minimax
    optimization", ICLR 2023, arXiv:2210.17478, algorithm 1; the sums begin at zero here.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    descent_power: Float[Array, ""] = eqx.field(default=0.6, converter=_tree.as_real)
    ascent_power: Float[Array, ""] = eqx.field(default=0.4, converter=_tree.as_real)

    def __check_init__(self) -> None:
        powers = (self.descent_power, self.ascent_power)
        if is_known(*powers) and not 1 > float(powers[0]) > float(powers[1]) > 0:
            raise GameError(
                f"descent_power is {powers[0]} and ascent_power is {powers[1]}: expected "
                "1 > descent_power > ascent_power > 0."
            )

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> TiAdaState:
        del data
        nothing = jnp.zeros((), _tree.norm(players).dtype)
        return TiAdaState(per_player(self.optimizer, game.roles).init(players), nothing, nothing)

    def step(
        self, game: AbstractGame, players: PyTree, state: TiAdaState, data: PyTree = None
    ) -> tuple[PyTree, TiAdaState]:
        gradient = game.gradient(players, data)
        roles = role_of_each(game.roles, gradient)
        descent = state.descent + _square_of("min", roles, gradient)
        ascent = state.ascent + _square_of("max", roles, gradient)
        scales = {
            "min": _power(jnp.maximum(descent, ascent), -self.descent_power),
            "max": _power(ascent, -self.ascent_power),
        }
        scaled = jax.tree.map(
            lambda role, g: jnp.asarray(scales[role], g.dtype) * g, roles, gradient
        )
        move = per_player(self.optimizer, game.roles)
        update, optimizer = move.update(scaled, state.optimizer, players)
        return game.project(_tree.add(players, update)), TiAdaState(optimizer, descent, ascent)

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return steps

    def stats(self, state: TiAdaState) -> dict[str, Array]:
        return {"descent": state.descent, "ascent": state.ascent}


def example() -> TiAda:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return TiAda(1.0)


def _square_of(role: str, roles: PyTree[str], gradient: PyTree) -> Float[Array, ""]:
    """Of the gradients of all who have this role."""
    own = jax.tree.map(lambda r, g: g if r == role else None, roles, gradient)
    return _tree.dot(own, own)


def _power(total: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
    """Without a gradient yet there is nothing to scale."""
    return jnp.where(total == 0, 1, jnp.where(total == 0, 1, total) ** exponent)
