"""Lookahead, around any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._solvers._mean import check_means_stay
from minimax._solvers._wrapper import AbstractWrapper
from minimax._solvers.base import AbstractSolver
from minimax._solvers.extra_gradient import ExtraGradient


class LookaheadState(NamedTuple):
    """`inner`: the state of the inner solver; `slow`: where all players stood when they last went
    back; `steps`: how many steps have been made."""

    inner: PyTree
    slow: PyTree
    steps: Int[Array, ""]


@final
class Lookahead(AbstractWrapper):
    r"""Lets another solver run ahead, and every few steps takes only part of the way.

    After every k steps of the inner solver from the slow players $s$ to $z$, all players at once:

    $$s^+ = s + \alpha (z - s), \qquad z^+ = s^+.$$

    Reported are the slow players. It damps rotation: with descent-ascent inside, a bilinear game's
    error per singular value s is multiplied by $1 - \alpha + \alpha (1 + i \eta s)^k$, which is
    below 1 in modulus for small steps, where descent-ascent alone is above.

    **Arguments:**

    - `solver`: any solver; its own memory runs on.
    - `period`: $k \ge 1$.
    - `pull`: $\alpha \in (0, 1]$.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Lookahead(mm.GradientDescentAscent(0.3), period=5)
    >>> mm.solve(game, (1.0, 1.0), solver).status
    <Status.converged: 0>

    ```

    Source: Chavdarova et al., "Taming GANs with lookahead-minimax", ICLR 2021, arXiv:2006.14567,
    algorithm 1.
    """

    solver: AbstractSolver
    period: int = eqx.field(default=5, static=True)
    pull: Float[Array, ""] = eqx.field(default=0.5, converter=_tree.as_real)

    def __check_init__(self) -> None:
        check_whole("period", self.period)
        if is_known(self.pull) and not 0 < float(self.pull) <= 1:
            raise GameError(f"pull is {self.pull}: expected a number above 0 and up to 1.")

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        super().check(game, players, data)
        check_means_stay(self, game.variables_of(players))

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> LookaheadState:
        inner = self.solver.init(game, players, data)
        return LookaheadState(inner, players, jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: LookaheadState, data: PyTree = None
    ) -> tuple[PyTree, LookaheadState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        steps = state.steps + 1
        back = _tree.toward(state.slow, self.solver.output(players, inner), self.pull)
        goes_back = steps % self.period == 0
        slow = _tree.where(goes_back, back, state.slow)
        return _tree.where(goes_back, back, players), LookaheadState(inner, slow, steps)

    def output(self, players: PyTree, state: LookaheadState) -> PyTree:
        del players
        return state.slow


def example() -> Lookahead:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Lookahead(ExtraGradient(0.1))
