r"""A Wasserstein GAN of two libraries: a Flax NNX critic against an Equinox generator, on the line.

$$\min_G \max_{\theta \in [-c, c]^m} \; \mathbb{E}_x D_\theta(x) - \mathbb{E}_z D_\theta(G(z))$$

Weights that are clipped keep the critic's slope bounded, by some K that they do not tell; over all
functions with slopes up to K the maximum is K times the Wasserstein distance between data and
fakes. On the line that distance is known: the mean distance of what has the same rank.

- **Players:** `{"critic": …, "generator": …}`: an `nnx.Module` that maximises and an `eqx.Module`
  that minimises, both with two hidden layers.
- **Payoff:** zero-sum, neither convex nor concave.
- **Sets:** every parameter of the critic is in [-c, c]; the generator is free.
- **Known solution:** none in terms of weights; where the fakes have the distribution of the data
  every critic is paid 0.
- **Shapes:** a batch: `real (n, 1)`, `latent (n, 1)`.
- **Source:** Arjovsky, Chintala and Bottou, "Wasserstein GAN", ICML 2017, arXiv:1701.07875,
  algorithm 1: RMSProp, and five steps of the critic for one of the generator, here on one batch.
  That the generator is averaged over time is as in Yazıcı et al., "The unusual effectiveness of
  averaging in GAN training", ICLR 2019, arXiv:1806.04498.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import minimax as mm


class ClippedWassersteinGAN(mm.AbstractGame):
    r"""The critic's mean difference on a batch.

    **Arguments:**

    - `constraints`: the box of the critic.
    """

    constraints: dict[str, mm.Box | None]
    roles = {"critic": "max", "generator": "min"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        critic, fakes = players["critic"], jax.vmap(players["generator"])(data["latent"])
        return jnp.mean(critic(data["real"])) - jnp.mean(critic(fakes))


def example(clip: float = 0.5, batch: int = 32, width: int = 8, seed: int = 0) -> mm.Example:
    """Two Gaussians on the line, at -1 and 1 with standard deviation 0.2.

    Clipping is the simplest way to bound a critic and not the safest: wider networks may run away.
    Needs Flax, the extra `flax`.

    **Arguments:**

    - `clip`: c, the bound of every parameter of the critic.
    - `batch`: draws of the data, and latent ones, for every step.
    - `width`: of the hidden layers of both networks.
    - `seed`: of the initial weights and of all draws.

    **Raises:** `GameError` where Flax is missing, for a clip that is not positive, or for sizes
    below one.
    """
    if not 0 < clip < np.inf:
        raise mm.GameError(f"clip is {clip}: expected a finite number > 0.")
    if min(batch, width) < 1:
        raise mm.GameError(f"batch is {batch} and width is {width}: expected 1 or more of each.")
    of_generator, of_draws = jax.random.split(jax.random.key(seed))

    def sample(key: PRNGKeyArray) -> dict[str, Float[Array, "n 1"]]:
        of_real, of_latent = jax.random.split(key)
        return {
            "real": draw(of_real, batch),
            "latent": jax.random.normal(of_latent, (batch, 1)),
        }

    box = mm.Box(-clip, clip)
    game = ClippedWassersteinGAN({"critic": box, "generator": None})
    players = {
        "critic": critic(width, seed),
        "generator": eqx.nn.MLP(1, 1, width, 2, jax.nn.silu, key=of_generator),
    }
    return mm.Example(
        game=game,
        players=game.project(players),
        solver=mm.ExponentialMovingAverage(
            mm.BestResponse(
                {"critic": optax.rmsprop(3e-3), "generator": optax.rmsprop(1e-3)},
                inner_steps={"critic": 5},
            ),
            decay=0.999,
            players={"critic": False, "generator": True},
        ),
        summary=summary,
        data=mm.Sampler(sample),
        key=of_draws,
    )


def critic(width: int, seed: int) -> Any:
    """A Flax NNX module with two hidden layers.

    **Raises:** `GameError` where Flax is missing.
    """
    try:
        from flax import nnx
    except ModuleNotFoundError:
        raise mm.GameError(
            'games/flax_critic.py needs Flax: pip install "minimax-jax[flax]"'
        ) from None
    options: Any = {"rngs": nnx.Rngs(seed), "param_dtype": jnp.result_type(float)}
    return nnx.Sequential(
        nnx.Linear(1, width, **options),
        nnx.relu,
        nnx.Linear(width, width, **options),
        nnx.relu,
        nnx.Linear(width, 1, **options),
    )


def draw(key: PRNGKeyArray, number: int) -> Float[Array, "n 1"]:
    """Draws of the data."""
    of_sides, of_noise = jax.random.split(key)
    sides = jax.random.rademacher(of_sides, (number, 1), dtype=float)
    return sides + 0.2 * jax.random.normal(of_noise, (number, 1))


def summary(players: PyTree) -> dict[str, Any]:
    """How far the fakes are from the data, and what the critic makes of it."""
    of_latent, of_real, of_other = jax.random.split(jax.random.fold_in(jax.random.key(0), 2000), 3)
    fakes = _fakes(players["generator"], jax.random.normal(of_latent, (5000, 1)))
    real, other = draw(of_real, 5000), draw(of_other, 5000)
    told = jnp.mean(players["critic"](real)) - jnp.mean(players["critic"](fakes))
    return {
        "Wasserstein distance of the fakes to the data": wasserstein(fakes, real),
        "of other draws of the data to the data": wasserstein(other, real),
        "difference that the critic sees": float(told),
        "share of fakes above zero, of the data half": float(jnp.mean(fakes > 0)),
    }


def wasserstein(one: Float[Array, "n 1"], other: Float[Array, "n 1"]) -> float:
    """The distance between two samples of one size: the mean distance of equal ranks."""
    ranked = (np.sort(np.ravel(each)) for each in (one, other))
    return float(np.mean(np.abs(np.subtract(*ranked))))


@eqx.filter_jit
def _fakes(generator: PyTree, latent: Float[Array, "n 1"]) -> Float[Array, "n 1"]:
    return jax.vmap(generator)(latent)
