"""Pictures of solutions: where a solver went, through which field, and how fast.

Every function draws on `ax`, or on a new figure where there is none, and returns the axes. None
shows or saves anything, and none changes matplotlib's settings. matplotlib is the extra `plot`,
imported when something is drawn. What is drawn is what was recorded: `solve(..., record=1)`.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._players import as_players

Axes = Any
"""`matplotlib.axes.Axes`, which cannot be named here because matplotlib may be missing."""

_MOST_LINES = 10
"""How many coordinates of one player, and how many players, `trajectory` draws one by one."""

# Okabe and Ito's palette, which stays distinct under every common colour blindness.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STAR = "#F0E442"
_INK, _FAINT, _FIELD, _GRID = "#333333", "#8a8a8a", "#cdcdcd", "#ececec"

_RATES = {"1/√k": 0.5, "1/sqrt(k)": 0.5, "1/k": 1.0, "1/k²": 2.0, "1/k^2": 2.0}
_GRID_POINTS = 21
_NEAR = 30  # times the way from start to solution; limit cycles are not that much larger


def phase_portrait(
    game: AbstractGame,
    solutions: PyTree,
    equilibrium: PyTree = None,
    axes: tuple[str, str] | None = None,
    data: PyTree = None,
    view: tuple[tuple[float, float], tuple[float, float]] | None = None,
    ax: Axes = None,
) -> Axes:
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
    runs = _runs(solutions)
    held = runs[-1].solution.players
    across, up = _chosen_coordinates(held, axes)
    for run in runs:
        _check_like(held, run.label, run.solution.players)
    paths = [_path(run.solution.trace.players, across, up) for run in runs]
    star = None
    if equilibrium is not None:
        _check_like(held, "equilibrium", as_players(equilibrium))
        star = _path(as_players(equilibrium), across, up)[0]
    limits = _view(runs, paths, star) if view is None else np.asarray(view, float)
    if limits.shape != (2, 2) or not np.all(limits[:, 0] < limits[:, 1]):
        raise GameError(f"view is {view!r}: expected ((left, right), (bottom, top)).")

    ax = _axes_or_new(ax, (5.0, 5.0 + 0.2 * len(runs)))
    _style(ax)
    ax.grid(False)
    _draw_field(ax, game, held, data, across, up, limits)
    for run, path in zip(runs, paths, strict=True):
        _draw_path(ax, run, path, limits)
    if star is not None:
        ax.plot(
            *star,
            "*",
            color=_STAR,
            markersize=14,
            markeredgecolor=_INK,
            markeredgewidth=0.8,
            zorder=6,
        )
    ax.set(xlabel=across.label, ylabel=up.label, xlim=limits[0], ylim=limits[1], aspect="equal")
    ax.locator_params(nbins=6)
    _legend(ax)
    return ax


def convergence(
    solutions: PyTree,
    against: Literal["evaluations", "steps"] = "evaluations",
    guides: Sequence[str] | None = None,
    scale: Literal["loglog", "semilogy"] = "loglog",
    ax: Axes = None,
) -> Axes:
    """The residual over the work it cost, on a log scale, with the tolerance as a thin line.

    A triangle at the lower edge marks a residual of exactly zero, one at the upper edge a residual
    that is not finite. A run that diverges leaves through the upper edge.

    **Arguments:**

    - `solutions`: one `Solution` with a trace, a list of them, or a dict `{label: Solution}`.
    - `against`: operator evaluations, which make methods comparable, or steps.
    - `guides`: rates to draw beside the curves: "1/√k" (or "1/sqrt(k)"), "1/k", "1/k²" (or
      "1/k^2"), with k what the horizontal axis counts.
    - `scale`: "loglog", where a rate 1/k is a straight line (the start, at zero evaluations, has no
      place there), or "semilogy", where linear convergence is one.
    - `ax`: where to draw.

    **Raises:** `GameError` for an unknown option, and for solutions without a trace or in a batch.

    ```python
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solution = mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.5), record=1)
    >>> ax = mm.plot.convergence(solution, guides=("1/k",))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('operator evaluations', 'natural residual')

    ```
    """
    _check_option("against", against, ("evaluations", "steps"))
    _check_option("scale", scale, ("loglog", "semilogy"))
    for guide in guides or ():
        _check_option("guide", guide, tuple(_RATES))
    runs = _runs(solutions)
    counts = [np.asarray(getattr(run.solution.trace, against)) for run in runs]
    residuals = [np.asarray(run.solution.trace.residual, float) for run in runs]
    tolerances = sorted({float(run.solution.tol) for run in runs} - {0.0, np.inf})

    ax = _axes_or_new(ax, (5.6, 3.8 + 0.2 * len(runs)))
    _style(ax)
    on_log = scale == "loglog" and any(np.any(count > 0) for count in counts)
    left, right = _span_of_counts(counts, on_log)
    bottom, top = _span_of_residuals(runs, residuals, tolerances)
    for run, count, residual in zip(runs, counts, residuals, strict=True):
        _draw_residual(ax, run, count, residual)
    for tolerance in tolerances:
        ax.axhline(tolerance, color=_FAINT, linewidth=0.8, zorder=1)
        _note_at_edge(ax, f"tolerance\n{tolerance:.3g}", tolerance)
    for guide in guides or ():
        _draw_guide(ax, guide, (left, right), (bottom, top), residuals, counts)
    ax.set_xscale("log" if on_log else "linear", **({"nonpositive": "mask"} if on_log else {}))
    ax.set_yscale("log", nonpositive="mask")
    ax.set(xlim=(left, right), ylim=(bottom, top))
    metrics = {run.solution.metric for run in runs}
    ax.set(
        xlabel="operator evaluations" if against == "evaluations" else "steps",
        ylabel=_as_words(metrics.pop()) if len(metrics) == 1 else "residual",
    )
    _legend(ax)
    return ax


def trajectory(solution: PyTree, ax: Axes = None) -> Axes:
    """The scalar variables of every player over the steps, one hue per player.

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
    trace = _run_with_trace("solution", solution).trace
    ax = _axes_or_new(ax, (5.6, 4.2))
    _style(ax)
    players = _lines_of_players(trace.players)
    for number, lines in enumerate(players):
        for shade, (label, values) in zip(
            _shades(_PALETTE[number % len(_PALETTE)], len(lines)), lines, strict=True
        ):
            end = dict(marker="o", markersize=4, markevery=[-1])
            ax.plot(np.asarray(trace.steps), values, color=shade, linewidth=1.6, label=label, **end)
    ax.set(xlabel="steps", ylabel="players")
    ax.margins(x=0.02)
    _legend(ax, beside=True)
    return ax


