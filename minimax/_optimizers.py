"""How players move: one optax transformation per player, from one description for all."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import ArrayLike, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._roles import role_of_each

Optimizer = ArrayLike | Callable[[ArrayLike], ArrayLike] | optax.GradientTransformation
"""A step size, a schedule of step sizes, or any optax transformation."""


@final
class Jointly(eqx.Module):
    r"""An optimizer before which something is done to the gradients of all players together.

    $$g = (\nabla_{z_1} f_1, \ldots, \nabla_{z_n} f_n) \mapsto \text{before}(g), \qquad
      \text{then each player's own optimizer on its block.}$$

    Optimizers see one player each: `optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))`
    clips every player by its own norm. Behind `Jointly` all are scaled by one number, which keeps
    the direction of the joint step, and with it what a saddle point is.

    **Arguments:**

    - `before`: an optax transformation. It sees the gradients of the payoffs as they are, those of
      maximisers too, so it should not care for signs, as clipping does not.
    - `optimizer`: a step size, a schedule or an optax transformation, for all players, per role or
      per player.

    **Raises:** `GameError` for another `before`. Methods in which players move in turn refuse it:
    they never have the gradients of all at once.

    ```python
    >>> import minimax as mm
    >>> import optax
    >>> clipped = mm.Jointly(optax.clip_by_global_norm(1.0), optax.sgd(0.5))
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ExtraGradient(clipped)).status
    <Status.converged: 0>

    ```
    """

    before: optax.GradientTransformation
    optimizer: PyTree[Optimizer]

    def __init__(self, before: optax.GradientTransformation, optimizer: PyTree[Optimizer]):
        if not isinstance(before, optax.GradientTransformation):
            raise GameError(
                f"before of Jointly is {before!r}: expected an optax transformation, such as "
                "optax.clip_by_global_norm(1.0)."
            )
        self.before, self.optimizer = before, as_optimizer(optimizer)


def as_optimizer(optimizer: PyTree[Optimizer]) -> PyTree[Optimizer] | Jointly:
    """`optimizer` with step sizes as arrays, so that a new step size does not recompile.

    Raises `GameError` where a leaf is none of step size, schedule and optax transformation, and for
    negative step sizes: signs are the roles' business.
    """
    if isinstance(optimizer, Jointly):
        return Jointly(optimizer.before, optimizer.optimizer)

    def convert(path: tuple[Any, ...], leaf: Any) -> Any:
        converted = as_single_optimizer(leaf, path)
        if isinstance(converted, jax.Array) and is_known(converted) and not float(converted) >= 0:
            raise GameError(
                f"{_tree.place('optimizer', path)} is {leaf!r}: expected a step size >= 0. The "
                'roles set the signs: a player that is "max" ascends by itself.'
            )
        return converted

    return jax.tree_util.tree_map_with_path(convert, optimizer, is_leaf=_is_optimizer)


def as_transformation(optimizer: Optimizer) -> optax.GradientTransformation:
    """An optax transformation that steps against the gradient, from any kind of optimizer."""
    if isinstance(optimizer, optax.GradientTransformation):
        return optimizer
    if callable(optimizer):
        return optax.sgd(optimizer)

    def update(updates: PyTree, state: optax.OptState, params: PyTree | None = None) -> Any:
        del params
        # In the dtype of the gradient, whatever that of the step size.
        return _tree.scale(-jnp.asarray(optimizer), updates), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def per_player(
    optimizer: PyTree[Optimizer], roles: PyTree
) -> optax.GradientTransformationExtraArgs:
    r"""One optax transformation that moves every player along its own raw gradient.

    Minimisers step by $-\\eta$ along their gradient and maximisers by $+\\eta$: `multi_transform`
    gives each its own transformation, and a maximiser's is the user's behind a change of sign,
    `chain(scale(-1), transformation)`. That is a negative step size wherever a negative step size
    is right, and right also for weight decay and line searches, where it is not.

    **Arguments:**

    - `optimizer`: a step size, a schedule or an optax transformation for all players; or
      `{"min": ..., "max": ...}`; or a prefix of the players; or `Jointly` any of these.
    - `roles`: the roles of the game.
    """
    return _addressed(optimizer, roles, _signed)


def per_descending_player(
    optimizer: PyTree[Optimizer], roles: PyTree
) -> optax.GradientTransformationExtraArgs:
    """As `per_player`, given gradients of what each player descends: its payoff with the sign of
    its role. So a line search, which looks at values, is told of the same function."""
    return _addressed(optimizer, roles, lambda _, optimizer: as_transformation(optimizer))


def _addressed(
    optimizer: PyTree[Optimizer],
    roles: PyTree,
    transformation_of: Callable[[str, Optimizer], optax.GradientTransformation],
) -> optax.GradientTransformationExtraArgs:
    """One transformation that gives each player that of its role and optimizer."""
    joint = []
    if isinstance(optimizer, Jointly):
        joint, optimizer = [optimizer.before], optimizer.optimizer

    def bind(players: PyTree) -> optax.GradientTransformationExtraArgs:
        parts = _parts(optimizer, roles, players)
        names, structure = jax.tree.flatten(parts)
        leaves = jax.tree.leaves(optimizer, is_leaf=_is_optimizer)
        labels = _tree.broadcast_prefix(jax.tree.map(str, parts), players, "optimizer")
        present = set(jax.tree.leaves(labels))
        transformations: dict[Hashable, optax.GradientTransformation] = {
            str(part): _on_part(transformation_of(part.role, leaves[part.optimizer]), structure, i)
            for i, part in enumerate(names)
            if str(part) in present
        }
        # A function of the players: labels that are a callable module would be taken for one.
        own = optax.multi_transform(transformations, lambda _: labels)
        return optax.chain(*joint, own) if joint else own

    def init(params: PyTree) -> optax.OptState:
        variables = _tree.variables(params)
        return bind(variables).init(variables)

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra_args: Any
    ) -> tuple[PyTree, optax.OptState]:
        variables = None if params is None else _tree.variables(params)
        return bind(updates).update(updates, state, variables, **extra_args)

    return optax.GradientTransformationExtraArgs(init, update)


def refuse_jointly(name: str, optimizer: PyTree[Optimizer] | Jointly) -> None:
    """Raises `GameError` for a solver in which players move in turn."""
    if isinstance(optimizer, Jointly):
        raise GameError(
            f"{name} moves players in turn, each at a gradient of its own, so nothing can be done "
            "to the gradients of all together: put the transformation into each player's optimizer "
            "(optax.chain), or take a solver that moves all at once, such as mm.ExtraGradient."
        )


def _signed(role: str, optimizer: Optimizer) -> optax.GradientTransformation:
    """The transformation that descends for "min" and ascends for "max", given raw gradients."""
    transformation = as_transformation(optimizer)
    return transformation if role == "min" else optax.chain(optax.scale(-1.0), transformation)


@dataclasses.dataclass(frozen=True)
class _Part:
    """The part of the players that one optimizer moves: a player, or a part of one. Clipping and
    line searches see no more."""

    player: int
    role: str
    optimizer: int

    def __str__(self) -> str:
        return f"player {self.player} is {self.role}, optimizer {self.optimizer}"


def _parts(optimizer: PyTree[Optimizer], roles: PyTree, players: PyTree) -> PyTree[_Part]:
    """A prefix of the players, with a leaf for each part."""
    leaves, structure = jax.tree.flatten(optimizer, is_leaf=_is_optimizer)
    number = jax.tree.unflatten(structure, range(len(leaves)))
    role_of = role_of_each(roles, players)
    sides, tree = jax.tree.flatten(roles)
    if isinstance(number, dict) and number.keys() <= {"min", "max"}:
        for role in set(jax.tree.leaves(role_of)) - number.keys():
            raise GameError(f'optimizer says nothing about the role "{role}": give it an entry.')
        for role, several in number.items():
            if not isinstance(several, int):
                raise GameError(
                    f"optimizer[{role!r}] holds several: expected one optimizer for a role. For "
                    "parts of players give it the places of the players, such as {'x': {...}}."
                )
        parts = [_Part(player, role, number[role]) for player, role in enumerate(sides)]
        return jax.tree.unflatten(tree, parts)
    _tree.broadcast_prefix(number, role_of, "optimizer")  # raises where it does not fit
    players_alone = jax.tree.unflatten(tree, [_Part(i, role, 0) for i, role in enumerate(sides)])
    return jax.tree.map(
        lambda part, number: dataclasses.replace(part, optimizer=number),
        _tree.refined(players_alone, number),
        _tree.refined(number, players_alone),
    )


def _on_part(
    transformation: optax.GradientTransformation, parts: Any, index: int
) -> optax.GradientTransformationExtraArgs:
    """`transformation` for part number `index` of `parts`, the structure of a prefix of players.

    It is given that part as a pytree of its own, without the places of all others: so its masks and
    labels are those that fit the player. Random keys in its state are told apart from those of
    other parts, who may have the same optimizer, and with it the same seed.
    """
    transformation = optax.with_extra_args_support(transformation)

    def own(tree: PyTree) -> PyTree:
        return parts.flatten_up_to(tree)[index]

    def init(params: PyTree) -> optax.OptState:
        state = transformation.init(own(params))
        return jax.tree.map(lambda leaf: _folded(leaf, index), state) if index else state

    def update(
        updates: PyTree, state: optax.OptState, params: PyTree | None = None, **extra_args: Any
    ) -> tuple[PyTree, optax.OptState]:
        every = parts.flatten_up_to(updates)

        def whole(part: PyTree) -> PyTree:
            return parts.unflatten([*every[:index], part, *every[index + 1 :]])

        if "grad" in extra_args:
            extra_args["grad"] = own(extra_args["grad"])
        if value_fn := extra_args.get("value_fn"):
            extra_args["value_fn"] = lambda part: value_fn(whole(part))
        params = None if params is None else own(params)
        part, state = transformation.update(every[index], state, params, **extra_args)
        return whole(part), state

    return optax.GradientTransformationExtraArgs(init, update)


def _folded(leaf: Any, index: int) -> Any:
    """Other random keys, where a leaf is some."""
    if not _tree.is_key(leaf):
        return leaf
    return jax.vmap(jax.random.fold_in, (0, None))(leaf.ravel(), index).reshape(leaf.shape)


def as_single_optimizer(leaf: Any, path: tuple[Any, ...] = ()) -> Any:
    """As `as_optimizer`, for one step size, schedule or transformation."""
    if isinstance(leaf, optax.GradientTransformation):
        return leaf
    if callable(leaf):
        if _is_schedule(leaf):
            return leaf
        raise GameError(
            f"{_tree.place('optimizer', path)} is {leaf!r}, which does not turn a step count into "
            "a step size: expected a schedule, or an optax transformation, made by a call such as "
            "optax.adam(1e-3)."
        )
    try:
        step_size = None if leaf is None else _tree.as_real(leaf)
    except TypeError:
        step_size = None
    if (
        step_size is None
        or not jnp.issubdtype(step_size.dtype, jnp.floating)
        or (is_known(step_size) and step_size.ndim != 0)
    ):
        shape = "" if step_size is None else f" It has shape {step_size.shape}."
        raise GameError(
            f"{_tree.place('optimizer', path)} is {leaf!r}: expected a step size, a schedule or an "
            "optax transformation, for all players, per role ({'min': ..., 'max': ...}) or per "
            "player." + shape
        )
    return step_size


def _is_schedule(function: Callable[..., Any]) -> bool:
    try:
        return jax.eval_shape(function, jnp.zeros((), jnp.int32)).shape == ()
    except (TypeError, AttributeError):
        return False


def _is_optimizer(leaf: Any) -> bool:
    return leaf is None or isinstance(leaf, optax.GradientTransformation | Jointly)
