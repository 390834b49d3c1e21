r"""A classifier under a constraint: at most so many false positives, held by a multiplier.

$$\min_\theta \; \tfrac12 \mathbb{E}_+\, \ell(-s_\theta(x))
  + \tfrac12 \mathbb{E}_-\, \ell(s_\theta(x)) \quad \text{subject to} \quad
  \mathbb{P}_-(s_\theta(x) > 0) \le c, \qquad \ell(t) = \log(1 + e^t).$$

The rate is a step function of the weights and has no slope to follow. So the weights are shown a
smooth bound of it, and the multiplier the rate itself:

$$\text{weights: } \min_\theta \; \text{log loss}
  + \mu \left(\mathbb{E}_-\, \ell(s_\theta(x)) / \log 2 - c\right), \qquad
  \text{multiplier: } \max_{\mu \ge 0} \; \mu \left(\mathbb{P}_-(s_\theta(x) > 0) - c\right).$$

- **Players:** `{"multiplier": μ, "weights": θ}`: a number that maximises, and an Equinox network
  with two hidden layers that minimises, each its own payoff.
- **Payoff:** general-sum: the proxy-Lagrangian. Where nobody gains by a small move the constraint
  holds for the rate, and not only for its bound, which is larger.
- **Sets:** "multiplier" is nonnegative; the network is free.
- **Known solution:** none in terms of weights. To a network that could be any function the bound
  is a weight on the negatives, and its answer is $s = \log(p_+/p_-) - \log(1 + 2\mu/\log 2)$: the
  test of Neyman and Pearson, which has the most true positives of all with so few false ones.
- **Shapes:** a batch: `positive (n, 2)`, `negative (n, 2)`.
- **Source:** Cotter, Jiang and Sridharan, "Two-player games for efficient non-convex constrained
  optimization", ALT 2019, arXiv:1804.06500. What is proven there is proven of a mixture of
  classifiers, and with multipliers that are bounded; here they are one network and a number.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import minimax as mm

DEVIATION = 0.5

STEPS_WITHOUT = 3000
"""How long the network is trained that knows no constraint."""


class ConstrainedClassifier(mm.AbstractGame):
    r"""The proxy-Lagrangian on a batch.

    **Arguments:**

    - `limit`: c.
    """

    limit: Float[Array, ""]
    roles = {"multiplier": "max", "weights": "min"}
    constraints = {"multiplier": mm.NonNegative(), "weights": None}

    def payoff(self, players: PyTree, data: PyTree = None) -> dict[str, Float[Array, ""]]:
        multiplier, score = players["multiplier"], jax.vmap(players["weights"])
        positive, negative = score(data["positive"]), score(data["negative"])
        missed, alarmed = jnp.mean(jax.nn.softplus(-positive)), jnp.mean(jax.nn.softplus(negative))
        rate = jnp.mean(negative > 0, dtype=negative.dtype)
        bound = alarmed / jnp.log(2.0)
        return {
            "multiplier": multiplier * (rate - self.limit),
            "weights": (missed + alarmed) / 2 + multiplier * (bound - self.limit),
        }


def example(limit: float = 0.05, batch: int = 64, width: int = 16, seed: int = 0) -> mm.Example:
    """Two classes of two Gaussians each, at the corners of a square, that overlap.

    The summary compares the classifier with one that knows no limit, on points that neither has
    seen.

    **Arguments:**

    - `limit`: how many of the negatives may be taken for positives, as a share between 0 and 1.
    - `batch`: draws of either class for every gradient.
    - `width`: of the two hidden layers of the network.
    - `seed`: of initial weights and all draws.

    **Raises:** `GameError` for a limit out of range, or for sizes below one.
    """
    if not 0 < limit < 1:
        raise mm.GameError(f"limit is {limit}: expected a share between 0 and 1.")
    if min(batch, width) < 1:
        raise mm.GameError(f"batch is {batch} and width is {width}: expected 1 or more of each.")
    of_weights, of_draws = jax.random.split(jax.random.key(seed))
    network = eqx.nn.MLP(2, "scalar", width, 2, jax.nn.silu, key=of_weights)

    def sample(key: PRNGKeyArray) -> dict[str, Array]:
        return draw(key, batch)

    given = mm.Example(
        game=ConstrainedClassifier(jnp.asarray(limit)),
        players={"multiplier": jnp.zeros(()), "weights": network},
        solver=mm.ExponentialMovingAverage(
            mm.ExtraGradient({"multiplier": 0.05, "weights": optax.adam(3e-3)}), 0.999
        ),
        data=mm.Sampler(sample),
        key=of_draws,
    )

    @functools.cache
    def free() -> PyTree:
        return without_multiplier(given)

    def summary(players: PyTree) -> dict[str, Any]:
        fresh = draw(jax.random.key(seed + 1), 20_000)
        best, multiplier = neyman_pearson(limit, fresh)
        return {
            "limit on false positives": limit,
            "multiplier": float(players["multiplier"]),
            "multiplier of the best of all classifiers": multiplier,
            "on new points": {
                "with the multiplier": measured(players["weights"], fresh),
                "without": measured(free(), fresh),
                "the best of all": measured(best, fresh),
            },
        }

    return given._replace(summary=summary)


def without_multiplier(given: mm.Example) -> PyTree:
    """The network of an example, trained on the same batches without a constraint."""
    trained = mm.solve(
        given.game,
        {**given.players, "multiplier": mm.freeze(given.players["multiplier"])},
        mm.GradientDescentAscent(optax.adam(3e-3)),
        data=given.data,
        key=given.key,
        max_steps=STEPS_WITHOUT,
    )
    return trained.players["weights"]


def draw(key: PRNGKeyArray, number: int) -> dict[str, Float[Array, "n 2"]]:
    """Points of both classes."""
    of_sides, of_noise = jax.random.split(key)
    sides = jax.random.rademacher(of_sides, (2, number, 1), dtype=float)
    noise = DEVIATION * jax.random.normal(of_noise, (2, number, 2))
    positive, negative = sides * jnp.eye(2)[:, None] + noise
    return {"positive": positive, "negative": negative}


def likelihood_ratio(x: Float[Array, " 2"]) -> Float[Array, ""]:
    """Its logarithm, which the log loss estimates."""

    def of_class(centre: Array) -> Array:
        squares = jnp.stack([jnp.sum((x - centre) ** 2), jnp.sum((x + centre) ** 2)])
        return jax.nn.logsumexp(-squares / (2 * DEVIATION**2))

    positive, negative = map(of_class, jnp.eye(2))
    return positive - negative


def neyman_pearson(
    limit: float, points: dict[str, Float[Array, "n 2"]]
) -> tuple[Callable[[Array], Array], float]:
    """The best classifier with so many false positives among these points, and its multiplier;
    where a threshold of zero has no more of them, the one of least loss."""
    ratios = np.asarray(_scores(likelihood_ratio, points["negative"]))
    threshold = max(float(np.quantile(ratios, 1 - limit)), 0.0)
    multiplier = float(np.log(2) / 2 * np.expm1(threshold))
    return lambda x: likelihood_ratio(x) - threshold, multiplier


def measured(
    score: Callable[[Array], Array], points: dict[str, Float[Array, "n 2"]]
) -> dict[str, float]:
    """Loss and rates of a classifier that says yes where its score is positive."""
    positive, negative = (np.asarray(_scores(score, points[k])) for k in ("positive", "negative"))
    loss = (np.logaddexp(0, -positive).mean() + np.logaddexp(0, negative).mean()) / 2
    return {
        "log loss": float(loss),
        "false positives": float(np.mean(negative > 0)),
        "true positives": float(np.mean(positive > 0)),
    }


@eqx.filter_jit
def _scores(score: Callable[[Array], Array], x: Float[Array, "n 2"]) -> Float[Array, " n"]:
    return jax.vmap(score)(x)
