"""The Euclidean sphere, which is not convex."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along
from minimax._constraints._polar import polar
from minimax._constraints._sphere import back_to_sphere
from minimax._constraints.base import AbstractSet
from minimax._errors import GameError, is_known


class L2Sphere(AbstractSet):
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

    radius: Array = eqx.field(converter=jnp.asarray)
    axis: int | None = eqx.field(default=-1, static=True)

    def __check_init__(self) -> None:
        radius = self.radius
        fits = not is_known(radius) or bool(jnp.all((radius > 0) & jnp.isfinite(radius)))
        if radius.ndim != 0 or not fits:
            raise GameError(f"L2Sphere needs one radius > 0 and finite; it got {radius}.")

    @property
    def is_convex(self) -> bool:
        return False

    def check(self, shape: tuple[int, ...]) -> None:
        entries = shape if self.axis is None else shape and (shape[self.axis],)
        if 0 in entries:
            raise GameError("a vector without entries has the length 0: leave the player free.")

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return along(self.axis, lambda x: _scaled(x, self.radius.astype(x.dtype)), point)

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

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return along(self.axis, _along_sphere, point, direction)


def example() -> L2Sphere:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return L2Sphere(1.5)


def _scaled(x: Float[Array, "*batch n"], radius: Array) -> Float[Array, "*batch n"]:
    return radius * _direction(x)


def _direction(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    """x/|x|, and the first unit vector at zero, but not where there is a NaN."""
    norm, unit = polar(x)
    is_zero = (norm == 0) & ~jnp.any(jnp.isnan(x), axis=-1, keepdims=True)
    return jnp.where(is_zero, jnp.zeros(x.shape[-1:], x.dtype).at[0].set(1), unit)


def _along_sphere(x: Float[Array, "*batch n"], v: Float[Array, "*batch n"]) -> Array:
    _, unit = polar(x)
    return v - jnp.sum(v * unit, axis=-1, keepdims=True) * unit


def _back(x: Float[Array, "*batch n"], s: Float[Array, "*batch n"], radius: Array) -> Array:
    """x - P(x - s)."""
    q = x - s
    back = back_to_sphere(x, s, radius, lambda norm, _: norm != 0)
    return jnp.where(polar(q)[0] == 0, x - _scaled(q, radius), back)
