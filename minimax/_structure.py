"""What a game's program proves about its operator."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._polynomial import Degree, degrees
from minimax._roles import number_of_each, role_of_each

Player = tuple[int, int]
"""Who moves a variable: the number of its payoff and the number of its role, each among the leaves
of its pytree. One role may stand for several players, if each has a payoff."""


class Structure(NamedTuple):
    r"""What is proved about the operator F of a game; `False` means not proved.

    **Attributes:**

    - `is_affine`: $F(z) = M z + q$.
    - `is_own_linear`: every payoff is affine in what its own player controls.
    - `is_bilinear`: $f(x, y) = b^\top x + x^\top K y - c^\top y$, with all minimisers in x and all
      maximisers in y.
    """

    is_affine: bool
    is_own_linear: bool
    is_bilinear: bool


def structure_of(game: AbstractGame, players: PyTree, data: PyTree = None) -> Structure:
    """What the traced program of `game.operator` proves; nothing is computed."""
    proof = _proof(game, players, data)
    is_affine = all(block[proof.groups.index("everyone")] <= 1 for block in proof.operator)
    return Structure(
        is_affine=is_affine,
        is_own_linear=all(proof.is_linear(proof.who, player) for player in proof.who),
        is_bilinear=(
            len(proof.payoff) == 1
            and {*proof.sides} == {"min", "max"}
            and is_affine
            and all(proof.is_linear(proof.sides, side) for side in proof.sides)
        ),
    )


def own_linear(game: AbstractGame, players: PyTree, data: PyTree = None) -> list[Player]:
    """The players of whom it is proved that their payoffs are affine in what they control."""
    proof = _proof(game, players, data)
    return [player for player in dict.fromkeys(proof.who) if proof.is_linear(proof.who, player)]


class _Proof(NamedTuple):
    """Of each variable the player and the side; and the degrees of the operator's blocks and of
    the payoffs in all groups of variables."""

    who: list[Player]
    sides: list[str]
    groups: list[Any]
    operator: list[Degree]
    payoff: list[Degree]

    def is_linear(self, group_of: Sequence[Any], group: Any) -> bool:
        """Whether no block of a group depends on the group, and its payoff is affine in it. Both:
        an integer part of a payoff has no gradient, and a gradient may be a user's own."""
        index = self.groups.index(group)
        return all(
            block[index] == 0 and self.payoff[payoff][index] <= 1
            for block, (payoff, _), each in zip(self.operator, self.who, group_of, strict=True)
            if each == group
        )


def _proof(game: AbstractGame, players: PyTree, data: PyTree) -> _Proof:
    variables, rest = _tree.partition(as_players(players))
    sides = jax.tree.leaves(role_of_each(game.roles, variables))
    who = owners(game, players, data)
    groups = ["everyone", *sorted(set(sides)), *sorted(set(who))]
    members = [
        [group in ("everyone", side, player) for group in groups]
        for side, player in zip(sides, who, strict=True)
    ]

    def whole(variables: PyTree) -> PyTree:
        return eqx.combine(variables, rest)

    operator = degrees(lambda z: game.operator(whole(z), data), variables, members)
    payoff = degrees(lambda z: game.value(whole(z), data), variables, members)
    return _Proof(who, sides, groups, operator, payoff)


def owners(game: AbstractGame, players: PyTree, data: PyTree = None) -> list[Player]:
    """The player that each variable belongs to, variable by variable."""
    variables = _tree.variables(as_players(players))
    payoffs = eqx.filter_eval_shape(game.value, players, data)
    owner = jax.tree.leaves(_tree.numbered(payoffs, variables, "payoff"))
    roles = game.roles_of(players, data)
    return list(zip(owner, jax.tree.leaves(number_of_each(roles, variables)), strict=True))