def overview(solution: PyTree, ax: Axes = None) -> Axes:
    """One solution at a glance: `convergence` beside `trajectory`. It is `Solution.plot`.

    **Arguments:**

    - `solution`: a `Solution` with a trace.
    - `ax`: where to draw; there is room for `convergence` only, then.

    **Returns:** a NumPy array with both axes of the new figure, or `ax`.

    **Raises:** `GameError` for a solution without a trace or in a batch.

    ```python
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> solution = mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.5), record=1)
    >>> left, right = solution.plot()
    >>> print(left.figure.get_suptitle())
    converged after ... steps of ExtraGradient

    ```
    """
    _run_with_trace("solution", solution)
    if ax is not None:
        return convergence(solution, scale="semilogy", ax=ax)
    figure, both = _pyplot().subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    convergence(solution, scale="semilogy", ax=both[0])
    both[0].get_legend().remove()  # its one entry is in the title
    trajectory(solution, ax=both[1])
    figure.suptitle(
        f"{solution.status.name} after {int(solution.steps)} steps of {solution.solver}",
        fontsize="large",
        color=_INK,
    )
    return both


class _Run(NamedTuple):
    """A solution and how it is drawn."""

    label: str
    solution: Any
    color: str
    style: str

    @property
    def escaped(self) -> bool:
        return self.solution.status.name in ("diverged", "nonfinite")


