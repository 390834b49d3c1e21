"""Laws of single sets, against closed forms, NumPy in extended precision and one another."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from minimax import _constraints
from minimax._constraints._vector_set import AbstractVectorSet
from tests.discovery import examples

pytestmark = pytest.mark.usefixtures("float64")

EPS = float(np.finfo("float64").eps)

project = eqx.filter_jit(lambda constraint, point: constraint.project(point))
natural_map = eqx.filter_jit(lambda constraint, *args: constraint.natural_map(*args))


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def rotation(seed: int, n: int) -> np.ndarray:
    return np.linalg.qr(draw(seed, n, n))[0]


# Sets that contain one another --------------------------------------------------------------------

DIAGONAL = {
    "positive semidefinite": (mm.PositiveSemidefiniteCone, mm.NonNegative),
    "spectraplex": (mm.Spectraplex, mm.Simplex),
    "nuclear norm": (lambda: mm.NuclearNormBall(1.5), lambda: mm.L1Ball(1.5)),
    "spectral norm": (lambda: mm.SpectralNormBall(0.5), lambda: mm.LInfBall(0.5)),
}


@pytest.mark.parametrize("kind", DIAGONAL)
def test_sets_of_matrices_are_sets_of_their_spectra(kind):
    """P(Q diag(v) Qᵀ) = Q diag(p(v)) Qᵀ, with eigenvalues that tie, vanish and differ in sign."""
    of_matrices, of_vectors = (make() for make in DIAGONAL[kind])
    for seed, values in enumerate(
        [[2.0, 2.0, -1.0], [0.3, 0.3, 0.3], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2], draw(9, 3)]
    ):
        q, v = rotation(seed, 3), np.asarray(values)
        expected = (q * np.asarray(project(of_vectors, jnp.asarray(v)))) @ q.T
        ours = project(of_matrices, jnp.asarray((q * v) @ q.T))
        np.testing.assert_allclose(ours, expected, rtol=0, atol=32 * EPS)


@pytest.mark.parametrize("kind", ["nuclear norm", "spectral norm"])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4)])
def test_balls_of_oblong_matrices_are_balls_of_their_singular_values(kind, shape):
    """P(U diag(s) Vᵀ) = U diag(p(s)) Vᵀ."""
    of_matrices, of_vectors = (make() for make in DIAGONAL[kind])
    u, s, vt = np.linalg.svd(draw(1, *shape), full_matrices=False)
    expected = (u * np.asarray(project(of_vectors, jnp.asarray(s)))) @ vt
    ours = project(of_matrices, jnp.asarray((u * s) @ vt))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=32 * EPS)


def symmetric(values, seed):
    q = rotation(seed, len(values))
    return (q * np.asarray(values)) @ q.T


TIED = {
    "cone": (mm.PositiveSemidefiniteCone(), symmetric([2.0, 2.0, -1.0], 0)),
    "cone, inside": (mm.PositiveSemidefiniteCone(), symmetric([1.0, 1.0, 1.0], 1)),
    "spectraplex": (mm.Spectraplex(), symmetric([0.9, 0.9, -1.0], 2)),
    "spectraplex, all": (mm.Spectraplex(), symmetric([2.0, 2.0, 2.0], 3)),
    "nuclear norm": (mm.NuclearNormBall(1.5), symmetric([2.0, -2.0, 2.0], 4)),
    "nuclear norm, tall": (mm.NuclearNormBall(1.5), 2 * rotation(5, 4)[:, :2]),
    "nuclear norm, wide": (mm.NuclearNormBall(1.5), 2 * rotation(6, 4)[:2]),
    "nuclear norm, rank one": (mm.NuclearNormBall(1.5), 2 * np.outer([0.6, 0.8, 0], [1.0, 0])),
    "spectral norm": (mm.SpectralNormBall(0.5), symmetric([2.0, -2.0, 0.1], 7)),
    "spectral norm, rank one": (mm.SpectralNormBall(0.5), np.outer([0.6, 0.8, 0], [1.0, 0])),
    "spectral norm, zero": (mm.SpectralNormBall(0.5), np.zeros((3, 2))),
}


@pytest.mark.parametrize("case", TIED)
def test_derivatives_of_spectral_projections_are_central_differences_at_ties(case):
    """Eigenvectors have no derivative there, projections do; forward and in reverse."""
    constraint, x = TIED[case]
    x, h, cotangent = (jnp.asarray(each) for each in (x, draw(8, *x.shape), draw(9, *x.shape)))
    t = 1e-5  # rounding ε/t, curvature t²

    @eqx.filter_jit
    def derivatives(x):
        _, forward = jax.jvp(constraint.project, (x,), (h,))
        (backward,) = jax.vjp(constraint.project, x)[1](cotangent)
        there, back = jax.vmap(constraint.project)(jnp.stack([x + t * h, x - t * h]))
        return forward, backward, (there - back) / (2 * t)

    forward, backward, slope = derivatives(x)
    np.testing.assert_allclose(forward, slope, rtol=0, atol=1e-8)
    assert float(jnp.sum(backward * h)) == pytest.approx(
        float(jnp.sum(cotangent * forward)), abs=1e-12
    )


def test_a_radius_has_a_derivative():
    """The projection of a matrix of rank one grows with the radius of its ball."""
    x = jnp.asarray(2 * np.outer([0.6, 0.8], [1.0, 0.0]))

    def length(radius):
        return jnp.linalg.norm(mm.NuclearNormBall(radius).project(x))

    assert float(jax.grad(length)(1.5)) == pytest.approx(1.0, abs=1e-14)


def test_matrices_of_half_precision_and_large_ones():
    """Decomposed in single precision; and what is in a set stays there, entry by entry."""
    x = jnp.asarray(draw(0, 3, 3), jnp.bfloat16)
    for constraint in (mm.PositiveSemidefiniteCone(), mm.Spectraplex(), mm.NuclearNormBall(1.0)):
        assert constraint.project(x).dtype == jnp.bfloat16
        large = project(constraint, jnp.asarray(draw(1, 40, 40), "float32"))
        again, size = project(constraint, large), float(jnp.max(jnp.abs(large)))
        assert float(jnp.max(jnp.abs(again - large))) <= 16 * np.finfo("float32").eps * size


# Cones --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cone", [mm.NonNegative(), mm.SecondOrderCone(), mm.PositiveSemidefiniteCone()]
)
@pytest.mark.parametrize("seed", range(4))
def test_self_dual_cones_split_a_point_in_two(cone, seed):
    """Moreau: x = P(x) - P(-x) with ⟨P(x), P(-x)⟩ = 0; P(2x) = 2 P(x)."""
    x = draw(seed, 4, 4)
    x = jnp.asarray(x + x.T)
    there, back = project(cone, x), project(cone, -x)
    np.testing.assert_allclose(there - back, x, rtol=0, atol=64 * EPS)
    assert abs(np.sum(there * back)) <= 256 * EPS
    np.testing.assert_allclose(project(cone, 2 * x), 2 * there, rtol=0, atol=64 * EPS)


def test_the_second_order_cone_by_cases():
    """Inside; in the polar cone; between; on the axis; one entry."""
    cone = mm.SecondOrderCone()
    for point, expected in [
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0]),
        ([3.0, 4.0, -5.0], [0.0, 0.0, 0.0]),
        ([3.0, 4.0, -4.0], [0.3, 0.4, 0.5]),
        ([0.0, 0.0, -1.0], [0.0, 0.0, 0.0]),
        ([-2.0], [0.0]),
    ]:
        np.testing.assert_allclose(project(cone, jnp.asarray(point)), expected, atol=4 * EPS)


# Linear sets --------------------------------------------------------------------------------------


def test_halfspaces_and_hyperplanes_are_their_formulas():
    """P(x) = x - (⟨a, x⟩ - b) a/|a|², where it is not negative for a halfspace."""
    a, x, b = draw(0, 5), draw(1, 7, 5), 0.3
    beyond = (x @ a - b)[:, None] / (a @ a)
    ours = project(mm.Hyperplane(a, b), jnp.asarray(x))
    np.testing.assert_allclose(ours, x - beyond * a, rtol=0, atol=16 * EPS)
    ours = project(mm.Halfspace(a, b), jnp.asarray(x))
    np.testing.assert_allclose(ours, x - np.maximum(beyond, 0) * a, rtol=0, atol=16 * EPS)
    assert 0 < np.sum(beyond > 0) < 7
    whole = project(mm.Halfspace(a.reshape(1, 5), b, axis=None), jnp.asarray(x[:1]))
    np.testing.assert_allclose(whole, ours[:1], rtol=0, atol=0)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_affine_set_is_the_pseudoinverse(rank):
    """P(x) = x - A⁺(A x - b), whatever the rank of A, which has four rows here."""
    A, x = draw(0, 4, rank) @ draw(1, rank, 6), draw(2, 3, 6)
    b = A @ draw(3, 6)
    flow = mm.AffineSet(A, b)
    expected = x - (x @ A.T - b) @ np.linalg.pinv(A).T
    np.testing.assert_allclose(project(flow, jnp.asarray(x)), expected, rtol=0, atol=1e-13)
    whole = project(mm.AffineSet(A, b, axis=None), jnp.asarray(x[0].reshape(2, 3)))
    np.testing.assert_allclose(whole.ravel(), expected[0], rtol=0, atol=1e-13)
    down = project(mm.AffineSet(A, b, axis=0), jnp.asarray(x.T))
    np.testing.assert_allclose(down, expected.T, rtol=0, atol=1e-13)


def test_an_affine_set_of_one_equation_is_a_hyperplane():
    """And contradictions that only `jit` sees are not a number."""
    a, x = draw(0, 5), jnp.asarray(draw(1, 5))
    plane = project(mm.Hyperplane(a, 0.7), x)
    np.testing.assert_allclose(project(mm.AffineSet(a[None], [0.7]), x), plane, atol=16 * EPS)

    @jax.jit
    def twice(b):
        return mm.AffineSet(np.stack([a, a]), b).project(x)

    np.testing.assert_allclose(twice(jnp.array([0.7, 0.7])), plane, atol=16 * EPS)
    assert bool(jnp.all(jnp.isnan(twice(jnp.array([0.7, 0.8])))))


@pytest.mark.parametrize(
    "constraint, shape, message",
    [
        (mm.Halfspace([1.0, 2.0], 1.0), (3,), "2 entries along its axis, the leaf has 3"),
        (mm.Hyperplane([1.0, 2.0], 1.0, axis=None), (2, 2), "2 entries .* the leaf has 4"),
        (mm.AffineSet([[1.0, 2.0]], [1.0]), (2, 3), "2 entries .* the leaf has 3"),
        (mm.CappedSimplex(0.1), (9,), "9 entries from 0.0 to 0.1.* cannot sum to one"),
        (mm.CappedSimplex(1.0, lower=0.3), (4,), "cannot sum to one: .* at most 0.25"),
        (mm.PositiveSemidefiniteCone(), (2, 3), r"shape \(..., n, n\)"),
        (mm.Spectraplex(), (2,), r"shape \(..., n, n\)"),
        (mm.NuclearNormBall(1.0), (2,), r"shape \(..., n, m\)"),
        (mm.SpectralNormBall(1.0), (), r"shape \(..., n, m\)"),
    ],
)
def test_leaves_that_do_not_fit_are_refused(constraint, shape, message):
    """With both lengths, before anything compiles."""
    with pytest.raises(mm.GameError, match=message):
        constraint.check(shape)


# Bounded probabilities ----------------------------------------------------------------------------


def by_bisection(x: np.ndarray, lower: Any, cap: Any) -> np.ndarray:
    """clip(x - μ, lower, cap) with the sum one, μ halved 200 times in extended precision."""
    x = np.asarray(x, np.longdouble)
    x = x - x.max()
    low, high = x.min() - cap, -np.longdouble(lower)
    for _ in range(200):
        middle = (low + high) / 2
        above = np.clip(x - middle, lower, cap).sum() > 1
        low, high = (middle, high) if above else (low, middle)
    return np.clip(x - high, lower, cap)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lower, cap", [(0.0, 0.3), (0.05, 1.0), (-0.5, 0.4), (0.1, 0.125)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_capped_simplices_are_those_by_bisection(dtype, lower, cap, scale):
    """Also with ties, and with a large number added to all."""
    cap, lower = np.asarray(cap, dtype), np.asarray(lower, dtype)
    constraint = mm.CappedSimplex(cap, lower)
    x = np.asarray(scale * draw(3, 9), dtype)
    for point in (x, np.round(2 * x), x + np.asarray(1e3 * scale, dtype)):
        ours = project(constraint, jnp.asarray(point))
        expected = np.asarray(by_bisection(point, lower, cap), float)
        rounding = 8 * np.finfo(dtype).eps + 4 * np.finfo("longdouble").eps * np.ptp(point)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=rounding)


def test_a_capped_simplex_without_room_is_one_point():
    """n cap = 1, or n lower = 1: the mean."""
    x = jnp.asarray(draw(0, 7))
    for constraint in (mm.CappedSimplex(1 / 7), mm.CappedSimplex(1.0, lower=1 / 7)):
        np.testing.assert_allclose(project(constraint, x), np.full(7, 1 / 7), atol=8 * EPS)
        np.testing.assert_allclose(constraint.linear_minimizer(x), np.full(7, 1 / 7), atol=8 * EPS)
        assert constraint.diameter(x) <= 8 * EPS
        moved = constraint.project_on_tangent_cone(project(constraint, x), x)
        assert float(jnp.max(jnp.abs(moved))) <= 8 * EPS
    assert bool(jnp.all(jnp.isnan(project(mm.CappedSimplex(0.1), x)))), "seven tenths are not one"


def test_a_capped_simplex_finds_the_mean_of_the_worst():
    """With cap 1/(αn), the largest expected loss is that of the αn largest losses."""
    losses = draw(0, 10)
    constraint = mm.CappedSimplex(1 / (0.3 * 10))
    worst = constraint.linear_minimizer(-jnp.asarray(losses))
    assert float(worst @ losses) == pytest.approx(np.sort(losses)[-3:].mean(), abs=8 * EPS)


@pytest.mark.parametrize("lower, cap", [(0.0, 0.3), (0.0, 0.5), (0.1, 0.6), (0.0, 1.0)])
def test_the_diameter_of_a_capped_simplex_is_that_of_its_vertices(lower, cap):
    """All orders in which four entries can be filled."""
    constraint = mm.CappedSimplex(cap, lower)
    orders = jnp.asarray(list(itertools.permutations(range(4))), float)
    vertices = np.asarray(constraint.linear_minimizer(orders))
    distances = np.linalg.norm(vertices[:, None] - vertices, axis=-1)
    assert float(constraint.diameter(orders[0])) == pytest.approx(distances.max(), abs=8 * EPS)
    assert float(constraint.diameter(orders[:9])) == pytest.approx(3 * distances.max(), abs=8 * EPS)


def test_gaps_keep_their_digits():
    """In single precision: a gap does not see what is the same for all points of a set."""
    d, offset = np.asarray(draw(0, 5), "float32"), np.float32(2**20)
    for constraint in (mm.Simplex(), mm.CappedSimplex(0.4)):
        x = project(constraint, jnp.asarray(draw(1, 5), "float32"))
        shifted = jnp.asarray(d + offset)
        away = np.asarray(x - constraint.linear_minimizer(shifted), float)
        exact = np.sum((np.asarray(shifted, float) - offset) * away)
        assert float(constraint.gap(x, shifted)) == pytest.approx(exact, abs=1e-6)
    rotated = symmetric(d, 1) + offset * np.eye(5)
    x = project(mm.Spectraplex(), jnp.asarray(draw(2, 5, 5)))
    values = np.linalg.eigvalsh(rotated)
    exact = float(np.sum(rotated * np.asarray(x))) - values[0]
    assert float(mm.Spectraplex().gap(x, jnp.asarray(rotated))) == pytest.approx(exact, abs=1e-8)
    for constraint in (mm.NuclearNormBall(1.5), mm.SpectralNormBall(1.5), mm.L1Ball(1.5)):
        direction = jnp.asarray(draw(3, 4, 4), "float32")
        best = constraint.linear_minimizer(direction)
        assert 0 <= float(constraint.gap(best, direction)) <= 1e-5


# Small steps --------------------------------------------------------------------------------------

FAR = 1e6
LARGE = {
    "simplex": lambda: mm.Simplex(FAR),
    "simplex of one": lambda: mm.Simplex(),
    "entropic simplex": lambda: mm.EntropicSimplex(),
    "l1 ball": lambda: mm.L1Ball(FAR),
    "l2 ball": lambda: mm.L2Ball(FAR),
    "l inf ball": lambda: mm.LInfBall(FAR),
    "box": lambda: mm.Box(-FAR, 2 * FAR),
    "non-negative": lambda: mm.NonNegative(),
    "second-order cone": lambda: mm.SecondOrderCone(),
    "halfspace": lambda: mm.Halfspace(draw(20, 12), FAR),
    "hyperplane": lambda: mm.Hyperplane(draw(20, 12), FAR),
    "affine set": lambda: mm.AffineSet(draw(21, 2, 12), FAR * draw(22, 2)),
}


def on(constraint, seed: int) -> np.ndarray:
    """A point of a set, of its boundary as a rule, to the digits of double precision. On a simplex,
    where it does not leave the boundary by that, some entries are a millionth of others."""
    far = FAR if seed % 2 else FAR / 4
    point = project(constraint, jnp.asarray(far * draw(seed, 12)))
    if isinstance(constraint, mm.Simplex):
        point = project(constraint, point + 1e-6 * constraint.total * draw(seed + 99, 12))
    return np.asarray(point)


@pytest.mark.parametrize("name", LARGE)
def test_no_small_step_drowns_in_a_large_point(name):
    """The way back of a projected step in single precision, against the difference in double: right
    relative to the step, where it is a billionth of the point too."""
    constraint, drowned = LARGE[name](), 0
    for seed in range(20):
        x = on(constraint, seed)
        for share in (1.0, 1e-3, 1e-6, 1e-9):
            s = np.float32(share * np.abs(x).max() * draw(seed + 50, 12))
            found = natural_map(constraint, jnp.asarray(x, "float32"), s, np.float32(1))
            assert found.dtype == "float32"
            expected = x - project(constraint, jnp.asarray(x - s))
            atol = 16 * np.finfo("float32").eps * np.abs(s).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)
            naive = np.float32(x) - project(constraint, jnp.asarray(np.float32(x) - s))
            drowned += bool(np.max(np.abs(naive - expected)) > 1e3 * atol)
    assert drowned >= 20, "the difference in single precision is no better"


@pytest.mark.parametrize("name", LARGE)
def test_the_way_back_of_what_is_not_a_number_is_none(name):
    """Else a residual of zero would stand for it."""
    x, unknown = jnp.asarray(on(LARGE[name](), 0)), jnp.zeros(12).at[1].set(jnp.nan)
    for point, direction in [(x + unknown, 0 * x), (x, unknown), (unknown, 0 * x)]:
        found = natural_map(LARGE[name](), point, direction, 1.0)
        assert bool(jnp.any(jnp.isnan(found))), f"at {point} along {direction}"


@pytest.mark.parametrize("name", [*LARGE, "unit ball"])
def test_steps_that_nearly_cancel_a_point_keep_the_digits_of_the_point(name):
    """Also from far outside, and to within rounding of where a set begins."""
    constraint = LARGE[name]() if name in LARGE else mm.L2Ball(1.0)
    eps = float(np.finfo("float32").eps)
    for seed in range(20):
        x = np.float32(3 * FAR * draw(seed, 12))
        jitter = np.random.default_rng(seed).integers(-9, 9, 12)
        for s in (x, np.float32(x * (1 + eps * jitter)), np.float32(x + draw(seed + 1, 12))):
            found = natural_map(constraint, jnp.asarray(x), jnp.asarray(s), np.float32(1))
            expected = x - project(constraint, jnp.asarray(np.float64(x) - s))
            atol = 16 * eps * np.abs(x).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "constraint",
    [mm.PositiveSemidefiniteCone(), mm.NuclearNormBall(30 * FAR), mm.SpectralNormBall(20 * FAR)],
)
def test_no_small_step_drowns_inside_a_large_set_of_matrices(constraint):
    """There the way back is the step; beside the boundary it has the rounding of eigenvalues."""
    x = np.float32(FAR * symmetric([3.0, 2.0, 1.0], 3))
    x = (x + x.T) / 2
    for share in (1e-3, 1e-6, 1e-9):
        s = np.float32(share * FAR * symmetric(draw(4, 3), 5))
        s = (s + s.T) / 2
        found = natural_map(constraint, jnp.asarray(x), s, np.float32(1))
        np.testing.assert_allclose(found, s, rtol=0, atol=2e-7 * np.abs(s).max())


def test_only_sets_of_probabilities_take_the_difference():
    """Their points are no longer than one, with bounds that are probabilities too."""

    def takes_it(kind):
        if issubclass(kind, AbstractVectorSet):
            return kind._back is AbstractVectorSet._back
        return kind.displacement is mm.AbstractConstraint.displacement

    kinds = {type(make()) for make in examples(_constraints).values()}
    names = {kind.__name__ for kind in kinds if issubclass(kind, mm.AbstractSet) and takes_it(kind)}
    assert names == {"CappedSimplex", "EntropicSimplex", "Spectraplex"}


@pytest.mark.parametrize("metric", [mm.NaturalResidual(), mm.SubgradientResidual(0.5)])
@pytest.mark.parametrize("name", ["simplex", "l1 ball", "second-order cone", "l2 ball"])
def test_residuals_are_not_rounded_to_zero_where_players_are_large(name, metric):
    """A thousandth of a unit per step, at players of a million: single precision against double."""
    constraint, c = LARGE[name](), np.float32(1e-3 * draw(30, 12))
    game = mm.Game(lambda x: jnp.sum(jnp.asarray(c, x.dtype) * x), "min", constraint)
    for seed in range(3):
        x = on(constraint, seed)
        found = float(metric(game, jnp.asarray(x, "float32")))
        back = natural_map(constraint, jnp.asarray(x), np.asarray(c, float), 0.5)
        assert float(jnp.linalg.norm(back)) > 1e-5
        assert found == pytest.approx(float(metric(game, jnp.asarray(x))), rel=1e-4)
        eta = float(metric.step_size)
        naive = np.linalg.norm(x - project(constraint, jnp.asarray(x - eta * c))) / eta
        assert found == pytest.approx(naive, rel=1e-4)
