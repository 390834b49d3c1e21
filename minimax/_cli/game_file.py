"""A user's file: import it, find its `example()`, and say in one line what is wrong with it."""

import contextlib
import importlib.machinery
import importlib.util
import inspect
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import minimax as mm


def find_example(file: pathlib.Path) -> Callable[..., Any]:
    """The function `example` of a Python file.

    **Raises:** `GameError` where the file is missing, cannot be imported, or has no example.
    """
    if file.is_dir():
        raise mm.GameError(f"{file} is a directory: expected a Python file.")
    if not file.exists():
        raise mm.GameError(f"{file}: no such file.")
    name, place = f"minimax_game_{file.stem}", str(file.resolve())
    loader = importlib.machinery.SourceFileLoader(name, place)
    spec = importlib.machinery.ModuleSpec(name, loader, origin=place)
    spec.has_location = True  # so that the file knows its own name, __file__
    module = importlib.util.module_from_spec(spec)
    # As for a script: dataclasses look their module up, and the file may import its neighbours.
    sys.modules[name] = module
    sys.path.insert(0, str(file.resolve().parent))
    with blamed_on(file):
        loader.exec_module(module)
    example = getattr(module, "example", None)
    if not inspect.isroutine(example):
        raise mm.GameError(
            f"{file} has no function example(): define one that returns "
            "mm.Example(game, players), or the tuple (game, players)."
        )
    return example


def load_example(file: pathlib.Path, example: Callable[[], Any]) -> mm.Example:
    """What `example` returns, as an `mm.Example`.

    **Raises:** `GameError` where it returns something else, or raises.
    """
    with blamed_on(file):
        returned = example()
    if not isinstance(returned, mm.Example):
        if not isinstance(returned, tuple) or not 2 <= len(returned) <= len(mm.Example._fields):
            raise mm.GameError(
                f"example() in {file} returned {type(returned).__name__}: expected "
                "mm.Example(game, players), or the tuple (game, players)."
            )
        returned = mm.Example(*returned)
    for name, fits, expected in (
        ("solver", isinstance(returned.solver, mm.AbstractSolver), "a solver"),
        ("metric", isinstance(returned.metric, mm.AbstractMetric), "a metric"),
        ("summary", callable(returned.summary), "a function of the players"),
    ):
        given = getattr(returned, name)
        if given is not None and not fits:
            raise mm.GameError(
                f"example() in {file} has the {name} {given!r}: expected {expected}, or None."
            )
    return returned


@contextlib.contextmanager
def blamed_on(file: pathlib.Path) -> Iterator[None]:
    """Turns what the user's code raises into one line with its place.

    An exception that did not pass through the file is ours, and keeps its traceback.
    """
    try:
        yield
    except mm.GameError:
        raise
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}" if error.lineno else str(file)
        raise mm.GameError(f"{place}: {type(error).__name__}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(file.resolve())
        ]
        if not lines:
            raise
        raise mm.GameError(f"{file}, line {lines[-1]}: {type(error).__name__}: {error}") from error
