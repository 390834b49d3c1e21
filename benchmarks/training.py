"""What it costs to train a GAN on mini-batches with `solve`: sampled, fed, watched, kept.

ExtraAdam on the GAN of `_gan`; the batch of every step is new.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import optax

import minimax as mm
from benchmarks import _gan
from benchmarks._table import Row, faster, slower
from benchmarks._timing import Program, duel

STEPS, CHECK_EVERY = 200, 50
"""Steps per call, about a second, and between two looks."""
INTERVAL, LONG = 1000, 3000
"""Steps between two checkpoints, and of a run that is watched or kept, in which what is done once,
such as the fingerprint of its program, has its share."""

SAMPLED = "solve with a Sampler"


def rows() -> Iterator[Row]:
    """Against a scan by hand, and PyTorch where it is installed, whose Adam moves all leaves as one
    vector, as `optax.flatten` does; then what else `solve` does, against `solve` without."""
    game, players, _ = _gan.problem()
    sampler, key = mm.Sampler(_gan.sample), jax.random.key(0)
    adam = optax.adam(_gan.LEARNING_RATE, b1=0.5)
    leaf_by_leaf, fused = mm.ExtraGradient(adam), mm.ExtraGradient(optax.flatten(adam))

    def program(
        steps: int = STEPS, solver: mm.AbstractSolver = leaf_by_leaf, **options: Any
    ) -> Program:
        given = {"data": sampler, "key": key, "check_every": CHECK_EVERY} | options
        return Program(
            lambda: mm.solve(game, players, solver, max_steps=steps, **given).players, steps
        )

    train, arrays = _gan.by_hand(players, STEPS, _gan.sample)
    by_hand = Program(lambda: train(arrays, key), STEPS)
    yield slower("sampled batches, per step", "lax.scan by hand", duel(program(), by_hand), 1.0)
    if importlib.util.find_spec("torch") is not None:  # an extra
        from benchmarks import _torch

        theirs = Program(_torch.by_hand(STEPS), STEPS)
        for what, solver in (("leaf by leaf", leaf_by_leaf), ("optax.flatten", fused)):
            yield faster(
                f"sampled batches, {what}, per step",
                "PyTorch, fused Adam",
                duel(program(solver=solver), theirs),
                1.8,
            )
    yield slower("batches of the host", SAMPLED, duel(_fed(program), program()), 1.10)
    plain = program(LONG)
    watched = program(LONG, callback=lambda look: None, progress=True)
    yield slower("callback and progress", SAMPLED, duel(watched, plain, compilations=1), 1.03)
    kept = Program(lambda: _kept(program), LONG)
    what = f"a checkpoint every {INTERVAL} steps"
    yield slower(what, SAMPLED, duel(kept, plain, compilations=1), 1.05)


def _fed(program: Callable[..., Program]) -> Program:
    """The same batches' worth of numbers, from NumPy arrays that are there already."""
    draw = jax.jit(jax.vmap(_gan.sample))
    epoch = jax.device_get(draw(jax.random.split(jax.random.key(1), STEPS)))
    batches = [jax.tree.map(lambda leaf: leaf[i], epoch) for i in range(STEPS)]  # noqa: B023
    calls = (program(data=iter(batches), key=None) for _ in iter(int, 1))
    return Program(lambda: next(calls).call(), STEPS)


def _kept(program: Callable[..., Program]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return program(LONG, checkpoint=mm.Checkpoint(folder, every=INTERVAL)).call()
