"""The Euclidean ball."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along, vectors
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class L2Ball(AbstractCompactSet):
    r"""The Euclidean ball $\{u : \|u\|_2 \le \text{radius}\}$ around the origin.

    **Arguments:**

    - `radius`: a finite scalar, not negative.
    - `axis`: the axis along which the norm is taken; the others are a batch of balls. `None` takes
      the whole leaf as one vector, so a matrix is held in a Frobenius ball.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L2Ball(1.0).project(jnp.array([3.0, 4.0])))
    [0.6 0.8]

    ```
    """

    radius: Array = eqx.field(converter=jnp.asarray)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        fits = not is_known(self.radius) or bool(
            jnp.all((self.radius >= 0) & jnp.isfinite(self.radius))
        )
        if self.radius.ndim != 0 or not fits:
            raise GameError(f"L2Ball needs one radius >= 0 and finite; it got {self.radius}.")

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda x: _shrink(x, self.radius.astype(x.dtype)), point)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis,
            lambda x, s: _back(x, s, self.radius.astype(x.dtype)),
            point,
            jnp.asarray(step_size * direction),
        )

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        balls = math.prod(vectors(self.axis, point).shape[:-1])
        return 2 * self.radius.astype(point.dtype) * balls**0.5

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda d: -self.radius.astype(d.dtype) * _polar(d)[1], direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        x, d = vectors(self.axis, point), vectors(self.axis, direction)
        radius = self.radius.astype(x.dtype)
        safe = jnp.where(radius > 0, radius, 1)
        length, unit = _polar(d)
        # <d, x> + r|d| = r|d| (|x/r + u|² + 1 - |x/r|²)/2, without a difference of large numbers.
        apart = jnp.sum((x / safe + unit) ** 2, axis=-1, keepdims=True)
        return jnp.sum(length * radius * (apart + _slack(x / safe, jnp.ones_like(radius))) / 2)


def example() -> L2Ball:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L2Ball(1.5)


def _shrink(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    norm, unit = _polar(x)
    return jnp.where(norm > radius, radius * unit, x)


def _slack(x: Float[Array, "*batch n"], radius: Array) -> Array:
    """r² - |x|², where a point as near to the sphere as projections come counts as on it."""
    norm, _ = _polar(x)
    inside = radius - norm
    near = jnp.abs(inside) <= 8 * jnp.finfo(x.dtype).eps * radius
    slack = inside * (radius + norm)
    # Zero there, but with its derivative: the point may move.
    return slack - jnp.where(near, jax.lax.stop_gradient(slack), 0)


def _back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array) -> Array:
    """x - P(x - s): s where x - s is inside. Elsewhere, with q = x - s, it is s r/|q| + x (1 -
    r/|q|), and |q|² - r² is computed without a difference of large numbers where x is on the
    sphere."""
    norm, _ = _polar(x - s)
    outside = norm > radius
    norm = jnp.where(outside, norm, 1)
    x, s, share = x / norm, s / norm, radius / norm  # in units of |q| no square overflows
    excess = jnp.sum(s * (s - 2 * x), axis=-1, keepdims=True) - _slack(x, share)
    return norm * jnp.where(outside, s * share + x * jnp.maximum(excess, 0) / (1 + share), s)


def _polar(x: Float[Array, "*batch n"]) -> tuple[Array, Array]:
    """‖x‖ and x/‖x‖ (0 at 0, with finite derivatives there); no square over- or underflows."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0))
    # Not to the very ends of the range, where compiled code takes one over the scale for zero.
    most = float(jnp.finfo(x.dtype).max) ** 0.75
    scale = jnp.clip(jnp.where(largest > 0, largest, 1), 1 / most, most)
    scaled = x / scale
    squares = jnp.sum(scaled**2, axis=-1, keepdims=True)
    length = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return scale * length * (squares > 0), scaled / length
