r"""Adversarial training on mini-batches: two moons, of which an adversary may move every point.

$$\min_\theta \; \max_{\|\delta_i\|_\infty \le r} \; \frac1n \sum_{i=1}^n
  \log\left(1 + e^{-y_i f_\theta(x_i + \delta_i)}\right)$$

- **Players:** `{"perturbation": δ, "weights": θ}`. "weights", an Equinox network with two hidden
  layers, minimises; "perturbation", one row for each of n points of a fixed training set,
  maximises. A batch is a draw of rows: it shows the network those points as they are moved, and
  moves those rows alone. All others stay where their last batch has left them.
- **Payoff:** zero-sum, neither convex nor concave.
- **Sets:** every row of "perturbation" is in the cube of half-width r; the network is free.
- **Known solution:** none.
- **Shapes:** `points (n, 2)`, `labels (n,)` of -1 and 1, "perturbation" `(n, 2)`. A batch: the
  numbers of its rows, `(b,)`.
- **Source:** Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
  2018, arXiv:1706.06083: steps along the sign of the gradient, projected (PGD), and then one of the
  network. That perturbations are kept from one visit to the next and not begun anew is as in
  Zheng et al., "Efficient adversarial training with transferable adversarial examples", CVPR 2020,
  arXiv:1912.11969.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

import minimax as mm

STEPS_OF_PLAIN = 2000
"""How long the network is trained that knows no adversary."""

STEPS_OF_ATTACK = 20


class AdversarialTraining(mm.AbstractGame):
    r"""The logistic loss of a network on moved points.

    **Arguments:**

    - `points`, `labels`: $x_i$ and $y_i$.
    - `constraints`: the cube of "perturbation".
    """

    points: Float[Array, "n 2"]
    labels: Float[Array, " n"]
    constraints: dict[str, mm.LInfBall | None]
    roles = {"perturbation": "max", "weights": "min"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        rows: Int[Array, " b"] = jnp.arange(len(self.labels)) if data is None else data
        moved = self.points[rows] + players["perturbation"][rows]
        return loss(players["weights"], moved, self.labels[rows])


def loss(
    network: Callable[[Array], Array], x: Float[Array, "b 2"], y: Float[Array, " b"]
) -> Float[Array, ""]:
    """The mean logistic loss."""
    return jnp.mean(jax.nn.softplus(-y * jax.vmap(network)(x)))


def example(
    radius: float = 0.25,
    points: int = 256,
    batch: int = 64,
    width: int = 16,
    noise: float = 0.1,
    seed: int = 0,
) -> mm.Example:
    """Two moons, a small network, and an adversary who makes five steps before each of its steps.

    The summary compares the network with one of the same start that was trained on the points as
    they are, on points that neither has seen.

    **Arguments:**

    - `radius`: how far the adversary may move each coordinate. Without noise the moons are 0.41
      apart in that norm, so that 0.2 is the most that a network can withstand at every point.
    - `points`: of the training set.
    - `batch`: how many of them are drawn for every step.
    - `width`: of the two hidden layers of the network.
    - `noise`: the standard deviation of the points about their moon.
    - `seed`: of points, initial weights and all draws.

    **Raises:** `GameError` for a negative radius or noise, or for sizes below one.
    """
    for name, number in (("radius", radius), ("noise", noise)):
        if not 0 <= number < np.inf:
            raise mm.GameError(f"{name} is {number}: expected a finite number >= 0.")
    if min(points, batch, width) < 1:
        raise mm.GameError(
            f"points is {points}, batch is {batch} and width is {width}: expected 1 or more of "
            "each."
        )
    of_weights, of_draws = jax.random.split(jax.random.key(seed))
    x, y = moons(points, noise, seed)
    network = eqx.nn.MLP(2, "scalar", width, 2, jax.nn.silu, key=of_weights)

    def sample(key: PRNGKeyArray) -> Int[Array, " b"]:
        return jax.random.randint(key, (batch,), 0, points)

    given = mm.Example(
        game=AdversarialTraining(x, y, {"perturbation": mm.LInfBall(radius), "weights": None}),
        players={"perturbation": jnp.zeros_like(x), "weights": network},
        # The sign of a gradient is zero where a row is not in the batch: it stays.
        solver=mm.BestResponse(
            {"perturbation": optax.sign_sgd(radius / 4), "weights": optax.adam(1e-2)},
            inner_steps={"perturbation": 5},
        ),
        data=mm.Sampler(sample),
        key=of_draws,
    )

    @functools.cache
    def plain() -> PyTree:
        return without_adversary(given)

    def summary(players: PyTree) -> dict[str, Any]:
        fresh = moons(2000, noise, seed + 1)
        networks = {"robust": players["weights"], "plain": plain()}
        return {
            "accuracy on new points": {
                "as they are": {name: accuracy(net, *fresh) for name, net in networks.items()},
                f"under attack (PGD, {STEPS_OF_ATTACK} steps)": {
                    name: accuracy(net, attacked(net, *fresh, radius), fresh[1])
                    for name, net in networks.items()
                },
            }
        }

    return given._replace(summary=summary)


def without_adversary(given: mm.Example) -> PyTree:
    """The network of an example, trained on the same batches of points that nobody moves."""
    players = {**given.players, "perturbation": mm.freeze(given.players["perturbation"])}
    trained = mm.solve(
        given.game,
        players,
        mm.GradientDescentAscent(optax.adam(1e-2)),
        data=given.data,
        key=given.key,
        max_steps=STEPS_OF_PLAIN,
    )
    return trained.players["weights"]


def moons(number: int, noise: float, seed: int) -> tuple[Float[Array, "n 2"], Float[Array, " n"]]:
    """Points on two half circles of radius one that reach into each other, half of each."""
    random = np.random.default_rng(seed)
    y = np.where(np.arange(number) % 2 == 0, 1.0, -1.0)
    angle = np.pi * random.random(number)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    x = np.where(y[:, None] > 0, upper, np.array([1.0, 0.5]) - upper)
    return jnp.asarray(x + noise * random.standard_normal(x.shape)), jnp.asarray(y)


@eqx.filter_jit
def attacked(
    network: PyTree, x: Float[Array, "n 2"], y: Float[Array, " n"], radius: float
) -> Float[Array, "n 2"]:
    """The points as projected sign gradient ascent of a network's own loss leaves them."""
    cube = mm.LInfBall(radius)
    slope = jax.grad(lambda moved: loss(network, moved, y))

    def ascend(_: Any, delta: Array) -> Array:
        return cube.project(delta + radius / 4 * jnp.sign(slope(x + delta)))

    return x + jax.lax.fori_loop(0, STEPS_OF_ATTACK, ascend, jnp.zeros_like(x))


def accuracy(network: PyTree, x: Float[Array, "n 2"], y: Float[Array, " n"]) -> float:
    """The share of points on the right side."""
    return float(np.mean(np.asarray(_scores(network, x)) * np.asarray(y) > 0))


@eqx.filter_jit
def _scores(network: PyTree, x: Float[Array, "n 2"]) -> Float[Array, " n"]:
    return jax.vmap(network)(x)
