"""Balls and spheres: a radius, and the axis along which a norm is taken."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._axis import vectors
from minimax._constraints._radius import check_radius
from minimax._constraints._vector_set import AbstractVectorSet
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class AbstractBall(AbstractVectorSet, AbstractCompactSet):
    """The vectors whose norm is at most the radius, for a norm that is at least the Euclidean one
    and equals it somewhere."""

    radius: eqx.AbstractVar[Array]

    def __check_init__(self) -> None:
        check_radius(type(self).__name__, self.radius)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        balls = math.prod(vectors(self.axis, point).shape[:-1])
        return 2 * self.radius.astype(point.dtype) * balls**0.5


class AbstractSphere(AbstractVectorSet):
    """The vectors whose norm is the radius, which are no convex set."""

    radius: eqx.AbstractVar[Array]

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
