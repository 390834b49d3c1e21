r"""PDHG, Halpern's iteration and restarted PDHG, held to their theorems.

On $x^\top A y$ every singular pair is a game of its own: with $c^2 = \tau\sigma s^2$ the step of
PDHG multiplies it by a matrix of determinant $1 - c^2$.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import minimax as mm
from tests.iterates import iterates, outputs
from tests.strategies import bilinear_games, fractions, plant, seeds

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps


def matrix_game(matrix) -> mm.Game:
    return mm.Game(
        lambda p, A: p["x"] @ A @ p["y"], {"x": "min", "y": "max"}, constraints=mm.Simplex()
    )


GAME = matrix_game(None)


def uniform(n: int, m: int) -> dict:
    return {"x": jnp.full(n, 1 / n), "y": jnp.full(m, 1 / m)}


def value_by_highs(A: np.ndarray) -> float:
    """min_x max_y x'Ay over mixed strategies, as a linear program: min v, A'x <= v."""
    n, m = A.shape
    answer = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.c_[A.T, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=[np.r_[np.ones(n), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    return float(answer.fun)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# PDHG ---------------------------------------------------------------------------------------------


def pair_matrix(tau: float, sigma: float, s: np.ndarray) -> np.ndarray:
    """One step of (u, v) -> (u', v') per singular value: u' = u - τ s v, v' = v + σ s (2u' - u)."""
    return np.stack(
        [
            np.stack([np.ones_like(s), -tau * s], -1),
            np.stack([sigma * s, 1 - 2 * tau * sigma * s**2], -1),
        ],
        -2,
    )


@given(bilinear_games(), fractions(0.1, 1.0), st.sampled_from([0.25, 1.0, 3.0]))
def test_pdhg_moves_each_singular_pair_by_its_matrix(planted, fraction, omega):
    eta = fraction / planted.s_max
    rows = iterates(planted.game, planted.players, mm.PDHG(eta, omega), 20)
    zeta = planted.pairs(rows)
    step = pair_matrix(eta / omega, eta * omega, planted.singular_values)
    at = np.stack([zeta[0].real, zeta[0].imag], -1)
    for row in zeta:
        scale = max(1.0, np.abs(zeta).max())
        np.testing.assert_allclose(row, at[:, 0] + 1j * at[:, 1], atol=2e3 * EPS * scale, rtol=0)
        at = np.einsum("kij,kj->ki", step, at)


@pytest.mark.parametrize("square", [0.3, 0.99, 1.32, 1.35])
def test_pdhg_is_stable_below_four_thirds_and_not_above(square):
    """τσs² < 4/3: the radius is √(1 - τσs²) up to 1, then it grows to 1 at 4/3."""
    planted = plant(3, 3, [1.0, 1.0, 1.0], 0)
    rows = iterates(planted.game, planted.players, mm.PDHG(np.sqrt(square)), 400)
    distance = planted.distance(rows)
    if square <= 1:
        # A rotation in some norm: no more than its condition number above the radius.
        radius = np.sqrt(1 - square) ** np.arange(401)
        assert (distance <= 1e2 * radius * distance[0] + 1e-12).all()
    assert (distance[-1] < 1e-3 * distance[0]) == (square < 4 / 3)
    assert square < 4 / 3 or distance[-1] > 10 * distance[0]


@given(seeds, fractions(0.2, 1.0), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_average_of_pdhg_obeys_the_ergodic_bound(seed, fraction, omega):
    """L(x̄, v) - L(u, ȳ) <= (‖u-x₀‖²/τ + ‖v-y₀‖²/σ - 2⟨K(u-x₀), v-y₀⟩)/2N at every vertex."""
    A, start, steps = draw(seed, 4, 3), uniform(4, 3), 40
    eta = fraction / np.linalg.norm(A, 2)
    solver = mm.Averaged(mm.PDHG(eta, omega))
    rows = outputs(GAME, start, solver, steps, jnp.asarray(A))
    tau, sigma = eta / omega, eta * omega
    for N in (1, 7, steps):
        x, y = (np.asarray(rows[k][N]) for k in "xy")
        for u in np.eye(4):
            for v in np.eye(3):
                du, dv = u - np.asarray(start["x"]), v - np.asarray(start["y"])
                bound = (du @ du / tau + dv @ dv / sigma - 2 * du @ A @ dv) / (2 * N)
                assert x @ A @ v - u @ A @ y <= bound + 1e-12


def test_pdhg_with_strong_convexity_is_the_accelerated_method():
    """Against the recursion in NumPy, with g = γ/2 ‖x - a‖² moved into the payoff's linear terms
    by completing squares on a ball: here g lives in a box, whose prox is the clip."""
    K, gamma, eta, steps = draw(1, 3, 2), 0.7, 0.4, 12
    eta = eta / np.linalg.norm(K, 2)
    game = mm.Game(
        lambda p: p["x"] @ jnp.asarray(K) @ p["y"],
        {"x": "min", "y": "max"},
        {"x": mm.Box(-1.0, 1.0), "y": mm.Box(-2.0, 2.0)},
    )
    start = {"x": jnp.asarray(draw(2, 3)).clip(-1, 1), "y": jnp.asarray(draw(3, 2)).clip(-2, 2)}
    rows = iterates(game, start, mm.PDHG(eta, strong_convexity=gamma), steps)
    x, y, tau, sigma = np.asarray(start["x"]), np.asarray(start["y"]), eta, eta
    for k in range(steps + 1):
        np.testing.assert_allclose(rows["x"][k], x, atol=100 * EPS)
        np.testing.assert_allclose(rows["y"][k], y, atol=100 * EPS)
        moved = np.clip(x - tau * K @ y, -1, 1)
        theta = 1 / np.sqrt(1 + 2 * gamma * tau)
        tau, sigma = theta * tau, sigma / theta
        y = np.clip(y + sigma * K.T @ (moved + theta * (moved - x)), -2, 2)
        x = moved


@given(seeds, st.sampled_from([0.5, 1.5, 1.9]))
def test_relaxed_pdhg_reports_feasible_players_and_converges(seed, relaxation):
    A = draw(seed, 4, 3)
    A /= np.linalg.norm(A, 2)
    solver = mm.PDHG(0.99, relaxation=relaxation)
    rows = outputs(GAME, uniform(4, 3), solver, 30, jnp.asarray(A))
    assert all(float(rows[k].min()) >= 0 for k in "xy")
    solution = mm.solve(GAME, uniform(4, 3), solver, data=jnp.asarray(A), tol=1e-4)
    assert solution.success
    assert float(solution.value) == pytest.approx(value_by_highs(A), abs=4e-4)


# Halpern ------------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([0.0, 1.0]), st.sampled_from([0.5, 1.0, 2.0]))
def test_halpern_meets_its_bound_in_the_norm_of_pdhg(seed, reflection, omega):
    """‖z_k - T z_k‖_M <= (2 - r) ‖z₀ - z*‖_M/(k + 1) with T one step of PDHG."""
    A, steps = draw(seed, 4, 3), 60
    A /= np.linalg.norm(A, 2)
    eta = 0.95
    solver, start = mm.Halpern(mm.PDHG(eta, omega), reflection), uniform(4, 3)
    data = jnp.asarray(A)
    solved = mm.solve(GAME, start, mm.RestartedPDHG(), data=data, tol=1e-13, max_steps=20_000)
    assert solved.success
    z, Tz = (
        np.concatenate([rows["x"], rows["y"]], axis=-1)
        for rows in (
            iterates(GAME, start, solver, steps, data),
            outputs(GAME, start, solver, steps, data),
        )
    )
    M = np.block([[omega * np.eye(4), -eta * A], [-eta * A.T, np.eye(3) / omega]])
    star = np.concatenate([solved.players["x"], solved.players["y"]])
    off = z[0] - star
    away = z[:-1] - Tz[1:]
    k = np.arange(steps)
    bound = (2 - reflection) * np.sqrt(off @ M @ off) / (k + 1)
    assert (np.sqrt(np.einsum("ki,ij,kj->k", away, M, away)) <= bound * (1 + 1e-9) + 1e-9).all()


# Restarted PDHG -----------------------------------------------------------------------------------


def test_the_first_step_of_an_epoch_is_one_of_pdhg():
    """z₁ = ½(2 T z₀ - z₀) + ½ z₀ = T z₀."""
    A, start, solver = jnp.asarray(draw(0, 4, 3)), uniform(4, 3), mm.RestartedPDHG()
    eta = solver.init(GAME, start, A).step_size
    ours = iterates(GAME, start, solver, 1, A)
    theirs = iterates(GAME, start, mm.PDHG(eta), 1, A)
    for k in "xy":
        np.testing.assert_allclose(ours[k], theirs[k], atol=10 * EPS)


def test_between_restarts_it_is_halpern_with_reflection():
    A, start, solver = jnp.asarray(draw(0, 4, 3)), uniform(4, 3), mm.RestartedPDHG(patience=50)
    eta = solver.init(GAME, start, A).step_size
    ours = outputs(GAME, start, solver, 12, A)
    theirs = outputs(GAME, start, mm.Halpern(mm.PDHG(eta), 1.0), 12, A)
    for k in "xy":
        np.testing.assert_allclose(ours[k], theirs[k], atol=1e3 * EPS)


@given(seeds)
def test_restarted_pdhg_finds_values_of_games_to_machine_precision(seed):
    A = draw(seed, 7, 5)
    solution = mm.solve(
        GAME, uniform(7, 5), mm.RestartedPDHG(), data=jnp.asarray(A), tol=1e-12,
        metric=mm.DualityGap(), max_steps=50_000,
    )  # fmt: skip
    assert solution.success, solution
    assert float(solution.value) == pytest.approx(value_by_highs(A), abs=1e-11)


@given(seeds)
def test_restarted_pdhg_solves_linear_programs(seed):
    """min c'x, Ax = b, x >= 0 by its Lagrangian, against HiGHS."""
    A, x, c = draw(seed, 3, 6), np.abs(draw(seed + 1, 6)), np.abs(draw(seed + 2, 6))
    b = A @ x
    lagrangian = mm.Game(
        lambda p, data: data["c"] @ p["x"] + p["y"] @ (data["b"] - data["A"] @ p["x"]),
        {"x": "min", "y": "max"},
        {"x": mm.NonNegative(), "y": None},
    )
    data = {"A": jnp.asarray(A), "b": jnp.asarray(b), "c": jnp.asarray(c)}
    start = {"x": jnp.zeros(6), "y": jnp.zeros(3)}
    solution = mm.solve(
        lagrangian, start, mm.RestartedPDHG(), data=data, tol=1e-10, max_steps=100_000
    )
    assert solution.success, solution
    expected = linprog(c, A_eq=A, b_eq=b, method="highs").fun
    assert float(data["c"] @ solution.players["x"]) == pytest.approx(expected, abs=1e-8)


def test_evaluations_grow_like_the_condition_number():
    """κ and not κ²: from 10 to 100 by less than 3 times the quotient, where κ² gives 100."""
    evaluations = []
    for kappa in (10, 100):
        planted = plant(6, 6, np.linspace(1 / kappa, 1, 6), 1)
        solution = mm.solve(
            planted.game, planted.players, mm.RestartedPDHG(), tol=1e-8, check_every=20
        )
        assert solution.success
        evaluations.append(int(solution.evaluations))
    assert evaluations[1] <= 30 * evaluations[0]


def test_a_step_size_that_is_too_long_is_shortened():
    """Were the norm of K underestimated, the norm M would not be one; a look finds out."""
    A, start, solver = jnp.asarray(draw(4, 6, 5)), uniform(6, 5), mm.RestartedPDHG(patience=5)
    state = solver.init(GAME, start, A)
    norm = float(jnp.linalg.norm(A, 2))
    assert 0.9 <= float(state.step_size) * norm <= 1.0
    state, players = state._replace(step_size=4 * state.step_size), start
    step = eqx.filter_jit(lambda players, state: solver.step(GAME, players, state, A))
    for _ in range(1500):
        players, state = step(players, state)
    assert float(state.step_size) * norm < 4 / 3
    assert float(mm.DualityGap()(GAME, solver.output(players, state), A)) < 1e-6


def test_scaling_a_side_changes_little():
    """f(1000 x, y/1000) is the same game in other units: the primal weight finds them."""
    counts = []
    for scale in (1.0, 1e3):
        planted = plant(5, 5, np.linspace(0.2, 1, 5), 2)
        game = mm.Game(
            lambda p, s, planted=planted: (p["x"] * s) @ jnp.asarray(planted.matrix) @ (p["y"] / s)
            - (p["x"] * s) @ jnp.ones(5) + (p["y"] / s) @ jnp.ones(5),
            {"x": "min", "y": "max"},
        )  # fmt: skip
        start = {"x": jnp.zeros(5), "y": jnp.zeros(5)}
        solution = mm.solve(
            game, start, mm.RestartedPDHG(), data=scale, tol=1e-9 / scale, check_every=20
        )
        assert solution.success, solution
        counts.append(int(solution.steps))
    assert counts[1] <= 10 * counts[0]


@pytest.mark.parametrize("solver", [mm.RestartedPDHG(), mm.PDHG(0.1)], ids=["restarted", "plain"])
def test_games_that_it_is_not_for_are_refused(solver):
    general = mm.Game(lambda p: (p[0] * p[1], p[0] + p[1]))
    with pytest.raises(mm.GameError, match="one payoff"):
        mm.solve(general, (1.0, 1.0), solver)


def test_restarted_pdhg_refuses_what_is_not_bilinear():
    curved = mm.Game(lambda p: p[0] ** 2 + p[0] * p[1])
    with pytest.raises(mm.GameError, match="affine in all minimisers"):
        mm.solve(curved, (1.0, 1.0), mm.RestartedPDHG())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mm.PDHG(-1.0), "step_size"),
        (lambda: mm.PDHG(1.0, 0.0), "primal_weight"),
        (lambda: mm.PDHG(1.0, relaxation=2.0), "relaxation"),
        (lambda: mm.PDHG(1.0, strong_convexity=-1.0), "strong_convexity"),
        (lambda: mm.PDHG(1.0, relaxation=1.5, strong_convexity=1.0), "theory"),
        (lambda: mm.Halpern(mm.PDHG(1.0), 1.5), "reflection"),
        (lambda: mm.RestartedPDHG(patience=0), "patience"),
        (lambda: mm.RestartedPDHG(decrease=1.0), "decrease"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(mm.GameError, match=message):
        make()
