"""How every picture looks: palette, axes, legend. matplotlib is imported here, when needed."""

from typing import Any

import numpy as np

Axes = Any
"""`matplotlib.axes.Axes`, which cannot be named here because matplotlib may be missing."""

# Okabe and Ito's palette, which stays distinct under every common colour blindness.
_HUES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STAR = "#F0E442"
INK, FAINT, FIELD, _GRID = "#333333", "#8a8a8a", "#cdcdcd", "#ececec"


def hue(number: int) -> str:
    """The colour of the run or player `number`."""
    return _HUES[number % len(_HUES)]


def shades(color: str, number: int) -> list[tuple[float, ...]]:
    """`number` shades of one hue, from full to pale."""
    from matplotlib.colors import to_rgb

    full, white = np.array(to_rgb(color)), np.ones(3)
    return [tuple((1 - pale) * full + pale * white) for pale in np.linspace(0, 0.65, number)]


def pyplot() -> Any:
    """`matplotlib.pyplot`, or how to install it."""
    try:
        import matplotlib.pyplot
    except ModuleNotFoundError:
        raise ImportError('Plots need matplotlib: pip install "minimax-jax[plot]"') from None
    return matplotlib.pyplot


def axes_or_new(ax: Axes, size: tuple[float, float]) -> Axes:
    """`ax`, or the axes of a new figure, with a thin grid and a quiet frame.

    Set on these axes only; sizes follow the user's font size.
    """
    if ax is None:
        ax = pyplot().subplots(figsize=size, layout="constrained")[1]
    ax.set_axisbelow(True)
    ax.grid(True, color=_GRID, linewidth=0.8)
    ax.spines[:].set(color=FAINT, linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(which="both", color=FAINT, labelcolor=INK, labelsize="small")
    ax.tick_params(which="minor", length=0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set(color=INK, fontsize="medium")
    return ax


def legend(ax: Axes, beside: bool = False) -> None:
    """A legend outside the picture, above or beside it, where it hides nothing."""
    corner, anchor = ("upper left", (1, 1)) if beside else ("lower left", (0, 1))
    drawn = ax.legend(
        loc=corner,
        bbox_to_anchor=anchor,
        fontsize="small",
        labelcolor=INK,
        frameon=False,
        handlelength=2.2,
    )
    for handle in drawn.get_lines():
        handle.set_marker("")  # dots mark ends
