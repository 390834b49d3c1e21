r"""The games that the laws of every solver are tried on, in families.

A method may be for some games only: for players on simplices, say. It is held to every law on the
first of `FAMILIES` whose games it is for, so a method that is for all games on the first.
"""

import abc
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

import minimax as mm
from minimax.testing._players import Network, parts

traces = []
"""One entry for every time that JAX traces the payoff below."""

STRONG = np.array([0.4, 0.3])


class Quadratic(mm.AbstractGame):
    r"""$\tfrac{\mu_x}{2}\|x - a\|^2 + (x - a)^\top A (y - b) - \tfrac{\mu_y}{2}\|y - b\|^2
    + (p + d)^\top x$.

    $\|A\| = 1/2$ and by default $\mu = (0.4, 0.3)$, so it is strongly convex-concave and L <= 0.9;
    without the push p and data, of which d is the mean over the rows, its saddle is (a, b).
    """

    matrix: Float[Array, "n m"]
    a: Float[Array, " n"]
    b: Float[Array, " m"]
    curvature: Float[Array, "2"]
    push: Float[Array, " n"]
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        traces.append(self)
        u, v = players["x"] - self.a, players["y"] - self.b
        push = self.push if data is None else self.push + jnp.mean(data, 0)
        return (
            self.curvature[0] / 2 * u @ u
            + u @ self.matrix @ v
            - self.curvature[1] / 2 * v @ v
            + push @ players["x"]
        )


class Coupling(Quadratic):
    """`Quadratic` without its squares, which regularisers can add."""

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        traces.append(self)
        x, y = players["x"], players["y"]
        push = self.push if data is None else self.push + jnp.mean(data, 0)
        return (
            (x - self.a) @ self.matrix @ (y - self.b)
            - self.curvature[0] * self.a @ x
            + self.curvature[1] * self.b @ y
            + push @ x
        )


class Around(mm.AbstractGame):
    """`Quadratic` for players of any structure, whose first variables are x and y."""

    game: Quadratic
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players: PyTree, data: PyTree = None) -> Float[Array, ""]:
        return self.game.payoff(first_variables(players), data)


class Posed(NamedTuple):
    """A game and where to start."""

    game: mm.AbstractGame
    players: PyTree


class Family(abc.ABC):
    """Games of one kind, with what the laws need to know of them."""

    error_per_residual: float
    """At most so many times its natural residual is a point away from the saddle."""

    @abc.abstractmethod
    def quadratic(self, seed: int = 0, dtype: str = "float64") -> Quadratic:
        """A random game with L <= 0.9."""

    @abc.abstractmethod
    def start(self, seed: int = 0, dtype: str = "float64") -> dict[str, Array]:
        """Random players for `quadratic`."""

    @abc.abstractmethod
    def nested(self, players: dict[str, Array]) -> PyTree:
        """Players of a mixed structure, whose first variables are `players`."""

    @abc.abstractmethod
    def moved(self, game: Quadratic, players: dict[str, Array]) -> tuple[Posed, Any]:
        """The same game seen differently, and how rows of its players are seen back."""

    @abc.abstractmethod
    def solved(self) -> Posed:
        """A game at its saddle point, with F = 0 to the last bit."""

    @abc.abstractmethod
    def with_sets(self) -> Posed:
        """A game whose solution is on the boundary of compact sets."""

    @abc.abstractmethod
    def pure(self) -> Posed:
        """A linear game at the vertex that every player prefers strictly."""

    @abc.abstractmethod
    def without_solution(self) -> Posed | None:
        """A game that some player wins without end; `None` where players are bounded."""

    @abc.abstractmethod
    def not_finite(self) -> Posed:
        """A game whose operator is infinite at the start."""

    @abc.abstractmethod
    def cournot(self, costs: dict[str, float]) -> tuple[Posed, Any]:
        """Firm i earns q_i (1 - Σq) - c_i q_i, over four: a game of maximisers, and how their
        quantities q are read off the players."""


