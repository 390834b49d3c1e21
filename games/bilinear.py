r"""The bilinear game, with a planted saddle point and a prescribed spectrum.

$$\min_{x \in \mathbb{R}^n} \max_{y \in \mathbb{R}^m} \; x^\top A y + b^\top x + c^\top y$$

- **Players:** `{"x": n numbers, "y": m numbers}`, "x" minimises, "y" maximises.
- **Payoff:** zero-sum, linear in each player's own variables.
- **Sets:** none, both players are free.
- **Known solution:** the planted $(x^\star, y^\star)$, with $b = -A y^\star$ and
  $c = -A^\top x^\star$. Where A has a null space (always if $n \ne m$) every shift along it is a
  solution too; the planted one has no part in the null space, so it is the one that gradient
  methods reach from zero.
- **Shapes:** `matrix (n, m)`, `row_cost (n,)`, `column_gain (m,)`.
- **Source:** the standard test bed of saddle-point methods, because along each pair of singular
  vectors every method of this library has a closed form: Gidel et al., "Negative momentum for
  improved game dynamics", AISTATS 2019, arXiv:1807.04740; Zhang and Yu, "Convergence of gradient
  methods on bilinear zero-sum games", ICLR 2020, arXiv:1908.05699.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

import minimax as mm


class Bilinear(mm.AbstractGame):
    r"""The game $x^\top A y + b^\top x + c^\top y$ of the free players "x" (min) and "y" (max).

    **Arguments:**

    - `matrix`: A.
    - `row_cost`, `column_gain`: b and c.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from games.bilinear import Bilinear
    >>> game = Bilinear(jnp.eye(2), jnp.array([1.0, 0.0]), jnp.array([0.0, 2.0]))
    >>> solution = mm.solve(game, {"x": jnp.ones(2), "y": jnp.ones(2)})
    >>> print(solution.players["x"].round(2) + 0, solution.players["y"].round(2) + 0)
    [ 0. -2.] [-1.  0.]

    ```
    """

    matrix: Float[Array, "n m"]
    row_cost: Float[Array, " n"]
    column_gain: Float[Array, " m"]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        x, y = players["x"], players["y"]
        return x @ self.matrix @ y + self.row_cost @ x + self.column_gain @ y


def planted(
    rows: int, columns: int, singular_values: Sequence[float], seed: int = 0
) -> tuple[Bilinear, dict[str, Array]]:
    """A random game with these singular values, and its planted saddle point.

    Singular vectors are uniformly distributed; the saddle point is standard normal on the span of
    the singular vectors that the singular values belong to.

    **Arguments:**

    - `rows`, `columns`: how many variables "x" and "y" have.
    - `singular_values`: at most as many positive numbers as the smaller of the two; the others are
      zero.
    - `seed`: of the random numbers.

    **Raises:** `GameError` for a size below one, or for singular values that are too many, none, or
    not positive.

    ```python
    >>> import numpy as np
    >>> from games.bilinear import planted
    >>> game, solution = planted(3, 2, [2.0, 0.5])
    >>> print(np.linalg.svd(game.matrix)[1].round(3))
    [2.  0.5]

    ```
    """
    most = min(rows, columns)
    if most < 1:
        raise mm.GameError(f"rows is {rows} and columns is {columns}: expected 1 or more of each.")
    if not 1 <= len(singular_values) <= most or not all(0 < s < np.inf for s in singular_values):
        raise mm.GameError(
            f"singular_values are {list(singular_values)}: expected from 1 to {most} positive "
            f"numbers for {rows} rows and {columns} columns."
        )
    random = np.random.default_rng(seed)
    left = _orthonormal(random, rows)[:, : len(singular_values)]
    right = _orthonormal(random, columns)[:, : len(singular_values)]
    matrix = left * np.asarray(singular_values) @ right.T
    x = left @ random.standard_normal(len(singular_values))
    y = right @ random.standard_normal(len(singular_values))
    game = Bilinear(*map(jnp.asarray, (matrix, -matrix @ y, -matrix.T @ x)))
    return game, {"x": jnp.asarray(x), "y": jnp.asarray(y)}


def example(rows: int = 5, columns: int = 5, condition: float = 3.0, seed: int = 0) -> mm.Example:
    """A bilinear game whose singular values fall geometrically from 1 to 1/condition.

    **Arguments:**

    - `rows`: how many variables the minimiser "x" has.
    - `columns`: how many variables the maximiser "y" has.
    - `condition`: the largest singular value over the smallest, 1 or more.
    - `seed`: of the random numbers.

    **Raises:** `GameError` for a size below one or a condition below one.
    """
    if not 1 <= condition < np.inf:
        raise mm.GameError(f"condition is {condition}: expected a finite number >= 1.")
    singular_values = np.geomspace(1.0, 1.0 / condition, max(min(rows, columns), 1))
    game, solution = planted(rows, columns, singular_values.tolist(), seed)
    return mm.Example(game, {"x": jnp.zeros(rows), "y": jnp.zeros(columns)}, solution=solution)


def _orthonormal(random: np.random.Generator, size: int) -> np.ndarray:
    """A uniformly distributed orthogonal matrix."""
    q, r = np.linalg.qr(random.standard_normal((size, size)))
    return q * np.sign(np.diag(r))
