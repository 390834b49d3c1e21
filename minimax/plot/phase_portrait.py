"""The paths of solvers through the field that they follow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax.plot import _coordinates, _style, _view
from minimax.plot._runs import Run, as_runs

_GRID_POINTS = 21


def phase_portrait(
    game: AbstractGame,
    solutions: PyTree,
    equilibrium: PyTree = None,
    axes: tuple[str, str] | None = None,
    data: PyTree = None,
    view: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ax: _style.Axes = None,
) -> _style.Axes:
    """The paths of solvers through the field -F, along which every player would like to move.

    A hollow dot marks where a path starts, a full one where it ends, an arrow where it leaves the
    picture: runs that diverge do not decide how much is shown. Averages are dashed. The field is
    that of the payoff alone; constraints bend paths, not the field.

    **Arguments:**

    - `game`: the game that was solved.
    - `solutions`: one `Solution` with a trace, a list of them, or a dict `{label: Solution}`.
    - `equilibrium`: players to mark with a star.
    - `axes`: the two scalar variables to draw, each as the picture would label it: `"x"`,
      `"x[0]"`, `"net.weight[0, 1]"`, `"players[1]"`. Not needed where the players have just two.
      The other variables are held where the last of the solutions ended.
    - `data`: what the payoff gets as its second argument.
    - `view`: what to show, `((left, right), (bottom, top))`; by default a square around all that
      does not run away.
    - `ax`: where to draw.

    **Raises:** `GameError` where `axes` is needed or fits nothing, where the solutions or the
    equilibrium are not of one game, and for solutions without a trace or in a batch.

    ```python
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import minimax as mm
    >>> game = mm.Game(lambda p: p["x"] * p["y"], roles={"x": "min", "y": "max"})
    >>> players = {"x": 1.0, "y": 1.0}
    >>> solution = mm.solve(game, players, mm.ExtraGradient(0.5), record=1)
    >>> ax = mm.plot.phase_portrait(game, solution, equilibrium={"x": 0.0, "y": 0.0})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x', 'y')

    ```
    """
    runs = as_runs(solutions)
    held = runs[-1].solution.players
    plane = _coordinates.chosen_plane(held, axes)
    for run in runs:
        _coordinates.check_like(held, run.label, run.solution.players)
    paths = [_coordinates.points(run.solution.trace.players, plane) for run in runs]
    star = None
    if equilibrium is not None:
        equilibrium = as_players(equilibrium)
        _coordinates.check_like(held, "equilibrium", equilibrium)
        (star,) = _coordinates.points(equilibrium, plane)
    limits = _view.around(runs, paths, star) if view is None else np.asarray(view, float)
    if limits.shape != (2, 2) or not np.all(limits[:, 0] < limits[:, 1]):
        raise GameError(f"view is {view!r}: expected ((left, right), (bottom, top)).")

    ax = _style.axes_or_new(ax, (5.0, 5.0 + 0.2 * len(runs)))
    ax.grid(False)
    _draw_field(ax, game, held, data, plane, limits)
    for run, path in zip(runs, paths, strict=True):
        _draw_path(ax, run, path, limits)
    if star is not None:
        edge = dict(markeredgecolor=_style.INK, markeredgewidth=0.8)
        ax.plot(*star, "*", color=_style.STAR, markersize=14, zorder=6, **edge)
    across, up = plane
    ax.set(xlabel=across.label, ylabel=up.label, xlim=limits[0], ylim=limits[1], aspect="equal")
    ax.locator_params(nbins=6)
    _style.legend(ax)
    return ax


def _draw_field(
    ax: _style.Axes,
    game: AbstractGame,
    held: PyTree,
    data: PyTree,
    plane: _coordinates.Plane,
    view: np.ndarray,
) -> None:
    """Streamlines of -F over the view, with all other variables as in `held`."""
    leaves, structure = jax.tree.flatten(_tree.variables(held))

    def descent(point: jax.Array) -> jax.Array:
        moved = [jnp.asarray(leaf) for leaf in leaves]
        for coordinate, value in zip(plane, point, strict=True):
            leaf = moved[coordinate.leaf]
            moved[coordinate.leaf] = leaf.at[coordinate.entry].set(value.astype(leaf.dtype))
        players = eqx.combine(jax.tree.unflatten(structure, moved), held)
        operator = jax.tree.leaves(game.operator(players, data))
        return -jnp.stack([operator[c.leaf][c.entry].astype(float) for c in plane])

    x, y = (np.linspace(low, high, _GRID_POINTS) for low, high in view)
    points = jnp.stack(jnp.meshgrid(x, y), axis=-1).reshape(-1, 2)
    field = np.asarray(jax.jit(jax.vmap(descent))(points), float)
    field = np.ma.masked_invalid(field.T.reshape(2, _GRID_POINTS, _GRID_POINTS))
    if not np.ma.any(field):
        return  # streamlines of a field that vanishes (or is nowhere finite) divide by its length
    ax.streamplot(x, y, *field, color=_style.FIELD, linewidth=0.7, arrowsize=0.7, zorder=1)


def _draw_path(ax: _style.Axes, run: Run, path: np.ndarray, view: np.ndarray) -> None:
    dot = dict(color=run.color, markersize=6, linestyle="none", zorder=5)
    ax.plot(*path[0], "o", markerfacecolor="white", markeredgewidth=1.5, **dot)
    shown = _view.until_exit(path, view)
    if shown is None:
        shown = path
        ax.plot(*path[-1], "o", markeredgecolor="white", markeredgewidth=0.8, **dot)
    else:
        arrow = dict(arrowstyle="-|>", color=run.color, linewidth=0, mutation_scale=14)
        arrow |= dict(shrinkA=0, shrinkB=0)
        ax.annotate("", xy=shown[-1], xytext=shown[-2], arrowprops=arrow, zorder=4)
    ax.plot(*shown.T, run.line, color=run.color, linewidth=1.5, label=run.label, zorder=3)
