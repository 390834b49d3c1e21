"""`VarianceReducedExtraGradient`, against its one-step inequality with exact expectations.

Games are means of μ|x|²/2 + x'A_i y + b_i'x - μ|y|²/2, so that F_i(z) = M_i z + q_i.
"""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.iterates import iterates, outputs

pytestmark = pytest.mark.usefixtures("float64")

MU, D = 0.2, 2
Solver = mm.VarianceReducedExtraGradient


class FiniteSum(mm.AbstractGame):
    """The game above, with the A_i and b_i as data."""

    mu: Any
    constraints: Any = None
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        assert data is not None
        coupling = jnp.mean((data["A"] @ y) @ x) + jnp.mean(data["b"] @ x)
        return self.mu / 2 * (x @ x - y @ y) + coupling


def data_of(n, spread, d=D):
    """Components around a matrix with singular values 1 and 1/2, and normal b_i."""
    rng = np.random.default_rng(n)
    A = np.diag(np.linspace(1, 0.5, d)) + spread * rng.normal(size=(n, d, d))
    return {"A": jnp.asarray(A), "b": jnp.asarray(rng.normal(size=(n, d)))}


def matrices(data, mu=MU):
    """The M_i and q_i, and the least L for which E|F_i(u) - F_i(v)|² <= L²|u - v|²."""
    A, b = np.asarray(data["A"]), np.asarray(data["b"])
    eye = mu * np.eye(A.shape[1])
    M = np.stack([np.block([[eye, a], [-a.T, eye]]) for a in A])
    q = np.concatenate([b, np.zeros_like(b)], axis=1)
    L = np.sqrt(np.linalg.norm(np.mean([m.T @ m for m in M], 0), 2))
    return M, q, L


def both(players):
    return np.concatenate([np.asarray(players["x"]), np.asarray(players["y"])])


def halves(z):
    half = z.shape[-1] // 2
    return {"x": jnp.asarray(z[..., :half]), "y": jnp.asarray(z[..., half:])}


def clipped(z, eta):
    """x in a box and y with |y|₁/4, as `SETS` below."""
    y = z[D:]
    return np.concatenate(
        [np.clip(z[:D], -0.25, 0.5), np.sign(y) * np.maximum(np.abs(y) - 0.25 * eta, 0)]
    )


SETS = {"x": mm.Box(-0.25, 0.5), "y": mm.L1(0.25)}
PROXES = {"free": (None, lambda z, eta: z), "sets": (SETS, clipped)}


def candidates(data, prox, z, w, eta, p, b=1):
    """What z⁺ can be, one for each draw of b components, and v: by hand."""
    M, q, _ = matrices(data)
    mean, F = (1 - p) * z + p * w, M.mean(0) @ w + q.mean(0)
    v = prox(mean - eta * F, eta)
    draws = itertools.product(range(len(M)), repeat=b)
    return v, np.stack([prox(mean - eta * (F + M[list(i)].mean(0) @ (v - w)), eta) for i in draws])


def solution_of(data, prox):
    M, q, _ = matrices(data)
    z = np.zeros(2 * D)
    for _ in range(2000):
        w = prox(z - 0.3 * (M.mean(0) @ z + q.mean(0)), 0.3)
        z = prox(z - 0.3 * (M.mean(0) @ w + q.mean(0)), 0.3)
    return z


def points(seed, prox):
    """A random point and a random snapshot."""
    z, w = 2 * np.random.default_rng(seed).normal(size=(2, 2 * D))
    return prox(z, 0.0), prox(w, 0.0)


