"""Nodes of players that say what below them is moved.

Outside of all of them arrays and Python floats are; nobody has to register anything, and nothing of
Flax is imported: where players hold a Flax module, its user has imported it.
"""

import enum
import sys
from typing import Any

import equinox as eqx
import jax


class Frozen(eqx.Module):
    """A leaf that stays where it is. Payoffs never see it, only what is in it."""

    value: Any


class Kind(enum.Enum):
    """What kind of node it is, and so what of it is moved."""

    MODULE = "an Equinox module: its arrays; floats are settings"
    NNX_MODULE = "a Flax NNX module, or the state of one: nothing but its parameters"
    PARAMETER = "an nnx.Param: arrays and floats"
    FIXED = "what is frozen, and an nnx.Variable that is no nnx.Param: nothing"

    def within(self, node: Any) -> "Kind | None":
        """The kind of a node inside one of this kind, where that says something new."""
        kind = kind_of(node)
        says_nothing = kind is self or (self is Kind.NNX_MODULE and kind is Kind.MODULE)
        return None if says_nothing else kind


def kind_of(node: Any) -> Kind | None:
    """The kind of a node; `None` for containers and leaves."""
    if isinstance(node, eqx.Module):
        return Kind.FIXED if isinstance(node, Frozen) else Kind.MODULE
    nnx = sys.modules.get("flax.nnx")
    if nnx is None:
        return None
    if isinstance(node, nnx.Variable):
        return Kind.PARAMETER if isinstance(node, nnx.Param) else Kind.FIXED
    if isinstance(node, nnx.Pytree) or (is_flax_state(node) and _holds_variables(node)):
        return Kind.NNX_MODULE
    return None


def _holds_variables(state: Any) -> bool:
    """Whether the state of a module still says what is a parameter: it may be of bare arrays."""
    return any(map(is_flax_variable, jax.tree.leaves(state, is_leaf=is_flax_variable)))


def is_flax_state(node: Any) -> bool:
    """Whether a node is an `nnx.State`."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(node, nnx.State)


def is_flax_variable(node: Any) -> bool:
    """Whether a node is an `nnx.Variable` of any kind."""
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(node, nnx.Variable)
