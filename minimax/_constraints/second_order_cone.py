"""The second-order cone."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax._constraints._clip import at_least
from minimax._constraints._polar import magnitude, polar
from minimax._constraints._radius import is_short, near, zero_if_near
from minimax._constraints._vector_set import AbstractVectorSet


class SecondOrderCone(AbstractVectorSet):
    r"""The second-order cone $\{(u, t) : \|u\|_2 \le t\}$: a vector with a bound on its length.

    **Arguments:**

    - `axis`: the axis along which a vector lies, t last; the others are a batch of cones. `None`
      takes the whole leaf as one vector.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.SecondOrderCone().project(jnp.array([3.0, 4.0, 0.0])))
    [1.5 2.  2.5]

    ```

    Source: Parikh and Boyd, "Proximal algorithms" (2014), section 6.3.2.
    """

    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        # A cone looks the same in all units; in these no sum overflows.
        scale = magnitude(x)
        u, t = _split(x / scale)
        norm, unit = polar(u)
        # On the ray through (u/|u|, 1), where neither x nor -x is in the cone.
        reached = at_least((norm + t) / 2, 0)
        nearest = scale * jnp.concatenate([reached * unit, reached], axis=-1)
        return jnp.where(norm <= t, x, nearest)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """With q = x - s = (u, t), it is s where q is in the cone, x where -q is in it, and else
        s + (|u| - t)/2 (u/|u|, -1). |u| - t is computed without a difference of large numbers where
        x is on the boundary."""
        scale = jnp.maximum(magnitude(x), magnitude(s))
        x, s = x / scale, s / scale
        (x_u, x_t), (s_u, s_t) = _split(x), _split(s)
        (u, t), (length, _) = _split(x - s), polar(x_u)
        norm, unit = polar(u)
        # |u|² - t², of which |x_u|² - x_t² is zero on the boundary, over |u| + t.
        rise = zero_if_near(length - x_t, jnp.abs(x_t)) * (length + x_t) - s_t * (s_t - 2 * x_t)
        rise = rise + jnp.sum(s_u * (s_u - 2 * x_u), axis=-1, keepdims=True)
        by_step = (t > 0) & is_short(polar(s)[0], polar(x)[0])
        outside = jnp.where(by_step, rise / jnp.where(by_step, norm + t, 1), norm - t)
        partly = s + outside / 2 * jnp.concatenate([unit, -jnp.ones_like(t)], axis=-1)
        back = jnp.where(outside <= 0, s, jnp.where(norm <= -t, x, partly))
        # The norm of what is not a number is zero.
        unknown = jnp.any(jnp.isnan(x - s), axis=-1, keepdims=True)
        return jnp.where(unknown, jnp.nan, scale * back)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        u, t = _split(x)
        norm, unit = polar(u)
        # At the apex the tangent cone is the cone; elsewhere on the boundary it is a halfspace.
        normal = jnp.concatenate([unit, -jnp.ones_like(t)], axis=-1) / 2**0.5
        outward = jnp.maximum(jnp.sum(normal * v, axis=-1, keepdims=True), 0)
        inward = jnp.where(norm >= t - near(jnp.abs(t)), v - outward * normal, v)
        return jnp.where((norm == 0) & (t <= 0), self._nearest(v), inward)


def example() -> SecondOrderCone:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return SecondOrderCone()


def _split(x: Float[Array, "*batch n"]) -> tuple[Array, Array]:
    return x[..., :-1], x[..., -1:]