# One step -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where, b", [("free", 1), ("sets", 1), ("free", 2)])
def test_a_step_draws_every_batch_equally_often(where, b):
    """Over 4000 seeds every z⁺ is one of the candidates, each as often as chance says up to five
    standard deviations, and so is the new snapshot, whose operator the state knows."""
    constraints, prox = PROXES[where]
    data, p, eta, count = data_of(4, 0.5), 0.3, 0.4, 4000
    game, (z, w) = FiniteSum(jnp.asarray(MU), constraints), points(0, prox)
    made = Solver(eta, b, p)
    state = made.init(game, halves(z), data)
    state = state._replace(snapshot=halves(w), at_snapshot=game.operator(halves(w), data))

    @jax.jit
    @jax.vmap
    def stepped(seed):
        solver = eqx.tree_at(lambda s: s.seed, made, seed)
        players, after = solver.step(game, halves(z), state, data)
        return players, after.snapshot, after.at_snapshot, after.passes

    players, snapshots, operators, passes = stepped(jnp.arange(count))
    rows, snapshots = (np.concatenate([t["x"], t["y"]], 1) for t in (players, snapshots))
    _, expected = candidates(data, prox, z, w, eta, p, b)
    distances = np.linalg.norm(rows[:, None] - expected[None], axis=-1)
    assert np.max(np.min(distances, axis=1)) <= 1e-13
    distinct = np.unique(np.round(expected, 10), axis=0, return_counts=True)
    for point, times in zip(*distinct, strict=True):
        share = times / len(expected)
        found = np.mean(np.linalg.norm(rows - point, axis=1) < 1e-9)
        assert abs(found - share) <= 5 * np.sqrt(share * (1 - share) / count)
    renewed = np.asarray(passes) == 2
    np.testing.assert_array_equal(snapshots[renewed], rows[renewed])
    np.testing.assert_array_equal(snapshots[~renewed], np.broadcast_to(w, rows.shape)[~renewed])
    assert abs(renewed.mean() - p) <= 5 * np.sqrt(p * (1 - p) / count)
    M, q, _ = matrices(data)
    F = np.concatenate([operators["x"], operators["y"]], 1)
    np.testing.assert_allclose(F, snapshots @ M.mean(0).T + q.mean(0), atol=1e-13)


@pytest.mark.parametrize("where", PROXES)
@pytest.mark.parametrize("gamma", [0.5, 0.99])
def test_the_one_step_inequality_holds_in_expectation(where, gamma):
    """E Φ⁺ <= Φ - (1 - γ)(E|z⁺ - v|² + p|v - w|²) - (1 - p)|z - v|² - 2ημ|v - z*|², at random
    points, and so E Φ⁺ <= (1 - min((1 - γ)p, ημ)/2) Φ. The candidates are those of the step above.
    """
    _, prox = PROXES[where]
    data, p = data_of(4, 0.5), 0.3
    L, star = matrices(data)[2], solution_of(data, prox)
    eta = gamma * np.sqrt(p) / L
    square = lambda u: np.sum(u**2, -1)  # noqa: E731
    for seed in range(200):
        z, w = points(seed, prox)
        v, after = candidates(data, prox, z, w, eta, p)
        phi = (1 - p) * square(z - star) + square(w - star)
        snapshot = p * square(after - star) + (1 - p) * square(w - star)
        expected = np.mean((1 - p) * square(after - star) + snapshot)
        falls = (1 - gamma) * (np.mean(square(after - v)) + p * square(v - w))
        falls += (1 - p) * square(z - v) + 2 * eta * MU * square(v - star)
        assert expected <= phi - falls + 1e-12
        assert expected <= (1 - min((1 - gamma) * p, eta * MU) / 2) * phi + 1e-12


def growth(data, eta, p):
    """The largest factor by which E Φ can grow in a step from any (z, w), without sets: the norm of
    E T'PT, where every draw is a linear map T of z - z* and w - z*."""
    M, _, _ = matrices(data)
    n = M.shape[1]
    Z, W = np.hstack([np.eye(n), np.zeros((n, n))]), np.hstack([np.zeros((n, n)), np.eye(n)])
    root = np.diag(np.sqrt(np.repeat([1 - p, 1.0], n)))
    total = 0
    for m in M:
        mean = (1 - p) * Z + p * W
        V = mean - eta * M.mean(0) @ W
        after = mean - eta * (M.mean(0) @ W + m @ (V - W))
        for w, chance in ((after, p), (W, 1 - p)):
            T = root @ np.vstack([after, w]) @ np.linalg.inv(root)
            total = total + chance * T.T @ T / len(M)
    return np.linalg.norm(total, 2)


