"""Halpern's iteration, around any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers._wrapper import AbstractWrapper
from minimax._solvers.base import AbstractSolver
from minimax._solvers.pdhg import PDHG


class HalpernState(NamedTuple):
    """`inner`: the state of the inner solver; `anchor`: where the run began; `reported`: the last
    T z, which is feasible; `steps`: how many steps have been made."""

    inner: PyTree
    anchor: PyTree
    reported: PyTree
    steps: Int[Array, ""]


@final
class Halpern(AbstractWrapper):
    r"""Pulls another solver back to where it began, ever less.

    With T one step of the inner solver, in step $k = 0, 1, \dots$

    $$z_{k+1} = \frac{k+1}{k+2} \bigl((1 + r)\, T z_k - r z_k\bigr) + \frac{1}{k+2} z_0.$$

    For every T that is nonexpansive, $\|Tz - Tz'\| \le \|z - z'\|$, in some Euclidean norm,
    $\|z\|^2 = \langle z, Mz\rangle$, and r = 0 the residual falls like
    $\|z_k - T z_k\| \le 2 \|z_0 - z^\star\|/(k + 1)$; for a firmly nonexpansive T, as PDHG's and
    the proximal point's, $2T - I$ is nonexpansive, and r = 1 gives half of that.
    A solver whose T changes from step to step, by momentum or adaptive step sizes, is no such map.
    Reported is $T z_k$.

    **Arguments:**

    - `solver`: any solver.
    - `reflection`: r in [0, 1].

    **Raises:** `GameError` for another reflection.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Halpern(mm.PDHG(0.9), reflection=1.0)
    >>> mm.solve(game, (1.0, 1.0), solver, tol=1e-2).status
    <Status.converged: 0>

    ```

    Source: Lieder, "On the convergence rate of the Halpern-iteration", Optim. Lett. 15 (2021),
    theorem 2.1; with reflection: Lu and Yang, arXiv:2407.16144, section 3.
    """

    solver: AbstractSolver
    reflection: Float[Array, ""] = eqx.field(default=0.0, converter=_tree.as_real)

    def __check_init__(self) -> None:
        if is_known(self.reflection) and not 0 <= float(self.reflection) <= 1:
            raise GameError(f"reflection is {self.reflection}: expected a number from 0 to 1.")

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> HalpernState:
        inner = self.solver.init(game, players, data)
        variables = _tree.variables(players)
        return HalpernState(inner, variables, variables, jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: HalpernState, data: PyTree = None
    ) -> tuple[PyTree, HalpernState]:
        stepped, inner = self.solver.step(game, players, state.inner, data)
        target = self.solver.output(stepped, inner)
        reflected = _tree.toward(players, target, 1 + self.reflection)
        players = _tree.toward(reflected, state.anchor, 1 / (state.steps + 2))
        reported = _tree.variables(target)
        return players, HalpernState(inner, state.anchor, reported, state.steps + 1)

    def output(self, players: PyTree, state: HalpernState) -> PyTree:
        return eqx.combine(state.reported, players)


def example() -> Halpern:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Halpern(PDHG(0.5))
