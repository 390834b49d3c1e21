"""`ExponentialMovingAverage`, against its closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.iterates import iterates, outputs

pytestmark = pytest.mark.usefixtures("float64")

GAME = mm.Game(
    lambda p: 0.2 * p["x"] @ p["x"] + p["x"] @ p["y"]["a"] - p["y"]["b"] ** 2,
    {"x": "min", "y": "max"},
    {"x": mm.Simplex(), "y": None},
)
STEPS = 30


def start():
    return {"x": jnp.array([1.0, 0.0]), "y": {"a": jnp.array([2.0, -1.0]), "b": jnp.asarray(1.0)}}


def by_hand(rows, decay):
    """Weighted sums of z_1, ..., z_k, each anew, and z_0 before the first step."""
    rows = np.asarray(rows)
    means = [rows[0]]
    for k in range(1, len(rows)):
        weights = np.array([decay ** (k - t) if k > t else 1.0 for t in range(1, k + 1)])
        means.append(np.tensordot(weights / weights.sum(), rows[1 : k + 1], 1))
    return np.stack(means)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_weighted_sum(decay):
    """The solver inside runs as alone; z_0 has no weight; the average stays on the simplex."""
    inner = mm.ExtraGradient(0.3)
    solver = mm.ExponentialMovingAverage(inner, decay)
    alone = iterates(GAME, start(), inner, STEPS)
    jax.tree.map(np.testing.assert_array_equal, iterates(GAME, start(), solver, STEPS), alone)
    reported = outputs(GAME, start(), solver, STEPS)
    jax.tree.map(
        lambda ours, rows: np.testing.assert_allclose(ours, by_hand(rows, decay), atol=1e-14),
        reported,
        alone,
    )
    np.testing.assert_allclose(np.sum(reported["x"], 1), 1, atol=1e-14)


@pytest.mark.parametrize(
    "players, averaged",
    [
        ({"x": True, "y": False}, ["x"]),
        ({"x": False, "y": {"a": True, "b": False}}, ["a"]),
        (False, []),
    ],
)
def test_only_the_chosen_players_are_averaged(players, averaged):
    """The others are reported as they are, and nothing is kept of them."""
    inner = mm.Averaged(mm.ExtraGradient(0.3))
    solver = mm.ExponentialMovingAverage(inner, 0.9, players=players)
    reported = outputs(GAME, start(), solver, STEPS)
    alone = outputs(GAME, start(), inner, STEPS)
    pairs = {
        "x": (reported["x"], alone["x"]),
        "a": (reported["y"]["a"], alone["y"]["a"]),
        "b": (reported["y"]["b"], alone["y"]["b"]),
    }
    for name, (ours, rows) in pairs.items():
        expected = by_hand(rows, 0.9) if name in averaged else rows
        np.testing.assert_allclose(ours, expected, atol=1e-14)
    assert len(jax.tree.leaves(solver.init(GAME, start()).average.value)) == len(averaged)


def test_players_may_be_networks():
    """Whose activation functions are no variables."""
    network = eqx.nn.MLP(1, "scalar", 2, 1, key=jax.random.key(0))
    game = mm.Game(lambda p: p["a"](jnp.ones(1)) ** 2 - p["b"] ** 2, {"a": "min", "b": "max"})
    solver = mm.ExponentialMovingAverage(
        mm.ExtraGradient(0.01), 0.9, players={"a": True, "b": False}
    )
    run = mm.solve(game, {"a": network, "b": jnp.ones(())}, solver, max_steps=5, tol=0.0)
    assert run.steps == 5 and run.players["b"] == run.state.players["b"]
    assert np.any(run.players["a"].layers[0].weight != run.state.players["a"].layers[0].weight)


def test_a_long_average_is_as_good_as_its_arithmetic():
    """Ten thousand steps of a member in single precision that goes round: its average is off by
    the last digits, and not by 10 000 of them."""
    game = mm.Game(lambda p: p["x"] * p["y"], {"x": "min", "y": "max"})
    inner = mm.AlternatingGradientDescentAscent(0.5)
    players = {"x": jnp.asarray(1.0, "float32"), "y": jnp.asarray(1.0, "float32")}
    solver = mm.ExponentialMovingAverage(inner, 0.999)
    rows = np.asarray(iterates(game, players, inner, 10_000)["x"], float)
    ours = outputs(game, players, solver, 10_000)["x"][-1]
    decay = float(solver.decay)
    weights = decay ** np.arange(9_999, -1, -1.0)
    assert abs(float(ours) - weights @ rows[1:] / weights.sum()) <= 20 * 6e-8


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5, float("nan")])
def test_decays_are_below_one(decay):
    with pytest.raises(mm.GameError, match="decay is .*from 0 up to, not at, 1"):
        mm.ExponentialMovingAverage(mm.ExtraGradient(0.1), decay)


@pytest.mark.parametrize("players", [1, None, {"x": "yes"}])
def test_players_are_chosen_by_booleans(players, as_users_run_it):
    with pytest.raises(mm.GameError, match=r"players.* expected True for a player"):
        mm.ExponentialMovingAverage(mm.ExtraGradient(0.1), players=players)


def test_players_that_do_not_fit_are_refused():
    solver = mm.ExponentialMovingAverage(mm.ExtraGradient(0.1), players={"x": True})
    with pytest.raises(mm.GameError, match=r"players of the average says nothing about"):
        mm.solve(GAME, start(), solver)
