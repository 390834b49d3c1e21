"""Runs the comparisons: `python -m benchmarks.run [NAME ...] [--json PATH]`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from benchmarks import batch, first_call, looking, overhead, projection, python_loop, training
from benchmarks._table import Row, environment, print_rows, save

COMPARISONS = {
    "overhead": overhead,
    "looking": looking,
    "python_loop": python_loop,
    "projection": projection,
    "first_call": first_call,
    "batch": batch,
    "training": training,
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures minimax against what it replaces.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(COMPARISONS):
        parser.error(f"no such comparison: {', '.join(sorted(unknown))}")
    print(", ".join(f"{name} {value}" for name, value in environment().items()), end="\n\n")
    rows = list(print_rows(_measured(arguments.names or list(COMPARISONS))))
    if arguments.json is not None:
        save(rows, arguments.json)


def _measured(names: list[str]) -> Iterator[Row]:
    for name in names:
        yield from COMPARISONS[name].rows()


if __name__ == "__main__":
    main()
