"""Robust regression: against other solvers, against random adversaries, and against bad files."""

import functools
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import minimax as mm
from games.robust_regression import DIABETES, example, read_table, standardise

pytestmark = pytest.mark.usefixtures("float64")

TABLE = np.loadtxt(DIABETES, delimiter=",", skiprows=1)
NAMES = DIABETES.read_text().splitlines()[0].split(",")


KINDS: dict[str, Any] = {
    "design": dict(robust_to="design", radius=0.05),
    "labels": dict(robust_to="labels", penalty=3.0),
    "rows": dict(robust_to="rows", penalty=0.5),
}


@functools.cache
def example_of(kind) -> Any:
    return example(**KINDS[kind])


def solved(kind):
    """The solution of an example, and its summary."""
    given = example_of(kind)
    solution = mm.solve(given.game, given.players, given.solver, metric=given.metric, tol=1e-9)
    assert solution.success, solution
    return solution, given.summary(solution.players)


# The same quantities, computed here from the file, in its units and by other formulas.

X, TARGET = TABLE[:, :-1], TABLE[:, -1]
ROWS = len(TARGET)
FEATURES = (X - X.mean(axis=0)) / X.std(axis=0)


def in_units(intercept, slopes):
    """Coefficients of standardised features as those of the features, intercept first."""
    raw = slopes / X.std(axis=0)
    return np.array([intercept - raw @ X.mean(axis=0), *raw])


def errors(coefficients):
    return coefficients[0] + X @ coefficients[1:] - TARGET


def column(summary, name):
    return np.array([row[name] for row in summary["coefficients"].values()])


def minimised(loss, start):
    best = scipy.optimize.minimize(loss, start, method="BFGS", options=dict(gtol=1e-9))
    return best.fun, best.x


LEAST_SQUARES = np.linalg.lstsq(np.column_stack([np.ones(ROWS), X]), TARGET)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_its_least_squares_are_those_of_the_raw_columns(kind):
    given = example_of(kind)
    summary = given.summary(given.players)
    assert list(summary["coefficients"]) == ["(intercept)", *NAMES[:-1]]
    np.testing.assert_allclose(column(summary, "least squares"), LEAST_SQUARES, rtol=1e-9)


def test_design_agrees_with_a_general_minimiser():
    solution, summary = solved("design")
    spread = TARGET.std()

    def loss(parameters):  # both in standard deviations, of target and features
        intercept, slopes = parameters[0], parameters[1:]
        error = intercept + FEATURES @ slopes - (TARGET - TARGET.mean()) / spread
        return math.sqrt(error @ error / ROWS) + 0.05 * np.linalg.norm(slopes)

    value, parameters = minimised(loss, np.full(X.shape[1] + 1, 0.1))
    assert math.isclose(solution.value, value, rel_tol=1e-8)
    expected = in_units(TARGET.mean() + spread * parameters[0], spread * parameters[1:])
    np.testing.assert_allclose(column(summary, "robust"), expected, rtol=1e-3, atol=1e-4)
    worst = summary["root mean square error"]["worst case"]
    assert math.isclose(worst["robust"], spread * value, rel_tol=1e-8)
    assert worst["robust"] < worst["least squares"]


def test_labels_leave_least_squares_as_they_are():
    solution, summary = solved("labels")
    np.testing.assert_allclose(column(summary, "robust"), LEAST_SQUARES, rtol=1e-5)
    mean_square = np.mean(errors(LEAST_SQUARES) ** 2)
    table = summary["mean squared error"]
    assert math.isclose(table["as given"]["robust"], mean_square, rel_tol=1e-8)
    assert math.isclose(table["worst case"]["robust"], 3 / 2 * mean_square, rel_tol=1e-8)
    assert math.isclose(solution.value, 3 / 2 * mean_square / TARGET.var(), rel_tol=1e-8)


def worst_weights(losses, penalty):
    """argmax_p p.losses - penalty n/2 |p - 1/n|^2 on the simplex: a root in one multiplier."""

    def weights(multiplier):
        return np.maximum(1 + (losses - multiplier) / penalty, 0) / ROWS

    multiplier = scipy.optimize.brentq(
        lambda m: weights(m).sum() - 1, losses.min() - penalty, losses.max() + penalty, xtol=1e-14
    )
    return weights(multiplier)


def penalised(weights, losses, penalty):
    return weights @ losses - penalty * ROWS / 2 * np.sum((weights - 1 / ROWS) ** 2)


