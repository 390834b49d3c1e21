r"""A game: what each player wants, where it may move, and the operator that follows.

With players $z = (z_1, \dots, z_n)$, payoffs $f_i$ and signs $s_i = +1$ for "min", $-1$ for "max",

$$F(z) = (s_1 \nabla_{z_1} f_1(z), \dots, s_n \nabla_{z_n} f_n(z)),$$

and every player descends its own block of $F$. A zero-sum game is the case of one shared payoff.
"""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, PyTree

from minimax import _tree
from minimax._constraints.base import AbstractConstraint
from minimax._errors import GameError, is_known
from minimax._frozen import unfreeze
from minimax._players import as_players
from minimax._roles import role_of_each, sign_of_each
from minimax._state import WithState, has_state, taken_over


class Variable(NamedTuple):
    """One array that a player moves: its place among the players, "min" or "max", and what keeps
    it (`None`: nothing does)."""

    path: tuple[Any, ...]
    value: Array
    role: str
    constraint: AbstractConstraint | None

    @property
    def place(self) -> str:
        """How a message names it."""
        return _tree.place("players", self.path)


class AbstractGame(eqx.Module):
    """A game with data: subclass it, give it fields, `roles` and a `payoff`.

    Its arrays are fields, so that new data does not recompile and `vmap` works over games.

    **Attributes:**

    - `roles`: "min" or "max" for each player, as a prefix of the players.
    - `constraints`: a constraint or `None` (free) for each player, as a prefix of the players. A
      constraint acts on each leaf of its player by itself.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> from jaxtyping import Array, Float
    >>> class Bilinear(mm.AbstractGame):
    ...     matrix: Float[Array, "n m"]
    ...     roles = {"x": "min", "y": "max"}
    ...
    ...     def payoff(self, players, data=None):
    ...         return players["x"] @ self.matrix @ players["y"]
    >>> game = Bilinear(jnp.eye(2))
    >>> print(game.operator({"x": jnp.array([1.0, 2.0]), "y": jnp.array([3.0, 4.0])}))
    {'x': Array([3., 4.], dtype=float32), 'y': Array([-1., -2.], dtype=float32)}

    ```
    """

    if TYPE_CHECKING:  # where an abstract field would be taken for an argument of every game
        roles = cast(Any, ...)
        constraints = cast(Any, None)
    else:
        roles: eqx.AbstractVar[PyTree]
        constraints = None

    @abc.abstractmethod
    def payoff(self, players: PyTree, data: PyTree = None) -> PyTree:
        """What is at stake.

        **Arguments:**

        - `players`: any pytree.
        - `data`: whatever `solve(..., data=...)` was given; left out when it was given none.

        **Returns:** a scalar that "min" players descend and "max" players ascend (zero-sum), or a
        pytree of one scalar per player, a prefix of the players (general-sum). Where players have
        state, `mm.WithState` of that and of the players after it.
        """

    def gradient(self, players: PyTree, data: PyTree = None) -> PyTree:
        """Each player's gradient of its own payoff in its own variables, without signs.

        **Returns:** a pytree like `players`, with `None` where a leaf is not a variable.
        """
        if is_known(*jax.tree.leaves((self, players, data))):
            return self._gradient(players, data)
        # Inside a solve it is traced once, however often a step evaluates it.
        return _traced_gradient(self, players, data)

    def _gradient(self, players: PyTree, data: PyTree) -> PyTree:
        variables, rest = _tree.partition(as_players(players))

        def payoff_of(variables: PyTree) -> PyTree:
            return self.value(eqx.combine(variables, rest), data)

        payoffs, pull_back = jax.vjp(payoff_of, variables)
        leaves, structure = jax.tree.flatten(payoffs)
        pulled = [
            pull_back(
                jax.tree.unflatten(
                    structure, [jnp.full_like(f, j == i) for j, f in enumerate(leaves)]
                )
            )[0]
            for i in range(len(leaves))
        ]  # one pull-back per payoff, of which each player keeps its own block
        owner = _tree.numbered(payoffs, variables, "payoff")
        return jax.tree.map(lambda i, *blocks: blocks[i], owner, *pulled)

    def operator(self, players: PyTree, data: PyTree = None) -> PyTree:
        """The operator F: the gradient with the signs of the maximisers flipped.

        Every player descends F; F is monotone where the payoff is convex-concave.
        """
        gradient = self.gradient(players, data)
        return jax.tree.map(jnp.multiply, gradient, sign_of_each(self.roles, gradient))

    def project(self, players: PyTree) -> PyTree:
        """The feasible players nearest to `players`, leaf by leaf."""
        return self._each(lambda x: x, lambda constraint, x: constraint.project(x), players)

    def prox_step(self, players: PyTree, direction: PyTree, step_size: ArrayLike) -> PyTree:
        """The proximal step of every player from `players` along `-direction`.

        Without a constraint it is `players - step_size * direction`; on a set it is that point
        projected.
        """
        return self._each(
            lambda x, d: x - jnp.asarray(step_size, x.dtype) * d,
            lambda constraint, x, d: constraint.prox_step(x, d, jnp.asarray(step_size, x.dtype)),
            players,
            direction,
        )

    def displacement(self, players: PyTree, direction: PyTree, step_size: ArrayLike) -> PyTree:
        """How far a proximal step goes back, `players - prox_step(...)`, exact where players are
        free and in most sets: no small step is lost to the rounding of a large player."""
        return _tree.variables(
            self._each(
                lambda x, d: jnp.asarray(step_size, x.dtype) * d,
                lambda constraint, x, d: constraint.displacement(
                    x, d, jnp.asarray(step_size, x.dtype)
                ),
                players,
                direction,
            )
        )

    def natural_map(self, players: PyTree, direction: PyTree, step_size: ArrayLike) -> PyTree:
        """As `displacement`, by Euclidean distance whatever the distances of the constraints: for
        the operator at `players` it is zero exactly where no player can improve to first order."""
        return _tree.variables(
            self._each(
                lambda x, d: jnp.asarray(step_size, x.dtype) * d,
                lambda constraint, x, d: constraint.natural_map(
                    x, d, jnp.asarray(step_size, x.dtype)
                ),
                players,
                direction,
            )
        )

    def project_on_tangent_cone(self, players: PyTree, direction: PyTree) -> PyTree:
        """The feasible direction nearest to `direction` at feasible `players`.

        **Raises:** `GameError` where a constraint does not know it.
        """
        return _tree.variables(
            self._each(
                lambda _, d: d,
                lambda constraint, x, d: constraint.project_on_tangent_cone(x, d),
                players,
                direction,
            )
        )

    def _each(
        self,
        free: Callable[..., ArrayLike],
        constrained: Callable[..., ArrayLike],
        players: PyTree,
        *others: PyTree,
    ) -> PyTree:
        """`free(leaf, ...)` where a player is free, else `constrained(constraint, leaf, ...)`."""
        players = as_players(players)
        return _tree.map_variables(
            lambda x, constraint, *more: (
                free(x, *more) if constraint is None else constrained(constraint, x, *more)
            ),
            players,
            self.constraint_of_each(players),
            *others,
        )

    def constraint_of_each(self, players: PyTree) -> PyTree:
        """The constraint of each leaf of `players` (`None` where it is free)."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(
            self.constraints, is_leaf=_is_constraint
        ):
            if not _is_constraint(leaf):
                raise GameError(
                    f"{_tree.place('constraints', path)} is {leaf!r}: expected a constraint such "
                    "as mm.Simplex() or mm.Box(-1.0, 1.0), or None to leave the player free."
                )
        return _tree.broadcast_prefix(
            self.constraints, players, "constraints", is_leaf=_is_constraint
        )

    def roles_of(self, players: PyTree, data: PyTree = None) -> PyTree[str]:
        """`roles` with one leaf for each player: where one role stands for several payoffs, each of
        them is a player's own, who moves and is measured by itself."""
        variables = _tree.variables(as_players(players))
        role_of_each(self.roles, variables)  # raises where roles do not fit
        below = jax.tree.structure(self.roles).flatten_up_to(variables)
        if jax.tree_util.all_leaves(below):
            return self.roles  # without a look at the payoff
        payoffs, _ = eqx.filter_eval_shape(traced_value, self, players, data)
        _tree.broadcast_prefix(payoffs, variables, "payoff")
        return _tree.refined(self.roles, payoffs)

    def variables_of(self, players: PyTree) -> list[Variable]:
        """All that players move, array by array."""
        variables = _tree.variables(as_players(players))
        paths, structure = jax.tree_util.tree_flatten_with_path(variables)
        roles = jax.tree.leaves(role_of_each(self.roles, variables))
        constraints = structure.flatten_up_to(self.constraint_of_each(variables))
        return [
            Variable(path, leaf, role, constraint)
            for (path, leaf), role, constraint in zip(paths, roles, constraints, strict=True)
        ]

    def value(self, players: PyTree, data: PyTree = None) -> PyTree:
        """`payoff` as JAX scalars.

        **Raises:** `GameError` where the payoff is not a scalar, or one scalar per player.
        """
        return _as_scalars(self.evaluated(players, data)[0].payoff)

    def carry(self, players: PyTree, after: PyTree, data: PyTree = None) -> PyTree:
        """`after` with the state that the payoff leaves at `players`: what no solver moves, such as
        the statistics of a batch normalisation or a random key (`mm.WithState`).

        `solve` asks for it after every step; a loop of your own does so by
        `players, state = game.carry(players, solver.step(game, players, state, data), data)`. Where
        players have no state, nothing happens.

        **Arguments:**

        - `players`: where a step began.
        - `after`: what it returned: the next players and the state of the solver. It is new in
          every part structured like the players.
        - `data`: what the step was given.
        """
        if not has_state(players):
            return after
        return taken_over(players, self.evaluated(players, data)[0].players, after)

    def evaluated(self, players: PyTree, data: PyTree = None) -> tuple[WithState, bool]:
        """The one call of `payoff`: with what it leaves in the players, and whether it said so by
        `WithState`."""
        own = unfreeze(players)  # made anew: a payoff may change the modules that it is given
        payoffs = self.payoff(own) if data is None else self.payoff(own, data)
        if isinstance(payoffs, WithState):
            return payoffs, True
        return WithState(payoffs, own), False


