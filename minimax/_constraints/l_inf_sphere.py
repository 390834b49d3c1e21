"""The surface of a cube, which is not convex."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._clip import clip
from minimax._constraints._l1 import signs_of
from minimax._constraints._normed import AbstractSphere
from minimax._constraints._radius import near


class LInfSphere(AbstractSphere):
    r"""The sphere $\{u : \max_i |u_i| = \text{radius}\}$ of the largest entry. It is **not
    convex**.

    So no residual certifies a solution: what claims a bound on gaps (`DualityGap`, `RestrictedGap`,
    `certify`) refuses it, as do methods that report averages of iterates; no rate of any solver is
    proven on it. `TangentResidual` is zero exactly where no player gains to first order.

    The projection cuts entries off at the radius. Inside, the entry of the largest magnitude moves
    to the radius and the others stay; of several, which are equally near, the first, and from the
    origin up.

    **Arguments:**

    - `radius`: a finite scalar, positive.
    - `axis`: the axis along which the largest entry is taken; the others are a batch of spheres.
      `None` takes the whole leaf as one vector.

    **Raises:** `GameError` for a radius that is not positive and finite, and for leaves without
    entries.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> sphere = mm.LInfSphere(1.0)
    >>> print(sphere.project(jnp.array([1.5, -0.5])), sphere.project(jnp.array([0.25, -0.5])))
    [ 1.  -0.5] [ 0.25 -1.  ]

    ```
    """

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        size = jnp.abs(x)
        moves = _is_first_largest(size) & jnp.all(size <= radius, axis=-1, keepdims=True)
        return jnp.where(moves, signs_of(x) * radius, clip(x, -radius, radius))

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        signs = signs_of(x - s)
        apart = signs * x - radius
        beyond = apart - signs * s  # |x - s| - r, right to the digits of s where x is on the sphere
        moves = _is_first_largest(beyond) & jnp.all(beyond <= 0, axis=-1, keepdims=True)
        return jnp.where(moves, signs * apart, clip(s, x - radius, x + radius))

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        r"""$T = \{d : \max_{|x_i| = r} d_i \operatorname{sign} x_i = 0\}$: of the entries at the
        radius none may grow, and one stays."""
        radius = self.radius.astype(x.dtype)
        size = jnp.abs(x)
        largest = jnp.max(size, axis=-1, keepdims=True)
        at_radius = size >= jnp.minimum(largest, radius - near(radius))
        growth = jnp.where(at_radius, jnp.sign(x) * v, -jnp.inf)
        along = jnp.where((growth > 0) | _is_first_largest(growth), 0, v)
        return jnp.where(jnp.all(jnp.isfinite(v), axis=-1, keepdims=True), along, jnp.nan)


def example() -> LInfSphere:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return LInfSphere(1.5)


def _is_first_largest(x: Float[Array, "*batch n"]) -> Array:
    return jnp.arange(x.shape[-1]) == jnp.argmax(x, axis=-1, keepdims=True)
