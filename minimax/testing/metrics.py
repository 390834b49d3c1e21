"""All laws of metrics, in one call."""

from collections.abc import Callable

from jaxtyping import PyTree

import minimax as mm
from minimax.testing import _metric_laws
from minimax.testing._law import check, check_kind
from minimax.testing._metric_case import MetricCase as MetricCase

metric_laws = _metric_laws.LAWS
"""Each is called with a `MetricCase`, and `applies` to some of them."""


def check_metric(
    metric: mm.AbstractMetric,
    meant_for: Callable[[mm.AbstractGame, PyTree], bool] | None = None,
    sharpness: float = 0.0,
) -> None:
    r"""Holds every law of metrics against one.

    The laws say that it is zero at solutions and positive elsewhere, a number at all feasible
    players, the same for the same game written differently, compiled or in a batch, and that it
    hands data to the payoff.

    ```python
    >>> import minimax as mm
    >>> import minimax.testing
    >>> class Slope(mm.AbstractMetric):
    ...     "The norm of the operator, as if every player were free."
    ...     def __call__(self, game, players, data=None):
    ...         return mm.NaturalResidual()(mm.Game(game.payoff, game.roles), players, data)
    >>> minimax.testing.check_metric(Slope())
    Traceback (most recent call last):
      ...
    AssertionError: it is zero at solutions and positive elsewhere: ...

    ```

    **Arguments:**

    - `metric`: an instance of `mm.AbstractMetric`.
    - `meant_for`: `meant_for(game, players)` says whether the metric means anything for that game,
      where its own `check` does not say so: `lambda game, players: game.constraints is None` for
      one that knows no constraints. Matrix games on simplices and on boxes, and a strongly monotone
      quadratic game of free players are tried.
    - `sharpness`: claims that the metric is at least so many times the distance of the players'
      worst entry to the solution of these games, whose payoffs are of size one.

    **Raises:** `AssertionError` with the name and the sentence of the first law that fails;
    `GameError` for what is of another kind.
    """
    check_kind("metric", metric, mm.AbstractMetric)
    check(metric_laws, MetricCase(metric, meant_for, sharpness))
