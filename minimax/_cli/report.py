"""What is printed: the problem, the way, the certificate, and the answer in the game's words."""

import itertools
import math
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import PyTree

import minimax as mm
from minimax import _tree
from minimax._players import as_players

ROWS = 10
"""How many rows of the trace are shown."""


def show_problem(example: mm.Example, solver: mm.AbstractSolver | None) -> None:
    """Prints the game, its players, and the solver that is about to run."""
    _show("game", type(example.game).__name__)
    for number, line in enumerate(_players(example)):
        _show("" if number else "players", line)
    _show("solver", "the default" if solver is None else _described(solver), flush=True)


def show_solution(
    solution: mm.Solution,
    metric: mm.AbstractMetric,
    certificate: mm.Certificate | None,
    distance: float | None,
    seconds: float,
) -> None:
    """Prints the way to a solution, what was measured, and its certificate."""
    print()
    print(_aligned(_progress(solution), left=0))
    print()
    work = f"{int(solution.evaluations)} operator evaluations, {seconds:.1f} s with compilation"
    print(f"{solution.status.name} after {int(solution.steps)} steps of {solution.solver} ({work})")
    if not solution.success:
        print(solution.message)
    print()
    values = [f"{name} {float(value):.6g}" for name, value in _leaves("", solution.value)]
    _show("value", ", ".join(values).strip())
    residual, tol = float(solution.residual), float(solution.tol)
    bound = f"{'<=' if residual <= tol else '>'} {tol:.3g}" if tol >= 0 else "on one batch"
    _show("metric", f"{_spaced(solution.metric)} {residual:.3g} {bound}")
    for line in _meaning(metric, solution):
        _show("", line)
    if certificate is not None:
        bounds = f"gap {certificate.lower:.3g} to {certificate.upper:.3g}"
        _show("certificate", f"{certificate.kind}: {bounds}")
        for line in textwrap.wrap(certificate.message, 87):
            _show("", line)
    if distance is not None:
        _show("distance", f"{distance:.3g} from the known solution")


def certificate(example: mm.Example, players: PyTree) -> mm.Certificate | None:
    """Bounds on what the players could still gain; `None` where a free player or an unbounded set
    leaves none to be found, and where a batch would be all that they are about."""
    game = example.game
    bounded = (mm.AbstractCompactSet, mm.AbstractRegularizer)
    variables = game.variables_of(players)
    if example.is_sampled or not all(isinstance(each.constraint, bounded) for each in variables):
        return None
    return mm.certify(game, players, example.batch())


def show_summary(summary: Any) -> None:
    """Prints what the players mean in the game's own words: numbers, texts and tables.

    **Raises:** `GameError` where the summary is no dict.
    """
    if not isinstance(summary, dict):
        raise mm.GameError(f"the summary of the example returned {summary!r}: expected a dict.")
    plain = {name: entry for name, entry in summary.items() if not isinstance(entry, dict)}
    if plain:
        print()
        print(_aligned([[str(name), _text(entry)] for name, entry in plain.items()]))
    for name, entry in summary.items():
        if isinstance(entry, dict):
            print()
            print(_aligned(_table(str(name), entry)))


def distance(players: PyTree, solution: PyTree) -> float | None:
    """The Euclidean distance of `players` from a known solution, where one is known.

    **Raises:** `GameError` where the solution is not structured like the players.
    """
    if solution is None:
        return None
    players, solution = as_players(players), as_players(solution)
    if jax.tree.structure(solution) != jax.tree.structure(players):
        raise mm.GameError("the solution of the example is not structured like its players.")
    return float(_tree.norm(_tree.variables(_tree.subtract(players, solution))))


def _players(example: mm.Example) -> Iterator[str]:
    """One line per player, which is what lies at the top of the pytree."""
    variables = example.game.variables_of(example.players)
    rows = []
    for top, group in itertools.groupby(variables, key=lambda each: each.path[:1]):
        _, arrays, role, sets = zip(*group, strict=True)
        kinds = {"free" if each is None else f"in {type(each).__name__}" for each in sets}
        size = (
            f"{arrays[0].shape} {arrays[0].dtype}"
            if len(arrays) == 1
            else f"{len(arrays)} arrays, {sum(array.size for array in arrays)} numbers"
        )
        label = jax.tree_util.keystr(top, simple=True) or "(all)"
        rows.append([label, "/".join(dict.fromkeys(role)), size, ", ".join(sorted(kinds))])
    yield from _aligned(rows, left=4).splitlines()