class Free(Family):
    """Players without constraints."""

    error_per_residual = 1 / 0.3

    def quadratic(self, seed: int = 0, dtype: str = "float64") -> Quadratic:
        return _quadratic(matrix(seed), draw(seed + 1, 3), draw(seed + 2, 2), None, dtype)

    def start(self, seed: int = 0, dtype: str = "float64") -> dict[str, Array]:
        return {"x": jnp.asarray(draw(seed, 3), dtype), "y": jnp.asarray(draw(seed + 1, 2), dtype)}

    def nested(self, players: dict[str, Array]) -> PyTree:
        x, y = players["x"], players["y"]
        return {"x": Network.of(x[:2], x[2]), "y": (y[0], [y[1:]])}

    def moved(self, game: Quadratic, players: dict[str, Array]) -> tuple[Posed, Any]:
        """Translated."""
        t = {"x": jnp.asarray(draw(7, 3)), "y": jnp.asarray(draw(8, 2))}
        there = eqx.tree_at(lambda g: (g.a, g.b), game, (game.a + t["x"], game.b + t["y"]))
        back = lambda rows: jax.tree.map(jnp.subtract, rows, t)  # noqa: E731
        return Posed(there, jax.tree.map(jnp.add, players, t)), back

    def solved(self) -> Posed:
        a, b = np.ones(3), -np.ones(2)
        return Posed(_quadratic(DYADIC, a, b, None), {"x": jnp.asarray(a), "y": jnp.asarray(b)})

    def with_sets(self) -> Posed:
        sets = {"x": mm.Simplex(), "y": mm.L2Ball(0.1)}
        game = eqx.tree_at(lambda g: g.constraints, self.quadratic(), sets, is_leaf=_is_none)
        return Posed(game, game.project(self.start()))

    def pure(self) -> Posed:
        return SIMPLICES.pure()

    def without_solution(self) -> Posed | None:
        """(1, 1, 1)ᵀx, the same for every y."""
        game = eqx.tree_at(
            lambda g: (g.matrix, g.curvature, g.push),
            self.quadratic(),
            (jnp.zeros((3, 2)), jnp.zeros(2), jnp.ones(3)),
        )
        return Posed(game, self.start())

    def not_finite(self) -> Posed:
        """√x at 0, which is finite itself."""
        game = mm.Game(lambda p: jnp.sqrt(p["x"]) * p["y"], {"x": "min", "y": "max"})
        return Posed(game, {"x": jnp.asarray(0.0), "y": jnp.asarray(1.0)})

    def cournot(self, costs: dict[str, float]) -> tuple[Posed, Any]:
        game = mm.Game(lambda q: _profits(q, costs), roles="max")
        return Posed(game, {firm: jnp.zeros(()) for firm in costs}), lambda q: q


@final
class Simplices(Family):
    """Mixed strategies, with an interior solution unless said otherwise."""

    error_per_residual = (1 + 0.9) / 0.3

    def quadratic(self, seed: int = 0, dtype: str = "float64") -> Quadratic:
        a, b = mixed(seed + 1, 3), mixed(seed + 2, 2)
        return _quadratic(matrix(seed), a, b, mm.Simplex(), dtype)

    def start(self, seed: int = 0, dtype: str = "float64") -> dict[str, Array]:
        return {
            "x": jnp.asarray(mixed(seed, 3), dtype),
            "y": jnp.asarray(mixed(seed + 1, 2), dtype),
        }

    def nested(self, players: dict[str, Array]) -> PyTree:
        """With a simplex of one action beside each."""
        return {"x": Network.of(players["x"], [1.0]), "y": (players["y"], [jnp.ones(1)])}

    def moved(self, game: Quadratic, players: dict[str, Array]) -> tuple[Posed, Any]:
        """With the actions in another order."""
        i, j = np.array([2, 0, 1]), np.array([1, 0])
        there = eqx.tree_at(
            lambda g: (g.matrix, g.a, g.b, g.push),
            game,
            (game.matrix[i][:, j], game.a[i], game.b[j], game.push[i]),
        )
        back = lambda rows: {"x": rows["x"][..., np.argsort(i)], "y": rows["y"][..., j]}  # noqa: E731
        return Posed(there, {"x": players["x"][i], "y": players["y"][j]}), back

    def solved(self) -> Posed:
        a, b = np.array([0.25, 0.25, 0.5]), np.array([0.5, 0.5])
        game = _quadratic(DYADIC, a, b, mm.Simplex())
        return Posed(game, {"x": jnp.asarray(a), "y": jnp.asarray(b)})

    def with_sets(self) -> Posed:
        a, b = np.array([1.2, 0.3, -0.5]), np.array([-0.7, 1.7])
        return Posed(_quadratic(matrix(0), a, b, mm.Simplex()), self.start())

    def pure(self) -> Posed:
        game = mm.Game(
            lambda p: p["x"] @ jnp.array([0.0, 0.5, 1.0]) - p["y"] @ jnp.array([0.5, 0.0]),
            {"x": "min", "y": "max"},
            constraints=mm.Simplex(),
        )
        return Posed(game, {"x": jnp.array([1.0, 0.0, 0.0]), "y": jnp.array([0.0, 1.0])})

    def without_solution(self) -> Posed | None:
        return None

    def not_finite(self) -> Posed:
        game = mm.Game(
            lambda p: -jnp.sqrt(p["x"][0]) * p["y"][0], {"x": "min", "y": "max"}, mm.Simplex()
        )
        return Posed(game, {"x": jnp.array([0.0, 1.0]), "y": jnp.array([1.0, 0.0])})

    def cournot(self, costs: dict[str, float]) -> tuple[Posed, Any]:
        """A firm mixes between all and nothing."""

        def read(players: PyTree) -> PyTree:
            return {firm: players[firm][0] for firm in costs}

        game = mm.Game(lambda z: _profits(read(z), costs), "max", mm.Simplex())
        return Posed(game, {firm: jnp.array([0.0, 1.0]) for firm in costs}), read


