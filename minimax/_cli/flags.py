"""Flags by tyro: ours from a dataclass, those of a game from the signature of its `example()`."""

import functools
import inspect
import pathlib
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import tyro

import minimax as mm


def _flag(metavar: str, meaning: str) -> Any:
    # Without a hint tyro would add "(default: None)", where `meaning` says what happens by default.
    return tyro.conf.arg(metavar=metavar, help=meaning, help_behavior_hint="")


@dataclass(frozen=True)
class Options:
    """Flags that every game has."""

    solver: Annotated[
        str | None, _flag("NAME", "A solver such as extra-gradient; by default the game's own.")
    ] = None
    step_size: Annotated[
        float | None,
        _flag(
            "S",
            "For solvers that take one; by default 1/(2L), with an estimate of the Lipschitz "
            "constant L of the operator at the start.",
        ),
    ] = None
    max_steps: Annotated[int, _flag("N", "How many steps to make at most; by default 10000.")] = (
        10_000
    )
    tol: Annotated[
        float | None,
        _flag("T", "What the metric must reach; by default 1e-5 in single precision."),
    ] = None
    time_limit: Annotated[
        float | None, _flag("SECONDS", "How long to solve at most; by default as long as it takes.")
    ] = None
    progress: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        _flag("", "Show on stderr how far the run is."),
    ] = False
    checkpoint: Annotated[
        pathlib.Path | None,
        _flag("FOLDER", "Keep the run there once a minute; the same command goes on from it."),
    ] = None
    plot: Annotated[
        pathlib.Path | None,
        _flag("OUT.png", "Write a picture of the run: PNG, SVG or PDF, as the name ends."),
    ] = None
    json: Annotated[
        pathlib.Path | None, _flag("OUT.json", "Write the solution and its certificate.")
    ] = None


def parse(
    file: pathlib.Path, example: Callable[..., Any], given: list[str]
) -> tuple[Callable[[], Any], Options]:
    """The example with its flags filled in, and the options, from the flags `given`.

    **Raises:** `GameError` where a parameter of `example` has the name of a flag of ours, or a type
    that cannot be read, and for negative step sizes, tolerances and numbers of steps; `SystemExit`
    where tyro has printed help, or what is wrong with a flag.
    """
    ours = {field.name for field in fields(Options)}
    if clash := sorted(ours & inspect.signature(example).parameters.keys()):
        raise mm.GameError(
            f"{file}: example() has a parameter {clash[0]!r}, which is a flag of the command line "
            "already. Rename the parameter."
        )
    for name, parameter in inspect.signature(example).parameters.items():
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not variadic and parameter.annotation is parameter.default is parameter.empty:
            raise mm.GameError(
                f"{file}: the parameter {name!r} of example() has neither a type nor a default: "
                f"write for example {name}: float = 1.0."
            )
    program = f"minimax solve {file}"
    filled, options = _tyro(program, _first_line_of_file(example), example, given)
    for name in ("max_steps", "tol", "step_size", "time_limit"):
        number = getattr(options, name)
        if number is not None and not number >= 0:
            flag = "--" + name.replace("_", "-")
            raise mm.GameError(f"{flag} is {number}: expected a number >= 0.")
    return filled, options


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
    def command(
        game: Annotated[Any, tyro.conf.arg(constructor=_later(example))], solving: Options
    ) -> tuple[Callable[[], Any], Options]:
        return game, solving

    return tyro.cli(
        command,
        prog=program,
        description=description,
        args=given,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _later(example: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """A function with the flags of `example` that does not run it yet: tyro would take what it
    raises for a flag that it cannot parse."""

    def later(*positional: Any, **named: Any) -> Callable[[], Any]:
        return functools.partial(example, *positional, **named)

    wrapper: Any = functools.update_wrapper(later, example)
    del wrapper.__wrapped__  # where tyro would look for the docstring
    wrapper.__doc__ = _in_google_style(inspect.getdoc(example) or "")
    wrapper.__signature__ = inspect.signature(example)
    try:
        wrapper.__annotations__ = typing.get_type_hints(example, include_extras=True)
    except Exception as error:
        raise mm.GameError(
            f"a parameter of example() has a type that cannot be read: {type(error).__name__}: "
            f"{error}."
        ) from error
    return wrapper


def _first_line_of_file(example: Callable[..., Any]) -> str:
    module = inspect.getmodule(example)
    return (inspect.getdoc(module) or "").partition("\n")[0]


def _in_google_style(doc: str) -> str:
    """The docstring with this library's list of arguments in the form that tyro reads."""
    entries = re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", doc, re.MULTILINE)
    if not entries:
        return doc
    lines = [f"    {name}: {' '.join(meaning.split())}" for name, meaning in entries]
    return "\n".join([doc.partition("\n\n")[0], "", "Args:", *lines])
