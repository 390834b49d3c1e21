"""All laws of solvers, in one call."""

from collections.abc import Callable

from jaxtyping import PyTree

import minimax as mm
from minimax.testing import _solver_laws
from minimax.testing._families import COUPLED as COUPLED
from minimax.testing._families import FREE as FREE
from minimax.testing._families import SIMPLICES as SIMPLICES
from minimax.testing._families import Family as Family
from minimax.testing._law import check, check_kind
from minimax.testing._solver_case import SolverCase as SolverCase

solver_laws = _solver_laws.LAWS
"""Each is called with a `SolverCase`, and `applies` to some of them."""


def check_solver(
    solver: mm.AbstractSolver,
    meant_for: Callable[[mm.AbstractGame, PyTree], bool] | None = None,
    linear: bool = False,
) -> None:
    r"""Holds every law of solvers against one.

    The laws say that `step` keeps structure and dtypes and has no memory but the state, that it is
    the same compiled, in a batch, for players of any structure and for a game seen differently,
    that it counts its evaluations, goes on where it stopped and is not compiled twice, that it
    stays at a solution, finds one where the operator is strongly monotone and says so where there
    is none.

    It takes half a minute, because some twenty programs are compiled. In a test suite of your
    own each law is a test, named after it:

    ```python
    import pytest
    from minimax.testing import SolverCase, solver_laws

    CASE = SolverCase(MySolver(0.1), linear=True)

    LAWS = [pytest.param(law, id=law.name) for law in solver_laws if law.applies(CASE)]

    @pytest.mark.parametrize("law", LAWS)
    def test_my_solver(law):
        law(CASE)
    ```

    **Arguments:**

    - `solver`: an instance of `mm.AbstractSolver`, ready for operators with Lipschitz constant 1,
      strong monotonicity 0.3 and players of a few entries, on which it reaches a residual of 0.01
      within 10 000 steps.
    - `meant_for`: `meant_for(game, players)` says whether the solver is for that game, where its
      own `check` does not say so: `lambda game, players: game.constraints is None` for one that
      knows no constraints, `lambda game, players: len(players) == 2` for one that needs two
      players. Free players, players on simplices, and players coupled bilinearly with the rest in
      regularisers are tried, in this order; the first for which it is meant count.
    - `linear`: claims a linear rate where the operator is strongly monotone.

    **Raises:** `AssertionError` with the name and the sentence of the first law that fails;
    `GameError` for what is of another kind.
    """
    check_kind("solver", solver, mm.AbstractSolver)
    check(solver_laws, SolverCase(solver, meant_for, linear))
