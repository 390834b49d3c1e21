"""How fast the residual falls, over the work that it costs."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import PyTree

from minimax._errors import GameError
from minimax.plot import _style
from minimax.plot._runs import Run, as_runs

_RATES = {"1/√k": 0.5, "1/sqrt(k)": 0.5, "1/k": 1.0, "1/k²": 2.0, "1/k^2": 2.0}


def convergence(
    solutions: PyTree,
    against: Literal["evaluations", "steps"] = "evaluations",
    guides: Sequence[str] | None = None,
    scale: Literal["loglog", "semilogy"] = "loglog",
    ax: _style.Axes = None,
) -> _style.Axes:
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
    guides = guides or ()
    for guide in guides:
        _check_option("guide", guide, tuple(_RATES))
    curves = [_curve(run, against) for run in as_runs(solutions)]
    tolerances = sorted(
        {float(curve.run.solution.tol) for curve in curves} - {0.0, np.inf, -np.inf}
    )

    ax = _style.axes_or_new(ax, (5.6, 3.8 + 0.2 * len(curves)))
    on_log = scale == "loglog" and any(np.any(curve.work > 0) for curve in curves)
    left, right = _span_of_counts(curves, on_log)
    bottom, top = _span_of_residuals(curves, tolerances)
    for curve in curves:
        _draw_curve(ax, curve)
    for tolerance in tolerances:
        ax.axhline(tolerance, color=_style.FAINT, linewidth=0.8, zorder=1)
        _note_at_edge(ax, f"tolerance\n{tolerance:.3g}", tolerance)
    for guide in guides:
        _draw_guide(ax, guide, curves, right, bottom)
    if on_log:
        ax.set_xscale("log", nonpositive="mask")
    else:
        ax.set_xscale("linear")
    ax.set_yscale("log", nonpositive="mask")
    metrics = {_measured(curve.run) for curve in curves}
    ax.set(
        xlim=(left, right),
        ylim=(bottom, top),
        xlabel="operator evaluations" if against == "evaluations" else "steps",
        ylabel=metrics.pop() if len(metrics) == 1 else "residual",
    )
    _style.legend(ax)
    return ax


class _Curve(NamedTuple):
    """The residuals of a run, and the evaluations or steps that they took."""

    run: Run
    work: np.ndarray
    residual: np.ndarray

    @property
    def drawn(self) -> np.ndarray:
        """Which residuals have a place on a log scale."""
        return np.isfinite(self.residual) & (self.residual > 0)


def _curve(run: Run, against: str) -> _Curve:
    trace = run.solution.trace
    return _Curve(run, np.asarray(getattr(trace, against)), np.asarray(trace.residual, float))


def _draw_curve(ax: _style.Axes, curve: _Curve) -> None:
    run, work, residual = curve
    ax.plot(work, residual, run.line, color=run.color, linewidth=1.7, label=run.label, zorder=3)
    if curve.drawn.any():
        last = np.flatnonzero(curve.drawn)[-1]
        ax.plot(work[last], residual[last], "o", color=run.color, markersize=4.5, zorder=4)
    for where, edge, marker in ((residual == 0, 0, "v"), (~np.isfinite(residual), 1, "^")):
        if where.any():
            ax.plot(
                work[where],
                np.full(where.sum(), edge),
                marker,
                color=run.color,
                markersize=6,
                transform=ax.get_xaxis_transform(),
                clip_on=False,
                zorder=4,
            )


def _draw_guide(
    ax: _style.Axes, guide: str, curves: list[_Curve], right: float, bottom: float
) -> None:
    """C / k^p from the highest residual that is first on its curve, down to the edge."""
    seen = [(curve, curve.drawn & (curve.work > 0)) for curve in curves]
    firsts = [(curve.work[at][0], curve.residual[at][0]) for curve, at in seen if at.any()]
    if not firsts:
        return
    begin, highest = min(count for count, _ in firsts), max(residual for _, residual in firsts)
    power = _RATES[guide]
    end = min(right, begin * (highest / bottom) ** (1 / power))
    k = np.geomspace(begin, end, 100)
    height = highest * (k / begin) ** -power
    ax.plot(k, height, ":", color=_style.FAINT, linewidth=1.2, zorder=2, gid=f"guide {guide}")
    if end == right:
        _note_at_edge(ax, f"O({guide})", height[-1])


def _span_of_counts(curves: list[_Curve], on_log: bool) -> tuple[float, float]:
    counts = np.concatenate([curve.work for curve in curves])
    largest = float(counts.max()) or 1.0
    if not on_log:
        return 0.0, 1.03 * largest
    smallest = float(counts[counts > 0].min())
    return smallest / 1.05, 1.25 * max(largest, 2 * smallest)


def _span_of_residuals(curves: list[_Curve], tolerances: list[float]) -> tuple[float, float]:
    """What the vertical axis shows: of runs that escape, only their beginning counts at the top."""
    drawn = [(curve.run, curve.residual[curve.drawn]) for curve in curves if curve.drawn.any()]
    if not drawn:
        largest = max(tolerances, default=1.0)
        return largest / 100, 100 * largest
    residuals = np.concatenate([residual for _, residual in drawn])
    top = residuals.max()
    if not all(curve.run.escaped for curve in curves):
        calm = [residual[:1] if run.escaped else residual for run, residual in drawn]
        top = min(top, 30 * np.concatenate(calm).max())
    return min([residuals.min(), *tolerances]) / 2.5, 2.5 * top


def _note_at_edge(ax: _style.Axes, text: str, height: float) -> None:
    """A small text right of the picture, where it hides nothing."""
    ax.annotate(
        text,
        (1, height),
        xycoords=ax.get_yaxis_transform(),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
        color=_style.FAINT,
    )


def _measured(run: Run) -> str:
    """What the residual is, in words: `NaturalResidual` as "natural residual"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", run.solution.metric).lower()
    return f"{words} on one batch" if float(run.solution.tol) < 0 else words


def _check_option(name: str, given: Any, known: Sequence[str]) -> None:
    if given not in known:
        raise GameError(f"{name} is {given!r}: expected one of {', '.join(map(repr, known))}.")
