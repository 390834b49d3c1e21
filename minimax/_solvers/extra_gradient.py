"""Extragradient."""

from typing import final

import equinox as eqx
from jaxtyping import Array, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._moments import Moments, carry_over, check_moments
from minimax._optimizers import Optimizer, as_optimizer, per_player
from minimax._sampler import Samples, batch_of_each, check_samples
from minimax._solvers._optimized import AbstractOptimizedSolver


@final
class ExtraGradient(AbstractOptimizedSolver):
    r"""Extragradient: look half a step ahead, then go from where you stood.

    $$w = P(z - \eta F(z)), \qquad z^+ = P(z - \eta F(w)).$$

    Two evaluations per step. Converges for every monotone L-Lipschitz F with $\eta < 1/L$; on a
    bilinear game every step shrinks the error by $\sqrt{1 - \eta^2 s^2 + \eta^4 s^4}$ per singular
    value s. With Adam as `optimizer` it is ExtraAdam; give Adam `b1 <= 0.5`, since its default 0.9
    stalls on bilinear games.

    **Arguments:**

    - `optimizer`: a step size, a schedule or an optax transformation, for all players, per role or
      per player. Schedules count steps: both halves of a step use the same step size. (Optimizers
      that read a schedule by a counter of their own, as those of `optax.contrib` do, count both.)
    - `moments`: what the look ahead leaves in the optimizer's memory. "shared" (ExtraAdam as
      published): moments and their count advance in both halves. "discarded": they advance in the
      second half only. Without memory, as for a plain step size, both are the same.
    - `samples`: where data are sampled, "same": both halves of a step see one batch; "independent":
      each has a batch of its own. With the same batch a step is one of extragradient on the batch's
      own game, whose rotation it damps; with independent ones the noise of the look ahead is left,
      and a bilinear game needs a look ahead much longer than the step (Hsieh et al. 2020).

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.5)).status
    <Status.converged: 0>

    ```

    Source: Korpelevich, "The extragradient method for finding saddle points and other problems"
    (1976); ExtraAdam: Gidel et al., "A variational inequality perspective on generative
    adversarial networks", ICLR 2019, arXiv:1802.10551, algorithm 4; sampled data: Hsieh, Iutzeler,
    Malick and Mertikopoulos, "Explore aggressively, update conservatively", NeurIPS 2020,
    arXiv:2003.10162.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    moments: Moments = eqx.field(default="shared", static=True)
    samples: Samples = eqx.field(default="same", static=True)

    def __check_init__(self) -> None:
        check_moments(self.moments)
        check_samples(self.samples)

    @property
    def batches_per_step(self) -> int:
        return 2 if self.samples == "independent" else 1

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> PyTree:
        return per_player(self.optimizer, game.roles_of(players, data)).init(players)

    def step(
        self, game: AbstractGame, players: PyTree, state: PyTree, data: PyTree = None
    ) -> tuple[PyTree, PyTree]:
        here, there = batch_of_each(data, 2)
        move = per_player(self.optimizer, game.roles_of(players, here))
        update, ahead = move.update(game.gradient(players, here), state, players)
        midpoint = game.project(_tree.add(players, update))
        state = carry_over(self.moments, state, ahead)
        update, state = move.update(game.gradient(midpoint, there), state, midpoint)
        return game.project(_tree.add(players, update)), state

    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        del state
        return 2 * steps


def example() -> ExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return ExtraGradient(0.1)
