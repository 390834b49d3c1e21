"""Semismooth Newton against closed forms, NumPy and HiGHS."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import minimax as mm
from minimax import _constraints
from minimax._solvers._gmres import gmres
from minimax.testing import ConstraintCase
from tests.discovery import examples
from tests.iterates import iterates, outputs

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps
CONSTRAINTS = examples(_constraints)
solver = mm.SemismoothNewton()


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def orthogonal(seed: int, n: int) -> np.ndarray:
    return np.linalg.qr(draw(seed, n, n))[0]


def with_condition(seed: int, n: int, condition: float) -> np.ndarray:
    """A matrix whose singular values fall geometrically from 1 to 1/condition."""
    return orthogonal(seed, n) * np.geomspace(1, 1 / condition, n) @ orthogonal(seed + 1, n).T


def affine(players, data):
    """x'Px/2 + x'Ay - y'Qy/2 + b'x - c'y."""
    x, y = players["x"], players["y"]
    P, A, Q, b, c = data
    return x @ P @ x / 2 + x @ A @ y - y @ Q @ y / 2 + b @ x - c @ y


FREE = mm.Game(affine, {"x": "min", "y": "max"})
ZERO = np.zeros((12, 12))
BAD = np.diag(np.geomspace(1, 1e-2, 12))
BALL = with_condition(2, 12, 50)
ROWS = {
    "bilinear, condition 3": (ZERO, with_condition(0, 12, 3), ZERO),
    "bilinear, condition 30": (ZERO, with_condition(0, 12, 30), ZERO),
    "bilinear, badly scaled": (ZERO, BAD @ with_condition(0, 12, 30), ZERO),
    "bilinear, rank 5": (ZERO, np.diag(np.arange(12) < 5) @ with_condition(0, 12, 3), ZERO),
    "strongly convex-concave": (BALL @ BALL.T, draw(4, 12, 12) / 8, BALL.T @ BALL),
}


# Linear systems -----------------------------------------------------------------------------------


@eqx.filter_jit
def solved(A, b, size, tol=0.0):
    return gmres(lambda v: A @ v, b, size, tol)


@pytest.mark.parametrize("size", [1, 7, 12])
def test_gmres_is_least_squares_on_the_krylov_space(size):
    """‖b - Ax‖ over the span of b, Ab, ..., A^(size-1) b, against NumPy."""
    A, b = draw(0, 12, 12), draw(1, 12)
    powers = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(size)], axis=1)
    krylov = np.linalg.qr(powers)[0]
    best = krylov @ np.linalg.lstsq(A @ krylov, b, rcond=None)[0]
    x, residual, products = solved(A, b, size)
    assert products == size
    np.testing.assert_allclose(x, best, atol=1e-8)
    np.testing.assert_allclose(residual, np.linalg.norm(b - A @ x), atol=1e-13)


def test_gmres_stops_where_the_space_ends():
    """A projection on two dimensions has a quadratic minimal polynomial; and zero for zero."""
    A = np.diag([1.0, 1.0, 3.0, 3.0])
    x, _, products = solved(A, np.ones(4), 4, 1e-14)
    assert products == 2
    np.testing.assert_allclose(x, [1, 1, 1 / 3, 1 / 3], atol=4 * EPS)
    x, residual, products = solved(0 * A, np.ones(4), 4, 1e-14)
    assert (products, residual) == (1, 2) and not np.any(x)
    x, residual, products = solved(A, np.zeros(4), 4, 1e-14)
    assert (products, residual) == (0, 0) and not np.any(x)


# The Jacobian -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_natural_map_knows_its_derivative(name):
    """`jvp` is the central difference, inside the set, outside, and from points of its boundary,
    along feasible directions and others."""
    constraint = CONSTRAINTS[name]()
    shape = ConstraintCase(constraint).shape()

    @jax.jit
    def along(t, x, d, u, e):
        return constraint.natural_map(x + t * u, d + t * e, 0.7)

    for seed in range(6):
        x, d, u, e = (jnp.asarray(row) for row in draw(seed, 4, *shape))
        # A set that is not all of space does not hold both 3x and -3x, unless it holds x.
        for point in (x, constraint.project(3 * x), constraint.project(-3 * x)):
            rest = (point, d, u, e)
            _, tangent = jax.jvp(lambda t: along(t, *rest), (0.0,), (1.0,))  # noqa: B023
            h = 1e-6
            slope = (along(h, *rest) - along(-h, *rest)) / (2 * h)
            np.testing.assert_allclose(tangent, slope, atol=1e-6)


