"""Each file in `_constraints` is held to the laws of `minimax.testing`, and to what is known of it
alone: which set it means, said anew by NumPy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax, xlogy

import minimax as mm
from minimax import _constraints
from minimax.testing import ConstraintCase, constraint_laws
from minimax.testing._constraint_case import (
    draw,
    fits,
    gap,
    hard_points,
    inner,
    project,
    prox,
    value,
)
from minimax.testing._law import DTYPES, EPS, seeds
from minimax.testing._regularizer_laws import of_few_lengths
from minimax.testing._set_laws import WHICH
from tests.discovery import check_files, examples

pytestmark = pytest.mark.usefixtures("float64")

EXAMPLES = examples(_constraints)


def members(constraint: Any, leaf: Any) -> np.ndarray:
    """The vectors or matrices, each of which is a member of the set by itself."""
    leaf = np.asarray(leaf)
    if isinstance(constraint, mm.AbstractRegularizer) or fits(constraint, (3,)):
        return leaf.reshape(-1, leaf.shape[-1] if leaf.shape else 1)
    return leaf.reshape(-1, *leaf.shape[-2:])


def case_of(name: str) -> ConstraintCase:
    """An example with what NumPy says of it."""
    constraint = EXAMPLES[name]()

    def violation(leaf: Any, size: float) -> float:
        return max(infeasibility(constraint, u, size) for u in members(constraint, leaf))

    return ConstraintCase(
        constraint, violation=violation, meant=lambda u: value_by_numpy(constraint, u)
    )


LAWS = [
    pytest.param(law, name, id=f"{name}-{law.name}")
    for name in EXAMPLES
    for law in constraint_laws
    if law.applies(case_of(name))
]


@pytest.mark.parametrize("law, name", LAWS)
def test_laws(law, name):
    """Each law that is for it."""
    law(case_of(name))


def test_every_file_holds_one_constraint_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_constraints, mm.AbstractConstraint)


def infeasibility(constraint: Any, point: Any, size: float = 0.0) -> float:
    """By how much a member misses the set, relative to the size of the set, or where it has none
    to the `size` of the numbers that the point was computed from; written anew."""
    u, smallest = np.asarray(point, np.longdouble), np.finfo(np.asarray(point).dtype).tiny
    match type(constraint).__name__:
        case "Simplex" | "EntropicSimplex" | "NegativeEntropy":
            return float(max(abs(u.sum() - 1), -u.min()))
        case "Box":
            lower, upper = np.asarray(constraint.lower), np.asarray(constraint.upper)
            return float(max(0, np.max(lower - u), np.max(u - upper)))
        case "L2Ball":
            return float(max(0, np.sqrt(np.sum(u**2)) / np.longdouble(constraint.radius) - 1))
        case "L2Sphere":
            return float(abs(np.sqrt(np.sum(u**2)) / np.longdouble(constraint.radius) - 1))
        case "L1Sphere":
            return float(abs(np.sum(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "LInfSphere":
            return float(abs(np.max(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "LInfBall":
            return float(max(0, np.max(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "L1Ball":
            return float(max(0, np.sum(np.abs(u)) / np.longdouble(constraint.radius) - 1))
        case "PositiveSemidefiniteCone":
            values = np.linalg.eigvalsh(np.asarray(u, float))
            worst = max(-values.min(), float(np.max(np.abs(u - u.T))))
            return float(max(0, worst) / max(values.max(), smallest))
        case "Halfspace" | "Hyperplane":
            normal = np.broadcast_to(np.asarray(constraint.normal, np.longdouble), u.shape)
            beyond = normal @ u - np.longdouble(constraint.offset)
            worst = max(0, beyond) if type(constraint) is mm.Halfspace else abs(beyond)
            length = np.sqrt(normal @ normal)
            return float(worst / (length * max(1, size, np.max(np.abs(u)))))
        case "AffineSet":
            error = np.abs(np.array([1, 2, -1]) @ u - 1.5) / np.sqrt(6)
            return float(error / max(1, size, np.max(np.abs(u))))
        case "CappedSimplex":
            lower, cap = np.longdouble(constraint.lower), np.longdouble(constraint.cap)
            return float(max(abs(u.sum() - 1), lower - u.min(), u.max() - cap))
        case "SecondOrderCone":
            beyond = np.sqrt(np.sum(u[:-1] ** 2)) - u[-1]
            return float(max(0, beyond) / max(np.abs(u[-1]), smallest))
        case "Spectraplex":
            values = np.linalg.eigvalsh(np.asarray(u, float))
            return float(max(-values.min(), np.max(np.abs(u - u.T)), abs(np.trace(u) - 1)))
        case "NuclearNormBall" | "SpectralNormBall":
            values = np.linalg.svd(np.asarray(u, float), compute_uv=False)
            norm = values.sum() if type(constraint) is mm.NuclearNormBall else values.max()
            return float(max(0, norm / constraint.radius - 1))
        case "NonNegative":
            return float(max(0, -u.min()))
    again = np.asarray(constraint.project(jnp.asarray(point)), np.longdouble)
    return float(np.max(np.abs(again - u)))


# The simplex, against sorting ---------------------------------------------------------------------


def project_on_simplex_by_sorting(x: np.ndarray) -> np.ndarray:
    """Held, Wolfe and Crowder (1974), in extended precision."""
    x = np.asarray(x, np.longdouble)
    x = x - x.max()  # exact for what stays positive, by Sterbenz or because it is in (-1, 0]
    u = np.sort(x)[::-1]
    thresholds = (np.cumsum(u) - 1) / np.arange(1, u.size + 1)
    threshold = thresholds[np.nonzero(u > thresholds)[0][-1]]
    return np.maximum(x - threshold, 0)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("case", hard_points("float32"))
def test_simplex_projection_of_hard_points_is_that_by_sorting(dtype, case):
    """Two algorithms, one answer: the threshold is an average of numbers in [-1, 0]."""
    x = hard_points(dtype)[case]
    ours = project(mm.Simplex(), jnp.asarray(x))
    if case == "subnormal":
        x = np.zeros_like(x)  # processors may flush these to zero
    np.testing.assert_allclose(
        ours, np.asarray(project_on_simplex_by_sorting(x), float), rtol=0, atol=4 * EPS[dtype]
    )


@given(seeds, DTYPES, st.sampled_from([1, 7]), st.sampled_from([1e-6, 0.1, 1.0, 1e3, 1e9]))
def test_simplex_projection_is_that_by_sorting(seed, dtype, n, scale):
    """Supports from all entries (scale 10⁻⁶) to one (10⁹)."""
    x = np.asarray(scale * np.random.default_rng(seed).normal(size=n), dtype)
    ours, expected = project(mm.Simplex(), jnp.asarray(x)), project_on_simplex_by_sorting(x)
    np.testing.assert_allclose(ours, np.asarray(expected, float), rtol=0, atol=4 * EPS[dtype])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0])
def test_simplex_projection_of_ten_thousand_entries(dtype, scale):
    """A sum of n numbers in any order errs by n ε times their mean, which is at most 1 here."""
    x = np.asarray(scale * np.random.default_rng(0).normal(size=10_000), dtype)
    ours, expected = project(mm.Simplex(), jnp.asarray(x)), project_on_simplex_by_sorting(x)
    assert abs(np.asarray(ours, np.longdouble).sum() - 1) <= 100 * EPS[dtype]
    np.testing.assert_allclose(ours, np.asarray(expected, float), rtol=0, atol=4 * EPS[dtype])


# Regularisers -------------------------------------------------------------------------------------

REGULARIZERS = [n for n, make in EXAMPLES.items() if isinstance(make(), mm.AbstractRegularizer)]
every_regularizer = pytest.mark.parametrize("name", REGULARIZERS)


def value_by_numpy(g: Any, u: Any) -> float:
    """g(u) at a point of its domain, written anew."""
    u = np.asarray(u, float)
    rows = u.reshape(-1, u.shape[-1] if u.ndim else 1)
    match type(g).__name__:
        case "L1":
            return float(g.weight * np.abs(u).sum())
        case "SquaredL2":
            return float(g.weight * (u**2).sum() / 2)
        case "ElasticNet":
            return float(g.l1 * np.abs(u).sum() + g.l2 * (u**2).sum() / 2)
        case "GroupLasso":
            return float(g.weight * np.linalg.norm(rows, axis=-1).sum())
        case "NuclearNorm":
            return float(g.weight * np.linalg.svd(rows, compute_uv=False).sum())
        case "NegativeEntropy":
            return float(g.weight * xlogy(rows, rows).sum())
    return float(value(g, jnp.asarray(u)))


def prox_of_conjugate(g: Any, y: np.ndarray, step: float) -> np.ndarray | None:
    """The minimiser v of g*(v)/step + |v - y|²/2, written anew; `None` where nobody wrote it."""
    rows = y.reshape(-1, y.shape[-1] if y.ndim else 1)
    match type(g).__name__:
        case "L1":
            v = np.clip(rows, -g.weight, g.weight)
        case "SquaredL2":
            v = rows / (1 + 1 / (step * g.weight))
        case "ElasticNet":
            inside = np.clip(rows, -g.l1, g.l1)
            v = inside + (rows - inside) / (1 + 1 / (step * g.l2))
        case "GroupLasso":
            norms = np.linalg.norm(rows, axis=-1, keepdims=True)
            v = rows * np.minimum(1, g.weight / norms)
        case "NuclearNorm":
            left, s, right = np.linalg.svd(rows, full_matrices=False)
            v = left * np.minimum(s, g.weight) @ right
        case "NegativeEntropy":
            v = np.stack([_prox_of_log_sum_exp(row, float(g.weight), step) for row in rows])
        case _:
            return None
    return np.asarray(v).reshape(y.shape)


def _prox_of_log_sum_exp(y: np.ndarray, weight: float, step: float) -> np.ndarray:
    """The v with softmax(v/w)/step + v - y = 0, by the trust-region method of SciPy."""

    def objective(v):
        return weight * logsumexp(v / weight) / step + (v - y) @ (v - y) / 2

    def slope(v):
        return softmax(v / weight) / step + v - y

    def curvature(v):
        p = softmax(v / weight)
        return (np.diag(p) - np.outer(p, p)) / (weight * step) + np.eye(y.size)

    # The objective is flat to rounding near its minimum, so the last digits are Newton's.
    v = minimize(objective, y, jac=slope, hess=curvature, method="trust-exact").x
    for _ in range(3):
        v = v - np.linalg.solve(curvature(v), slope(v))
    return v


@every_regularizer
@given(seeds, WHICH, st.sampled_from([0.1, 1.0, 30.0]), st.floats(0.1, 5.0))
def test_moreaus_identity(name, seed, which, scale, step):
    """prox_{ηg}(x) + η prox_{g*/η}(x/η) = x, with the other prox by NumPy."""
    shape = case_of(name).shape(which)
    g, x = EXAMPLES[name](), draw(seed, shape, scale)
    other = prox_of_conjugate(g, np.asarray(x) / step, step)
    if other is not None:
        found = prox(g, x, jnp.asarray(step))
        np.testing.assert_allclose(
            found + step * other, x, rtol=0, atol=64 * EPS["float64"] * (1 + 10 * scale)
        )


@every_regularizer
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [0.1, 3.0])
def test_the_gap_is_the_largest_gain_that_a_search_finds(name, seed, size):
    """Powell's method on ⟨d, u⟩ + g(u) for matrices u; where it is unbounded below, the search
    finds that as well."""
    g, d = EXAMPLES[name](), draw(seed + 9, (2, 2), size)
    x = project(g, draw(seed, (2, 2)))

    def point(free):
        u = free.reshape(2, 2)
        return softmax(4 * u, axis=-1) if name == "negative_entropy" else u

    def objective(free):
        return inner(d, point(free)) + value_by_numpy(g, point(free))

    near = [(-20, 20)] * 4
    best = minimize(objective, np.zeros(4), method="Powell", bounds=near, options=dict(xtol=1e-9))
    found = float(gap(g, x, d))
    if np.isfinite(found):
        expected = inner(d, x) + value_by_numpy(g, x) - best.fun
        assert found == pytest.approx(expected, abs=1e-6)
    else:
        assert best.fun < -0.1 and objective(2 * best.x) == pytest.approx(2 * best.fun)


@every_regularizer
@pytest.mark.parametrize("dtype", EPS)
def test_a_prox_of_hard_points_is_finite_and_no_longer_than_they_are(name, dtype):
    """Every regulariser here is least at zero, except on the simplex."""
    for case, point in of_few_lengths(hard_points(dtype)).items():
        p = np.asarray(prox(EXAMPLES[name](), jnp.asarray(point), jnp.asarray(0.9)))
        assert p.dtype == dtype and np.all(np.isfinite(p)), case
        if name == "negative_entropy":
            assert infeasibility(EXAMPLES[name](), p) <= 8 * EPS[dtype], case
        else:
            largest = np.abs(point.astype(np.longdouble)).max()
            assert np.abs(p.astype(np.longdouble)).max() <= largest * (1 + 8 * EPS[dtype]), case


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mm.Box(1.0, 0.0), "lower <= upper"),
        (lambda: mm.Box(jnp.zeros(2), jnp.array([1.0, -1.0])), "lower <= upper"),
        (lambda: mm.Box(float("nan"), 1.0), "lower <= upper"),
        (lambda: mm.L2Ball(-1.0), "radius >= 0"),
        (lambda: mm.L2Ball(jnp.ones(2)), "one radius"),
        (lambda: mm.L2Ball(float("nan")), "radius >= 0"),
        (lambda: mm.L2Sphere(0.0), "radius > 0"),
        (lambda: mm.L2Sphere(jnp.ones(2)), "one radius"),
        (lambda: mm.L2Sphere(float("inf")), "finite"),
        (lambda: mm.L1Sphere(0.0), "L1Sphere needs one radius > 0"),
        (lambda: mm.LInfSphere(-1.0), "LInfSphere needs one radius > 0"),
        (lambda: mm.L1Ball(-1.0), "L1Ball needs one radius >= 0"),
        (lambda: mm.LInfBall(jnp.ones(2)), "one radius"),
        (lambda: mm.Simplex(0.0), "total > 0"),
        (lambda: mm.CappedSimplex(0.1, lower=0.2), "lower <= cap"),
        (lambda: mm.CappedSimplex(jnp.inf), "finite"),
        (lambda: mm.Halfspace(jnp.zeros(2), 1.0), "normal that is not zero"),
        (lambda: mm.Hyperplane(jnp.ones((2, 2)), 1.0), "one number for each entry"),
        (lambda: mm.Hyperplane(1.0, jnp.ones(2)), "one finite offset"),
        (lambda: mm.AffineSet(jnp.ones(2), 1.0), r"shape \(m, n\)"),
        (lambda: mm.AffineSet([[1.0, 1.0], [1.0, 1.0]], [1.0, 2.0]), "contradict"),
        (lambda: mm.AffineSet([[float("nan"), 1.0]], [1.0]), "not finite"),
    ],
)
def test_sets_that_are_none_are_refused(make, message):
    """Empty boxes and balls, when they are made."""
    with pytest.raises(mm.GameError, match=message):
        make()


def test_bounds_may_be_arrays_infinite_or_equal():
    """An infinite bound leaves an entry free; equal bounds fix it."""
    box = mm.Box(jnp.array([-jnp.inf, 0.0, 2.0]), jnp.array([1.0, jnp.inf, 2.0]))
    np.testing.assert_array_equal(box.project(jnp.array([-9.0, -9.0, 9.0])), [-9.0, 0.0, 2.0])
    np.testing.assert_array_equal(mm.Box(0, 1).project(jnp.array([0.5, 3.0])), [0.5, 1.0])
    np.testing.assert_array_equal(mm.L2Ball(0.0).project(jnp.array([0.5, 3.0])), [0.0, 0.0])
