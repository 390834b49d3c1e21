r"""A generative adversarial network on mini-batches: eight Gaussians on a ring, drawn without end.

$$\text{critic: } \max_D \; \mathbb{E}_x\, \phi(D(x)) + \mathbb{E}_z\, \phi(-D(G(z)))
  - \text{penalty}, \qquad \text{generator: } \min_G \; -\mathbb{E}_z\, \phi(D(G(z))).$$

- **Players:** `{"generator": …, "critic": …}`, Equinox networks with two hidden layers; the
  generator minimises, the critic maximises, each its own payoff.
- **Payoff:** general-sum. "wasserstein": $\phi(t) = t$ with the gradient penalty
  $\lambda\, \mathbb{E}(\|\nabla D(\hat x)\| - 1)^2$ on the way from data to fakes.
  "non_saturating": $\phi = \log \sigma$ with $\frac\gamma2 \mathbb{E}\|\nabla D(x)\|^2$ at the data
  (R1).
- **Sets:** none, both players are free.
- **Known solution:** none in terms of weights; where the generator has the distribution of the
  data, "non_saturating" pays the critic -log 4 and "wasserstein" pays it 0, less its penalty.
- **Shapes:** a batch: `real (n, 2)`, `latent (n, 2)`, `share (n, 1)`.
- **Source:** the ring: Metz et al., "Unrolled generative adversarial networks", ICLR 2017,
  arXiv:1611.02163; "wasserstein": Gulrajani et al., "Improved training of Wasserstein GANs",
  NeurIPS 2017, arXiv:1704.00028; "non_saturating": Mescheder, Geiger and Nowozin, "Which training
  methods for GANs do actually converge?", ICML 2018, arXiv:1801.04406; ExtraAdam: Gidel et al.,
  ICLR 2019, arXiv:1802.10551.
"""

import abc
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import minimax as mm

RADIUS, DEVIATION = 2.0, 0.02


class AbstractGAN(mm.AbstractGame):
    """A generator against a critic on a batch, of which every network output is made once."""

    penalty: Float[Array, ""]
    roles = {"generator": "min", "critic": "max"}

    @abc.abstractmethod
    def payoff(self, players: PyTree, data: PyTree = None) -> dict[str, Float[Array, ""]]: ...


class WassersteinGAN(AbstractGAN):
    r"""The critic's mean difference, with a penalty that holds its slope near one.

    **Arguments:**

    - `penalty`: $\lambda$.
    """

    def payoff(self, players: PyTree, data: PyTree = None) -> dict[str, Float[Array, ""]]:
        generator, critic = players["generator"], players["critic"]
        fakes = jax.vmap(generator)(data["latent"])
        between = data["share"] * data["real"] + (1 - data["share"]) * fakes
        slope = jnp.linalg.norm(jax.vmap(jax.grad(critic))(between), axis=-1)
        fake = jnp.mean(jax.vmap(critic)(fakes))
        difference = jnp.mean(jax.vmap(critic)(data["real"])) - fake
        return {
            "critic": difference - self.penalty * jnp.mean((slope - 1) ** 2),
            "generator": -fake,
        }


class NonSaturatingGAN(AbstractGAN):
    r"""The critic tells data from fakes; the generator maximises how often it is wrong.

    **Arguments:**

    - `penalty`: $\gamma$ (R1).
    """

    def payoff(self, players: PyTree, data: PyTree = None) -> dict[str, Float[Array, ""]]:
        generator, critic = players["generator"], players["critic"]
        real, slope = jax.vmap(jax.value_and_grad(critic))(data["real"])
        fake = jax.vmap(critic)(jax.vmap(generator)(data["latent"]))
        told = jnp.mean(jax.nn.log_sigmoid(real)) + jnp.mean(jax.nn.log_sigmoid(-fake))
        penalty = self.penalty / 2 * jnp.mean(jnp.sum(slope**2, axis=-1))
        return {"critic": told - penalty, "generator": -jnp.mean(jax.nn.log_sigmoid(fake))}


