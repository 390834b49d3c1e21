"""The Euclidean sphere, which is not convex."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from minimax import _tree
from minimax._constraints._normed import AbstractSphere
from minimax._constraints._polar import polar
from minimax._constraints._sphere import back_to_sphere


class L2Sphere(AbstractSphere):
    r"""The Euclidean sphere $\{u : \|u\|_2 = \text{radius}\}$ around the origin. It is **not
    convex**.

    So no residual certifies a solution: it says that no player gains to first order, as at every
    eigenvector of A for $x^\top A x$. What claims a bound on gaps (`DualityGap`, `RestrictedGap`,
    `certify`) refuses it, as do methods that report averages of iterates, which are not on it; no
    rate of any solver is proven on it.

    The projection is $r u/\|u\|$; the origin, to which all points are equally near, goes to
    $r e_1$, with derivative zero. Directions along the sphere at u are $v - \langle v, u\rangle
    u/r^2$, so `TangentResidual` is the norm of the Riemannian gradient, zero exactly at critical
    points: those with $F(u) = \lambda u$. `NaturalResidual(s)` is zero exactly at those with
    $s \lambda < 1$: where F is zero, where -F points outwards, and where it points inwards and
    $s \|F(u)\| < r$. A longer step goes beyond the origin and comes back on the other side, so
    such a critical point has the residual $2r/s$.

    **Arguments:**

    - `radius`: a finite scalar, positive.
    - `axis`: the axis along which the norm is taken; the others are a batch of spheres. `None`
      takes the whole leaf as one vector.

    **Raises:** `GameError` for a radius that is not positive and finite, and for leaves without
    entries.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.L2Sphere(1.0).project(jnp.array([0.3, 0.4])))
    [0.6 0.8]
    >>> A = jnp.array([[2.0, 1.0], [1.0, 2.0]])  # with the eigenvalues 1 and 3
    >>> game = mm.Game(lambda x: x @ A @ x / 2, "min", mm.L2Sphere(1.0))
    >>> descent, metric = mm.GradientDescentAscent(0.2), mm.TangentResidual()
    >>> solution = mm.solve(game, jnp.array([1.0, 0.0]), descent, metric=metric)
    >>> print(f"{2 * solution.value:.4f}")
    1.0000

    ```

    Source: Absil, Mahony and Sepulchre, "Optimization Algorithms on Matrix Manifolds" (2008),
    sections 3.6 and 4.6.
    """

    radius: Array = eqx.field(converter=_tree.as_real)
    axis: int | None = eqx.field(default=-1, static=True)

    def _nearest(self, x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
        """r x/|x|, and r times the first unit vector at zero, but not where there is a NaN."""
        radius = self.radius.astype(x.dtype)
        norm, unit = polar(x)
        is_zero = (norm == 0) & ~jnp.any(jnp.isnan(x), axis=-1, keepdims=True)
        first = jnp.zeros(x.shape[-1:], x.dtype).at[0].set(1)
        return radius * jnp.where(is_zero, first, unit)

    def _back(
        self, x: Float[Array, "*batch n"], s: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        radius = self.radius.astype(x.dtype)
        q = x - s
        back = back_to_sphere(x, s, radius, lambda norm, _: norm != 0)
        return jnp.where(polar(q)[0] == 0, x - self._nearest(q), back)

    def _tangent(
        self, x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]
    ) -> Float[Array, "*batch n"]:
        """v, without what points out of the sphere or into it."""
        _, unit = polar(x)
        return v - jnp.sum(v * unit, axis=-1, keepdims=True) * unit


def example() -> L2Sphere:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L2Sphere(1.5)