# Where it ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS)
def test_affine_operators_are_solved_to_machine_precision(row):
    """Within one attempt. The planted zero is the one nearest to the start, also where zeros are
    many: rounding over m, 1e-16/1e-8, is how far Newton strays along the null space."""
    P, A, Q = ROWS[row]
    planted = np.concatenate([A @ draw(6, 12), A.T @ draw(7, 12)])
    M = np.block([[P, A], [-A.T, Q]])
    b, c = np.split(-M @ planted, 2)
    start = {"x": np.zeros(12), "y": np.zeros(12)}
    data = tuple(map(jnp.asarray, (P, A, Q, b, c)))
    first = mm.NaturalResidual()(FREE, start, data)
    solution = mm.solve(FREE, start, solver, data=data, tol=1e-12 * float(first))
    assert solution.success and solution.steps <= 200, solution
    z = np.concatenate([solution.players["x"], solution.players["y"]])
    least = np.linalg.svd(M)[1]
    least = least[least > 1e-10][-1]
    stray = 1e-7 * (row == "bilinear, rank 5")
    assert np.linalg.norm(z - planted) <= 2e-12 * float(first) / least + stray


MATRIX = mm.Game(lambda p, A: p["x"] @ A @ p["y"], {"x": "min", "y": "max"}, mm.Simplex())
PAYOFFS = {
    "30x30": draw(0, 30, 30),
    "30x30, whole numbers": np.random.default_rng(0).integers(-2, 3, (30, 30)).astype(float),
    "30x30, every action twice": np.tile(draw(1, 15, 15), (2, 2)),
    "5x100": draw(2, 5, 100),
}


@pytest.mark.parametrize("row", PAYOFFS)
def test_matrix_games_are_solved_to_machine_precision(row):
    """Also where equilibria are many. The value is that of HiGHS."""
    A = PAYOFFS[row]
    n, m = A.shape
    start = {"x": np.ones(n) / n, "y": np.ones(m) / m}
    first = float(mm.NaturalResidual()(MATRIX, start, jnp.asarray(A)))
    solution = mm.solve(MATRIX, start, solver, data=jnp.asarray(A), tol=1e-12 * first)
    assert solution.success, solution
    # min t with A'x <= t
    lp = scipy.optimize.linprog(
        np.r_[np.zeros(n), 1],
        A_ub=np.c_[A.T, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0][None],
        b_eq=[1],
        bounds=[(0, None)] * n + [(None, None)],
    )
    x, y = solution.players["x"], solution.players["y"]
    assert abs(np.max(A.T @ x) - lp.fun) <= 1e-10 and abs(np.min(A @ y) - lp.fun) <= 1e-10


LP = mm.Game(
    lambda p, d: d[2] @ p["x"] - p["y"] @ (d[0] @ p["x"] - d[1]),
    {"x": "min", "y": "max"},
    mm.NonNegative(),
)


@pytest.mark.parametrize("seed", range(3))
def test_linear_programs_are_solved_to_machine_precision(seed):
    """min c'x with Ax >= b, x >= 0, by its Lagrangian; against HiGHS."""
    random = np.random.default_rng(seed)
    A, b, c = (random.uniform(size=shape) + 0.5 for shape in ((6, 9), 6, 9))
    start = {"x": np.zeros(9), "y": np.zeros(6)}
    data = tuple(map(jnp.asarray, (A, b, c)))
    first = float(mm.NaturalResidual()(LP, start, data))
    solution = mm.solve(LP, start, solver, data=data, tol=1e-12 * first)
    assert solution.success, solution
    lp = scipy.optimize.linprog(c, A_ub=-A, b_ub=-b)
    np.testing.assert_allclose(c @ solution.players["x"], lp.fun, rtol=1e-10)
    np.testing.assert_allclose(b @ solution.players["y"], lp.fun, rtol=1e-10)


def curved(players):
    """Strongly convex-concave and far from quadratic."""
    x, y = players["x"], players["y"]
    return jnp.sum(jnp.exp(x) + x**2 / 2) + x @ y - jnp.sum(jnp.cosh(y)) + x[0] * y[2]


def test_curved_games_on_sets_are_solved_to_machine_precision():
    """By Newton, whose steps square the residual: few are made."""
    game = mm.Game(curved, {"x": "min", "y": "max"}, {"x": mm.L2Ball(1.5), "y": mm.Box(-0.1, 2.0)})
    start = {"x": 3 * np.ones(3), "y": -np.ones(3)}
    solution = mm.solve(game, start, solver, tol=1e-14)
    assert solution.success and solution.steps == 50, solution


