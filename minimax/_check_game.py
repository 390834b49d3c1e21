"""`check_game`: what a game is, as the library reads it, before it is solved."""

import html
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from minimax import _tree
from minimax._check import check_fits
from minimax._errors import GameError, is_known
from minimax._game import AbstractGame
from minimax._players import as_players

_PAIRS = 32


class Player(NamedTuple):
    """One leaf of the players: where it is, what it looks like, whether it descends its payoff
    ("min") or ascends it ("max"), and where it may move."""

    place: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    constraint: str


class GameReport(NamedTuple):
    r"""What `check_game` found.

    **Attributes:**

    - `players`: each leaf with its place, shape, dtype, role and constraint.
    - `not_monotone`: the most negative $\langle F(a) - F(b), a - b\rangle/\|a - b\|^2$ found at
      pairs of feasible points near the players; `None` where it was nowhere negative beyond
      rounding, which proves nothing, or where numbers cannot be looked at.
    - `pair`: the points a and b, structured like the players.
    - `not_convex`: the places of players in sets that are not convex.
    """

    players: tuple[Player, ...]
    not_monotone: float | None = None
    pair: tuple[PyTree, PyTree] | None = None
    not_convex: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows = [("player", "role", "shape", "dtype", "constraint")]
        rows += [(p.place, p.role, str(p.shape), p.dtype, p.constraint) for p in self.players]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self._words()])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def _words(self) -> str:
        return "\n".join(filter(None, [self._words_on_monotonicity(), self._words_on_sets()]))

    def _words_on_sets(self) -> str:
        if not self.not_convex:
            return ""
        return (
            f"Not convex: the set of {', '.join(self.not_convex)}. A residual of zero says that no "
            "player gains to first order; nothing bounds gaps, and there need be no saddle point."
        )

    def _words_on_monotonicity(self) -> str:
        if self.not_monotone is None:
            return 'Each "min" descends its payoff and each "max" ascends it.'
        return (
            f"Not monotone: <F(a) - F(b), a - b> is {self.not_monotone:.2g} |a - b|^2 at a pair of "
            "feasible points. A solver may cycle or stop where no player gains by a small move; "
            "see certify and local_stability."
        )


def check_game(game: AbstractGame, players: PyTree, data: PyTree = None) -> GameReport:
    """Says how game and players are read, and what is wrong with them.

    **Arguments:**

    - `game`, `players`, `data`: as for `solve`; of data that are sampled, one batch.

    **Returns:** a `GameReport`: who descends and who ascends, where each may move, and a pair of
    points where F is not monotone, if 32 pairs near the players hold one. Under `jit` and `vmap`
    only what shapes tell.

    **Raises:** `GameError` with the place and the remedy where game and players do not fit, or
    where the payoff or a gradient at the start is infinite or NaN.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players["x"] * players["y"], {"x": "min", "y": "max"})
    >>> mm.check_game(game, {"x": 1.0, "y": 1.0})
    player        role  shape  dtype    constraint
    players['x']  min   ()     float32  free
    players['y']  max   ()     float32  free
    Each "min" descends its payoff and each "max" ascends it.
    >>> mm.check_game(game, {"x": 1.0, "z": 1.0})
    Traceback (most recent call last):
    minimax.GameError: roles['y'] fits no player: roles must be a prefix of the players, ...

    ```
    """
    check_fits(game, players, data)
    players, data = as_players(players), _tree.floats_as_arrays(data)
    sets = [(each.place, each.constraint) for each in game.variables_of(players)]
    not_convex = tuple(place for place, each in sets if each is not None and not each.is_convex)
    report = GameReport(_rows(game, players), not_convex=not_convex)
    if not is_known(*jax.tree.leaves((game, players, data))):
        return report
    start = game.project(players)
    _check_finite(game, start, data)
    slope, a, b = _least_monotone_pair(game, start, data)
    if not float(slope) < 0:
        return report
    return report._replace(not_monotone=float(slope), pair=(a, b))


def _rows(game: AbstractGame, players: PyTree) -> tuple[Player, ...]:
    return tuple(
        Player(
            each.place,
            each.value.shape,
            each.value.dtype.name,
            each.role,
            "free" if each.constraint is None else type(each.constraint).__name__,
        )
        for each in game.variables_of(players)
    )


@eqx.filter_jit
def _first_look(game: AbstractGame, players: PyTree, data: PyTree) -> tuple[PyTree, PyTree]:
    return game.value(players, data), game.gradient(players, data)


def _check_finite(game: AbstractGame, players: PyTree, data: PyTree) -> None:
    value, gradient = _first_look(game, players, data)
    for name, tree in (("payoff", value), ("the gradient of players", gradient)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if not bool(jnp.all(jnp.isfinite(leaf))):
                raise GameError(
                    f"{_tree.place(name, path)} is infinite or NaN at the start: expected finite "
                    "numbers. Start elsewhere, or look for 0/0, log(0) and the derivative of "
                    "sqrt(x) or abs(x)**p at 0 in the payoff."
                )


@eqx.filter_jit
def _least_monotone_pair(
    game: AbstractGame, players: PyTree, data: PyTree
) -> tuple[Array, PyTree, PyTree]:
    r"""The pair with the least $\langle F(a) - F(b), a - b\rangle/\|a - b\|^2$, and that number, or
    zero where it is not negative beyond rounding."""
    variables, rest = _tree.partition(players)
    # As one vector, so that a network compiles to few programs.
    here, unravel = ravel_pytree(variables)
    size = _tree.scaled_norm(here)

    def at(vector: Array) -> PyTree:
        return eqx.combine(unravel(vector), rest)

    def seen_near(key: Array) -> tuple[Array, Array]:
        """A feasible point up to about the size of the players away, or 1, and F there."""
        of_length, of_noise = jax.random.split(key)
        noise = jax.random.normal(of_noise, here.shape, "float32").astype(here.dtype)
        reach = (1 + size) * 10.0 ** jax.random.uniform(of_length, (), minval=-2, maxval=0)
        moved = _tree.add_scaled(here, reach / jnp.maximum(_tree.norm(noise), 1e-30), noise)
        point = game.project(at(moved))
        operator = game.operator(point, data)
        return ravel_pytree(_tree.variables(point))[0], ravel_pytree(operator)[0]

    def probe(
        least: tuple[Array, Array, Array], key: Array
    ) -> tuple[tuple[Array, Array, Array], None]:
        # A loop over both, so that the operator is compiled once.
        (a, b), (at_a, at_b) = jax.lax.map(seen_near, jax.random.split(key))
        step = _tree.subtract(a, b)
        squared = _tree.dot(step, step)
        found = _tree.dot(_tree.subtract(at_a, at_b), step)
        eps = max(float(jnp.finfo(x.dtype).eps) for x in jax.tree.leaves(variables))
        length = jnp.sqrt(squared)
        # Of the operators, and of the points that they are taken at.
        far = length + eps**0.5 * (_tree.norm(a) + _tree.norm(b))
        rounding = 64 * eps * (_tree.norm(at_a) + _tree.norm(at_b)) * far
        slope = found / jnp.where(squared > 0, squared, 1)
        negative = (found < -rounding) & (squared > 0)
        slope = jnp.where(negative, slope, 0).astype(least[0].dtype)
        return _tree.where(slope < least[0], (slope, a, b), least), None

    keys = jax.random.split(jax.random.key(0), _PAIRS)
    (slope, a, b), _ = jax.lax.scan(probe, (jnp.zeros_like(size), here, here), keys)
    return slope, at(a), at(b)
