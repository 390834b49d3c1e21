"""The Euclidean ball."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._axis import along
from minimax._constraints.base import AbstractCompactSet
from minimax._errors import GameError, is_known


class L2Ball(AbstractCompactSet):
    r"""The Euclidean ball $\{u : \|u\|_2 \le \text{radius}\}$ around the origin.

    **Arguments:**

    - `radius`: a non-negative scalar.
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
        if self.radius.ndim != 0 or (is_known(self.radius) and not self.radius >= 0):
            raise GameError(f"L2Ball needs one radius >= 0; it got {self.radius}.")

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda x: _shrink(x, self.radius.astype(x.dtype)), point)

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda d: -self.radius.astype(d.dtype) * _polar(d)[1], direction)


def example() -> L2Ball:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L2Ball(1.5)


def _shrink(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    norm, unit = _polar(x)
    return jnp.where(norm > radius, radius * unit, x)


def _polar(x: Float[Array, "*batch n"]) -> tuple[Array, Array]:
    """‖x‖ and x/‖x‖ (0 at 0, with finite derivatives there); no square over- or underflows."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    scale = jnp.where(largest > 0, largest, 1)
    scaled = x / scale
    squares = jnp.sum(scaled**2, axis=-1, keepdims=True)
    length = jnp.sqrt(jnp.where(squares > 0, squares, 1))
    return scale * length * (squares > 0), scaled / length
