r"""Maximisation of the area under the ROC curve, as a saddle point over single points.

The area (AUC) is how often a positive scores above a negative: a mean over pairs. The square loss
of pairs is, for a linear score $w^\top x$ and with p the share of positives,

$$\mathbb{E}_{+,-} \left(1 - w^\top (x_+ - x_-)\right)^2 = \min_{a, b} \max_\alpha \;
  1 + \mathbb{E}\left[\tfrac{[y = 1]}{p} (w^\top x - a)^2 + \tfrac{[y = -1]}{1 - p} (w^\top x - b)^2
  + 2 (1 + \alpha) \left(\tfrac{[y = -1]}{1 - p} - \tfrac{[y = 1]}{p}\right) w^\top x\right]
  - \alpha^2,$$

a mean over single points, which a batch shows without bias, and of which nothing need be kept.

- **Players:** `{"scorer": {"weights": w, "positive_mean": a, "negative_mean": b}, "gap": α}`; the
  scorer minimises, "gap" maximises.
- **Payoff:** zero-sum, quadratic, convex in the scorer and strongly concave in "gap". "full" is the
  mean over the training set; "sampled" is over mini-batches of it.
- **Sets:** none, all are free; the source has balls.
- **Known solution:** of "full": w as by least squares, $(S_+ + S_- + dd^\top) w = d$, where m and S
  are means and covariances of the classes and $d = m_+ - m_-$; $a = w^\top m_+$, $b = w^\top m_-$,
  $\alpha = b - a$; the value is $1 - d^\top w$.
- **Shapes:** `features (n, d)`, `labels (n,)` of -1 and 1; w `(d,)`, all else scalars. A batch: the
  numbers of its rows, `(b,)`.
- **Source:** Ying, Wen and Lyu, "Stochastic online AUC maximization", NeurIPS 2016, theorem 1. Here
  the payoff is divided by p(1 - p), and one is added, so that its value is the loss of the pairs.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

import minimax as mm


class AUCMaximization(mm.AbstractGame):
    r"""The saddle point of the pairwise square loss, on a training set or on rows of it.

    **Arguments:**

    - `features`, `labels`: x and y.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from games.auc_maximization import AUCMaximization, start
    >>> game = AUCMaximization(jnp.array([[1.0], [3.0], [2.0]]), jnp.array([-1.0, 1.0, -1.0]))
    >>> solution = mm.solve(game, start(1))  # the mean of (1 - 2w)^2 and (1 - w)^2
    >>> print(f"{solution.players['scorer']['weights'][0]:.3f} {solution.value:.3f}")
    0.600 0.100

    ```
    """

    features: Float[Array, "n d"]
    labels: Float[Array, " n"]
    roles = {"scorer": "min", "gap": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        rows: Int[Array, " b"] = jnp.arange(len(self.labels)) if data is None else data
        scorer, alpha = players["scorer"], players["gap"]
        a, b = scorer["positive_mean"], scorer["negative_mean"]
        share = jnp.mean((self.labels > 0).astype(alpha.dtype))
        is_positive = self.labels[rows] > 0
        score = self.features[rows] @ scorer["weights"]
        of_each = jnp.where(
            is_positive,
            ((score - a) ** 2 - 2 * (1 + alpha) * score) / share,
            ((score - b) ** 2 + 2 * (1 + alpha) * score) / (1 - share),
        )
        return 1 + jnp.mean(of_each) - alpha**2


def example(
    variant: Literal["full", "sampled"] = "full",
    points: int = 500,
    dimension: int = 4,
    share: float = 0.1,
    batch: int = 32,
    seed: int = 0,
) -> mm.Example:
    """Few positives among many negatives: two Gaussians of different spread.

    The summary is about points that were not trained on.

    **Arguments:**

    - `variant`: "full": the mean over the training set; "sampled": mini-batches of its rows.
    - `points`: of the training set.
    - `dimension`: how many features there are.
    - `share`: how many of the points are positive.
    - `batch`: rows for every gradient of "sampled".
    - `seed`: of points and all draws.

    **Raises:** `GameError` for sizes below one, and where either class has not two points.
    """
    if min(points, dimension, batch) < 1:
        raise mm.GameError(
            f"points is {points}, dimension is {dimension} and batch is {batch}: expected 1 or "
            "more of each."
        )
    if not 2 / points <= share <= 1 - 2 / points:
        raise mm.GameError(
            f"share is {share} of {points} points: expected two positives and two negatives, or "
            "more of each."
        )
    random = np.random.default_rng(seed)
    x, y = draw(random, points, dimension, share)
    solution = least_squares(x, y)
    fresh = draw(random, 5000, dimension, share)

    def summary(players: PyTree) -> dict[str, Any]:
        weights = {
            "by the game": np.asarray(players["scorer"]["weights"], float),
            "least squares on all pairs": np.asarray(solution["scorer"]["weights"], float),
        }
        return {
            "scores": {
                name: {
                    "square loss of pairs": pairwise_loss(w, x, y),
                    "AUC": auc(x @ w, y),
                    "AUC on new points": auc(fresh[0] @ w, fresh[1]),
                }
                for name, w in weights.items()
            }
        }

    game = AUCMaximization(jnp.asarray(x), jnp.asarray(y))
    if variant == "full":
        return mm.Example(game, start(dimension), solution=solution, summary=summary)

    def sample(key: PRNGKeyArray) -> Int[Array, " b"]:
        return jax.random.randint(key, (batch,), 0, points)

    return mm.Example(
        game=game,
        players=start(dimension),
        solver=mm.ExponentialMovingAverage(mm.ExtraGradient(0.02, samples="independent"), 0.999),
        summary=summary,
        data=mm.Sampler(sample),
        key=jax.random.key(seed),
    )


def start(dimension: int) -> dict[str, Any]:
    """Scores of zero."""
    zero = jnp.zeros(())
    scorer = {"weights": jnp.zeros(dimension), "positive_mean": zero, "negative_mean": zero}
    return {"scorer": scorer, "gap": zero}


def draw(
    random: np.random.Generator, number: int, dimension: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Points and labels, as many of them positive as the share says."""
    y = np.where(np.arange(number) < round(share * number), 1.0, -1.0)
    scale = np.linspace(1.0, 2.0, dimension)
    x = random.standard_normal((number, dimension)) * np.where(y[:, None] > 0, 1.0, scale)
    return x + 0.5 * y[:, None], y


def least_squares(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """The saddle point."""
    positive, negative = x[y > 0], x[y < 0]
    means = positive.mean(axis=0), negative.mean(axis=0)
    difference = means[0] - means[1]
    moments = np.outer(difference, difference) + sum(
        np.atleast_2d(np.cov(each.T, ddof=0)) for each in (positive, negative)
    )
    w = np.linalg.solve(moments, difference)
    a, b = (float(w @ mean) for mean in means)
    return {
        "scorer": {
            "weights": jnp.asarray(w),
            "positive_mean": jnp.asarray(a),
            "negative_mean": jnp.asarray(b),
        },
        "gap": jnp.asarray(b - a),
    }


def pairwise_loss(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The mean of $(1 - w^T (x_+ - x_-))^2$ over all pairs."""
    score = x @ w
    return float(np.mean((1 - (score[y > 0][:, None] - score[y < 0])) ** 2))


def auc(score: np.ndarray, y: np.ndarray) -> float:
    """How often a positive scores above a negative; equal scores count half."""
    difference = score[y > 0][:, None] - score[y < 0]
    return float(np.mean((difference > 0) + (difference == 0) / 2))
