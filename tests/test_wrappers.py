"""Wrappers around solvers, held to their theorems."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.iterates import iterates, outputs

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps


def bilinear(condition: float) -> mm.Game:
    matrix = np.diag(np.geomspace(1, 1 / condition, 4))
    return mm.Game(lambda p: p["x"] @ matrix @ p["y"], {"x": "min", "y": "max"})


def start() -> dict:
    return {"x": jnp.ones(4), "y": jnp.array([1.0, -1.0, 2.0, 1.0])}


def residuals(game, rows) -> np.ndarray:
    return np.asarray(jax.vmap(lambda z: mm.NaturalResidual()(game, z))(rows))


# Best so far --------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 3])
def test_the_best_so_far_is_the_best_so_far(period):
    """By hand, on iterates whose residual goes up and down; the solver inside runs as alone."""
    game = mm.Game(lambda p: p["x"] @ p["y"], {"x": "min", "y": "max"}, mm.Box(-1.0, 1.0))
    inner = mm.GradientDescentAscent(0.7)
    solver = mm.BestSoFar(inner, period)
    alone = iterates(game, start(), inner, 30)
    rows = iterates(game, start(), solver, 30)
    for ours, theirs in zip(*map(jax.tree.leaves, (rows, alone)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    each = residuals(game, alone)
    assert np.any(np.diff(each) > 0)
    best, reported = 0, outputs(game, start(), solver, 30)
    for k in range(31):
        if k % period == 0 and each[k] < each[best] * (1 - 4 * EPS):
            best = k
        np.testing.assert_array_equal(reported["x"][k], alone["x"][best])


# Restarts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [3.0, 10.0, 30.0])
def test_fast_extragradient_with_restarts_is_linear(condition):
    """A run of FEG ends after 2κ/β + period steps, since |F(z_k)| <= (2κ/k) |F(z_0)|: to 1e-8 in
    O(κ) evaluations, where without restarts it is only 1/k."""
    game, decrease, period = bilinear(condition), 0.4, 5
    solver = mm.Restarted(mm.FastExtraGradient(1.0), period, decrease)
    first = float(mm.NaturalResidual()(game, start()))
    solution = mm.solve(game, start(), solver, tol=1e-8 * first, check_every=period)
    runs = np.log(1e-8) / np.log(decrease) + 1
    most = runs * (2 * condition / decrease + period)
    assert solution.success and solution.steps <= most, (solution, most)
    # The present run is not over.
    assert int(solution.evaluations) == 2 * solution.steps + 1 + solution.steps // period
    plain = mm.solve(game, start(), mm.FastExtraGradient(1.0), tol=0.0, max_steps=int(most))
    assert plain.residual > 1e-4 * first


def test_averages_with_restarts_are_linear():
    """The average of extragradient is 1/k on a bilinear game; restarted it is linear."""
    game = bilinear(10.0)
    inner = mm.Averaged(mm.ExtraGradient(0.5))
    first = float(mm.NaturalResidual()(game, start()))
    solution = mm.solve(game, start(), mm.Restarted(inner), tol=1e-8 * first, max_steps=3000)
    plain = mm.solve(game, start(), inner, tol=1e-8 * first, max_steps=3000)
    assert solution.success and not plain.success and plain.residual > 1e-5 * first


def test_a_restart_is_a_new_run():
    """With an infinite decrease it is, period by period, the solver inside from what it reported;
    `begun_anew` counts."""
    game, inner = bilinear(3.0), mm.Averaged(mm.ExtraGradient(0.3))
    solver = mm.Restarted(inner, 4, jnp.inf)
    rows = outputs(game, start(), solver, 12)
    here = start()
    for run in range(3):
        expected = outputs(game, here, inner, 4)
        # The same program is compiled anew: up to rounding.
        np.testing.assert_allclose(rows["x"][4 * run : 4 * run + 5], expected["x"], atol=1e-14)
        here = jax.tree.map(lambda row: row[-1], expected)
    state = mm.solve(game, start(), solver, max_steps=12, tol=0.0).state.state
    assert state.restarts == 3


# Anderson -----------------------------------------------------------------------------------------


def test_anderson_is_a_step_from_the_iterates_of_gmres():
    """z_{k+1} = T(z_k^GMRES) for affine T, the GMRES iterates by least squares in NumPy; so in d
    dimensions it is done after d + 1 steps. Walker and Ni, theorem 2.2."""
    random = np.random.default_rng(0)
    P, A = np.diag([1.0, 0.5, 0.8]), 0.5 * random.normal(size=(3, 3))
    M = np.block([[P, A], [-A.T, P]])
    planted = random.normal(size=6)
    b, c = np.split(-M @ planted, 2)
    game = mm.Game(
        lambda p: (
            p["x"] @ P @ p["x"] / 2
            + p["x"] @ A @ p["y"]
            - p["y"] @ P @ p["y"] / 2
            + b @ p["x"]
            - c @ p["y"]
        ),
        {"x": "min", "y": "max"},
    )
    eta, d = 0.3, 6
    rows = iterates(
        game,
        {"x": jnp.zeros(3), "y": jnp.zeros(3)},
        mm.Anderson(mm.ExtraGradient(eta), memory=d),
        d + 1,
    )
    ours = np.concatenate([rows["x"], rows["y"]], axis=1)
    step = np.eye(d) - eta * M + eta**2 * M @ M  # T(z) - z* = step (z - z*)
    system, right = np.eye(d) - step, (np.eye(d) - step) @ planted
    for k in range(d + 1):
        powers = np.stack([np.linalg.matrix_power(system, j) @ right for j in range(k + 1)], 1)
        krylov = np.linalg.qr(powers)[0][:, :k]
        best = krylov @ np.linalg.lstsq(system @ krylov, right, rcond=None)[0]
        after = planted + step @ (best - planted)
        np.testing.assert_allclose(ours[k + 1], after, atol=1e-9)
    assert np.linalg.norm(ours[-1] - planted) <= 1e-9


def test_anderson_accepts_only_what_lowers_the_residual():
    """On a game far from affine every point is an accepted one, with less than the least residual
    before, or one step of the solver inside."""
    game = mm.Game(
        lambda p: jnp.sum(jnp.sin(3 * p["x"]) * p["y"] + 0.1 * (p["x"] ** 4 - p["y"] ** 4)),
        {"x": "min", "y": "max"},
    )
    inner = mm.ExtraGradient(0.1)
    solver = mm.Anderson(inner, memory=3)
    step = eqx.filter_jit(lambda players, state: solver.step(game, players, state))
    plain = eqx.filter_jit(lambda z: inner.step(game, z, inner.init(game, z))[0])
    players, rejected = start(), 0
    state = solver.init(game, players)
    for _ in range(40):
        level, accepted = float(state.level), int(state.accepted)
        expected = plain(players)
        players, state = step(players, state)
        if int(state.accepted) > accepted:
            assert float(mm.NaturalResidual()(game, players)) <= level * (1 + 10 * EPS)
            assert float(state.level) < level
        else:
            np.testing.assert_allclose(players["x"], expected["x"], atol=1e-14)
            rejected += 1
    assert 0 < rejected < 40


def test_anderson_saves_evaluations():
    """On a bilinear game of condition 3, against the extragradient that it accelerates."""
    game, inner = bilinear(3.0), mm.ExtraGradient(0.7)
    alone, ours = (
        mm.solve(game, start(), solver, tol=1e-6, check_every=5)
        for solver in (inner, mm.Anderson(inner))
    )
    assert alone.success and ours.success and 2 * ours.evaluations < alone.evaluations


@pytest.mark.usefixtures("as_users_run_it")
def test_numbers_outside_their_ranges_are_refused():
    inner = mm.ExtraGradient(0.1)
    for make in (
        lambda: mm.BestSoFar(inner, 0),
        lambda: mm.Restarted(inner, period=0),
        lambda: mm.Restarted(inner, decrease=0.0),
        lambda: mm.Anderson(inner, memory=0),
    ):
        with pytest.raises(mm.GameError, match="expected a"):
            make()
