r"""Methods for players of different speeds: per-player steps, TiAda and smoothed descent-ascent.

Most is tried on $f = -\tfrac a2 x^2 + b x y - \tfrac12 y^2$, nonconvex in x and strongly concave in
y, with $\max_y f = (b^2 - a) x^2/2$: for $b^2 > a$ its only stationary point is zero, and that
solves min max f. The Jacobian of F is $M = ((-a, b), (-b, 1))$.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
A, B = 2.0, 2.0
M = np.array([[-A, B], [-B, 1.0]])
NONCONVEX = mm.Game(lambda z: -A / 2 * z["x"] ** 2 + B * z["x"] * z["y"] - z["y"] ** 2 / 2, ROLES)
START = {"x": 1.0, "y": -0.5}


def start() -> dict:
    return jax.tree.map(jnp.asarray, START)


def as_columns(rows: dict) -> np.ndarray:
    return np.stack([np.asarray(rows[name]) for name in "xy"], axis=-1)


# Two time scales ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [1.0, 1.5, 1.9, 2.3, 4.0, 20.0])
def test_per_player_steps_separate_the_time_scales(ratio):
    """z⁺ = (I - diag(η_x, η_y) M) z: at small steps it converges exactly where the trace of
    diag(1, r) M is positive, r = η_y/η_x > a, since its determinant r (b² - a) always is."""
    eta_y = 0.02
    solver = mm.GradientDescentAscent({"min": eta_y / ratio, "max": eta_y})
    step = np.eye(2) - np.diag([eta_y / ratio, eta_y]) @ M
    rows = as_columns(iterates(NONCONVEX, start(), solver, 100))
    expected = [np.linalg.matrix_power(step, k) @ [1.0, -0.5] for k in range(101)]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    status = mm.solve(NONCONVEX, start(), solver, max_steps=40_000, tol=1e-6).status
    assert status == (mm.Status.converged if ratio > A else mm.Status.diverged)


@pytest.mark.parametrize("eta", [1e-2, 1e-1, 0.5])
def test_equal_steps_diverge_however_small(eta):
    """|det(I - ηM)| = 1 + η(a - 1) + η²(b² - a) > 1."""
    solution = mm.solve(NONCONVEX, start(), mm.GradientDescentAscent(eta))
    assert solution.status == mm.Status.diverged


# TiAda --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eta", [0.1, 0.5, 1.0, 3.0])
def test_tiada_separates_them_itself(eta):
    """With equal steps for both players, whatever their size."""
    assert mm.solve(NONCONVEX, start(), mm.TiAda(eta)).success


@pytest.mark.parametrize("powers", [{}, {"descent_power": 0.7, "ascent_power": 0.2}])
def test_tiada_is_what_its_formula_says(powers):
    """Three players, of whom two descend: their squared gradients are one sum."""

    def payoff(z):
        return jnp.sum(z["a"] ** 2 * z["c"][0]) + jnp.sin(z["b"]) * z["c"][1] - z["c"] @ z["c"]

    def gradient(a, b, c):
        of_c = np.array([np.sum(a**2), np.sin(b)]) - 2 * c
        return 2 * a * c[0], np.cos(b) * c[1], of_c

    a, b, c = np.array([1.0, -2.0, 0.5]), 0.3, np.array([0.2, -0.4])
    alpha, beta = powers.get("descent_power", 0.6), powers.get("ascent_power", 0.4)
    descent = ascent = 0.0
    expected = [(a, b, c)]
    for _ in range(30):
        of_a, of_b, of_c = gradient(a, b, c)
        descent += of_a @ of_a + of_b**2
        ascent += of_c @ of_c
        slow = max(descent, ascent) ** alpha
        a, b = a - 0.5 * of_a / slow, b - 0.5 * of_b / slow
        c = np.clip(c + 0.2 * of_c / ascent**beta, -1, 0.5)
        expected.append((a, b, c))
    game = mm.Game(
        payoff,
        {"a": "min", "b": "min", "c": "max"},
        {"a": None, "b": None, "c": mm.Box(-1.0, 0.5)},
    )
    players = jax.tree.map(jnp.asarray, dict(zip("abc", expected[0], strict=True)))
    rows = iterates(game, players, mm.TiAda({"min": 0.5, "max": 0.2}, **powers), 30)
    for name, column in zip("abc", zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(rows[name], np.stack(column), rtol=0, atol=1e-12)


def test_tiada_tells_the_roots_of_its_sums():
    solution = mm.solve(NONCONVEX, start(), mm.TiAda(0.5), max_steps=1, tol=0.0, record=1)
    assert solution.trace is not None
    x, y = -A * 1.0 + B * -0.5, B * 1.0 + 0.5
    np.testing.assert_allclose(solution.trace.stats["descent"], [0.0, abs(x)])
    np.testing.assert_allclose(solution.trace.stats["ascent"], [0.0, abs(y)])


@pytest.mark.parametrize("alpha, beta", [(0.4, 0.6), (0.5, 0.5), (1.0, 0.4), (0.6, 0.0)])
def test_what_the_powers_must_be(alpha, beta, as_users_run_it):
    with pytest.raises(mm.GameError, match="expected 1 > descent_power > ascent_power > 0"):
        mm.TiAda(0.1, alpha, beta)


# Smoothed descent-ascent --------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["xy", "yx"])
def test_smoothed_descent_ascent_is_what_its_formula_says(names):
    """Minimisers move first, whatever their names; the center follows what is projected."""
    least, most = names
    game = mm.Game(
        lambda z: jnp.sin(z[least]) * z[most] - z[least] ** 2,
        {least: "min", most: "max"},
        {least: mm.Box(-1.0, 1.0), most: mm.Box(-2.0, 2.0)},
    )
    x, y, c = 0.4, 1.0, 0.4
    expected = [(x, y)]
    for _ in range(60):
        x = np.clip(x - 0.2 * (np.cos(x) * y - 2 * x + 3.0 * (x - c)), -1, 1)
        y = np.clip(y + 0.3 * np.sin(x), -2, 2)
        c = c + 0.25 * (x - c)
        expected.append((x, y))
    solver = mm.SmoothedGradientDescentAscent({"min": 0.2, "max": 0.3}, smoothing=3.0, pull=0.25)
    players = {least: jnp.asarray(0.4), most: jnp.asarray(1.0)}
    rows = iterates(game, players, solver, 60)
    for name, column in zip(names, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(rows[name], column, rtol=0, atol=1e-12)
    assert np.ptp(np.asarray(expected), axis=0).min() > 0.1


def test_without_smoothing_players_move_in_turn():
    rows = iterates(NONCONVEX, start(), mm.SmoothedGradientDescentAscent(0.1, 0.0), 50)
    turns = iterates(NONCONVEX, start(), mm.AlternatingGradientDescentAscent(0.1), 50)
    np.testing.assert_allclose(as_columns(rows), as_columns(turns), rtol=0, atol=1e-12)


def test_smoothing_damps_the_rotation_of_a_bilinear_game():
    """(x, y, c) is multiplied by a matrix whose spectral radius is below 1 for p > 0 and is 1
    without: alternating descent-ascent."""
    eta, s = 0.4, 1.3

    def matrix(p, beta):
        x = np.array([1 - eta * p, -eta * s, eta * p])
        y = np.array([0, 1, 0]) + eta * s * x
        return np.stack([x, y, (1 - beta) * np.array([0, 0, 1]) + beta * x])

    def radius(p):
        return np.abs(np.linalg.eigvals(matrix(p, 0.3))).max()

    assert radius(1.0) < 0.98 and radius(0.0) == pytest.approx(1.0)
    game = mm.Game(lambda z: s * z["x"] * z["y"], ROLES)
    solver = mm.SmoothedGradientDescentAscent(eta, smoothing=1.0, pull=0.3)
    rows = as_columns(iterates(game, start(), solver, 40))
    state = np.array([1.0, -0.5, 1.0])
    for row in rows:
        np.testing.assert_allclose(row, state[:2], rtol=0, atol=1e-12)
        state = matrix(1.0, 0.3) @ state


def test_smoothing_settles_on_a_maximum_of_nonconvex_functions():
    """min over x of max(sin 3x + x²/4, cos 2x + 1/2, -0.3 x) at a kink: descent-ascent with the
    same steps circles around it, smoothed it settles, where two functions are equal and their
    mixed slope is zero."""

    def functions(x):
        return jnp.stack([jnp.sin(3 * x) + x**2 / 4, jnp.cos(2 * x) + 0.5, -0.3 * x])

    game = mm.Game(lambda z: z["y"] @ functions(z["x"]), ROLES, {"x": None, "y": mm.Simplex()})
    players = {"x": jnp.asarray(-1.0), "y": jnp.full(3, 1 / 3)}
    smoothed = mm.SmoothedGradientDescentAscent(0.05, smoothing=20.0, pull=0.1)
    solution = mm.solve(game, players, smoothed, tol=1e-6)
    assert solution.success, solution
    assert not mm.solve(game, players, mm.GradientDescentAscent(0.05), tol=1e-2).success
    x, y = solution.players["x"], solution.players["y"]
    values = functions(x)
    assert values[1] == pytest.approx(float(values[2]), abs=1e-5) and values[0] < values[1] - 0.1
    assert y[1] * -2 * np.sin(2 * x) - 0.3 * y[2] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    "smoothing, pull, message",
    [(-1.0, 0.5, "smoothing is -1"), (1.0, 0.0, "pull is 0"), (1.0, 1.5, "pull is 1.5")],
)
def test_what_smoothing_must_be_given(smoothing, pull, message, as_users_run_it):
    with pytest.raises(mm.GameError, match=message):
        mm.SmoothedGradientDescentAscent(0.1, smoothing, pull)
