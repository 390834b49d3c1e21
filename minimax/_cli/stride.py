"""How often a run on the command line is recorded."""

import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._players import as_players

MOST_ROWS = 10_000
MOST_BYTES = 2**26


def stride(players: PyTree, max_steps: int) -> int:
    """The steps between two rows of the trace: 1, 2 or 5 times a power of ten.

    Every step where that fits, because a picture of every fifth point of a rotation shows another
    rotation. Every row keeps the players, and memory is made for all rows that there could be.
    """
    row = sum(leaf.nbytes for leaf in jax.tree.leaves(_tree.variables(as_players(players))))
    rows = max(1, min(MOST_ROWS, MOST_BYTES // max(row, 1)))
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power * rows >= max_steps:
                return digit * power
        power *= 10
