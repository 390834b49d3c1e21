"""Exponential moving averages of iterates, around any solver."""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._solvers._mean import Mean, check_means_stay
from minimax._solvers._wrapper import AbstractWrapper
from minimax._solvers.base import AbstractSolver
from minimax._solvers.extra_gradient import ExtraGradient


class ExponentialMovingAverageState(NamedTuple):
    """`inner`: the state of the inner solver; `average`: of its iterates; `weight`: the sum of
    their weights, where that of the last is one."""

    inner: PyTree
    average: Mean
    weight: Float[Array, ""]


@final
class ExponentialMovingAverage(AbstractWrapper):
    r"""Reports an average of another solver's iterates in which the old ones fade.

    $$\bar z_k = \frac{\sum_{t=1}^k d^{k-t} z_t}{\sum_{t=1}^k d^{k-t}}
      = \bar z_{k-1} + \frac{1 - d}{1 - d^k} (z_k - \bar z_{k-1}).$$

    The inner solver runs as it would alone; only what is reported, measured and stopped on is the
    average. It is what generative adversarial networks are judged by: the weights of the generator
    averaged over about $1/(1-d)$ steps, which cycles and noise leave in the middle.

    This is the recursion $m_k = d\, m_{k-1} + (1 - d) z_k$ without its bias: begun at $z_0$, that
    still has a share $d^k$ of the untrained players in it, 37 % after a thousand steps of
    $d = 0.999$, and begun at zero it is $(1 - d^k) \bar z_k$, which is not even feasible. Here the
    first iterate replaces the start, and all weights are those of a mean, so that the average stays
    in every convex set. Once $d^k$ is small all three are the same.

    **Arguments:**

    - `solver`: any solver.
    - `decay`: $d \in [0, 1)$; for the uniform average take `Averaged`.
    - `players`: which players are averaged, all by default: booleans as a prefix of the players,
      such as `{"generator": True, "critic": False}`. The others are reported as they are, and no
      memory is kept for them.

    **Raises:** `GameError` for another decay, and where `players` are no booleans or do not fit.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> circles = mm.AlternatingGradientDescentAscent(0.5)
    >>> solver = mm.ExponentialMovingAverage(circles, decay=0.999)
    >>> mm.solve(game, (1.0, 1.0), solver, max_steps=20_000, tol=1e-2).status
    <Status.converged: 0>

    ```

    Variables alone are averaged. What else a model holds, such as the statistics of a batch
    normalisation, is that of the last iterate, and a forward pass over data that of the average.

    Source: Yazıcı et al., "The unusual effectiveness of averaging in GAN training", ICLR 2019,
    arXiv:1806.04498, equation 5, from the start on; without the bias: Kingma and Ba, "Adam: a
    method for stochastic optimization", ICLR 2015, arXiv:1412.6980, section 3.
    """

    solver: AbstractSolver
    decay: Float[Array, ""] = eqx.field(default=0.999, converter=_tree.as_real)
    players: PyTree[bool] = True

    def __check_init__(self) -> None:
        if is_known(self.decay) and not 0 <= float(self.decay) < 1:
            raise GameError(f"decay is {self.decay}: expected a number from 0 up to, not at, 1.")
        for path, chosen in jax.tree_util.tree_leaves_with_path(self.players, is_leaf=_is_none):
            if not isinstance(chosen, bool):
                place = _tree.place("players", path)
                raise GameError(
                    f"{place} is {chosen!r}: expected True for a player that is averaged and False "
                    "for one that is not, or True for all."
                )

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        chosen = jax.tree.leaves(self._is_chosen(as_players(players)))
        variables = zip(game.variables_of(players), chosen, strict=True)
        check_means_stay(self, [each for each, mine in variables if mine])
        self.solver.check(game, players, data)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> ExponentialMovingAverageState:
        weight = jnp.zeros((), jnp.result_type(self.decay, jnp.float32))
        inner = self.solver.init(game, players, data)
        return ExponentialMovingAverageState(inner, Mean.at(self._chosen(players)), weight)

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: ExponentialMovingAverageState,
        data: PyTree = None,
    ) -> tuple[PyTree, ExponentialMovingAverageState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        weight = self.decay * state.weight + 1
        reported = self._chosen(self.solver.output(players, inner))
        average = state.average.including(reported, 1 / weight)
        return players, ExponentialMovingAverageState(inner, average, weight)

    def output(self, players: PyTree, state: ExponentialMovingAverageState) -> PyTree:
        return eqx.combine(state.average.value, self.solver.output(players, state.inner))

    def _chosen(self, players: PyTree) -> PyTree:
        """The variables of the players that are averaged, with `None` for all else."""
        variables = _tree.variables(players)
        return jax.tree.map(
            lambda mine, x: x if mine else None, self._is_chosen(players), variables
        )

    def _is_chosen(self, players: PyTree) -> PyTree[bool]:
        variables = _tree.variables(players)
        return _tree.broadcast_prefix(self.players, variables, "players of the average")


def example() -> ExponentialMovingAverage:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ExponentialMovingAverage(ExtraGradient(0.1), decay=0.9)


def _is_none(leaf: Any) -> bool:
    return leaf is None
