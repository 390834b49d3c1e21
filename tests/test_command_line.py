"""The command line: what it prints, writes and answers, and how it takes bad input."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from minimax.__main__ import main
from minimax._cli import outputs
from minimax._cli.solver import default_step_size, lipschitz_estimate
from minimax._cli.stride import MOST_BYTES, stride

GAMES = pathlib.Path(__file__).parents[1] / "games"
BILINEAR = str(GAMES / "bilinear.py")

SADDLE = '''
import minimax as mm

def example(scale: float = 1.0):
    """x y with a scale.

    Args:
        scale: how steep.
    """
    return mm.Game(lambda players: scale * players[0] * players[1]), (1.0, 1.0), (0.0, 0.0)
'''
QUICK = ["--solver", "extra-gradient", "--step-size", "0.5"]


@pytest.fixture
def written(tmp_path):
    """Writes a file of that content and returns its path as text."""

    def write(content, name="game.py"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def saddle(written):
    return written(SADDLE)


@pytest.fixture
def run(capsys):
    """Runs the command line: (exit status, stdout, stderr)."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


# What is printed.


def test_a_run_is_watched_and_kept(run, saddle, tmp_path):
    """Progress goes to stderr; the same command goes on from its checkpoint; another is told."""
    kept = [*QUICK, "--max-steps", "3000", "--progress", "--checkpoint", tmp_path / "kept"]
    status, out, err = run("solve", saddle, *kept)
    assert status == 0 and "step" in err and "residual" in err
    again = run("solve", saddle, *kept)
    assert (again[0], again[1].partition("converged")[0]) == (0, out.partition("converged")[0])
    status, out, err = run("solve", saddle, *kept, "--scale", "1.2")
    assert status == 2 and "is a checkpoint of another run" in err