@final
class Game(AbstractGame):
    """The quick form of a game: a payoff function and the roles of the players.

    **Arguments:**

    - `payoff`: a function `payoff(players)` or `payoff(players, data)` that returns a scalar
      (zero-sum) or one scalar per player (general-sum).
    - `roles`: "min" or "max" for each player, as a prefix of the players.
    - `constraints`: a constraint or `None` for each player, as a prefix of the players.

    A new function object means a new compilation: define the payoff once and hand changing numbers
    over as `data`, or write an `AbstractGame`.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> print(game.operator((2.0, 3.0)))
    (Array(3., dtype=float32), Array(-2., dtype=float32))

    ```
    """

    function: Callable[..., PyTree]
    roles: PyTree
    constraints: PyTree

    def __init__(
        self,
        payoff: Callable[..., PyTree],
        roles: PyTree = ("min", "max"),
        constraints: PyTree = None,
    ):
        if not callable(payoff):
            raise GameError(
                f"the payoff is {eqx.tree_pformat(payoff)}: expected a function of players, or of "
                "players and data, that returns a scalar, or one for each player."
            )
        self.function = payoff
        self.roles = roles
        self.constraints = constraints

    def payoff(self, players: PyTree, data: PyTree = None) -> PyTree:
        return self.function(players) if data is None else self.function(players, data)


