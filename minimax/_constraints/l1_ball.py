"""The cross-polytope."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._axis import along, vectors
from minimax._constraints._l1 import along_l1_sphere, back_to_l1_ball, nearest_in_l1_ball
from minimax._constraints._normed import AbstractBall
from minimax._constraints._radius import near, zero_if_near


class L1Ball(AbstractBall):
    r"""The cross-polytope $\{u : \sum_i |u_i| \le \text{radius}\}$: few entries that differ from
    zero.

    **Arguments:**

    - `radius`: a finite scalar, not negative.
    - `axis`: the axis along which the sum is taken; the others are a batch of balls. `None` takes
      the whole leaf as one vector.

    **Raises:** `GameError` for a negative radius.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L1Ball(1.0).project(jnp.array([1.5, -1.0, 0.25])))
    [ 0.75 -0.25  0.  ]

    ```

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient projections onto the l1-ball for
    learning in high dimensions", ICML 2008, section 4: it is the projection of the magnitudes on a
    simplex. That one is Michelot's here.
    """

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        return nearest_in_l1_ball(x, self.radius.astype(x.dtype))

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """s where x - s is inside."""
        beyond, back = back_to_l1_ball(x, s, self.radius.astype(x.dtype))
        return jnp.where(beyond <= 0, s, back)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        growth, _, along_boundary = along_l1_sphere(x, v)
        on_boundary = jnp.sum(jnp.abs(x), axis=-1, keepdims=True) >= radius - near(radius)
        inward = jnp.where(on_boundary & (growth > 0), along_boundary, v)
        return jnp.where(radius > 0, inward, 0)

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        def vertex(d: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
            steepest = jnp.argmax(jnp.abs(d), axis=-1)
            chosen = jax.nn.one_hot(steepest, d.shape[-1], dtype=d.dtype)
            return -self.radius.astype(d.dtype) * jnp.sign(d) * chosen

        return along(self.axis, vertex, direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # <d, x> + r max|d| = sum_i |x_i| (max|d| + d_i sign x_i) + max|d| (r - sum_i |x_i|), of
        # which no term is a small difference of large sums.
        x, d = vectors(self.axis, point), vectors(self.axis, direction)
        radius = self.radius.astype(x.dtype)
        steepest = jnp.max(jnp.abs(d), axis=-1, keepdims=True, initial=0)
        slack = zero_if_near(radius - jnp.sum(jnp.abs(x), axis=-1, keepdims=True), radius)
        return jnp.sum(jnp.abs(x) * (steepest + d * jnp.sign(x))) + jnp.sum(steepest * slack)


def example() -> L1Ball:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L1Ball(1.5)
