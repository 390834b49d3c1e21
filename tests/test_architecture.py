"""The house rules of the import graph, read with `ast`."""

import ast
import pathlib

import minimax

ROOT = pathlib.Path(minimax.__file__).parents[1]
# From the ground up: a module imports only what stands on an earlier line, so there is no cycle.
FLOORS = """_errors _calls _largest _interrupt _kinds _files
    _polynomial _computed
    _tree
    _store
    _rounding
    _step_size
    _roles _players _constraints _frozen _sampler _feed
    _state
    _game
    _optimizers _moments _structure _check plot
    _check_game _stability _called
    _transforms flax
    _metrics _solvers _source
    _solution _example _choose _evidence
    _certify
    _loop
    _watch
    _checkpoint _drive
    _solve
    __init__
    _cli testing
    __main__"""
# These put their siblings together.
WRAPPERS = {
    "__init__",
    "anderson",
    "averaged",
    "best_so_far",
    "entropic_simplex",
    "exponential_moving_average",
    "exploitability",
    "halpern",
    "lookahead",
    "negative_entropy",
    "normalized_gap",
    "overview",
    "restarted",
    "semismooth_newton",
}
FLOOR = {name: floor for floor, line in enumerate(FLOORS.splitlines()) for name in line.split()}


def imported(path, everywhere=True):
    """What a file imports, dotted, with the names after `from`."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            start = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            yield from (start + alias.name for alias in node.names)


def test_imports_point_downward_and_siblings_meet_in_base():
    for path in (ROOT / "minimax").rglob("*.py"):
        room = path.relative_to(ROOT / "minimax").parts[0].removesuffix(".py")
        for first, *there in (dotted.split(".") for dotted in imported(path)):
            floor = there[0] if there and there[0] in FLOOR else "__init__"
            if first == "minimax" and floor == room:
                known = room == "_cli" or path.stem in WRAPPERS
                common = there[1] == "base" or there[1].startswith("_")
                assert known or common, f"{path} imports its sibling {there}"
            elif first == "minimax":
                assert FLOOR[floor] < FLOOR[room], f"{path} imports {there}, which is above it"
                assert (room, floor) != ("_solvers", "_metrics"), "a method must not judge itself"
            assert first != "games", f"{path}: the engine knows no game"
            assert first != "flax" or room == "flax", f"{path} imports Flax"
            if first == "matplotlib" or (first == "tyro" and path.name != "flags.py"):
                assert first not in " ".join(imported(path, everywhere=False)), path


def test_games_use_the_public_api_which_is_whole_and_no_other_game():
    for path in (ROOT / "games").rglob("*.py"):
        for first, *rest in (dotted.split(".") for dotted in imported(path)):
            assert first != "games", f"{path} imports another game"
            assert first != "minimax" or all(hasattr(minimax, n) and n[0] != "_" for n in rest)

    transformations = {path.stem for path in (ROOT / "minimax/_transforms").glob("[!_]*.py")}
    assert transformations <= set(dir(minimax)), "minimax/__init__.py lacks one"