def test_the_step_bound_is_where_the_guarantee_ends():
    """At γ = 0.99 Φ falls from everywhere, on average; at twice that it can grow."""
    data, p = data_of(4, 0.5), 0.3
    most = np.sqrt(p) / matrices(data)[2]
    assert growth(data, 0.99 * most, p) < 1 < growth(data, 2 * most, p)


# Whole runs ---------------------------------------------------------------------------------------


def test_runs_converge_to_the_last_digit_at_the_rate():
    """The mean of Φ over 64 runs of 800 steps stays below (the factor)^k Φ_0, and the noise of
    single components does not keep any run away from the solution."""
    data, p = data_of(4, 0.5), 0.3
    M, q, L = matrices(data)
    game, z0, steps, eta = FiniteSum(jnp.asarray(MU)), np.ones(2 * D), 800, 0.5 * np.sqrt(p) / L
    star = np.linalg.solve(M.mean(0), -q.mean(0))

    @jax.jit
    @jax.vmap
    def runs(seed):
        solver = eqx.tree_at(lambda s: s.seed, Solver(eta, 1, p), seed)
        state = solver.init(game, halves(z0), data)

        def body(at, _):
            at = solver.step(game, *at, data)
            return at, (at[0], at[1].snapshot)

        return jax.lax.scan(body, (halves(z0), state), None, length=steps)[1]

    def square(rows):
        z = np.concatenate([rows["x"], rows["y"]], -1)
        return np.sum((z - star) ** 2, -1)

    z, w = runs(jnp.arange(64))
    phi = (1 - p) * square(z) + square(w)
    start = (2 - p) * np.sum((z0 - star) ** 2)
    factor = growth(data, eta, p)
    assert 0.9 < factor < 1 - min(0.5 * p, eta * MU) / 2
    mean = phi.mean(0)
    bound = factor ** np.arange(1, steps + 1) * start
    assert np.all(mean <= bound + 1e-28)
    assert np.max(phi[:, -1]) < 1e-12 * start


def test_it_needs_fewer_components_than_extragradient():
    """400 components with L near L_F and κ = 50: √n instead of n. Both at 0.9 of their bounds, to
    1e-6: 38 passes over the data against 300."""
    n, mu = 400, 0.02
    data = data_of(n, 0.1, d=3)
    M, _, L = matrices(data, mu)
    L_F = np.linalg.norm(M.mean(0), 2)
    assert L < 1.1 * L_F and 45 < L_F / mu
    game, start = FiniteSum(jnp.asarray(mu)), halves(np.ones(6))
    reduced = mm.solve(
        game, start, Solver(0.9 * np.sqrt(2 / n) / L), data=data, max_steps=40_000, tol=1e-6
    )
    plain = mm.solve(game, start, mm.ExtraGradient(0.9 / L_F), data=data, tol=1e-6)
    assert reduced.success and plain.success
    assert reduced.evaluations <= plain.evaluations / 4


def test_without_data_it_is_extragradient():
    """One component, and a snapshot that is always the present point."""
    game = mm.Game(
        lambda p: p["x"] @ p["y"] + 0.1 * p["x"] @ p["x"], {"x": "min", "y": "max"}, mm.L2Ball(1.0)
    )
    start = {"x": jnp.array([0.6, 0.1]), "y": jnp.array([-0.5, 0.7])}
    ours = iterates(game, start, Solver(0.3), 20)
    theirs = iterates(game, start, mm.ExtraGradient(0.3), 20)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-14), ours, theirs)


