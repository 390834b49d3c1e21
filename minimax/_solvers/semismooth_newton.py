"""Proximal steps by semismooth Newton, around any solver."""

from collections.abc import Callable
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PyTree

from minimax import _tree
from minimax._errors import check_whole
from minimax._game import AbstractGame
from minimax._solvers._gmres import gmres
from minimax._solvers._wrapper import AbstractWrapper, residual
from minimax._solvers.adaptive_extra_gradient import AdaptiveExtraGradient
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size
from minimax._structure import structure_of

_DEAR = 10
"""Evaluations per dimension that take about as much time as an attempt."""
_MOST_LOOKS = 200
"""Points looked at in an attempt."""
_PATIENCE = 5
"""Newton steps for one proximal step."""
_LONGER, _SHORTER = 3.0, 0.1
"""What a proximal step that was found, or was not, does to the length of the next one."""
_MOST_ROUNDING = 1e-2
"""How much of R may be rounding, for players of length one: at more a way to infinity would look
like a solution."""
_EXACT = 0.1
"""How much of a proximal step may be missing."""
_SLOW = 0.5
"""How much less far the next proximal step must go, for its length, to be worth another."""
_SHORTEST = 1 / 8
"""The least part of a Newton step that is tried."""


class SemismoothNewtonState(NamedTuple):
    """`inner`: the state of the inner solver; `found`: the best players that an attempt ended at,
    and `residual`: the natural residual there; `leads`: whether that is less than where the inner
    solver is; `due`: the evaluations of the inner solver at which the next attempt begins; `steps`:
    how many have been made; `spent`: evaluations besides those of the inner solver; `attempts`: how
    many."""

    inner: PyTree
    found: PyTree
    residual: Float[Array, ""]
    leads: Bool[Array, ""]
    due: Int[Array, ""]
    steps: Int[Array, ""]
    spent: Int[Array, ""]
    attempts: Int[Array, ""]


class _Problem(NamedTuple):
    """The game for players as one vector: the operator F; what it costs, in evaluations; its
    Jacobian, where that is constant and known; how fast F changes; the map z, d, c to
    z - P(z - c d); and the projection."""

    operator: Callable[[Array], Array]
    cost: int
    jacobian: Float[Array, "n n"] | None
    steepness: Float[Array, ""]
    natural_map: Callable[[Array, Array, Array], Array]
    project: Callable[[Array], Array]


class _Search(NamedTuple):
    """For the zero of R(z) = z - P(centre - c F(z)), c the `step_size`.

    `start`: where the search for it began; `here`: where it is; `residual`: |R| there, infinite
    where that is not known yet; `direction`: of Newton's step from there; `part`: what to try of
    it; `tries`: how many such steps; `goes_on`: whether there is more to a proximal step than
    rounding; `pace`: how far the last one went, for its length; `looks`: at how many points, for
    all proximal steps; `spent`: evaluations."""

    centre: Float[Array, " n"]
    step_size: Float[Array, ""]
    start: Float[Array, " n"]
    here: Float[Array, " n"]
    residual: Float[Array, ""]
    direction: Float[Array, " n"]
    part: Float[Array, ""]
    tries: Int[Array, ""]
    goes_on: Bool[Array, ""]
    pace: Float[Array, ""]
    looks: Int[Array, ""]
    spent: Int[Array, ""]


