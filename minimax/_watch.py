"""Who looks up between two calls of a long run: callbacks and progress."""

import abc
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from minimax._called import called_stats
from minimax._loop import Outcome, Plan, Sight
from minimax._solvers.base import AbstractSolver, name_of

Callback = Callable[[dict[str, Any]], Any]


class Moment(NamedTuple):
    """Where a run is between two calls, and for how many seconds it has been driven."""

    solver: AbstractSolver
    outcome: Outcome
    plan: Plan
    seconds: float

    @property
    def steps(self) -> int:
        """How many steps have been made, from the very first on."""
        return int(self.outcome.now.progress.steps)

    @property
    def is_at_a_look(self) -> bool:
        """Whether a longer run would have a look here, too."""
        return (self.steps - int(self.outcome.first_step)) % self.plan.check_every == 0

    @property
    def last_step(self) -> int:
        """The step at which the run ends at the latest."""
        return int(self.outcome.first_step) + self.plan.max_steps


class AbstractWatcher(abc.ABC):
    """Somebody who is shown the run between two calls, and may end it by `StopIteration`."""

    def next_stop(self, steps: int) -> int | None:
        """After `steps` steps: the step at which it must be shown the run again, if at any."""
        del steps
        return None

    @abc.abstractmethod
    def watch(self, moment: Moment) -> None:
        """Called between two calls, and after the last."""

    def keep(self, moment: Moment) -> None:
        """Called before a last call of fewer steps than there are between two looks: only from
        here, not from its end, a longer run would go on in the same way."""
        del moment

    def close(self) -> None:
        """Called at the end, whatever has ended the run."""
        return None


@final
class Caller(AbstractWatcher):
    """Calls a function of the user at every look."""

    def __init__(self, function: Callback):
        self._function = function

    def next_stop(self, steps: int) -> int:
        return steps + 1

    def watch(self, moment: Moment) -> None:
        told = _told(moment.solver, moment.outcome.now)
        numbers = {name: told[name] for name in told if name != "players"}
        numbers = jax.tree.map(lambda number: number.item(), jax.device_get(numbers))
        self._function(numbers | {"players": told["players"], "seconds": moment.seconds})


@final
class Bar(AbstractWatcher):
    """A progress bar by tqdm; without tqdm a line of text now and then."""

    def __init__(self) -> None:
        self._bar: Any = None

    def watch(self, moment: Moment) -> None:
        if self._bar is None:
            self._bar = _make_bar(int(moment.outcome.first_step), moment.last_step)
        residual = float(moment.outcome.now.residual)
        self._bar.set_postfix_str(f"residual {residual:.3g}", refresh=False)
        self._bar.update(moment.steps - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()


class _Lines:
    """What of tqdm a bar needs, as lines of text: one for every tenth of the way."""

    def __init__(self, steps: int, last_step: int):
        self.n, self._total, self._postfix = steps, last_step, ""
        self._printed = -1

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        del refresh
        self._postfix = text

    def update(self, steps: int) -> None:
        tenths_before = 10 * self.n // self._total
        self.n += steps
        if self._printed < 0 or 10 * self.n // self._total > tenths_before:
            self.refresh()

    def refresh(self) -> None:
        if self.n != self._printed:
            print(f"step {self.n} of {self._total}  {self._postfix}", file=sys.stderr, flush=True)
        self._printed = self.n

    def close(self) -> None:
        return None


def _make_bar(steps: int, last_step: int) -> Any:
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # of a notebook without widgets: text will do
            from tqdm.auto import tqdm
    except ImportError:
        return _Lines(steps, last_step)
    return tqdm(total=last_step, initial=steps, unit="step", dynamic_ncols=True)


@eqx.filter_jit
def _told(solver: AbstractSolver, sight: Sight) -> dict[str, PyTree]:
    """What a callback is told. Copied, because the next call writes where these arrays are."""
    progress = sight.progress
    return dict(
        steps=progress.steps,
        evaluations=sight.evaluations,
        residual=sight.residual,
        value=sight.value,
        stats=called_stats(name_of(solver), solver.stats, progress.state),
        players=jax.tree.map(
            lambda leaf: jnp.copy(leaf) if eqx.is_array(leaf) else leaf,
            solver.output(progress.players, progress.state),
        ),
    )
