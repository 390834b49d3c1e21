# What an example holds is asked for where it is looked at.
# pyright: reportAttributeAccessIssue=false, reportOptionalCall=false
"""Games on mini-batches: what theory says of each, and what their players learn."""

import math
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import minimax as mm
from games import (
    adversarial_training,
    auc_maximization,
    constrained_classifier,
    flax_critic,
    lq_gan,
)


def run(example: mm.Example, max_steps: int, **changed):
    """The solution of an example, by its own solver on its own data."""
    given = example._replace(**changed)
    return mm.solve(
        given.game, given.players, given.solver, data=given.data, key=given.key, max_steps=max_steps
    )


def in_general_position(example: mm.Example, seed: int = 0):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + random.standard_normal(x.shape), example.players)


# The linear-quadratic GAN -------------------------------------------------------------------------


def balanced(mean, factor):
    """2d points whose moments are exactly these."""
    size = len(mean)
    steps = math.sqrt(size) * np.concatenate([np.eye(size), -np.eye(size)])
    return jnp.asarray(mean + steps @ np.asarray(factor).T)


@pytest.mark.usefixtures("float64")
def test_the_population_is_a_batch_that_has_its_moments():
    """Payoffs and operators are those of points whose moments are exact, and of no others."""
    population, sampled = lq_gan.example(dimension=3), lq_gan.example("sampled", dimension=3)
    mean, covariance = population.game.mean, population.game.covariance
    players = in_general_position(population)
    latent = balanced(jnp.zeros(3), jnp.eye(3))
    batch = {"real": balanced(mean, jnp.linalg.cholesky(covariance)), "latent": latent}
    other = {**batch, "real": balanced(mean, 1.1 * jnp.linalg.cholesky(covariance))}
    assert math.isclose(
        population.game.value(players), sampled.game.value(players, batch), rel_tol=1e-12
    )
    assert abs(population.game.value(players) - sampled.game.value(players, other)) > 0.1
    for ours, theirs in zip(
        jax.tree.leaves(population.game.operator(players)),
        jax.tree.leaves(sampled.game.operator(players, batch)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_batches_of_the_lq_gan_have_the_moments_of_its_population():
    population, sampled = lq_gan.example(), lq_gan.example("sampled", batch=100_000)
    batch = sampled.batch()
    for draws, mean, covariance in (
        (batch["real"], population.game.mean, population.game.covariance),
        (batch["latent"], jnp.zeros(2), jnp.eye(2)),
    ):
        # Five standard errors, of which a second moment has sqrt(2/n) at variance one.
        np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * 1.5 / math.sqrt(1e5))
        error = 5 * 1.5**2 * math.sqrt(2 / 1e5)
        np.testing.assert_allclose(np.cov(draws.T), covariance, atol=error)
    mixed = np.mean(batch["real"] * batch["latent"], axis=0)
    np.testing.assert_allclose(mixed, 0, atol=5 * 2 / math.sqrt(1e5))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_the_lq_gan_finds_both_moments(penalty):
    """Of the generator's distribution, which is what NumPy says of its fakes."""
    given = lq_gan.example(dimension=3, penalty=penalty, seed=1)
    found = mm.solve(given.game, given.players)
    assert found.success
    generator = found.players["generator"]
    fakes = balanced(generator["mean"], np.tril(generator["factor"]))
    np.testing.assert_allclose(fakes.mean(axis=0), given.game.mean, atol=1e-6)
    np.testing.assert_allclose(np.cov(fakes.T, ddof=0), given.game.covariance, atol=1e-6)
    np.testing.assert_allclose(found.players["critic"]["curvature"], 0, atol=1e-6)
    summary = given.summary(found.players)
    assert max(summary["distance of the means"], summary["distance of the covariances"]) < 1e-6


@pytest.mark.usefixtures("float64")
def test_the_best_critic_of_the_lq_gan_shows_the_difference_of_the_moments():
    """The payoff is then half the squared difference over the penalty."""
    given = lq_gan.example(penalty=0.5)
    players, game = in_general_position(given), given.game
    generator = players["generator"]
    factor = np.tril(generator["factor"])
    first = np.asarray(game.mean - generator["mean"])
    second = np.asarray(
        game.covariance
        + np.outer(game.mean, game.mean)
        - factor @ factor.T
        - np.outer(generator["mean"], generator["mean"])
    )
    players["critic"] = {"slope": jnp.asarray(first / 0.5), "curvature": jnp.asarray(second / 0.5)}
    value, operator = game.value(players), game.operator(players)["critic"]
    assert math.isclose(value, (np.sum(first**2) + np.sum(second**2)) / (2 * 0.5), rel_tol=1e-12)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(operator)) < 1e-12