def _runs(solutions: PyTree) -> list[_Run]:
    """The solutions with a label, a colour and a line style each."""
    if isinstance(solutions, dict):
        named = [(str(label), solution) for label, solution in solutions.items()]
    else:
        several = isinstance(solutions, (list, tuple))
        named = [
            (f"solutions[{i}]" if several else "solution", solution)
            for i, solution in enumerate(solutions if several else [solutions])
        ]
    if not named:
        raise GameError("solutions is empty: there is nothing to plot.")
    checked = [(place, _run_with_trace(place, solution)) for place, solution in named]
    if not isinstance(solutions, dict):
        checked = _named_by_solver([solution for _, solution in checked])
    names = [solution.solver for _, solution in checked]
    # An average is dashed, in the colour of the run that it averages where that is drawn as well.
    inner = [_inside_averages(name) for name in names]
    leaders = [names.index(n) if names.count(n) == 1 else i for i, n in enumerate(inner)]
    order = sorted(set(leaders))
    return [
        _Run(
            label,
            solution,
            color=_PALETTE[order.index(leader) % len(_PALETTE)],
            style="-" if name == solution.solver else "--",
        )
        for (label, solution), leader, name in zip(checked, leaders, inner, strict=True)
    ]


def _inside_averages(solver: str) -> str:
    """The name of the solver that `solver` averages, or its own where it averages none."""
    match = re.fullmatch(r"Averaged\((.*)\)", solver)
    return _inside_averages(match[1]) if match else solver


def _named_by_solver(solutions: list[Any]) -> list[tuple[str, Any]]:
    names = [solution.solver for solution in solutions]
    return [
        (name if names.count(name) == 1 else f"{name} ({names[:i].count(name) + 1})", solution)
        for i, (name, solution) in enumerate(zip(names, solutions, strict=True))
    ]


def _run_with_trace(place: str, solution: Any) -> Any:
    """`solution`, checked to be a single one with a trace."""
    # Not isinstance: `_solution` imports this module, so this module cannot import `_solution`.
    if not (hasattr(solution, "trace") and hasattr(solution, "status_code")):
        raise GameError(f"{place} is {solution!r}: expected a Solution, as mm.solve returns it.")
    if not is_known(solution.status_code):
        raise GameError(f"{place} is traced by jit or vmap: plot it outside of them.")
    if solution.status_code.ndim:
        raise GameError(f"{place} is a {solution.message}: plot one member, such as solution[0].")
    if solution.trace is None:
        raise GameError(
            f"{place} has no trace, so there is nothing to plot: solve(..., record=1) keeps every "
            "iterate."
        )
    return solution


# ---- coordinates ------------------------------------------------------------------------------


class _Coordinate(NamedTuple):
    """A scalar variable: entry `entry` of the leaf number `leaf` among the variables."""

    label: str
    leaf: int
    entry: tuple[int, ...]


def _coordinates(players: PyTree) -> Iterator[_Coordinate]:
    """All scalar variables of `players`, in the order of the pytree."""
    leaves = jax.tree_util.tree_leaves_with_path(_tree.variables(players))
    for number, (path, leaf) in enumerate(leaves):
        for entry in np.ndindex(leaf.shape):
            yield _Coordinate(_label(path, entry), number, entry)


def _label(path: tuple[Any, ...], entry: tuple[int, ...] = ()) -> str:
    """The place `path` as the user would write it: `x`, `net.weight[0, 1]`, `players[0]`."""
    if path and isinstance(path[0], jax.tree_util.DictKey) and isinstance(path[0].key, str):
        place = path[0].key + jax.tree_util.keystr(path[1:])
    elif path and isinstance(path[0], jax.tree_util.GetAttrKey):
        place = jax.tree_util.keystr(path).removeprefix(".")
    else:
        place = _tree.place("players", path)
    return place + (str(list(entry)) if entry else "")


