"""`local_stability`: what kind of point a critical point is, from the game's Jacobian."""

import html
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._check import check_fits
from minimax._constraints.base import AbstractRegularizer
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._roles import number_of_each, role_of_each

LARGEST = 2000
"""Up to so many variables the Jacobian is held as a matrix."""

StabilityKind = Literal[
    "strict local Nash",
    "strict local minimax",
    "spurious attractor",
    "unstable",
    "undecided",
]


class Stability(NamedTuple):
    r"""What kind of point a critical point is.

    **Attributes:**

    - `kind`: the first of these that holds.
        - "strict local Nash": each player's own Hessian is definite, so that it loses by any small
          move.
        - "strict local minimax": in a zero-sum game, $\nabla^2_{yy} f \prec 0$ and
          $\nabla^2_{xx} f - \nabla^2_{xy} f\,(\nabla^2_{yy} f)^{-1} \nabla^2_{yx} f \succ 0$: x
          loses by any small move that y replies to.
        - "spurious attractor": small steps of gradient descent-ascent are drawn to it, since all
          eigenvalues have positive real parts, though it is neither of the above.
        - "unstable": some eigenvalue has a negative real part.
        - "undecided": some number that decides is zero up to rounding, so that higher derivatives
          decide.
    - `eigenvalues`: those of the Jacobian J of the operator F, by real part.
    - `own_curvature`: the least eigenvalue of each player's own block of J, symmetrised, in the
      order of the players; positive where the player is at a strict local optimum.
    - `step_size`: gradient descent-ascent with all steps below it contracts locally; zero where
      none does.
    - `residual`: $\|F(z)\|$ there: all of this is about a critical point.
    """

    kind: StabilityKind
    eigenvalues: np.ndarray
    own_curvature: np.ndarray
    step_size: float
    residual: float

    @property
    def attracts(self) -> bool:
        """Whether small steps of gradient descent-ascent are drawn to it."""
        return self.step_size > 0

    def __repr__(self) -> str:
        return "\n".join([f"Stability: {self.kind}", *self._rows()])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def _rows(self) -> list[str]:
        first = ", ".join(f"{each + 0:.3g}" for each in self.eigenvalues[:4])
        more = ", …" if self.eigenvalues.size > 4 else ""
        curvature = ", ".join(f"{each + 0:.3g}" for each in self.own_curvature)
        steps = f"below {self.step_size:.3g}" if self.attracts else "none"
        return [
            f"  eigenvalues    {first}{more}",
            f"  own curvature  {curvature}",
            f"  step size      {steps} (gradient descent-ascent)",
            f"  residual       {self.residual:.3g}",
        ]


def local_stability(
    game: AbstractGame, players: PyTree, data: PyTree = None, *, tol: float | None = None
) -> Stability:
    r"""What kind of critical point `players` are.

    The Jacobian J of the operator F by forward-mode derivatives, as a matrix, and its eigenvalues.
    Gradient descent-ascent with step size $\eta$ maps a deviation d to $(I - \eta J) d$, so it
    contracts where $|1 - \eta \lambda| < 1$ for every eigenvalue, which some step size achieves
    where all have positive real parts: those below $\min 2 \operatorname{Re} \lambda/|\lambda|^2$.

    **Arguments:**

    - `game`, `players`, `data`: as for `solve`. The players should be a critical point, F(z) = 0,
      with at most 2000 variables in all.
    - `tol`: how small a residual counts as critical; by default the fourth root of the machine
      epsilon, times $1 + \|z\|$.

    **Returns:** a `Stability`.

    **Raises:** `GameError` where players are not critical, where one is on the boundary of its set
    (what matters there is the critical cone, not the Jacobian), for regularisers, where there are
    too many variables, and under `jit` or `vmap`.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda p: -p[0] ** 2 + 3 * p[0] * p[1] - p[1] ** 2)
    >>> print(mm.local_stability(game, (0.0, 0.0)).kind)  # max over y first: x² 5/4
    strict local minimax

    ```

    Source: Jin, Netrapalli and Jordan, "What is local optimality in nonconvex-nonconcave minimax
    optimization?", ICML 2020, arXiv:1902.00618, proposition 5 and theorem 28; Mescheder, Nowozin
    and Geiger, "The numerics of GANs", arXiv:1705.10461.
    """
    check_fits(game, players, data)
    players, data = as_players(players), _tree.floats_as_arrays(data)
    if not is_known(*jax.tree.leaves((game, players, data))):
        raise GameError(
            "local_stability was called under jit or vmap: expected numbers that can be looked at."
        )
    variables = _tree.variables(players)
    size = sum(leaf.size for leaf in jax.tree.leaves(variables))
    if size > LARGEST:
        raise GameError(
            f"players have {size} variables: local_stability holds the Jacobian as a matrix, of at "
            f"most {LARGEST} rows. Fix some players, or look at a smaller instance."
        )
    _check_interior(game, players)
    operator, jacobian = (np.asarray(x, float) for x in _linearised(game, players, data))
    residual = float(np.linalg.norm(operator))
    epsilon = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(variables))
    reach = epsilon**0.25 * (1 + float(_tree.scaled_norm(variables)))
    if not residual <= (reach if tol is None else tol):
        raise GameError(
            f"players are no critical point: the operator has the norm {residual:.3g} there. Solve "
            "the game first, mm.solve(game, players).players, or raise tol."
        )
    if not np.all(np.isfinite(jacobian)):
        raise GameError("the Jacobian has entries that are infinite or NaN at these players.")
    drift = _drift(game, players, data, operator, jacobian)
    return _classified(game, players, data, jacobian, residual, epsilon, drift)


