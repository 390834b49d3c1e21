"""What the documents show is what happens: every example runs and prints what it says."""

import pathlib
import re

import pytest

import minimax as mm
import minimax.testing
from minimax.__main__ import main

ROOT = pathlib.Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _blocks(document: str) -> list[tuple[str, str]]:
    return _BLOCK.findall((ROOT / document).read_text())


def _skeleton(heading: str) -> str:
    """The code block under a heading of CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split(f"## {heading}\n")[1]
    return next(code for language, code in _BLOCK.findall(section) if language == "python")


def _without_rounding(text: str) -> str:
    """`text` with numbers near rounding, which differ between machines, left out."""
    text = re.sub(r"-?\d\.?\d*e-\d+", "tiny", text)
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number.group()):.3f}", text)


@pytest.mark.parametrize("document", ["README.md", "docs/which_solver.md"])
def test_a_document_prints_what_it_says(document: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each Python block, and the text block after it."""
    namespace: dict[str, object] = {}
    blocks = _blocks(document)
    compared = 0
    for (language, code), (next_language, expected) in zip(blocks, blocks[1:], strict=False):
        if language == "python":
            exec(compile(code, document, "exec"), namespace)
            printed = capsys.readouterr().out
            if next_language == "text":
                assert _without_rounding(printed) == _without_rounding(expected)
                compared += 1
    assert compared >= 1


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ("docs/which_solver.md", mm.AbstractSolver),
        ("README.md", mm.AbstractConstraint),
        ("README.md", mm.AbstractMetric),
    ],
)
def test_a_table_is_complete(document: str, kind: type) -> None:
    """Each solver, constraint and metric stands in a row of its table."""
    rows = "\n".join(line for line in (ROOT / document).read_text().splitlines() if line[:1] == "|")
    names = [name for name, each in vars(mm).items() if isinstance(each, type)]
    wanted = {name for name in names if issubclass(vars(mm)[name], kind)}
    concrete = {name for name in wanted if not name.startswith("Abstract")}
    assert concrete
    missing = {name for name in concrete if not re.search(rf"\b{name}\(", rows)}
    assert not missing, f"no row of a table in {document} for {sorted(missing)}"


def test_links_between_documents_lead_somewhere() -> None:
    """Each relative link of the README and of docs/."""
    for document in ("README.md", "CONTRIBUTING.md", "docs/which_solver.md"):
        file = ROOT / document
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", file.read_text()):
            assert (file.parent / target).exists(), f"{document}: {target}"


def test_the_readme_names_both_commands_and_their_plain_lines() -> None:
    """Each command stands with the same as plain `python3 -m venv … && pip install … && …`."""
    shell = "\n".join(code for language, code in _blocks("README.md") if language == "sh")
    for command in ("make demo", "make test"):
        assert command in shell
    assert shell.count("python3 -m venv .venv") == 2
    assert "pytest" in shell and "minimax solve games/robust_regression.py" in shell


def test_the_skeleton_of_a_game_can_be_solved(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The game of CONTRIBUTING.md, copied into a file and solved from the command line."""
    file = tmp_path / "saddle.py"
    file.write_text(_skeleton("A new game"))
    assert main(["solve", str(file), "--curvature", "0.5"]) == 0
    assert "converged" in capsys.readouterr().out


def test_the_skeleton_of_a_solver_solves() -> None:
    """The solver of CONTRIBUTING.md on a strongly monotone game, where gradient steps suffice."""
    namespace: dict[str, object] = {}
    exec(compile(_skeleton("A new solver"), "CONTRIBUTING.md", "exec"), namespace)
    solver = namespace["example"]()  # type: ignore[operator]
    game = mm.Game(lambda p: (p[0] ** 2 - p[1] ** 2) / 2 + p[0] * p[1])
    assert mm.solve(game, (1.0, 1.0), solver).success
    assert ">>> " in (type(solver).__doc__ or ""), "every solver shows a use"


def test_the_skeletons_of_a_constraint_and_a_metric_keep_the_laws() -> None:
    for heading, check in (
        ("A new constraint", minimax.testing.check_constraint),
        ("A new metric", minimax.testing.check_metric),
    ):
        namespace: dict[str, object] = {}
        exec(compile(_skeleton(heading), "CONTRIBUTING.md", "exec"), namespace)
        check(namespace["example"]())  # type: ignore[operator]
