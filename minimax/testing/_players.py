"""Players of any kind, and their variables as vectors."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


class Network(eqx.Module):
    """A player with an activation function, a setting and an integer array in it."""

    weight: Array
    bias: Array
    activation: Any
    rate: float
    labels: Array

    @staticmethod
    def of(weight: Any, bias: Any) -> "Network":
        return Network(jnp.asarray(weight), jnp.asarray(bias), jnp.tanh, 0.5, jnp.arange(3))


def parts(players: PyTree) -> tuple[Array, Array]:
    """The variables of the two players, each as one vector."""
    first, second = players if isinstance(players, tuple) else (players["x"], players["y"])
    return flat(first), flat(second)


def flat(tree: PyTree) -> Array:
    """All variables of a tree as one vector."""
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
