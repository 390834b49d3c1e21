"""One first call in a process of its own: `python -m benchmarks._first_call VARIANT`.

Prints seconds. Nothing of ours is imported before the clock of "import" starts.
"""

import json
import sys
import time
from collections.abc import Callable

import equinox  # noqa: F401  (what "import" is measured on top of)
import jax
import optax

STEPS = 10


def _import() -> Callable[[], object]:
    def call() -> None:
        import minimax  # noqa: F401

    return call


def _tiny() -> Callable[[], object]:
    import minimax as mm

    jax.block_until_ready(jax.numpy.zeros(()))

    def call() -> object:
        game = mm.Game(lambda players: players[0] * players[1])
        return mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.1), max_steps=STEPS, tol=0.0)

    return call


def _tiny_by_hand() -> Callable[[], object]:
    jax.block_until_ready(jax.numpy.zeros(()))
    gradient = jax.grad(lambda x, y: x * y, argnums=(0, 1))

    def step(players: tuple, _: None) -> tuple[tuple, None]:
        x, y = players
        along_x, along_y = gradient(x, y)
        along_x, along_y = gradient(x - 0.1 * along_x, y + 0.1 * along_y)
        return (x - 0.1 * along_x, y + 0.1 * along_y), None

    def call() -> object:
        return jax.jit(lambda z: jax.lax.scan(step, z, None, length=STEPS)[0])((1.0, 1.0))

    return call


def _gan() -> Callable[[], object]:
    import minimax as mm
    from benchmarks import _gan

    game, start, data = _gan.problem()

    def call() -> object:
        solver = mm.ExtraGradient(optax.adam(_gan.LEARNING_RATE, b1=0.5))
        return mm.solve(game, start, solver, data=data, max_steps=STEPS, tol=0.0)

    return call


def _gan_by_hand() -> Callable[[], object]:
    from benchmarks import _gan

    _, start, data = _gan.problem()

    def call() -> object:
        train, arrays = _gan.by_hand(start, STEPS)
        return train(arrays, data)

    return call


VARIANTS = {
    "import": _import,
    "tiny": _tiny,
    "tiny_by_hand": _tiny_by_hand,
    "gan": _gan,
    "gan_by_hand": _gan_by_hand,
}


def main(variant: str) -> None:
    """Prints how long the call took, result waited for."""
    call = VARIANTS[variant]()
    start = time.perf_counter()
    jax.block_until_ready(call())
    print(json.dumps(time.perf_counter() - start))


if __name__ == "__main__":
    main(sys.argv[1])