def test_rows_agree_with_a_general_minimiser():
    solution, summary = solved("rows")
    spread = TARGET.std()

    def loss(parameters):
        losses = (
            parameters[0] + FEATURES @ parameters[1:] - (TARGET - TARGET.mean()) / spread
        ) ** 2
        return penalised(worst_weights(losses, 0.5), losses, 0.5)

    value, parameters = minimised(loss, np.zeros(X.shape[1] + 1))
    assert math.isclose(solution.value, value, rel_tol=1e-7)
    expected = in_units(TARGET.mean() + spread * parameters[0], spread * parameters[1:])
    np.testing.assert_allclose(column(summary, "robust"), expected, rtol=1e-2, atol=1e-3)
    worst = summary["mean squared error"]["worst case"]
    assert math.isclose(worst["robust"], spread**2 * value, rel_tol=1e-7)
    assert worst["robust"] < worst["least squares"]


# The certificate. In each game the true gap has a formula of its own.


gap = eqx.filter_jit(mm.DualityGap())
residual = eqx.filter_jit(mm.NaturalResidual())


def feasible_players(game, players):
    """Some players that the sets allow, near those given and far from them."""
    project = eqx.filter_jit(game.project)
    for seed, size in enumerate([0.0, 0.01, 0.1, 0.5, 3.0]):
        random = np.random.default_rng(seed)
        noise = {key: size * random.normal(size=x.shape) for key, x in players.items()}
        yield project({key: x + noise[key] for key, x in players.items()})


def test_the_gap_of_design_is_what_the_players_can_gain():
    given = example_of("design")
    game = given.game
    A, b = np.asarray(game.design), np.asarray(game.target)
    bound = float(game.constraints["w"].radius)
    for players in feasible_players(game, given.players):
        w, u, v = (np.asarray(players[key]) for key in ("w", "u", "v"))
        worst = np.linalg.norm(A @ w - b) + 0.05 * np.linalg.norm(w)
        best = -(u @ b) - bound * np.linalg.norm(A.T @ u + v)
        assert math.isclose(gap(game, players), worst - best, rel_tol=1e-12)


def test_the_gap_of_labels_bounds_what_the_players_can_gain():
    given = example_of("labels")
    game = given.game
    Q, b = np.asarray(game.design), np.asarray(game.target)
    for players in feasible_players(game, {"w": given.players["w"], "y": game.target}):
        w, y = np.asarray(players["w"]), np.asarray(players["y"])
        replies = Q.T @ y, (3 * b - Q @ w) / 2
        # Both replies lie in the balls, so they attain the maximum and the minimum.
        assert np.linalg.norm(replies[0]) <= game.constraints["w"].radius
        assert np.linalg.norm(replies[1]) <= game.constraints["y"].radius
        worst = 3 / 2 * np.sum((Q @ w - b) ** 2)
        best = np.sum((Q @ replies[0] - y) ** 2) - 3 * np.sum((y - b) ** 2)
        assert gap(game, players) >= worst - best - 1e-12


def test_the_gap_of_rows_bounds_what_the_players_can_gain():
    given = example_of("rows")
    game = given.game
    Q, b = np.asarray(game.design), np.asarray(game.target)
    for players in feasible_players(game, given.players):
        w, p = np.asarray(players["w"]), np.asarray(players["q"]) / math.sqrt(ROWS)
        losses = ROWS * (Q @ w - b) ** 2
        worst = penalised(worst_weights(losses, 0.5), losses, 0.5)
        reply = np.linalg.lstsq(np.sqrt(p)[:, None] * Q, np.sqrt(p) * b)[0]
        reply *= min(1, game.constraints["w"].radius / np.linalg.norm(reply))
        best = penalised(p, ROWS * (Q @ reply - b) ** 2, 0.5)
        assert gap(game, players) >= worst - best - 1e-12


# The worst case: no adversary does worse than claimed, and the claimed one is feasible.


def some_answers(kind):
    """Claimed worst cases, with the coefficients that they are claimed for."""
    given = example_of(kind)
    random = np.random.default_rng(0)
    players = {**given.players, "w": random.normal(size=given.players["w"].shape)}
    summary = given.summary(players)
    table = summary["root mean square error" if kind == "design" else "mean squared error"]
    for name in ("robust", "least squares"):
        yield column(summary, name), table["worst case"][name]