def test_linear_equations_are_solved_at_once():
    """There R is affine, also off the sets: each proximal step is one Newton step, and from
    wherever the attempt begins its end is the solution of the Lagrangian in NumPy."""
    a, C = draw(20, 12), draw(21, 3, 12)
    P, A, Q, b, c = np.eye(12), draw(4, 12, 12) / 8, np.eye(12), draw(22, 12), draw(23, 12)
    equations = np.block([[a[None], np.zeros((1, 12))], [np.zeros((3, 12)), C]])
    totals = np.array([1.0, 0.5, -0.3, 0.2])
    M = np.block([[P, A, equations[:, :12].T], [-A.T, Q, equations[:, 12:].T]])
    M = np.vstack([M, np.c_[equations, np.zeros((4, 4))]])
    expected = np.linalg.solve(M, np.r_[-b, -c, totals])[:24]
    sets = {"x": mm.Hyperplane(a, totals[0]), "y": mm.AffineSet(C, totals[1:])}
    game = mm.Game(affine, {"x": "min", "y": "max"}, sets)
    start = {"x": jnp.asarray(draw(24, 12)), "y": jnp.asarray(draw(25, 12))}
    data = tuple(map(jnp.asarray, (P, A, Q, b, c)))
    still = mm.GradientDescentAscent(1e-300)  # so that the attempt begins at the start
    solution = mm.solve(game, start, mm.SemismoothNewton(still), data=data, tol=1e-12)
    assert solution.success and solution.state.state.attempts == 1, solution
    found = np.r_[solution.players["x"], solution.players["y"]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


# What it leaves alone -----------------------------------------------------------------------------


class Rotating(mm.AbstractGame):
    """A game that is not monotone: there Newton's way may lead uphill."""

    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return jnp.sum(jnp.sin(3 * x) * y + jnp.cos(2 * x * y) + 0.05 * (x**4 - y**4))


def test_the_inner_solver_runs_as_alone():
    """Its iterates are the same bits; what is reported is never worse, and at times a solution."""
    game, inner = Rotating(), mm.ExtraGradient(0.05)
    wrapped = mm.SemismoothNewton(inner)
    residual = jax.vmap(lambda z: mm.NaturalResidual()(game, z))
    better = 0
    for seed in range(5):
        start = {"x": jnp.asarray(draw(seed, 2)), "y": jnp.asarray(draw(seed + 9, 2))}
        alone = iterates(game, start, inner, 60)
        for ours, theirs in zip(
            *map(jax.tree.leaves, (iterates(game, start, wrapped, 60), alone)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        ours, theirs = residual(outputs(game, start, wrapped, 60)), residual(alone)
        assert np.all(ours <= theirs * (1 + 1e-12) + 1e-15)
        better += int(np.sum((ours <= 1e-13) & (ours < 1e-3 * theirs)))
    assert better > 0


def test_an_attempt_is_the_proximal_point_method():
    """On a free affine operator, one proximal step of length c multiplies the error by
    (I + cM)⁻¹: with 3c after c the product of both, from NumPy."""
    P, A, Q = np.eye(12), draw(4, 12, 12) / 8, np.eye(12)
    M = np.block([[P, A], [-A.T, Q]])
    planted = draw(1, 24) / 10
    b, c = np.split(-M @ planted, 2)
    data = tuple(map(jnp.asarray, (P, A, Q, b, c)))
    players = {"x": jnp.zeros(12), "y": jnp.zeros(12)}
    newton = mm.SemismoothNewton(step_size=0.2)
    problem, spent = newton._posed(FREE, players, jnp.zeros(24), data)
    assert spent == 25 and problem.jacobian is not None
    np.testing.assert_allclose(problem.jacobian, M, atol=1e-14)
    np.testing.assert_allclose(problem.operator(jnp.asarray(planted)), 0, atol=1e-13)
    error, at = -planted, newton._begin(jnp.zeros(24), spent)
    look = jax.jit(lambda at: newton._look(problem, at))
    for length in (0.2, 0.6, 1.8):
        at = look(look(at))  # where the step begins, and Newton's step from there
        error = np.linalg.solve(np.eye(24) + length * M, error)
        np.testing.assert_allclose(at.centre - planted, error, atol=1e-13)
    assert at.looks == 6 and at.spent == 25


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(size=0), "size is 0: expected a whole number >= 1."),
        (dict(step_size=0.0), "step_size is 0.0: expected one finite number > 0, such as 0.1."),
    ],
)
def test_numbers_outside_their_ranges_are_refused(wrong, message):
    with pytest.raises(mm.GameError) as error:
        mm.SemismoothNewton(**wrong)
    assert str(error.value) == message


def test_what_the_solver_inside_finds_is_not_lost():
    """In single precision an attempt may end where rounding ends for it, in a point that is worse
    than what the solver inside comes to: then that is reported."""
    half = jnp.asarray([0.5, 0.5], "float32")
    game = mm.Game(lambda p, A: p[0] @ A @ p[1], constraints=mm.Simplex())
    rng = np.random.default_rng(0)
    matrices = jnp.asarray(60 * rng.normal(size=(40, 2, 2)), "float32")
    run = jax.jit(jax.vmap(lambda A: mm.solve(game, (half, half), data=A)))
    assert np.all(run(matrices).success)
    ray = mm.Game(lambda p, d: d[0] * p[0] + p[1] * (d[1] - p[0]), constraints=mm.NonNegative())
    data = jnp.asarray([1e-3, 1e3], "float32")
    zero = (jnp.zeros((), "float32"),) * 2
    far = mm.solve(ray, zero, data=data, max_steps=50_000)
    assert far.success and abs(far.players[0] - 1000) < 0.1
