"""The files that a run leaves: its picture and its certificate, whole or not at all."""

import importlib.metadata
import importlib.util
import json
import math
import pathlib
import platform
from collections.abc import Callable
from typing import IO, Any

import equinox as eqx
import jax
import numpy as np

import minimax as mm
from minimax._files import beside, replaced


def check(plot: pathlib.Path | None, data: pathlib.Path | None) -> None:
    """Raises `GameError` for what would keep the files from being written later."""
    for path in (plot, data):
        if path is not None:
            _check_destination(path)
    if plot is None:
        return
    if data is not None and plot.resolve() == data.resolve():
        raise mm.GameError(f"--plot and --json name the same file, {plot}.")
    if importlib.util.find_spec("matplotlib") is None:
        raise mm.GameError('--plot needs matplotlib: pip install "minimax-jax[plot]"')
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if _ending(plot) not in known:
        raise mm.GameError(
            f"--plot {plot}: pictures end in .{', .'.join(known)}, not in {plot.suffix!r}."
        )


def write_plot(path: pathlib.Path, solution: mm.Solution) -> None:
    """The picture of a solution, in the format that the name ends in."""
    import matplotlib

    matplotlib.use("Agg")  # without a screen
    axes = solution.plot()
    figure = np.ravel(axes)[0].figure
    _write(path, lambda file: figure.savefig(file, format=_ending(path), dpi=150))


def write_json(
    path: pathlib.Path,
    game: mm.AbstractGame,
    solution: mm.Solution,
    certificate: mm.Certificate | None,
    distance: float | None,
    summary: dict[str, Any],
) -> None:
    """The solution with its certificate, as strict JSON: what is not a finite number is null."""
    content = {
        "game": type(game).__name__,
        "solver": solution.solver,
        "status": solution.status.name,
        "message": solution.message,
        "value": solution.value,
        "residual": solution.residual,
        "metric": solution.metric,
        "tol": solution.tol,
        "certificate": None
        if certificate is None
        else {
            name: getattr(certificate, name)
            for name in ("kind", "lower", "upper", "rounding", "message")
        },
        "steps": solution.steps,
        "evaluations": solution.evaluations,
        "distance_to_known_solution": distance,
        "players": solution.players,
        "summary": summary,
        "versions": {
            "python": platform.python_version(),
            "minimax": mm.__version__,
            **{name: importlib.metadata.version(name) for name in ("jax", "equinox", "optax")},
        },
    }
    text = json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"
    _write(path, lambda file: file.write(text.encode()))


def _plain(tree: Any) -> Any:
    """Any pytree as what JSON knows; functions inside networks become their names."""
    if tree is None or isinstance(tree, (bool, int, str)):
        return tree
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    if isinstance(tree, (np.ndarray, np.generic, jax.Array)):
        return _plain(_shortest(np.asarray(tree)).tolist())
    if isinstance(tree, dict):
        return {str(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, eqx.Module):
        return {name: _plain(value) for name, value in vars(tree).items()}
    if isinstance(tree, tuple) and (names := getattr(tree, "_fields", None)):
        return dict(zip(names, map(_plain, tree), strict=True))
    if isinstance(tree, (list, tuple)):
        return [_plain(value) for value in tree]
    return getattr(tree, "__name__", None) or str(tree)


def _shortest(array: np.ndarray) -> np.ndarray:
    """Single precision as the shortest decimals that mean the same: 1e-05, not 9.99999975e-06."""
    if not np.issubdtype(array.dtype, np.floating) or array.dtype == np.float64:
        return array
    return array.astype(str).astype(np.float64)


def _check_destination(path: pathlib.Path) -> None:
    if path.is_dir():
        raise mm.GameError(f"{path} is a directory: expected the name of a file to write.")
    if path.exists() and not path.is_file():
        raise mm.GameError(f"{path} is not a regular file: it cannot be replaced.")
    try:
        with beside(path):
            pass
    except OSError as error:
        raise mm.GameError(f"{path} cannot be written: {error.strerror or error}.") from None


def _write(path: pathlib.Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes, so that at every moment a whole file has that name."""
    try:
        with replaced(path) as file:
            write(file)
    except OSError as error:
        raise mm.GameError(f"{path} cannot be written: {error.strerror or error}.") from None


def _ending(path: pathlib.Path) -> str:
    return path.suffix.lower().removeprefix(".")