def test_a_solved_game(run, saddle):
    status, out, err = run("solve", saddle, *QUICK, "--scale", "1.2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "game         Game"
    assert lines[1].split() == ["players", "0", "min", "()", "float32", "free"]
    assert lines[2].split() == ["1", "max", "()", "float32", "free"]
    assert lines[3] == "solver       ExtraGradient(optimizer=0.5, moments='shared', samples='same')"
    table = lines[5 : lines.index("", 5)]
    assert table[0].split() == ["step", "value", "residual", "evaluations"]
    assert table[1].split()[0] == "0" and 5 <= len(table) <= 13
    assert len({len(line) for line in table}) == 1, "columns are aligned"
    steps = [int(line.split()[0]) for line in table[1:]]
    assert steps == sorted(set(steps))
    assert f"converged after {steps[-1]} steps of ExtraGradient ({2 * steps[-1]} op" in out
    assert "metric       natural residual " in out and " <= 1e-05" in out
    assert "zero exactly where no player can improve to first order" in out
    assert " from the known solution" in lines[-1]


def test_a_game_that_is_not_solved(run, saddle):
    status, out, err = run("solve", saddle, "--solver", "gradient-descent-ascent", "--max-steps", 9)
    assert (status, err) == (1, "")
    assert "max_steps after 9 steps of GradientDescentAscent" in out
    assert "Raise max_steps" in out
    assert " > 1e-05" in out


def test_the_demo(run, tmp_path):
    picture, record = tmp_path / "demo.png", tmp_path / "demo.json"
    status, out, err = run(
        "solve", GAMES / "robust_regression.py", "--plot", picture, "--json", record
    )
    assert (status, err) == (0, "")
    assert "in L2Ball" in out
    assert "metric       duality gap " in out and "certificate  " in out
    assert "at most what all could gain by moving alone (" in out and " of the value)" in out
    assert "coefficients" in out and "least squares" in out and "worst case" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    content = json.loads(record.read_text())
    assert content["game"] == "UncertainDesign"
    assert content["status"] == "converged"
    assert content["residual"] <= content["tol"]
    assert content["distance_to_known_solution"] < 1e-3
    assert len(content["players"]["w"]) == 10 and len(content["players"]["u"]) == 442
    errors = content["summary"]["root mean square error"]
    assert errors["worst case"]["robust"] < errors["worst case"]["least squares"]


def test_general_sum_games_and_networks(run, written, tmp_path):
    game = written(
        """
        import equinox as eqx, jax, jax.numpy as jnp
        import minimax as mm

        def payoff(players):
            output = players["net"](jnp.ones(2))[0]
            return {"net": (output - players["y"]) ** 2, "y": -(players["y"] - 1) ** 2}

        def example():
            net = eqx.nn.MLP(2, 1, 3, 1, key=jax.random.key(0))
            return mm.Game(payoff, {"net": "min", "y": "max"}), {"net": net, "y": 0.0}
        """.replace("\n        ", "\n")
    )
    record = tmp_path / "out.json"
    status, out, err = run("solve", game, *QUICK, "--max-steps", 3, "--json", record)
    assert (status, err) == (1, "")
    assert "net  min  4 arrays, 13 numbers  free" in out
    assert "value net" in out and "value y" in out
    players = json.loads(record.read_text())["players"]
    assert np.shape(players["net"]["layers"][0]["weight"]) == (3, 2)
    assert set(json.loads(record.read_text())["value"]) == {"net", "y"}


def test_help_shows_the_flags_of_the_game(run, saddle):
    status, out, err = run("solve", saddle, "--help")
    assert (status, err) == (0, "")
    assert "--scale" in out and "how steep" in out and "x y with a scale" in out
    assert "--max-steps" in out and "--solver" in out
    # The games of this repository describe their parameters in the style of its other docstrings.
    status, out, err = run("solve", GAMES / "robust_regression.py", "--help")
    assert (status, err) == (0, "")
    assert "{design,labels,rows}" in out and "what the adversary may change" in out


def test_other_ways_to_ask(run):
    assert run("--version") == (0, f"minimax {mm.__version__}\n", "")
    status, out, _ = run("--help")
    assert status == 0 and out.startswith("usage: minimax solve FILE")
    status, out, _ = run("solve", "--help")
    assert status == 0 and "--step-size" in out
    status, out, err = run()
    assert (status, out) == (2, "") and err.startswith("usage: minimax solve FILE")


def test_annotations_may_be_strings(run, written):
    game = written("from __future__ import annotations\n" + SADDLE)
    assert run("solve", game, *QUICK, "--scale", "1.1")[0] == 0


def test_a_file_may_import_its_neighbours(run, written):
    written("FAR = 3.0\n", "a_neighbour_of_the_game.py")
    game = written("from a_neighbour_of_the_game import FAR\n" + SADDLE)
    assert run("solve", game, *QUICK)[0] == 0


# Solvers and step sizes.


@pytest.mark.parametrize("name", ["extra-gradient", "ExtraGradient", "EXTRA_GRADIENT"])
def test_solvers_are_found_by_any_spelling(run, saddle, name):
    status, out, _ = run("solve", saddle, "--solver", name, "--max-steps", 1)
    assert status == 1 and "1 steps of ExtraGradient" in out


def test_a_step_size_is_estimated(run, saddle):
    # The operator of 4 x y is a rotation with L = 4, so the step size is 1/8.
    _, out, _ = run("solve", saddle, "--scale", 4, "--solver", "optimistic-gradient")
    assert "OptimisticGradient(optimizer=0.125)" in out
    assert "converged" in out


def test_the_games_own_solver_with_another_step_size(run):
    _, out, _ = run("solve", GAMES / "gan_lite.py", "--step-size", 0.25, "--max-steps", 1)
    assert "ExtraGradient(optimizer=0.25, moments='shared', samples='same')" in out


@pytest.mark.parametrize("singular_values", [[2.0], [3.0, 1.0, 0.1]])
def test_the_estimate_is_the_lipschitz_constant_of_a_bilinear_game(singular_values):
    random = np.random.default_rng(0)
    left, right = (np.linalg.qr(random.normal(size=(4, 4)))[0] for _ in range(2))
    middle = np.zeros((4, 4))
    np.fill_diagonal(middle, singular_values + [0.0] * (4 - len(singular_values)))
    matrix = jnp.asarray(left @ middle @ right)
    game = mm.Game(lambda p: p[0] @ matrix @ p[1])
    players = (jnp.zeros(4), jnp.zeros(4))
    assert np.isclose(lipschitz_estimate(game, players), singular_values[0], rtol=1e-4)
    assert np.isclose(default_step_size(game, players), 0.5 / singular_values[0], rtol=1e-4)


def test_an_operator_that_does_not_change_has_the_step_size_one():
    game = mm.Game(lambda players: players[0] - players[1])
    assert default_step_size(game, (1.0, 2.0)) == 1.0


def test_the_estimate_moves_only_what_a_solver_would():
    class Net(eqx.Module):
        weight: jnp.ndarray
        layers: int

    game = mm.Game(lambda p: p[0].weight * p[1] * p[0].layers)
    assert np.isclose(lipschitz_estimate(game, (Net(jnp.asarray(1.0), 3), 1.0)), 3)


def test_traces_fit_into_memory():
    small, large = (1.0, 1.0), (jnp.zeros(1_000_000), 1.0)
    assert stride(small, 10_000) == 1
    assert stride(small, 0) == 1
    assert stride(small, 25_000) == 5
    assert stride(large, 10_000) * MOST_BYTES >= 10_000 * 4_000_000
    assert stride(large, 10_000) in (1000, 2000)


# Bad input: one line on stderr, exit status 2, nothing written.


@pytest.mark.parametrize(
    "content, message",
    [
        ("x = 1\n", "game.py has no function example(): define one that returns mm.Example("),
        ("example = 3\n", "game.py has no function example()"),
        ("def example(:\n", "game.py, line 1: SyntaxError: invalid syntax"),
        ("\n1 / 0\n", "game.py, line 2: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", "game.py, line 1: ModuleNotFoundError: No module named 'no_"),
        ("import sys\nsys.exit('no')\n", "game.py, line 2: SystemExit: no"),
        (b"\xff\x00", "game.py: SyntaxError: source code string cannot contain null bytes"),
        ("def example():\n    return 3\n", "example() in "),
        ("def example():\n    return 3, (1.0,)\n", "game is 3: expected an instance of mm.Abs"),
        ("def example():\n    raise OSError('two\\nlines')\n", "line 2: OSError: two lines"),
        ("def example(x): return 3\n", "the parameter 'x' of example() has neither a type nor a"),
        ("def example(x: Missing = 3): return 3\n", "line 1: NameError: name 'Missing' is not"),
        (
            "from __future__ import annotations\ndef example(x: Missing = 3): return 3\n",
            "a parameter of example() has a type that cannot be read: NameError: name 'Missing'",
        ),
        (
            SADDLE.replace("scale: float", "tol: float").replace("scale *", ""),
            "example() has a parameter 'tol', which is a flag of the command line already.",
        ),
        (SADDLE.replace("scale *", "missing *"), "the payoff raised NameError: name 'missing'"),
        (SADDLE.replace("(0.0, 0.0)", "{'x': 0.0}"), "the solution of the example is not struct"),
        (SADDLE.replace("(1.0, 1.0)", "(1, 1)"), "players[0] has dtype int32"),
        (SADDLE.replace("(0.0, 0.0)", "None, 3"), "game.py has the solver 3: expected a solver"),
        (SADDLE.replace("(0.0, 0.0)", "None, None, 3"), "has the metric 3: expected a metric, or"),
        (SADDLE.replace("(0.0, 0.0)", "None, None, None, 3"), "has the summary 3: expected a func"),
    ],
)
@pytest.mark.usefixtures("as_users_run_it")
def test_bad_files(run, written, content, message):
    status, out, err = run("solve", written(content), *QUICK)
    assert (status, out) == (2, "")
    assert err.startswith("minimax: error: ") and err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["frob"], "there is no command 'frob'"),
        (["solve"], "the file comes first"),
        (["solve", "--tol", "1", "FILE"], "the file comes first"),
        (["solve", "nowhere.py"], "nowhere.py: no such file."),
        (["solve", "DIRECTORY"], "is a directory: expected a Python file."),
        (
            ["solve", "FILE", "--solver", "steepest"],
            "there is no solver 'steepest': choose from adap",
        ),
        (["solve", "FILE", "--solver", "extragradent"], "(did you mean extra-gradient?)"),
        (["solve", "FILE", "--solver", "averaged"], "Averaged needs more than a step size"),
        (
            ["solve", "FILE", "--solver", "adaptive-extra-gradient", "--step-size", "1"],
            "AdaptiveExtraGradient takes no step size",
        ),
        (["solve", "FILE", "--step-size", "1"], "the default solver takes no step size"),
        (["solve", "FILE", *QUICK[:3], "0"], "--step-size is 0.0: expected a finite number > 0."),
        (["solve", "FILE", *QUICK[:3], "nan"], "--step-size is nan"),
        (["solve", "FILE", "--json", "DIRECTORY"], "is a directory: expected the name of a file"),
        (["solve", "FILE", "--json", "DIRECTORY/no/out.json"], "cannot be written: No such file"),
        (["solve", "FILE", "--json", "FILE/out.json"], "cannot be written: Not a directory."),
        (["solve", "FILE", "--json", os.devnull], "is not a regular file: it cannot be replaced."),
        (["solve", "FILE", "--plot", "out.xyz"], "pictures end in .avif, .eps,"),
        (["solve", "FILE", "--plot", "a.png", "--json", "a.png"], "name the same file, a.png."),
    ],
)
def test_bad_requests(run, saddle, tmp_path, arguments, message):
    given = [a.replace("FILE", saddle).replace("DIRECTORY", str(tmp_path)) for a in arguments]
    status, out, err = run(*given)
    assert (status, out) == (2, "")
    assert err.startswith("minimax: error: ") and err.count("\n") == 1
    assert message in err
    assert os.listdir(tmp_path) == ["game.py"] or "__pycache__" in os.listdir(tmp_path)


