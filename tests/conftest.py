"""Settings that all tests share."""

from typing import Any

import jax
import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

# The laws are asserted there.
pytest.register_assert_rewrite("minimax.testing")

# Few examples, because every new shape compiles. Each run draws the same ones;
# `pytest --hypothesis-profile=explore` draws others.
shared: dict[str, Any] = dict(
    deadline=None,
    max_examples=15,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("reproducible", derandomize=True, **shared)
settings.register_profile("explore", derandomize=False, **shared)
settings.load_profile("reproducible")


@pytest.fixture(scope="module")
def float64():
    """Double precision for all tests of a module (module scope, so that hypothesis may use it)."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def as_users_run_it():
    """Without the type checks of the test suite: only what the library itself says is raised."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
