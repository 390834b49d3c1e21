"""Games that count how often they are differentiated."""

from collections.abc import Callable

import jax
from jaxtyping import Array, PyTree

import minimax as mm
from minimax.testing._families import Quadratic

calls = {"x": 0, "y": 0}
"""How often the gradient of each player of a `Watched` game was computed."""


def counted(player: str) -> Callable[[Array], Array]:
    """The identity, which counts how often a gradient is pulled back through it, and how often that
    gradient is differentiated again: each product with a Jacobian, transposed or not, pushes one
    vector through it. What nobody needs is not run: `pure_callback` may be dropped by the
    compiler."""

    def count(gradient):
        calls[player] += 1
        return gradient

    def call(_, gradient):
        shape = jax.ShapeDtypeStruct(gradient.shape, gradient.dtype)
        return jax.pure_callback(count, shape, gradient)

    @jax.custom_jvp
    def seen(gradient):
        return call(None, gradient)

    @seen.defjvp
    def push(primals, tangents):
        return seen(*primals), jax.custom_derivatives.linear_call(call, call, (), *tangents)

    @jax.custom_vjp
    def identity(x):
        return x

    identity.defvjp(lambda x: (x, None), lambda _, gradient: (seen(gradient),))
    return identity


watch = {player: counted(player) for player in calls}


class Watched(mm.AbstractGame):
    """`Quadratic`, in which each player's gradients are counted."""

    game: Quadratic
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> PyTree:
        return self.game.payoff({k: watch[k](z) for k, z in players.items()}, data)
