"""`vmap` over `solve`: many small games at once."""

from collections.abc import Iterator

import equinox as eqx
import jax
from jaxtyping import Array, Float

import minimax as mm
from benchmarks import _bilinear
from benchmarks._table import Row, per_second
from benchmarks._timing import Program, seconds_per_work

GAMES, STEPS = 1024, 1000


def rows() -> Iterator[Row]:
    """Extragradient on a batch of games xᵀAy, in game-iterations per second."""
    for n in (3, 10):
        yield _row(n)


def _row(n: int) -> Row:
    of_matrix, of_x, of_y = jax.random.split(jax.random.key(0), 3)
    matrices = jax.random.normal(of_matrix, (GAMES, n, n)) / (2 * n**0.5)
    starts = jax.random.normal(of_x, (GAMES, n)), jax.random.normal(of_y, (GAMES, n))
    game, solver = mm.Game(_bilinear.payoff), mm.ExtraGradient(_bilinear.LEARNING_RATE)

    @eqx.filter_jit
    def solve_all(starts: _bilinear.Pair, matrices: Float[Array, "games n n"]) -> mm.Solution:
        def solve(start: _bilinear.Pair, matrix: Float[Array, "n n"]) -> mm.Solution:
            return mm.solve(game, start, solver, data=matrix, max_steps=STEPS, tol=0.0)

        return jax.vmap(solve)(starts, matrices)

    measured = seconds_per_work(Program(lambda: solve_all(starts, matrices), GAMES * STEPS))
    return per_second(f"vmap over {GAMES} games, n={n}, game-iterations", measured)