@final
class SemismoothNewton(AbstractWrapper):
    r"""Finishes what another solver has begun: solutions to machine precision.

    The solver inside runs as it would alone. Now and then `solve`, where it looks, attempts to go
    on from what it reports by longer and longer proximal steps,

    $$z_{k+1} = P(z_k - c_k F(z_{k+1})), \qquad c_{k+1} = 3 c_k,$$

    each found by Newton's method on the map $R(z) = z - P(z_k - c F(z))$: $J d = -R(z)$ with a
    generalised Jacobian $J \in \partial R(z)$, and $z^+ = z + t d$ with the first t of 1, 1/2, 1/4
    with $\|R(z^+)\| \le (1 - t/2) \|R(z)\|$, or 1/8. Where five Newton steps are not enough, it
    begins again with a tenth of c.

    Where F is monotone and differentiable J is invertible for every c: it is $I + c D F'$ with
    symmetric $0 \preceq D \preceq I$, a v with $J v = 0$ is in the range of D, and
    $\langle v, D^+ v \rangle = -c \langle v, F' v \rangle \le 0$. Every exact proximal step brings
    the players nearer to every solution; their distance to the solutions falls superlinearly where
    it is bounded by a multiple of the residual, and on linear programs and matrix games it is zero
    after finitely many steps. That Newton's method finds a proximal step is proven for short ones
    alone; where R is piecewise affine, as on polyhedra with affine F, one that finds it does so
    exactly.

    An attempt ends where a proximal step is no more than rounding. What is reported from then on is
    the best end of an attempt, or what the solver inside reports, wherever the natural residual is
    less.

    The first attempt begins once the solver inside has made 10 evaluations per dimension, and the
    next one once it has made twice as many as at the last. Where F is proved to be affine and has
    no more than `size` dimensions, an attempt forms its Jacobian, by one evaluation and one product
    for each dimension, and solves dense systems. Elsewhere the systems are solved by GMRES, from at
    most `size` products, with one evaluation for each t; and an attempt ends once it has made as
    many as the solver inside.

    In a loop of your own call `refine` now and then: without it nothing is attempted.

    **Arguments:**

    - `solver`: any solver; by default `AdaptiveExtraGradient()`.
    - `step_size`: the first $c > 0$; what it should be is found out.
    - `size`: the most dimensions of a Jacobian that is formed, the most products per Newton step
      elsewhere, and the vectors that GMRES keeps in memory.

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

    Source: proximal steps: Rockafellar, "Monotone operators and the proximal point algorithm", SIAM
    J. Control Optim. 14 (1976); Newton steps: Qi and Sun, "A nonsmooth version of Newton's method",
    Math. Program. 58 (1993); both together: Li, Sun and Toh, "An asymptotically superlinearly
    convergent semismooth Newton augmented Lagrangian method for linear programming", SIAM J. Optim.
    30 (2020), arXiv:1903.09546. The rules of when to begin and what to accept are ours.
    """

    solver: AbstractSolver = eqx.field(default_factory=AdaptiveExtraGradient)
    step_size: Float[Array, ""] = eqx.field(default=1.0, converter=as_step_size)
    size: int = eqx.field(default=200, static=True)

    def __check_init__(self) -> None:
        check_whole("size", self.size)

    @property
    def compares_points(self) -> bool:
        return True

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> SemismoothNewtonState:
        found = _tree.variables(players)
        dimensions = sum(leaf.size for leaf in jax.tree.leaves(found))
        return SemismoothNewtonState(
            inner=self.solver.init(game, players, data),
            found=found,
            residual=jnp.full((), jnp.inf, _tree.norm(found).dtype),
            leads=jnp.asarray(False),
            due=jnp.full((), _DEAR * min(dimensions, self.size), int),
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
        return players, state._replace(inner=inner, steps=state.steps + 1)

    def refine(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SemismoothNewtonState,
        data: PyTree = None,
    ) -> SemismoothNewtonState:
        inner = self.solver.refine(game, players, state.inner, data)
        here = self.solver.output(players, inner)
        made = self.solver.evaluations(state.steps, inner)

        def attempted(ours: SemismoothNewtonState) -> SemismoothNewtonState:
            return self._attempt(game, here, ours, made, data)

        def compared(ours: SemismoothNewtonState) -> SemismoothNewtonState:
            leads = ours.residual < residual(game, here, data)
            return ours._replace(leads=leads, spent=ours.spent + 1)

        ours = _if(made >= state.due, attempted, state._replace(inner=None))
        ours = _if(jnp.isfinite(ours.residual), compared, ours)
        return ours._replace(inner=inner)

    def evaluations(self, steps: Int[Array, ""], state: SemismoothNewtonState) -> Int[Array, ""]:
        return self.solver.evaluations(steps, state.inner) + state.spent

    def output(self, players: PyTree, state: SemismoothNewtonState) -> PyTree:
        reported = self.solver.output(players, state.inner)
        found = eqx.combine(state.found, reported)
        return _tree.where(state.leads, found, reported)

    def stats(self, state: SemismoothNewtonState) -> dict[str, Array]:
        return self.solver.stats(state.inner) | {"newton_attempts": state.attempts}

    def _attempt(
        self,
        game: AbstractGame,
        players: PyTree,
        state: SemismoothNewtonState,
        made: Int[Array, ""],
        data: PyTree,
    ) -> SemismoothNewtonState:
        """Proximal steps from what the solver inside reports. `made`: its evaluations."""
        vector, unravel = ravel_pytree(_tree.variables(players))
        start = vector.astype(jnp.promote_types(vector.dtype, jnp.float32))
        problem, spent = self._posed(game, players, start, data)
        longest = _MOST_ROUNDING / (float(jnp.finfo(start.dtype).eps) * problem.steepness)

        def goes_on(at: _Search) -> Array:
            is_cheap = (at.looks < _MOST_LOOKS) & (at.spent < made)
            return at.goes_on & is_cheap & (at.step_size <= longest)

        end = jax.lax.while_loop(
            goes_on,
            lambda at: self._look(problem, at),
            self._begin(start, spent),
        )
        found = unravel(_after_short_step(problem, end.centre).astype(vector.dtype))
        reached = residual(game, eqx.combine(found, players), data)
        better = reached < state.residual
        return state._replace(
            found=_tree.where(better, found, state.found),
            residual=jnp.where(better, reached, state.residual),
            due=2 * made,
            spent=state.spent + end.spent + problem.cost + 1,
            attempts=state.attempts + 1,
        )

    def _posed(
        self, game: AbstractGame, players: PyTree, start: Float[Array, " n"], data: PyTree
    ) -> tuple[_Problem, int]:
        """The game for vectors, and how many evaluations that took."""
        vector, unravel = ravel_pytree(_tree.variables(players))

        def as_players(z: Array) -> PyTree:
            return eqx.combine(unravel(z.astype(vector.dtype)), players)

        def as_vector(tree: PyTree) -> Array:
            return ravel_pytree(_tree.variables(tree))[0].astype(start.dtype)

        def operator(z: Array) -> Array:
            return as_vector(game.operator(as_players(z), data))

        def natural_map(z: Array, d: Array, c: Array) -> Array:
            direction = _tree.variables(as_players(d))
            return as_vector(game.natural_map(as_players(z), direction, c))

        def project(z: Array) -> Array:
            return as_vector(game.project(as_players(z)))

        if start.size <= self.size and structure_of(game, players, data).is_affine:
            constant, product = jax.linearize(operator, jnp.zeros_like(start))
            matrix = jax.lax.map(product, jnp.eye(start.size, dtype=start.dtype)).T

            def formed(z: Array) -> Array:
                return jnp.matmul(matrix, z, precision="highest") + constant

            steepness = jnp.linalg.norm(matrix)
            return _Problem(formed, 0, matrix, steepness, natural_map, project), 1 + start.size
        value, product = jax.linearize(operator, start)
        size = jnp.linalg.norm(value)
        steepness = jnp.linalg.norm(product(value)) / jnp.where(size > 0, size, 1)
        return _Problem(operator, 1, None, steepness, natural_map, project), 2

    def _begin(self, start: Float[Array, " n"], spent: int) -> _Search:
        unknown, zero = jnp.full((), jnp.inf, start.dtype), jnp.zeros((), int)
        return _Search(
            centre=start,
            step_size=self.step_size.astype(start.dtype),
            start=start,
            here=start,
            residual=unknown,
            direction=jnp.zeros_like(start),
            part=jnp.ones_like(unknown),
            tries=zero,
            goes_on=jnp.asarray(True),
            pace=unknown,
            looks=zero,
            spent=zero + spent,
        )

    def _look(self, problem: _Problem, at: _Search) -> _Search:
        """A look at the end of a part of a Newton step, and where to look next. Points may leave
        the set; proximal steps come back."""
        centre, c = at.centre, at.step_size
        z = at.here + at.part * at.direction
        F = problem.operator(z)

        def residual_map(z: Array, F: Array) -> Array:
            return z - centre + problem.natural_map(centre, F, c)

        back, change = jax.linearize(lambda F: residual_map(z, F), F)
        residual, moved = jnp.linalg.norm(back), jnp.linalg.norm(z - centre)
        # How exact R is at best: the terms of F are as large as F, or as what they take away.
        length, eps = jnp.linalg.norm(z), float(jnp.finfo(z.dtype).eps)
        terms = jnp.linalg.norm(F) + problem.steepness * length
        rounding = 10 * eps * (length + c * terms)
        helps = (residual <= (1 - at.part / 2) * at.residual) | (at.part <= _SHORTEST)
        found = helps & (residual <= _EXACT * moved + rounding)
        gives_up = helps & ~found & (at.tries >= _PATIENCE)
        turns = helps & ~found & ~gives_up

        def newton() -> tuple[Array, Int[Array, ""]]:
            if problem.jacobian is not None:
                identity = jnp.eye(z.size, dtype=z.dtype)
                jacobian = identity + jax.vmap(change, 1, 1)(problem.jacobian)
                return jnp.linalg.solve(jacobian, -back), jnp.zeros((), int)
            _, product = jax.linearize(lambda z: residual_map(z, problem.operator(z)), z)
            direction, _, products = gmres(product, -back, self.size, _EXACT / 10)
            return direction, products

        # A step that is nothing because it is short says nothing; and what is no more than rounding
        # may be, goes on while it helps.
        pace = moved / c
        ends = (moved <= rounding) & (length <= c * terms) & (pace >= _SLOW * at.pace)
        nothing = jnp.zeros_like(z), jnp.zeros((), int)
        direction, spent = jax.lax.cond(turns, newton, lambda: nothing)
        return _Search(
            centre=jnp.where(found, z, centre),
            step_size=jnp.where(found, _LONGER * c, jnp.where(gives_up, _SHORTER * c, c)),
            start=jnp.where(found, z, at.start),
            here=jnp.where(gives_up, at.start, jnp.where(helps, z, at.here)),
            residual=jnp.where(turns, residual, jnp.where(helps, jnp.inf, at.residual)),
            direction=jnp.where(helps, direction, at.direction),
            part=jnp.where(helps, 1, at.part / 2),
            tries=jnp.where(found | gives_up, 0, at.tries + turns),
            goes_on=~(found & ends),
            pace=jnp.where(found, pace, at.pace),
            looks=at.looks + 1,
            spent=at.spent + problem.cost + spent,
        )


def _if(
    condition: Array,
    change: Callable[[SemismoothNewtonState], SemismoothNewtonState],
    state: SemismoothNewtonState,
) -> SemismoothNewtonState:
    """`change(state)` where the condition holds: a loop of at most one pass, and not a branch, of
    which `vmap` would take both."""
    _, state = jax.lax.while_loop(
        lambda carry: carry[0],
        lambda carry: (jnp.asarray(False), change(carry[1])),
        (condition, state),
    )
    return state


def _after_short_step(problem: _Problem, z: Float[Array, " n"]) -> Float[Array, " n"]:
    """Where a short step P(z - c F(z)) leads. What a solution has on its boundary it has exactly:
    zeros of a sparse one are zeros, and not 1e-26."""
    z = problem.project(z)
    short = 1 / jnp.where(problem.steepness > 0, problem.steepness, 1)
    return z - problem.natural_map(z, problem.operator(z), short)


def example() -> SemismoothNewton:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return SemismoothNewton()