def _chosen_coordinates(
    players: PyTree, axes: tuple[str, str] | None
) -> tuple[_Coordinate, _Coordinate]:
    """The two coordinates to draw."""
    size = sum(leaf.size for leaf in jax.tree.leaves(_tree.variables(players)))
    some = [coordinate.label for coordinate in itertools.islice(_coordinates(players), 6)]
    known = ", ".join(some) + (f", … ({size} in all)" if size > len(some) else "")
    if axes is None and size == 2:
        across, up = _coordinates(players)
        return across, up
    if axes is None:
        raise GameError(
            f"a phase portrait draws two scalar variables and the players have {size} ({known}): "
            f"name two, for example axes=({some[0]!r}, {some[-1]!r})."
        )
    if isinstance(axes, str) or len(axes) != 2:
        raise GameError(f"axes is {axes!r}: expected the names of two scalar variables.")
    found = {c.label: c for c in _coordinates(players) if c.label in axes}
    for axis in axes:
        if axis not in found:
            raise GameError(f"axes names {axis!r}, which is no scalar variable: there are {known}.")
    return found[axes[0]], found[axes[1]]


def _check_like(held: PyTree, name: str, players: PyTree) -> None:
    """Raises `GameError` where `players` have other variables than `held`."""
    expected, given = (
        [
            (jax.tree_util.keystr(path), leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(_tree.variables(tree))
        ]
        for tree in (held, players)
    )
    if given != expected:
        raise GameError(
            f"{name} has the variables {given} and the last solution has {expected} (place and "
            "shape): a phase portrait draws players of one game."
        )


def _path(players: PyTree, *coordinates: _Coordinate) -> np.ndarray:
    """The values of the coordinates, of shape (rows, 2); one row where there is no axis of rows."""
    leaves = jax.tree.leaves(_tree.variables(players))
    columns = [np.asarray(leaves[c.leaf], float)[..., *c.entry] for c in coordinates]
    return np.stack([np.atleast_1d(column) for column in columns], axis=-1)


# ---- the phase portrait -----------------------------------------------------------------------


def _view(runs: list[_Run], paths: list[np.ndarray], star: np.ndarray | None) -> np.ndarray:
    """What is shown, as ((left, right), (bottom, top)): a square around all that stays near.

    How far is near is measured by the distance from the starts to the goals: the equilibrium and
    the ends of runs that converged, or else of runs that at least did not escape.
    """
    ended = list(zip(runs, (path[-1] for path in paths), strict=True))
    goals = [end for run, end in ended if run.solution.success]
    goals += [] if star is None else [star]
    goals = goals or [end for run, end in ended if not run.escaped]
    starts = np.stack([path[0] for path in paths])
    near = [starts, *(goal[None] for goal in goals)]
    distances = [_distance(starts, goal).max() for goal in goals]
    reach = _NEAR * max(distances, default=0) or 4 * (1 + np.abs(starts).max())
    leaving = False
    for run, path in zip(runs, paths, strict=True):
        beyond = _distance(path, path[0]) > reach
        if goals and (run.escaped or beyond.any()):
            leaving = True
        else:  # without goals there is nothing else to go by than how it begins
            near.append(path[: int(np.argmax(beyond))] if beyond.any() else path)
    points = np.concatenate(near)
    points = points[np.isfinite(points).all(axis=-1)]
    lower, upper = points.min(axis=0), points.max(axis=0)
    half = (upper - lower).max() / 2 * (1.75 if leaving else 1.15) or 1.0
    center = (lower + upper) / 2
    return np.stack([center - half, center + half], axis=-1)


def _distance(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Euclidean distances, which do not overflow however far a run escaped."""
    return np.hypot(*(points - point).T)


def _draw_field(
    ax: Axes,
    game: AbstractGame,
    held: PyTree,
    data: PyTree,
    across: _Coordinate,
    up: _Coordinate,
    view: np.ndarray,
) -> None:
    """Streamlines of -F over the view, with all other variables as in `held`."""
    variables, rest = eqx.partition(held, _tree.is_variable)
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, variables))

    def descent(point: jax.Array) -> jax.Array:
        moved = list(leaves)
        for coordinate, value in zip((across, up), point, strict=True):
            leaf = moved[coordinate.leaf]
            moved[coordinate.leaf] = leaf.at[coordinate.entry].set(value.astype(leaf.dtype))
        players = eqx.combine(jax.tree.unflatten(structure, moved), rest)
        operator = jax.tree.leaves(game.operator(players, data))
        return -jnp.stack([operator[c.leaf][c.entry].astype(float) for c in (across, up)])

    x, y = (np.linspace(side[0], side[1], _GRID_POINTS) for side in view)
    points = jnp.stack(jnp.meshgrid(x, y), axis=-1).reshape(-1, 2)
    field = np.asarray(jax.jit(jax.vmap(descent))(points), float)
    field = np.ma.masked_invalid(field.reshape(_GRID_POINTS, _GRID_POINTS, 2))
    if not np.ma.any(field):
        return  # streamlines of a field that vanishes (or is nowhere finite) divide by its length
    ax.streamplot(
        x, y, field[..., 0], field[..., 1], color=_FIELD, linewidth=0.7, arrowsize=0.7, zorder=1
    )


def _draw_path(ax: Axes, run: _Run, path: np.ndarray, view: np.ndarray) -> None:
    dot = dict(color=run.color, markersize=6, linestyle="none", zorder=5)
    ax.plot(*path[0], "o", markerfacecolor="white", markeredgewidth=1.5, **dot)
    exit_ = _last_exit(path, view)
    if exit_ is None:
        ax.plot(*path[-1], "o", markeredgecolor="white", markeredgewidth=0.8, **dot)
    else:
        row, out = exit_
        path = np.concatenate([path[: row + 1], [out]])
        arrow = dict(arrowstyle="-|>", color=run.color, linewidth=0, mutation_scale=14)
        arrow |= dict(shrinkA=0, shrinkB=0)
        ax.annotate("", xy=out, xytext=path[-2], arrowprops=arrow, zorder=4)
    ax.plot(*path.T, run.style, color=run.color, linewidth=1.5, label=run.label, zorder=3)


def _last_exit(path: np.ndarray, view: np.ndarray) -> tuple[int, np.ndarray] | None:
    """Where `path` leaves the circle in the view for good: its last row inside, and the point.

    A circle and not the square, because a spiral would leave and enter a square by its corners.
    """
    center, radius = view.mean(axis=1), (view[:, 1] - view[:, 0]).min() / 2
    inside = _distance(path, center) <= radius
    if _is_inside(path[-1], view) or not inside.any():
        return None
    row = int(np.flatnonzero(inside)[-1])
    here, step = path[row] - center, path[row + 1] - path[row]
    if not np.isfinite(step).all():
        return None
    # |here + t step| = radius is quadratic in t; its larger root is the way out.
    a, half_b, c = step @ step, here @ step, here @ here - radius**2
    t = (-half_b + np.sqrt(half_b**2 - a * c)) / a
    return row, path[row] + t * step


def _is_inside(point: np.ndarray, view: np.ndarray) -> bool:
    return bool(np.all((view[:, 0] <= point) & (point <= view[:, 1])))


# ---- convergence ------------------------------------------------------------------------------


def _draw_residual(ax: Axes, run: _Run, count: np.ndarray, residual: np.ndarray) -> None:
    ax.plot(count, residual, run.style, color=run.color, linewidth=1.7, label=run.label, zorder=3)
    drawn = np.flatnonzero(np.isfinite(residual) & (residual > 0))
    if drawn.size:
        last = drawn[-1]
        ax.plot(count[last], residual[last], "o", color=run.color, markersize=4.5, zorder=4)
    edges = ((residual == 0, 0, "v"), (~np.isfinite(residual), 1, "^"))
    for where, edge, marker in edges:
        if where.any():
            ax.plot(
                count[where],
                np.full(where.sum(), edge),
                marker,
                color=run.color,
                markersize=6,
                transform=ax.get_xaxis_transform(),
                clip_on=False,
                zorder=4,
            )


def _draw_guide(
    ax: Axes,
    guide: str,
    span: tuple[float, float],
    height: tuple[float, float],
    residuals: list[np.ndarray],
    counts: list[np.ndarray],
) -> None:
    """A curve C / k^p from the highest residual that is first on its curve, down to the edge."""
    firsts = [
        (count[seen][0], residual[seen][0])
        for count, residual in zip(counts, residuals, strict=True)
        if (seen := np.isfinite(residual) & (residual > 0) & (count > 0)).any()
    ]
    if not firsts:
        return
    begin = min(count for count, _ in firsts)
    highest = max(residual for _, residual in firsts)
    power = _RATES[guide]
    end = min(span[1], begin * (highest / height[0]) ** (1 / power))
    k = np.geomspace(begin, end, 100)
    curve = highest * (k / begin) ** -power
    ax.plot(k, curve, ":", color=_FAINT, linewidth=1.2, zorder=2, gid=f"guide {guide}")
    if end == span[1]:
        _note_at_edge(ax, f"O({guide})", curve[-1])


def _span_of_counts(counts: list[np.ndarray], on_log: bool) -> tuple[float, float]:
    largest = max(float(count.max()) for count in counts) or 1.0
    if not on_log:
        return 0.0, 1.03 * largest
    smallest = min(float(count[count > 0].min()) for count in counts if np.any(count > 0))
    return smallest / 1.05, 1.25 * max(largest, 2 * smallest)


def _span_of_residuals(
    runs: list[_Run], residuals: list[np.ndarray], tolerances: list[float]
) -> tuple[float, float]:
    """What the vertical axis shows: of runs that escape, only their beginning counts at the top."""
    positive = [residual[np.isfinite(residual) & (residual > 0)] for residual in residuals]
    positive = [residual for residual in positive if residual.size]
    if not positive:
        largest = max(tolerances, default=1.0)
        return largest / 100, 100 * largest
    top = max(residual.max() for residual in positive)
    if not all(run.escaped for run in runs):
        calm = [r for run, r in zip(runs, residuals, strict=True) if not run.escaped]
        calm = np.concatenate([*calm, *(residual[:1] for residual in positive)])
        top = min(top, 30 * calm[np.isfinite(calm)].max())
    lowest = min(*(residual.min() for residual in positive), *tolerances, top)
    return lowest / 2.5, 2.5 * top


def _note_at_edge(ax: Axes, text: str, height: float) -> None:
    """A small text right of the picture, where it hides nothing."""
    ax.annotate(
        text,
        (1, height),
        xycoords=ax.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        color=_FAINT,
    )


def _as_words(name: str) -> str:
    """`NaturalResidual` as "natural residual"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def _check_option(name: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise GameError(f"{name} is {given!r}: expected one of {', '.join(map(repr, known))}.")


# ---- trajectories -----------------------------------------------------------------------------


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
        return [(f"‖{_label(path)}‖", np.linalg.norm(rows, axis=1))]
    return [
        (_label(place, entry), column[:, *entry])
        for place, column in columns
        for entry in np.ndindex(column.shape[1:])
    ]


def _shades(color: str, number: int) -> list[tuple[float, ...]]:
    """`number` shades of one hue, from full to pale."""
    from matplotlib.colors import to_rgb

    full, white = np.array(to_rgb(color)), np.ones(3)
    paleness = np.linspace(0, 0.65, number)
    return [tuple((1 - pale) * full + pale * white) for pale in paleness]


# ---- matplotlib -------------------------------------------------------------------------------


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ModuleNotFoundError:
        raise ImportError('Plots need matplotlib: pip install "minimax-jax[plot]"') from None
    return matplotlib.pyplot


def _axes_or_new(ax: Axes, size: tuple[float, float]) -> Axes:
    return ax if ax is not None else _pyplot().subplots(figsize=size, layout="constrained")[1]


def _style(ax: Axes) -> None:
    """A thin grid and quiet frame, on these axes only; sizes follow the user's font size."""
    ax.set_axisbelow(True)
    ax.grid(True, color=_GRID, linewidth=0.8)
    ax.spines[:].set(color=_FAINT, linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(which="both", color=_FAINT, labelcolor=_INK, labelsize="small")
    ax.tick_params(which="minor", length=0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(color=_INK, fontsize="medium")


def _legend(ax: Axes, beside: bool = False) -> None:
    """A legend outside the picture, above or beside it, where it hides nothing."""
    above = dict(loc="lower left", bbox_to_anchor=(0, 1))
    right = dict(loc="upper left", bbox_to_anchor=(1, 1))
    legend = ax.legend(
        fontsize="small",
        labelcolor=_INK,
        frameon=False,
        handlelength=2.2,
        **(right if beside else above),
    )
    for handle in legend.get_lines():
        handle.set_marker("")  # dots mark ends
