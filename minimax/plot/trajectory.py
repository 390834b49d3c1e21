"""The variables of the players over the steps."""

from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from minimax.plot import _coordinates, _style
from minimax.plot._runs import check_has_trace

_MOST_LABELS = 12
"""How many lines the legend names one by one."""

_MOST_LINES = 10
"""How many coordinates of one player, and how many players, are drawn one by one."""


def trajectory(solution: PyTree, ax: _style.Axes = None) -> _style.Axes:
    """The scalar variables of every player over the steps, one hue per player.

    Where there are many lines, the legend names those of one player together.
    A player with more than ten variables is shown by its Euclidean norm; so are all together where
    there are more than ten players. A player is what lies at the top of the pytree.

    **Arguments:**

    - `solution`: a `Solution` with a trace.
    - `ax`: where to draw.

    **Raises:** `GameError` for a solution without a trace or in a batch.

    ```python
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solution = mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.5), record=1)
    >>> ax = mm.plot.trajectory(solution)
    >>> [line.get_label() for line in ax.get_lines()]
    ['players[0]', 'players[1]']

    ```
    """
    trace = check_has_trace("solution", solution).trace
    steps = np.asarray(trace.steps)
    ax = _style.axes_or_new(ax, (5.6, 4.2))
    end = dict(marker="o", markersize=4, markevery=[-1])
    players = _lines_of_players(trace.players)
    one_each = sum(map(len, players)) > _MOST_LABELS
    for number, lines in enumerate(players):
        shades = _style.shades(_style.hue(number), len(lines))
        for place, (shade, (label, values)) in enumerate(zip(shades, lines, strict=True)):
            if one_each and len(lines) > 1:  # a longer legend would leave no room for the picture
                label = f"{label} … {lines[-1][0]}" if place == 0 else "_" + label
            ax.plot(steps, values, color=shade, linewidth=1.6, label=label, **end)
    ax.set(xlabel="steps", ylabel="players")
    ax.margins(x=0.02)
    _style.legend(ax, beside=True)
    return ax


def _lines_of_players(players: PyTree) -> list[list[tuple[str, np.ndarray]]]:
    """For each player its lines: a label and one value per row."""
    children = jax.tree_util.tree_leaves_with_path(players, is_leaf=lambda x: x is not players)
    children = [(path, child) for path, child in children if jax.tree.leaves(child)]
    if len(children) > _MOST_LINES:
        children = [((), players)]
    return [_lines_of_player(path, child) for path, child in children]


def _lines_of_player(path: tuple[Any, ...], player: PyTree) -> list[tuple[str, np.ndarray]]:
    leaves = jax.tree_util.tree_leaves_with_path(player)
    columns = [(path + rest, np.asarray(leaf, float)) for rest, leaf in leaves]
    if sum(column[0].size for _, column in columns) > _MOST_LINES:
        rows = np.concatenate([column.reshape(len(column), -1) for _, column in columns], axis=1)
        return [(f"‖{_coordinates.label(path)}‖", np.linalg.norm(rows, axis=1))]
    return [
        (_coordinates.label(place, entry), column[:, *entry])
        for place, column in columns
        for entry in np.ndindex(column.shape[1:])
    ]
