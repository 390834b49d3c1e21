r"""Linear regression on any CSV file, robust to errors in its features, labels or sampling.

With A the standardised features and b the standardised target, each divided by $\sqrt n$, so that
$\|Aw - b\|$ is the root mean square error in standard deviations of the target:

- "design": the features may move by $\Delta$, $\min_w \max_{\|\Delta\|_F \le r} \|(A + \Delta)w -
  b\| = \min_w \|Aw - b\| + r\|w\|$, as the bilinear game $\min_w \max_{\|u\| \le 1, \|v\| \le r}
  u^\top (Aw - b) + v^\top w$.
- "labels": an adversary writes labels y and pays for it, $\min_w \max_y \|Aw - y\|^2 -
  \lambda \|y - b\|^2$.
- "rows": an adversary reweights the rows and pays for it, $\min_w \max_p \sum_i p_i \ell_i(w) -
  \frac{\lambda n}{2} \sum_i (p_i - \frac1n)^2$ with $p$ on the simplex and $\ell_i$ the squared
  errors in variances of the target.

- **Players:** "w" minimises: coefficients. "u", "v" maximise (design); "y" (labels); "q" (rows).
- **Payoff:** zero-sum and convex-concave; bilinear for "design".
- **Sets:** balls that provably hold the solution without changing it, and for "rows" the simplex,
  so that the duality gap is finite and bounds what the answer can be improved by.
- **Known solution:** "design": ridge regression with the weight that solves one scalar equation.
  "labels": least squares, $y = (\lambda b - Aw)/(\lambda - 1)$; the adversary costs a factor
  $\lambda/(\lambda - 1)$ and changes nothing else. "rows": none in closed form.
- **Shapes:** with n rows and d features "w" has `(d,)` in "design"; in "labels" and "rows" it has
  as many entries as the columns have independent ones. "u", "y", "q" `(n,)`, "v" `(d,)`.
- **Source:** design: El Ghaoui and Lebret, "Robust solutions to least-squares problems with
  uncertain data", SIAM J. Matrix Anal. Appl. 18 (1997); rows: Namkoong and Duchi, "Variance-based
  regularization with convex objectives", NeurIPS 2017, arXiv:1610.02581.
"""

import csv
import difflib
import math
import pathlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

import minimax as mm

DIABETES = pathlib.Path(__file__).parent / "data" / "diabetes.csv"