@pytest.mark.parametrize(
    "flags", [["--no-such-flag", "1"], ["--max-steps", "many"], ["--scale", "steep"]]
)
def test_bad_flags_are_explained_by_tyro(run, saddle, flags):
    status, out, err = run("solve", saddle, *flags)
    assert (status, out) == (2, "")
    assert flags[0] in err and "Traceback" not in err


@pytest.mark.parametrize("flags", [["--tol", "-1"], ["--tol", "nan"], ["--max-steps", "-1"]])
def test_bad_numbers(run, saddle, flags):
    status, _, err = run("solve", saddle, *flags)
    assert status == 2 and err.count("\n") == 1
    assert f"{flags[0]} is " in err


def test_a_summary_that_is_none(run, written):
    game = written(SADDLE.replace("(0.0, 0.0)", "None, None, None, lambda players: 3"))
    status, out, err = run("solve", game, *QUICK)
    assert status == 2 and "converged after" in out
    assert err == "minimax: error: the summary of the example returned 3: expected a dict.\n"


def test_what_a_user_s_code_raises_while_solving(run, written):
    game = written(
        SADDLE.replace(
            "return mm.Game",
            "return mm.Example(*example_of(scale), summary=lambda p: p['x'])\n\n"
            "def example_of(scale):\n    return mm.Game",
        )
    )
    status, out, err = run("solve", game, *QUICK)
    assert status == 2 and "converged after" in out
    assert "TypeError: tuple indices must be integers or slices, not str" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "package, extra, flags",
    [("tyro", "cli", ["--help"]), ("matplotlib", "plot", ["--plot", "out.png"])],
)
def test_missing_extras_are_named_before_anything_is_solved(
    run, saddle, monkeypatch, package, extra, flags
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find_spec(name, *rest),
    )
    status, out, err = run("solve", saddle, *flags)
    assert (status, out) == (2, "")
    assert f'pip install "minimax-jax[{extra}]"' in err and err.count("\n") == 1