def test_no_perturbation_of_the_design_does_worse_than_claimed():
    random = np.random.default_rng(0)
    for coefficients, claimed in some_answers("design"):
        slopes = coefficients[1:] * X.std(axis=0)
        error = errors(coefficients)

        def after(move, error=error, slopes=slopes):
            """The error where the features move by so many standard deviations."""
            move = 0.05 * math.sqrt(ROWS) * move / np.linalg.norm(move)
            return math.sqrt(np.mean((error + move @ slopes) ** 2))

        worst_move = np.outer(error, slopes)
        moves = [random.normal(size=X.shape) for _ in range(50)]
        near = np.abs(worst_move).mean()
        assert max(map(after, moves)) <= claimed
        assert max(after(worst_move + near * move) for move in moves) <= claimed
        assert math.isclose(after(worst_move), claimed, rel_tol=1e-9)


def test_no_labels_do_worse_than_claimed():
    random = np.random.default_rng(0)
    for coefficients, claimed in some_answers("labels"):
        error = errors(coefficients)

        def after(move, error=error):
            return np.mean((error - move) ** 2) - 3 * np.mean(move**2)

        worst_move = -error / 2
        for size in (1.0, 10.0, 100.0):
            move = size * random.normal(size=ROWS)
            assert max(after(move), after(worst_move + move)) <= claimed
        assert math.isclose(after(worst_move), claimed, rel_tol=1e-9)


def test_no_weights_do_worse_than_claimed():
    random = np.random.default_rng(0)
    penalty = 0.5 * TARGET.var()
    for coefficients, claimed in some_answers("rows"):
        losses = errors(coefficients) ** 2
        worst = worst_weights(losses, penalty)
        for share in (0.0, 0.5, 0.9, 1.0):
            weights = random.dirichlet(np.ones(ROWS))
            assert penalised(share * worst + (1 - share) * weights, losses, penalty) <= claimed * (
                1 + 1e-12
            )
        assert math.isclose(penalised(worst, losses, penalty), claimed, rel_tol=1e-9)


# Other shapes of problems, for which the solution is known in closed form.


