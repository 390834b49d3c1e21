"""The game f(x, y) = xᵀAy, and what a user writes by hand to solve it."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

import minimax as mm
from benchmarks._timing import Program

Pair = tuple[Float[Array, " n"], Float[Array, " m"]]

LEARNING_RATE = 1e-3
"""So small that no run ends: neither converged nor so close to 0 that numbers go subnormal."""


def payoff(players: Pair, matrix: Float[Array, "n m"]) -> Float[Array, ""]:
    """xᵀAy."""
    x, y = players
    return x @ matrix @ y


@cache  # both sides read the same memory: how a matrix lies in it changes speeds by 5 %
def problem(n: int) -> tuple[Pair, Float[Array, "n n"]]:
    """Where to start, and a random matrix of norm about 1."""
    of_matrix, of_x, of_y = jax.random.split(jax.random.key(0), 3)
    matrix = jax.random.normal(of_matrix, (n, n)) / (2 * n**0.5)
    return (jax.random.normal(of_x, (n,)), jax.random.normal(of_y, (n,))), matrix


def extra_gradient_step(matrix: Float[Array, "n m"], players: Pair, step_size: ArrayLike) -> Pair:
    """One step of extragradient, by hand."""
    gradient = jax.grad(lambda x, y: x @ matrix @ y, argnums=(0, 1))
    x, y = players
    along_x, along_y = gradient(x, y)
    ahead_x, ahead_y = x - step_size * along_x, y + step_size * along_y
    along_x, along_y = gradient(ahead_x, ahead_y)
    return x - step_size * along_x, y + step_size * along_y


@partial(jax.jit, static_argnames="steps")
def extra_gradient(
    matrix: Float[Array, "n m"], players: Pair, step_size: ArrayLike, steps: int
) -> Pair:
    """Extragradient in one compiled scan, by hand."""

    def step(players: Pair, _: None) -> tuple[Pair, None]:
        return extra_gradient_step(matrix, players, step_size), None

    return jax.lax.scan(step, players, None, length=steps)[0]


@partial(jax.jit, static_argnames="steps")
def extra_adam(matrix: Float[Array, "n m"], players: Pair, steps: int) -> Pair:
    """ExtraAdam in one compiled scan with two of optax's Adams, by hand."""
    descend, ascend = optax.adam(LEARNING_RATE, b1=0.5), optax.adam(-LEARNING_RATE, b1=0.5)
    gradient = jax.grad(lambda x, y: x @ matrix @ y, argnums=(0, 1))

    def step(carry: Any, _: None) -> tuple[Any, None]:
        (x, y), (state_x, state_y) = carry
        along_x, along_y = gradient(x, y)
        update_x, state_x = descend.update(along_x, state_x)
        update_y, state_y = ascend.update(along_y, state_y)
        ahead_x, ahead_y = x + update_x, y + update_y
        along_x, along_y = gradient(ahead_x, ahead_y)
        update_x, state_x = descend.update(along_x, state_x)
        update_y, state_y = ascend.update(along_y, state_y)
        return ((x + update_x, y + update_y), (state_x, state_y)), None

    states = descend.init(players[0]), ascend.init(players[1])
    return jax.lax.scan(step, (players, states), None, length=steps)[0][0]


def by_solve(n: int, steps: int, optimizer: Any = LEARNING_RATE, **options: Any) -> Program:
    """`steps` steps of `mm.solve`, which no tolerance ends."""
    players, matrix = problem(n)
    game, solver = mm.Game(payoff), mm.ExtraGradient(optimizer)

    def call() -> mm.Solution:
        return mm.solve(game, players, solver, data=matrix, max_steps=steps, tol=0.0, **options)

    return Program(call, steps)


def by_scan(n: int, steps: int) -> Program:
    """The same of `extra_gradient`."""
    players, matrix = problem(n)
    step_size = jnp.asarray(LEARNING_RATE)  # traced, as it is in the library's solvers
    return Program(lambda: extra_gradient(matrix, players, step_size, steps), steps)