class UncertainDesign(mm.AbstractGame):
    r"""$\min_w \max_{\|u\| \le 1, \|v\| \le r} u^\top (Aw - b) + v^\top w$ with w in a ball.

    **Arguments:**

    - `design`, `target`: A and b.
    - `constraints`: the balls of "w", "u" (radius 1) and "v" (radius r).
    """

    design: Float[Array, "n d"]
    target: Float[Array, " n"]
    constraints: dict[str, mm.L2Ball]
    roles = {"w": "min", "u": "max", "v": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        w, u, v = players["w"], players["u"], players["v"]
        return u @ (self.design @ w - self.target) + v @ w


class UncertainLabels(mm.AbstractGame):
    r"""$\min_w \max_y \|Qw - y\|^2 - \lambda\|y - b\|^2$ with w and y in balls.

    **Arguments:**

    - `design`, `target`: Q, with orthonormal columns, and b.
    - `penalty`: $\lambda > 1$.
    - `constraints`: the balls of "w" and "y".
    """

    design: Float[Array, "n k"]
    target: Float[Array, " n"]
    penalty: Float[Array, ""]
    constraints: dict[str, mm.L2Ball]
    roles = {"w": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        w, y = players["w"], players["y"]
        error = self.design @ w - y
        return error @ error - self.penalty * jnp.sum((y - self.target) ** 2)


class UncertainRows(mm.AbstractGame):
    r"""$\min_w \max_q \sum_i q_i \sqrt n (Qw - b)_i^2 - \frac\lambda2 \sum_i (q_i -
    n^{-1/2})^2$ with w in a ball and $p = q/\sqrt n$ on the simplex.

    In q the players move on the same scale: 1, where weights p would move on the scale 1/n.

    **Arguments:**

    - `design`, `target`: Q, with orthonormal columns, and b.
    - `penalty`: $\lambda > 0$.
    - `constraints`: the sets of "w" and "q".
    """

    design: Float[Array, "n k"]
    target: Float[Array, " n"]
    penalty: Float[Array, ""]
    constraints: dict[str, mm.AbstractCompactSet]
    roles = {"w": "min", "q": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        w, q = players["w"], players["q"]
        root = jnp.sqrt(jnp.asarray(q.size, q.dtype))
        squares = (self.design @ w - self.target) ** 2
        return root * (q @ squares) - self.penalty / 2 * jnp.sum((q - 1 / root) ** 2)


def example(
    data: pathlib.Path | None = None,
    target: str | None = None,
    radius: float = 0.05,
    penalty: float = 2.0,
    robust_to: Literal["design", "labels", "rows"] = "design",
) -> mm.Example:
    """Robust regression on a CSV file, by default on the diabetes data of Efron et al. (2004).

    Features and target are standardised first. The summary is in the units of the file: the
    coefficients next to those of ordinary least squares, and the worst-case error of both, computed
    from formulas and not by the solver.

    **Arguments:**

    - `data`: a comma-separated file of numbers with a header.
    - `target`: the column to predict; by default the last.
    - `radius`: how far the features may move in "design", as the root mean square over the rows, in
      standard deviations of the features.
    - `penalty`: what the adversary of "labels" (above 1) and "rows" (above 0) pays; the higher, the
      closer to ordinary least squares.
    - `robust_to`: what the adversary may change.

    **Raises:** `GameError` for a file that is missing or not a table of numbers, with the place;
    for a column that is constant or not there; for a radius or penalty out of range.
    """
    problem = standardise(read_table(DIABETES if data is None else data), target)
    if robust_to == "design":
        return _uncertain_design(problem, _checked("radius", radius, ">=", 0.0))
    if robust_to == "labels":
        return _uncertain_labels(problem, _checked("penalty", penalty, ">", 1.0))
    return _uncertain_rows(problem, _checked("penalty", penalty, ">", 0.0))


# --- the three games ------------------------------------------------------------------------------


def _uncertain_design(problem: "Regression", radius: float) -> mm.Example:
    A, b = problem.design, problem.target
    w0 = np.linalg.lstsq(A, b, rcond=None)[0]

    def as_given(w: np.ndarray) -> float:
        return float(np.linalg.norm(A @ w - b))

    def worst_case(w: np.ndarray) -> float:
        return as_given(w) + radius * float(np.linalg.norm(w))

    def summary(players: PyTree) -> dict[str, Any]:
        w = np.asarray(players["w"], float)
        return {
            "coefficients": problem.coefficients(w, w0),
            "root mean square error": {
                "as given": _both(as_given, w, w0, problem.target_scale),
                "worst case": _both(worst_case, w, w0, problem.target_scale),
            },
        }

    # With phi(w) = |Aw - b| + r|w|: phi(w*) <= phi(w0) and |Aw0 - b| <= |Aw* - b| give
    # r|w*| <= r|w0|; at r = 0, w0 itself is a solution. In a ball of twice that radius w* lies
    # inside, where the ball bends neither w* nor the best u and v.
    radius_of_w = 2 * float(np.linalg.norm(w0)) or 1.0
    return mm.Example(
        game=UncertainDesign(
            jnp.asarray(A),
            jnp.asarray(b),
            {"w": mm.L2Ball(radius_of_w), "u": mm.L2Ball(1.0), "v": mm.L2Ball(radius)},
        ),
        players={"w": jnp.zeros(A.shape[1]), "u": jnp.zeros(len(b)), "v": jnp.zeros(A.shape[1])},
        solution=_design_solution(A, b, radius),
        metric=mm.DualityGap(),
        summary=summary,
    )


def _uncertain_labels(problem: "Regression", penalty: float) -> mm.Example:
    b, basis = problem.target, problem.basis(intercept=False)
    Q = basis.columns
    w0 = Q.T @ b

    def as_given(w: np.ndarray) -> float:
        return float(np.sum((Q @ w - b) ** 2))

    def worst_case(w: np.ndarray) -> float:
        return penalty / (penalty - 1) * as_given(w)

    def summary(players: PyTree) -> dict[str, Any]:
        w = np.asarray(players["w"], float)
        return {
            "coefficients": problem.coefficients(basis.coefficients(w), basis.coefficients(w0)),
            "mean squared error": {
                "as given": _both(as_given, w, w0, problem.target_scale**2),
                "worst case": _both(worst_case, w, w0, problem.target_scale**2),
            },
        }

    # |Qw*| <= |b| = 1 and with it |y*| <= (penalty + 1)/(penalty - 1): both lie well inside.
    radius_of_y = 2 * (penalty + 1) / (penalty - 1)
    return mm.Example(
        game=UncertainLabels(
            jnp.asarray(Q),
            jnp.asarray(b),
            jnp.asarray(penalty),
            {"w": mm.L2Ball(2.0), "y": mm.L2Ball(radius_of_y)},
        ),
        players={"w": jnp.zeros(len(w0)), "y": jnp.zeros(len(b))},
        solution={
            "w": jnp.asarray(w0),
            "y": jnp.asarray((penalty * b - Q @ w0) / (penalty - 1)),
        },
        metric=mm.DualityGap(),
        summary=summary,
    )


def _uncertain_rows(problem: "Regression", penalty: float) -> mm.Example:
    # Under other weights the columns have other means, so the intercept is a coefficient here.
    b, basis = problem.target, problem.basis(intercept=True)
    Q, n = basis.columns, len(b)
    w0 = Q.T @ b

    def as_given(w: np.ndarray) -> float:
        return float(np.sum((Q @ w - b) ** 2))

    def worst_weights(w: np.ndarray) -> np.ndarray:
        return _onto_simplex(1 / n + (Q @ w - b) ** 2 / penalty)

    def worst_case(w: np.ndarray) -> float:
        p = worst_weights(w)
        return float(n * p @ (Q @ w - b) ** 2 - penalty * n / 2 * np.sum((p - 1 / n) ** 2))

    def summary(players: PyTree) -> dict[str, Any]:
        w = np.asarray(players["w"], float)
        return {
            "coefficients": problem.coefficients(basis.coefficients(w), basis.coefficients(w0)),
            "mean squared error": {
                "as given": _both(as_given, w, w0, problem.target_scale**2),
                "worst case": _both(worst_case, w, w0, problem.target_scale**2),
            },
            "rows with weight in the worst case": int(np.sum(worst_weights(w) > 0)),
            "largest weight over the average one": float(n * worst_weights(w).max()),
        }

    # as_given(w*) = as_given(w0) + |w* - w0|^2, and as_given(w*) <= worst_case(w*) <=
    # worst_case(w0): that bounds |w* - w0|. Twice the radius keeps w* inside.
    radius_of_w = np.linalg.norm(w0) + math.sqrt(max(worst_case(w0) - as_given(w0), 0.0))
    root = math.sqrt(n)
    return mm.Example(
        game=UncertainRows(
            jnp.asarray(Q),
            jnp.asarray(b),
            jnp.asarray(penalty),
            {"w": mm.L2Ball(2 * float(radius_of_w) or 1.0), "q": mm.Simplex(root)},
        ),
        players={"w": jnp.zeros(len(w0)), "q": jnp.full(n, 1 / root)},
        metric=mm.DualityGap(),
        summary=summary,
    )


def _design_solution(A: np.ndarray, b: np.ndarray, radius: float) -> dict[str, Array]:
    r"""The saddle point of "design", by bisection on one number.

    Stationarity of $\|Aw - b\| + r\|w\|$ is that of ridge regression, $(A^\top A + \lambda) w =
    A^\top b$, with $\lambda = r \|Aw - b\| / \|w\|$.
    """
    U, s, Vt = _thin_svd(A)
    along = U.T @ b
    across = np.linalg.norm(b - U @ along)
    across = across if across > 1e-12 * np.linalg.norm(b) else 0.0

    def w_at(weight: float) -> np.ndarray:
        return Vt.T @ (s * along / (s**2 + weight))

    def excess(weight: float) -> float:
        """|w| - r |Aw - b|/weight, which falls from + to - at the solution, if anywhere."""
        error = np.linalg.norm(along / (s**2 + weight))
        return float(np.linalg.norm(w_at(weight)) - radius * np.hypot(error, across / weight))

    if np.linalg.norm(A.T @ b) <= radius * np.linalg.norm(b):  # the origin is the solution
        w, u = np.zeros(A.shape[1]), -b / np.linalg.norm(b)
        return _as_players(w, u, v=-A.T @ u)
    low, high = 1e-30, 1e30
    for _ in range(300):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    w = w_at(low)
    v = radius * w / np.linalg.norm(w)
    # Where A fits b exactly, u is not the direction of the error, which is zero, but balances v.
    error = A @ w - b
    exact = np.linalg.norm(error) <= 1e-12 * np.linalg.norm(b)
    u = -U @ (Vt @ v / s) if exact else error / np.linalg.norm(error)
    return _as_players(w, u, v)


def _as_players(w: np.ndarray, u: np.ndarray, v: np.ndarray) -> dict[str, Array]:
    return {"w": jnp.asarray(w), "u": jnp.asarray(u), "v": jnp.asarray(v)}


def _onto_simplex(point: np.ndarray) -> np.ndarray:
    """The nearest probabilities, by sorting (Held, Wolfe and Crowder 1974)."""
    descending = np.sort(point)[::-1]
    thresholds = (np.cumsum(descending) - 1) / np.arange(1, len(point) + 1)
    return np.maximum(point - thresholds[np.flatnonzero(descending > thresholds)[-1]], 0)


def _both(
    loss: Callable[[np.ndarray], float], w: np.ndarray, w0: np.ndarray, unit: float
) -> dict[str, float]:
    """One row of a table: the loss of both answers in the units of the file."""
    return {"robust": unit * loss(w), "least squares": unit * loss(w0)}


def _checked(name: str, number: float, relation: Literal[">", ">="], least: float) -> float:
    fits = number >= least if relation == ">=" else number > least
    if not fits or math.isinf(number):  # NaN fits nothing
        raise mm.GameError(f"{name} is {number}: expected a finite number {relation} {least:g}.")
    return float(number)


# --- the regression -------------------------------------------------------------------------------


class Basis(NamedTuple):
    """An orthonormal basis of the columns of a design: `columns` (n, k), and the `back` (1 + d, k)
    from coefficients in it to those of the intercept and the standardised features."""

    columns: np.ndarray
    back: np.ndarray

    def coefficients(self, w: np.ndarray) -> np.ndarray:
        """Intercept and standardised coefficients; the shortest, where columns depend."""
        return self.back @ w


class Regression(NamedTuple):
    r"""A standardised regression problem.

    Columns of `design` (n, d) and `target` (n,) have mean 0 and sum of squares 1, so that
    $\|Aw - b\|^2$ is the mean squared error in variances of the target. The centred columns are
    orthogonal to an intercept, so the best intercept is 0 for every w.
    """

    names: list[str]
    design: np.ndarray
    target: np.ndarray
    feature_mean: np.ndarray
    feature_scale: np.ndarray
    target_mean: float
    target_scale: float

    def basis(self, intercept: bool) -> Basis:
        """Coordinates in which the design is perfectly conditioned, however alike its columns."""
        n = len(self.target)
        ones = np.full((n, 1), 1 / math.sqrt(n) if intercept else 0.0)
        U, s, Vt = _thin_svd(np.hstack([ones, self.design]))
        return Basis(U, Vt.T / s)

    def coefficients(
        self, robust: np.ndarray, least_squares: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """Both answers in the units of the file, by column; both hold standardised coefficients,
        with or without an intercept in front."""
        columns = map(self._in_units, (robust, least_squares))
        return {
            name: {"robust": float(ours), "least squares": float(theirs)}
            for name, ours, theirs in zip(["(intercept)", *self.names], *columns, strict=True)
        }

    def _in_units(self, coefficients: np.ndarray) -> np.ndarray:
        intercept, w = 0.0, coefficients
        if len(coefficients) > len(self.names):
            intercept, w = coefficients[0], coefficients[1:]
        slopes = self.target_scale * w / self.feature_scale
        intercept = self.target_mean + self.target_scale * intercept - slopes @ self.feature_mean
        return np.concatenate([[intercept], slopes])


def standardise(table: "Table", target: str | None = None) -> Regression:
    """The regression of one column (by default the last) on all others.

    **Raises:** `GameError` where `target` is no column, where there is no other column, or where a
    column is constant.
    """
    names = list(table.names)
    target = names[-1] if target is None else target
    if target not in names:
        close = difflib.get_close_matches(target, names, n=3, cutoff=0.5)
        hint = f"did you mean {_listed(close)}?" if close else f"there are {_listed(names)}."
        raise mm.GameError(f"{table.source} has no column {target!r}: {hint}")
    if len(names) < 2:
        raise mm.GameError(
            f"{table.source} has one column, {names[0]!r}: expected features and a target, "
            "separated by commas."
        )
    for name, column in zip(names, table.cells.T, strict=True):
        if column.min() == column.max():
            raise mm.GameError(
                f"{table.source}: column {name!r} is constant ({column[0]:g}), so nothing can be "
                "learned " + ("about it." if name == target else "from it. Remove it.")
            )
    mean, scale, standard = _standard(table.cells)
    at = names.index(target)
    return Regression(
        names=names[:at] + names[at + 1 :],
        design=np.delete(standard, at, axis=1),
        target=standard[:, at],
        feature_mean=np.delete(mean, at),
        feature_scale=np.delete(scale, at),
        target_mean=float(mean[at]),
        target_scale=float(scale[at]),
    )


def _standard(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, standard deviations, and columns with mean 0 and sum of squares 1."""
    largest = np.abs(cells).max(axis=0)  # divided out first: squares must not overflow
    mean = (cells / largest).mean(axis=0)
    centred = cells / largest - mean
    norm = np.linalg.norm(centred, axis=0)
    return largest * mean, largest * norm / math.sqrt(len(cells)), centred / norm


def _thin_svd(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The singular value decomposition without the singular values that are zero up to rounding."""
    U, s, Vt = np.linalg.svd(matrix, full_matrices=False)
    kept = s > s[0] * max(matrix.shape) * np.finfo(float).eps
    return U[:, kept], s[kept], Vt[kept]


# --- the file -------------------------------------------------------------------------------------


class Table(NamedTuple):
    """The `cells` (rows, columns) of a CSV file, the `names` of its columns, and its `source`."""

    names: list[str]
    cells: np.ndarray
    source: str


def read_table(path: pathlib.Path) -> Table:
    """The numbers of a comma-separated file with a header.

    **Raises:** `GameError`, with line and column, for whatever is not such a file.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, strict=True)
            names = _names(next(lines, []), str(path))
            cells = [
                _numbers(line, names, f"{path}, line {lines.line_num}") for line in lines if line
            ]
    except OSError as error:
        raise mm.GameError(f"{path}: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise mm.GameError(f"{path} is not a comma-separated text file: {error}.") from None
    if len(cells) < 2:
        raise mm.GameError(
            f"{path} has {['no rows', 'one row'][len(cells)]} below its header: expected two or "
            "more."
        )
    return Table(names, np.array(cells), str(path))


def _names(header: list[str], source: str) -> list[str]:
    names = [name.strip() for name in header]
    if not any(names):
        raise mm.GameError(
            f"{source} does not begin with a header: expected a line of column names, separated by "
            "commas, and lines of numbers."
        )
    if all(map(_is_number, names)):
        raise mm.GameError(
            f"{source} begins with numbers ({_listed(names)}): expected a header of column names."
        )
    for position, name in enumerate(names):
        if not name:
            raise mm.GameError(f"{source}: column {position + 1} has no name in the header.")
        if name in names[:position]:
            raise mm.GameError(f"{source} has two columns named {name!r}: rename one.")
    return names


def _numbers(line: list[str], names: list[str], where: str) -> list[float]:
    if len(line) != len(names):
        raise mm.GameError(f"{where}: {len(line)} cells where the header has {len(names)} columns.")
    return [
        _number(cell.strip(), f"{where}, column {name!r}")
        for cell, name in zip(line, names, strict=True)
    ]


def _number(cell: str, where: str) -> float:
    if cell.lower() in ("", "na", "n/a", "nan", "null", "none", "?"):
        raise mm.GameError(f"{where}: a value is missing ({cell!r}). Fill it in or drop the row.")
    if not _is_number(cell):
        raise mm.GameError(f"{where}: {cell!r} is not a number.")
    if math.isinf(float(cell)):
        raise mm.GameError(f"{where}: {cell!r} is infinite.")
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")