@pytest.fixture
def written(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def random_table(rows, columns, seed=0):
    random = np.random.default_rng(seed)
    cells = random.normal(size=(rows, columns)).round(3)
    header = ",".join(f"c{i}" for i in range(columns))
    return "\n".join([header, *(",".join(map(str, row)) for row in cells)])


@pytest.mark.parametrize("radius", [0.0, 1e-6, 0.1, 0.5, 2.0, 50.0])
@pytest.mark.parametrize("rows, columns", [(30, 4), (4, 9), (6, 6)])
def test_the_closed_form_of_design_is_a_saddle_point(written, rows, columns, radius):
    given: Any = example(written(random_table(rows, columns)), radius=radius)
    assert abs(gap(given.game, given.solution)) < 1e-12
    assert residual(given.game, given.solution) < 1e-10
    w = given.solution["w"]
    assert jnp.linalg.norm(w) <= given.game.constraints["w"].radius / 2 * (1 + 1e-9)


@pytest.mark.parametrize("intercept", [False, True])
def test_columns_that_depend_on_each_other_span_what_they_span(written, intercept):
    lines = random_table(20, 4).splitlines()
    doubled = ["again," + lines[0], *(f"{line.split(',')[0]},{line}" for line in lines[1:])]

    def basis(lines):
        return standardise(read_table(written("\n".join(lines)))).basis(intercept)

    once, twice = basis(lines), basis(doubled)
    assert once.columns.shape == twice.columns.shape == (20, 3 + intercept)
    for each in (once, twice):
        gram = each.columns.T @ each.columns
        np.testing.assert_allclose(gram, np.eye(3 + intercept), atol=1e-12)
    projector = once.columns @ once.columns.T
    np.testing.assert_allclose(projector, twice.columns @ twice.columns.T, atol=1e-12)
    target = twice.columns @ np.ones(3 + intercept)
    shares = twice.coefficients(twice.columns.T @ target)
    assert math.isclose(shares[1], shares[2])  # the shortest coefficients treat equals equally


def test_units_do_not_matter(written):
    table = TABLE[:60, [2, 3, 8, 10]]
    header = "bmi,bp,s5,target"

    def coefficients(scale):
        rows = [",".join(map(repr, map(float, row * scale))) for row in table]
        given: Any = example(written("\n".join([header, *rows])), radius=0.1)
        return given.summary(given.solution)["coefficients"]

    scale = np.array([1e-150, 1e150, 1e9, 1e-9])
    plain, other = coefficients(np.ones(4)), coefficients(scale)
    for name, factor in zip(header.split(",")[:3], scale[3] / scale[:3], strict=True):
        for answer, number in plain[name].items():
            assert math.isclose(other[name][answer], factor * number, rel_tol=1e-9)


def test_the_target_may_be_any_column(written):
    given: Any = example(target="bmi")
    assert list(given.summary(given.players)["coefficients"]) == [
        "(intercept)",
        *(name for name in NAMES if name != "bmi"),
    ]


def test_files_as_spreadsheets_write_them(written):
    plain = read_table(written("a,b\n1,2\n3,5\n"))
    other = read_table(written('\ufeff"a", b\r\n1,2\r\n\r\n 3 ,5e0\r\n'))
    assert plain.names == other.names == ["a", "b"]
    np.testing.assert_array_equal(plain.cells, other.cells)


def test_standardise_gives_columns_of_length_one():
    problem = standardise(read_table(DIABETES))
    np.testing.assert_allclose(np.linalg.norm(problem.design, axis=0), 1)
    np.testing.assert_allclose(problem.design.mean(axis=0), 0, atol=1e-15)
    assert math.isclose(np.linalg.norm(problem.target), 1)
    assert math.isclose(problem.target_scale, TARGET.std())


GOOD = "a,b,c\n1,2,3\n4,5,9\n7,9,8\n"


@pytest.mark.parametrize(
    "content, chosen, message",
    [
        ("", {}, "does not begin with a header"),
        ("\n\n", {}, "does not begin with a header"),
        ("a,b\n", {}, "has no rows below its header: expected two or more."),
        ("a,b\n1,2\n", {}, "has one row below its header: expected two or more."),
        ("1,2\n3,4\n5,7\n", {}, "begins with numbers ('1', '2'): expected a header"),
        ("a,b\n1,2\n3,x\n", {}, "line 3, column 'b': 'x' is not a number."),
        ("a,b\n1,2\n3,\n", {}, "line 3, column 'b': a value is missing (''). Fill it in or"),
        ("a,b\n1,NaN\n3,4\n", {}, "line 2, column 'b': a value is missing ('NaN')."),
        ("a,b\n1,2\n3,-inf\n", {}, "line 3, column 'b': '-inf' is infinite."),
        ("a,b\n1,2\n3,1e999\n", {}, "line 3, column 'b': '1e999' is infinite."),
        ("a,b\n1,2\n3,4,5\n", {}, "line 3: 3 cells where the header has 2 columns."),
        ("a,b\n1,2\n3\n", {}, "line 3: 1 cells where the header has 2 columns."),
        ("a,b,a\n1,2,3\n4,5,6\n", {}, "has two columns named 'a': rename one."),
        ("a,,b\n1,2,3\n4,5,6\n", {}, "column 2 has no name in the header."),
        ("a\n1\n2\n", {}, "has one column, 'a': expected features and a target"),
        ("a;b\n1;2\n3;4\n", {}, "line 2, column 'a;b': '1;2' is not a number."),
        ("a,b\n1,2\n1,3\n", {}, "column 'a' is constant (1), so nothing can be learned from it."),
        ("a,b\n1,2\n3,2\n", {}, "column 'b' is constant (2), so nothing can be learned about it."),
        (b"a,b\n\xff\xfe,2\n3,4\n", {}, "is not a comma-separated text file: 'utf-8' codec"),
        ('a,b\n1,"2\n3,4\n', {}, "is not a comma-separated text file: unexpected end of data."),
        (GOOD, {"target": "B"}, "has no column 'B': there are 'a', 'b', 'c'."),
        ("alpha,beta\n1,2\n3,4\n", {"target": "betta"}, "no column 'betta': did you mean 'beta'?"),
        (GOOD, {"radius": -1.0}, "radius is -1.0: expected a finite number >= 0."),
        (GOOD, {"radius": math.nan}, "radius is nan: expected a finite number >= 0."),
        (GOOD, {"radius": math.inf}, "radius is inf: expected a finite number >= 0."),
        (GOOD, {"robust_to": "labels", "penalty": 1.0}, "penalty is 1.0: expected a finite nu"),
        (GOOD, {"robust_to": "rows", "penalty": 0.0}, "penalty is 0.0: expected a finite numb"),
        (GOOD, {"robust_to": "rows", "penalty": math.nan}, "penalty is nan: expected a finite"),
    ],
)
def test_bad_input_is_said_in_one_line(written, content, chosen, message):
    path = written(content)
    with pytest.raises(mm.GameError) as raised:
        example(path, **chosen)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    if not set(chosen) - {"target"}:
        assert str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(mm.GameError, match="missing.csv: No such file or directory"):
        example(tmp_path / "missing.csv")
    with pytest.raises(mm.GameError, match="Is a directory"):
        example(tmp_path)