def test_the_lq_gan_learns_from_batches():
    given = lq_gan.example("sampled")
    summary = given.summary(run(given, 4000).players)
    assert summary["distance of the means"] < 0.03
    assert summary["distance of the covariances"] < 0.1 < summary["norm of the covariance"]


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(penalty=-1.0), "penalty is -1.0: expected a finite number >= 0."),
        (dict(penalty=math.inf), "penalty is inf: expected a finite number >= 0."),
        (dict(variant="sampled", penalty=0.0), "penalty is 0.0: expected a finite number > 0."),
        (dict(dimension=0), "dimension is 0 and batch is 64: expected 1 or more of each."),
        (dict(batch=0), "dimension is 2 and batch is 0: expected 1 or more of each."),
    ],
)
def test_bad_parameters_of_the_lq_gan(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        lq_gan.example(**chosen)


# Adversarial training -----------------------------------------------------------------------------


def linear_network(weight, bias):
    network = eqx.nn.Linear(2, "scalar", key=jax.random.key(0))
    given = (jnp.asarray([weight], jnp.float32), jnp.asarray([bias], jnp.float32))
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), network, given)


def test_the_attack_on_a_linear_network_is_the_worst_there_is():
    """Every point moves by the radius against its own side, along each coordinate that counts."""
    x, y = adversarial_training.moons(50, 0.1, seed=0)
    network = linear_network([2.0, -1.0], 0.3)
    moved = adversarial_training.attacked(network, x, y, 0.2)
    expected = np.asarray(x) - 0.2 * np.asarray(y)[:, None] * np.array([1.0, -1.0])
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    worst = adversarial_training.loss(network, moved, y)
    margin = np.asarray(y) * (np.asarray(x) @ [2.0, -1.0] + 0.3) - 0.2 * 3.0  # the radius by |w|_1
    assert math.isclose(worst, np.mean(np.log1p(np.exp(-margin))), rel_tol=1e-5)
    accuracy = adversarial_training.accuracy(network, moved, y)
    assert math.isclose(accuracy, np.mean(margin > 0), abs_tol=1e-6)


def test_a_batch_moves_its_own_rows_alone_and_as_far_as_the_cube():
    given = adversarial_training.example(points=32, batch=8, width=8, radius=0.25)
    players = {**given.players, "weights": linear_network([1.0, 1.0], 0.0)}
    rows = jnp.array([1, 4, 4, 7])
    after = mm.solve(given.game, players, given.solver, data=rows, max_steps=1).players
    expected = np.zeros((32, 2))
    for row in (1, 4, 7):  # five steps of a quarter, and the cube ends after four
        expected[row] = -0.25 * given.game.labels[row]
    np.testing.assert_allclose(after["perturbation"], expected, atol=1e-7)
    assert after["weights"].bias[0] != 0


def test_all_rows_are_one_batch():
    """The payoff without data, and the mean over batches that show every row once."""
    given = adversarial_training.example(points=32, batch=8, width=8)
    players = given.players
    batches = jnp.arange(32).reshape(4, 8)
    parts = [float(given.game.value(players, rows)) for rows in batches]
    assert math.isclose(given.game.value(players), np.mean(parts), rel_tol=1e-5)


