"""Regularised Newton with hyperplane projections, held to its theorem."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

A = np.random.default_rng(0).normal(size=(3, 3))


def curved(z):
    """exp + cubic: F = (exp(x) + x³ + Ay - 1 - Ab, exp(y) + y³ - A'x - 1 ...), zero at (0, 0)."""
    x, y = z["x"], z["y"]
    return jnp.sum(jnp.exp(x) - x + x**4 / 4) + x @ A @ y - jnp.sum(jnp.exp(y) - y + y**4 / 4)


def flat(z):
    """F = (arctan x + y, arctan y - x): its derivative vanishes far out."""

    def well(u):
        return jnp.sum(u * jnp.arctan(u) - jnp.log1p(u**2) / 2)

    return well(z["x"]) + 0.1 * z["x"] @ z["y"] - well(z["y"])


CURVED = mm.Game(curved, {"x": "min", "y": "max"})
FLAT = mm.Game(flat, {"x": "min", "y": "max"})


def start(size: float) -> dict:
    return {"x": size * jnp.array([1.0, -1.0, 0.5]), "y": size * jnp.array([-0.5, 1.0, 1.0])}


def distances(rows) -> np.ndarray:
    return np.linalg.norm(np.concatenate([rows["x"], rows["y"]], axis=1), axis=1)


@pytest.mark.parametrize("game, size", [(CURVED, 4.0), (FLAT, 20.0)])
def test_every_step_comes_nearer_by_as_much_as_it_moves(game, size):
    """‖z⁺ - z*‖² <= ‖z - z*‖² - ‖z⁺ - z‖² with z* = 0, from far away: the hyperplane separates."""
    rows = iterates(game, start(size), mm.Newton(), 60)
    squares = distances(rows) ** 2
    moves = distances(jax.tree.map(lambda row: row[1:] - row[:-1], rows)) ** 2
    assert np.all(squares[1:] <= squares[:-1] - moves + 1e-13 * squares[0])
    assert squares[-1] <= 1e-20 and moves[0] > 1e-2


def test_it_converges_superlinearly():
    """|z_{k+1}| / |z_k| goes to zero, with order 3/2 for m = √|F|."""
    errors = distances(iterates(CURVED, start(4.0), mm.Newton(), 25))
    errors = errors[(errors < 1e-1) & (errors > 1e-9)]
    assert len(errors) >= 4
    assert np.all(np.diff(errors[1:] / errors[:-1]) < 0)
    orders = np.log(errors[2:] / errors[1:-1]) / np.log(errors[1:-1] / errors[:-2])
    assert 1.4 <= orders[-1] <= 1.6, orders


def test_it_converges_where_plain_newton_diverges():
    """Newton on arctan leaves for infinity from 20, in NumPy; this method does not."""

    def F(z):
        return np.arctan(z) + 0.1 * np.r_[z[3:], -z[:3]]

    rotation = 0.1 * np.block([[np.zeros((3, 3)), np.eye(3)], [-np.eye(3), np.zeros((3, 3))]])
    first = np.concatenate([start(20.0)["x"], start(20.0)["y"]])
    z = first
    for _ in range(4):
        z = z - np.linalg.solve(np.diag(1 / (1 + z**2)) + rotation, F(z))
        if np.linalg.norm(z) > 1e3:
            break
    plain = np.linalg.norm(z)
    solution = mm.solve(FLAT, start(20.0), mm.Newton(), tol=1e-15, check_every=1, max_steps=100)
    assert solution.success and solution.steps <= 60, solution
    assert plain > 1.0, plain


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_on_affine_operators_the_error_has_a_closed_form(mu):
    """m(M + mI)⁻¹(z - z*), m = μ√|F|, because z⁺ = w there, up to the accuracy of GMRES. The cost
    is at most n products and two."""
    P, Q = A @ A.T / 10, 2 * np.linalg.qr(A)[0]
    M = np.block([[P, Q], [-Q.T, P]])
    game = mm.Game(
        lambda z: z["x"] @ P @ z["x"] / 2 + z["x"] @ Q @ z["y"] - z["y"] @ P @ z["y"] / 2,
        {"x": "min", "y": "max"},
    )
    solver, players = mm.Newton(regularization=mu, decrease=0.4), start(1.0)
    state = solver.init(game, players)
    z = np.concatenate([players["x"], players["y"]])
    step = eqx.filter_jit(lambda players, state: solver.step(game, players, state))
    expected = z
    for _ in range(8):
        size = np.linalg.norm(M @ z)
        m = mu * np.sqrt(size)
        expected = m * np.linalg.solve(M + m * np.eye(6), z)
        before = int(state.evaluations)
        players, state = step(players, state)
        z = np.concatenate([players["x"], players["y"]])
        w = np.concatenate([state.ahead["x"], state.ahead["y"]])
        assert state.step_size == 1 and int(state.evaluations) - before <= 6 + 2
        # |F(w) + md| = |e|, and (M + mI)⁻¹ has norm at most 1/m.
        error = min(0.1, 0.1 * m * min(m, 1)) * size
        assert np.linalg.norm(w - expected) <= error / m + 1e-13
        assert np.linalg.norm(z - expected) <= 3 * error / m + 1e-11
    assert np.linalg.norm(expected) < 1e-3


def test_what_gmres_cannot_solve_is_left_to_the_gradient():
    """With one product allowed the system stays unsolved, and d = -F/m: still ever nearer."""
    solver = mm.Newton(size=1)
    errors = distances(iterates(CURVED, start(2.0), solver, 200))
    assert np.all(np.diff(errors) <= 1e-15) and errors[-1] < 0.2 * errors[0]


def test_the_step_of_the_gradient_by_hand():
    """F, d = -F/m, halvings until -F(w)'d >= σ m |d|², projection on the hyperplane; σ decides."""

    def F(z):
        x, y = z[:3], z[3:]
        return np.r_[np.exp(x) - 1 + x**3 + A @ y, np.exp(y) - 1 + y**3 - A.T @ x]

    def halved(z, d, least):
        t = 1.0
        while not -F(z + t * d) @ d >= least:
            t /= 2
        return t

    solver, decided = mm.Newton(size=1, decrease=0.45), 0
    step = eqx.filter_jit(lambda players, state: solver.step(CURVED, players, state))
    for size in (1.0, 1.5, 2.0, 2.5, 3.0):
        z = np.concatenate([start(size)["x"], start(size)["y"]])
        m = np.sqrt(np.linalg.norm(F(z)))
        d = -F(z) / m
        t = halved(z, d, 0.45 * m * d @ d)
        decided += t < halved(z, d, 0.0)
        w = z + t * d
        expected = z - F(w) @ (z - w) / (F(w) @ F(w)) * F(w)
        players, state = step(start(size), solver.init(CURVED, start(size)))
        after = np.concatenate([players["x"], players["y"]])
        np.testing.assert_allclose(after, expected, atol=1e-12)
        assert state.step_size == t
    assert decided > 0


@pytest.mark.usefixtures("as_users_run_it")
def test_what_it_is_not_for_is_refused():
    game = mm.Game(lambda p: p["x"] * p["y"], {"x": "min", "y": "max"}, mm.Box(-1.0, 1.0))
    with pytest.raises(mm.GameError, match=r"for free players; players\['x'\] has the constraint Box\..*SemismoothNewton"):
        mm.solve(game, {"x": 1.0, "y": 1.0}, mm.Newton())
    for name, make in {
        "size": lambda: mm.Newton(size=0),
        "regularization": lambda: mm.Newton(regularization=0.0),
        "decrease": lambda: mm.Newton(decrease=0.5),
    }.items():
        with pytest.raises(mm.GameError, match=f"{name} is .*: expected"):
            make()
