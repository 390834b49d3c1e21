"""Importing the library does nothing but import."""

import subprocess
import sys

_SCRIPT = """
import sys
import minimax
from jax._src import xla_bridge

heavy = {"matplotlib", "tyro", "scipy.optimize", "pandas", "hypothesis", "flax"} & set(sys.modules)
assert not heavy, f"imported: {heavy}"
assert not xla_bridge.backends_are_initialized(), "a device was touched"
"""


def test_import_touches_no_device_and_no_extra() -> None:
    """An array made at import would start a backend, before a user can choose one."""
    run = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
