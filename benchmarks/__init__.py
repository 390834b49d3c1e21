"""This library measured against what a user would write by hand: `python -m benchmarks.run`."""
