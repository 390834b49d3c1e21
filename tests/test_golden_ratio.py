"""What `GoldenRatio` promises beyond the laws of every solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from tests.iterates import iterates
from tests.strategies import bilinear_games, fractions, plant, seeds
from tests.test_adaptive_extra_gradient import START, Forsaken, scaled
from tests.test_mirror_methods import matrix_game

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 40
GOLDEN = (1 + 5**0.5) / 2
PHIS = st.sampled_from([1.1, (1 + GOLDEN) / 2, 1.5, GOLDEN])


def run(game, players, solver, steps: int = STEPS) -> tuple[dict, np.ndarray]:
    """The iterates, and the step size that leads on from each of them."""
    solution = mm.solve(game, players, solver, max_steps=steps, tol=0.0, record=1)
    assert solution.trace is not None
    rows = {name: np.asarray(row) for name, row in solution.trace.players.items()}
    return rows, np.asarray(solution.trace.stats["step_size"])


def agraal(F, z: np.ndarray, eta: float, phi: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """As in the paper, with no set: iterates and step sizes."""
    centre, theta, zs, etas = z, phi, [z], [eta]
    for _ in range(steps):
        centre = ((phi - 1) * zs[-1] + centre) / phi
        zs.append(centre - etas[-1] * F(zs[-1]))
        moved, changed = zs[-1] - zs[-2], F(zs[-1]) - F(zs[-2])
        limit = phi * theta / (4 * etas[-1]) * (moved @ moved) / (changed @ changed)
        etas.append(min((1 / phi + 1 / phi**2) * etas[-1], limit))
        theta = phi * etas[-1] / etas[-2]
    return np.stack(zs), np.asarray(etas)


@given(bilinear_games(shapes=((1, 1), (4, 3))), PHIS)
def test_iterates_and_step_sizes_are_those_of_the_paper(planted, phi):
    """From the same first step size, which is φ/2 over some ‖F(z) - F(z')‖/‖z - z'‖ <= ‖A‖."""
    rows, etas = run(planted.game, planted.players, mm.GoldenRatio(phi))
    A, n = planted.matrix, planted.matrix.shape[0]
    saddle = np.concatenate([planted.saddle["x"], planted.saddle["y"]])

    def F(z):
        u = z - saddle
        return np.concatenate([A @ u[n:], -A.T @ u[:n]])

    s = planted.singular_values
    assert phi / 2 / s.max() * 0.999 <= etas[0]
    zs = np.concatenate([rows["x"], rows["y"]], axis=-1)
    expected, step_sizes = agraal(F, zs[0], etas[0], phi, STEPS)
    np.testing.assert_allclose(etas, step_sizes, rtol=1e-7)
    np.testing.assert_allclose(zs, expected, rtol=0, atol=1e-8 * np.abs(zs).max())


@given(seeds, PHIS)
def test_the_weighted_average_keeps_its_bound(seed, phi):
    """Σ η_k ⟨F(u), z_k - u⟩ <= φ/(2(φ - 1)) ‖z̄_1 - u‖² + θ_0/4 ‖z_1 - z_0‖² for every K and every
    pair of pure strategies u, at which the difference of both sides is largest."""
    A = np.random.default_rng(seed).normal(size=(4, 6))
    rows, etas = run(*matrix_game(A, mm.Simplex()), mm.GoldenRatio(phi))
    zs = np.concatenate([rows["x"], rows["y"]], axis=-1)
    centre = ((phi - 1) * zs[1] + zs[0]) / phi
    weights = etas[1:-1, None]
    x, y = (np.cumsum(weights * rows[name][1:-1], axis=0) for name in "xy")
    moved = np.sum((zs[1] - zs[0]) ** 2)
    for i in range(4):
        for j in range(6):
            u = np.concatenate([np.eye(4)[i], np.eye(6)[j]])
            bound = phi / (2 * (phi - 1)) * np.sum((centre - u) ** 2) + phi / 4 * moved
            assert np.all(x @ A[:, j] - y @ A[i] <= bound * (1 + 1e-9))


@pytest.mark.parametrize("s", [0.01, 1.0, 30.0])
def test_where_f_is_a_rotation_the_step_size_is_constant(s):
    """φ/(2s): the rule holds with equality, and the method is the one with a constant step size,
    ζ⁺ = ζ̄ + iφ/2 ζ with ζ̄⁺ = ζ̄ + (1 - 1/φ)(ζ⁺ - ζ̄); it converges for every φ."""
    planted = plant(2, 2, [s, s], seed=4)
    for phi in (1.1, (1 + GOLDEN) / 2, GOLDEN):
        rows, etas = run(planted.game, planted.players, mm.GoldenRatio(phi))
        np.testing.assert_allclose(etas, phi / (2 * s), rtol=1e-6)
        zeta = planted.pairs(rows)
        bar, expected = zeta[0], [zeta[0]]
        for _ in range(STEPS):
            bar = bar + (1 - 1 / phi) * (expected[-1] - bar)
            expected.append(bar + 0.5j * phi * expected[-1])
        np.testing.assert_allclose(zeta, expected, rtol=0, atol=1e-5 * np.abs(zeta[0]).max())
        assert np.abs(zeta[-1]).max() < 0.7 * np.abs(zeta[0]).max()


@given(seeds, fractions(-2.0, 3.0))
def test_every_step_size_obeys_the_rule(seed, log_far):
    """η⁺ <= (1/φ + 1/φ²) η and 4 η⁺ η ‖ΔF‖² <= φ θ ‖Δz‖², where F is far from linear."""
    phi, far = (1 + GOLDEN) / 2, 10**log_far
    game = scaled(1.0)
    start = jax.tree.map(lambda z: far * np.random.default_rng(seed).normal(size=z.shape), START)
    rows, etas = run(game, start, mm.GoldenRatio())
    F = jax.vmap(game.operator)(rows)
    moved, changed = (
        sum(np.sum(np.square(np.diff(np.asarray(tree[name]), axis=0)), axis=-1) for name in "xy")
        for tree in (rows, F)
    )
    theta = np.concatenate([[phi], phi * etas[1:-1] / etas[:-2]])
    assert np.all(etas > 0)
    assert np.all(etas[1:] <= (1 / phi + 1 / phi**2) * etas[:-1] * (1 + 1e-12))
    assert np.all(4 * etas[1:] * etas[:-1] * changed <= phi * theta * moved * (1 + 1e-9) + 1e-300)


def test_it_solves_what_cycles_and_phi_matters():
    """Forsaken from fifty random starts: all with the default φ, not all with 1.5."""
    starts = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, size=(50, 2)))

    @jax.jit
    def batch(phi):
        solver = mm.GoldenRatio(phi)
        return jax.vmap(
            lambda z: mm.solve(Forsaken(), {"x": z[0], "y": z[1]}, solver, tol=1e-7, max_steps=3000)
        )(starts)

    solutions = batch((1 + GOLDEN) / 2)
    assert bool(jnp.all(solutions.success)), solutions
    for name, expected in (("x", 0.0780267), ("y", 0.4119339)):
        np.testing.assert_allclose(solutions.players[name], expected, rtol=0, atol=1e-6)
    assert not bool(jnp.all(batch(1.5).success))


@pytest.mark.parametrize("c", [2.0**-30, 2.0**20])
def test_the_units_of_the_payoff_do_not_matter(c):
    """f -> cf: step sizes become η/c by themselves, and no bit of an iterate changes."""
    rows = iterates(scaled(1.0), START, mm.GoldenRatio(), STEPS)
    others = iterates(scaled(c), START, mm.GoldenRatio(), STEPS)
    jax.tree.map(np.testing.assert_array_equal, rows, others)


@pytest.mark.parametrize("far", [1e-3, 1.0, 1e3])
def test_it_needs_no_lipschitz_constant(far):
    """x⁴, which has none, from near and far; in single precision too."""
    game = mm.Game(lambda p: p["x"] ** 4 + p["x"] * p["y"] - p["y"] ** 4, {"x": "min", "y": "max"})
    assert mm.solve(game, {"x": far, "y": -far}, mm.GoldenRatio(), tol=1e-6).success
    with jax.enable_x64(False):
        assert mm.solve(game, {"x": far, "y": -far}, mm.GoldenRatio(), tol=1e-5).success


@pytest.mark.parametrize("slope", [1e-6, 1.0, 1e6])
def test_it_finds_its_pace_where_f_does_not_change_at_all(slope):
    """A linear payoff on a box: no change of F to go by, so the step size grows, but not for ever:
    not where the players stay at their bounds."""
    game = mm.Game(lambda p: slope * (p["x"] - p["y"]), {"x": "min", "y": "max"}, mm.Box(-1.0, 1.0))
    for x64 in (False, True):
        with jax.enable_x64(x64):
            rows, etas = run(game, {"x": 1.0, "y": 1.0}, mm.GoldenRatio(), 400)
            assert (rows["x"][-1], rows["y"][-1]) == (-1.0, -1.0)
            assert slope * etas.max() <= max(1000, slope)  # the first is one, for want of better


@pytest.mark.parametrize("demand", [10.0, 300.0])
def test_a_market_is_solved_up_to_its_rounding(demand):
    """Single precision, with a solution far from zero: no step size collapses at the floor."""
    game = mm.Game(
        lambda q: {firm: q[firm] * (0.9 * demand - sum(q.values())) for firm in q},
        "max",
        mm.Box(0.0, 10 * demand),
    )
    with jax.enable_x64(False):
        rows, etas = run(game, {"a": 1.0, "b": 2.0, "c": 3.0}, mm.GoldenRatio(), 2000)
    assert etas.min() > 1e-3
    for quantity in rows.values():
        np.testing.assert_allclose(quantity[-100:], 0.225 * demand, rtol=1e-5)


@pytest.mark.parametrize("phi", [1.0, 1.7, 0.0, np.nan])
def test_phi_has_a_range(phi):
    """(1, golden ratio]."""
    with pytest.raises(mm.GameError, match="phi of GoldenRatio is .*: expected a number above 1"):
        mm.GoldenRatio(phi)
