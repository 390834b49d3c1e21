"""Why a run did not converge, told on runs whose truth is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import minimax as mm
from minimax._evidence import Evidence

PRODUCT = mm.Game(lambda p: p[0] * p[1])
INFEASIBLE = mm.Game(
    lambda p: p[0] + p[1] * (p[0] + 1), constraints=(mm.NonNegative(), None)
)  # min x with x >= 0 and x = -1: the multiplier grows for ever
WITHOUT_BOUND = mm.Game(lambda p: p[0] - p[1])
# Hsieh, Mertikopoulos and Cevher (2021): an attracting cycle of radius about 2/sqrt(3).
ALMOST_BILINEAR = mm.Game(lambda p: p[0] * p[1] + 0.1 * (p[1] ** 2 / 2 - p[1] ** 4 / 4))
SOLVERS = {
    "default": None,
    "extragradient": mm.ExtraGradient(0.3),
    "adaptive": mm.AdaptiveExtraGradient(),
    "pdhg": mm.PDHG(0.5),
}


def solve(game, solver, start=(1.0, 1.0), **options):
    return mm.solve(game, start, solver, **options)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_constraints_that_cannot_be_met_are_told(solver):
    """The steps of a nonexpansive map without a fixed point tend to a vector that is not zero."""
    solution = solve(INFEASIBLE, solver)
    assert solution.status == "unbounded", solution
    assert "no saddle point" in solution.message


def test_linear_programs_that_cannot_be_met_are_told():
    """HiGHS says which. The multipliers run
    away in ever longer strides where restarts balance the steps: that is no step size of a user."""
    game = mm.Game(
        lambda p, d: d["c"] @ p["x"] + p["y"] @ (d["b"] - d["A"] @ p["x"]),
        {"x": "min", "y": "max"},
        mm.NonNegative(),
    )
    zero = {"x": jnp.zeros(5), "y": jnp.zeros(6)}
    run = jax.jit(lambda data: mm.solve(game, zero, data=data, tol=1e-4).status)
    told = {"met": set(), "not met": set()}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        A, b, c = rng.normal(size=(6, 5)), 3 * rng.normal(size=6) + 1, rng.normal(size=5)
        if seed % 2:  # planted: some x meets it, and some multipliers bound it
            x, y = np.abs(rng.normal(size=5)), np.abs(rng.normal(size=6))
            b, c = A @ x - np.abs(b), A.T @ y + np.abs(c)
        program = scipy.optimize.linprog(c, A_ub=-A, b_ub=-b, bounds=(0, None))
        data = {name: jnp.asarray(x) for name, x in (("A", A), ("b", b), ("c", c))}
        told["met" if program.status == 0 else "not met"].add(str(mm.Status(int(run(data)))))
    assert told == {"met": {"converged"}, "not met": {"unbounded"}}


@pytest.mark.parametrize("name", ["default", "extragradient", "pdhg"])
def test_payoffs_without_bound_are_told(name):
    assert solve(WITHOUT_BOUND, SOLVERS[name]).status == "unbounded"


def test_steps_that_are_too_long_are_told_from_games_without_solution():
    """1 - η + η² = 1.24: every step makes the distance a quarter larger."""
    solution = solve(mm.Game(lambda p: p[0] ** 2 / 2 - p[1] ** 2 / 2), mm.ExtraGradient(1.2))
    assert solution.status == "diverged" and "too long" in solution.message


@pytest.mark.parametrize("check_every", [1, 5, 50])
def test_a_spiral_outwards_is_no_drift(check_every):
    """Every step makes the distance longer by the factor 1.044: it is never as fast as before."""
    solution = solve(PRODUCT, mm.GradientDescentAscent(0.3), check_every=check_every)
    assert solution.status == "diverged", solution


@pytest.mark.parametrize(
    "game, solver",
    [
        (PRODUCT, mm.AlternatingGradientDescentAscent(0.3)),
        (PRODUCT, mm.GradientDescentAscent(0.01)),
        (ALMOST_BILINEAR, mm.GradientDescentAscent(0.05)),
    ],
    ids=["neutral", "slowly outward", "attracting"],
)
def test_cycles_are_told(game, solver):
    solution = solve(game, solver, max_steps=5000)
    assert solution.status == "cycling" and "circles" in solution.message


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_floor_of_rounding_is_told(dtype):
    with jax.enable_x64(dtype == "float64"):
        A = jnp.asarray(np.random.default_rng(0).normal(size=(8, 8)), dtype)
        uniform = jnp.full(8, 1 / 8, dtype)
        game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
        solution = solve(game, None, (uniform, uniform), tol=1e-30)
        deep = float(jnp.finfo(dtype).eps) ** 0.5
        if not solution.success:
            assert solution.status == "stalled" and float(solution.residual) < deep
            assert "rounding" in solution.message


@pytest.mark.parametrize("step_size", [1e-5, 1e-2], ids=["hardly moves", "slow"])
def test_what_is_only_slow_is_not_accused(step_size):
    solution = solve(PRODUCT, mm.ExtraGradient(step_size), max_steps=3000)
    assert solution.status == "max_steps"


def test_a_tolerance_of_zero_asks_for_no_verdict():
    solver = mm.AlternatingGradientDescentAscent(0.3)
    assert solve(PRODUCT, solver, tol=0.0, max_steps=3000).status == "max_steps"


def test_after_few_looks_nothing_is_said():
    solver = mm.AlternatingGradientDescentAscent(0.3)
    assert solve(PRODUCT, solver, max_steps=500).status == "max_steps"


def test_members_of_a_batch_are_told_apart():
    solver = mm.AlternatingGradientDescentAscent(0.3)

    def run(start):
        return mm.solve(PRODUCT, (start, start), solver, max_steps=2000, tol=1e-3)

    statuses = jax.vmap(run)(jnp.array([0.0, 1.0])).status
    assert [str(status) for status in statuses] == ["converged", "cycling"]


def watch(path, residuals):
    evidence = Evidence.before_all(jnp.zeros(2), jnp.asarray(1.0))
    after = jax.jit(Evidence.after)
    for z, residual in zip(path, residuals, strict=True):
        z, residual = jnp.asarray(z, jnp.float32), jnp.asarray(residual, jnp.float32)
        evidence = after(evidence, z, residual, jnp.max(jnp.abs(z)))
    return evidence.read()


@pytest.mark.parametrize("looks", [40, 90, 127, 128, 129, 300])
def test_evidence_of_known_paths(looks):
    """A circle comes back, a line does not, wherever the last mark was."""
    k = np.arange(looks)
    one = np.ones(looks)
    circle = watch(np.stack([np.cos(k), np.sin(k)], -1), one)
    line = watch(1000.0 * np.stack([k, -k], -1), one)
    still = watch(np.ones((looks, 2)), one)
    assert line.run.looks == looks
    assert bool(line.is_drift()) and not bool(line.is_cycle())
    assert bool(circle.is_cycle()) and not bool(circle.is_drift())
    assert bool(still.is_at_floor()) and not bool(still.is_cycle())
    falling = watch(np.stack([np.cos(k), np.sin(k)], -1), 0.99**k)
    assert not bool(falling.is_stale())


FAR_AND_SOLVED = {
    "strongly convex-concave": (
        mm.Game(lambda p, c: (p[0] - c) ** 2 + (p[0] - p[1]) * 0.3 - (p[1] - c) ** 2),
        dict(data=12345.678, tol=1e-6, max_steps=2000),
    ),
    "bilinear": (mm.Game(lambda p, c: (p[0] - c) * p[1]), dict(data=1e4, tol=1e-7)),
}


@pytest.mark.parametrize("name", FAR_AND_SOLVED)
def test_a_solution_far_away_is_no_drift(name):
    """In single precision the residual ends at a rounding of 1e4: the players do not move, and
    are where they should be."""
    game, options = FAR_AND_SOLVED[name]
    solution = solve(game, None, **options)
    assert solution.status in ("stalled", "converged", "max_steps"), solution


@pytest.mark.parametrize(
    "game, solver, steps",
    [
        (PRODUCT, mm.ExtraGradient(1e-3), 15_000),
        (mm.Game(lambda p: 1e-5 * p[0] ** 2 - p[1] ** 2), mm.ExtraGradient(0.1), 3000),
    ],
    ids=["slow rotation", "slow decay"],
)
def test_what_falls_by_less_than_a_hundredth_is_slow(game, solver, steps):
    assert solve(game, solver, max_steps=steps, tol=1e-6).status == "max_steps"


def test_players_who_cannot_leave_are_not_told_to_run_away():
    """A solution far from the start, in boxes: the way there is straight, and it has an end. And a
    way back from an overshoot is straight, too."""
    box = mm.Game(lambda p: 1e-3 * p[0] * p[1] + p[0] - 30 * p[1], constraints=mm.Box(-1e5, 1e5))
    assert mm.solve(box, (1.0, 1.0), mm.ExtraGradient(0.5)).status == "max_steps"
    ray = mm.Game(lambda p: p[0] + p[1] * (1e4 - p[0]), constraints=mm.NonNegative())
    assert mm.solve(ray, (0.0, 0.0), mm.AdaptiveExtraGradient()).status == "max_steps"


@pytest.mark.parametrize("power", [3, 4])
def test_players_who_run_off_again_and_again_are_let_go(power):
    """The guard of the default brings them back: that is no cycle of theirs."""
    solution = mm.solve(mm.Game(lambda x: -(x**power), "min"), 1.0)
    assert solution.status == "unbounded" and solution.players > 1e4, solution


def test_what_overflows_before_the_first_look_is_not_said_to_be_so_at_the_start():
    """The start is finite, and the step size is what is to be changed."""
    game = mm.Game(lambda p: p[0] ** 4 + p[0] * p[1], constraints=(None, mm.Box(-1.0, 1.0)))
    solution = mm.solve(game, (3.0, 0.0), mm.ExtraGradient(0.5))
    assert solution.status == "nonfinite" and solution.steps == 0
    assert "Lower the step size" in solution.message and "start already" not in solution.message
    at_start = mm.solve(mm.Game(lambda x: jnp.sqrt(x), "min"), 0.0, mm.ExtraGradient(0.5))
    assert "at the start already" in at_start.message
