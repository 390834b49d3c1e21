"""One solution at a glance."""

from jaxtyping import PyTree

from minimax.plot import _style
from minimax.plot._runs import check_has_trace
from minimax.plot.convergence import convergence
from minimax.plot.trajectory import trajectory


def overview(solution: PyTree, ax: _style.Axes = None) -> _style.Axes:
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
    check_has_trace("solution", solution)
    if ax is not None:
        return convergence(solution, scale="semilogy", ax=ax)
    figure, both = _style.pyplot().subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
    convergence(solution, scale="semilogy", ax=both[0])
    both[0].get_legend().remove()  # its one entry is in the title
    trajectory(solution, ax=both[1])
    figure.suptitle(
        f"{solution.status.name} after {int(solution.steps)} steps of {solution.solver}",
        fontsize="large",
        color=_style.INK,
    )
    return both
