r"""Regrets of mixed strategies, one simplex at a time.

A player x on a simplex of total t plays the strategy u = x/t of the game in which it has the
payoff at tu, hence the losses t F. All sums Q here are those of u, whose entries sum to one.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from minimax import _tree
from minimax._constraints.entropic_simplex import EntropicSimplex
from minimax._constraints.simplex import Simplex
from minimax._errors import GameError
from minimax._game import AbstractGame

SIMPLICES = (Simplex, EntropicSimplex)
"""The constraints that make a player's leaf a batch of mixed strategies, along their `axis`. Regret
matching measures no distances, so that of an `EntropicSimplex` makes no difference."""


def check_simplices(game: AbstractGame, players: PyTree, method: str) -> None:
    """Raises `GameError` where a player of `method` plays no mixed strategy."""
    for each in game.variables_of(players):
        if not isinstance(each.constraint, SIMPLICES):
            raise GameError(
                f"{method} is for mixed strategies; {each.place} has the constraint "
                f"{each.constraint!r}: expected mm.Simplex(). For other sets take "
                "mm.AdaptiveExtraGradient()."
            )


def regrets(game: AbstractGame, players: PyTree, operator: PyTree) -> PyTree:
    r"""How much better each action had done than the strategy, $r = \langle l, x\rangle 1 - t l$,
    for the losses $l = F(z)$ on a simplex of total t."""

    def regret(x: Array, simplex: Simplex, loss: Array) -> Array:
        alone = simplex.total.astype(x.dtype) * loss
        return jnp.sum(loss * x, axis=simplex.axis, keepdims=True) - alone

    return _tree.variables(_each_simplex(regret, game, players, operator))


def strategies(game: AbstractGame, players: PyTree, sums: PyTree) -> PyTree:
    r"""The strategies in proportion to `sums` >= 0; where those are all zero, `players`."""

    def strategy(x: Array, simplex: Simplex, q: Array) -> Array:
        sum_ = jnp.sum(q, axis=simplex.axis, keepdims=True)
        nothing = sum_ == 0
        share = q / jnp.where(nothing, 1, sum_)
        return jnp.where(nothing, x, simplex.total.astype(x.dtype) * share)

    return _each_simplex(strategy, game, players, sums)


def shares(game: AbstractGame, players: PyTree) -> PyTree:
    r"""The strategies $u = x/t$, which are sums to begin with."""

    def share(x: Array, simplex: Simplex, same: Array) -> Array:
        del same
        return x / simplex.total.astype(x.dtype)

    return _tree.variables(_each_simplex(share, game, players, players))


def project_above_simplex(game: AbstractGame, players: PyTree, sums: PyTree) -> PyTree:
    r"""The nearest point of $\{Q : Q \ge 0, \sum_a Q_a \ge 1\}$ for each simplex."""

    def project(x: Array, simplex: Simplex, q: Array) -> Float[Array, "..."]:
        del x
        positive = jnp.maximum(q, 0)
        enough = jnp.sum(positive, axis=simplex.axis, keepdims=True) >= 1
        return jnp.where(enough, positive, Simplex(axis=simplex.axis).project(q))

    return _tree.variables(_each_simplex(project, game, players, sums))


def _each_simplex(function, game: AbstractGame, players: PyTree, other: PyTree) -> PyTree:
    def of_simplex(x: Array, constraint: Simplex | EntropicSimplex, y: Array) -> Array:
        simplex = constraint if isinstance(constraint, Simplex) else Simplex(axis=constraint.axis)
        return function(x, simplex, y)

    return _tree.map_variables(of_simplex, players, game.constraint_of_each(players), other)