def test_adversarial_training_makes_a_network_robust():
    given = adversarial_training.example()
    trained = run(given, 1000)
    table = given.summary(trained.players)["accuracy on new points"]
    clean, attacked = table["as they are"], table["under attack (PGD, 20 steps)"]
    assert min(clean.values()) > 0.95
    # 2000 points: a share has a standard error of about 0.01.
    assert attacked["robust"] > attacked["plain"] + 0.1
    assert attacked["robust"] < clean["robust"]
    assert float(jnp.abs(trained.players["perturbation"]).max()) <= 0.25


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(radius=-0.1), "radius is -0.1: expected a finite number >= 0."),
        (dict(noise=math.nan), "noise is nan: expected a finite number >= 0."),
        (dict(batch=0), "points is 256, batch is 0 and width is 16: expected 1 or more of each."),
    ],
)
def test_bad_parameters_of_adversarial_training(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        adversarial_training.example(**chosen)


# A classifier under a constraint ------------------------------------------------------------------


def test_the_multiplier_sees_the_rate_and_the_weights_its_bound():
    """By NumPy, at a linear score."""
    given = constrained_classifier.example(limit=0.1)
    network, batch = linear_network([1.0, 0.5], 0.2), given.batch()
    value = given.game.value({"multiplier": 2.0, "weights": network}, batch)
    positive, negative = (np.asarray(batch[k]) @ [1, 0.5] + 0.2 for k in ("positive", "negative"))
    alarmed = np.logaddexp(0, negative).mean()
    loss = (np.logaddexp(0, -positive).mean() + alarmed) / 2
    rate = (negative > 0).mean()
    assert 0 < rate < alarmed / np.log(2)
    assert math.isclose(value["multiplier"], 2 * (rate - 0.1), rel_tol=1e-5)
    expected = loss + 2 * (alarmed / np.log(2) - 0.1)
    assert math.isclose(value["weights"], expected, rel_tol=1e-5)
    slope = given.game.operator({"multiplier": 2.0, "weights": network}, batch)
    # As sigma'(t) = sigma(t), the sigmoid: the step function has no part in it.
    told = -np.mean(1 / (1 + np.exp(positive))) / 2
    told += (0.5 + 2 / np.log(2)) * np.mean(1 / (1 + np.exp(-negative)))
    np.testing.assert_allclose(slope["weights"].bias, told, rtol=1e-4)
    np.testing.assert_allclose(slope["multiplier"], 0.1 - rate, rtol=1e-5)


def test_the_best_classifier_is_where_the_weights_have_no_slope():
    """Of all that the score could be at a point, the claimed one has the least loss there, with
    the densities of both classes as NumPy has them."""
    points = constrained_classifier.draw(jax.random.key(0), 2000)
    best, multiplier = constrained_classifier.neyman_pearson(0.05, points)
    assert math.isclose(np.mean(jax.vmap(best)(points["negative"]) > 0), 0.05, abs_tol=1e-3)
    assert multiplier > 0.5

    def density(x, axis):
        sides = [
            np.exp(-np.sum((x - side * np.eye(2)[axis]) ** 2) / 2 / 0.5**2) for side in (1, -1)
        ]
        return sum(sides)

    for x in np.random.default_rng(0).normal(size=(5, 2)):
        weight = density(x, 0) / 2, (1 / 2 + multiplier / np.log(2)) * density(x, 1)
        s = float(best(jnp.asarray(x)))
        slope = -weight[0] / (1 + np.exp(s)) + weight[1] / (1 + np.exp(-s))
        assert abs(slope) < 1e-4 * sum(weight)


def test_the_multiplier_holds_the_constraint():
    """And costs no more true positives than it must."""
    given = constrained_classifier.example()
    summary = given.summary(run(given, 4000).players)
    table = summary["on new points"]
    ours, free, best = (table[row] for row in ("with the multiplier", "without", "the best of all"))
    # 20,000 points: a rate of 0.05 has a standard error of 0.0015.
    assert ours["false positives"] < 0.05 + 5 * 0.0015 < 0.1 < free["false positives"]
    assert best["true positives"] - 0.05 < ours["true positives"] < free["true positives"]
    assert free["log loss"] < ours["log loss"]
    expected = summary["multiplier of the best of all classifiers"]
    assert math.isclose(summary["multiplier"], expected, rel_tol=0.15)


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(limit=0.0), "limit is 0.0: expected a share between 0 and 1."),
        (dict(limit=math.nan), "limit is nan: expected a share between 0 and 1."),
        (dict(width=0), "batch is 64 and width is 0: expected 1 or more of each."),
    ],
)
def test_bad_parameters_of_the_constrained_classifier(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        constrained_classifier.example(**chosen)


# Maximisation of the area under the ROC curve -----------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_the_best_replies_of_the_auc_game_pay_the_loss_of_the_pairs():
    """At any weights, and no other means and gap pay the same."""
    game = auc_maximization.example(points=40).game
    x, y = np.asarray(game.features), np.asarray(game.labels)
    w = np.random.default_rng(0).normal(size=4)
    a, b = (x @ w)[y > 0].mean(), (x @ w)[y < 0].mean()
    loss = np.mean([(1 - w @ (p - n)) ** 2 for p in x[y > 0] for n in x[y < 0]])

    def value(a, b, alpha):
        scorer = {"weights": jnp.asarray(w), "positive_mean": a, "negative_mean": b}
        return float(game.value({"scorer": scorer, "gap": alpha}))

    assert math.isclose(value(a, b, b - a), loss, rel_tol=1e-12)
    assert math.isclose(auc_maximization.pairwise_loss(w, x, y), loss, rel_tol=1e-12)
    assert min(value(a + 0.1, b, b - a), value(a, b - 0.1, b - a)) > loss + 1e-3
    assert max(value(a, b, b - a + 0.1), value(a, b, b - a - 0.1)) < loss - 1e-3


@pytest.mark.usefixtures("float64")
def test_the_auc_game_finds_the_least_squares_of_all_pairs():
    """As NumPy has them of the differences of all pairs."""
    given = auc_maximization.example(points=60, share=0.2, seed=3)
    x, y = np.asarray(given.game.features), np.asarray(given.game.labels)
    pairs = (x[y > 0][:, None] - x[y < 0]).reshape(-1, 4)
    expected, squares, *_ = np.linalg.lstsq(pairs, np.ones(len(pairs)))
    found = mm.solve(given.game, given.players)
    assert found.success
    np.testing.assert_allclose(found.players["scorer"]["weights"], expected, atol=1e-7)
    assert math.isclose(found.value, squares[0] / len(pairs), rel_tol=1e-7)


def test_the_auc_is_how_often_a_positive_is_above_a_negative():
    """One pair is in order, one is not, and one is a tie."""
    score, y = np.array([3.0, 1.0, 4.0, 3.0]), np.array([1.0, -1.0, -1.0, -1.0])
    assert auc_maximization.auc(score, y) == 0.5


def test_the_auc_game_learns_from_batches():
    given = auc_maximization.example("sampled")
    rows = jnp.arange(500).reshape(-1, 50)
    players = in_general_position(given)
    parts = [float(given.game.value(players, batch)) for batch in rows]
    assert math.isclose(given.game.value(players), np.mean(parts), rel_tol=1e-4)
    assert np.std(parts) > 0.1
    table = given.summary(run(given, 4000).players)["scores"]
    ours, best = table["by the game"], table["least squares on all pairs"]
    assert best["square loss of pairs"] <= ours["square loss of pairs"] + 1e-6
    assert ours["square loss of pairs"] < best["square loss of pairs"] + 0.01
    assert math.isclose(ours["AUC"], best["AUC"], abs_tol=0.01)
    assert 0.8 < ours["AUC on new points"] < 0.95


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(dimension=0), "points is 500, dimension is 0 and batch is 32: expected 1 or more of"),
        (dict(share=0.003), "share is 0.003 of 500 points: expected two positives and two negat"),
        (dict(share=math.nan), "share is nan of 500 points"),
    ],
)
def test_bad_parameters_of_auc_maximization(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        auc_maximization.example(**chosen)


# A Flax critic and an Equinox generator -----------------------------------------------------------


def test_the_distance_on_the_line_is_that_of_scipy():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(200, 1)), 2 + 3 * random.normal(size=(200, 1))
    expected = scipy.stats.wasserstein_distance(one.ravel(), other.ravel())
    found = flax_critic.wasserstein(jnp.asarray(one), jnp.asarray(other))
    assert math.isclose(found, expected, rel_tol=1e-5)


