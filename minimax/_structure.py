"""What a game's program proves about its operator."""

from typing import NamedTuple

import equinox as eqx
import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._polynomial import degrees
from minimax._roles import number_of_each, role_of_each


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
    variables, rest = _tree.partition(as_players(players))
    payoffs = eqx.filter_eval_shape(game.value, players, data)
    owner = _tree.numbered(payoffs, variables, "payoff")
    sides = jax.tree.leaves(role_of_each(game.roles, variables))
    numbers = jax.tree.leaves(number_of_each(game.roles, variables))
    who = list(zip(jax.tree.leaves(owner), numbers, strict=True))
    groups = ["everyone", *sorted(set(sides)), *sorted(set(who))]
    members = [
        [group in ("everyone", side, player) for group in groups]
        for side, player in zip(sides, who, strict=True)
    ]

    def whole(variables: PyTree) -> PyTree:
        return eqx.combine(variables, rest)

    operator = degrees(lambda z: game.operator(whole(z), data), variables, members)
    payoff = degrees(lambda z: game.value(whole(z), data), variables, members)

    def is_own_linear(own: list) -> bool:
        """Whether no block depends on its own group, and its payoff is affine in it. Both: an
        integer part of a payoff has no gradient, and a gradient may be a user's own."""
        return all(
            block[groups.index(group)] == 0 and payoff[i][groups.index(group)] <= 1
            for block, group, (i, _) in zip(operator, own, who, strict=True)
        )

    is_affine = all(block[groups.index("everyone")] <= 1 for block in operator)
    return Structure(
        is_affine=is_affine,
        is_own_linear=is_own_linear(who),
        is_bilinear=(
            len(payoff) == 1 and {*sides} == {"min", "max"} and is_affine and is_own_linear(sides)
        ),
    )
