"""What a solver is: where to look and where to go next, never when to stop."""

import abc

import equinox as eqx
from jaxtyping import Array, Int, PyTree

from minimax._game import AbstractGame


class AbstractSolver(eqx.Module):
    """A method for games. Its hyperparameters are fields; its memory is the `state`.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solver, players = mm.ExtraGradient(0.5), (1.0, 1.0)
    >>> state = solver.init(game, players)
    >>> players, state = solver.step(game, players, state)
    >>> print(players)
    (Array(0.25, dtype=float32), Array(1.25, dtype=float32))

    ```
    """

    @abc.abstractmethod
    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> PyTree:
        """The state before the first step: only what a step needs."""

    @abc.abstractmethod
    def step(
        self, game: AbstractGame, players: PyTree, state: PyTree, data: PyTree = None
    ) -> tuple[PyTree, PyTree]:
        """The next players and the next state."""

    @abc.abstractmethod
    def evaluations(self, steps: Int[Array, ""], state: PyTree) -> Int[Array, ""]:
        """How often the first `steps` steps evaluated the operator.

        One evaluation is one gradient of every player's own payoff in its own variables, at one
        point or, where players move in turn, each at its own point. A product with the Jacobian of
        the operator, or with its transpose, costs about as much and counts as one, too.
        """

    def refine(
        self, game: AbstractGame, players: PyTree, state: PyTree, data: PyTree = None
    ) -> PyTree:
        """The state with what is too dear for every step: `solve` asks for it where it looks.

        By default nothing happens. A wrapper asks the solver that it wraps.
        """
        del game, players, data
        return state

    @property
    def batches_per_step(self) -> int:
        """How many batches a step takes where data are sampled: more than one come as
        `IndependentBatches`."""
        return 1

    @property
    def chooses_step_size(self) -> bool:
        """Whether the method itself shortens steps that are too long: players who run away under
        it have nowhere to stay."""
        return False

    @property
    def compares_points(self) -> bool:
        """Whether the method compares how good points of different steps are, or ends at one that
        it found good: where data are sampled every step has another yardstick."""
        return False

    @property
    def draws_batches(self) -> bool:
        """Whether the method itself draws rows from data, all of which it must be given."""
        return False

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        """Raises `GameError` where this method means nothing for this game.

        `solve` asks before it begins; shapes, sets and structures must be enough to answer. A
        wrapper asks the solver that it wraps.
        """
        del game, players, data

    def output(self, players: PyTree, state: PyTree) -> PyTree:
        """The players to report: the last iterate unless a method says otherwise."""
        del state
        return players

    def stats(self, state: PyTree) -> dict[str, Array]:
        """Scalars worth recording, by name: step sizes, restarts."""
        del state
        return {}


def name_of(solver: AbstractSolver) -> str:
    """The class of the solver, with that of the one it wraps: `Averaged(ExtraGradient)`."""
    inner = ", ".join(map(name_of, wrapped_by(solver)))
    return f"{type(solver).__name__}({inner})" if inner else type(solver).__name__


def wrapped_by(solver: AbstractSolver) -> list[AbstractSolver]:
    """The solvers among the fields of one that is around them."""
    return [part for part in vars(solver).values() if isinstance(part, AbstractSolver)]
