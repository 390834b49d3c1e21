"""Vector-space arithmetic on pytrees.

A player may be any pytree: an array, a dict, an Equinox or Flax module with activation functions in
it. Its *variables* are its floating-point arrays, less what is frozen and what a Flax module does
not call a parameter; whatever else it holds stays where it is. So every function here acts on the
variables of its first argument and leaves the rest alone, and a gradient, which has `None` where a
player has an activation function, can be added to the player.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from minimax._errors import GameError
from minimax._kinds import Kind, is_flax_state, kind_of
from minimax._largest import largest_entry

_FEW = 4
"""Up to so many variables a reduction takes one by one."""


def is_variable(leaf: Any) -> bool:
    """Whether an array is something that a solver moves: it holds real floating-point numbers."""
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic)) and bool(
        jnp.issubdtype(leaf.dtype, jnp.floating)
    )


def is_key(leaf: Any) -> bool:
    """Whether a leaf is an array of random keys."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def as_array(number: Any) -> Array:
    """A JAX array of definite dtype: numbers of equal kind do not make a function trace again.

    What comes from the host is only copied, because `jnp.asarray` compiles a program for it.
    """
    if isinstance(number, jax.Array):
        return number if is_key(number) else jnp.asarray(number, number.dtype)
    return jax.device_put(np.asarray(number, jnp.result_type(number)))


def as_real(number: Any) -> Array:
    """`as_array`, with whole numbers as floating-point numbers."""
    dtype = jnp.result_type(float, number)
    return as_array(
        number.astype(dtype) if isinstance(number, jax.Array) else np.asarray(number, dtype)
    )


def floats_as_arrays(tree: PyTree) -> PyTree:
    """`tree` with Python floats outside modules as arrays."""
    return jax.tree.map(
        lambda leaf: as_array(leaf) if isinstance(leaf, float) else leaf, tree, is_leaf=has_kind
    )


def map_variables(function: Callable[..., Any], tree: PyTree, *others: PyTree) -> PyTree:
    """`function` on each variable of `tree` (and its partners in `others`); the rest is kept.

    A Python float counts as a variable, but not inside a module, where it is a setting such as a
    dropout rate; inside a Flax NNX module only parameters are, and what is frozen is none.
    """
    return _map(function, lambda leaf: leaf, tree, *others)


def variables(tree: PyTree) -> PyTree:
    """`tree` with `None` in place of all that is not a variable: what optax and norms see."""
    return _map(lambda leaf: leaf, lambda _: None, tree)


def constants(tree: PyTree) -> PyTree:
    """`tree` with `None` in place of its variables: all that no solver moves."""
    return _map(lambda _: None, lambda leaf: leaf, tree)


def partition(tree: PyTree) -> tuple[PyTree, PyTree]:
    """Variables and constants, which `equinox.combine` puts together again."""
    return variables(tree), constants(tree)


def _map(
    function: Callable[..., Any], otherwise: Callable[[Any], Any], tree: PyTree, *others: PyTree
) -> PyTree:
    def below(kind: Kind | None, node: PyTree, *partners: PyTree) -> PyTree:
        """`kind`: of the innermost node around, which says what is moved."""
        if kind is Kind.FIXED:
            return jax.tree.map(otherwise, node)
        within = kind_of if kind is None else kind.within

        def at(leaf: Any, *partners: Any) -> Any:
            inner = None if leaf is node else within(leaf)
            if inner is not None:
                return below(inner, leaf, *partners)
            if isinstance(leaf, float) and kind in (None, Kind.PARAMETER):
                leaf = jnp.asarray(leaf)
            moves = kind is not Kind.NNX_MODULE and is_variable(leaf)
            return function(leaf, *partners) if moves else otherwise(leaf)

        def ends(inner: Any) -> bool:
            return inner is None or (inner is not node and within(inner) is not None)

        return jax.tree.map(at, node, *partners, is_leaf=ends)

    return below(kind_of(tree), tree, *others)


