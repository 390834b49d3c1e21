"""The command line: `minimax solve FILE`, also `python -m minimax solve FILE`.

    FILE's example()  ->  solver, outputs checked  ->  solve  ->  report, --plot, --json

Exit status: 0 converged, 1 not converged, 2 bad input, 130 interrupted. Answers go to stdout,
errors to stderr, one line each; what a user can mend never shows a traceback.
"""

import os
import sys
import time
from collections.abc import Sequence

import minimax as mm
from minimax._check import check_fits
from minimax._choose import choose_metric
from minimax._cli import outputs, report
from minimax._cli.arguments import parse
from minimax._cli.game_file import blamed_on, load_example
from minimax._cli.interrupt import prompt_interrupt
from minimax._cli.solver import choose_solver
from minimax._cli.stride import stride


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    **Arguments:**

    - `arguments`: as in a shell, without the program; by default those of this process.

    ```python
    >>> from minimax.__main__ import main
    >>> main(["solve", "no_such_game.py"])
    2

    ```
    """
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except mm.GameError as error:
        print("minimax: error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minimax: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as for any program that its reader has left
    except SystemExit as exit:  # --help, or flags that tyro has already explained
        return exit.code if isinstance(exit.code, int) else 2


def _run(arguments: list[str]) -> int:
    request = parse(arguments)
    options = request.options
    outputs.check(options.plot, options.json)
    example = load_example(request.file, request.example)
    with blamed_on(request.file):
        check_fits(example.game, example.players, example.batch())
        metric = example.metric or choose_metric(example.game, example.players)
        report.distance(example.players, example.solution)  # raises where it will not fit
        solver = choose_solver(example, options.solver, options.step_size)
        report.show_problem(example, solver)
        began = time.perf_counter()
        with prompt_interrupt():
            solution = mm.solve(
                example.game,
                example.players,
                solver,
                data=example.data,
                key=example.key,
                max_steps=options.max_steps,
                tol=options.tol,
                time_limit=options.time_limit,
                progress=options.progress,
                checkpoint=options.checkpoint,
                metric=metric,
                record=stride(example.players, options.max_steps),
            )
        seconds = time.perf_counter() - began
        distance = report.distance(solution.players, example.solution)
        certificate = report.certificate(example, solution.players)
        report.show_solution(solution, metric, certificate, distance, seconds)
        summary = {} if example.summary is None else example.summary(solution.players)
        report.show_summary(summary)
    if options.json is not None:
        outputs.write_json(options.json, example.game, solution, certificate, distance, summary)
    if options.plot is not None:
        outputs.write_plot(options.plot, solution)
    made_all_steps = example.is_sampled and options.tol is None and solution.status == "max_steps"
    return 0 if solution.success or made_all_steps else 1


if __name__ == "__main__":
    sys.exit(main())