def test_our_own_errors_keep_their_traceback(saddle, monkeypatch):
    monkeypatch.setattr(mm, "solve", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["solve", saddle])


def test_interrupted(run, saddle, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(mm, "solve", interrupt)
    status, _, err = run("solve", saddle, *QUICK)
    assert (status, err) == (130, "minimax: interrupted\n")


# Files.


def test_the_record_is_strict_json(run, written, tmp_path):
    game = written(
        """
import jax.numpy as jnp
import minimax as mm

def example():
    game = mm.Game(lambda p: p["x"].sum() * p["y"], {"x": "min", "y": "max"})
    summary = lambda players: {"inf": float("inf"), "nan": jnp.nan, "text": "a", 3: {"r": {"c": 1}}}
    return mm.Example(game, {"x": jnp.ones(2), "y": 1.0}, summary=summary)
"""
    )
    record = tmp_path / "out.json"
    assert run("solve", game, *QUICK, "--max-steps", 2, "--json", record)[0] == 1

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(record.read_text(), parse_constant=refuse)
    assert list(content) == [
        "game",
        "solver",
        "status",
        "message",
        "value",
        "residual",
        "metric",
        "tol",
        "certificate",
        "steps",
        "evaluations",
        "distance_to_known_solution",
        "players",
        "summary",
        "versions",
    ]
    assert content["summary"] == {"inf": None, "nan": None, "text": "a", "3": {"r": {"c": 1}}}
    assert content["steps"] == 2 and content["evaluations"] == 4
    assert content["distance_to_known_solution"] is None
    assert content["versions"]["minimax"] == mm.__version__
    again = mm.solve(
        mm.Game(lambda p: p["x"].sum() * p["y"], {"x": "min", "y": "max"}),
        {"x": jnp.ones(2), "y": 1.0},
        mm.ExtraGradient(0.5),
        max_steps=2,
    )
    np.testing.assert_allclose(content["players"]["x"], again.players["x"], rtol=1e-6)
    assert content["status"] == again.status.name and content["message"] == again.message


def test_files_are_replaced_whole_or_not_at_all(run, saddle, tmp_path, monkeypatch):
    target = tmp_path / "out.json"
    target.write_text("old")
    target.chmod(0o640)

    def fails(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    status, _, err = run("solve", saddle, *QUICK, "--json", target)
    assert status == 2 and "out.json cannot be written: No space left on device." in err
    assert target.read_text() == "old"
    monkeypatch.undo()
    assert run("solve", saddle, *QUICK, "--json", target)[0] == 0
    assert json.loads(target.read_text())["status"] == "converged"
    assert target.stat().st_mode & 0o777 == 0o640
    assert not [name for name in os.listdir(tmp_path) if "out.json" in name and name != "out.json"]


def test_new_files_have_the_usual_permissions(run, saddle, tmp_path):
    target, plain = tmp_path / "out.json", tmp_path / "plain"
    plain.touch()
    run("solve", saddle, *QUICK, "--json", target)
    assert target.stat().st_mode == plain.stat().st_mode


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    outputs._write(link, lambda file: file.write(b"new"))
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.parametrize("ending", ["png", "svg", "PDF"])
def test_pictures(run, saddle, tmp_path, ending):
    picture = tmp_path / f"out.{ending}"
    assert run("solve", saddle, *QUICK, "--plot", picture)[0] == 0
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "PDF": b"%PDF"}
    assert picture.read_bytes().startswith(begins[ending])


def test_players_of_any_kind_become_json():
    point = types.SimpleNamespace  # stands for a class that JSON does not know
    tree = {"a": (jnp.ones(2), None), 1: [True, 2, float("nan")], "f": jnp.tanh, "c": point}
    assert outputs._plain(tree) == {
        "a": [[1.0, 1.0], None],
        "1": [True, 2, None],
        "f": "tanh",
        "c": "SimpleNamespace",
    }


# As a process.


def command(*arguments):
    return [sys.executable, "-m", "minimax", *map(str, arguments)]


def test_as_a_process(saddle):
    done = subprocess.run(command("solve", saddle, *QUICK), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "converged after" in done.stdout


def test_control_c_does_not_wait_for_compiled_code(written):
    game = "mm.Game(lambda players: players[0] @ players[1]), (jnp.ones(5000), jnp.ones(5000))"
    saddle = written(
        f"import jax.numpy as jnp\nimport minimax as mm\n\ndef example():\n    return {game}\n"
    )
    flags = [*QUICK[:3], "1e-9", "--max-steps", 500_000_000]
    with subprocess.Popen(
        command("solve", saddle, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            while not process.stdout.readline().startswith("solver"):
                assert process.poll() is None, process.stderr.read()
            time.sleep(1)  # both before and after compilation the answer is the same
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert process.stderr.read() == "minimax: interrupted\n"
        finally:
            process.kill()  # or leaving the block would wait for it
