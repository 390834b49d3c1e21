"""One run in a process of its own: `python -m benchmarks._memory VARIANT` prints its peak in MB.

The run is made twice, and the second one counts: compiling takes tens of megabytes that are not
the run's. The peak is counted from a mark that the kernel keeps for the process (Linux).
`getrusage` would not do: what it reports for a child includes its parent's peak.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import minimax as mm

STEPS, NUMBERS = 10_000, 10_000

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Pair = tuple[Float[Array, " n"], Float[Array, " n"]]


def ideal(record: int) -> float:
    """Megabytes of a trace of float32 that keeps every `record`-th step."""
    return (STEPS // record + 1) * NUMBERS * 4 / 1e6


def environment() -> dict[str, str]:
    """For the process: every large array returns to the system when it is freed (glibc)."""
    return {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}


def can_be_measured() -> bool:
    """Whether this system tells a process its peak memory."""
    return _STATUS.exists() and _RESET.exists()


def main(variant: str) -> None:
    """Prints by how much the peak memory grew."""
    run = VARIANTS[variant]
    start = jnp.ones(NUMBERS // 2), jnp.ones(NUMBERS // 2)
    jax.block_until_ready(run(start))
    gc.collect()
    _RESET.write_text("5")  # the mark of the peak falls to what is in use now
    before = _in_megabytes("VmRSS")
    jax.block_until_ready(run(start))
    print(json.dumps(_in_megabytes("VmHWM") - before))


def _payoff(players: Pair) -> Float[Array, ""]:
    return jnp.vdot(*players)


@jax.jit
def _by_hand(start: Pair) -> Pair:
    gradient = jax.grad(lambda x, y: _payoff((x, y)), argnums=(0, 1))

    def step(players: Pair, _: None) -> tuple[Pair, None]:
        x, y = players
        along_x, along_y = gradient(x, y)
        along_x, along_y = gradient(x - 1e-3 * along_x, y + 1e-3 * along_y)
        return (x - 1e-3 * along_x, y + 1e-3 * along_y), None

    return jax.lax.scan(step, start, None, length=STEPS)[0]


def _by_solve(start: Pair, record: int | None) -> mm.Solution:
    solver = mm.ExtraGradient(1e-3)
    return mm.solve(mm.Game(_payoff), start, solver, max_steps=STEPS, tol=0.0, record=record)


VARIANTS: dict[str, Callable[[Pair], object]] = {
    "by_hand": _by_hand,
    "unrecorded": partial(_by_solve, record=None),
    "every_100th": partial(_by_solve, record=100),
    "every_step": partial(_by_solve, record=1),
}


def _in_megabytes(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"{_STATUS} has no {field}")


if __name__ == "__main__":
    main(sys.argv[1])
