"""Flags by tyro: ours from a dataclass, those of a game from the signature of its `example()`."""

import functools
import inspect
import pathlib
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import tyro

import minimax as mm


@dataclass(frozen=True)
class Options:
    """The flags that every game has."""

    solver: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The solver, such as extra-gradient; by default the game's own."""

    step_size: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """For a solver that takes one; by default half the inverse of an estimate, at the start, of
    how fast the operator changes."""

    max_steps: Annotated[int, tyro.conf.arg(metavar="N")] = 10_000
    """How many steps to make at most."""

    tol: Annotated[float | None, tyro.conf.arg(metavar="T")] = None
    """What the metric must reach; by default 1e-5 in single precision."""

    plot: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="OUT.png")] = None
    """Write a picture of the run: PNG, SVG or PDF, by the name's ending."""

    json: Annotated[pathlib.Path | None, tyro.conf.arg(metavar="OUT.json")] = None
    """Write the solution and its certificate."""


def parse(
    file: pathlib.Path, example: Callable[..., Any], given: list[str]
) -> tuple[Callable[[], Any], Options]:
    """The example with its flags filled in, and the options, from the flags `given`.

    **Raises:** `GameError` where a parameter of `example` cannot be a flag; `SystemExit` where tyro
    has printed help, or what is wrong with a flag.
    """
    ours = {field.name for field in fields(Options)}
    if clash := sorted(ours & inspect.signature(example).parameters.keys()):
        raise mm.GameError(
            f"{file}: example() has a parameter {clash[0]!r}, which is a flag of the command line "
            "already. Rename the parameter."
        )
    return _tyro(f"minimax solve {file}", _first_paragraph(example), example, given)


def explain() -> None:
    """Prints the flags that every game has."""
    _tyro(
        "minimax solve FILE",
        "Solves the game that example() in FILE gives. Its parameters are flags as well: "
        "minimax solve FILE --help shows them.",
        lambda: None,
        ["--help"],
    )


def _tyro(
    program: str, description: str, example: Callable[..., Any], given: list[str]
) -> tuple[Callable[[], Any], Options]:
    @functools.wraps(example)
    def later(*positional: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(example, *positional, **named)

    later.__doc__ = _in_google_style(inspect.getdoc(example) or "")

    def command(
        game: Annotated[Any, tyro.conf.arg(constructor=later)], solving: Options
    ) -> tuple[Callable[[], Any], Options]:
        return game, solving

    try:
        return tyro.cli(
            command,
            prog=program,
            description=description,
            args=given,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except tyro.constructors.UnsupportedTypeAnnotationError as error:
        raise mm.GameError(f"a parameter of example() cannot be a flag: {error}") from None


def _first_paragraph(example: Callable[..., Any]) -> str:
    return (inspect.getdoc(example) or "").split("\n\n")[0]


def _in_google_style(doc: str) -> str:
    """The docstring with this library's list of arguments in the form that tyro reads."""
    entries = re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", doc, re.MULTILINE)
    if not entries:
        return doc
    return "\n".join(["Args:", *(f"    {name}: {' '.join(text.split())}" for name, text in entries)])
