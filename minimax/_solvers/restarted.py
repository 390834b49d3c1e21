"""Restarts, around any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._solvers._wrapper import AbstractWrapper, begin_anew, residual
from minimax._solvers.base import AbstractSolver
from minimax._solvers.fast_extra_gradient import FastExtraGradient


class RestartedState(NamedTuple):
    """`inner`: the state of the inner solver; `first`: the residual where its present run began;
    `since`: the steps of that run; `spent`: all other evaluations; `restarts`: how many."""

    inner: PyTree
    first: Float[Array, ""]
    since: Int[Array, ""]
    spent: Int[Array, ""]
    restarts: Int[Array, ""]


@final
class Restarted(AbstractWrapper):
    r"""Begins another solver anew at what it reports, whenever the residual has fallen enough.

    Every `period` steps of a run that began at $z_0$ and now reports $z$:

    $$\|z - P(z - F(z))\| \le \beta \|z_0 - P(z_0 - F(z_0))\| \implies z_0^+ = z.$$

    It makes a sublinear method linear where the residual bounds the distance to the solutions. On a
    bilinear game with condition number $\kappa$, where
    $\|z_0 - z^\star\| \le \kappa \|F(z_0)\| / L$, `FastExtraGradient(1/L)` has
    $\|F(z_k)\| \le (2\kappa/k) \|F(z_0)\|$, and so every run takes at most
    $2\kappa/\beta + \text{period}$ steps: a residual of $\epsilon$ costs
    $O(\kappa \log(1/\epsilon))$ evaluations, where the method alone takes $O(\kappa/\epsilon)$. The
    same holds for averages of extragradient's iterates.

    One evaluation at the start and one every `period` steps, beside those of the inner solver.

    **Arguments:**

    - `solver`: any solver.
    - `period`: steps between two looks at the residual.
    - `decrease`: $\beta > 0$; infinity begins anew every `period` steps.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Restarted(mm.Averaged(mm.ExtraGradient(0.5)))
    >>> mm.solve(game, (1.0, 1.0), solver, max_steps=500).status
    <Status.converged: 0>

    ```

    Source: Applegate, Hinder, Lu and Lubin, "Faster first-order primal-dual methods for linear
    programming using restarts and sharpness", arXiv:2105.12715; by the residual instead of its gap.
    """

    solver: AbstractSolver
    period: int = eqx.field(default=10, static=True)
    decrease: Float[Array, ""] = eqx.field(default=0.3, converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_whole("period", self.period)
        if is_known(self.decrease) and not float(self.decrease) > 0:
            raise GameError(f"decrease is {self.decrease}: expected a number > 0.")

    @property
    def compares_points(self) -> bool:
        return True

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> RestartedState:
        return RestartedState(
            self.solver.init(game, players, data),
            residual(game, players, data),
            since=jnp.zeros((), int),
            spent=jnp.ones((), int),
            restarts=jnp.zeros((), int),
        )

    def step(
        self, game: AbstractGame, players: PyTree, state: RestartedState, data: PyTree = None
    ) -> tuple[PyTree, RestartedState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        state = state._replace(inner=inner, since=state.since + 1)
        here = self.solver.output(players, inner)
        looks = state.since % self.period == 0
        at_here = jax.lax.cond(
            looks,
            lambda: residual(game, here, data),
            lambda: jnp.full_like(state.first, jnp.nan),
        )
        restarts = at_here <= self.decrease * state.first
        players, state = begin_anew(self.solver, game, restarts, here, players, state, data)
        return players, state._replace(
            first=jnp.where(restarts, at_here, state.first),
            spent=state.spent + looks,
            restarts=state.restarts + restarts,
        )

    def evaluations(self, steps: Int[Array, ""], state: RestartedState) -> Int[Array, ""]:
        del steps
        return state.spent + self.solver.evaluations(state.since, state.inner)

    def stats(self, state: RestartedState) -> dict[str, Array]:
        return {"begun_anew": state.restarts} | self.solver.stats(state.inner)


def example() -> Restarted:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Restarted(FastExtraGradient(0.5))
