"""Anderson acceleration, around any solver."""

from typing import NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import check_whole
from minimax._game import AbstractGame
from minimax._solvers._wrapper import AbstractWrapper, begin_anew, residual
from minimax._solvers.base import AbstractSolver
from minimax._solvers.extra_gradient import ExtraGradient


class AndersonState(NamedTuple):
    """`inner`: the state of the inner solver; `ends`: the last T(z), newest first; `moves`: the
    T(z) - z that belong to them; `level`: the least residual accepted yet; `since`: the steps of
    the inner solver's present run; `spent`: all other evaluations; `steps`, `accepted`: counts."""

    inner: PyTree
    ends: Float[Array, "memory+1 n"]
    moves: Float[Array, "memory+1 n"]
    level: Float[Array, ""]
    since: Int[Array, ""]
    spent: Int[Array, ""]
    steps: Int[Array, ""]
    accepted: Int[Array, ""]


@final
class Anderson(AbstractWrapper):
    r"""Anderson acceleration (type II) of another solver, with a safeguard.

    With T(z) for one step of the solver inside from z and $g_i = T(z_i) - z_i$:

    $$\alpha = \arg\min_{\sum_i \alpha_i = 1} \Bigl\| \sum_{i=k-m}^k \alpha_i g_i \Bigr\|, \qquad
      z_{k+1} = P\Bigl( \sum_{i=k-m}^k \alpha_i T(z_i) \Bigr)$$

    where that has a smaller natural residual than all that were accepted before, else
    $z_{k+1} = T(z_k)$.

    Where T is affine and the memory holds all steps, $z_{k+1} = T(z_k^\text{GMRES})$ for the k-th
    iterate of GMRES on $z = T(z)$ from $z_0$, as long as GMRES makes progress: in d dimensions it
    is done after d + 1 steps. For other games nothing is proven beyond the safeguard; it helps most
    in smooth games of few dimensions.

    One evaluation at the start and one per step, beside those of the solver inside. That should be
    one without memory, so that T is a map: `ExtraGradient(0.1)`, not one with momentum or a step
    size of its own. A solver with memory begins anew at every point that is accepted.

    **Arguments:**

    - `solver`: any solver.
    - `memory`: $m \ge 1$, how many earlier steps are combined.

    **Raises:** `GameError` for a memory below one.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver = mm.Anderson(mm.ExtraGradient(0.5))
    >>> mm.solve(game, (1.0, 1.0), solver, check_every=1).steps.item()
    3

    ```

    Source: Walker and Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer. Anal.
    49 (2011), algorithm AA and theorem 2.2; the safeguard is ours.
    """

    solver: AbstractSolver
    memory: int = eqx.field(default=5, static=True)

    def __check_init__(self) -> None:
        check_whole("memory", self.memory)

    @property
    def compares_points(self) -> bool:
        return True

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> AndersonState:
        level = residual(game, players, data)
        vector = ravel_pytree(_tree.variables(players))[0].astype(level.dtype)
        nothing = jnp.zeros((self.memory + 1, vector.size), level.dtype)
        zero = jnp.zeros((), int)
        inner = self.solver.init(game, players, data)
        return AndersonState(inner, nothing, nothing, level, zero, zero + 1, zero, zero)

    def step(
        self, game: AbstractGame, players: PyTree, state: AndersonState, data: PyTree = None
    ) -> tuple[PyTree, AndersonState]:
        kind = state.level.dtype  # single precision or better
        z, unravel = ravel_pytree(_tree.variables(players))
        after, inner = self.solver.step(game, players, state.inner, data)
        end = ravel_pytree(_tree.variables(after))[0]
        move = end.astype(kind) - z.astype(kind)
        state = state._replace(
            inner=inner,
            ends=jnp.roll(state.ends, 1, axis=0).at[0].set(end.astype(kind)),
            moves=jnp.roll(state.moves, 1, axis=0).at[0].set(move),
            since=state.since + 1,
            steps=state.steps + 1,
            spent=state.spent + 1,
        )
        mixed = unravel(self._mixed(state).astype(z.dtype))
        candidate = game.project(eqx.combine(mixed, after))
        at_candidate = residual(game, candidate, data)
        accepts = at_candidate < state.level
        players, state = begin_anew(self.solver, game, accepts, candidate, after, state, data)
        return players, state._replace(
            level=jnp.where(accepts, at_candidate, state.level),
            accepted=state.accepted + accepts,
        )

    def _mixed(self, state: AndersonState) -> Float[Array, " n"]:
        r"""$\sum_i \alpha_i T(z_i)$, by the differences from the newest; there are none yet where
        nothing has been kept."""
        kept = (jnp.arange(1, self.memory + 1) < state.steps)[:, None]
        moves = kept * (state.moves[0] - state.moves[1:])
        ends = kept * (state.ends[0] - state.ends[1:])
        # Each of length one: what is dropped as dependent must not hang on how old it is.
        lengths = jnp.linalg.norm(moves, axis=1)
        lengths = jnp.where(lengths > 0, lengths, 1)[:, None]
        weights = jnp.linalg.lstsq((moves / lengths).T, state.moves[0])[0]
        return state.ends[0] - jnp.matmul(weights, ends / lengths, precision="highest")

    def evaluations(self, steps: Int[Array, ""], state: AndersonState) -> Int[Array, ""]:
        del steps
        return state.spent + self.solver.evaluations(state.since, state.inner)

    def stats(self, state: AndersonState) -> dict[str, Array]:
        return {"accepted": state.accepted} | self.solver.stats(state.inner)


def example() -> Anderson:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Anderson(ExtraGradient(0.1), memory=2)
