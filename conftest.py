"""What long test runs need: programs that are done with are dropped."""

import gc

import jax

MANY = 60
"""How many tests go by until compiled programs are dropped."""

_since = 0


def pytest_runtest_logfinish() -> None:
    """Every program that XLA compiled stays mapped into the process, in several pieces, and Linux
    grants a process 65530 of them by default (`vm.max_map_count`); the one after those is a crash.
    """
    global _since
    _since += 1
    if _since >= MANY:
        _since = 0
        jax.clear_caches()
        gc.collect()