def test_seeds_are_other_draws_and_going_on_is_not_stopping():
    """With data, of which every step draws; seeds are arrays, so a batch of them is one program."""
    data, game, start = data_of(4, 0.5), FiniteSum(jnp.asarray(MU)), halves(np.ones(2 * D))
    rows = [outputs(game, start, Solver(0.1, seed=seed), 10, data)["x"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.any(np.asarray(rows[0]) != np.asarray(rows[2]))
    solver = Solver(0.1, seed=3)
    whole = mm.solve(game, start, solver, data=data, max_steps=40, tol=0.0, check_every=20)
    half = mm.solve(game, start, solver, data=data, max_steps=20, tol=0.0)
    rest = mm.solve(game, start, solver, data=data, max_steps=20, tol=0.0, state=half.state)
    jax.tree.map(np.testing.assert_array_equal, whole.players, rest.players)
    assert whole.evaluations == rest.evaluations


# Counting -----------------------------------------------------------------------------------------

seen = []


@jax.custom_vjp
def watched(x, rows):
    del rows
    return x


def _forward(x, rows):
    return x, rows


def _backward(rows, gradient):
    def count(gradient):
        seen.append(rows.shape[0])
        return gradient

    shape = jax.ShapeDtypeStruct(gradient.shape, gradient.dtype)
    return jax.pure_callback(count, shape, gradient), jnp.zeros(rows.shape)


watched.defvjp(_forward, _backward)


@pytest.mark.parametrize("n, b", [(7, 1), (7, 3), (2, 3)])
def test_every_component_is_counted(n, b):
    """Passes over all data and draws together, in passes, rounded up."""
    game = mm.Game(
        lambda p, data: jnp.mean(data) * p["x"] * p["y"] + watched(p["x"], data) ** 2 - p["y"] ** 2,
        {"x": "min", "y": "max"},
    )
    data, players = jnp.linspace(-1.0, 1.0, n), {"x": jnp.ones(()), "y": jnp.ones(())}
    solver = Solver(0.1, b, 0.3, seed=1)
    step = eqx.filter_jit(solver.step)
    seen.clear()
    state = solver.init(game, players, data)
    for k in range(12):
        jax.block_until_ready(state)
        assert solver.evaluations(jnp.asarray(k), state) == -(-sum(seen) // n)
        players, state = step(game, players, state, data)
    assert 2 < state.passes < 12


def test_counts_do_not_overflow():
    """A billion steps of batches of 128 of a million components, in 32 bits."""
    state: Any = Solver(0.1).init(mm.Game(lambda p: p[0] * p[1]), (jnp.ones(()), jnp.ones(())))
    state = state._replace(components=jnp.int32(10**6), passes=jnp.int32(5))
    for steps, draws in ((10**9, 256_000), (10**9 + 1, 256_001), (10**9 - 1, 256_000)):
        assert Solver(0.1, 128).evaluations(jnp.int32(steps), state) == 5 + draws
    for steps, draws in ((200_000, 4000), (1_999_999, 40_000), (999_940, 19_999)):
        counted = Solver(0.1, 10_000).evaluations(jnp.int32(steps), state)
        assert abs(int(counted) - 5 - draws) <= 1  # as single precision rounds


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [{"a": jnp.ones(3), "b": jnp.ones(4)}, {"a": jnp.ones((3, 2)), "b": 1.0}, jnp.ones((0, 2))],
    ids=["different lengths", "a number", "nothing"],
)
def test_data_without_a_common_axis_is_refused(data):
    game = mm.Game(lambda p, data: p["x"] * p["y"], {"x": "min", "y": "max"})
    with pytest.raises(mm.GameError, match="data has no leading axis of components.*has \\("):
        mm.solve(game, {"x": 1.0, "y": 1.0}, Solver(0.1), data=data)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 1.5},
        {"probability": 0.0},
        {"probability": 1.5},
        {"seed": 0.5},
        {"step_size": 0.0},
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(options, as_users_run_it):
    (name,) = options
    with pytest.raises(mm.GameError, match=f"{name} is "):
        Solver(**({"step_size": 0.1} | options))
