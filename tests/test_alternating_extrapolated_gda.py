r"""Exact laws of `AlternatingExtrapolatedGDA`.

On a bilinear game each pair of singular vectors is a pair of numbers (u, v) with payoff s u v.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from tests.iterates import iterates
from tests.strategies import bilinear_games, fractions, plant
from tests.test_bilinear_laws import STEPS, rounding
from tests.test_mirror_methods import draw, matrix_game, project_on_box

pytestmark = pytest.mark.usefixtures("float64")


def run(planted, solver, steps: int = STEPS):
    rows = iterates(planted.game, planted.players, solver, steps)
    return planted.pairs(rows), rows


@given(
    bilinear_games(shapes=((1, 1), (4, 3))),
    fractions(0.05, 1.1),
    st.floats(0.0, 3.0),
    st.floats(0.0, 3.0),
    fractions(0.5, 2.0),
)
def test_iterates_follow_the_recurrence_of_the_paper(planted, c, gamma, delta, balance):
    """Pair by pair, for any γ and δ and a step size for each player."""
    eta_x, eta_y = c * balance / planted.s_max, c / balance / planted.s_max
    solver = mm.AlternatingExtrapolatedGDA({"x": eta_x, "y": eta_y}, gamma, delta)
    zeta, rows = run(planted, solver)
    s, (u, v) = planted.singular_values, (zeta[0].real, zeta[0].imag)
    seen, expected = v, [zeta[0]]
    for _ in range(STEPS):
        after = u - eta_x * s * seen
        ascent = eta_y * s * (u + gamma * (after - u))
        u, v, seen = after, v + ascent, v + delta * ascent
        expected.append(u + 1j * v)
    size = np.abs(expected).max() / np.abs(zeta).max()
    tolerance = 16 * rounding(planted, rows, 2 * c) * max(1.0, size)
    np.testing.assert_allclose(zeta, expected, rtol=0, atol=tolerance)


@given(bilinear_games(least=0.2, shapes=((1, 1), (4, 3))), fractions(0.05, 0.95))
def test_every_pair_shrinks_as_in_primal_dual_hybrid_gradient(planted, q_max):
    """With (2, 1) the step per pair has determinant 1 - q and trace 2 - 2q, q = η_x η_y s²: by
    Cayley and Hamilton ζ_{k+2} = 2(1 - q) ζ_{k+1} - (1 - q) ζ_k, of radius √(1 - q)."""
    eta = np.sqrt(q_max) / planted.s_max
    zeta, rows = run(planted, mm.AlternatingExtrapolatedGDA(eta))
    q = (eta * planted.singular_values) ** 2
    expected = 2 * (1 - q) * zeta[1:-1] - (1 - q) * zeta[:-2]
    tolerance = 4 * rounding(planted, rows, 1.0)
    np.testing.assert_allclose(zeta[2:], expected, rtol=0, atol=tolerance)
    # The quadratic form that a matrix of determinant 1 - q and complex roots multiplies by 1 - q.
    form = np.abs(zeta[1:]) ** 2 - 2 * (1 - q) * np.real(zeta[1:] * zeta[:-1].conj())
    form = form + (1 - q) * np.abs(zeta[:-1]) ** 2
    np.testing.assert_allclose(
        form[1:], (1 - q) * form[:-1], rtol=0, atol=8 * tolerance * np.abs(zeta).max()
    )


@pytest.mark.parametrize("offset", [-0.02, 0.02])
def test_it_converges_exactly_below_four_thirds(offset):
    """η² s² < 4/3, from both sides."""
    planted = plant(2, 2, [1.0, 0.8], seed=0)
    solver = mm.AlternatingExtrapolatedGDA(np.sqrt(4 / 3) * (1 + offset))
    status = mm.solve(planted.game, planted.players, solver, max_steps=20_000, tol=1e-7).status
    assert status == ("converged" if offset < 0 else "diverged")


def test_it_subsumes_both_kinds_of_descent_ascent():
    """(1, 1) is alternating and (0, 1) simultaneous, with constraints and any optimizer."""
    game, start = matrix_game(draw(0), mm.Simplex())
    adam = optax.adam(0.05)
    for (gamma, delta), plain in (
        ((1.0, 1.0), mm.AlternatingGradientDescentAscent),
        ((0.0, 1.0), mm.GradientDescentAscent),
    ):
        for optimizer in (0.1, {"min": 0.2, "max": adam}):
            ours = mm.AlternatingExtrapolatedGDA(optimizer, gamma, delta)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-13),
                iterates(game, start, ours, STEPS),
                iterates(game, start, plain(optimizer), STEPS),
            )


def test_in_a_box_it_is_the_primal_dual_hybrid_gradient_method():
    """x⁺ = P(x - τAy), y⁺ = P(y + σAᵀ(2x⁺ - x)); and it converges."""
    A = draw(3)
    game, start = matrix_game(A, mm.Box(-0.5, 1.0))
    tau = 0.99 / np.linalg.norm(A, 2)
    rows = iterates(game, start, mm.AlternatingExtrapolatedGDA(tau), 400)
    x, y = (np.asarray(start[name]) for name in "xy")
    for k in range(401):
        np.testing.assert_allclose(rows["x"][k], x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(rows["y"][k], y, rtol=0, atol=1e-12)
        before, x = x, project_on_box(x - tau * A @ y)
        y = project_on_box(y + tau * A.T @ (2 * x - before))
    last = {name: row[-1] for name, row in rows.items()}
    assert mm.DualityGap()(game, last) < 1e-4


def test_of_three_players_the_last_shows_delta():
    """a and b show γ; each sees the others where they seem to be, itself where it is."""
    game = mm.Game(
        lambda p: {"a": p["a"] * p["b"] * p["c"], "b": p["a"] + p["b"] * p["c"], "c": p["c"] ** 2},
        {"a": "min", "b": "min", "c": "min"},
    )
    eta, gamma, delta = 0.1, 2.0, 3.0
    solver = mm.AlternatingExtrapolatedGDA(eta, gamma, delta)
    start = {"a": jnp.asarray(1.0), "b": jnp.asarray(2.0), "c": jnp.asarray(3.0)}
    rows = iterates(game, start, solver, 2)
    a, b, c = 1.0, 2.0, 3.0
    shown_b, shown_c = b, c
    for k in (1, 2):
        a = a - eta * shown_b * shown_c
        step = -eta * shown_c
        b, shown_b = b + step, b + gamma * step
        step = -eta * 2 * c
        c, shown_c = c + step, c + delta * step
        found = [float(rows[name][k]) for name in "abc"]
        np.testing.assert_allclose(found, [a, b, c], rtol=1e-14)


@pytest.mark.parametrize("number", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["gamma", "delta"])
def test_what_is_shown_is_finite(name, number):
    """And not negative."""
    with pytest.raises(mm.GameError, match=f"{name} of .*: expected a finite number >= 0"):
        mm.AlternatingExtrapolatedGDA(jnp.asarray(0.1), **{name: number})
