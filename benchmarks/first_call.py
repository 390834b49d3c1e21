"""How long a user waits for a first answer: compilation, and the import of the library.

Every measurement is a process of its own, ours and theirs in alternation, without a compilation
cache. Inputs exist and the backend is up before the clock starts; ten steps are included.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks._table import Goal, Row, quantity
from benchmarks._timing import Spread
from benchmarks.overhead import SCAN

PROCESSES = 11


def rows() -> Iterator[Row]:
    """A tiny game, a GAN, `import minimax`."""
    yield _row("first call, xy with numbers", "tiny", 0.15)
    yield _row("first call, GAN with ExtraAdam", "gan", 1.3)
    yield Row(
        what="import minimax",
        against="over jax, optax, equinox",
        result=Spread.of([_seconds("import") for _ in range(PROCESSES)]),
        unit="s",
        goal=Goal("<=", 0.1),
    )


def _row(what: str, game: str, at_most: float) -> Row:
    pairs = [(_seconds(game), _seconds(f"{game}_by_hand")) for _ in range(PROCESSES)]
    ours, theirs = (Spread.of(list(side)) for side in zip(*pairs, strict=True))
    return Row(
        what=what,
        against=SCAN,
        result=ours,
        unit="s",
        goal=Goal("<=", at_most),
        ours=quantity(ours.median, "s"),
        theirs=quantity(theirs.median, "s"),
    )


def _seconds(variant: str) -> float:
    command = [sys.executable, "-m", "benchmarks._first_call", variant]
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(run.stdout)