def has_kind(node: Any) -> bool:
    """Whether a node says what below it is a variable: a module, or something frozen."""
    return kind_of(node) is not None


def add(tree: PyTree, update: PyTree) -> PyTree:
    """`tree + update`, in the dtype of `tree`."""
    return map_variables(lambda a, b: a + jnp.asarray(b, a.dtype), tree, update)


def subtract(tree: PyTree, other: PyTree) -> PyTree:
    """`tree - other`, in the dtype of `tree`."""
    return map_variables(lambda a, b: a - jnp.asarray(b, a.dtype), tree, other)


def cast(tree: PyTree, like: PyTree) -> PyTree:
    """`tree` in the dtypes of `like`."""
    return map_variables(lambda a, b: jnp.asarray(a, b.dtype), tree, like)


def scale(scalar: Any, tree: PyTree) -> PyTree:
    """`scalar * tree`, in the dtype of `tree`."""
    return map_variables(lambda a: jnp.asarray(scalar, a.dtype) * a, tree)


def add_scaled(tree: PyTree, scalar: Any, other: PyTree) -> PyTree:
    """`tree + scalar * other`, in the dtype of `tree`."""
    return map_variables(
        lambda a, b: a + jnp.asarray(scalar, a.dtype) * jnp.asarray(b, a.dtype), tree, other
    )


def toward(tree: PyTree, other: PyTree, share: Any) -> PyTree:
    """`tree + share * (other - tree)`: part of the way to another point."""
    return add_scaled(tree, share, subtract(other, tree))


def where(condition: Any, tree: PyTree, other: PyTree) -> PyTree:
    """Leafwise choice between two trees of equal structure by one scalar condition."""
    return jax.tree.map(
        lambda a, b: jnp.where(condition, a, b) if eqx.is_array(a) else a, tree, other
    )


def cond(condition: Any, yes: Callable[[], PyTree], no: Callable[[], PyTree]) -> PyTree:
    """`lax.cond`, of which only the arrays travel: functions in players stay where they are. A
    choice leaf by leaf would compute both sides, and be a kernel for every leaf."""
    kept: list[PyTree] = []

    def arrays_of(branch: Callable[[], PyTree]) -> PyTree:
        arrays, rest = eqx.partition(branch(), eqx.is_array)
        kept.append(rest)
        return arrays

    arrays = jax.lax.cond(condition, lambda: arrays_of(yes), lambda: arrays_of(no))
    return eqx.combine(arrays, kept[-1])


def dot(tree: PyTree, other: PyTree) -> Float[Array, ""]:
    """Inner product over all variables."""
    pairs = zip(parts(tree), parts(other), strict=True)
    # One product each, where a product and its sum would be two kernels or three.
    return _total([jnp.vdot(a, b, precision="highest") for a, b in pairs])


def norm(tree: PyTree) -> Float[Array, ""]:
    """Euclidean norm over all variables, with a finite derivative at zero."""
    squares = dot(tree, tree)
    return jnp.sqrt(jnp.where(squares == 0, 1, squares)) * (squares != 0)


def scaled_norm(tree: PyTree) -> Float[Array, ""]:
    """`norm`, where no square over- or underflows: for certificates, which look once in a while."""
    scale = jax.lax.stop_gradient(largest(tree))
    scale = jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1)
    return norm([part / scale for part in parts(tree)]) * scale


def largest(tree: PyTree) -> Float[Array, ""]:
    """The largest magnitude of any entry, in single precision or better; infinite where there is a
    NaN."""
    entries = [largest_entry(jnp.abs(part), initial=0) for part in parts(tree)]
    return functools.reduce(jnp.maximum, entries) if entries else jnp.asarray(0.0)


