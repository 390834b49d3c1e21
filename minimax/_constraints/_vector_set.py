"""Sets of vectors along an axis of a leaf."""

import abc

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along
from minimax._constraints.base import AbstractSet


class _HasAxis:
    """No module, or `axis` would come before the fields that modules below have of their own."""

    axis: int | None


class AbstractVectorSet(_HasAxis, AbstractSet):
    """A set of vectors along an axis of a leaf, of which the other axes are a batch; for the axis
    `None` the leaf is one vector. What it says of vectors, it says along the last axis."""

    @abc.abstractmethod
    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """P(x)."""

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """x - P(x - s), better without taking the difference."""
        return x - self._nearest(x - s)

    @abc.abstractmethod
    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """The projection of v on the tangent cone at x."""

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, self._nearest, point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return along(self.axis, self._back, point, jnp.asarray(step_size * direction))

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return along(self.axis, self._tangent, point, direction)
