"""Step sizes that are found: a first guess, and look-aheads that are shortened until F can be
trusted there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._game import AbstractGame

_MOST_ATTEMPTS = 100  # at least a factor 0.7 each: from any step size to none


class Trial(NamedTuple):
    """A look ahead: its step size, the midpoint w, F(w), η‖F(w) - F(z)‖/‖w - z‖, ‖w - z‖, and how
    many were tried."""

    step_size: Float[Array, ""]
    midpoint: PyTree
    operator: PyTree
    ratio: Float[Array, ""]
    moved: Float[Array, ""]
    attempts: Int[Array, ""]


def probe(
    game: AbstractGame,
    players: PyTree,
    operator: PyTree,
    contraction: Float[Array, ""],
    data: PyTree,
) -> Float[Array, ""]:
    """A first step size: the contraction over how fast F changes a little way along -F. It takes
    one evaluation."""
    size = _tree.norm(operator)
    finest = max(jnp.finfo(x.dtype).eps for x in jax.tree.leaves(_tree.variables(players)))
    reach = max(1e-4, float(finest) ** 0.5) * jnp.maximum(1, _tree.norm(players))
    aside = _tree.add_scaled(players, -reach / jnp.where(size > 0, size, 1), operator)
    moved = _tree.norm(_tree.subtract(aside, players))
    changed = _tree.norm(_tree.subtract(game.operator(aside, data), operator))
    known = (changed > 0) & (moved > 0) & jnp.isfinite(changed)
    step_size = contraction * moved / jnp.where(known, changed, 1)
    return jnp.where(known, step_size, 1).astype(size.dtype)


def backtrack(
    game: AbstractGame,
    players: PyTree,
    operator: PyTree,
    step_size: Float[Array, ""],
    contraction: Float[Array, ""],
    data: PyTree,
) -> Trial:
    """Shrinks the step size until the look ahead is short enough for F to be trusted there, or so
    short that it is lost in the rounding of z, where shrinking would never end. `operator` is F at
    the players."""
    floor = 10 * jnp.finfo(step_size.dtype).eps * _tree.norm(players)

    def attempt(last: Trial) -> Trial:
        shrink = 0.7 * jnp.clip(1 / last.ratio, 0.1, 1)
        step_size = jnp.where(last.attempts == 0, last.step_size, shrink * last.step_size)
        midpoint = game.prox_step(players, operator, step_size)
        there = game.operator(midpoint, data)
        moved = _tree.norm(game.displacement(players, operator, step_size))
        changed = _tree.norm(_tree.subtract(there, operator))
        ratio = step_size * changed / jnp.where(moved > 0, moved, 1)
        # A look ahead that is not finite failed; but where F is NaN at z itself, no step is short
        # enough: let the loop find it.
        ratio = jnp.where(jnp.isfinite(ratio), ratio, jnp.inf)
        ratio = jnp.where(jnp.isnan(moved), 0, ratio)
        return Trial(
            step_size.astype(last.step_size.dtype),
            _tree.variables(midpoint),
            there,
            ratio.astype(last.ratio.dtype),
            moved,
            last.attempts + 1,
        )

    untried = Trial(
        step_size,
        _tree.variables(players),
        operator,
        jnp.full_like(step_size, jnp.inf),
        jnp.full_like(step_size, jnp.inf),
        jnp.zeros((), int),
    )
    return jax.lax.while_loop(
        lambda trial: (
            (trial.ratio > contraction)
            & ~(trial.moved <= floor)
            & (trial.attempts < _MOST_ATTEMPTS)
        ),
        attempt,
        untried,
    )


def grow(
    players: PyTree, operator: PyTree, trial: Trial, contraction: Float[Array, ""]
) -> Float[Array, ""]:
    """The step size to try next: longer, where the trial held by far. `players` are those that the
    trial led to, and `operator` is F where it began."""
    # Far beyond the players a longer step leads nowhere else, it only overflows one day.
    reach = trial.step_size * _tree.norm(operator)
    grows = (trial.ratio < contraction / 2) & (trial.moved > 0)
    grows = grows & (reach <= 100 * jnp.maximum(1, _tree.norm(players)))
    return jnp.where(grows, 1.2, 1.0).astype(trial.step_size.dtype) * trial.step_size


def project_on_hyperplane(
    game: AbstractGame,
    players: PyTree,
    operator: PyTree,
    trial: Trial,
    shift: float | Float[Array, ""],
    relaxation: float | Float[Array, ""],
) -> PyTree:
    r"""$z^+ = P(z - \lambda\alpha d)$ with $d = (z - w) - \gamma(F(z) - F(w))$ and
    $\alpha = \delta/\gamma + \langle z - w, d\rangle/\|d\|^2$, for $\delta/\gamma$ = `shift` and
    $\lambda$ = `relaxation`.

    All solutions lie beyond the hyperplane $\langle d, u - z\rangle = -\alpha\|d\|^2$ if F is at
    worst $\delta$-comonotone: $\lambda = 1$ projects on it.
    """
    back = _tree.subtract(players, trial.midpoint)
    change = _tree.subtract(operator, trial.operator)
    d = _tree.add_scaled(_tree.variables(back), -trial.step_size, change)
    squared = _tree.dot(d, d)
    alpha = shift + _tree.dot(back, d) / jnp.where(squared > 0, squared, 1)
    return game.project(_tree.add_scaled(players, -relaxation * alpha, d))
