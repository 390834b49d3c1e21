"""What `solve(game, players)` needs with nothing tuned: `python -m benchmarks.defaults`.

Evaluations of F, which do not depend on the machine. Three tables: evaluations until the natural
residual is 1e-6 of that of the start, against the same method in plain NumPy (`_raeg.py`), and
until it is 1e-12 with Newton's method behind; random starts on games that are not monotone; and a
thousand random games, each answer checked by a linear program or a linear solve.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree
from scipy.optimize import linprog

import minimax as mm
from benchmarks._raeg import evaluations

MOST = 6000  # evaluations
STARTS = 20


class Problem(NamedTuple):
    """A game, where to start, and whether F is affine."""

    game: mm.AbstractGame
    players: PyTree
    affine: bool = False


def problems() -> Iterator[tuple[str, Problem]]:
    """The rows of the first table."""
    rng = np.random.default_rng(0)
    for kappa in (3, 30):
        yield f"bilinear, κ = {kappa}", Problem(*_bilinear(np.linspace(1 / kappa, 1, 10)), True)
    yield "strongly convex-concave, κ = 50", Problem(*_strongly_monotone(10, 50.0), True)
    for n, m in ((30, 30), (5, 100)):
        yield f"matrix game, {n} x {m}", Problem(*_matrix_game(rng.normal(size=(n, m))), True)
    quartic = mm.Game(lambda p: jnp.sum(p[0] ** 4) / 4 - jnp.sum(p[1] ** 4) / 4 + p[0] @ p[1])
    yield "x⁴ + bilinear, far start", Problem(quartic, (jnp.full(5, 10.0), jnp.full(5, -10.0)))
    bent = mm.Game(lambda p: jnp.sum(jnp.exp(p[0])) + p[0] @ p[1] - jnp.sum(jnp.abs(p[1]) ** 3) / 3)
    yield "exp + cubic", Problem(bent, (jnp.full(5, 2.0), jnp.full(5, -2.0)))
    yield (
        "cohypomonotone, ρL = -1/3",
        Problem(COHYPOMONOTONE, (jnp.asarray(1.0), jnp.asarray(1.0)), True),
    )
    yield "Forsaken", Problem(FORSAKEN, (jnp.asarray(1.0), jnp.asarray(1.0)))
    yield "PolarGame, a = 1", Problem(_polar(1.0), (jnp.asarray(0.9), jnp.asarray(-0.4)))
    yield "badly scaled", Problem(*_bilinear(np.logspace(-1.5, 0, 10)), True)
    yield "robust logistic regression", Problem(*_robust_logistic())


def _bilinear(spectrum: np.ndarray) -> tuple[mm.AbstractGame, PyTree]:
    rng, n = np.random.default_rng(1), spectrum.size
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    A = jnp.asarray(left * spectrum @ right)
    a, b, x, y = (jnp.asarray(rng.normal(size=n)) for _ in range(4))
    return mm.Game(lambda p: (p[0] - a) @ A @ (p[1] - b)), (x, y)


def _strongly_monotone(n: int, kappa: float) -> tuple[mm.AbstractGame, PyTree]:
    game, players = _bilinear(np.linspace(0.1, 1, n))
    assert isinstance(game, mm.Game)
    mu = 1 / kappa
    return mm.Game(
        lambda p: game.payoff(p) + mu / 2 * (jnp.sum(p[0] ** 2) - jnp.sum(p[1] ** 2))
    ), players


def _matrix_game(A: np.ndarray) -> tuple[mm.AbstractGame, PyTree]:
    n, m = A.shape
    matrix = jnp.asarray(A)
    game = mm.Game(lambda p: p[0] @ matrix @ p[1], constraints=mm.Simplex())
    return game, (jnp.full(n, 1 / n), jnp.full(m, 1 / m))


COHYPOMONOTONE = mm.Game(lambda p: -(p[0] ** 2) / 6 + 2 * 2**0.5 / 3 * p[0] * p[1] + p[1] ** 2 / 6)


def _phi(z: jax.Array) -> jax.Array:
    return z**2 / 4 - z**4 / 2 + z**6 / 6


FORSAKEN = mm.Game(
    lambda p: p[0] * (p[1] - 0.45) + _phi(p[0]) - _phi(p[1]), constraints=mm.Box(-1.5, 1.5)
)


class Polar(mm.AbstractGame):
    """F = (-y + x q, x + y q) with q = a (r² - 1)(16 r² - 9)/16: two payoffs, cycles at r = 1 and
    3/4 (Pethick et al., 2022)."""

    a: jax.Array
    roles = ("min", "min")
    constraints = mm.Box(-1.1, 1.1)

    def payoff(self, players: PyTree, data: PyTree = None) -> PyTree:
        x, y = players

        def pull(u: jax.Array, v: jax.Array) -> jax.Array:
            """∫ u q du, with r² = u² + v²."""
            s = u**2 + v**2
            return self.a / 16 * (16 * s**3 / 3 - 25 * s**2 / 2 + 9 * s) / 2

        return -x * y + pull(x, y), x * y + pull(y, x)


def _polar(a: float) -> Polar:
    return Polar(jnp.asarray(a))


def _robust_logistic() -> tuple[mm.AbstractGame, PyTree]:
    """The worst mean of losses over distributions on the examples."""
    rng, n, d = np.random.default_rng(2), 40, 5
    features = jnp.asarray(rng.normal(size=(n, d)))
    labels = jnp.asarray(np.sign(rng.normal(size=n) + np.asarray(features)[:, 0]))
    game = mm.Game(
        lambda p: p["weights"] @ jax.nn.softplus(-labels * (features @ p["model"])),
        {"model": "min", "weights": "max"},
        {"model": None, "weights": mm.Simplex()},
    )
    return game, {"model": jnp.zeros(d), "weights": jnp.full(n, 1 / n)}


def by_numpy(problem: Problem) -> int | None:
    """Evaluations by the method in plain NumPy."""
    game, players, _ = problem
    start, unravel = ravel_pytree(players)
    F = jax.jit(lambda z: ravel_pytree(game.operator(unravel(z)))[0])
    project = jax.jit(lambda z: ravel_pytree(game.project(unravel(z)))[0])
    return evaluations(
        lambda z: np.asarray(F(z)), lambda z: np.asarray(project(z)), np.asarray(start), 1e-6, MOST
    )


def by_default(
    problem: Problem, relative: float, solver: mm.AbstractSolver | None = None
) -> mm.Solution:
    """`solve`, looked at after every step, as `evaluations` looks."""
    game, players, _ = problem
    first = mm.NaturalResidual()(game, game.project(players))
    return mm.solve(game, players, solver, tol=relative * first, check_every=1, max_steps=2 * MOST)


def first_table() -> None:
    """Evaluations to 1e-6, and to 1e-12 with Newton's method."""
    print(f"{'':34}{'default':>9}{'numpy':>8}{'quotient':>9}  {'to 1e-12 with Newton':>22}")
    for name, problem in problems():
        ours, theirs = by_default(problem, 1e-6), by_numpy(problem)
        count = int(ours.evaluations) if ours.success else None
        quotient = f"{count / theirs:.2f}" if count and theirs else "-"
        end = ""
        if problem.affine:
            finished = by_default(problem, 1e-12, mm.SemismoothNewton())
            end = str(int(finished.evaluations)) if finished.success else f"{finished.residual:.0e}"
        print(
            f"{name:34}{count or ours.status.name!s:>9}{theirs or '-'!s:>8}{quotient:>9}  {end:>22}"
        )


