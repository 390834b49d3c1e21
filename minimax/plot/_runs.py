"""From what the user passes as solutions to runs: each checked, with a label and a line."""

import re
from typing import Any, NamedTuple

from jaxtyping import PyTree

from minimax._errors import GameError, is_known
from minimax.plot import _style


class Run(NamedTuple):
    """A solution and how it is drawn."""

    label: str
    solution: Any
    color: str
    line: str

    @property
    def escaped(self) -> bool:
        return self.solution.status.name in ("diverged", "nonfinite")


def as_runs(solutions: PyTree) -> list[Run]:
    """A run for each solution; averages are dashed."""
    labelled = _labelled(solutions)
    if not labelled:
        raise GameError("solutions is empty: there is nothing to plot.")
    colors = _colors([solution.solver for _, solution in labelled])
    return [
        Run(label, solution, color, line="--" if _is_average(solution.solver) else "-")
        for (label, solution), color in zip(labelled, colors, strict=True)
    ]


def check_has_trace(place: str, solution: Any) -> Any:
    """`solution`, checked to be a single one with a trace; `place` is what messages call it."""
    # Not isinstance: `Solution.plot` imports this package, so nothing here can import `Solution`.
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


def _labelled(solutions: PyTree) -> list[tuple[str, Any]]:
    """The solutions, checked, by their keys or else by the names of their solvers."""
    if isinstance(solutions, dict):
        return [(str(key), check_has_trace(str(key), each)) for key, each in solutions.items()]
    if isinstance(solutions, (list, tuple)):
        several = [check_has_trace(f"solutions[{i}]", each) for i, each in enumerate(solutions)]
    else:
        several = [check_has_trace("solution", solutions)]
    return list(zip(_numbered([each.solver for each in several]), several, strict=True))


def _numbered(names: list[str]) -> list[str]:
    """`names`, with "(1)", "(2)", … after those that several share."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[:i].count(name) + 1})"
        for i, name in enumerate(names)
    ]


def _colors(solvers: list[str]) -> list[str]:
    """A hue for each run; an average has that of the run that it averages, if just one is drawn."""
    inner = [_inside_averages(solver) for solver in solvers]
    owners = [solvers.index(n) if solvers.count(n) == 1 else i for i, n in enumerate(inner)]
    hues = {owner: _style.hue(number) for number, owner in enumerate(sorted(set(owners)))}
    return [hues[owner] for owner in owners]


def _is_average(solver: str) -> bool:
    return _inside_averages(solver) != solver


def _inside_averages(solver: str) -> str:
    """The name of the solver that `solver` averages, or its own where it averages none."""
    match = re.fullmatch(r"Averaged\((.*)\)", solver)
    return _inside_averages(match[1]) if match else solver
