"""Each file in `_solvers` is held to the laws of `minimax.testing`.

The examples of the solvers are made for operators with L <= 1. A solver that is for some games only
says so by its `check`, and is tried on those (`minimax/testing/_families.py`).
"""

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


# One solver after the other, because its laws share what is compiled.
LAWS = [
    pytest.param(law, name, id=f"{name}-{law.name}")
    for name in EXAMPLES
    for law in solver_laws
    if law.applies(case_of(name))
]


@pytest.mark.parametrize("law, name", LAWS)
def test_laws(law, name):
    """Each law that is for it."""
    law(case_of(name))


def test_every_file_holds_one_solver_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_solvers, mm.AbstractSolver)
