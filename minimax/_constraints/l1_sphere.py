"""The boundary of the cross-polytope, which is not convex."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._l1 import (
    along_l1_sphere,
    back_to_l1_ball,
    nearest_in_l1_ball,
    signs_of,
)
from minimax._constraints._normed import AbstractSphere


class L1Sphere(AbstractSphere):
    r"""The sphere $\{u : \sum_i |u_i| = \text{radius}\}$ of the L1 norm around the origin. It is
    **not convex**.

    So no residual certifies a solution: what claims a bound on gaps (`DualityGap`, `RestrictedGap`,
    `certify`) refuses it, as do methods that report averages of iterates; no rate of any solver is
    proven on it. `TangentResidual` is zero exactly where no player gains to first order.

    The projection is that on the L1 ball for points outside. Points inside move to the facet of
    their signs, $u_i + \operatorname{sign}(u_i)(r - \|u\|_1)/n$. A zero counts as positive: the
    facets on both sides are equally near.

    **Arguments:**

    - `radius`: a finite scalar, positive.
    - `axis`: the axis along which the sum is taken; the others are a batch of spheres. `None` takes
      the whole leaf as one vector.

    **Raises:** `GameError` for a radius that is not positive and finite, and for leaves without
    entries.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> sphere = mm.L1Sphere(1.0)
    >>> print(sphere.project(jnp.array([1.5, -1.0, 0.25])), sphere.project(jnp.array([0.25, -0.5])))
    [ 0.75 -0.25  0.  ] [ 0.375 -0.625]

    ```

    Source: the ball, Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the
    l1-ball for learning in high dimensions", ICML 2008, section 4; inside, the hyperplane of the
    nearest facet, which of all $\sum_i \pm u_i = r$ is that of the signs of u.
    """

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        single = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # half precision cannot count
        lacking = radius - jnp.sum(jnp.abs(single), axis=-1, keepdims=True)
        outward = (single + signs_of(single) * lacking / x.shape[-1]).astype(x.dtype)
        return jnp.where(lacking >= 0, outward, nearest_in_l1_ball(x, radius))

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        beyond, back = back_to_l1_ball(x, s, self.radius.astype(x.dtype))
        outward = s + (signs_of(x - s) * beyond / x.shape[-1]).astype(x.dtype)
        return jnp.where(beyond <= 0, outward, back)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        r"""$T = \{d : \sum_{x_i \ne 0} d_i \operatorname{sign} x_i + \sum_{x_i = 0} |d_i| = 0\}$:
        where the norm falls along v, all entries share what is missing, as inside the sphere."""
        growth, signs, along_boundary = along_l1_sphere(x, v)
        outward = (v - signs * growth / x.shape[-1]).astype(v.dtype)
        return jnp.where(growth > 0, along_boundary, outward)


def example() -> L1Sphere:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L1Sphere(1.5)
