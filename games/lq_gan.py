r"""The linear-quadratic GAN: a linear generator and a quadratic critic learn a normal distribution.

$$\min_{v, V} \max_{w, W} \; \mathbb{E}_x D(x) - \mathbb{E}_z D(v + Vz)
  - \frac\lambda2 \left(\|w\|^2 + \|W\|_F^2\right), \qquad D(x) = w^\top x + x^\top W x$$

with data $x \sim N(\mu, \Sigma)$, noise $z \sim N(0, I)$ and V lower triangular. Its expectation,

$$w^\top (\mu - v) + \langle W, \Sigma + \mu\mu^\top - VV^\top - vv^\top \rangle
  - \frac\lambda2 \left(\|w\|^2 + \|W\|_F^2\right),$$

is a game about two moments: a critic that is quadratic sees no others.

- **Players:** `{"generator": {"mean": v, "factor": V}, "critic": {"slope": w, "curvature": W}}`;
  the generator minimises, the critic maximises.
- **Payoff:** zero-sum, concave in the critic, not convex in the generator: that is a matrix
  factorisation. "population" is the expectation; "sampled" is its estimate from mini-batches.
- **Sets:** none, both players are free.
- **Known solution:** $v = \mu$, V the Cholesky factor of $\Sigma$, $w = 0$, $W = 0$, value 0. With
  $\Sigma$ positive definite no other point is stationary, up to signs of the columns of V, unless V
  is singular, and without the penalty up to a skew-symmetric part of W, which nobody sees. For a V
  that is not held triangular every $VQ$ with Q orthogonal would do.
- **Shapes:** `mean (d,)`, `covariance (d, d)`; v, w `(d,)`; V, W `(d, d)`, of which V is read on
  and below its diagonal. A batch: `real (n, d)`, `latent (n, d)`.
- **Source:** Daskalakis et al., "Training GANs with optimism", ICLR 2018, arXiv:1711.00141 (means,
  and covariances by a quadratic critic, without penalty); Feizi et al., "Understanding GANs: the
  LQG setting", arXiv:1710.10793 (linear generator, quadratic critic, normal data).
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import minimax as mm


class PopulationLQGAN(mm.AbstractGame):
    r"""The game of the moments, an expectation over all data.

    **Arguments:**

    - `mean`, `covariance`: $\mu$ and $\Sigma$.
    - `penalty`: $\lambda$.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from games.lq_gan import PopulationLQGAN, start
    >>> mean, covariance = jnp.array([1.0, -1.0]), jnp.array([[4.0, 2.0], [2.0, 2.0]])
    >>> game = PopulationLQGAN(mean, covariance, jnp.asarray(1.0))
    >>> generator = mm.solve(game, start(2)).players["generator"]
    >>> print(generator["mean"].round(2), generator["factor"].round(2).tolist())
    [ 1. -1.] [[2.0, 0.0], [1.0, 1.0]]

    ```
    """

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    penalty: Float[Array, ""]
    roles = {"generator": "min", "critic": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        generator, critic = players["generator"], players["critic"]
        v, V = generator["mean"], jnp.tril(generator["factor"])
        second = self.covariance + jnp.outer(self.mean, self.mean) - V @ V.T - jnp.outer(v, v)
        told = critic["slope"] @ (self.mean - v) + jnp.sum(critic["curvature"] * second)
        return told - _price(self.penalty, critic)


class SampledLQGAN(mm.AbstractGame):
    r"""The same game as it looks on a batch: the payoff is the mean of the critic's answers.

    **Arguments:**

    - `penalty`: $\lambda$.
    """

    penalty: Float[Array, ""]
    roles = {"generator": "min", "critic": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        generator, critic = players["generator"], players["critic"]
        fakes = generator["mean"] + data["latent"] @ jnp.tril(generator["factor"]).T

        def answers(x: Float[Array, "n d"]) -> Float[Array, " n"]:
            return x @ critic["slope"] + jnp.sum((x @ critic["curvature"]) * x, axis=-1)

        told = jnp.mean(answers(data["real"])) - jnp.mean(answers(fakes))
        return told - _price(self.penalty, critic)


def example(
    variant: Literal["population", "sampled"] = "population",
    dimension: int = 2,
    penalty: float = 1.0,
    batch: int = 64,
    seed: int = 0,
) -> mm.Example:
    r"""A normal distribution whose standard deviations are from 0.5 to 1.5 along random axes.

    The mean is standard normal. Without a penalty the game rotates about its solution; "population"
    is solved all the same, and noise is what the players of "sampled" then circle by.

    **Arguments:**

    - `variant`: "population": expectations in closed form, no data; "sampled": from mini-batches.
    - `dimension`: of the data and of the noise.
    - `penalty`: what the critic pays for its coefficients, 0 or more, and above 0 for "sampled".
    - `batch`: draws of the data, and of the noise, for every gradient of "sampled".
    - `seed`: of the distribution and of all draws.

    **Raises:** `GameError` for a penalty out of range, or for sizes below one.
    """
    least = 0.0 if variant == "population" else np.nextafter(0.0, 1.0)
    if not least <= penalty < np.inf:
        relation = ">=" if variant == "population" else ">"
        raise mm.GameError(f"penalty is {penalty}: expected a finite number {relation} 0.")
    if min(dimension, batch) < 1:
        raise mm.GameError(
            f"dimension is {dimension} and batch is {batch}: expected 1 or more of each."
        )
    random = np.random.default_rng(seed)
    mu = random.standard_normal(dimension)
    axes, _ = np.linalg.qr(random.standard_normal((dimension, dimension)))
    root = axes * np.linspace(0.5, 1.5, dimension)
    sigma = root @ root.T
    mean, covariance, weight = map(jnp.asarray, (mu, sigma, penalty))

    def summary(players: PyTree) -> dict[str, Any]:
        v, V = (np.asarray(players["generator"][part], float) for part in ("mean", "factor"))
        V = np.tril(V)
        return {
            "distance of the means": float(np.linalg.norm(v - mu)),
            "distance of the covariances": float(np.linalg.norm(V @ V.T - sigma)),
            "norm of the covariance": float(np.linalg.norm(sigma)),
        }

    if variant == "population":
        zero = jnp.zeros_like(covariance)
        return mm.Example(
            game=PopulationLQGAN(mean, covariance, weight),
            players=start(dimension),
            solution={
                "generator": {"mean": mean, "factor": jnp.asarray(np.linalg.cholesky(sigma))},
                "critic": {"slope": jnp.zeros_like(mean), "curvature": zero},
            },
            summary=summary,
        )
    factor = jnp.asarray(root)

    def sample(key: PRNGKeyArray) -> dict[str, Array]:
        of_real, of_latent = jax.random.split(key)
        real = mean + jax.random.normal(of_real, (batch, dimension)) @ factor.T
        return {"real": real, "latent": jax.random.normal(of_latent, (batch, dimension))}

    return mm.Example(
        game=SampledLQGAN(weight),
        players=start(dimension),
        # Both halves of a step are unbiased only if each has a batch of its own.
        solver=mm.ExponentialMovingAverage(mm.ExtraGradient(0.05, samples="independent"), 0.999),
        summary=summary,
        data=mm.Sampler(sample),
        key=jax.random.key(seed),
    )


def start(dimension: int) -> dict[str, dict[str, Array]]:
    """Standard normal fakes, and a critic that tells nothing.

    Not at V = 0, where the generator's gradient vanishes for every critic.
    """
    zero, identity = jnp.zeros(dimension), jnp.eye(dimension)
    return {
        "generator": {"mean": zero, "factor": identity},
        "critic": {"slope": zero, "curvature": jnp.zeros_like(identity)},
    }


def _price(penalty: Float[Array, ""], critic: PyTree) -> Float[Array, ""]:
    return penalty / 2 * (jnp.sum(critic["slope"] ** 2) + jnp.sum(critic["curvature"] ** 2))
