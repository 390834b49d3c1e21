"""`mm.Simplex`'s projection, which does not sort, against one that does.

The number of sweeps that Michelot's algorithm makes depends on the point. Random normal vectors
are the case of the goal; iterates of a method are nearer to the simplex; a geometric sequence that
falls as fast as the dtype allows is the worst case known to us.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

import minimax as mm
from benchmarks._table import Row, faster
from benchmarks._timing import Program, duel

POINTS = 1000
SORT = "optax.projections (sorts)"

Points = Float[Array, "points n"]
GOALS: dict[int, float] = {100: 5.0, 1000: 15.0}


def rows() -> Iterator[Row]:
    """Projections of single vectors, one after the other."""
    for n, goal in GOALS.items():
        yield _row(n, "random normal", _random_normal(n), goal)
    for n in GOALS:
        yield _row(n, "near the simplex", _near_the_simplex(n), None)
        yield _row(n, "worst case", _geometric(n), None)


def _row(n: int, kind: str, points: Points, goal: float | None) -> Row:
    ours, theirs = _each(mm.Simplex().project), _each(optax.projections.projection_simplex)
    measured = duel(
        Program(lambda: ours(points), len(points)), Program(lambda: theirs(points), len(points))
    )
    return faster(f"simplex projection, n={n}, {kind}", SORT, measured, goal)


def _each(project: Callable[[Array], Array]) -> Callable[[Points], Array]:
    """All points projected in one compiled scan; their sum keeps the work from being dropped."""

    @jax.jit
    def projected(points: Points) -> Float[Array, " n"]:
        def step(total: Array, point: Array) -> tuple[Array, None]:
            return total + project(point), None

        return jax.lax.scan(step, jnp.zeros(points.shape[1]), points)[0]

    return projected


def _random_normal(n: int) -> Points:
    return jax.random.normal(jax.random.key(0), (POINTS, n))


def _near_the_simplex(n: int) -> Points:
    inside = jax.random.dirichlet(jax.random.key(1), jnp.ones(n), (POINTS,))
    return inside + 0.1 / n * jax.random.normal(jax.random.key(2), (POINTS, n))


def _geometric(n: int) -> Points:
    """-1, -r, -r², … to the end of float32, in random orders: a sweep drops only a few of them."""
    exponents = jnp.linspace(0.0, 36.0, n)
    keys = jax.random.split(jax.random.key(3), POINTS)
    return jax.vmap(lambda key: -(10.0 ** jax.random.permutation(key, exponents)))(keys)