def second_table() -> None:
    """How many of the random starts are solved."""
    games: dict[str, tuple[mm.AbstractGame, float, tuple[float, float]]] = {
        "Forsaken": (FORSAKEN, 1.5, (0.0780267, 0.4119339)),
        "PolarGame, a = 1/3": (_polar(1 / 3), 1.1, (0.0, 0.0)),
        "PolarGame, a = 1": (_polar(1.0), 1.1, (0.0, 0.0)),
        "cohypomonotone": (COHYPOMONOTONE, 1.5, (0.0, 0.0)),
    }
    for name, (game, width, solution) in games.items():
        starts = jax.random.uniform(jax.random.key(0), (STARTS, 2), minval=-width, maxval=width)
        solved = eqx.filter_jit(jax.vmap(lambda z, game=game: mm.solve(game, (z[0], z[1]))))(starts)
        x, y = solved.players
        near = np.hypot(x - solution[0], y - solution[1]) < 1e-4
        print(f"{name:34}{int(np.sum(near & np.asarray(solved.success))):>9} of {STARTS}")


SHAPES = [(1, 1), (2, 2), (2, 5), (5, 5), (10, 3), (20, 20), (50, 10), (50, 50)]
EACH = 63


def third_table() -> None:
    """A thousand random games: how many are solved, and how many are wrongly called so."""
    for dtype in ("float64", "float32"):
        for kind, check in (("matrix games", _check_matrix_game), ("quadratics", _check_quadratic)):
            solved, wrong, count = 0, 0, 0
            for number, (n, m) in enumerate(SHAPES):
                outcome = check(np.random.default_rng(number), n, m, dtype)
                solved, wrong, count = solved + outcome[0], wrong + outcome[1], count + EACH
            print(f"{kind + ', ' + dtype:34}{solved:>9} of {count} solved, {wrong} wrongly")


