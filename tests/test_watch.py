# Traces are asked for where they are looked at.
# pyright: reportOptionalMemberAccess=false
"""Who watches a run: callbacks, progress, and checkpoints, which outlive a process."""

import builtins
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm
from minimax import _store

GAME = mm.Game(
    lambda p, d: (p["x"] - d) @ p["y"] + 0.1 * (p["x"] @ p["x"]), {"x": "min", "y": "max"}
)
NORMAL = mm.Sampler(lambda key: jax.random.normal(key, (2,)))
SOLVER = mm.Averaged(mm.ExtraGradient(optax.adam(1e-2, b1=0.5)))


def solve(solver: mm.AbstractSolver = SOLVER, **options):
    players = {"x": jnp.ones(2), "y": jnp.ones(2)}
    options = {
        "data": NORMAL,
        "key": jax.random.key(3),
        "max_steps": 400,
        "check_every": 20,
    } | options
    return mm.solve(GAME, players, solver, **options)


def numbers(leaf):
    leaf = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return np.asarray(leaf)


def assert_equal(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(numbers(a), numbers(b))


# Callbacks ----------------------------------------------------------------------------------------


def test_a_callback_is_told_what_the_trace_records():
    """At every look, in plain numbers, and the players are its own to keep."""
    told = []
    solution = solve(callback=told.append, record=20)
    rows = solution.trace.to_dict()
    assert [look["steps"] for look in told] == list(range(20, 401, 20)) == rows["step"][1:].tolist()
    assert [look["evaluations"] for look in told] == rows["evaluations"][1:].tolist()
    assert [look["residual"] for look in told] == rows["residual"][1:].tolist()
    assert [look["value"] for look in told] == rows["value"][1:].tolist()
    for look, x in zip(told, rows["players['x']"][1:], strict=True):
        np.testing.assert_array_equal(look["players"]["x"], x)
    seconds = [look["seconds"] for look in told]
    assert 0 < seconds[0] and seconds == sorted(seconds)
    assert all(type(look["steps"]) is int and type(look["residual"]) is float for look in told)
    assert_equal(solution, solve(record=20))


def test_a_callback_is_told_the_stats_of_the_solver():
    told = []
    tuned = mm.solve(mm.Game(lambda p: p[0] * p[1]), (1.0, 1.0), callback=told.append)
    assert tuned.success and "newton_attempts" in told[-1]["stats"]


def test_a_callback_may_end_the_run():
    def enough(look):
        if look["steps"] >= 100:
            raise StopIteration

    solution = solve(callback=enough)
    assert solution.status == "stopped" and solution.steps == 100
    assert "StopIteration" in solution.message
    assert_equal(solution.players, solve(max_steps=100).players)


def test_an_error_in_a_callback_is_an_error():
    with pytest.raises(ZeroDivisionError):
        solve(callback=lambda look: 1 / 0)


def test_who_watches_does_not_watch_from_inside_jit():
    with pytest.raises(mm.GameError, match="callback.*inside of jit"):
        jax.jit(lambda key: solve(key=key, callback=print).players)(jax.random.key(0))


# Progress -----------------------------------------------------------------------------------------


def test_progress_is_silent_unless_asked_for(capfd):
    solve()
    assert capfd.readouterr() == ("", "")
    solve(progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "400/400" in err and "residual" in err


def test_without_tqdm_progress_is_lines(capfd, monkeypatch):
    """A line for every tenth of the way at most, the last one at the end."""
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    solve(progress=True)
    lines = capfd.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 12
    assert all(line.startswith("step ") and " of 400  residual " in line for line in lines)
    assert lines[-1].startswith("step 400 of 400")


# Files --------------------------------------------------------------------------------------------

ODD = {
    "half": jnp.asarray([1.5, -2.0], jnp.bfloat16),
    "key": jax.random.key(5),
    "keys": jax.random.split(jax.random.key(6), 3),
    "scalar": jnp.int32(7),
    "none": None,
    "function": jnp.tanh,
    "empty": jnp.zeros((0, 3)),
}


def test_what_is_written_is_what_is_read(tmp_path):
    _store.write(tmp_path / "file", ODD, {"note": [1, None]})
    stored = _store.read(tmp_path / "file")
    assert stored.note == {"note": [1, None]}
    blank = jax.tree.map(lambda leaf: leaf, ODD) | {
        "scalar": jnp.int32(0),
        "key": jax.random.key(0),
    }
    assert oct((tmp_path / "file").stat().st_mode & 0o444) == "0o444", "others may read it"
    assert_equal(
        {k: v for k, v in _store.filled(blank, stored, "it").items() if k != "function"},
        {k: v for k, v in ODD.items() if k != "function"},
    )


@pytest.mark.parametrize("broken", ["savez", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, broken):
    """Wherever it fails, and nothing beside it."""
    _store.write(tmp_path / "file", {"a": jnp.ones(3)}, {})

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np if broken == "savez" else os, broken, fail)
    with pytest.raises(OSError, match="no space left"):
        _store.write(tmp_path / "file", {"a": jnp.zeros(3)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    np.testing.assert_array_equal(_store.read(tmp_path / "file").arrays["['a']"], np.ones(3))


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty"])
def test_a_damaged_file_is_told(tmp_path, damage):
    path = tmp_path / "file"
    _store.write(path, {"a": jnp.arange(1000.0)}, {})
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(
        {"cut": content[:1500], "flipped": content, "other": b"hello", "empty": b""}[damage]
    )
    with pytest.raises(mm.GameError, match="is no file of minimax, or damaged"):
        _store.read(path)


def test_a_damaged_checkpoint_may_be_removed(tmp_path):
    mm.Checkpoint(tmp_path).path.write_bytes(b"hello")
    with pytest.raises(mm.GameError, match="damaged. Remove it, and the run begins anew"):
        solve(checkpoint=tmp_path)


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '\S*nowhere'$"):
        solve(max_steps=1).save(tmp_path / "nowhere" / "run.npz")


def test_a_file_that_does_not_fit_is_told(tmp_path):
    _store.write(tmp_path / "file", {"a": jnp.ones(3)}, {})
    stored = _store.read(tmp_path / "file")
    for like, words in [
        ({"b": jnp.ones(3)}, r"only one of both has \['a'\]"),
        ({"a": jnp.ones(2)}, r"\['a'\] is float32\[3\] there and float32\[2\] here"),
        ({"a": jnp.ones(3, int)}, r"\['a'\] is float32\[3\] there and int32\[3\] here"),
    ]:
        with pytest.raises(mm.GameError, match=words):
            _store.filled(like, stored, "it")


def test_a_solution_is_saved_and_loaded(tmp_path):
    """All of it: what was loaded goes on as what was saved."""
    path = tmp_path / "solution.npz"
    saved = solve(record=20, max_steps=200)
    saved.save(path)
    like = solve(record=20, max_steps=0)
    loaded = mm.Solution.load(path, like)
    assert repr(loaded) == repr(saved)
    assert_equal(loaded, saved)
    assert_equal(solve(max_steps=200, state=loaded.state).state, solve().state)
    with pytest.raises(mm.GameError, match="the solution in .* does not fit"):
        mm.Solution.load(path, solve(max_steps=0))


# Checkpoints --------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def killed_at(*steps):
    """A callback that stands for a process that is killed, with nothing closed properly."""

    def kill(look):
        if look["steps"] in steps:
            raise Killed

    return kill


@pytest.mark.parametrize("options", [{}, {"record": 40}], ids=str)
def test_a_run_goes_on_where_its_checkpoint_is(tmp_path, options):
    kept = mm.Checkpoint(tmp_path / "new" / "folder", every=100)
    with pytest.raises(Killed):
        solve(checkpoint=kept, callback=killed_at(260), **options)
    looks = []
    resumed = solve(checkpoint=kept, callback=lambda look: looks.append(look["steps"]), **options)
    assert looks[0] == 280 and resumed.status == "max_steps"
    assert_equal(resumed, solve(**options))
    looks.clear()  # and what has ended has ended
    again = solve(checkpoint=kept, callback=lambda look: looks.append(look["steps"]), **options)
    assert looks == [] and repr(again) == repr(resumed)


def test_no_more_than_an_interval_is_lost(tmp_path, monkeypatch):
    """Where nothing can be written at the end, either, as after a power cut."""
    kept = mm.Checkpoint(tmp_path, every=100)
    monkeypatch.setattr("minimax._checkpoint.Keeper.close", lambda self: None)
    with pytest.raises(Killed):
        solve(checkpoint=kept, callback=killed_at(260))
    looks = []
    solve(checkpoint=kept, callback=lambda look: looks.append(look["steps"]))
    assert looks[0] == 220


def test_more_steps_are_the_same_run(tmp_path):
    solve(checkpoint=tmp_path, max_steps=200, record=40)
    assert_equal(solve(checkpoint=tmp_path, record=40), solve(record=40))


@pytest.mark.parametrize("first", [10, 20, 210])
def test_more_steps_are_the_same_run_from_between_two_looks(tmp_path, first):
    """What is kept is the last look that the longer run has, too."""
    short = solve(checkpoint=tmp_path, max_steps=first)
    assert short.steps == first
    assert_equal(short.players, solve(max_steps=first).players)
    assert_equal(solve(checkpoint=tmp_path, max_steps=first).players, short.players)
    assert_equal(solve(checkpoint=tmp_path, max_steps=390), solve(max_steps=390))


@pytest.mark.parametrize("fewer", [200, 260, 270])
def test_a_stopped_run_is_not_gone_on_with_for_fewer_steps(tmp_path, fewer):
    """It has them already, all or nearly all."""

    def stop(look):
        if look["steps"] == 260:
            raise StopIteration

    assert solve(checkpoint=tmp_path, callback=stop).status == "stopped"
    found = solve(checkpoint=tmp_path, max_steps=fewer)
    assert found.status == "max_steps" and found.steps == max(fewer, 260)


def test_data_that_end_between_two_looks_may_be_followed_by_more(tmp_path):
    def stream(number):
        rng = np.random.default_rng(0)
        return (rng.normal(size=2).astype("float32") for _ in range(number))

    ended = solve(checkpoint=tmp_path, data=stream(130), key=None)
    assert ended.status == "exhausted" and ended.steps == 130
    more = solve(checkpoint=tmp_path, data=stream(1000), key=None)
    assert more.steps == 400
    assert_equal(more, solve(data=stream(1000), key=None))


def test_an_interruption_of_a_loader_is_one(tmp_path):
    """And what was reached before it is kept."""

    def stream(fails):
        rng = np.random.default_rng(0)
        for i in range(1000):
            if fails and i == 130:
                raise KeyboardInterrupt
            yield rng.normal(size=2).astype("float32")

    with pytest.raises(KeyboardInterrupt):
        solve(checkpoint=mm.Checkpoint(tmp_path, every=20), data=stream(True), key=None)
    looks = []
    resumed = solve(
        checkpoint=mm.Checkpoint(tmp_path, every=20),
        data=stream(False),
        key=None,
        callback=lambda look: looks.append(look["steps"]),
    )
    assert looks[0] >= 120
    assert_equal(resumed, solve(data=stream(False), key=None))


@pytest.mark.usefixtures("as_users_run_it")
def test_what_cannot_watch_is_told(tmp_path):
    with pytest.raises(mm.GameError, match="callback is 3: expected a function of one dict"):
        solve(callback=3)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(mm.GameError, match="cannot be the folder of a checkpoint"):
        solve(checkpoint=file)
    assert file.read_text() == "mine"


def test_a_run_whose_steps_are_all_made_has_not_failed():
    assert solve(max_steps=20).raise_if_failed().status == "max_steps"
    with pytest.raises(RuntimeError, match="max_steps"):
        mm.solve(
            GAME, {"x": jnp.ones(2), "y": jnp.ones(2)}, SOLVER, data=jnp.ones(2), max_steps=2
        ).raise_if_failed()


def test_time_limits_and_interruptions_are_gone_on_from(tmp_path):
    assert solve(checkpoint=tmp_path, time_limit=1e-9).status == "time_limit"
    assert solve(checkpoint=tmp_path, callback=killed_at()).steps == 400


def test_batches_of_the_host_are_passed_over(tmp_path):
    def stream():
        rng = np.random.default_rng(0)
        return (rng.normal(size=2).astype("float32") for _ in range(10**6))

    with pytest.raises(Killed):
        solve(checkpoint=tmp_path, data=stream(), key=None, callback=killed_at(260))
    resumed = solve(checkpoint=tmp_path, data=stream(), key=None)
    assert_equal(resumed, solve(data=stream(), key=None))


PROGRAM = "the program (payoff, solver, metric, sampler, shapes or the version of JAX)"


@pytest.mark.parametrize(
    ("other", "differences"),
    [
        ({"key": jax.random.key(4)}, "the data or the key"),
        ({"check_every": 10}, "check_every"),
        ({"record": 20}, "record"),
        ({"tol": 1e-3, "key": jax.random.key(4)}, "tol, the data or the key"),
        ({"solver": mm.ExtraGradient(0.2)}, "the numbers of the solver"),
        ({"solver": mm.ExtraGradient(optax.sgd(0.1))}, f"the numbers of the solver, {PROGRAM}"),
    ],
)
def test_a_checkpoint_of_another_run_is_told(tmp_path, other, differences):
    """And what makes it another."""
    solve(mm.ExtraGradient(0.1), checkpoint=tmp_path, max_steps=40)
    with pytest.raises(mm.GameError) as error:
        solve(**{"solver": mm.ExtraGradient(0.1)} | other, checkpoint=tmp_path)
    start = f"{tmp_path / 'checkpoint.npz'} is a checkpoint of another run. What differs: "
    assert str(error.value).startswith(f"{start}{differences}. Take another folder")


@pytest.mark.usefixtures("float64")
def test_what_is_hidden_in_a_function_makes_another_run(tmp_path):
    """Bodies, closures, optimizers and the arrays in them: all that is in the program."""
    table = np.eye(40)
    other_table = table.copy()
    other_table[7, 7] = 9.0

    def run(
        payoff=lambda p: (p[0] - 1) ** 2 - p[1] ** 2,
        rate=0.1,
        table=table,
        constant=1.0,
        start=0.1,
    ):
        def whole(p):
            return payoff(p) + constant * p[0] + jnp.sum(table @ (p[0] * jnp.ones(40)))

        scale = optax.scale_by_rss(initial_accumulator_value=start)  # only in its first state
        solver = mm.GradientDescentAscent(optax.chain(scale, optax.adam(rate)))
        return mm.solve(
            mm.Game(whole), (0.0, 0.0), solver, checkpoint=tmp_path, max_steps=50, tol=0.0
        )

    first = run()
    assert repr(run()) == repr(first)
    others: list[dict[str, Any]] = [
        {"payoff": lambda p: (p[0] - 5) ** 2 - p[1] ** 2},
        {"rate": 0.2},
        {"table": other_table},
        {"constant": 2.0},
        {"start": 0.2},
    ]
    for other in others:
        with pytest.raises(mm.GameError, match="is a checkpoint of another run"):
            run(**other)


def test_a_verdict_at_the_end_is_none_on_more_steps(tmp_path):
    """Out of steps a run may be called cycling; with more of them it goes on."""
    game, solver = mm.Game(lambda p: p[0] * p[1]), mm.AlternatingGradientDescentAscent(0.5)

    def run(max_steps, **options):
        return mm.solve(game, (1.0, 1.0), solver, max_steps=max_steps, **options)

    assert run(10_000, checkpoint=tmp_path).status == "cycling"
    assert_equal(run(12_000, checkpoint=tmp_path).state, run(12_000).state)


def test_divergence_does_not_harm_a_checkpoint(tmp_path):
    """What is written is what was finite."""
    game = mm.Game(lambda p: p[0] * p[1])
    kept = mm.Checkpoint(tmp_path, every=1)

    def diverging():
        solver = mm.GradientDescentAscent(1e10)
        return mm.solve(game, (1.0, 1.0), solver, checkpoint=kept, tol=1e-30, check_every=1)

    first, again = diverging(), diverging()
    assert first.status == again.status
    assert first.status in ("diverged", "nonfinite")
    assert np.isfinite(again.players).all() and repr(again) == repr(first)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "often"])
@pytest.mark.usefixtures("as_users_run_it")
def test_intervals_are_steps(every):
    with pytest.raises(mm.GameError, match="every is .*: expected a whole number >= 1"):
        mm.Checkpoint("folder", every=every)
    with pytest.raises(mm.GameError, match="checkpoint is 3: expected a folder"):
        solve(checkpoint=3)


SCRIPT = """
import sys, jax, jax.numpy as jnp, numpy as np, optax, minimax as mm
game = mm.Game(lambda p, d: (p["x"] - d) @ p["y"] + 0.1 * p["x"] @ p["x"], {"x": "min", "y": "max"})
normal = mm.Sampler(lambda key: jax.random.normal(key, (2,)))
folder = sys.argv[1]
def tell(look):
    print(look["steps"], flush=True)
solution = mm.solve(
    game, {"x": jnp.ones(2), "y": jnp.ones(2)}, mm.ExtraGradient(optax.adam(1e-2, b1=0.5)),
    data=normal, key=jax.random.key(3), max_steps=2000, check_every=20, record=20,
    checkpoint=mm.Checkpoint(folder, every=20) if folder else None, callback=tell,
)
print("end", *np.asarray(solution.trace.players["x"]).ravel().tolist())
"""


def run(folder, lines):
    """The last line of the script; or, where it is killed after so many lines, the last step."""
    root = pathlib.Path(mm.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert process.stdout is not None
    line = ""
    for count, text in enumerate(process.stdout, 1):
        line = text
        if count == lines:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    return line


def test_a_process_that_is_killed_goes_on_where_it_was(tmp_path):
    """Again and again, by a signal that nobody can catch, while it writes at every look."""
    expected = run("", None)
    reached = 0
    for lines in (7, 30, 13):
        steps = int(run(tmp_path, lines))
        assert steps >= reached + 20 * (lines - 1)  # one interval at most is lost
        stored = _store.read(tmp_path / "checkpoint.npz")
        kept = int(stored.arrays[".now.progress.steps"])
        assert kept >= steps - 20
        reached = kept
    assert run(tmp_path, None) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
