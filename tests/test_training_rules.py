"""How networks are trained against each other, by solvers and by loops written in NumPy.

Optimistic Adam, clipping, schedules, and penalties on the gradients of a critic inside the payoff,
whose own gradients are second derivatives: here with formulas by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
A = np.array([[1.0, 0.5], [-0.25, 0.75]])
START = {"x": np.array([1.0, 2.0]), "y": np.array([-1.0, 3.0])}
STEPS = 25


def payoff(players):
    x, y = players["x"], players["y"]
    return x @ jnp.asarray(A, x.dtype) @ y + 0.3 * x @ x - 0.1 * y @ y


GAME = mm.Game(payoff, ROLES)


def slopes(x, y):
    """The gradients of both, without signs."""
    return A @ y + 0.6 * x, A.T @ x - 0.2 * y


def by_hand(step, memory=None):
    """The rows of z⁺, memory = step(k, x, y, memory)."""
    x, y = START["x"], START["y"]
    rows = [(x, y)]
    for k in range(STEPS):
        (x, y), memory = step(k, x, y, memory)
        rows.append((x, y))
    return {"x": np.stack([x for x, _ in rows]), "y": np.stack([y for _, y in rows])}


def assert_rows(solver, expected, game=GAME, players=None, atol=1e-12):
    rows = iterates(game, START if players is None else players, solver, STEPS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), rows, expected)


# Rules --------------------------------------------------------------------------------------------


class Adam:
    """The direction m̂/(√v̂ + ε), by hand."""

    def __init__(self, b1, b2):
        self.b1, self.b2, self.m, self.v, self.t = b1, b2, 0.0, 0.0, 0

    def __call__(self, g):
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        m, v = self.m / (1 - self.b1**self.t), self.v / (1 - self.b2**self.t)
        return m / (np.sqrt(v) + 1e-8)


def test_optimistic_adam_by_hand():
    """Daskalakis et al.: z⁺ = z - η(r_k + (r_k - r_{k-1})) with r Adam's direction: optax's
    transformation under descent-ascent (its default has Nesterov's momentum, too), and Adam inside
    optimistic gradient."""
    eta, b1, b2 = 0.05, 0.5, 0.9

    def step(k, x, y, memory):
        of_x, of_y, before = memory
        g, h = slopes(x, y)
        now = of_x(g), of_y(-h)
        before = now if k == 0 else before
        x, y = (z - eta * (2 * r - s) for z, r, s in zip((x, y), now, before, strict=True))
        return (x, y), (of_x, of_y, now)

    expected = by_hand(step, (Adam(b1, b2), Adam(b1, b2), None))
    optimistic = optax.optimistic_adam_v2(eta, b1=b1, b2=b2, nesterov=False)
    assert_rows(mm.GradientDescentAscent(optimistic), expected)
    assert_rows(mm.OptimisticGradient(optax.adam(eta, b1, b2)), expected)


def clipped(g, most):
    norm = np.sqrt(sum(np.sum(part**2) for part in g))
    return [part * min(1.0, most / norm) for part in g]


def test_clipping_in_a_players_chain_clips_that_player_alone():
    """Both players are clipped at first, each by its own norm, and in the end x is not; the same in
    turns and in both halves of extragradient."""
    most, eta = 1.2, 0.2
    clip = optax.chain(optax.clip_by_global_norm(most), optax.sgd(eta))

    def descent(k, x, y, _):
        g, h = slopes(x, y)
        return (x - eta * clipped([g], most)[0], y + eta * clipped([h], most)[0]), None

    def in_turns(k, x, y, _):
        x = x - eta * clipped([slopes(x, y)[0]], most)[0]
        return (x, y + eta * clipped([slopes(x, y)[1]], most)[0]), None

    def extra(k, x, y, _):
        (u, v), _ = descent(k, x, y, _)
        g, h = slopes(u, v)
        return (x - eta * clipped([g], most)[0], y + eta * clipped([h], most)[0]), None

    rows = by_hand(descent)
    norms = [[np.linalg.norm(g) for g in slopes(rows["x"][k], rows["y"][k])] for k in (0, -1)]
    assert min(norms[0]) > most > norms[1][0]
    assert_rows(mm.GradientDescentAscent(clip), rows)
    assert_rows(mm.AlternatingGradientDescentAscent(clip), by_hand(in_turns))
    assert_rows(mm.BestResponse(clip), by_hand(in_turns))
    assert_rows(mm.ExtraGradient(clip), by_hand(extra))


def test_joint_clipping_is_a_chain_around_per_player():
    """In a loop of one's own: by the norm of all players, which no solver's `optimizer` is."""
    most, eta = 1.2, 0.2
    joint = optax.chain(optax.clip_by_global_norm(most), mm.per_player(eta, ROLES))

    def step(k, x, y, _):
        g, h = clipped(slopes(x, y), most)
        return (x - eta * g, y + eta * h), None

    def body(carry, _):
        players, state = carry
        update, state = joint.update(GAME.gradient(players), state, players)
        players = jax.tree.map(jnp.add, players, update)
        return (players, state), players

    start = jax.tree.map(jnp.asarray, START)
    _, rows = jax.lax.scan(body, (start, joint.init(start)), None, length=STEPS)
    expected = by_hand(step)
    for name in "xy":
        np.testing.assert_allclose(rows[name], expected[name][1:], atol=1e-12)
    alone = optax.chain(optax.clip_by_global_norm(most), optax.sgd(eta))
    apart = iterates(GAME, START, mm.GradientDescentAscent(alone), STEPS)
    assert np.max(np.abs(np.asarray(apart["x"]) - expected["x"])) > 0.1


def test_schedules_count_a_players_own_steps():
    """A warm-up for x and a decay for y: per step of the solver, both halves of extragradient
    alike; per inner step in `BestResponse`."""
    up = optax.linear_schedule(0.0, 0.25, 8)  # no number of which is rounded in single precision
    down = optax.exponential_decay(0.25, 4, 0.5, staircase=True)
    eta = lambda k: min(k, 8) / 32  # noqa: E731
    eps = lambda k: 0.25 * 0.5 ** (k // 4)  # noqa: E731

    def extra(k, x, y, _):
        g, h = slopes(x, y)
        g, h = slopes(x - eta(k) * g, y + eps(k) * h)
        return (x - eta(k) * g, y + eps(k) * h), None

    def three_of_y(k, x, y, _):
        x = x - eta(k) * slopes(x, y)[0]
        for j in range(3):
            y = y + eps(3 * k + j) * slopes(x, y)[1]
        return (x, y), None

    optimizer = {"x": up, "y": down}
    assert_rows(mm.ExtraGradient(optimizer), by_hand(extra))
    assert_rows(mm.BestResponse(optimizer, inner_steps={"y": 3}), by_hand(three_of_y))


# Penalties on gradients ---------------------------------------------------------------------------

REAL = np.array([0.3, -0.8, 1.1, 0.5])
NOISE = np.array([-0.4, 0.9, 0.1, -1.2])
MIX = np.array([0.2, 0.5, 0.9, 0.7])
GAMMA = 0.6


def critic(weights, point):
    """D(s) = a tanh(w s), for one number s."""
    return weights["a"] * jnp.tanh(weights["w"] * point)


def wasserstein(players, penalty):
    """mean D(real) - mean D(noise + t) - penalty: x is t, and y the critic."""
    t, weights = players["x"], players["y"]
    over = lambda points: jnp.mean(jax.vmap(lambda s: critic(weights, s))(points))  # noqa: E731
    return over(jnp.asarray(REAL)) - over(jnp.asarray(NOISE) + t) - penalty(weights, t)


def slope_at(weights, points):
    """D'(s) at each point, by automatic differentiation inside the payoff."""
    return jax.vmap(lambda s: jax.grad(critic, 1)(weights, s))(points)


def r1(weights, t):
    """Mescheder et al. 2018: γ/2 mean D'(real)²."""
    del t
    return GAMMA / 2 * jnp.mean(slope_at(weights, jnp.asarray(REAL)) ** 2)


def towards_one(weights, t):
    """Gulrajani et al. 2017: γ mean (|D'| - 1)² between real and generated points, for the critic
    alone."""
    between = MIX * jnp.asarray(REAL) + (1 - MIX) * (NOISE + jax.lax.stop_gradient(t))
    return GAMMA * jnp.mean((jnp.abs(slope_at(weights, between)) - 1) ** 2)


def penalty_by_hand(name, t, a, w):
    """The gradient of a penalty in a and w. With T = tanh(ws): D' = aw(1 - T²),
    ∂D'/∂a = w(1 - T²), ∂D'/∂w = a(1 - T²) - 2awsT(1 - T²)."""
    s = REAL if name == "r1" else MIX * REAL + (1 - MIX) * (NOISE + t)
    T = np.tanh(w * s)
    slope, in_a = a * w * (1 - T**2), w * (1 - T**2)
    in_w = a * (1 - T**2) * (1 - 2 * w * s * T)
    outer = GAMMA * slope if name == "r1" else 2 * GAMMA * (np.abs(slope) - 1) * np.sign(slope)
    return np.mean(outer * in_a), np.mean(outer * in_w)


def field(name, t, a, w):
    """The payoff's gradients in t, a and w, without signs."""
    real, fake = np.tanh(w * REAL), np.tanh(w * (NOISE + t))
    of_a, of_w = penalty_by_hand(name, t, a, w)
    return (
        -np.mean(a * w * (1 - fake**2)),
        np.mean(real) - np.mean(fake) - of_a,
        np.mean(a * REAL * (1 - real**2)) - np.mean(a * (NOISE + t) * (1 - fake**2)) - of_w,
    )


@pytest.mark.parametrize("name, penalty", [("r1", r1), ("wgan-gp", towards_one)])
@pytest.mark.parametrize("method", ["extragradient", "in turns"])
def test_penalties_on_the_gradients_of_a_critic_by_hand(name, penalty, method):
    """Second derivatives in the operator, and in the loop none but the formulas above."""
    eta, signs = 0.2, np.array([-1.0, 1.0, 1.0])
    z = np.array([0.7, 0.9, -1.3])
    rows = [z]
    for _ in range(STEPS):
        if method == "extragradient":
            middle = z + eta * signs * field(name, *z)
            z = z + eta * signs * field(name, *middle)
        else:
            z = z + eta * np.array([-1.0, 0, 0]) * field(name, *z)
            z = z + eta * np.array([0, 1.0, 1.0]) * field(name, *z)
        rows.append(z)
    t, a, w = np.stack(rows, 1)
    game = mm.Game(lambda p: wasserstein(p, penalty), ROLES)
    players = {"x": jnp.asarray(t[0]), "y": {"a": jnp.asarray(a[0]), "w": jnp.asarray(w[0])}}
    turns = mm.AlternatingGradientDescentAscent(eta)
    solver = mm.ExtraGradient(eta) if method == "extragradient" else turns
    assert_rows(solver, {"x": t, "y": {"a": a, "w": w}}, game, players)


def test_a_critic_with_a_penalty_may_look_for_its_best_response_by_l_bfgs():
    """A line search along second derivatives: at every answer the critic's gradient is zero, by the
    formulas above, and the generator moves by the payoff's gradient there. (w + 1)²/4 keeps the
    critic from growing flat and steep at once."""

    def kept(weights, t):
        return r1(weights, t) + (weights["w"] + 1) ** 2 / 4

    game = mm.Game(lambda p: wasserstein(p, kept), ROLES)
    players = {"x": jnp.asarray(0.7), "y": {"a": jnp.asarray(0.9), "w": jnp.asarray(-1.3)}}
    solver = mm.BestResponse({"x": 0.1, "y": optax.lbfgs()}, inner_steps={"y": 25})
    rows = iterates(game, players, solver, 3)
    t, a, w = (np.asarray(leaf) for leaf in (rows["x"], rows["y"]["a"], rows["y"]["w"]))
    for k in range(1, 4):
        of_t, _, _ = field("r1", t[k - 1], a[k - 1], w[k - 1])
        np.testing.assert_allclose(t[k], t[k - 1] - 0.1 * of_t, atol=1e-12)
        _, of_a, of_w = field("r1", t[k], a[k], w[k])
        np.testing.assert_allclose([of_a, of_w - (w[k] + 1) / 2], 0, atol=1e-6)
        assert abs(a[k]) > 0.1


def test_r1_turns_the_circle_of_the_dirac_gan_into_a_spiral():
    """D(s) = ψs, real data at 0, fake at θ, with the logistic loss: descent-ascent has the
    eigenvalues 1 + ηλ with λ = -γ/2 ± √(γ²/4 - 1/4), inside the unit circle for γ = 1, η < 4,
    and 1 ± iη/2 without a penalty, outside."""

    def dirac(players, gamma):
        theta, psi = players["x"], players["y"]
        slope = jax.grad(lambda s: psi * s)(0.0)
        return -jnp.logaddexp(0.0, -psi * theta) - gamma / 2 * slope**2

    eta, start = 0.1, {"x": jnp.asarray(1e-6), "y": jnp.asarray(1e-6)}
    for gamma in (0.0, 0.5, 1.0):
        # Near zero the loss is linear: ∂/∂θ = ψ/2 and ∂/∂ψ = θ/2 - γψ.
        step = np.eye(2) + eta * np.array([[0, -0.5], [0.5, -gamma]])
        root = np.sqrt(complex(gamma**2 / 4 - 1 / 4))
        eigenvalues = np.array([1 + eta * (-gamma / 2 + s * root) for s in (1, -1)])
        assert np.all(np.abs(eigenvalues) < 1) == (gamma > 0)
        np.testing.assert_allclose(np.prod(eigenvalues), np.linalg.det(step), atol=1e-14)
        game = mm.Game(lambda p, gamma=gamma: dirac(p, gamma), ROLES)
        rows = iterates(game, start, mm.GradientDescentAscent(eta), STEPS)
        z = np.array([1e-6, 1e-6])
        for k in range(1, STEPS + 1):
            z = step @ z
            np.testing.assert_allclose([rows["x"][k], rows["y"][k]], z, atol=1e-16)
