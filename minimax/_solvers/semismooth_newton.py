"""Semismooth Newton steps, around any solver."""

from collections.abc import Callable
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._solvers._gmres import gmres
from minimax._solvers._wrapper import AbstractWrapper, check_period
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size

_SUCCESS = 0.1
"""The fraction of its first residual that an attempt must reach."""
_RETRY = 0.5
"""The fraction of the last attempt's first residual that is worth the next one."""
_MOST_STEPS = 20
_SHORTEST = 1 / 8
"""The least part of a Newton step that is tried."""


class SemismoothNewtonState(NamedTuple):
    """`inner`: the state of the inner solver; `found`: the players that the last success ended at;
    `residual`: theirs; `leads`: whether they are better than those of the inner solver were at the
    last look; `tried`: the residual that the last attempt began with; `steps`: how many have been
    made; `spent`: evaluations besides those of the inner solver; `attempts`: how many."""

    inner: PyTree
    found: PyTree
    residual: Float[Array, ""]
    leads: Bool[Array, ""]
    tried: Float[Array, ""]
    steps: Int[Array, ""]
    spent: Int[Array, ""]
    attempts: Int[Array, ""]


class _Problem(NamedTuple):
    """R(z) = 0 for players as one vector: the residual map R, and the projection."""

    natural_map: Callable[[Array], Array]
    project: Callable[[Array], Array]


class _Iterate(NamedTuple):
    """The vector z, |R(z)|, whether to go on from there, and what it cost."""

    vector: Float[Array, " n"]
    residual: Float[Array, ""]
    goes_on: Bool[Array, ""]
    steps: Int[Array, ""]
    spent: Int[Array, ""]


class _Trial(NamedTuple):
    """The part t of a step, where it leads, |R| there, and how many were tried."""

    part: Float[Array, ""]
    vector: Float[Array, " n"]
    residual: Float[Array, ""]
    attempts: Int[Array, ""]


