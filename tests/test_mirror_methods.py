r"""Exact iterates and proven bounds of the methods that move in the players' own distances.

With F(x, y) = (Ay, -Aᵀx) on two simplices, the duality gap of the average of what was played is the
regret of both players over the number of plays, and D(u, uniform) <= log n.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, Float
from scipy.special import softmax

import minimax as mm
from minimax._solvers._mean import Mean
from tests.iterates import iterates, outputs
from tests.strategies import fractions, plant, seeds

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 60
METHODS = [mm.MirrorProx, mm.OptimisticMirrorDescent, mm.DualExtrapolation]
every_method = pytest.mark.parametrize("method", METHODS)


class Matrix(mm.AbstractGame):
    """xᵀAy for two mixed strategies."""

    payoffs: Float[Array, "n m"]
    constraints: mm.AbstractConstraint | None
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return players["x"] @ self.payoffs @ players["y"]


def matrix_game(A: np.ndarray, constraint: mm.AbstractConstraint | None) -> tuple[Matrix, dict]:
    """The game, and uniform strategies."""
    n, m = A.shape
    game = Matrix(jnp.asarray(A), constraint)
    return game, {"x": jnp.full(n, 1 / n), "y": jnp.full(m, 1 / m)}


def draw(seed: int, n: int = 4, m: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, m))


def gaps(A: np.ndarray, rows: dict) -> np.ndarray:
    """max Aᵀx - min Ay of each row."""
    x, y = np.asarray(rows["x"]), np.asarray(rows["y"])
    return (x @ A).max(axis=-1) - (y @ A.T).min(axis=-1)


def forces(A: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return A @ y, -A.T @ x


# Bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [mm.MirrorProx, mm.DualExtrapolation])
@given(seeds, fractions(0.1, 1.0))
def test_the_gap_of_the_average_is_at_most_that_of_the_theorem(method, seed, share):
    """max|A| (log n + log m)/(c K) at η = c/max|A|, for every K, entropic."""
    A = draw(seed)
    game, uniform = matrix_game(A, mm.EntropicSimplex())
    largest = np.abs(A).max()
    rows = outputs(game, uniform, method(share / largest), STEPS)
    bound = largest * np.log(A.size) / (share * np.arange(1, STEPS + 1))
    assert np.all(gaps(A, rows)[1:] <= bound * (1 + 1e-12))


@pytest.mark.parametrize("method", [mm.MirrorProx, mm.DualExtrapolation])
@given(seeds)
def test_the_gap_of_the_average_in_euclidean_distance(method, seed):
    """‖A‖ max ½‖u - z_0‖²/K at η = 1/‖A‖: 1 - (1/n + 1/m)/2 is the most that D can be."""
    A = draw(seed)
    game, uniform = matrix_game(A, mm.Simplex())
    norm = np.linalg.norm(A, 2)
    rows = outputs(game, uniform, method(1 / norm), STEPS)
    bound = norm * (1 - (1 / 4 + 1 / 6) / 2) / np.arange(1, STEPS + 1)
    assert np.all(gaps(A, rows)[1:] <= bound * (1 + 1e-12))


@given(seeds, fractions(0.1, 1.0))
def test_the_gap_of_optimistic_mirror_descent(seed, share):
    """(D/η + η‖F(z_0)‖²)/K up to η = (√2 - 1)/L, in both distances."""
    A, k = draw(seed), np.arange(1, STEPS + 1)
    force = forces(A, np.full(4, 1 / 4), np.full(6, 1 / 6))
    for constraint, distance, lipschitz, order in (
        (mm.EntropicSimplex(), np.log(A.size), np.abs(A).max(), np.inf),
        (mm.Simplex(), 1 - (1 / 4 + 1 / 6) / 2, np.linalg.norm(A, 2), 2),
    ):
        game, uniform = matrix_game(A, constraint)
        eta = share * (np.sqrt(2) - 1) / lipschitz
        first = sum(np.linalg.norm(block, order) ** 2 for block in force)
        rows = outputs(game, uniform, mm.OptimisticMirrorDescent(eta), STEPS)
        bound = (distance / eta + eta * first) / k
        assert np.all(gaps(A, rows)[1:] <= bound * (1 + 1e-12))


@given(seeds, fractions(0.1, 1.0))
def test_the_gap_of_averaged_forward_reflected_backward(seed, share):
    """D/(ηK) up to η = 1/(2L), in both distances."""
    A, k = draw(seed), np.arange(1, STEPS + 1)
    for constraint, distance, lipschitz in (
        (mm.EntropicSimplex(), np.log(A.size), np.abs(A).max()),
        (mm.Simplex(), 1 - (1 / 4 + 1 / 6) / 2, np.linalg.norm(A, 2)),
    ):
        game, uniform = matrix_game(A, constraint)
        solver = mm.Averaged(mm.ForwardReflectedBackward(share / (2 * lipschitz)))
        rows = outputs(game, uniform, solver, STEPS)
        assert np.all(gaps(A, rows)[1:] <= 2 * lipschitz * distance / (share * k) * (1 + 1e-12))


def test_the_bound_of_mirror_prox_is_within_a_factor_of_three():
    """On matching pennies from near a corner, with D(u, z_0) to the worst u: a step of twice the
    length, or one that adds less, would not hide below it."""
    A = np.array([[1.0, -1.0], [-1.0, 1.0]])
    game, _ = matrix_game(A, mm.EntropicSimplex())
    start = {"x": jnp.array([0.99, 0.01]), "y": jnp.array([0.5, 0.5])}
    rows = outputs(game, start, mm.MirrorProx(1.0), 400)
    k = np.arange(1, 401)
    bound = (np.log(100) + np.log(2)) / k
    share = gaps(A, rows)[1:] / bound
    assert 1 / 3 <= share.max() <= 1


# Iterates -----------------------------------------------------------------------------------------


@given(seeds, fractions(0.1, 1.0))
def test_optimistic_mirror_descent_plays_optimistic_multiplicative_weights(seed, eta):
    """w_k = softmax(-η(Σ_{s<k} l_s + l_{k-1})), play by play, and the average of them."""
    A = draw(seed)
    game, uniform = matrix_game(A, mm.EntropicSimplex())
    played = iterates(game, uniform, mm.OptimisticMirrorDescent(eta), STEPS)
    x, y = np.full(4, 1 / 4), np.full(6, 1 / 6)
    sums, plays = [np.zeros(4), np.zeros(6)], []
    for _ in range(STEPS + 1):
        plays.append((x, y))
        losses = forces(A, x, y)
        sums = [total + loss for total, loss in zip(sums, losses, strict=True)]
        x, y = (softmax(-eta * (s + loss)) for s, loss in zip(sums, losses, strict=True))
    average = outputs(game, uniform, mm.OptimisticMirrorDescent(eta), STEPS)
    for i, name in enumerate("xy"):
        ours = np.stack([play[i] for play in plays])
        np.testing.assert_allclose(played[name], ours, rtol=0, atol=1e-10)
        means = np.cumsum(ours, axis=0)[:-1] / np.arange(1, STEPS + 1)[:, None]
        np.testing.assert_allclose(average[name][1:], means, rtol=0, atol=1e-10)


@given(seeds, fractions(0.1, 1.0))
def test_forward_reflected_backward_multiplies_weights(seed, eta):
    """z⁺ ∝ z e^(-η(2l_k - l_{k-1})), which sums up to e^(-η(Σ_{s<=k} l_s + l_k - l_0))."""
    A = draw(seed)
    game, uniform = matrix_game(A, mm.EntropicSimplex())
    rows = iterates(game, uniform, mm.ForwardReflectedBackward(eta), STEPS)
    x, y = np.full(4, 1 / 4), np.full(6, 1 / 6)
    first, sums = forces(A, x, y), [np.zeros(4), np.zeros(6)]
    for k in range(STEPS + 1):
        np.testing.assert_allclose(rows["x"][k], x, rtol=0, atol=1e-10)
        np.testing.assert_allclose(rows["y"][k], y, rtol=0, atol=1e-10)
        losses = forces(A, x, y)
        sums = [total + loss for total, loss in zip(sums, losses, strict=True)]
        x, y = (
            softmax(-eta * (s + loss - l_0))
            for s, loss, l_0 in zip(sums, losses, first, strict=True)
        )


def test_by_euclidean_distance_forward_reflected_backward_is_the_optimistic_gradient():
    """On sets, whatever they are; and so for a step size there is one method, not two."""
    for constraint in (mm.Simplex(), mm.Box(-0.5, 1.0), None):
        A = draw(5)
        game, start = matrix_game(A, constraint)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12),
            iterates(game, start, mm.ForwardReflectedBackward(0.1), STEPS),
            iterates(game, start, mm.OptimisticGradient(0.1), STEPS),
        )


class Soft(mm.AbstractConstraint):
    """The regulariser |u|, by its proximal step."""

    def prox_step(self, point, direction, step_size):
        moved = point - step_size * direction
        return jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - step_size, 0)

    def project(self, point):
        return point


class Regularised(mm.AbstractGame):
    """x y - c x, with |x| and |y| as costs of the players."""

    c: Float[Array, ""]
    roles = {"x": "min", "y": "max"}
    constraints = Soft()

    def payoff(self, players, data=None):
        return players["x"] * players["y"] - self.c * players["x"]


def test_forward_reflected_backward_knows_regularisers():
    """min over x, max over y of |x| + x y - 3 x - |y| solves 0 in sign(x) + y - 3 and x = sign(y):
    (1, 2); projections alone do not see |x|."""
    game = Regularised(jnp.asarray(3.0))
    zeros = {"x": jnp.zeros(()), "y": jnp.zeros(())}
    rows = iterates(game, zeros, mm.ForwardReflectedBackward(0.4), 600)
    np.testing.assert_allclose([rows["x"][-1], rows["y"][-1]], [1.0, 2.0], atol=1e-8)
    rows = iterates(game, zeros, mm.OptimisticGradient(0.4), 600)
    assert abs(rows["y"][-1] - 2) > 0.5


@given(seeds, fractions(0.1, 1.0))
def test_mirror_prox_and_dual_extrapolation_multiply_weights(seed, eta):
    """Both, written out in probabilities; and the averages of the points looked ahead to. On a
    simplex in this distance nothing is ever at a boundary, so they are the same method."""
    A = draw(seed)
    game, uniform = matrix_game(A, mm.EntropicSimplex())
    z, ahead = [(np.full(4, 1 / 4), np.full(6, 1 / 6))], []
    for _ in range(STEPS):
        for last, store in ((z, ahead), (ahead, z)):
            moved = zip(z[-1], forces(A, *last[-1]), strict=True)
            weights = [p * np.exp(-eta * loss) for p, loss in moved]
            store.append(tuple(w / w.sum() for w in weights))
    for method in (mm.MirrorProx, mm.DualExtrapolation):
        rows, average = (run(game, uniform, method(eta), STEPS) for run in (iterates, outputs))
        for i, name in enumerate("xy"):
            expected = np.stack([point[i] for point in z])
            np.testing.assert_allclose(rows[name], expected, rtol=0, atol=1e-10)
            midpoints = np.stack([point[i] for point in ahead])
            means = np.cumsum(midpoints, axis=0) / np.arange(1, STEPS + 1)[:, None]
            np.testing.assert_allclose(average[name][1:], means, rtol=0, atol=1e-10)


def project_on_box(z):
    return np.clip(z, -0.5, 1.0)


@given(seeds, st.floats(0.1, 0.4))
def test_in_a_box_each_is_its_projected_recurrence(seed, eta):
    """Euclidean: mirror-prox is extragradient; dual extrapolation projects z_0 minus the whole sum;
    optimistic mirror descent projects twice along one operator."""
    A = draw(seed, 3, 3)
    game = Matrix(jnp.asarray(A), mm.Box(-0.5, 1.0))
    start = {"x": jnp.asarray(draw(seed + 1, 1, 3)[0]), "y": jnp.asarray(draw(seed + 2, 1, 3)[0])}
    start = game.project(start)

    def F(z):
        return np.concatenate(forces(A, z[:3], z[3:]))

    first = np.concatenate([start["x"], start["y"]])
    extra, dual, optimistic = [first], [first], [first]
    total, centre = np.zeros(6), first
    for _ in range(STEPS):
        z = extra[-1]
        extra.append(project_on_box(z - eta * F(project_on_box(z - eta * F(z)))))
        z = dual[-1]
        total = total + F(project_on_box(z - eta * F(z)))
        dual.append(project_on_box(first - eta * total))
        force = F(optimistic[-1])
        centre = project_on_box(centre - eta * force)
        optimistic.append(project_on_box(centre - eta * force))
    for method, expected in zip(METHODS, (extra, optimistic, dual), strict=True):
        rows = iterates(game, start, method(eta), STEPS)
        ours = np.concatenate([rows["x"], rows["y"]], axis=-1)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)
    plain = iterates(game, start, mm.ExtraGradient(eta), STEPS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12),
        iterates(game, start, mm.MirrorProx(eta), STEPS),
        plain,
    )


def test_where_players_are_free_dual_extrapolation_is_extragradient():
    """Nothing is projected, so nothing depends on where the sum began."""
    planted = plant(4, 3, [1.0, 0.5, 0.2], seed=2)
    ours = iterates(planted.game, planted.players, mm.DualExtrapolation(0.7), STEPS)
    theirs = iterates(planted.game, planted.players, mm.ExtraGradient(0.7), STEPS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), ours, theirs)


# What the docstrings warn of ----------------------------------------------------------------------


def test_the_last_play_of_multiplicative_weights_can_be_arbitrarily_slow():
    """[[1/2 + δ, 1/2], [0, 1]]: the smaller δ, the later the last play is bad once more, by 0.3 at
    least; the average does not mind (Cai et al. 2024, section 3)."""

    def runs(delta: float) -> tuple[np.ndarray, np.ndarray]:
        A = np.array([[0.5 + delta, 0.5], [0.0, 1.0]])
        game, uniform = matrix_game(A, mm.EntropicSimplex())
        solver = mm.OptimisticMirrorDescent(0.3)
        last, average = (run(game, uniform, solver, 7000) for run in (iterates, outputs))
        return gaps(A, last), gaps(A, average)

    easy, _ = runs(0.1)
    hard, average = runs(0.01)
    assert easy[3000:].max() < 0.05 and hard[6000:].max() > 0.3
    assert average[6000:].max() < 2e-3


@every_method
@pytest.mark.parametrize("step_size", [0, -0.1, np.nan, None])
def test_a_step_size_is_one_finite_number_above_zero(method, step_size, as_users_run_it):
    """And nothing else."""
    with pytest.raises(mm.GameError, match="step_size is .*: expected one finite number > 0"):
        method(step_size)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_mean_of_many_points_is_in_their_set(dtype):
    """5000 points of a simplex: the mean is in it up to a few roundings, and is the mean."""
    points = np.random.default_rng(0).dirichlet(np.ones(10), size=5000)
    points = jnp.asarray(points, dtype)

    def body(mean, at):
        k, point = at
        return mean.including(point, 1 / (k + 1)), None

    mean, _ = jax.lax.scan(body, Mean.at(points[0]), (jnp.arange(5000), points))
    exact, eps = np.asarray(points, float).mean(axis=0), float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(mean.value, float), exact, rtol=4 * eps)
