"""The part of the plane that a phase portrait shows, and where a path leaves it.

A view is an array ((left, right), (bottom, top)).
"""

import numpy as np

from minimax.plot._runs import Run

_NEAR = 30  # times the way from start to solution; limit cycles are not that much larger


def around(runs: list[Run], paths: list[np.ndarray], star: np.ndarray | None) -> np.ndarray:
    """A square around all that stays near, measured by the way from the starts to the goals."""
    starts = np.stack([path[0] for path in paths])
    goals = _goals(runs, paths, star)
    way = max((_distance(starts, goal).max() for goal in goals), default=0)
    reach = _NEAR * way or 4 * (1 + np.abs(starts).max())
    beyond = [_distance(path, path[0]) > reach for path in paths]
    if goals:
        leaves = [run.escaped or far.any() for run, far in zip(runs, beyond, strict=True)]
        near = [path for path, gone in zip(paths, leaves, strict=True) if not gone]
        margin = 1.75 if any(leaves) else 1.15
    else:  # every run escaped: there is nothing else to go by than how they begin
        near = [path[: _first(far)] for path, far in zip(paths, beyond, strict=True)]
        margin = 1.15
    points = np.concatenate([starts, *(goal[None] for goal in goals), *near])
    points = points[np.isfinite(points).all(axis=-1)]
    lower, upper = points.min(axis=0), points.max(axis=0)
    center, half = (lower + upper) / 2, (upper - lower).max() / 2 * margin or 1.0
    return np.stack([center - half, center + half], axis=-1)


def until_exit(path: np.ndarray, view: np.ndarray) -> np.ndarray | None:
    """`path` up to where it leaves the circle in the view for good, or `None` where it does not.

    A circle and not the square, because a spiral would leave and enter a square by its corners.
    """
    center, radius = view.mean(axis=1), (view[:, 1] - view[:, 0]).min() / 2
    inside = _distance(path, center) <= radius
    ends_in_view = np.all((view[:, 0] <= path[-1]) & (path[-1] <= view[:, 1]))
    if ends_in_view or not inside.any():
        return None
    row = int(np.flatnonzero(inside)[-1])
    here, step = path[row] - center, path[row + 1] - path[row]
    if not np.isfinite(step).all():
        return None
    # |here + t step| = radius is quadratic in t; its larger root is the way out.
    a, half_b, c = step @ step, here @ step, here @ here - radius**2
    t = (-half_b + np.sqrt(half_b**2 - a * c)) / a
    return np.concatenate([path[: row + 1], [path[row] + t * step]])


def _goals(runs: list[Run], paths: list[np.ndarray], star: np.ndarray | None) -> list[np.ndarray]:
    """The equilibrium and where runs converged, or else where those that did not escape ended."""
    ends = [(run, path[-1]) for run, path in zip(runs, paths, strict=True)]
    goals = [end for run, end in ends if run.solution.success]
    goals += [] if star is None else [star]
    return goals or [end for run, end in ends if not run.escaped]


def _distance(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Euclidean distances, which do not overflow however far a run escaped."""
    return np.hypot(*(points - point).T)


def _first(where: np.ndarray) -> int:
    """The first row that is true, or their number where none is."""
    return int(np.argmax(where)) if where.any() else len(where)
