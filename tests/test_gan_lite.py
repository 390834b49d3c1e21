"""The small GANs: what theory says of the first two, and what the networks learn."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from games.gan_lite import DiracGAN, example


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("penalty", [0.0, 0.4, 1.0, 3.0])
def test_dirac_has_the_eigenvalues_of_the_source(penalty):
    game = DiracGAN(jnp.asarray(penalty))

    def operator(point):
        field = game.operator({"generator": point[0], "critic": point[1]})
        return jnp.stack([field["generator"], field["critic"]])

    jacobian = jax.jit(jax.jacobian(operator))(jnp.zeros(2))
    root = np.sqrt(complex(penalty**2 / 4 - 1 / 4))
    expected = [penalty / 2 - root, penalty / 2 + root]
    np.testing.assert_allclose(
        np.sort_complex(np.linalg.eigvals(jacobian)), np.sort_complex(expected), atol=1e-7
    )


@pytest.mark.usefixtures("float64")
def test_dirac_spirals_out_of_descent_ascent_at_the_known_rate():
    game, eta, start = DiracGAN(jnp.asarray(0.0)), 0.4, 1e-4
    solver = mm.GradientDescentAscent(eta)
    players = {"generator": start, "critic": 0.0}
    after = mm.solve(game, players, solver, max_steps=10, tol=0.0).players
    distance = math.hypot(after["generator"], after["critic"])
    assert math.isclose(distance, start * (1 + eta**2 / 4) ** 5, rel_tol=1e-6)


def test_dirac_counts_a_fake_and_the_data():
    # At the data the critic cannot tell: two times log 1/2.
    assert math.isclose(
        DiracGAN(jnp.asarray(0.0)).value({"generator": 0.0, "critic": 5.0}), -math.log(4)
    )


def test_the_networks_learn_the_ring():
    given = example("mlp")
    solution = mm.solve(given.game, given.players, given.solver, max_steps=2000, tol=1e-3)
    assert given.summary is not None
    summary = given.summary(solution.players)
    assert summary["Gaussians found, of 8"] == 8
    assert summary["fakes within 5 standard deviations of one"] > 0.8
    # Where the critic can tell nothing it gets -log 4, and the generator log 2.
    assert math.isclose(solution.value["critic"], -math.log(4), abs_tol=0.03)
    assert math.isclose(solution.value["generator"], math.log(2), abs_tol=0.05)


@pytest.mark.parametrize(
    "chosen, message",
    [
        (dict(variant="wgan", penalty=1.0), 'the variant "wgan" has no penalty'),
        (dict(penalty=-1.0), "penalty is -1.0: expected a finite number >= 0."),
        (dict(variant="mlp", penalty=math.nan), "penalty is nan"),
        (dict(variant="mlp", points=0), "points is 0 and width is 32: expected 1 or more"),
    ],
)
def test_bad_parameters(chosen, message):
    with pytest.raises(mm.GameError, match=message):
        example(**chosen)
