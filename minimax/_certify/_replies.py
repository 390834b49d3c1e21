"""Each side of a game alone against the others as they are."""

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._constraints.base import AbstractCompactSet, AbstractConstraint, AbstractRegularizer
from minimax._game import AbstractGame, Variable
from minimax._polynomial import degrees
from minimax._roles import sign_of_each

Point = list[list[Array]]
"""Leaves of each side."""


class Side(NamedTuple):
    """One decision: the leaves that descend `sign` times the payoff of this number together."""

    payoff: int
    sign: float
    mine: tuple[int, ...]
    places: tuple[str, ...]
    unbounded: str | None


class Replies(AbstractGame):
    """Every side alone against the others as they are: its players are one list of leaves per
    side, its payoffs what each side descends."""

    game: AbstractGame
    data: PyTree
    leaves: list[Array]
    rest: PyTree
    structure: Any = eqx.field(static=True)
    sides: list[Side]
    constraints: list[list[AbstractConstraint | None]]
    roles = "min"

    def payoff(self, players: PyTree, data: PyTree = None) -> list[Array]:
        del data
        return [self._descended(side, own) for side, own in zip(self.sides, players, strict=True)]

    def whole(self, side: Side, own: list[Array]) -> PyTree:
        """The players of the game with what one side decides replaced."""
        leaves = list(self.leaves)
        for i, leaf in zip(side.mine, own, strict=True):
            leaves[i] = leaf
        return eqx.combine(jax.tree.unflatten(self.structure, leaves), self.rest)

    def present(self) -> list[list[Array]]:
        """What each side plays now."""
        return [[self.leaves[i] for i in side.mine] for side in self.sides]

    def _descended(self, side: Side, own: list[Array]) -> Array:
        payoffs = jax.tree.leaves(self.game.value(self.whole(side, own), self.data))
        return side.sign * payoffs[side.payoff]


def replies_of(game: AbstractGame, players: PyTree, data: PyTree) -> Replies:
    """Everybody who decides: the leaves of one payoff and one role do so together."""
    variables, rest = _tree.partition(players)
    leaves, structure = jax.tree.flatten(variables)
    each = game.variables_of(players)
    payoffs = eqx.filter_eval_shape(game.value, players, data)
    owners = jax.tree.leaves(_tree.numbered(payoffs, variables, "payoff"))
    signs = jax.tree.leaves(sign_of_each(game.roles, variables))
    keys = list(zip(owners, signs, strict=True))
    sides = []
    for key in dict.fromkeys(keys):
        mine = tuple(i for i, other in enumerate(keys) if other == key)
        unbounded = filter(None, (_unbounded(each[i]) for i in mine))
        places = tuple(each[i].place for i in mine)
        sides.append(Side(*key, mine, places, next(unbounded, None)))
    return Replies(
        game=game,
        data=data,
        leaves=leaves,
        rest=rest,
        structure=structure,
        sides=sides,
        constraints=[[each[i].constraint for i in side.mine] for side in sides],
    )


def _unbounded(variable: Variable) -> str | None:
    """Why nothing bounds what this one can gain."""
    if variable.constraint is None:
        return f"{variable.place} is free"
    if not variable.constraint.is_convex:
        return f"{variable.place} has {variable.constraint!r}, which is not convex"
    if not isinstance(variable.constraint, (AbstractCompactSet, AbstractRegularizer)):
        return f"{variable.place} has {variable.constraint!r}, which is unbounded"
    return None


def are_linear(replies: Replies) -> list[bool]:
    """Whether the payoff of each side is proved to be affine in what it decides."""
    point = replies.present()
    everything = [[True]] * len(jax.tree.leaves(point))
    payoffs = degrees(replies.value, point, everything)
    slopes = iter(degrees(replies.operator, point, everything))
    flat = [all([next(slopes)[0] == 0 for _ in own]) for own in point]
    return [degree[0] <= 1 and is_flat for degree, is_flat in zip(payoffs, flat, strict=True)]


def costs_of(replies: Replies, point: Point) -> list[Array]:
    """What each side descends, with its regularisers."""
    payoffs = jax.tree.leaves(replies.value(point))
    return [f + g for f, g in zip(payoffs, penalties_of(replies, point), strict=True)]


def penalties_of(replies: Replies, point: Point) -> list[Array]:
    """What the regularisers of each side add."""
    return [
        functools.reduce(
            jnp.add,
            [
                constraint.value(x)
                for x, constraint in zip(own, constraints, strict=True)
                if isinstance(constraint, AbstractRegularizer)
            ],
            jnp.zeros((), jnp.result_type(*own)),
        )
        for own, constraints in zip(point, replies.constraints, strict=True)
    ]
