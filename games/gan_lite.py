r"""Generative adversarial networks small enough to understand: Dirac-GAN, linear WGAN, 8 Gaussians.

$$\min_G \max_D \; \mathbb{E}_x \log \sigma(D(x)) + \mathbb{E}_z \log \sigma(-D(G(z)))$$

- **Players:** `{"generator": …, "critic": …}`, the generator minimises, the critic maximises:
  numbers in "dirac", vectors in "wgan", Equinox networks in "mlp".
- **Payoff:** "dirac" and "wgan" are zero-sum. "mlp" is general-sum: its generator minimises
  $-\mathbb{E}_z \log \sigma(D(G(z)))$ instead (non-saturating, as everybody trains), because the
  gradient of the zero-sum payoff vanishes just where the critic sees through the generator.
- **Sets:** none, both players are free.
- **Known solution:** "dirac": (0, 0), value -log 4. "wgan": the generator at the mean of the data,
  the critic at 0, value 0. "mlp": none in terms of its weights; where the generator has the
  distribution of the data, the critic says 0 everywhere and gets -log 4.
- **Shapes:** "dirac": scalars. "wgan": `mean (d,)`, both players `(d,)`. "mlp": `samples (n, 2)`,
  `latents (n, 2)`.
- **Source:** Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, arXiv:1406.2661;
  "dirac" and its penalty: Mescheder, Geiger and Nowozin, "Which training methods for GANs do
  actually converge?", ICML 2018, arXiv:1801.04406; "wgan": Daskalakis et al., "Training GANs with
  optimism", ICLR 2018, arXiv:1711.00141; the ring of "mlp": Metz et al., "Unrolled generative
  adversarial networks", ICLR 2017, arXiv:1611.02163.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

import minimax as mm


class DiracGAN(mm.AbstractGame):
    r"""One number against one slope: data at 0, a fake at $\theta$, the critic $D(x) = \psi x$.

    $$\min_\theta \max_\psi \; -\log(1 + e^{-\psi\theta}) - \log 2 - \frac{\gamma}{2} \psi^2.$$

    Around (0, 0) the operator's Jacobian has the eigenvalues
    $\gamma/2 \pm \sqrt{\gamma^2/4 - 1/4}$: without penalty it is a pure rotation, on which descent-
    ascent spirals outwards at every step size.

    **Arguments:**

    - `penalty`: $\gamma$, the weight of the squared slope of the critic at the data (R1).

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from games.gan_lite import DiracGAN
    >>> game = DiracGAN(jnp.asarray(0.0))
    >>> mm.solve(game, {"generator": 1.0, "critic": 1.0}, mm.ExtraGradient(1.0)).status
    <Status.converged: 0>
    >>> mm.solve(game, {"generator": 1.0, "critic": 1.0}, mm.GradientDescentAscent(0.1)).status
    <Status.max_steps: 1>

    ```
    """

    penalty: Float[Array, ""]
    roles = {"generator": "min", "critic": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        theta, psi = players["generator"], players["critic"]
        # As in the source, the critic's output is large on fakes; psi -> -psi is the usual sign.
        return jax.nn.log_sigmoid(psi * theta) - jnp.log(2.0) - self.penalty / 2 * psi**2


class LinearWGAN(mm.AbstractGame):
    r"""A generator that shifts noise against a critic that is linear: a game about the mean.

    $$\min_\theta \max_w \; \mathbb{E}_x \langle w, x \rangle - \mathbb{E}_z \langle w, \theta + z
      \rangle = \langle w, v - \theta \rangle, \qquad v = \mathbb{E}\, x, \; \mathbb{E}\, z = 0.$$

    **Arguments:**

    - `mean`: v.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from games.gan_lite import LinearWGAN
    >>> players = {"generator": jnp.zeros(2), "critic": jnp.zeros(2)}
    >>> solution = mm.solve(LinearWGAN(jnp.array([3.0, 4.0])), players)
    >>> print(jnp.round(solution.players["generator"]))
    [3. 4.]

    ```
    """

    mean: Float[Array, " d"]
    roles = {"generator": "min", "critic": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        return players["critic"] @ (self.mean - players["generator"])


class NetworkGAN(mm.AbstractGame):
    r"""Two networks on a full batch: fixed samples of the data, fixed latent draws.

    $$\text{critic: } \max_D \; \tfrac1n \sum_i \log \sigma(D(x_i)) + \log \sigma(-D(G(z_i)))
      - \tfrac\gamma2 \|\nabla D(x_i)\|^2, \qquad
      \text{generator: } \min_G \; -\tfrac1n \sum_i \log \sigma(D(G(z_i))).$$

    **Arguments:**

    - `samples`, `latents`: $x_i$ and $z_i$.
    - `penalty`: $\gamma$ (R1). Without it the critic's slope at the data need not vanish at an
      equilibrium, and the networks circle around one.
    """

    samples: Float[Array, "n d"]
    latents: Float[Array, "n k"]
    penalty: Float[Array, ""]
    roles = {"generator": "min", "critic": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> dict[str, Float[Array, ""]]:
        generator, critic = players["generator"], players["critic"]
        real, slope = jax.vmap(jax.value_and_grad(critic))(self.samples)
        fake = jax.vmap(critic)(jax.vmap(generator)(self.latents))
        seen_through = jnp.mean(jax.nn.log_sigmoid(real)) + jnp.mean(jax.nn.log_sigmoid(-fake))
        penalty = self.penalty / 2 * jnp.mean(jnp.sum(slope**2, axis=-1))
        return {
            "critic": seen_through - penalty,
            "generator": -jnp.mean(jax.nn.log_sigmoid(fake)),
        }


def example(
    variant: Literal["dirac", "wgan", "mlp"] = "dirac",
    penalty: float | None = None,
    points: int = 64,
    width: int = 32,
    seed: int = 0,
) -> mm.Example:
    """One of the three games, with a solver that suits it.

    "mlp" learns a ring of eight Gaussians (radius 2, standard deviation 0.02). Adam with a constant
    step size would keep it at a distance from any equilibrium, so its step size halves every
    thousand steps; its natural residual falls below 0.01 within a few thousand.

    **Arguments:**

    - `variant`: "dirac": two numbers that rotate; "wgan": two vectors; "mlp": two networks.
    - `penalty`: weight of the squared slope of the critic at the data; by default 0 for "dirac" and
      0.1 for "mlp". "wgan" has none.
    - `points`: how many samples and latent draws "mlp" has.
    - `width`: of the two hidden layers of both networks of "mlp".
    - `seed`: of samples, latent draws and initial weights.

    **Raises:** `GameError` for a negative penalty, for a penalty of "wgan", or for sizes below one.
    """
    if penalty is not None and not 0 <= penalty < np.inf:
        raise mm.GameError(f"penalty is {penalty}: expected a finite number >= 0.")
    if variant == "wgan":
        if penalty is not None:
            raise mm.GameError('the variant "wgan" has no penalty: leave it out.')
        return _wgan(seed)
    if variant == "dirac":
        return _dirac(penalty or 0.0)
    if min(points, width) < 1:
        raise mm.GameError(f"points is {points} and width is {width}: expected 1 or more of each.")
    return _mlp(0.1 if penalty is None else penalty, points, width, seed)


def _dirac(penalty: float) -> mm.Example:
    solved = {"generator": jnp.zeros(()), "critic": jnp.zeros(())}
    return mm.Example(
        game=DiracGAN(jnp.asarray(penalty)),
        players={"generator": jnp.ones(()), "critic": jnp.ones(())},
        solution=solved,
        # Extragradient contracts for steps below 1/L; L is 1/2 at the solution, plus the penalty.
        solver=mm.ExtraGradient(1 / (1 + penalty)),
    )


def _wgan(seed: int) -> mm.Example:
    mean = jnp.asarray(np.random.default_rng(seed).standard_normal(2))
    zero = jnp.zeros_like(mean)
    return mm.Example(
        game=LinearWGAN(mean),
        players={"generator": zero, "critic": zero},
        solution={"generator": mean, "critic": zero},
        # All singular values are 1; 1/sqrt(2) is then the best step of extragradient.
        solver=mm.ExtraGradient(0.7),
    )


def _mlp(penalty: float, points: int, width: int, seed: int) -> mm.Example:
    random = np.random.default_rng(seed)
    centres = np.asarray(_ring())[np.arange(points) % 8]
    samples = jnp.asarray(centres + 0.02 * random.standard_normal(centres.shape))
    latents = jnp.asarray(random.standard_normal(centres.shape))

    def summary(players: PyTree) -> dict[str, Any]:
        fakes = np.asarray(jax.vmap(players["generator"])(latents))
        distances = np.linalg.norm(fakes[:, None] - np.asarray(_ring()), axis=-1)
        close = distances.min(axis=1) < 0.1  # five standard deviations
        return {
            "Gaussians found, of 8": len(set(distances.argmin(axis=1)[close])),
            "fakes within 5 standard deviations of one": float(close.mean()),
            "median distance of a fake to the nearest": float(np.median(distances.min(axis=1))),
        }

    return mm.Example(
        game=NetworkGAN(samples, latents, jnp.asarray(penalty)),
        players={
            "generator": _network(random, width, outputs=2),
            "critic": _network(random, width, outputs="scalar"),
        },
        solver=mm.ExtraGradient(optax.adam(optax.exponential_decay(3e-3, 1000, 0.5), b1=0.5)),
        summary=summary,
    )


def _network(
    random: np.random.Generator, width: int, outputs: int | Literal["scalar"]
) -> eqx.nn.MLP:
    """A network with two hidden layers and normal weights of variance one over their fan-in.

    Smooth activations, because the penalty differentiates the critic once more. Drawn by NumPy,
    because a dozen draws by JAX take seconds to compile.
    """
    empty = eqx.filter_eval_shape(
        eqx.nn.MLP, 2, outputs, width, depth=2, activation=jnp.tanh, key=jax.random.key(0)
    )
    return jax.tree.map(
        lambda leaf: (
            jnp.asarray(random.standard_normal(leaf.shape) / np.sqrt(leaf.shape[-1]))
            if isinstance(leaf, jax.ShapeDtypeStruct)
            else leaf
        ),
        empty,
    )


def _ring() -> Float[Array, "8 2"]:
    """The eight centres."""
    angle = jnp.arange(8) * (jnp.pi / 4)
    return 2 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
