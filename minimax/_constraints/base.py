"""What a constraint is: a feasible set (or regulariser) together with its distance."""

import abc
from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._errors import GameError, is_known


def _shown(field: Any) -> str:
    if eqx.is_array(field) and field.ndim == 0 and is_known(field):
        return f"{field.item():.6g}"
    return eqx.tree_pformat(field)


class AbstractConstraint(eqx.Module):
    r"""A closed convex function g with the Bregman distance D in which a player moves; or a closed
    set that is not convex, and says so (`is_convex`).

    A constraint acts on every leaf of the player it is given to, one leaf at a time, never jointly.
    """

    @abc.abstractmethod
    def prox_step(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        r"""The proximal step $\arg\min_u \langle d, u\rangle + g(u) + D(u, \text{point})/\eta$."""

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        """How far a proximal step goes back, `point - prox_step(point, direction, step_size)`.

        A constraint that can compute it without taking the difference should: a small step away
        from a large point is lost to rounding, and a residual of zero would be wrong.
        """
        return point - self.prox_step(point, direction, step_size)

    def divergence(
        self, u: Float[Array, "*shape"], point: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        r"""The distance $D(u, \text{point})$ of its proximal steps: $\|u - \text{point}\|^2/2$, if
        a constraint says nothing else. It may be infinite, and need not be symmetric."""
        return jnp.sum((u - point) ** 2) / 2

    def __repr__(self) -> str:
        """Numbers as numbers, where they are known, and arrays by dtype and shape."""
        shown = (f"{field.name}={_shown(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"

    def natural_map(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        r"""How far a *Euclidean* proximal step goes back: zero only where no move improves.

        With another distance a step may stay where it is at points that solve nothing, as a
        multiplicative step does at every vertex of the simplex; certificates must not.
        """
        return self.displacement(point, direction, step_size)

    @property
    def is_euclidean(self) -> bool:
        """Whether proximal steps measure by Euclidean distance."""
        return type(self).natural_map is AbstractConstraint.natural_map

    @property
    def is_convex(self) -> bool:
        """Whether it is convex, as all are that do not say otherwise. Where it is not, nothing that
        a player could gain is bounded by slopes, and averages of feasible points are not feasible:
        what claims such a bound, or reports averages, refuses it."""
        return True

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        r"""The feasible direction nearest to `direction` at a feasible `point`:
        $P_{T(\text{point})}(\text{direction})$, the limit of
        $(P(\text{point} + t\,\text{direction}) - \text{point})/t$ for $t \to 0$.

        **Raises:** `GameError` where a constraint does not know it.
        """
        raise GameError(f"{self!r} does not know its tangent cones: use mm.NaturalResidual().")

    @abc.abstractmethod
    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The feasible point nearest to `point`; one of them, where the set is not convex."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `GameError` where a leaf of this shape cannot be meant."""
        del shape


class AbstractSet(AbstractConstraint):
    r"""A closed set, convex unless `is_convex` says otherwise. Unless it has a distance of its own,
    that is Euclidean and its proximal step is a projected step."""

    def prox_step(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return self.project(point - step_size * direction)


class AbstractCompactSet(AbstractSet):
    """A compact convex set: linear functions attain their minimum, so duality gaps are exact."""

    @abc.abstractmethod
    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        r"""The largest distance $\max_{u, v} \|u - v\|_2$ in the set, for leaves like `point`."""

    @abc.abstractmethod
    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        r"""A point of the set that minimises $\langle \text{direction}, u\rangle$."""

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        r"""$\max_u \langle \text{direction}, \text{point} - u\rangle$ over the set: what moving
        could gain."""
        return jnp.sum(direction * (point - self.linear_minimizer(direction)))


class AbstractRegularizer(AbstractConstraint):
    r"""A closed convex function g with the Euclidean distance, such as a weighted norm.

    The player minimises its payoff plus g, whether it is "min" or "max" in the game: a maximiser
    maximises its payoff minus g.
    """

    @abc.abstractmethod
    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        """g(point), infinite outside the domain of g."""

    @abc.abstractmethod
    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        r"""$\arg\min_u g(u) + \|u - \text{point}\|^2/(2\eta)$."""

    def prox_step(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return self.prox(point - step_size * direction, step_size)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The point of the domain of g nearest to `point`: by default `point` itself."""
        return point

    def check(self, shape: tuple[int, ...]) -> None:
        leaf = jax.ShapeDtypeStruct(shape, jnp.float32)
        moved = jax.eval_shape(lambda x: self.prox(x, 1.0), leaf)
        if moved.shape != shape:
            raise GameError(f"its weights turn shape {shape} into {moved.shape}.")

    @abc.abstractmethod
    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        r"""$\max_u \langle d, x - u\rangle + g(x) - g(u) = \langle d, x\rangle + g(x) + g^*(-d)$:
        what moving could gain.

        Zero exactly where $-d$ is a subgradient of g; it may be infinite.
        """
