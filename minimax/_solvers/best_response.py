"""Best responses, in turns."""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole
from minimax._game import AbstractGame, Variable
from minimax._optimizers import Optimizer, as_optimizer, per_descending_player, refuse_jointly
from minimax._players import as_players
from minimax._roles import role_of_each, sign_of_each
from minimax._sampler import IndependentBatches, Samples, batch_of_each, check_samples
from minimax._solvers._optimized import refuse_regularizers
from minimax._solvers.base import AbstractSolver
from minimax._structure import Player, own_linear, owners


class BestResponseState(NamedTuple):
    """`optimizers`: the state of each player's optimizer, in the order of their turns; `gradients`:
    how many have been computed, each of one player's payoff in its own variables."""

    optimizers: tuple[Any, ...]
    gradients: Int[Array, ""]


class _Turn(NamedTuple):
    """Whose it is, and which variables are moved; the sign with which this player descends its
    payoff; how many steps are made."""

    player: Player
    is_mine: PyTree[bool]
    sign: float
    inner_steps: int

    def own(self, players: PyTree) -> PyTree:
        """The variables of the player whose turn it is, with `None` for all others."""
        variables = _tree.variables(players)
        return jax.tree.map(lambda mine, x: x if mine else None, self.is_mine, variables)


@final
class BestResponse(AbstractSolver):
    r"""Each player in turn improves its own payoff by k steps of its own optimizer, while all
    others are held.

    $$y^+ \approx \arg\max_y f(x, y), \qquad x^+ = x - \eta \nabla_x f(x, y^+) \approx
      x - \eta \nabla \max_y f(x, y)$$

    is the case of a maximiser y that comes first and takes many steps (GDmax): by Danskin's theorem
    the gradient at its answer is that of the maximum, where the answer is unique. Players move in
    the order of the pytree (a dict: in the order of its sorted keys), once per step of the method,
    and are projected after every step of an optimizer. With `inner_steps=1` and optimizers that
    look at gradients alone this is `AlternatingGradientDescentAscent`.

    A player's optimizer may also look at values, as `optax.lbfgs()`, `optax.polyak_sgd()` and
    optax's line searches do. It is told `value`, `grad` and `value_fn` of what this player
    descends (its payoff, with the opposite sign for a maximiser), as a function of its own
    variables alone at the opponents' present ones. In `polyak_sgd(f_min=...)` the least value is
    that of this function.

    L-BFGS learns curvature from how the gradient changes between two points, and opponents who have
    moved in between would be taken for curvature. So at the beginning of a turn the gradient that
    it remembers is computed again, at its old point and the new opponents, for one gradient more.
    Pairs that were learnt in earlier turns are kept, as L-BFGS keeps those of earlier points.

    What is proven: for f smooth, strongly concave in y, and enough ascent steps, descent on
    $\max_y f$ with $\eta_x$ of order $1/(\kappa L)$ finds stationary points; with exact best
    responses of all, on a quadratic game
    $\tfrac12 x^\top Q x + x^\top A y - \tfrac12 y^\top R y$, the error of x is multiplied by
    $-Q^{-1} A R^{-1} A^\top$ per step, so that it converges from everywhere only if the spectral
    radius of that is below one; a y that makes one short step may converge all the same. On
    bilinear games no player has a best response, and step sizes cycle.

    An evaluation is one gradient of every player: with k and l steps of two players a step costs
    (k + l)/2, rounded up at the end. Each trial of a line search counts as one gradient of its
    player, which is what one by zoom costs; one by backtracking costs a payoff alone.

    **Arguments:**

    - `optimizer`: a step size, a schedule or an optax transformation, for all players, per role or
      per player. Schedules count the steps of the optimizer.
    - `inner_steps`: how many steps of its optimizer a player takes in its turn: a whole number for
      all, a dict with the roles or players that take more than one, or a prefix of the players.
    - `samples`: where data are sampled, "same": all turns of a step see one batch, of which they
      find the best responses; "independent": each inner step of a turn has a batch of its own (the
      first, second, ... of all players the same), as a critic is trained that takes five steps.
      State that a payoff updates (`WithState`, batch statistics and keys of Flax modules) advances
      once per step of the method, also where its turns have many.

    **Raises:** `GameError` for regularisers, for `inner_steps` that are no whole numbers >= 1, and,
    for players on a line search or L-BFGS: with a constraint, since a step that is good along a
    line need not be so when it is projected; where it is proved that their payoff is linear in what
    they control, so that the search would not end; where only a part of the player is on it, or
    where L-BFGS is not the first of a chain, so that its gradients are not those of the payoff; and
    with independent samples, whose values are not to be compared.

    It warns where several players are on L-BFGS, each of whom jumps to its best response.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> import optax
    >>> curvature = jnp.array([1.0, 10.0, 100.0])
    >>> def payoff(p):
    ...     return p["x"] @ (curvature * p["x"]) / 2 + p["x"] @ p["y"] - p["y"] @ p["y"] / 2
    >>> game = mm.Game(payoff, {"x": "min", "y": "max"})
    >>> start = {"x": jnp.ones(3), "y": jnp.ones(3)}
    >>> solver = mm.BestResponse({"x": optax.lbfgs(), "y": 0.5}, inner_steps={"x": 3})
    >>> mm.solve(game, start, solver, max_steps=50).status
    <Status.converged: 0>

    ```

    Source: Jin, Netrapalli and Jordan, "What is local optimality in nonconvex-nonconcave minimax
    optimization?", ICML 2020, arXiv:1902.00618 (gradient descent with a max-oracle); L-BFGS: Liu
    and Nocedal, "On the limited memory BFGS method for large scale optimization", Math.
    Program. 45 (1989). The new gradient for its memory is ours.
    """

    optimizer: PyTree[Optimizer] = eqx.field(converter=as_optimizer)
    inner_steps: PyTree[int] = 1
    samples: Samples = eqx.field(default="same", static=True)

    def __check_init__(self) -> None:
        refuse_jointly(type(self).__name__, self.optimizer)
        check_samples(self.samples)
        for path, k in jax.tree_util.tree_leaves_with_path(self.inner_steps, is_leaf=_is_none):
            check_whole(_tree.place("inner_steps", path), k)

    @property
    def batches_per_step(self) -> int:
        return 1 if self.samples == "same" else max(jax.tree.leaves(self.inner_steps))

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        refuse_regularizers(self, game, players)
        players = as_players(players)
        turns, move = self._turns(game, players, data), self._move(game, players, data)
        states = [jax.eval_shape(move.init, turn.own(players)) for turn in turns]
        searching = [
            (turn, state)
            for turn, state in zip(turns, states, strict=True)
            if _found(_SEARCHES, state)
        ]
        linear = own_linear(game, players, data) if searching else []
        for turn, state in searching:
            mine = jax.tree.leaves(turn.is_mine)
            every = game.variables_of(players)
            own = [each for each, is_mine in zip(every, mine, strict=True) if is_mine]
            _check_searching(own, state, turn.player in linear, self.samples)
        memories = sum(len(_found(optax.ScaleByLBFGSState, state)) for state in states)
        if memories > 1:
            warnings.warn(
                f"{memories} players are on L-BFGS, and each jumps to its best response: together "
                "they converge only where what couples them is weak against their own curvatures. "
                "If they do not, give all but one a step size.",
                stacklevel=2,
            )

    def init(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> BestResponseState:
        turns, move = self._turns(game, players, data), self._move(game, players, data)
        optimizers = tuple(move.init(turn.own(players)) for turn in turns)
        return BestResponseState(optimizers, jnp.zeros((), int))

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: BestResponseState,
        data: PyTree = None,
    ) -> tuple[PyTree, BestResponseState]:
        gradients, optimizers = state.gradients, []
        batch = batch_of_each(data, 1)[0]
        turns, move = self._turns(game, players, batch), self._move(game, players, batch)
        for turn, optimizer in zip(turns, state.optimizers, strict=True):
            players, optimizer, made = _responded(game, players, data, turn, move, optimizer)
            gradients += made
            optimizers.append(optimizer)
        return players, BestResponseState(tuple(optimizers), gradients)

    def evaluations(self, steps: Int[Array, ""], state: BestResponseState) -> Int[Array, ""]:
        del steps
        return -(-state.gradients // len(state.optimizers))

    def _move(
        self, game: AbstractGame, players: PyTree, data: PyTree
    ) -> optax.GradientTransformationExtraArgs:
        return per_descending_player(self.optimizer, game.roles_of(players, data))

    def _turns(self, game: AbstractGame, players: PyTree, data: PyTree) -> list[_Turn]:
        variables, who = _tree.variables(players), owners(game, players, data)
        signs = jax.tree.leaves(sign_of_each(game.roles, variables))
        inner_steps = jax.tree.leaves(self._inner_steps_of_each(game, variables))
        turns = []
        for player in dict.fromkeys(who):
            mine = [each == player for each in who]
            k, *others = {k for k, is_mine in zip(inner_steps, mine, strict=True) if is_mine}
            if others:
                raise GameError(
                    f"inner_steps are {sorted([k, *others])} for parts of one player: expected one "
                    "number for each player."
                )
            is_mine = jax.tree.unflatten(jax.tree.structure(variables), mine)
            turns.append(_Turn(player, is_mine, signs[mine.index(True)], k))
        return turns

    def _inner_steps_of_each(self, game: AbstractGame, variables: PyTree) -> PyTree[int]:
        given = self.inner_steps
        if isinstance(given, dict) and given.keys() <= {"min", "max"}:
            return jax.tree.map(
                lambda role: given.get(role, 1), role_of_each(game.roles, variables)
            )
        if isinstance(given, dict) and isinstance(variables, dict):
            given = dict.fromkeys(variables, 1) | given
        return _tree.broadcast_prefix(given, variables, "inner_steps")


def example() -> BestResponse:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return BestResponse(0.1, inner_steps=2)


def _responded(
    game: AbstractGame,
    players: PyTree,
    data: PyTree,
    turn: _Turn,
    move: optax.GradientTransformationExtraArgs,
    optimizer: optax.OptState,
) -> tuple[PyTree, optax.OptState, Int[Array, ""]]:
    """The players after one turn, the state of the optimizer of the player that moved, and how
    many gradients it took."""

    def descended(own: PyTree, batch: PyTree) -> Float[Array, ""]:
        payoffs = game.value(eqx.combine(own, players), batch)
        return turn.sign * jax.tree.leaves(payoffs)[turn.player[0]]

    def body(carry: PyTree, batch: PyTree) -> tuple[PyTree, Int[Array, ""]]:
        own, optimizer = carry
        on_batch = functools.partial(descended, batch=data if is_same else batch)
        value, gradient = jax.value_and_grad(on_batch)(own)
        update, optimizer = move.update(
            gradient, optimizer, own, value=value, grad=gradient, value_fn=on_batch
        )
        moved = game.project(eqx.combine(_tree.add(own, update), players))
        return (turn.own(moved), optimizer), _trials(optimizer)

    is_same = not isinstance(data, IndependentBatches)
    batches = None if is_same else data.first(turn.inner_steps)
    gradient = jax.grad(functools.partial(descended, batch=batch_of_each(data, 1)[0]))
    own = turn.own(players)
    optimizer, rebased = _rebased(optimizer, gradient, own)
    (own, optimizer), trials = jax.lax.scan(
        body, (own, optimizer), batches, length=turn.inner_steps
    )
    made = rebased + turn.inner_steps + jnp.sum(trials, dtype=int)
    return eqx.combine(own, players), _forgetful(optimizer), made


_LINE_SEARCHES = (optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)
_SEARCHES = (optax.ScaleByLBFGSState, *_LINE_SEARCHES)


def _found(kind: type | tuple[type, ...], state: optax.OptState) -> list[tuple[Any, Any]]:
    """The parts of this kind of an optimizer's state, each with its place."""
    nodes = jax.tree_util.tree_leaves_with_path(state, is_leaf=lambda node: isinstance(node, kind))
    return [(path, node) for path, node in nodes if isinstance(node, kind)]


def _map_found(
    function: Callable[[Any], Any], kind: type | tuple[type, ...], state: optax.OptState
) -> optax.OptState:
    """`state` with these parts changed."""
    return jax.tree.map(
        lambda node: function(node) if isinstance(node, kind) else node,
        state,
        is_leaf=lambda node: isinstance(node, kind),
    )


def _rebased(
    state: optax.OptState, gradient: Callable[[PyTree], PyTree], own: PyTree
) -> tuple[optax.OptState, Int[Array, ""]]:
    """`state` whose L-BFGS remembers the gradient at its last point as it is now, and how many
    gradients that took: none before there is such a point. It remembers a part of `own`, which are
    variables of one player, and which it is all of."""

    def at(point: PyTree) -> PyTree:
        whole = jax.tree.unflatten(jax.tree.structure(own), jax.tree.leaves(point))
        return jax.tree.unflatten(jax.tree.structure(point), jax.tree.leaves(gradient(whole)))

    def rebased(memory: optax.ScaleByLBFGSState) -> optax.ScaleByLBFGSState:
        updates = jax.lax.cond(
            jnp.asarray(memory.count) > 0, lambda: at(memory.params), lambda: memory.updates
        )
        return memory._replace(updates=updates)

    counts = [memory.count > 0 for _, memory in _found(optax.ScaleByLBFGSState, state)]
    made = jnp.sum(jnp.asarray(counts, int), dtype=int)
    return _map_found(rebased, optax.ScaleByLBFGSState, state), made


def _trials(state: optax.OptState) -> Int[Array, ""]:
    """How many points the line searches of the last step have tried."""
    counts = [search.info.num_linesearch_steps for _, search in _found(_LINE_SEARCHES, state)]
    return jnp.sum(jnp.asarray(counts, int), dtype=int)


def _forgetful(state: optax.OptState) -> optax.OptState:
    """`state` without the values at the ends of line searches, which are of no use once opponents
    have moved: `optax.value_and_grad_from_state` computes them where they are infinite."""
    return _map_found(
        lambda search: search._replace(value=jnp.full_like(search.value, jnp.inf)),
        _LINE_SEARCHES,
        state,
    )


def _check_searching(own: list[Variable], state: Any, is_linear: bool, samples: Samples) -> None:
    """Raises `GameError` where a line search or L-BFGS means nothing for the player whose variables
    these are, and the state of whose optimizer has this shape."""
    name = _tree.place("players", _common([each.path for each in own]))
    if samples == "independent":
        raise GameError(
            f"{name} has an optimizer that searches along a line, which compares values, and "
            'samples is "independent", so that each would be of another batch: take '
            'samples="same", or give this player a step size or optax.adam(...).'
        )
    if any(each.constraint is not None for each in own):
        raise GameError(
            f"{name} has a constraint, and an optimizer that searches along a line, the best point "
            "of which may be a bad one when it is projected: give this player a step size or "
            "optax.adam(...), or leave it free and put the constraint into the payoff."
        )
    partitions = [key for path, _ in _found(_SEARCHES, state) for key in path if _splits(key)]
    if len(state.inner_states) > 1 or len(partitions) > len(_found(_SEARCHES, state)):
        raise GameError(
            f"{name} has several optimizers for its parts, of which one searches along a line: "
            "expected one for the whole player, or make the parts players of their own."
        )
    memories = _found(optax.ScaleByLBFGSState, state)
    if any(getattr(key, "idx", 0) != 0 for path, _ in memories for key in path):
        raise GameError(
            f"{name} has an optimizer with L-BFGS behind another transformation, so that what it "
            "remembers are not gradients of the payoff: put optax.lbfgs() first in the chain."
        )
    shapes = [each.value.shape for each in own]
    if any(shapes != [leaf.shape for leaf in jax.tree.leaves(m.params)] for _, m in memories):
        raise GameError(
            f"{name} has an optimizer with L-BFGS inside of another transformation, such as "
            "optax.flatten, that gives it arrays of another shape, of which the payoff knows "
            "nothing: take optax.lbfgs() by itself."
        )
    if is_linear:
        raise GameError(
            f"{name} has a payoff that is linear in what it controls, so there is no best response "
            "for a line search to find: give this player a step size, or take a method for "
            "bilinear games, such as mm.ExtraGradient(step_size)."
        )


def _splits(key: Any) -> bool:
    return getattr(key, "name", None) == "inner_states"


def _common(paths: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The longest beginning that all have."""
    first, *others = paths
    lengths = range(len(first), -1, -1)
    return next(first[:n] for n in lengths if all(path[:n] == first[:n] for path in others))


def _is_none(leaf: Any) -> bool:
    return leaf is None
