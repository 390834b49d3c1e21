"""A solver with what its laws need to know of it, and how they run it."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

import minimax as mm
from minimax.testing._families import FAMILIES, Family, Posed, Quadratic

EPS = float(np.finfo(float).eps)
STEPS = 8


def refined(
    solver: mm.AbstractSolver, game: mm.AbstractGame, players: PyTree, state: PyTree
) -> tuple[PyTree, PyTree]:
    """A step and a look."""
    players, state = solver.step(game, players, state)
    return players, solver.refine(game, players, state)


step = eqx.filter_jit(lambda solver, *args: solver.step(*args))
refined_step = eqx.filter_jit(refined)
init = eqx.filter_jit(lambda solver, *args: solver.init(*args))


@dataclasses.dataclass(frozen=True)
class SolverCase:
    """A solver, ready for operators with L <= 1, and what is claimed for it.

    **Arguments:**

    - `solver`: an instance.
    - `meant_for`: `meant_for(game, players)` says whether the solver is for that game, where its
      own `check` does not say so: `lambda game, players: game.constraints is None`. At least one
      of the `families` must be left.
    - `linear`: claims a linear rate where the operator is strongly monotone.
    - `again`: an equal solver that was made anew, which must not be compiled again; by default a
      copy.
    - `families`: the games that are tried, of which the first that the solver is for counts.
    """

    solver: mm.AbstractSolver
    meant_for: Callable[[mm.AbstractGame, PyTree], bool] | None = None
    linear: bool = False
    again: mm.AbstractSolver | None = None
    families: Sequence[Family] = tuple(FAMILIES)

    @functools.cached_property
    def family(self) -> Family:
        """The first whose games the solver is for."""
        for family in self.families:
            posed = Posed(family.quadratic(dtype="float32"), family.start(dtype="float32"))
            if self.means(posed) and self.suits(posed):
                return family
        raise AssertionError(
            f"{type(self.solver).__name__} is for the games of none of the families "
            f"{[type(family).__name__ for family in self.families]}: say families=[...]"
        )

    @property
    def here(self) -> mm.AbstractSolver:
        """The solver as a new one in this precision."""
        return made_here(self.solver)

    def means(self, posed: Posed) -> bool:
        """Whether the case says that the solver is for this game."""
        return self.meant_for is None or self.meant_for(*posed)

    def suits(self, posed: Posed) -> bool:
        """Whether the solver itself says so."""
        try:
            self.solver.check(*posed)
        except mm.GameError:
            return False
        return True

    def first_that_suits(self, games: Sequence[Posed | None]) -> Posed | None:
        """The first game that the solver is for; those that it refuses `solve` must refuse."""
        meant = [posed for posed in games if posed is not None and self.means(posed)]
        for posed in meant:
            if self.suits(posed):
                return posed
        for posed in meant:
            try:
                mm.solve(*posed, self.solver)
            except mm.GameError:
                continue
            raise AssertionError("a game that `check` refuses was solved")
        return None

    def pose(self, seed: int = 0, dtype: str = "float64") -> tuple[Quadratic, PyTree]:
        """A game that the solver is for, and where to start."""
        return self.family.quadratic(seed, dtype), self.family.start(seed, dtype)

    def solve(
        self,
        solver: mm.AbstractSolver | None = None,
        seed: int = 0,
        tol: float = 1e-2,
        dtype: str = "float64",
        data: Any = None,
    ) -> mm.Solution:
        """The one way in which most laws solve: with equal shapes and options it compiles once."""
        solver = made_here(self.solver if solver is None else solver)
        return mm.solve(*self.pose(seed, dtype), solver, tol=tol, data=data)


def made_here(solver: mm.AbstractSolver) -> mm.AbstractSolver:
    """A copy with numbers in the precision of the mode, single if not x64, none of them weak."""
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x)) if eqx.is_array(x) else x, solver)


def anything(case: SolverCase) -> bool:
    del case
    return True


def is_linear(case: SolverCase) -> bool:
    return case.linear


def assert_close(tree: PyTree, expected: PyTree, ulps: float | int) -> None:
    """Equal up to `ulps` roundings of the largest number in sight."""

    def close(a, b):
        scale = max(1.0, float(jnp.max(jnp.abs(b))))
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * EPS * scale)

    jax.tree.map(close, tree, expected)


def assert_constant(rows: PyTree, expected: PyTree) -> None:
    """Every row is `expected`, bit by bit."""
    jax.tree.map(
        lambda row, z: np.testing.assert_array_equal(row, np.broadcast_to(z, row.shape)),
        rows,
        expected,
    )


def in_time(function: Callable[[], Any], seconds: int) -> Any:
    """What `function` answers; an error if it takes longer.

    In a thread, because a compiled loop that does not end cannot be interrupted.
    """
    answers: list[Any] = []
    errors: list[Exception] = []
    x64 = jax.config.read("jax_enable_x64")

    def run() -> None:
        try:
            with jax.enable_x64(x64):  # which each thread has for itself
                answers.append(jax.block_until_ready(function()))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"no answer after {seconds} seconds"
    if errors:
        raise errors[0]
    return answers[0]
