"""What long test runs need: programs that are done with are dropped."""

import gc
import pathlib

import jax

_MAPS = pathlib.Path("/proc/self/maps")
MOST = 30_000
"""How many pieces of memory may be mapped until compiled programs are dropped."""
EVERY = 20
"""How many tests go by until they are counted."""

_since = 0


def pytest_runtest_logfinish() -> None:
    """Every program that XLA compiled stays mapped into the process, in several pieces, and Linux
    grants a process 65530 of them by default (`vm.max_map_count`); the one after those is a crash.
    """
    global _since
    _since += 1
    if _since % EVERY == 0 and _MAPS.exists():
        with _MAPS.open("rb") as maps:
            if sum(1 for _ in maps) < MOST:
                return
        jax.clear_caches()
        gc.collect()
