"""Laws of regret matching+ and of its variants whose last iterates converge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float
from scipy.optimize import linprog

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

STEPS = 40
ROLES = {"x": "min", "y": "max"}
SMOOTH = [mm.ExtraGradientRegretMatchingPlus, mm.SmoothPredictiveRegretMatchingPlus]
EVERY = [
    mm.RegretMatchingPlus(),
    mm.RegretMatchingPlus(1.0, "alternating"),
    *(solver(0.1) for solver in SMOOTH),
]


class Matrix(mm.AbstractGame):
    r"""$x^\top A y$ between mixed strategies."""

    matrix: Float[Array, "n m"]
    roles = ROLES
    constraints = mm.Simplex()

    def payoff(self, players, data=None):
        return players["x"] @ self.matrix @ players["y"]


def draw(seed: int, n: int = 5, m: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, m))


def uniform(A: np.ndarray) -> dict[str, Array]:
    return {name: jnp.full(n, 1 / n) for name, n in zip("xy", A.shape, strict=True)}


def play(A: np.ndarray, solver: mm.AbstractSolver, steps: int = STEPS) -> list[np.ndarray]:
    rows = iterates(Matrix(jnp.asarray(A)), uniform(A), solver, steps)
    return [np.asarray(rows[name]) for name in "xy"]


def regret(x: np.ndarray, loss: np.ndarray) -> np.ndarray:
    return loss @ x - loss


def proportional(q: np.ndarray, x: np.ndarray) -> np.ndarray:
    return q / q.sum() if q.sum() > 0 else x


# The update ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_regret_matching_plus_is_what_its_formula_says(prediction, order):
    """Against the method in NumPy."""
    A = draw(0)
    x, y = (np.full(n, 1 / n) for n in A.shape)
    sums_x, sums_y = np.zeros(5), np.zeros(4)
    expected = [(x, y)]
    for _ in range(STEPS):
        r = regret(x, A @ y)
        sums_x = np.maximum(sums_x + r, 0)
        moved = proportional(np.maximum(sums_x + prediction * r, 0), x)
        r = regret(y, -A.T @ (moved if order == "alternating" else x))
        sums_y = np.maximum(sums_y + r, 0)
        x, y = moved, proportional(np.maximum(sums_y + prediction * r, 0), y)
        expected.append((x, y))
    found = play(A, mm.RegretMatchingPlus(prediction, order))
    for ours, theirs in zip(found, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(ours, np.stack(theirs), rtol=0, atol=1e-10)


def on_or_above_simplex(q: np.ndarray) -> np.ndarray:
    """The projection on {Q >= 0, ΣQ >= 1}, whose multiplier is found by bisection."""
    low, high = 0.0, 1.0 + np.abs(q).max()
    for _ in range(200):
        shift = (low + high) / 2
        low, high = (shift, high) if np.maximum(q + shift, 0).sum() < 1 else (low, shift)
    return np.maximum(q + (0 if np.maximum(q, 0).sum() >= 1 else high), 0)


@pytest.mark.parametrize("solver", SMOOTH)
@pytest.mark.parametrize("step_size", [0.02, 0.3])
def test_the_smooth_variants_are_what_their_formulas_say(solver, step_size):
    """Extragradient, and Popov's, on -r(Q/ΣQ) in NumPy."""
    A = draw(1)

    def regrets(sums):
        x, y = (q / q.sum() for q in sums)
        return [regret(x, A @ y), regret(y, -A.T @ x)]

    def move(sums, r):
        moved = zip(sums, r, strict=True)
        return [on_or_above_simplex(q + step_size * each) for q, each in moved]

    sums = [np.full(n, 1 / n) for n in A.shape]
    past = regrets(sums)
    expected = [sums]
    for _ in range(STEPS):
        ahead = regrets(sums) if solver is mm.ExtraGradientRegretMatchingPlus else past
        past = regrets(move(sums, ahead))
        sums = move(sums, past)
        expected.append([q / q.sum() for q in sums])
    for ours, theirs in zip(play(A, solver(step_size)), zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(ours, np.stack(theirs), rtol=0, atol=1e-11)


@pytest.mark.parametrize("prediction", [0.0, 1.0])
@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
def test_regret_matching_plus_knows_no_units(prediction, factor):
    """c f has the iterates of f, bit by bit where c is a power of two: there is no step size."""
    A = draw(2)
    solver = mm.RegretMatchingPlus(prediction)
    for ours, theirs in zip(play(factor * A, solver), play(A, solver), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Regrets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("prediction", [0.0, 1.0])
def test_no_action_is_regretted_by_more_than_the_theorem_allows(seed, prediction):
    r"""RM+: $\max_a \sum_t r_t(a) \le \sqrt{\sum_t \|r_t\|^2}$, and with predictions $m_t$
    $\sqrt{2 \sum_t \|r_t - m_t\|^2}$; and the gap of the average is the sum of both regrets over
    T, in every bilinear game."""
    A = draw(seed)
    # Each iterate is a reply to the losses before it; the last one has had no loss yet.
    x, y = (rows[:-1] for rows in play(A, mm.RegretMatchingPlus(prediction), 400))
    of_x = np.stack([regret(*pair) for pair in zip(x, y @ A.T, strict=True)])
    of_y = np.stack([regret(*pair) for pair in zip(y, -x @ A, strict=True)])
    most = []
    for r in (of_x, of_y):
        surprise = r - prediction * np.vstack([np.zeros_like(r[:1]), r[:-1]])
        bound = np.sqrt((1 + prediction) * np.sum(surprise**2))
        most.append(r.sum(0).max())
        assert 0 < most[-1] <= bound
    gap = (A.T @ x.mean(0)).max() - (A @ y.mean(0)).min()
    np.testing.assert_allclose(gap, sum(most) / len(x), rtol=1e-9)


def test_the_regret_bound_holds_whatever_the_losses():
    """Against losses that were chosen to hurt: the action of the largest share costs 1."""

    def hurt(x):
        worst = jax.lax.stop_gradient(jax.nn.one_hot(jnp.argmax(x), 4))
        return x @ worst

    game = mm.Game(hurt, "min", mm.Simplex())
    rows = np.asarray(iterates(game, jnp.full(4, 0.25), mm.RegretMatchingPlus(), 500))[:-1]
    losses = np.eye(4)[rows.argmax(-1)]
    r = np.stack([regret(*pair) for pair in zip(rows, losses, strict=True)])
    assert 0.1 < r.sum(0).max() / np.sqrt(np.sum(r**2)) <= 1


# What it finds ------------------------------------------------------------------------------------


def value_of(A: np.ndarray, of_x: float = 1.0, of_y: float = 1.0) -> float:
    """min over x of max over columns of Aᵀx, times the total of y, by linear programming."""
    n, m = A.shape
    found = linprog(
        np.r_[np.zeros(n), of_y],
        A_ub=np.c_[A.T, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=[np.r_[np.ones(n), 0]],
        b_eq=[of_x],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return found.fun


@pytest.mark.parametrize("seed", range(3))
def test_every_variant_finds_the_value_of_a_random_game(seed):
    """The value of the game lies within the gap of the value that is reported."""
    A = draw(seed)
    fast = mm.Averaged(mm.RegretMatchingPlus(1.0, "alternating"), power=2.0)
    plain = mm.Averaged(mm.RegretMatchingPlus(), power=1.0)
    expected = value_of(A)
    for solver, tol in [(plain, 1e-2), (fast, 1e-4), *((s(0.1), 1e-8) for s in SMOOTH)]:
        solution = mm.solve(
            Matrix(jnp.asarray(A)),
            uniform(A),
            solver,
            metric=mm.DualityGap(),
            tol=tol,
            max_steps=20_000,
        )
        assert solution.success, solution
        assert solution.value == pytest.approx(expected, abs=tol + 1e-9)


HARD = np.array([[3.0, 0.0, -3.0], [0.0, 3.0, -4.0], [0.0, 0.0, 1.0]])
"""The game of Farina et al. on which the last iterates of regret matching+ do not converge."""


def last_gap(solver: mm.AbstractSolver, max_steps: int) -> float:
    """Of the hard game, whose row player wants much."""
    solution = mm.solve(
        Matrix(jnp.asarray(HARD)),
        uniform(HARD),
        solver,
        metric=mm.DualityGap(),
        tol=1e-12,
        max_steps=max_steps,
    )
    return float(solution.residual)


def test_last_iterates_of_regret_matching_plus_may_circle():
    """The gap of the last iterate is large after 10⁵ steps still; that of the average falls."""
    assert last_gap(mm.RegretMatchingPlus(), 100_000) > 0.2
    assert last_gap(mm.Averaged(mm.RegretMatchingPlus()), 100_000) < 0.01


@pytest.mark.parametrize("solver", SMOOTH)
def test_last_iterates_of_the_smooth_variants_converge(solver):
    assert last_gap(solver(0.1), 2000) <= 1e-12


def test_the_smooth_regrets_are_as_steep_as_is_said():
    """‖r(Q) - r(Q')‖ <= √6 ‖A‖ max(n, m) ‖Q - Q'‖ on {Q >= 0, ΣQ >= 1}, at sums down to one."""
    generator = np.random.default_rng(0)
    steepest = 0.0
    for n, m in [(2, 2), (5, 4), (3, 30)]:
        A = generator.normal(size=(n, m))

        def r(p, q, A=A):
            x, y = p / p.sum(), q / q.sum()
            return np.r_[regret(x, A @ y), regret(y, -A.T @ x)]

        for _ in range(500):
            p, q = (generator.dirichlet(np.full(k, 0.3)) for k in (n, m))
            dp, dq = (generator.dirichlet(np.full(k, 0.3)) * 1e-3 for k in (n, m))
            slope = np.linalg.norm(r(p + dp, q + dq) - r(p, q))
            slope /= np.sqrt(dp @ dp + dq @ dq) * np.linalg.norm(A, 2) * max(n, m)
            steepest = max(steepest, slope)
    assert 0.3 < steepest <= np.sqrt(6)


# Totals -------------------------------------------------------------------------------------------

TOTALS = {"x": 2.5, "y": 0.25}


def with_totals(A: np.ndarray, total: dict[str, float]) -> mm.Game:
    sets = {name: mm.Simplex(jnp.asarray(total[name])) for name in "xy"}
    return mm.Game(lambda p: p["x"] @ A @ p["y"], ROLES, sets)


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: type(solver).__name__)
def test_a_total_is_a_unit_of_the_player(solver):
    """x on a simplex of total t is t times the strategy u of the game in which tu is played."""
    A = draw(7)
    start = {name: TOTALS[name] * u for name, u in uniform(A).items()}
    found = iterates(with_totals(A, TOTALS), start, solver, STEPS)
    for name, u in zip("xy", play(TOTALS["x"] * TOTALS["y"] * A, solver), strict=True):
        assert np.ptp(u[-1]) > 0.1
        np.testing.assert_allclose(found[name] / TOTALS[name], u, rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver, tol", [(EVERY[1], 1e-3), *((s(0.1), 1e-8) for s in SMOOTH)])
def test_every_variant_finds_the_value_for_any_total(solver, tol):
    """The value of the game lies within the gap of the value that is reported, by HiGHS."""
    A = draw(8)
    solver = mm.Averaged(solver, power=2.0) if solver is EVERY[1] else solver
    start = {name: jnp.ones(n) for name, n in zip("xy", A.shape, strict=True)}
    game, metric = with_totals(A, TOTALS), mm.DualityGap()
    solution = mm.solve(game, start, solver, metric=metric, tol=tol, max_steps=20_000)
    assert solution.success, solution
    expected = value_of(A, TOTALS["x"], TOTALS["y"])
    assert abs(expected) > 0.05 and solution.value == pytest.approx(expected, abs=tol + 1e-9)


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: type(solver).__name__)
def test_an_entropic_simplex_is_a_simplex(solver):
    """Regret matching measures no distance."""
    A = draw(9)
    game = mm.Game(lambda p: p["x"] @ A @ p["y"], ROLES, mm.EntropicSimplex())
    mm.check_game(game, uniform(A))
    found = iterates(game, uniform(A), solver, STEPS)
    for name, ours in zip("xy", play(A, solver), strict=True):
        np.testing.assert_allclose(found[name], ours, rtol=0, atol=1e-13)
    assert mm.solve(game, uniform(A), solver, max_steps=1).steps == 1


# Whom it is for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: type(solver).__name__)
def test_a_batch_of_strategies_is_a_loop_over_them(solver):
    """Three games at once as the columns of one leaf: along the axis of each simplex they play as
    they would alone."""
    games = np.stack([draw(seed) for seed in range(3)])
    game = mm.Game(
        lambda p: jnp.einsum("ib,bij,jb->", p["x"], games, p["y"]), ROLES, mm.Simplex(axis=0)
    )
    rows = iterates(game, {"x": jnp.full((5, 3), 0.2), "y": jnp.full((4, 3), 0.25)}, solver, STEPS)
    for k, A in enumerate(games):
        for name, alone in zip("xy", play(A, solver), strict=True):
            np.testing.assert_allclose(rows[name][:, :, k], alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", EVERY, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("wrap", [lambda s: s, mm.Averaged, mm.Lookahead])
def test_players_must_play_mixed_strategies(solver, wrap):
    """It names the player, what it may do and the remedy, also from inside a wrapper."""
    game = mm.Game(lambda p: p["x"] @ p["y"], ROLES, {"x": mm.Simplex(), "y": mm.Box(0.0, 1.0)})
    with pytest.raises(mm.GameError, match=r"players\['y'\] has the constraint Box.*mm.Simplex"):
        mm.solve(game, {"x": jnp.ones(2), "y": jnp.ones(2)}, wrap(solver))


@pytest.mark.parametrize("prediction, order", [(-1.0, "simultaneous"), (np.nan, "alternating")])
def test_what_a_prediction_is(prediction, order, as_users_run_it):
    with pytest.raises(mm.GameError, match="prediction is .*: expected a finite number"):
        mm.RegretMatchingPlus(prediction, order)


def test_what_an_order_is(as_users_run_it):
    with pytest.raises(mm.GameError, match="order is 'random': expected"):
        mm.RegretMatchingPlus(1.0, "random")  # type: ignore[arg-type]
