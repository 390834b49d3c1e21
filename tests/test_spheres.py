"""Spheres, which are not convex: what is true of them, and what must not be claimed on them."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from minimax import _solvers
from minimax.testing import ConstraintCase, constraint_laws
from tests.discovery import examples
from tests.strategies import seeds

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps


def symmetric(seed: int, n: int = 5) -> np.ndarray:
    B = np.random.default_rng(seed).normal(size=(n, n))
    return (B + B.T) / 2


class Rayleigh(mm.AbstractGame):
    r"""$x^\top A x / 2$ on a sphere: critical at the eigenvectors of A."""

    matrix: jax.Array
    constraints: mm.L2Sphere
    roles = "min"

    def payoff(self, players, data=None):
        return players @ self.matrix @ players / 2


def rayleigh(matrix, radius: float = 1.0) -> Rayleigh:
    return Rayleigh(jnp.asarray(matrix), mm.L2Sphere(radius))


MEASURED = eqx.filter_jit(
    lambda game, x, step: (mm.TangentResidual()(game, x), mm.NaturalResidual(step)(game, x))
)


def measured(game, x, step=1.0) -> tuple[float, float]:
    tangent, natural = MEASURED(game, jnp.asarray(x), jnp.asarray(step))
    return float(tangent), float(natural)


# What is found on it ------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1.0, 3.0])
@pytest.mark.parametrize("seed", range(4))
def test_gradient_steps_find_the_smallest_eigenvalue(seed, radius):
    """x⁺ = P((I - ηA) x) is power iteration, and for small η > 0 with λ_min in front; for -A it is
    -λ_max."""
    A = symmetric(seed)
    values = np.linalg.eigvalsh(A)
    start, descent = jnp.ones(5), mm.GradientDescentAscent(0.5 / np.abs(values).max())
    for sign, value in ((1, values[0]), (-1, -values[-1])):
        game = rayleigh(sign * A, radius)
        solution = mm.solve(game, start, descent, metric=mm.TangentResidual(), tol=1e-9)
        assert solution.success, solution
        assert np.linalg.norm(solution.players) == pytest.approx(radius, rel=8 * EPS)
        assert 2 * solution.value / radius**2 == pytest.approx(value, rel=1e-12)


def test_spheres_of_a_batch_move_by_themselves():
    """Three rows, each to the eigenvector of its own matrix; and along columns."""
    matrices = np.stack([symmetric(seed, 3) for seed in range(3)])
    expected = [np.linalg.eigvalsh(A)[0] for A in matrices]
    for axis in (-1, 0):

        def payoff(x, axis=axis):
            rows = jnp.moveaxis(x, axis, -1)
            return jnp.einsum("bi,bij,bj->", rows, matrices, rows) / 2

        game = mm.Game(payoff, "min", mm.L2Sphere(1.0, axis=axis))
        solution = mm.solve(
            game, jnp.ones((3, 3)), mm.GradientDescentAscent(0.2), metric=mm.TangentResidual()
        )
        assert 2 * solution.value == pytest.approx(sum(expected), abs=1e-9)


def test_the_origin_goes_to_the_first_unit_vector_with_derivative_zero():
    sphere = mm.L2Sphere(2.0)
    zero = jnp.zeros(3)
    np.testing.assert_array_equal(sphere.project(zero), [2, 0, 0])
    np.testing.assert_array_equal(jax.jacobian(sphere.project)(zero), np.zeros((3, 3)))
    z = jnp.asarray([0.5, -1.0, 0.25])  # a step that ends at the origin
    np.testing.assert_array_equal(sphere.displacement(z, z, 1.0), z - jnp.asarray([2.0, 0, 0]))
    assert jnp.all(jnp.isfinite(jax.jacobian(lambda d: sphere.displacement(z, d, 1.0))(z)))


# Spheres of other norms ---------------------------------------------------------------------------

SPHERES = {
    "L1": (mm.L1Sphere, 1, np.inf),
    "L2": (mm.L2Sphere, 2, 2),
    "LInf": (mm.LInfSphere, np.inf, 1),
}
each_sphere = pytest.mark.parametrize("name", SPHERES)
PROJECT = eqx.filter_jit(lambda sphere, x: sphere.project(x))
BACK = eqx.filter_jit(lambda sphere, x, s: sphere.displacement(x, s, 1.0))
TANGENT = eqx.filter_jit(lambda sphere, x, v: sphere.project_on_tangent_cone(x, v))


def facets(name: str, x: np.ndarray, radius: float) -> list[np.ndarray]:
    """The point nearest to x of each face of the cross-polytope, or of the cube."""
    n = x.size
    if name == "LInf":
        faces = []
        for k, sign in itertools.product(range(n), (-1, 1)):
            face = np.clip(x, -radius, radius)
            face[k] = sign * radius
            faces.append(face)
        return faces
    simplex = mm.Simplex(radius)
    signs = [np.asarray(s) for s in itertools.product((-1.0, 1.0), repeat=n)]
    return [s * np.asarray(PROJECT(simplex, jnp.asarray(s * x))) for s in signs]


@pytest.mark.parametrize("name", ["L1", "LInf"])
@given(seeds, st.sampled_from([0.1, 1.0, 5.0]), st.sampled_from([1, 2, 4]))
def test_the_nearest_point_is_that_of_the_nearest_facet(name, seed, scale, n):
    """Of all 2ⁿ faces of the cross-polytope, and of all 2n of the cube; zeros and ties too."""
    make, _, _ = SPHERES[name]
    rng = np.random.default_rng(seed)
    x = (
        np.round(scale * rng.normal(size=n), 1 + seed % 2)
        if seed % 3
        else scale * rng.normal(size=n)
    )
    found = np.asarray(PROJECT(make(1.25), jnp.asarray(x)))
    best = min(np.linalg.norm(x - u) for u in facets(name, x, 1.25))
    assert np.linalg.norm(x - found) == pytest.approx(best, abs=16 * EPS * (1 + np.abs(x).max()))


@each_sphere
@pytest.mark.parametrize("seed", range(3))
def test_the_least_of_a_linear_function_is_the_dual_norm(name, seed):
    """min ⟨c, u⟩ over ‖u‖ = r is -r times the dual norm of c, and no other point is critical: on
    these three spheres `TangentResidual` is zero there alone."""
    make, _, dual = SPHERES[name]
    c = np.random.default_rng(seed).normal(size=6)
    game = mm.Game(lambda x: x @ c, "min", make(2.0))
    descent = mm.GradientDescentAscent(0.1)
    solution = mm.solve(game, jnp.ones(6), descent, metric=mm.TangentResidual(), tol=1e-12)
    assert solution.success, solution
    assert solution.value == pytest.approx(-2 * np.linalg.norm(c, dual), rel=1e-12)


@each_sphere
@given(seeds, st.sampled_from(["float32", "float64"]), st.sampled_from([0, 1, 3]))
def test_small_steps_are_not_lost_on_a_sphere(name, seed, dtype, corners):
    """The displacement by a step of 10⁻⁶ at a radius of 10³, to the digits of the step: it is the
    step less what the tangent cone takes of it. At points with several entries at zero or at the
    radius, too."""
    make, order, _ = SPHERES[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=5)
    if name == "LInf":
        x[:corners] = 10 * np.sign(x[:corners])
    elif name == "L1":
        x[:corners] = 0
    sphere = make(jnp.asarray(1e3, dtype))
    x = PROJECT(sphere, jnp.asarray(1e4 * x / np.linalg.norm(x, order), dtype))
    s = 1e-6 * rng.normal(size=5)
    s = jnp.asarray(np.where(x > 0, abs(s), -abs(s)) if seed % 2 else s, dtype)  # or all inward
    back, along = BACK(sphere, x, s), -TANGENT(sphere, x, -s)
    # A curve bends by s²/r; where the sphere is bent, x is on it to ε r only, along its normal.
    np.testing.assert_allclose(back, along, rtol=0, atol=64 * np.finfo(dtype).eps * 1e-6 + 1e-14)


@each_sphere
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_comes_to_the_sphere(name, dtype):
    make, order, _ = SPHERES[name]
    for scale in (0.001, 10.0):
        x = jnp.asarray(scale * np.random.default_rng(0).normal(size=300), dtype)
        found = PROJECT(make(2.0), x)
        assert found.dtype == dtype
        norm = np.linalg.norm(np.asarray(found, float), order)
        assert norm == pytest.approx(2, rel=4 * float(jnp.finfo(dtype).eps))


@each_sphere
@pytest.mark.parametrize("place", [[0.5, -0.3, 0.2], [1.0, 0.4, -0.7], [0.8, -0.1, 0.4]])
def test_on_a_sphere_derivatives_are_those_of_both_sides(name, place):
    """Within a facet the projection is smooth across the sphere: its derivatives at a feasible
    point, by the point, the radius and the step, are central differences."""
    make, order, _ = SPHERES[name]
    x = np.asarray(place) / np.linalg.norm(place, order)
    x, s, h = jnp.asarray(x), jnp.asarray([0.3, -0.2, 0.5]), 1e-6
    functions = (
        (lambda t: make(1.0).project(x + t * s)),
        (lambda t: make(1.0 + t).project(x)),
        (lambda t: make(1.0).displacement(x, t * s, 1.0)),
        (lambda t: make(1.0).displacement(x + t * s, 0 * s, 1.0)),
    )
    for function in functions:
        _, slope = jax.jvp(function, (0.0,), (1.0,))
        np.testing.assert_allclose(slope, (function(h) - function(-h)) / (2 * h), rtol=0, atol=1e-9)


@each_sphere
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_a_slope_that_is_no_number_is_no_residual_of_zero(name, bad, at):
    make, _, _ = SPHERES[name]
    x = jnp.asarray([1.0, 0.0])
    slope = jnp.zeros(2).at[at].set(bad)
    assert not np.all(np.isfinite(TANGENT(make(1.0), x, slope)))


def test_sums_of_half_precision_do_not_overflow_on_the_l1_sphere():
    slopes = np.asarray([-3e4, -3e4, -3e4, -2e4])
    found = TANGENT(mm.L1Sphere(1.0), jnp.full(4, 0.25, "float16"), jnp.asarray(slopes, "float16"))
    np.testing.assert_allclose(np.asarray(found, float), slopes - slopes.mean(), rtol=2e-2)


# What residuals say -------------------------------------------------------------------------------


@given(seeds, st.sampled_from([0.5, 1.0, 4.0]))
def test_the_tangent_residual_is_the_riemannian_gradient(seed, radius):
    """‖(I - uuᵀ/r²) A u‖; and zero at every eigenvector, whatever its eigenvalue."""
    A = symmetric(seed)
    game = rayleigh(A, radius)
    u = np.random.default_rng(seed + 1).normal(size=5)
    u *= radius / np.linalg.norm(u)
    gradient = A @ u - u * (u @ A @ u) / radius**2
    assert measured(game, u)[0] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)
    for vector in np.linalg.eigh(A)[1].T:
        assert measured(game, radius * vector)[0] <= 64 * EPS * radius


@given(seeds, st.sampled_from([0.5, 1.0, 4.0]), st.sampled_from([0.1, 1.0, 10.0]))
def test_the_natural_residual_is_zero_where_the_multiplier_is_below_one_over_the_step(
    seed, radius, step
):
    """At critical points F = λu it is zero for sλ < 1, and else 2r/s: the step ends beyond the
    origin, and the nearest point is -u. Elsewhere it is not zero."""
    A = symmetric(seed)
    game = rayleigh(A, radius)
    values, vectors = np.linalg.eigh(A)
    for value, vector in zip(values, vectors.T, strict=True):
        expected = 0.0 if step * value < 1 else 2 * radius / step
        near = 64 * EPS * radius * (1 + 1 / abs(1 - step * value)) * (1 + 1 / step)
        found = measured(game, radius * vector, step)[1]
        assert abs(found - expected) <= near
    u = np.random.default_rng(seed + 1).normal(size=5)
    tangent, natural = measured(game, radius * u / np.linalg.norm(u), step)
    assert tangent > 1e-6 and natural > 1e-8


@pytest.mark.parametrize("far", [1.0, 1e3, 1e6])
def test_a_small_step_is_not_lost_to_a_large_radius(far):
    """In float32 a slope of 10⁻³ along the sphere is 10⁻³ at any radius, where u - P(u - F) would
    be a rounding."""
    game = mm.Game(lambda x: 1e-3 * x[1], "min", mm.L2Sphere(jnp.float32(far)))
    u = jnp.asarray([far, 0.0, 0.0], "float32")
    assert float(mm.NaturalResidual()(game, u)) == pytest.approx(1e-3, rel=1e-5)
    assert float(mm.TangentResidual()(game, u)) == pytest.approx(1e-3, rel=1e-5)


# What is not claimed ------------------------------------------------------------------------------

BILINEAR = mm.Game(lambda p: p[0] @ p[1], constraints=(mm.L2Sphere(1.0), mm.L2Ball(1.0)))
START = (jnp.eye(3)[0], jnp.zeros(3))


@pytest.mark.parametrize(
    "game, players",
    [
        (BILINEAR, START),
        (mm.Game(lambda x: x @ x, "min", mm.L2Sphere(1.0)), jnp.eye(3)[0]),
        (mm.Game(lambda x: 0.0 * x[0], "min", mm.L2Sphere(1.0)), jnp.eye(3)[0]),
    ],
    ids=["bilinear", "convex", "constant"],
)
def test_certify_claims_no_upper_bound(game, players):
    """Whatever the payoff; the lower bound holds: here both could be computed by hand."""
    certificate = mm.certify(game, players, pairs=4, max_steps=50)
    assert certificate.upper == math.inf and certificate.kind == "not certifiable"
    assert "has L2Sphere(radius=1, axis=-1), which is not convex" in certificate.message
    gap = 1.0 if game is BILINEAR else 0.0  # max_y y₁ - min_x 0
    assert 0 <= certificate.lower <= gap + 1e-12


@pytest.mark.parametrize(
    "metric",
    [mm.DualityGap(), mm.Exploitability(), mm.RestrictedGap(1.0), mm.NormalizedGap(1.0)],
    ids=lambda metric: type(metric).__name__,
)
def test_metrics_that_bound_gains_refuse_it(metric):
    """By name, with the player, and with what to take instead; in `solve`, too."""
    message = rf"{type(metric).__name__} needs convex sets.*players\[0\] has L2Sphere.*Tangent"
    with pytest.raises(mm.GameError, match=message):
        metric(BILINEAR, START)
    with pytest.raises(mm.GameError, match=message):
        mm.solve(BILINEAR, START, mm.ExtraGradient(0.1), metric=metric)


def test_the_defaults_know_that_a_sphere_is_not_convex():
    """Though the payoff is bilinear, no method for convex sets is chosen for it; and the metric is
    the one that no length of a step misleads."""
    solution = mm.solve(BILINEAR, START, max_steps=50)
    assert solution.solver == "GoldenRatio" and solution.metric == "TangentResidual"
    assert solution.reason is not None
    assert solution.reason.startswith("a set is not convex: nothing is proven there")


def test_check_game_says_so():
    report = mm.check_game(BILINEAR, START)
    assert report.not_convex == ("players[0]",)
    assert "Not convex: the set of players[0]." in repr(report)
    convex = mm.Game(BILINEAR.payoff, constraints=mm.L2Ball(1.0))
    assert mm.check_game(convex, START).not_convex == ()


STEP = eqx.filter_jit(lambda solver, game, *at: solver.step(game, *at))


@pytest.mark.parametrize("name", examples(_solvers))
def test_what_a_solver_reports_is_on_it_or_it_refuses(name):
    """Averages of points of a sphere are inside of it."""
    solver = examples(_solvers)[name]()
    A = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2)))
    game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.L2Sphere(1.0))
    players = game.project((jnp.ones(3), jnp.asarray([1.0, -2.0])))
    try:
        solver.check(game, players)
    except mm.GameError as error:
        assert "L2Sphere" in str(error)
        return
    state = solver.init(game, players)
    for _ in range(2):
        players, state = STEP(solver, game, players, state)
        for each in solver.output(players, state):
            assert np.linalg.norm(each) == pytest.approx(1, rel=1e-12)


def test_players_who_are_not_averaged_may_be_on_a_sphere():
    game = mm.Game(
        lambda p: p["a"] ** 2 + p["b"] @ p["b"], "min", {"a": None, "b": mm.L2Sphere(1.0)}
    )
    players = {"a": jnp.ones(()), "b": jnp.ones(2)}
    for a, fits in ((True, True), (False, False)):
        average = mm.ExponentialMovingAverage(
            mm.ExtraGradient(0.1), 0.9, players={"a": a, "b": not a}
        )
        if fits:
            found = mm.solve(game, players, average, max_steps=20)
            assert np.linalg.norm(found.players["b"]) == pytest.approx(1, rel=1e-12)
        else:
            with pytest.raises(mm.GameError, match=r"players\['b'\] has L2Sphere"):
                mm.solve(game, players, average)


class Claimed(mm.AbstractSet):
    """The sphere, as if it were convex."""

    def project(self, point):
        return mm.L2Sphere(1.0, axis=None).project(point)


class Farthest(mm.AbstractSet):
    """The other side of the sphere."""

    @property
    def is_convex(self):
        return False

    def project(self, point):
        return -mm.L2Sphere(1.0, axis=None).project(point)


@pytest.mark.parametrize(
    "broken, name",
    [
        (Claimed(), "a_projection_is_firmly_non_expansive"),
        (Claimed(), "a_projection_is_the_nearest_feasible_point"),
        (Farthest(), "a_projection_is_no_farther_than_any_feasible_point"),
    ],
)
def test_the_laws_tell_what_is_not_convex_and_what_is_not_nearest(broken, name):
    (law,) = (law for law in constraint_laws if law.name == name)
    case = ConstraintCase(broken, shapes=[(3,)])
    assert law.applies(case)
    with pytest.raises(AssertionError, match=name.replace("_", " ")):
        law(case)


@each_sphere
def test_an_axis_that_is_not_there_is_refused(name):
    game = mm.Game(lambda p: jnp.sum(p), "min", SPHERES[name][0](1.0, axis=3))
    with pytest.raises(mm.GameError, match=r"does not fit players of shape \(2,\)"):
        mm.solve(game, jnp.zeros(2), mm.ExtraGradient(0.1))


def test_leaves_without_entries_are_refused():
    game = mm.Game(lambda p: jnp.sum(p), "min", mm.L2Sphere(1.0))
    with pytest.raises(mm.GameError, match="a vector without entries"):
        mm.solve(game, jnp.zeros((2, 0)), mm.ExtraGradient(0.1))