def parts(tree: PyTree) -> list[Array]:
    """The variables for a reduction over all of them: few one by one, and many as one vector, since
    every part is kernels to compile. In single precision or better: half precision has neither the
    range nor the digits for a sum of squares."""
    leaves = jax.tree.leaves(variables(tree))
    dtype = jnp.result_type(jnp.float32, *leaves)
    arrays = [jnp.asarray(leaf, dtype) for leaf in leaves]
    return arrays if len(arrays) <= _FEW else [jnp.concatenate([array.ravel() for array in arrays])]


def broadcast_prefix(
    prefix: PyTree, tree: PyTree, name: str, is_leaf: Callable[[Any], bool] | None = None
) -> PyTree:
    """`prefix` with each leaf repeated over the subtree of `tree` that it stands for.

    Raises `GameError`, naming the place, where `prefix` does not fit; `name` is what the message
    calls it.
    """
    try:
        return jax.tree.map(
            lambda leaf, subtree: jax.tree.map(lambda _: leaf, subtree),
            prefix,
            tree,
            is_leaf=is_leaf,
        )
    except ValueError:
        raise GameError(_misfit(prefix, tree, name, is_leaf)) from None


def numbered(prefix: PyTree, tree: PyTree, name: str) -> PyTree[int]:
    """The number, among the leaves of `prefix`, of the one that stands for each leaf of `tree`."""
    leaves, structure = jax.tree.flatten(prefix)
    return broadcast_prefix(jax.tree.unflatten(structure, range(len(leaves))), tree, name)


def refined(prefix: PyTree, other: PyTree) -> PyTree:
    """`prefix`, with a leaf for each leaf of `other` where that reaches further into one tree."""
    if jax.tree_util.all_leaves([prefix]):
        return jax.tree.map(lambda _: prefix, other)
    if jax.tree_util.all_leaves([other]):
        return prefix
    children, node = jax.tree.flatten(prefix, is_leaf=lambda inner: inner is not prefix)
    return jax.tree.unflatten(node, map(refined, children, node.flatten_up_to(other)))


def place(name: str, path: tuple[Any, ...]) -> str:
    """How a message names the place `path` in the pytree `name`: `players['x'][0]`."""
    return name + jax.tree_util.keystr(path)


def _misfit(prefix: PyTree, tree: PyTree, name: str, is_leaf: Any) -> str:
    """Where `prefix` stops being a prefix of the players."""
    given = [path for path, _ in jax.tree_util.tree_leaves_with_path(prefix, is_leaf=is_leaf)]
    present = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    if jax.tree_util.all_leaves([tree]):
        entries = _listed([jax.tree_util.keystr(path) for path in given])
        return (
            f"{name} does not fit the players: it has {entries}, and the players are one array. "
            "Players are a pytree, such as the tuple (x, y)."
        )
    for path in given:
        if not any(leaf[: len(path)] == path for leaf in present):
            known = sorted({jax.tree_util.keystr(leaf[: len(path)]) for leaf in present})
            return (
                f"{place(name, path)} fits no player: {name} must be a prefix of the players, "
                f"which have {_listed(known)}."
            )
    for leaf in present:
        if not any(leaf[: len(path)] == path for path in given):
            lengths = range(1, len(leaf) + 1)
            known = max((n for n in lengths if any(p[:n] == leaf[:n] for p in given)), default=0)
            return (
                f"{name} says nothing about {place('players', leaf[: known + 1])}: give every "
                "player an entry" + (" (None leaves it free)." if name == "constraints" else ".")
            )
    return (
        f"{name} does not fit the players: it is a {type(prefix).__name__} or holds one, where the "
        f"players are or hold a {type(tree).__name__}. Give both the same containers, for example "
        + ("nnx.State({...})." if is_flax_state(tree) else "(x, y) with the default roles.")
    )


def _listed(items: list[str], most: int = 6) -> str:
    shown = ", ".join(items[:most])
    return shown + (f", … ({len(items)} in all)" if len(items) > most else "")


def _total(leaves: list[Array]) -> Float[Array, ""]:
    return functools.reduce(jnp.add, leaves) if leaves else jnp.asarray(0.0)


def _is_none(leaf: Any) -> bool:
    return leaf is None
