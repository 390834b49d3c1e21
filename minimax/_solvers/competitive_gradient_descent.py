"""Competitive gradient descent."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._roles import choose, number_of_each
from minimax._solvers._jacobian import Linearized, check_free, linearize
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class CompetitiveGradientDescentState(NamedTuple):
    """`iterations`: of conjugate gradients, in the last step; `evaluations`: in all steps."""

    iterations: Int[Array, ""]
    evaluations: Int[Array, ""]


class _Iterate(NamedTuple):
    """Conjugate gradients for $M\\delta = b$: $\\delta$, $r = b - M\\delta$, the direction p, and
    $\\|M^\\top r\\|^2$."""

    solution: PyTree
    residual: PyTree
    direction: PyTree
    square: Float[Array, ""]
    iterations: Int[Array, ""]


@final
class CompetitiveGradientDescent(AbstractSolver):
    r"""Competitive gradient descent: all players step to the equilibrium of a local bilinear game.

    Each minimises its linearised payoff, the bilinear interaction with the others' steps, and
    $\|\Delta_i\|^2/(2\eta)$. With B the Jacobian of F without its diagonal blocks, the reactions of
    each player's gradient to the others, their steps solve

    $$(I + \eta B(z))\, \Delta = -\eta F(z), \qquad z^+ = z + \Delta.$$

    For two players this is
    $\Delta_x = -\eta (I + \eta^2 D_{xy} D_{yx})^{-1} (\nabla_x f + \eta D_{xy} \nabla_y f)$
    in the zero-sum case. On a bilinear game it is the proximal point method: every step multiplies
    the error by $1/\sqrt{1 + \eta^2 s^2}$ per singular value s, for every $\eta$.

    The steps come from conjugate gradients on the normal equations, which also hold where payoffs
    are not zero-sum, until the residual is `tol` times $\eta\|F\|$ or `max_iterations` are made.
    Three evaluations per step and two per iteration: F, and products with B and its transpose.

    **Arguments:**

    - `step_size`: $\eta > 0$.
    - `tol`: for the linear system, >= 0.
    - `max_iterations`: of conjugate gradients, per step.

    **Raises:** `GameError` for numbers outside these ranges, and where a player has a constraint:
    there the direction is not zero at a solution.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.CompetitiveGradientDescent(1.0)).status
    <Status.converged: 0>

    ```

    Source: Schäfer and Anandkumar, "Competitive gradient descent", NeurIPS 2019, arXiv:1905.12103;
    more than two players: Ma et al., "Polymatrix competitive gradient descent", arXiv:2111.08565.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    tol: Float[Array, ""] = eqx.field(default=1e-6, converter=_tree.as_real)
    max_iterations: int = eqx.field(default=100, static=True)

    def __check_init__(self) -> None:
        if is_known(self.tol) and not 0 <= float(self.tol) < float("inf"):
            raise GameError(f"tol is {self.tol}: expected a finite number >= 0.")
        check_whole("max_iterations", self.max_iterations, least=0)

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> CompetitiveGradientDescentState:
        del game, players, data
        return CompetitiveGradientDescentState(jnp.zeros((), int), jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: CompetitiveGradientDescentState,
        data: PyTree = None,
    ) -> tuple[PyTree, CompetitiveGradientDescentState]:
        near = linearize(game, players, data)
        owners = number_of_each(game.roles_of(players, data), _tree.variables(players))
        change, iterations = self._solve(near, owners)
        evaluations = state.evaluations + 3 + 2 * iterations
        return _tree.add(players, change), CompetitiveGradientDescentState(iterations, evaluations)

    def _solve(self, near: Linearized, owners: PyTree) -> tuple[PyTree, Int[Array, ""]]:
        """Conjugate gradients on the normal equations, from the step of descent-ascent."""

        def forward(v: PyTree) -> PyTree:
            return _tree.add_scaled(v, self.step_size, _reactions(near, v, owners))

        def backward(u: PyTree) -> PyTree:
            return jax.linear_transpose(forward, u)(u)[0]

        def goes_on(at: _Iterate) -> Array:
            unsolved = _tree.dot(at.residual, at.residual) > self.tol**2 * size
            return unsolved & (at.square > 0) & (at.iterations < self.max_iterations)

        def iteration(at: _Iterate) -> _Iterate:
            image = forward(at.direction)
            length = at.square / _tree.dot(image, image)
            solution = _tree.add_scaled(at.solution, length, at.direction)
            residual = _tree.add_scaled(at.residual, -length, image)
            gradient = backward(residual)
            square = _tree.dot(gradient, gradient)
            direction = _tree.add_scaled(gradient, square / at.square, at.direction)
            return _Iterate(solution, residual, direction, square, at.iterations + 1)

        target = _tree.scale(-self.step_size, near.operator)
        size = _tree.dot(target, target)
        residual = _tree.subtract(target, forward(target))
        gradient = backward(residual)
        first = _Iterate(
            target, residual, gradient, _tree.dot(gradient, gradient), jnp.zeros((), int)
        )
        last = jax.lax.while_loop(goes_on, iteration, first)
        return last.solution, last.iterations

    def evaluations(
        self, steps: Int[Array, ""], state: CompetitiveGradientDescentState
    ) -> Int[Array, ""]:
        del steps
        return state.evaluations

    def stats(self, state: CompetitiveGradientDescentState) -> dict[str, Array]:
        return {"iterations": state.iterations}

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_free(game, players, "CompetitiveGradientDescent")


def example() -> CompetitiveGradientDescent:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return CompetitiveGradientDescent(0.1)


def _reactions(near: Linearized, vector: PyTree, owners: PyTree[int]) -> PyTree:
    """B v: how the gradient of each player reacts to the parts of v of all others."""
    felt = vector
    for player in sorted(set(jax.tree.leaves(owners))):
        own = jax.tree.map(lambda owner: owner == player, owners)  # noqa: B023
        others = choose(own, _tree.scale(0, vector), vector)
        felt = choose(own, near.product(others), felt)
    return felt
