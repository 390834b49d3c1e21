"""A GAN of two multilayer perceptrons, and what a user writes by hand to train it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

import minimax as mm

LEARNING_RATE = 1e-3
BATCH, WIDTH, HIDDEN = 256, 128, 2

Players = tuple[eqx.nn.MLP, eqx.nn.MLP]
Batch = tuple[Float[Array, "batch 2"], Float[Array, "batch 2"]]


def payoff(players: Players, data: Batch) -> Float[Array, ""]:
    """The logistic payoff that the generator descends and the discriminator ascends."""
    generator, discriminator = players
    noise, real = data
    on_real = jax.vmap(discriminator)(real)
    on_fake = jax.vmap(discriminator)(jax.vmap(generator)(noise))
    return -jnp.mean(jax.nn.softplus(-on_real)) - jnp.mean(jax.nn.softplus(on_fake))


def problem() -> tuple[mm.Game, Players, Batch]:
    """The game, its players at the start, and one batch: noise, and eight points on a circle."""
    of_generator, of_discriminator, of_batch = jax.random.split(jax.random.key(0), 3)
    generator = eqx.nn.MLP(2, 2, WIDTH, HIDDEN, key=of_generator)
    discriminator = eqx.nn.MLP(2, "scalar", WIDTH, HIDDEN, key=of_discriminator)
    return mm.Game(payoff), (generator, discriminator), sample(of_batch)


def sample(key: PRNGKeyArray) -> Batch:
    """A batch."""
    of_noise, of_real = jax.random.split(key)
    angle = 2 * jnp.pi * jax.random.randint(of_real, (BATCH,), 0, 8) / 8
    real = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return jax.random.normal(of_noise, (BATCH, 2)), real


def by_hand(
    start: Players, steps: int, batch_of: Callable[[PyTree], Batch] | None = None
) -> tuple[Callable[[PyTree, PyTree], PyTree], PyTree]:
    """ExtraAdam in one compiled scan, and the arrays of the players that it takes: on one batch,
    or, where every step draws its own by `batch_of`, on those that follow from a key."""
    arrays, rest = eqx.partition(start, eqx.is_array)
    descend, ascend = optax.adam(LEARNING_RATE, b1=0.5), optax.adam(-LEARNING_RATE, b1=0.5)

    def move(at: PyTree, states: Any, data: Batch) -> tuple[PyTree, Any]:
        gradient = jax.grad(lambda arrays: payoff(eqx.combine(arrays, rest), data))(at)
        update_g, state_g = descend.update(gradient[0], states[0])
        update_d, state_d = ascend.update(gradient[1], states[1])
        return (update_g, update_d), (state_g, state_d)

    @jax.jit
    def train(arrays: PyTree, data: PyTree) -> PyTree:
        def step(carry: tuple[PyTree, Any], count: Array) -> tuple[tuple[PyTree, Any], None]:
            players, states = carry
            batch = data if batch_of is None else batch_of(jax.random.fold_in(data, count))
            update, states = move(players, states, batch)
            ahead = optax.apply_updates(players, update)
            update, states = move(ahead, states, batch)
            return (optax.apply_updates(players, update), states), None

        states = descend.init(arrays[0]), ascend.init(arrays[1])
        return jax.lax.scan(step, (arrays, states), jnp.arange(steps))[0][0]

    return train, arrays
