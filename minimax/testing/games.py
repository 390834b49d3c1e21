"""All laws of games, in one call."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import minimax as mm
from minimax._errors import GameError
from minimax.testing import _game_laws
from minimax.testing._game_case import GameCase as GameCase
from minimax.testing._law import check

game_laws = _game_laws.LAWS
"""Each is called with a `GameCase`, and `applies` to some of them."""


def check_game_laws(
    example: Callable[[], mm.Example],
    dtypes: Sequence[str] = ("float32", "float64"),
    options: Mapping[str, Any] | None = None,
    unique: bool = True,
) -> None:
    r"""Holds every law of games against one, with where to start and the solution that you know.

    The laws say that game and players fit together, that the operator is the derivative of each
    player's own payoff with the right sign, that the payoff is the same compiled and in a batch,
    that projected players are feasible, that the known solution is one, and that the example is
    solved. What a game means, `mm.check_game` tells you.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> import minimax.testing
    >>> from jaxtyping import Array, Float
    >>> class Saddle(mm.AbstractGame):
    ...     curvature: Float[Array, ""]
    ...     roles = {"x": "min", "y": "max"}
    ...
    ...     def payoff(self, players, data=None):
    ...         x, y = players["x"], players["y"]
    ...         return self.curvature / 2 * (x - 1) ** 2 + x * y - self.curvature / 2 * y**2
    >>> def example():
    ...     saddle = {"x": jnp.array(1.0), "y": jnp.array(0.0)}
    ...     return mm.Example(Saddle(jnp.array(0.5)), {"x": 0.3, "y": 0.2}, saddle)
    >>> minimax.testing.check_game_laws(example, dtypes=["float32"])
    Traceback (most recent call last):
      ...
    AssertionError: the known solution solves it: ... its natural residual is 1.0

    ```

    **Arguments:**

    - `example`: a function without arguments that makes the `mm.Example`, as in each file of a
      game; it is called once in single precision and once in double, so it must make its arrays
      itself.
    - `dtypes`: the precisions in which the game can be made.
    - `options`: of the `solve` in which the example's own solver reaches a solution, such as
      `dict(tol=1e-3)`.
    - `unique`: claims that the solution of the example is the only one.

    **Raises:** `AssertionError` with the name and the sentence of the first law that fails;
    `GameError` for what is of another kind.
    """
    if not callable(example) or isinstance(example, type | mm.AbstractGame):
        raise GameError(
            f"example is {example!r}: expected a function that returns an mm.Example, with the "
            "game, where to start, and the solution that is known."
        )
    check(game_laws, GameCase(example, dtypes, {} if options is None else options, unique))
