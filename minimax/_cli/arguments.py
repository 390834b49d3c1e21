"""What is asked for: the command, the file, its flags."""

import importlib.util
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import minimax as mm
from minimax._cli.game_file import find_example

USAGE = """\
usage: minimax solve FILE [flags]

Finds a saddle point or an equilibrium of the game that example() in the Python file FILE gives.

  minimax solve FILE --help   the flags, with those of example()
  minimax --help              this text
  minimax --version           the version

Exit status: 0 converged, 1 not converged, 2 bad input, 130 interrupted."""


class Request(NamedTuple):
    """The `file`, its `example` with its flags filled in, and our own `options`."""

    file: pathlib.Path
    example: Callable[[], Any]
    options: Any


def parse(arguments: list[str]) -> Request:
    """The request that `arguments` make.

    **Raises:** `GameError` where tyro or FILE is missing, or FILE has no example; `SystemExit`
    after help was printed, or where tyro has explained what is wrong with a flag.
    """
    if importlib.util.find_spec("tyro") is None:
        raise mm.GameError('the command line needs tyro: pip install "minimax-jax[cli]"')
    from minimax._cli import flags

    match arguments:
        case []:
            print(USAGE, file=sys.stderr)
            raise SystemExit(2)
        case ["-h" | "--help", *_]:
            print(USAGE)
            raise SystemExit(0)
        case ["--version", *_]:
            print("minimax", mm.__version__)
            raise SystemExit(0)
        case ["solve", "-h" | "--help", *_]:
            flags.explain()
            raise SystemExit(0)
        case ["solve", str(file), *given] if not file.startswith("-"):
            path = pathlib.Path(file)
            example, options = flags.parse(path, find_example(path), given)
            return Request(path, example, options)
        case ["solve", *_]:
            raise mm.GameError("the file comes first: minimax solve FILE [flags].")
        case _:
            raise mm.GameError(f"there is no command {arguments[0]!r}: try minimax solve FILE.")