@eqx.filter_jit
def _linearised(game: AbstractGame, players: PyTree, data: PyTree) -> tuple[Array, Array]:
    """F(z), and its Jacobian by one forward derivative per variable."""
    variables, rest = _tree.partition(players)
    flat, unflatten = jax.flatten_util.ravel_pytree(variables)

    def operator(z: Array) -> Array:
        blocks = game.operator(eqx.combine(unflatten(z), rest), data)
        return jax.flatten_util.ravel_pytree(blocks)[0]

    return operator(flat), jax.jacfwd(operator)(flat)


def _drift(
    game: AbstractGame,
    players: PyTree,
    data: PyTree,
    operator: np.ndarray,
    jacobian: np.ndarray,
) -> float:
    """By how much J changes in one Newton step, which is about the way to the critical point."""
    step, *_ = np.linalg.lstsq(jacobian, -operator)
    flat, unflatten = jax.flatten_util.ravel_pytree(_tree.variables(players))
    ahead = eqx.combine(unflatten(flat + jnp.asarray(step, flat.dtype)), players)
    _, there = _linearised(game, ahead, data)
    change = np.asarray(there, float) - jacobian
    return float(np.linalg.norm(change, 2)) if np.all(np.isfinite(change)) else np.inf


def _check_interior(game: AbstractGame, players: PyTree) -> None:
    """Raises `GameError` where a set leaves a player less than a neighbourhood."""
    for each in game.variables_of(players):
        x, constraint = each.value, each.constraint
        if constraint is None:
            continue
        if isinstance(constraint, AbstractRegularizer):
            raise GameError(
                f"{each.place} has the regulariser {constraint!r}, of which the Jacobian knows "
                "nothing: put it into the payoff where it is smooth, and look there."
            )
        # Inside, and only there, all small steps stay as they are.
        reach = float(jnp.finfo(x.dtype).eps) ** 0.5 * (1 + float(jnp.max(jnp.abs(x), initial=0)))
        noise = np.random.default_rng(0).normal(size=(2, *x.shape))
        steps = [sign * step for step in (np.ones(x.shape), *noise) for sign in (1.0, -1.0)]
        for step in steps:
            moved = x + reach * jnp.asarray(step, x.dtype)
            off = jnp.max(jnp.abs(constraint.project(moved) - moved), initial=0)
            if float(off) > reach / 100:
                raise GameError(
                    f"{each.place} is on the boundary of {constraint!r}, or that "
                    "is no set with an interior: expected a point with all of a neighbourhood in "
                    "its set, since the Jacobian knows no sets."
                )


def _classified(
    game: AbstractGame,
    players: PyTree,
    data: PyTree,
    jacobian: np.ndarray,
    residual: float,
    epsilon: float,
    drift: float,
) -> Stability:
    variables = _tree.variables(players)
    owners = _entries(number_of_each(game.roles_of(players, data), variables), variables)
    roles = _entries(role_of_each(game.roles, variables), variables)
    eigenvalues = np.linalg.eigvals(jacobian)
    eigenvalues = eigenvalues[np.lexsort((eigenvalues.imag, eigenvalues.real))]
    own = np.array(
        [_least(jacobian[np.ix_(owners == i, owners == i)]) for i in dict.fromkeys(owners)]
    )
    # What rounding leaves of a number that is zero, on the scale of J, and what the way to the
    # critical point itself may change: at an inflection Newton's step halves the curvature.
    zero = max(float(32 * epsilon * len(owners) * np.linalg.norm(jacobian, 2)), 4 * drift)
    real = float(eigenvalues.real.min())
    is_zero_sum = len(jax.tree.leaves(game.value(players, data))) == 1 and {*roles} == {
        "min",
        "max",
    }
    minimax = _minimax_margin(jacobian, roles == "min", zero) if is_zero_sum else -np.inf
    kind: StabilityKind
    if own.min() > zero:
        kind = "strict local Nash"
    elif minimax > zero:
        kind = "strict local minimax"
    elif real < -zero:
        kind = "unstable"
    elif real <= zero or abs(own.min()) <= zero or abs(minimax) <= zero:
        kind = "undecided"
    else:
        kind = "spurious attractor"
    step_size = float(np.min(2 * eigenvalues.real / np.abs(eigenvalues) ** 2)) if real > zero else 0
    return Stability(kind, eigenvalues, own, float(step_size), residual)


def _minimax_margin(jacobian: np.ndarray, is_x: np.ndarray, zero: float) -> float:
    r"""How far from violated $-\nabla^2_{yy} f \succ 0$ and the Schur complement $\succ 0$ are,
    where $J = (\nabla^2_{xx} f, \nabla^2_{xy} f; -\nabla^2_{yx} f, -\nabla^2_{yy} f)$."""
    xx, xy = jacobian[np.ix_(is_x, is_x)], jacobian[np.ix_(is_x, ~is_x)]
    yx, yy = jacobian[np.ix_(~is_x, is_x)], jacobian[np.ix_(~is_x, ~is_x)]
    concave = _least(yy)
    if concave <= zero:
        return concave
    return min(concave, _least(xx - xy @ np.linalg.solve(yy, yx)))


def _least(matrix: np.ndarray) -> float:
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])


def _entries(labels: PyTree, variables: PyTree) -> np.ndarray:
    """The label of each entry, in the order in which the Jacobian has them."""
    pairs = zip(jax.tree.leaves(labels), jax.tree.leaves(variables), strict=True)
    return np.concatenate([np.full(leaf.size, label) for label, leaf in pairs])