@eqx.filter_jit
def _traced_gradient(game: AbstractGame, players: PyTree, data: PyTree) -> PyTree:
    return game._gradient(players, data)


@eqx.filter_jit  # traced once, though asked for in several places
def traced_value(game: AbstractGame, players: PyTree, data: PyTree) -> tuple[PyTree, bool]:
    """The payoff as scalars, and whether it said what it leaves in the players."""
    evaluated, has_said_so = game.evaluated(players, data)
    return _as_scalars(evaluated.payoff), has_said_so


def _as_scalars(payoffs: PyTree) -> PyTree:
    """What a payoff returned as JAX scalars. Raises `GameError` where it is something else."""
    if not jax.tree.leaves(payoffs):
        raise GameError(f"payoff returned {payoffs!r}: expected a scalar. Is a return missing?")
    return jax.tree_util.tree_map_with_path(_as_scalar, payoffs)


def _as_scalar(path: tuple[Any, ...], payoff: Any) -> jax.Array:
    try:
        scalar = jnp.asarray(payoff)
    except TypeError:
        raise GameError(
            f"{_tree.place('payoff', path)} is {payoff!r}: expected a scalar."
        ) from None
    if scalar.shape != () or not jnp.issubdtype(scalar.dtype, jnp.floating):
        raise GameError(
            f"{_tree.place('payoff', path)} has shape {scalar.shape} and dtype {scalar.dtype}: "
            "expected a real floating-point scalar (zero-sum), or one such scalar per player "
            "(general-sum). Sum or average over the batch."
        )
    return scalar


def _is_constraint(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, AbstractConstraint)