@final
class Coupled(Free):
    """A bilinear payoff, whose curvature is in the players' regularisers."""

    error_per_residual = (1 + 0.9) / 0.3

    def quadratic(self, seed: int = 0, dtype: str = "float64") -> Coupling:
        weights = {k: mm.SquaredL2(mu) for k, mu in zip("xy", STRONG, strict=True)}
        return _coupling(matrix(seed), draw(seed + 1, 3), draw(seed + 2, 2), weights, dtype)

    def moved(self, game: Quadratic, players: dict[str, Array]) -> tuple[Posed, Any]:
        return SIMPLICES.moved(game, players)

    def solved(self) -> Posed:
        a, b = np.ones(3), -np.ones(2)
        game = eqx.tree_at(lambda g: g.curvature, _coupling(DYADIC, a, b, None), jnp.zeros(2))
        return Posed(game, {"x": jnp.asarray(a), "y": jnp.asarray(b)})

    def without_solution(self) -> Posed | None:
        posed = super().without_solution()
        assert posed is not None
        flat = eqx.tree_at(
            lambda g: [g.constraints[k].weight for k in "xy"], posed.game, 2 * [jnp.zeros(())]
        )
        return Posed(flat, posed.players)

    def not_finite(self) -> Posed:
        game = mm.Game(lambda p: jnp.inf * p["x"] * p["y"], {"x": "min", "y": "max"})
        return Posed(game, {"x": jnp.asarray(1.0), "y": jnp.asarray(1.0)})


FREE, SIMPLICES, COUPLED = Free(), Simplices(), Coupled()
FAMILIES: list[Family] = [FREE, SIMPLICES, COUPLED]


def first_variables(players: PyTree) -> dict[str, Array]:
    """x and y out of what `Family.nested` made of them."""
    x, y = parts(players)
    return {"x": x[:3], "y": y[:2]}


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def mixed(seed: int, n: int) -> np.ndarray:
    """An interior point of the simplex."""
    weights = np.exp(0.5 * draw(seed, n))
    return weights / weights.sum()


def matrix(seed: int) -> np.ndarray:
    """Of spectral norm 1/2."""
    entries = draw(seed, 3, 2)
    return 0.5 * entries / np.linalg.norm(entries, 2)


DYADIC = np.array([[0.25, 0.5], [0.0, 0.25], [0.125, 0.0]])
"""A matrix that multiplies small dyadic numbers without rounding."""


def _coupling(A: Any, a: Any, b: Any, constraints: Any, dtype: str = "float64") -> Coupling:
    return Coupling(**vars(_quadratic(A, a, b, constraints, dtype)))


def _quadratic(A: Any, a: Any, b: Any, constraints: Any, dtype: str = "float64") -> Quadratic:
    numbers = (A, a, b, STRONG, np.zeros(3))
    return Quadratic(*(jnp.asarray(array, dtype) for array in numbers), constraints=constraints)


def _profits(q: PyTree, costs: dict[str, float]) -> PyTree:
    price = 1.0 - sum(q.values())
    return {firm: 0.25 * q[firm] * (price - costs[firm]) for firm in costs}  # so that L = 1


def _is_none(leaf: Any) -> bool:
    return leaf is None
