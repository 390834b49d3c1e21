"""What the laws are tried on: bilinear games with a planted saddle point, and players of any kind.

Shapes are few, because every new shape compiles; singular values, rotations, starting points and
step sizes are drawn.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jaxtyping import Array, Float, PyTree

import minimax as mm
from minimax.testing._players import Network as Network
from minimax.testing._players import flat as flat
from minimax.testing._players import parts as parts

SHAPES = [(1, 1), (2, 2), (4, 3), (2, 5)]


class Bilinear(mm.AbstractGame):
    r"""$(x - x^\star)^\top A (y - y^\star)$ without constraints."""

    matrix: Float[Array, "n m"]
    x_star: Float[Array, " n"]
    y_star: Float[Array, " m"]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        del data
        return (players["x"] - self.x_star) @ self.matrix @ (players["y"] - self.y_star)


@dataclass(frozen=True)
class PlantedBilinear:
    r"""A bilinear game whose singular value decomposition $A = U \operatorname{diag}(s) V^\top$ and
    saddle point are known."""

    left: np.ndarray
    singular_values: np.ndarray
    right: np.ndarray
    saddle: dict[str, np.ndarray]
    start: dict[str, np.ndarray]

    @property
    def matrix(self) -> np.ndarray:
        k = self.singular_values.size
        return (self.left[:, :k] * self.singular_values) @ self.right[:, :k].T

    @property
    def game(self) -> Bilinear:
        return Bilinear(
            jnp.asarray(self.matrix),
            jnp.asarray(self.saddle["x"]),
            jnp.asarray(self.saddle["y"]),
        )

    @property
    def players(self) -> dict[str, Array]:
        return jax.tree.map(jnp.asarray, self.start)

    @property
    def s_max(self) -> float:
        return float(self.singular_values.max())

    def pairs(self, players: PyTree) -> np.ndarray:
        r"""$\zeta_i = u_i^\top (x - x^\star) + i\, v_i^\top (y - y^\star)$, i last."""
        k = self.singular_values.size
        x = (np.asarray(players["x"]) - self.saddle["x"]) @ self.left[:, :k]
        y = (np.asarray(players["y"]) - self.saddle["y"]) @ self.right[:, :k]
        return x + 1j * y

    def distance(self, players: PyTree) -> np.ndarray:
        """Euclidean distance of both players to the saddle point."""
        return np.sqrt(
            sum(np.sum((np.asarray(players[k]) - self.saddle[k]) ** 2, axis=-1) for k in "xy")
        )


def rotation(generator: np.random.Generator, n: int) -> np.ndarray:
    """A random orthogonal matrix."""
    return np.linalg.qr(generator.normal(size=(n, n)))[0]


def plant(n: int, m: int, singular_values: Any, seed: int) -> PlantedBilinear:
    """The game with these singular values; rotations, saddle and start are drawn from `seed`."""
    generator = np.random.default_rng(seed)
    return PlantedBilinear(
        left=rotation(generator, n),
        singular_values=np.asarray(singular_values, float),
        right=rotation(generator, m),
        saddle={"x": generator.normal(size=n), "y": generator.normal(size=m)},
        start={"x": generator.normal(size=n), "y": generator.normal(size=m)},
    )


seeds = st.integers(0, 2**32 - 1)


@st.composite
def bilinear_games(draw: Any, least: float = 0.05, shapes: Any = tuple(SHAPES)) -> PlantedBilinear:
    """Games of any shape in `shapes`, with singular values in [least, 1] times a random scale."""
    n, m = draw(st.sampled_from(shapes))
    scale = draw(st.sampled_from([0.01, 1.0, 30.0]))
    values = [scale * draw(st.floats(least, 1.0)) for _ in range(min(n, m))]
    return plant(n, m, values, draw(seeds))


def fractions(low: float, high: float) -> st.SearchStrategy[float]:
    """Step sizes as fractions of a threshold."""
    return st.floats(low, high, allow_nan=False)


PLAYERS = {
    "two scalars": lambda a: (a[0], a[1]),
    "dict of vectors": lambda a: {"x": a[:2], "y": a[2:5]},
    "nested": lambda a: {"x": {"w": a[:2], "rest": (a[2], [a[3:5].reshape(1, 2)])}, "y": a[5:8]},
    "modules": lambda a: {"x": Network.of(a[:2], a[2]), "y": (Network.of(a[3:5], a[5]), a[6:8])},
}
"""Players of any kind, from eight numbers."""

ROLES = {
    name: ("min", "max") if name == "two scalars" else {"x": "min", "y": "max"} for name in PLAYERS
}
"""The roles that go with `PLAYERS`."""
