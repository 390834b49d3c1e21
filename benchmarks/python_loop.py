"""`solve` against a Python loop of jitted steps: what users write today."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from benchmarks import _bilinear
from benchmarks._table import Row, faster
from benchmarks._timing import Program, duel
from benchmarks.overhead import STEPS

GOALS = {2: 400.0, 100: 5.0, 1000: None}


def rows() -> Iterator[Row]:
    """Extragradient on xᵀAy, per step."""
    for n, goal in GOALS.items():
        yield _row(n, goal)


def _row(n: int, goal: float | None) -> Row:
    players, matrix = _bilinear.problem(n)
    step_size = jnp.asarray(_bilinear.LEARNING_RATE)
    step = jax.jit(_bilinear.extra_gradient_step)
    turns = 1000 if n < 1000 else 100

    def loop() -> _bilinear.Pair:
        now = players
        for _ in range(turns):
            now = step(matrix, now, step_size)
        return now

    measured = duel(_bilinear.by_solve(n, STEPS[n]), Program(loop, turns))
    return faster(f"extragradient, n={n}, per step", "Python loop of jitted steps", measured, goal)
