"""The probability simplex with the distance of probabilities."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along
from minimax._constraints._clip import at_least
from minimax._constraints.base import AbstractCompactSet
from minimax._constraints.simplex import Simplex


@final
class EntropicSimplex(AbstractCompactSet):
    r"""The probability simplex with the Kullback-Leibler divergence as its distance,

    $$D(u, x) = \sum_i u_i \log (u_i / x_i), \qquad
      \arg\min_u \langle d, u \rangle + D(u, x)/\eta = \operatorname{softmax}(\log x - \eta d).$$

    Methods that move by proximal steps, such as `MirrorProx`, then move by multiplicative weights:
    no projection, and a bound that grows with $\log n$ instead of n. Start them in the interior,
    for example at the uniform distribution. The set, the nearest point (`project`), gaps and
    residuals are those of `Simplex`; methods that move by optax transformations, such as
    `ExtraGradient`, only project, so for them the two are the same.

    **Arguments:**

    - `axis`: as for `Simplex`.

    An entry that is zero counts as the smallest normal number in proximal steps, so that what was
    lost to underflow can grow back, exponentially.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> uniform, losses = jnp.array([0.5, 0.5]), jnp.array([0.0, 1000.0])
    >>> print(mm.EntropicSimplex().prox_step(uniform, losses, 1.0))
    [1. 0.]

    ```

    Source: Beck and Teboulle, "Mirror descent and nonlinear projected subgradient methods for
    convex optimization", Oper. Res. Lett. 31 (2003), section 5.
    """

    axis: int | None = eqx.field(default=-1, static=True)

    def prox_step(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return along(
            self.axis,
            lambda x, d: _multiply_weights(x, d, step_size),
            point,
            jnp.asarray(direction),
        )

    def natural_map(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        return Simplex(axis=self.axis).natural_map(point, direction, step_size)

    def divergence(
        self, u: Float[Array, "*shape"], point: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        safe_u, safe_point = (jnp.where(x > 0, x, 1) for x in (u, point))
        terms = u * (jnp.log(safe_u) - jnp.log(safe_point))  # their quotient might overflow
        return jnp.sum(jnp.where((u > 0) & (point <= 0), jnp.inf, terms))

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return Simplex(axis=self.axis).project(point)

    def project_on_tangent_cone(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return Simplex(axis=self.axis).project_on_tangent_cone(point, direction)

    def check(self, shape: tuple[int, ...]) -> None:
        Simplex(axis=self.axis).check(shape)

    def diameter(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        return Simplex(axis=self.axis).diameter(point)

    def linear_minimizer(self, direction: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return Simplex(axis=self.axis).linear_minimizer(direction)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        return Simplex(axis=self.axis).gap(point, direction)


def example() -> EntropicSimplex:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return EntropicSimplex()


def _multiply_weights(
    point: Float[Array, "*batch n"], direction: Float[Array, "*batch n"], step_size: ArrayLike
) -> Float[Array, "*batch n"]:
    # The least number is that of the point's dtype: what a half-precision entry cannot hold, it
    # would lose again after every step. The sum needs more digits than half precision has.
    wide = jnp.promote_types(point.dtype, jnp.float32)
    weights = at_least(point, float(jnp.finfo(point.dtype).tiny)).astype(wide)
    # Losses from the least of them up: their common part would cost digits and may overflow.
    losses = direction.astype(wide)
    losses = losses - jnp.min(jax.lax.stop_gradient(losses), axis=-1, keepdims=True)
    logits = jnp.log(weights) - jnp.asarray(step_size, wide) * losses
    return jax.nn.softmax(logits, axis=-1).astype(point.dtype)