def _conditioned(rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """A matrix of condition 1 to 1e4."""
    k = min(n, m)
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for size in (n, m))
    spectrum = np.logspace(-rng.uniform(0, 4), 0, k) if k > 1 else np.ones(1)
    return left[:, :k] * spectrum @ right[:, :k].T


def _batch(make: Callable[[], PyTree], dtype: str) -> PyTree:
    return jax.tree.map(
        lambda *each: jnp.asarray(np.stack(each), dtype), *(make() for _ in range(EACH))
    )


MATRIX_GAME = mm.Game(lambda p, A: p[0] @ A @ p[1], constraints=mm.Simplex())


def _check_matrix_game(rng: np.random.Generator, n: int, m: int, dtype: str) -> tuple[int, int]:
    """Solved by duality gap; wrong where a linear program finds more to gain than was said."""
    matrices = _batch(lambda: _conditioned(rng, n, m) * 10 ** rng.uniform(-2, 2), dtype)
    start = jnp.full(n, 1 / n, dtype), jnp.full(m, 1 / m, dtype)

    def solve(A: jax.Array) -> mm.Solution:
        return mm.solve(MATRIX_GAME, start, data=A, metric=mm.DualityGap())

    solutions = eqx.filter_jit(jax.vmap(solve))(matrices)
    wrong = 0
    for A, x, y, success, tol in zip(
        np.asarray(matrices, float),
        np.asarray(solutions.players[0], float),
        np.asarray(solutions.players[1], float),
        np.asarray(solutions.success),
        np.asarray(solutions.tol, float),
        strict=True,
    ):
        rounding = 64 * (n + m) * float(jnp.finfo(dtype).eps) * np.abs(A).max()
        gap = np.max(x @ A) - np.min(A @ y)
        value = _value(A)
        off = max(np.max(x @ A) - value, value - np.min(A @ y))
        highs = 1e-7 * np.abs(A).max()
        wrong += bool(success and (gap > tol + rounding or off > tol + rounding + highs))
    return int(np.sum(solutions.success)), wrong


def _value(A: np.ndarray) -> float:
    n, m = A.shape
    answer = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[A.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=[np.r_[np.ones(n), 0.0]], b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)], method="highs",
    )  # fmt: skip
    return float(answer.fun)


def _quadratic(p: PyTree, d: PyTree) -> jax.Array:
    x, y = p
    return x @ d["P"] @ x / 2 + x @ d["A"] @ y - y @ d["Q"] @ y / 2 + d["b"] @ x - d["c"] @ y


QUADRATIC = mm.Game(_quadratic)


def _check_quadratic(rng: np.random.Generator, n: int, m: int, dtype: str) -> tuple[int, int]:
    """Solved by natural residual; wrong where F in double precision is larger than was said."""

    def definite(size: int) -> np.ndarray:
        Q = np.linalg.qr(rng.normal(size=(size, size)))[0]
        return (Q * np.logspace(-rng.uniform(0, 4), 0, size)) @ Q.T

    def make() -> PyTree:
        A = _conditioned(rng, n, m)
        return {
            "P": definite(n),
            "A": A,
            "Q": definite(m),
            "b": rng.normal(size=n),
            "c": rng.normal(size=m),
        }

    batch = _batch(make, dtype)
    start = jnp.zeros(n, dtype), jnp.zeros(m, dtype)
    solve = eqx.filter_jit(jax.vmap(lambda d: mm.solve(QUADRATIC, start, data=d)))
    solutions = solve(batch)
    wrong = 0
    for i in np.flatnonzero(np.asarray(solutions.success)):
        d = {k: np.asarray(each[i], float) for k, each in batch.items()}
        x, y = (np.asarray(each[i], float) for each in solutions.players)
        M = np.block([[d["P"], d["A"]], [-d["A"].T, d["Q"]]])
        z, q = np.r_[x, y], np.r_[d["b"], d["c"]]
        rounding = (
            8
            * (n + m)
            * float(jnp.finfo(dtype).eps)
            * np.linalg.norm(np.abs(M) @ np.abs(z) + np.abs(q))
        )
        allowed = float(solutions.tol[i]) + rounding
        distance = np.linalg.norm(z - np.linalg.solve(M, -q))
        weakest = np.linalg.svd(M, compute_uv=False)[-1]
        wrong += bool(np.linalg.norm(M @ z + q) > allowed or distance > 1.01 * allowed / weakest)
    return int(np.sum(solutions.success)), wrong


TABLES = {"rows": first_table, "starts": second_table, "random": third_table}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    names = parser.parse_args().tables or list(TABLES)
    with jax.enable_x64(True):
        for name in names:
            TABLES[name]()
            print()


if __name__ == "__main__":
    main()