@final
class SemismoothNewton(AbstractWrapper):
    r"""Finishes what another solver has begun: solutions to machine precision.

    The solver inside runs as it would alone. Every `period` steps, once the residual has halved
    since the last attempt, Newton steps on the natural map $R(z) = z - P(z - \eta F(z))$ start from
    what it reports:

    $$(J + m I)\, d = -R(z), \qquad z^+ = P(z + t d), \qquad m = \mu \|R(z)\|,$$

    with a generalised Jacobian $J \in \partial R(z)$, of which only products with vectors are
    formed, and the first t of 1, 1/2, 1/4, 1/8 with $\|R(z^+)\| \le (1 - t/2) \|R(z)\|$; without
    one the attempt ends. In m the norm is clipped to $[\epsilon^{1/4}, 1]$ with the machine epsilon
    $\epsilon$, lest rounding drive the players along a null space. Where an attempt has brought the
    residual down to a tenth, its end is reported until the solver inside overtakes it; so at every
    look what is reported has at most the residual of the solver inside.

    Where F is monotone and differentiable, $J + m I$ is invertible for every $m > 0$: for
    $J = I - D (I - \eta F')$ with symmetric $0 \preceq D \preceq I$, a v with $(J + m I) v = 0$ is
    in the range of D, and
    $(1 + m) \langle v, D^+ v \rangle = \|v\|^2 - \eta \langle v, F' v \rangle \le \|v\|^2
    \le \langle v, D^+ v \rangle$. Near a solution at which every generalised Jacobian is invertible
    and F' is Lipschitz, convergence is quadratic until m is at its floor, and then linear with a
    factor of the order of m. Where solutions are many, as in degenerate matrix games, no theorem is
    claimed: whether the residual falls decides. Near most solutions of a matrix game or a linear
    program R is affine, and a step or two are enough.

    One evaluation per look; an attempt costs one per Newton step, one for each product of the
    Jacobian with a vector, of which GMRES needs at most `size` and about as many as the game has
    dimensions beside its active constraints, and one for each t. Under `vmap` the whole batch pays
    for an attempt of one member, and at every look.

    **Arguments:**

    - `solver`: any solver; by default `AdaptiveExtraGradient()`.
    - `period`: steps between two looks.
    - `step_size`: $\eta > 0$. It scales R: where one unit of the players changes F by far more or
      less than one, take about the inverse of that change.
    - `regularization`: $\mu \ge 0$. Smaller is faster and larger is safer.
    - `size`: the most products per Newton step, and the vectors that GMRES keeps in memory.

    **Raises:** `GameError` for numbers outside these ranges.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> payoffs = jnp.array([[1.0, 2.0], [3.0, 1.0]])
    >>> game = mm.Game(
    ...     lambda players: players[0] @ payoffs @ players[1], constraints=mm.Simplex()
    ... )
    >>> uniform = jnp.array([0.5, 0.5])
    >>> solution = mm.solve(game, (uniform, uniform), mm.SemismoothNewton(), tol=1e-6)
    >>> print(solution.players[0].round(6), solution.steps)
    [0.666667 0.333333] 50

    ```

    Source: Qi and Sun, "A nonsmooth version of Newton's method", Math. Program. 58 (1993);
    Facchinei and Pang, "Finite-Dimensional Variational Inequalities and Complementarity Problems"
    (2003), chapters 7 and 8. The rules of when to look and what to accept are ours.
    """

    solver: AbstractSolver = eqx.field(default_factory=AdaptiveExtraGradient)
    period: int = eqx.field(default=50, static=True)
    step_size: Float[Array, ""] = eqx.field(default=1.0, converter=as_step_size)
    regularization: Float[Array, ""] = eqx.field(default=1e-4, converter=_tree.as_real)
    size: int = eqx.field(default=100, static=True)

    def __check_init__(self) -> None:
        check_period(self.period)
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            raise GameError(f"size is {self.size!r}: expected a whole number >= 1.")
        number = self.regularization
        if is_known(number) and not 0 <= float(number) < float("inf"):
            raise GameError(f"regularization is {number}: expected a finite number >= 0.")

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> SemismoothNewtonState:
        unknown = jnp.full_like(_tree.norm(players), jnp.inf)
        return SemismoothNewtonState(
            inner=self.solver.init(game, players, data),
            found=_tree.variables(players),
            residual=unknown,
            leads=jnp.asarray(False),
            tried=unknown,
            steps=jnp.zeros((), int),
            spent=jnp.zeros((), int),
            attempts=jnp.zeros((), int),
        )

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SemismoothNewtonState,
        data: PyTree = None,
    ) -> tuple[PyTree, SemismoothNewtonState]:
        players, inner = self.solver.step(game, players, state.inner, data)
        here = self.solver.output(players, inner)
        ours = state._replace(inner=None, steps=state.steps + 1)
        ours = jax.lax.cond(
            ours.steps % self.period == 0,
            lambda: self._look(game, here, ours, data),
            lambda: ours,
        )
        return players, ours._replace(inner=inner)

    def evaluations(self, steps: Int[Array, ""], state: SemismoothNewtonState) -> Int[Array, ""]:
        return self.solver.evaluations(steps, state.inner) + state.spent

    def output(self, players: PyTree, state: SemismoothNewtonState) -> PyTree:
        reported = self.solver.output(players, state.inner)
        found = eqx.combine(state.found, reported)
        return _tree.where(state.leads, found, reported)

    def stats(self, state: SemismoothNewtonState) -> dict[str, Array]:
        return self.solver.stats(state.inner) | {"newton_attempts": state.attempts}

    def _look(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SemismoothNewtonState,
        data: PyTree,
    ) -> SemismoothNewtonState:
        """From the better of what the solver inside reports and what was found before: an attempt,
        if it is time for one."""
        vector, unravel = ravel_pytree(_tree.variables(players))
        kind = state.residual.dtype  # single precision or better
        problem = _problem(game, players, data, self.step_size, kind)
        here = vector.astype(kind)
        residual = jnp.linalg.norm(problem.natural_map(here))
        leads = state.leads & (state.residual <= residual)
        here = jnp.where(leads, ravel_pytree(state.found)[0].astype(kind), here)
        residual = jnp.where(leads, state.residual, residual)

        tries = (residual <= _RETRY * state.tried) & (residual > 0)
        zero = jnp.zeros((), int)
        end = jax.lax.while_loop(
            lambda at: at.goes_on & (at.steps < _MOST_STEPS),
            lambda at: self._newton(problem, at),
            _Iterate(here, residual, tries, zero, zero),
        )
        succeeds = end.residual <= _SUCCESS * residual
        return state._replace(
            found=unravel(jnp.where(succeeds, end.vector, here).astype(vector.dtype)),
            residual=jnp.where(succeeds, end.residual, residual),
            leads=leads | succeeds,
            tried=jnp.where(tries, residual, state.tried),
            spent=state.spent + 1 + end.spent,
            attempts=state.attempts + tries,
        )

    def _newton(self, problem: _Problem, at: _Iterate) -> _Iterate:
        """One Newton step, as much of it as helps."""
        back, product = jax.linearize(problem.natural_map, at.vector)
        eps = float(jnp.finfo(back.dtype).eps)
        m = self.regularization.astype(back.dtype) * jnp.clip(at.residual, eps**0.25, 1)
        accuracy = jnp.clip(at.residual, 10 * eps, 1e-3)
        direction, _, products = gmres(lambda v: product(v) + m * v, -back, self.size, accuracy)

        def shorter(last: _Trial) -> _Trial:
            part = last.part / 2
            vector = problem.project(at.vector + part * direction)
            residual = jnp.linalg.norm(problem.natural_map(vector))
            return _Trial(part, vector, residual, last.attempts + 1)

        def falls(trial: _Trial) -> Array:
            return trial.residual <= (1 - trial.part / 2) * at.residual

        infinite = jnp.full_like(at.residual, jnp.inf)
        untried = _Trial(jnp.full_like(m, 2), at.vector, infinite, jnp.zeros((), int))
        trial = jax.lax.while_loop(
            lambda trial: ~falls(trial) & (trial.part > _SHORTEST), shorter, untried
        )
        return _Iterate(
            jnp.where(falls(trial), trial.vector, at.vector),
            jnp.where(falls(trial), trial.residual, at.residual),
            falls(trial) & (trial.residual > 0),
            at.steps + 1,
            at.spent + 1 + products + trial.attempts,
        )


def _problem(
    game: AbstractGame,
    players: PyTree,
    data: PyTree,
    step_size: Float[Array, ""],
    kind: jnp.dtype,
) -> _Problem:
    """Everything for one vector instead of players: that is what GMRES takes."""
    vector, unravel = ravel_pytree(_tree.variables(players))

    def as_players(z: Float[Array, " n"]) -> PyTree:
        return eqx.combine(unravel(z.astype(vector.dtype)), players)

    def as_vector(tree: PyTree) -> Float[Array, " n"]:
        return ravel_pytree(_tree.variables(tree))[0].astype(kind)

    def natural_map(z: Float[Array, " n"]) -> Float[Array, " n"]:
        here = as_players(z)
        return as_vector(game.natural_map(here, game.operator(here, data), step_size))

    return _Problem(natural_map, lambda z: as_vector(game.project(as_players(z))))


def example() -> SemismoothNewton:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return SemismoothNewton(period=20)
