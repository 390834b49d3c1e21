"""Methods that know the Jacobian of the operator, against dense linear algebra."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import minimax as mm
from tests.iterates import iterates

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
METHODS = [
    mm.ConsensusOptimization(0.1, 1.0),
    mm.SymplecticGradientAdjustment(0.1, 1.0),
    mm.CompetitiveGradientDescent(0.1),
]


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def zero_sum(z):
    x, y = z["x"], z["y"]
    return jnp.sum(x**4) / 4 + jnp.sin(x) @ draw(0, 3, 2) @ y - jnp.sum(jnp.cos(x[:2] * y))


def general_sum(z):
    x, y = z["x"], z["y"]
    return {
        "x": jnp.sum(x**4) / 4 + jnp.sin(x) @ draw(1, 3, 2) @ y,
        "y": jnp.sum(jnp.cosh(y)) - x @ draw(2, 3, 2) @ jnp.sin(y) + jnp.sum(y) * jnp.sum(x**2),
    }


GAMES = {"zero-sum": mm.Game(zero_sum, ROLES), "general-sum": mm.Game(general_sum, ROLES)}
START = {"x": draw(3, 3), "y": draw(4, 2)}
every_game = pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)


def dense(game: mm.AbstractGame, players=START) -> tuple[np.ndarray, np.ndarray]:
    """F and its Jacobian as a vector and a matrix; the players one after another."""
    players = jax.tree.map(jnp.asarray, players)
    z, unravel = ravel_pytree(players)

    def F(z):
        return ravel_pytree(game.operator(unravel(z)))[0]

    return np.asarray(F(z)), np.asarray(jax.jacobian(F)(z))


def moved(game: mm.AbstractGame, solver: mm.AbstractSolver, players=START) -> np.ndarray:
    """By how much the first step moves all players."""
    players = jax.tree.map(jnp.asarray, players)
    after, _ = solver.step(game, players, solver.init(game, players))
    return np.asarray(ravel_pytree(after)[0] - ravel_pytree(players)[0])


@every_game
def test_consensus_descends_the_operator_and_half_its_square(game):
    F, J = dense(game)
    step = moved(game, mm.ConsensusOptimization(0.3, 0.7))
    np.testing.assert_allclose(step, -0.3 * (F + 0.7 * J.T @ F), rtol=1e-12, atol=1e-13)


@every_game
def test_symplectic_adjustment_takes_the_antisymmetric_part(game):
    F, J = dense(game)
    step = moved(game, mm.SymplecticGradientAdjustment(0.3, 0.7, align=False))
    expected = -0.3 * (F + 0.7 * (J - J.T).T / 2 @ F)
    np.testing.assert_allclose(step, expected, rtol=1e-12, atol=1e-13)


def test_symplectic_adjustment_aligns_itself():
    """λ has the sign of ⟨F, JᵀF⟩⟨AᵀF, JᵀF⟩/d + 0.1; both occur."""
    seen = set()
    solver = mm.SymplecticGradientAdjustment(0.3, 0.7)
    for seed in range(12):
        players = {"x": draw(seed, 3), "y": draw(seed + 50, 2)}
        F, J = dense(GAMES["general-sum"], players)
        A = (J - J.T) / 2
        sign = np.sign((F @ J.T @ F) * (A.T @ F @ J.T @ F) / 5 + 0.1)
        step = moved(GAMES["general-sum"], solver, players)
        expected = -0.3 * (F + sign * 0.7 * A.T @ F)
        np.testing.assert_allclose(step, expected, rtol=1e-11, atol=1e-12)
        seen.add(sign)
    assert seen == {-1.0, 1.0}


def test_players_with_one_goal_are_not_adjusted():
    """The Jacobian of a gradient is symmetric: what is left is gradient descent."""
    game = mm.Game(zero_sum, {"x": "min", "y": "min"})
    step = moved(game, mm.SymplecticGradientAdjustment(0.3, 5.0))
    np.testing.assert_allclose(step, -0.3 * dense(game)[0], rtol=1e-12)


@every_game
def test_competitive_gradient_descent_is_what_the_paper_says(game):
    r"""$\Delta_x = -\eta (I - \eta^2 D_{xy}f D_{yx}g)^{-1} (\nabla_x f - \eta D_{xy}f \nabla_y g)$
    and so for y, where both minimise, f and g (which is -f in a zero-sum game)."""
    F, J = dense(game)
    eta, u, v = 0.4, F[:3], F[3:]
    xy, yx = J[:3, 3:], J[3:, :3]
    expected = np.r_[
        -eta * np.linalg.solve(np.eye(3) - eta**2 * xy @ yx, u - eta * xy @ v),
        -eta * np.linalg.solve(np.eye(2) - eta**2 * yx @ xy, v - eta * yx @ u),
    ]
    step = moved(game, mm.CompetitiveGradientDescent(eta, tol=1e-14))
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("roles", [{"a": "min", "b": "min", "c": "min"}, "min"])
def test_competitive_gradient_descent_of_three_players(roles):
    """(I + ηB)Δ = -ηF, where B has no diagonal blocks; players are told by role or by payoff."""
    couplings = {"ab": draw(5, 2, 3), "bc": draw(6, 3, 1), "ca": draw(7, 1, 2)}

    def payoffs(z):
        a, b, c = z["a"], z["b"], z["c"]
        return {
            "a": jnp.sum(a**4) + a @ couplings["ab"] @ b,
            "b": jnp.sum(b**2) - a @ couplings["ab"] @ b + b @ couplings["bc"] @ c,
            "c": jnp.sum(jnp.cosh(c)) + c @ couplings["ca"] @ a,
        }

    players = {"a": draw(8, 2), "b": draw(9, 3), "c": draw(10, 1)}
    game = mm.Game(payoffs, roles)
    F, J = dense(game, players)
    owner = np.array([0, 0, 1, 1, 1, 2])
    B = J * (owner[:, None] != owner[None, :])
    step = moved(game, mm.CompetitiveGradientDescent(0.3, tol=1e-14), players)
    expected = -0.3 * np.linalg.solve(np.eye(6) + 0.3 * B, F)
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-12)


def test_the_linear_system_is_solved_as_well_as_is_asked():
    """Without iterations it is descent-ascent; up to `tol` the residual falls to `tol`, and no
    further; and players who do not react to each other need none."""
    game = GAMES["general-sum"]
    F, J = dense(game)
    owner = np.array([0, 0, 0, 1, 1])
    M = np.eye(5) + 0.4 * J * (owner[:, None] != owner[None, :])
    step = moved(game, mm.CompetitiveGradientDescent(0.4, max_iterations=0))
    np.testing.assert_allclose(step, -0.4 * F, rtol=1e-14)
    used = []
    for tol in (1e-1, 1e-4, 1e-10):
        solver = mm.CompetitiveGradientDescent(0.4, tol=tol)
        players = jax.tree.map(jnp.asarray, START)
        _, state = solver.step(game, players, solver.init(game, players))
        residual = np.linalg.norm(M @ moved(game, solver) + 0.4 * F)
        assert 1e-15 < residual <= tol * np.linalg.norm(0.4 * F) * (1 + 1e-9) + 1e-13
        used.append(int(solver.stats(state)["iterations"]))
        assert int(solver.evaluations(jnp.asarray(1), state)) == 3 + 2 * used[-1]
    assert 0 < used[0] < used[2] <= 6 and sorted(used) == used  # five variables
    apart = mm.Game(lambda z: jnp.sum(z["x"] ** 2) - jnp.sum(z["y"] ** 2), ROLES)
    solver = mm.CompetitiveGradientDescent(0.4)
    players = jax.tree.map(jnp.asarray, START)
    _, state = solver.step(apart, players, solver.init(apart, players))
    assert int(solver.stats(state)["iterations"]) == 0


def test_consensus_may_rest_where_no_player_does():
    """On y²/2 - x²/2 with x descending, each player is at its worst at zero, which descent-ascent
    leaves; ‖F‖ is least there, which draws consensus (JᵀF = z, F = -z)."""
    game = mm.Game(lambda z: -(z["x"] ** 2) / 2 + z["y"] ** 2 / 2, ROLES)
    start = {"x": jnp.asarray(0.5), "y": jnp.asarray(-0.3)}
    drawn = iterates(game, start, mm.ConsensusOptimization(0.1, 2.0), 200)
    left = iterates(game, start, mm.GradientDescentAscent(0.1), 50)
    assert abs(float(drawn["x"][-1])) < 1e-6 and abs(float(left["x"][-1])) > 10


@pytest.mark.parametrize("solver", METHODS, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("wrap", [lambda s: s, mm.Averaged])
def test_players_must_be_free(solver, wrap):
    """On a set their directions are not zero at a solution."""
    game = mm.Game(lambda z: z["x"] * z["y"], ROLES, {"x": None, "y": mm.Box(-1.0, 1.0)})
    with pytest.raises(mm.GameError, match=r"free players; players\['y'\] has the constraint Box"):
        mm.solve(game, {"x": 1.0, "y": 1.0}, wrap(solver))


@pytest.mark.parametrize("solver", METHODS, ids=lambda solver: type(solver).__name__)
def test_the_steps_of_networks_are_found_too(solver):
    """Second derivatives go through a payoff with a scan and a user's own first derivatives."""

    @jax.custom_vjp
    def soft(x):
        return jnp.log1p(jnp.exp(x))

    soft.defvjp(lambda x: (soft(x), x), lambda x, g: (g * jax.nn.sigmoid(x),))

    def payoff(z, soft: Any = soft):
        last, _ = jax.lax.scan(lambda c, w: (jnp.tanh(c * w + z["y"]), None), z["x"].sum(), z["x"])
        return soft(last * z["y"]) - z["y"] ** 2

    game = mm.Game(payoff, ROLES)
    players = {"x": jnp.asarray(draw(11, 4)), "y": jnp.asarray(0.3)}
    plain = mm.Game(lambda z: payoff(z, lambda x: jnp.log1p(jnp.exp(x))), ROLES)
    np.testing.assert_allclose(
        moved(game, solver, players), moved(plain, solver, players), rtol=1e-10
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: mm.ConsensusOptimization(0.1, 0.0), "weight is 0.0: expected one finite number"),
        (lambda: mm.ConsensusOptimization(-0.1, 1.0), "step_size is -0.1: expected one finite"),
        (lambda: mm.SymplecticGradientAdjustment(0.1, np.nan), "weight is nan: expected one"),
        (lambda: mm.CompetitiveGradientDescent(0.1, tol=-1.0), "tol is -1.0: expected a finite"),
        (lambda: mm.CompetitiveGradientDescent(0.1, max_iterations=-1), "expected a whole number"),
    ],
)
def test_what_they_must_be_given(make, message, as_users_run_it):
    with pytest.raises(mm.GameError, match=message):
        make()
