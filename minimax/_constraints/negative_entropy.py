"""The negative entropy of mixed strategies."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._axis import along
from minimax._constraints._clip import at_least
from minimax._constraints._weight import as_temperature, like
from minimax._constraints.base import AbstractRegularizer
from minimax._constraints.entropic_simplex import EntropicSimplex
from minimax._constraints.simplex import Simplex


class NegativeEntropy(AbstractRegularizer):
    r"""The regulariser $g(u) = w \sum_i u_i \log u_i$ on the simplex $u_i \ge 0, \sum_i u_i = 1$.

    Players with it answer costs d by $\mathrm{softmax}(-d/w)$: at the solution of a matrix game
    they are in logit quantal response equilibrium with temperature w, which is in the interior.

    Its proximal step is by the Kullback-Leibler divergence D, where it has the closed form
    $\mathrm{softmax}((\log u - \eta d)/(1 + \eta w))$; D is at least $\|u - v\|_2^2/2$, so step
    bounds for Euclidean steps hold. Its residual, `natural_map`, is by Euclidean distance.

    **Arguments:**

    - `weight`: the temperature $w > 0$, a scalar. Without entropy take `Simplex`.
    - `axis`: the axis that sums to one; the others are a batch of simplices. `None` takes the
      whole leaf as one vector.

    **Raises:** `GameError` for a weight that is no scalar, not positive or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> payoff = jnp.array([[3.0, 0.0], [0.0, 1.0]])
    >>> game = mm.Game(lambda p: p[0] @ payoff @ p[1], constraints=mm.NegativeEntropy(0.5))
    >>> solution = mm.solve(game, (jnp.full(2, 0.5), jnp.full(2, 0.5)))
    >>> x, y = solution.players
    >>> print(jnp.allclose(x, jax.nn.softmax(-payoff @ y / 0.5), atol=1e-4))
    True

    ```

    Source: McKelvey and Palfrey, "Quantal response equilibria for normal form games", Games and
    Economic Behavior 10 (1995); as a regulariser: Cen, Wei and Chi, "Fast policy extragradient
    methods for competitive games with entropy regularization", arXiv:2105.15186.
    """

    weight: Array = eqx.field(converter=as_temperature)
    axis: int | None = eqx.field(default=-1, static=True)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        # A sum of n numbers that is one but for rounding counts as one; entr is -∞ below zero.
        return like(self.weight, point) * jnp.sum(along(self.axis, _negative_entropies, point))

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        return along(
            self.axis, lambda x: _prox(x, like(step_size, x) * like(self.weight, x)), point
        )

    def prox_step(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        def step(x: Float[Array, "*batch n"], d: Float[Array, "*batch n"]) -> Array:
            eta = like(step_size, x)
            share = 1 / (1 + eta * like(self.weight, x))
            return jax.nn.softmax(share * _log(x) - share * eta * d, axis=-1)

        return along(self.axis, step, point, direction)

    def natural_map(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        r"""How far a Euclidean proximal step goes back.

        It is zero exactly at solutions: $x = \arg\min_u \langle d, u\rangle + g(u) +
        \|u - x\|^2/(2\eta)$ is, by the optimality condition of this minimum, $-d \in \partial
        g(x)$. Where an entry is zero g has no subgradient, so no face is mistaken for a solution.
        """
        return point - self.prox(point - step_size * direction, step_size)

    def divergence(
        self, u: Float[Array, "*shape"], point: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        return EntropicSimplex(axis=self.axis).divergence(u, point)

    def project(self, point: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        return Simplex(axis=self.axis).project(point)

    def check(self, shape: tuple[int, ...]) -> None:
        Simplex(axis=self.axis).check(shape)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        # <d, x> + g(x) + w log Σ exp(-d/w) = w KL(x, softmax(-d/w)) at feasible x, as a sum of
        # terms x log(x/q) - x + q that are not negative and know no offset of d.
        def divergence(x: Float[Array, "*batch n"], d: Float[Array, "*batch n"]) -> Array:
            log_q = jax.nn.log_softmax(-d / like(self.weight, x), axis=-1)
            return at_least(x * (_log(x) - log_q) - x + jnp.exp(log_q), 0)

        return like(self.weight, point) * jnp.sum(along(self.axis, divergence, point, direction))


def example() -> NegativeEntropy:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return NegativeEntropy(0.7)


def _log(x: Array) -> Array:
    """The logarithm, as if zero were the least normal number: so a multiplicative step leaves a
    face again, unless it leads to where softmax, that is the solution itself, underflows."""
    return jnp.log(at_least(x, float(jnp.finfo(x.dtype).tiny)))


def _negative_entropies(x: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
    rounding = 16 * x.shape[-1] * jnp.finfo(x.dtype).eps
    excess = jnp.abs(jnp.sum(x, axis=-1, keepdims=True) - 1)
    return jnp.where(excess > rounding, jnp.inf, -jax.scipy.special.entr(x))


def _prox(point: Float[Array, "*batch n"], a: Array) -> Float[Array, "*batch n"]:
    r"""The minimiser of $a \sum_i u_i\log u_i + \|u - x\|^2/2$ on the simplex.

    With a multiplier ν it is $u_i + a \log u_i = x_i - \nu$. So each entry falls and is convex in
    ν, and so is their sum: Newton's method, begun where the sum is at least one, finds the ν at
    which it is one without overshooting.
    """
    # Half precision cannot count. A shift of all entries moves ν alone: it keeps ν near zero.
    x = point.astype(jnp.promote_types(point.dtype, jnp.float32))
    x = x - jnp.max(jax.lax.stop_gradient(x), axis=-1, keepdims=True)
    a = jnp.asarray(a, x.dtype)

    def excess(shift: Array) -> tuple[Array, Array]:
        u = _entries(x - shift, a)
        slope = jax.lax.stop_gradient(jnp.sum(u / (a + u), axis=-1, keepdims=True))
        return jnp.sum(u, axis=-1, keepdims=True) - 1, slope

    def newton(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        shift, _, steps = carry
        over, slope = excess(shift)
        after = jnp.maximum(shift + over / slope, shift)
        return after, jnp.any(after > shift), steps + 1

    # There the largest entry, which is 0 now, gets exactly one.
    start = jnp.full_like(x[..., :1], -1)
    shift, _, _ = jax.lax.while_loop(
        lambda carry: carry[1] & (carry[2] < _MOST_STEPS),
        newton,
        (start, jnp.asarray(True), jnp.asarray(0)),
    )
    # One more step, which can be differentiated: its derivative is that of the implicit function.
    over, slope = excess(jax.lax.stop_gradient(shift))
    u = _entries(x - (jax.lax.stop_gradient(shift) + over / slope), a)
    return (u / jnp.sum(u, axis=-1, keepdims=True)).astype(point.dtype)


_MOST_STEPS = 100
"""Newton's method needs a dozen; rounding must not keep it busy forever."""


def _entries(r: Array, a: Array) -> Array:
    """The u with u + a log u = r: by v = log(u/a), v + exp v = r/a - log a."""
    z = at_least(r / a - jnp.log(a), -1e4)  # below, u underflows anyway
    v = _log_omega(z)
    return a * jnp.where(z > 1, z - v, jnp.exp(v))


@jax.custom_jvp
def _log_omega(z: Array) -> Array:
    """The logarithm v of the Wright omega function, v + exp v = z, by Newton's method from above,
    where it converges monotonically; six steps reach double precision everywhere."""
    v = jnp.where(z > 1, jnp.log(jnp.maximum(z, 1)), z)
    for _ in range(6):
        v = v - (v + jnp.exp(v) - z) / (1 + jnp.exp(v))
    return v


@_log_omega.defjvp
def _log_omega_derivative(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (z,), (change,) = primals, tangents
    v = _log_omega(z)
    return v, change / (1 + jnp.exp(v))
