"""Each file in `_solvers` is held to the laws of `minimax.testing`.

The examples of the solvers are made for operators with L <= 1. A solver that is for some games only
says so by its `check`, and is tried on those (`minimax/testing/_families.py`).
"""

from collections.abc import Iterator
from typing import Any

import pytest

import minimax as mm
from minimax import _solvers
from minimax.testing import SolverCase, solver_laws
from tests.discovery import check_files, examples

pytestmark = pytest.mark.usefixtures("float64")

EXAMPLES = examples(_solvers)
SUBLINEAR = {
    "anchored_popov",
    "averaged",
    "dual_extrapolation",
    "extra_anchored_gradient",
    "fast_extra_gradient",
    "halpern",
    "mirror_prox",
    "optimistic_mirror_descent",
    "varying_extra_anchored_gradient",
}
"""Those that answer with an average, or are drawn back to where they started."""


def case_of(name: str) -> SolverCase:
    """An example, made twice: equal solvers share their programs."""
    make = EXAMPLES[name]
    return SolverCase(make(), linear=name not in SUBLINEAR, again=make())


RUNS = {
    "solve_answers_in_the_dtype_of_the_players",
    "players_may_be_any_pytree",
    "three_maximisers_are_players_too",
    "it_converges_where_the_operator_is_strongly_monotone",
    "a_linear_rate_is_linear",
    "it_converges_on_sets_and_stays_inside",
    "a_game_without_a_solution_is_not_called_solved",
    "a_gradient_that_is_not_finite_ends_the_run",
    "the_trace_of_solve_is_the_step_api",
    "statistics_are_scalars_by_name",
    "new_numbers_do_not_trace_again",
    "going_on_is_the_same_as_not_stopping",
    "a_batch_of_solves_is_a_loop_over_solves",
}
"""Laws of whole runs, each of which takes seconds to compile."""


def cases() -> Iterator[Any]:
    """One solver after the other, because its laws share what is compiled. Of the laws of whole
    runs each solver meets one in three, and each law one solver in three; `pytest -m ""` has all.
    """
    for i, name in enumerate(EXAMPLES):
        for j, law in enumerate(solver_laws):
            if law.applies(case_of(name)):
                is_left_out = law.name in RUNS and (i + j) % 3
                marks = pytest.mark.exhaustive if is_left_out else ()
                yield pytest.param(law, name, id=f"{name}-{law.name}", marks=marks)


def test_the_laws_of_runs_are_laws():
    assert RUNS <= {law.name for law in solver_laws}


LAWS = list(cases())


@pytest.mark.parametrize("law, name", LAWS)
def test_laws(law, name):
    """Each law that is for it."""
    law(case_of(name))


def test_every_file_holds_one_solver_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_solvers, mm.AbstractSolver)