def _progress(solution: mm.Solution) -> list[list[str]]:
    """Some ten rows of the trace, evenly spaced, and the last."""
    trace = solution.trace
    if trace is None:
        return []
    last = len(trace.steps) - 1
    rows = [*range(0, last, -(-last // ROWS) or 1), last]
    columns = [("step", trace.steps, "{:d}")]
    columns += [(name, values, "{:.6g}") for name, values in _leaves("value", trace.value)]
    columns += [("residual", trace.residual, "{:.2e}"), ("evaluations", trace.evaluations, "{:d}")]
    return [
        [name for name, _, _ in columns],
        *(
            [style.format(np.asarray(values)[row].item()) for _, values, style in columns]
            for row in rows
        ),
    ]


def _meaning(metric: mm.AbstractMetric, solution: mm.Solution) -> Iterator[str]:
    """What the metric says, in words."""
    residual = max(float(solution.residual), 0.0)
    if isinstance(metric, mm.DualityGap):
        (value,) = jax.tree.leaves(solution.value)[:1]
        share = residual / abs(float(value)) if float(value) else math.inf
        relation = f" ({share:.1e} of the value)" if share < 1 else ""
        yield f"at most what all could gain by moving alone{relation}, up to rounding,"
        yield "where the payoff is convex in who minimises and concave in who maximises"
    elif isinstance(metric, mm.NaturalResidual):
        yield "how far a projected gradient step would move the players, per unit of step size;"
        yield "zero exactly where no player can improve to first order"
    else:
        yield (type(metric).__doc__ or "").strip().partition("\n")[0]
    if solution.trace is not None and solution.steps > 0:
        yield f"at the start it was {float(solution.trace.residual[0]):.3g}"


def _table(title: str, rows: dict[Any, Any]) -> list[list[str]]:
    """A summary's table `{row: {column: number}}` with its header; `{row: number}` has none."""
    if not all(isinstance(row, dict) for row in rows.values()):
        return [[title, ""], *([str(name), _text(entry)] for name, entry in rows.items())]
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return [
        [title, *map(str, columns)],
        *([str(name), *(_text(row.get(c, "")) for c in columns)] for name, row in rows.items()),
    ]


def _leaves(name: str, tree: PyTree) -> list[tuple[str, Any]]:
    """The leaves of `tree`, each called `name` and its place."""
    return [
        (f"{name} {jax.tree_util.keystr(path, simple=True)}".strip(), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _text(entry: Any) -> str:
    if isinstance(entry, (str, bool)):
        return str(entry)
    try:
        return f"{float(entry):.6g}"
    except (TypeError, ValueError):
        return str(entry)


def _described(part: Any) -> str:
    """A solver or one of its fields in a few characters."""
    if isinstance(part, mm.AbstractSolver):
        fields = (f"{name}={_described(value)}" for name, value in vars(part).items())
        return f"{type(part).__name__}({', '.join(fields)})"
    if isinstance(part, dict):
        return "{" + ", ".join(f"{key}: {_described(value)}" for key, value in part.items()) + "}"
    if isinstance(part, optax.GradientTransformation):
        return "an optax transformation"
    if isinstance(part, jax.Array) and part.ndim == 0:
        return f"{part.item():.4g}"
    return repr(part) if isinstance(part, (str, int, float)) else type(part).__name__


def _spaced(name: str) -> str:
    """`DualityGap` as `duality gap`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _show(title: str, text: str, flush: bool = False) -> None:
    print(f"{title:<13}{text}".rstrip(), flush=flush)


def _aligned(rows: list[list[str]], left: int = 1) -> str:
    """Rows of cells in columns; the first `left` columns flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
