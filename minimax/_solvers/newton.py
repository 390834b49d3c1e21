"""Regularised Newton steps with hyperplane projections."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._solvers._gmres import gmres
from minimax._solvers._jacobian import check_free
from minimax._solvers.base import AbstractSolver

_MOST_HALVINGS = 60


class NewtonState(NamedTuple):
    """`ahead`: the last w; `step_size`: its $\\lambda$; `evaluations`: how many have been made."""

    ahead: PyTree
    step_size: Float[Array, ""]
    evaluations: Int[Array, ""]


class _Trial(NamedTuple):
    """A part of the way: its $\\lambda$, F(w) at its end, and how many were tried."""

    step_size: Float[Array, ""]
    operator: Float[Array, " n"]
    separates: Array
    attempts: Int[Array, ""]


@final
class Newton(AbstractSolver):
    r"""Regularised Newton steps for monotone operators, globalised by hyperplane projections.

    $$(F'(z) + m I)\, d = -F(z), \quad m = \mu \sqrt{\|F(z)\|}, \qquad w = z + \lambda d, \qquad
      z^+ = z - \frac{\langle F(w), z - w \rangle}{\|F(w)\|^2} F(w),$$

    with the first $\lambda$ of 1, 1/2, 1/4, ... for which
    $-\langle F(w), d \rangle \ge \sigma m \|d\|^2$. Then the hyperplane
    $\langle F(w), \cdot - w \rangle = 0$ has z on one side and, where F is monotone, every solution
    on the other, and $z^+$ is the projection of z onto it: every step brings the players nearer to
    every solution, $\|z^+ - z^\star\|^2 \le \|z - z^\star\|^2 - \|z^+ - z\|^2$. So the method
    converges from anywhere, also where plain Newton steps diverge, and near a solution with
    invertible F' superlinearly; where F is affine $z^+ = w$ and the error becomes
    $m (F' + m I)^{-1} (z - z^\star)$.

    Reported is w. Near a solution $F(w) \approx -m d$ is smaller than $F(z)$ by a power, and the
    first to be lost to rounding: there w is still right to machine precision, when the hyperplane
    no longer is.

    The system is solved by GMRES from products of F' with vectors. An inexact d is taken where its
    error e is small enough for the theorem, $\|e\| \le \|m d\|/2$; else the direction is $-F(z)/m$,
    which the theorem also allows.

    One evaluation at z, one for each product, of which there are at most `size`, and one for each
    $\lambda$. Where F is not monotone, nothing is proven.

    **Arguments:**

    - `regularization`: $\mu > 0$.
    - `decrease`: $\sigma \in (0, 1/2)$.
    - `size`: the most products per step, and the vectors that GMRES keeps in memory.

    **Raises:** `GameError` for numbers outside these ranges; and for a game with constraints, where
    a Newton step is a variational inequality of its own: take `SemismoothNewton`.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: jnp.exp(players[0]) + players[0] * players[1])
    >>> solution = mm.solve(game, (3.0, 2.0), mm.Newton(), check_every=1)
    >>> print(solution.players[1].round(3), solution.steps < 20)
    -1.0 True

    ```

    Source: Solodov and Svaiter, "A globally convergent inexact Newton method for systems of
    monotone equations" (1998), algorithm 2.1.
    """

    regularization: Float[Array, ""] = eqx.field(default=1.0, converter=_tree.as_real)
    decrease: Float[Array, ""] = eqx.field(default=0.1, converter=_tree.as_real)
    size: int = eqx.field(default=100, static=True)

    def __check_init__(self) -> None:
        check_whole("size", self.size)
        number = self.regularization
        if is_known(number) and not 0 < float(number) < float("inf"):
            raise GameError(f"regularization is {number}: expected a finite number > 0.")
        if is_known(self.decrease) and not 0 < float(self.decrease) < 0.5:
            raise GameError(f"decrease is {self.decrease}: expected a number between 0 and 1/2.")

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del data
        check_free(game, players, "Newton", instead="mm.SemismoothNewton()")

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> NewtonState:
        self.check(game, players, data)
        ones = jnp.ones_like(_tree.norm(players))
        return NewtonState(_tree.variables(players), ones, jnp.zeros((), int))

    def step(
        self, game: AbstractGame, players: PyTree, state: NewtonState, data: PyTree = None
    ) -> tuple[PyTree, NewtonState]:
        vector, unravel = ravel_pytree(_tree.variables(players))
        kind = state.step_size.dtype  # single precision or better

        def operator(z: Float[Array, " n"]) -> Float[Array, " n"]:
            there = eqx.combine(unravel(z.astype(vector.dtype)), players)
            return ravel_pytree(game.operator(there, data))[0].astype(kind)

        z = vector.astype(kind)
        F, product = jax.linearize(operator, z)
        size = jnp.linalg.norm(F)
        m = self.regularization.astype(kind) * jnp.sqrt(size)
        # An error that is ever smaller beside m|d|, or F(w) would not be -md.
        accuracy = jnp.clip(0.1 * m * jnp.minimum(m, 1), 10 * jnp.finfo(kind).eps, 0.1)
        d, error, products = gmres(lambda v: product(v) + m * v, -F, self.size, accuracy)
        exact = error <= m * jnp.linalg.norm(d) / 2
        d = jnp.where(exact, d, -F / jnp.where(m > 0, m, 1))

        def halve(last: _Trial) -> _Trial:
            step_size = last.step_size / 2
            F_w = operator(z + step_size * d)
            separates = -F_w @ d >= self.decrease.astype(kind) * m * (d @ d)
            return _Trial(step_size, F_w, separates, last.attempts + 1)

        trial = jax.lax.while_loop(
            lambda trial: ~trial.separates & (trial.attempts < _MOST_HALVINGS),
            halve,
            _Trial(jnp.full_like(m, 2), F, jnp.asarray(False), jnp.zeros((), int)),
        )
        squared = trial.operator @ trial.operator
        back = -trial.step_size * (trial.operator @ d) / jnp.where(squared > 0, squared, 1)
        w = z + trial.step_size * d
        # Where F(w) is zero, w itself is a solution.
        z = jnp.where(squared > 0, z - back * trial.operator, w)
        moved = eqx.combine(unravel(z.astype(vector.dtype)), players)
        spent = state.evaluations + 1 + products + trial.attempts
        return moved, NewtonState(unravel(w.astype(vector.dtype)), trial.step_size, spent)

    def evaluations(self, steps: Int[Array, ""], state: NewtonState) -> Int[Array, ""]:
        del steps
        return state.evaluations

    def output(self, players: PyTree, state: NewtonState) -> PyTree:
        return eqx.combine(state.ahead, players)

    def stats(self, state: NewtonState) -> dict[str, Array]:
        return {"step_size": state.step_size}


def example() -> Newton:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return Newton()
