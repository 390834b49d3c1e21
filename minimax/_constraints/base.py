"""What a constraint is: a feasible set (or regulariser) together with its distance."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float


class AbstractConstraint(eqx.Module):
    r"""A closed convex function g with the Bregman distance D in which a player moves.

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

    @abc.abstractmethod
    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The feasible point nearest to `point`."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises `GameError` where a leaf of this shape cannot be meant."""
        del shape


class AbstractSet(AbstractConstraint):
    r"""A closed convex set with the Euclidean distance: its proximal step is a projected step."""

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
    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        r"""A point of the set that minimises $\langle \text{direction}, u\rangle$."""

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        r"""$\max_u \langle \text{direction}, \text{point} - u\rangle$ over the set: what moving
        could gain."""
        return jnp.sum(direction * (point - self.linear_minimizer(direction)))