def test_a_flax_critic_in_a_box_teaches_an_equinox_generator():
    pytest.importorskip("flax")
    given = flax_critic.example()
    name = "Wasserstein distance of the fakes to the data"
    before = given.summary(given.players)[name]
    players = run(given, 3000).players
    after = given.summary(players)
    assert before > 0.5 and after[name] < 0.3
    assert abs(after["share of fakes above zero, of the data half"] - 0.5) < 0.1
    clipped = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(players["critic"])])
    assert np.abs(clipped).max() == 0.5  # at the bound, and not beyond it
    assert type(players["critic"]).__module__.startswith("flax")
    assert isinstance(players["generator"], eqx.Module)
    same = {**given.batch(), "real": jax.vmap(players["generator"])(given.batch()["latent"])}
    assert abs(given.game.value(players, same)) < 1e-6  # no critic tells equals apart


def test_without_flax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flax", None)
    with pytest.raises(mm.GameError, match=r'needs Flax: pip install "minimax-jax\[flax\]"'):
        flax_critic.example()


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(clip=0.0), "clip is 0.0: expected a finite number > 0."),
        (dict(clip=math.nan), "clip is nan: expected a finite number > 0."),
        (dict(width=0), "batch is 32 and width is 0: expected 1 or more of each."),
    ],
)
def test_bad_parameters_of_the_flax_critic(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        flax_critic.example(**chosen)