def ring(key: PRNGKeyArray, size: int) -> Float[Array, "size 2"]:
    """Draws from the eight Gaussians."""
    which, noise = jax.random.split(key)
    angle = jax.random.randint(which, (size,), 0, 8) * (jnp.pi / 4)
    centres = RADIUS * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return centres + DEVIATION * jax.random.normal(noise, (size, 2))


def example(
    variant: Literal["wasserstein", "non_saturating"] = "wasserstein",
    penalty: float = 0.1,
    batch: int = 256,
    width: int = 128,
    seed: int = 0,
) -> mm.Example:
    """Eight Gaussians (radius 2, standard deviation 0.02) learned by ExtraAdam from mini-batches.

    The answer is the average of the generators of the last few hundred steps.

    **Arguments:**

    - `variant`: the payoffs: "wasserstein" with a gradient penalty, which found all Gaussians
      within 6000 steps for ten of ten seeds, or "non_saturating" with R1, which may forget some.
    - `penalty`: its weight; 0.1 by default.
    - `batch`: draws of the data, and latent ones, for every step.
    - `width`: of the two hidden layers of both networks.
    - `seed`: of the initial weights and of all draws.

    **Raises:** `GameError` for a negative penalty, or for sizes below one.
    """
    if not 0 <= penalty < np.inf:
        raise mm.GameError(f"penalty is {penalty}: expected a finite number >= 0.")
    if min(batch, width) < 1:
        raise mm.GameError(f"batch is {batch} and width is {width}: expected 1 or more of each.")
    kind = {"wasserstein": WassersteinGAN, "non_saturating": NonSaturatingGAN}[variant]
    of_generator, of_critic, of_draws = jax.random.split(jax.random.key(seed), 3)

    def sample(key: PRNGKeyArray) -> dict[str, Array]:
        of_real, of_latent, of_share = jax.random.split(key, 3)
        return {
            "real": ring(of_real, batch),
            "latent": jax.random.normal(of_latent, (batch, 2)),
            "share": jax.random.uniform(of_share, (batch, 1)),
        }

    return mm.Example(
        game=kind(jnp.asarray(penalty)),
        players={
            # Smooth activations, because the penalty differentiates the critic once more.
            "generator": eqx.nn.MLP(2, 2, width, 2, jax.nn.silu, key=of_generator),
            "critic": eqx.nn.MLP(2, "scalar", width, 2, jax.nn.silu, key=of_critic),
        },
        solver=mm.ExponentialMovingAverage(
            mm.ExtraGradient(optax.adam(1e-3, b1=0.5, b2=0.9)),
            0.995,
            players={"generator": True, "critic": False},
        ),
        summary=summary,
        data=mm.Sampler(sample),
        key=of_draws,
    )


def summary(players: PyTree) -> dict[str, Any]:
    """How many Gaussians the generator has found, and how far its fakes are from the data.

    A Gaussian is found where at least a fortieth of 2000 fakes are within ten standard deviations
    of its centre. The energy distance $2\\mathbb{E}|x - y| - \\mathbb{E}|x - x'| - \\mathbb{E}|y -
    y'|$ is zero for equal distributions alone; this estimate of it may be negative.
    """
    number = 2000
    # Not a key of any run.
    of_latent, of_real = jax.random.split(jax.random.fold_in(jax.random.key(0), number))
    fakes = np.asarray(jax.vmap(players["generator"])(jax.random.normal(of_latent, (number, 2))))
    real = np.asarray(ring(of_real, number))
    angle = np.arange(8) * (np.pi / 4)
    centres = RADIUS * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    near = np.linalg.norm(fakes[:, None] - centres, axis=-1) < 10 * DEVIATION

    def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
        pairs = len(one) * (len(other) - 1 if one is other else len(other))  # none with itself
        return float(np.linalg.norm(one[:, None] - other, axis=-1).sum() / pairs)

    return {
        "Gaussians found, of 8": int((near.mean(axis=0) >= 1 / 40).sum()),
        "fakes within 10 standard deviations of one": float(near.any(axis=1).mean()),
        "energy distance to the data": 2 * mean_distance(fakes, real)
        - mean_distance(fakes, fakes)
        - mean_distance(real, real),
    }
