"""The sum of singular values."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from minimax._constraints._clip import at_least, at_most
from minimax._constraints._spectral import on_singular_values
from minimax._constraints._weight import as_scalar_weight, is_within, like
from minimax._constraints.base import AbstractRegularizer


class NuclearNorm(AbstractRegularizer):
    r"""The regulariser $g(U) = w \sum_i s_i(U)$ with the singular values of a matrix, which makes
    matrices low in rank.

    Its proximal step is a soft threshold on the singular values. Its conjugate is zero where the
    largest singular value of the direction is at most w and infinite elsewhere, and so is its gap;
    a direction beyond by no more than 16 units of rounding counts as inside. Every step costs one
    singular value decomposition; derivatives are finite where singular values are equal.

    **Arguments:**

    - `weight`: $w \ge 0$, a scalar.

    The matrix is in the last two axes of a leaf, the others are a batch. A vector counts as a
    matrix of one row, whose only singular value is its length.

    **Raises:** `GameError` for a weight that is no scalar, negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> print(mm.NuclearNorm(1.0).prox(jnp.array([[0.0, 3.0], [0.5, 0.0]]), 1.0))
    [[0. 2.]
     [0. 0.]]

    ```

    Source: Cai, Candès and Shen, "A singular value thresholding algorithm for matrix completion",
    SIAM J. Optim. 20 (2010), arXiv:0810.3286, theorem 2.1.
    """

    weight: Array = eqx.field(converter=as_scalar_weight)

    def value(self, point: Float[Array, "*shape"]) -> Float[Array, ""]:
        s = jnp.linalg.svd(_matrices(point), compute_uv=False)
        return (like(self.weight, s) * jnp.sum(s)).astype(point.dtype)

    def prox(self, point: Float[Array, "*shape"], step_size: ArrayLike) -> Float[Array, "*shape"]:
        x = _matrices(point)
        after = on_singular_values(_soft_threshold, x, like(step_size, x) * like(self.weight, x))
        return after.reshape(point.shape).astype(point.dtype)

    def displacement(
        self,
        point: Float[Array, "*shape"],
        direction: Float[Array, "*shape"],
        step_size: ArrayLike,
    ) -> Float[Array, "*shape"]:
        # With q = x - s, the way back x - prox(q) is s and what the threshold takes off q.
        x, s = _matrices(point), _matrices(like(step_size, point) * direction)
        taken = on_singular_values(at_most, x - s, like(step_size, x) * like(self.weight, x))
        return (s + taken).reshape(point.shape).astype(point.dtype)

    def gap(
        self, point: Float[Array, "*shape"], direction: Float[Array, "*shape"]
    ) -> Float[Array, ""]:
        x, d = _matrices(point), _matrices(direction)
        weight = like(self.weight, x)
        left, s, right = jnp.linalg.svd(x, full_matrices=False)
        length = jnp.linalg.svd(d, compute_uv=False)[..., 0]
        # w Σ s_i + <d, x> = Σ s_i (w + u_iᵀ d v_i): each term is at least zero where |d| <= w.
        along = jnp.einsum("...mi,...mn,...in->...i", left, d, right, precision="highest")
        finite = jnp.sum(s * jnp.maximum(weight + along, 0), axis=-1)
        gap = jnp.sum(jnp.where(is_within(length, weight), finite, jnp.inf))
        return gap.astype(point.dtype)


def example() -> NuclearNorm:
    """For the tests that every constraint passes: an instance for leaves of any shape."""
    return NuclearNorm(0.7)


def _matrices(leaf: Float[Array, "*shape"]) -> Float[Array, "*batch m n"]:
    """The leaf as matrices, in single precision or better: there is no half precision SVD."""
    leaf = leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
    return leaf.reshape(1, -1) if leaf.ndim < 2 else leaf


def _soft_threshold(s: Array, threshold: Array) -> Array:
    return at_least(s - threshold, 0)
