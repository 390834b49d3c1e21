"""Balls and spheres: a radius, and the axis along which a norm is taken."""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along, vectors
from minimax._constraints._radius import check_radius
from minimax._constraints.base import AbstractCompactSet, AbstractSet
from minimax._errors import GameError, is_known


class AbstractNormed(AbstractSet):
    """A set of vectors along an axis, said by their norm and a radius of the same dtype."""

    radius: eqx.AbstractVar[Array]
    axis: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def _nearest(self, x: Float[Array, "*batch n"], radius: Array) -> Array:
        """P(x), along the last axis."""

    @abc.abstractmethod
    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array
    ) -> Array:
        """x - P(x - s), along the last axis, without taking the difference."""

    @abc.abstractmethod
    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"], radius: Array
    ) -> Array:
        """The projection of v on the tangent cone at x, along the last axis."""

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda x: self._nearest(x, self.radius.astype(x.dtype)), point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis,
            lambda x, s: self._back(x, s, self.radius.astype(x.dtype)),
            point,
            jnp.asarray(step_size * direction),
        )

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis,
            lambda x, v: self._tangent(x, v, self.radius.astype(x.dtype)),
            point,
            direction,
        )


class AbstractBall(AbstractNormed, AbstractCompactSet):
    """The vectors whose norm is at most the radius, for a norm that is at least the Euclidean one
    and equals it somewhere."""

    def __check_init__(self) -> None:
        check_radius(type(self).__name__, self.radius)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        balls = math.prod(vectors(self.axis, point).shape[:-1])
        return 2 * self.radius.astype(point.dtype) * balls**0.5


class AbstractSphere(AbstractNormed):
    """The vectors whose norm is the radius, which are no convex set."""

    def __check_init__(self) -> None:
        radius, name = self.radius, type(self).__name__
        fits = not is_known(radius) or bool(jnp.all((radius > 0) & jnp.isfinite(radius)))
        if radius.ndim != 0 or not fits:
            raise GameError(f"{name} needs one radius > 0 and finite; it got {radius}.")

    @property
    def is_convex(self) -> bool:
        return False

    def check(self, shape: tuple[int, ...]) -> None:
        entries = shape if self.axis is None else shape and (shape[self.axis],)
        if 0 in entries:
            raise GameError("a vector without entries has the length 0: leave the player free.")
