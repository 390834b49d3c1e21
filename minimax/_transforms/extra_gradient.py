"""Extragradient as an optax transformation, for a user's own training loop."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from minimax import _tree
from minimax._errors import GameError
from minimax._moments import Moments, carry_over, check_moments
from minimax._optimizers import Optimizer, as_single_optimizer, as_transformation


class ExtraGradientState(NamedTuple):
    """`looking_ahead`: whether the next gradient is the first of a step; `anchor`: where the step
    began; `inner`: the state of the inner transformation."""

    looking_ahead: Bool[Array, ""]
    anchor: PyTree
    inner: optax.OptState


def extra_gradient(
    inner: Optimizer, moments: Moments = "shared"
) -> optax.GradientTransformationExtraArgs:
    r"""Extragradient in two phases, one per call of `update`.

    With T the inner transformation, z the parameters and g the gradient at them:

    $$\text{odd calls, } z:\ a \leftarrow z,\ \text{return } T(g); \qquad
      \text{even calls, } w:\ \text{return } (a - w) + T(g).$$

    So the parameters alternate between an iterate z and its look ahead w, and every second
    gradient is taken at w. Two calls make one step of `ExtraGradient`. Inside
    `optax.multi_transform` give each player its own, with a negative step size where the player
    ascends; all players must use it, so that all look ahead at the same time.

    **Arguments:**

    - `inner`: a step size (negative: ascend), a schedule (of steps: both phases of a step use the
      same step size) or an optax transformation. Compose by putting other transformations inside,
      `extra_gradient(optax.chain(clip, adam))`; outside they would act on the return to the anchor.
    - `moments`: as for `ExtraGradient`.

    **Raises:** `GameError` for what is no optimizer or no kind of `moments`, and where `update` is
    called without parameters.

    ```python
    >>> import jax, optax, minimax as mm
    >>> players = {"x": 1.0, "y": 1.0}
    >>> both = {"x": mm.extra_gradient(0.5), "y": mm.extra_gradient(-0.5)}
    >>> optimizer = optax.multi_transform(both, {"x": "x", "y": "y"})
    >>> state = optimizer.init(players)
    >>> for _ in range(2 * 20):
    ...     gradient = jax.grad(lambda p: p["x"] * p["y"])(players)
    ...     update, state = optimizer.update(gradient, state, players)
    ...     players = optax.apply_updates(players, update)
    >>> print(f"{players['x']:.2f} {players['y']:.2f}")
    0.18 -0.00

    ```

    Source: as for `ExtraGradient`.
    """
    check_moments(moments)
    transformation = optax.with_extra_args_support(as_transformation(as_single_optimizer(inner)))

    def init(params: PyTree) -> ExtraGradientState:
        params = jax.tree.map(jnp.asarray, params)
        return ExtraGradientState(jnp.asarray(True), params, transformation.init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra_args: Any
    ) -> tuple[PyTree, ExtraGradientState]:
        if params is None:
            raise GameError(
                "extra_gradient needs the parameters to return to its anchor: call "
                "update(gradient, state, params)."
            )
        params = jax.tree.map(jnp.asarray, params)
        direction, inner = transformation.update(updates, state.inner, params, **extra_args)
        looks = state.looking_ahead
        anchor = _tree.where(looks, params, state.anchor)
        # In the first phase the anchor is where we are, so the way back to it is zero.
        updates = jax.tree.map(lambda a, w, u: (a - w) + u, anchor, params, direction)
        kept = _tree.where(looks, carry_over(moments, state.inner, inner), inner)
        return updates, ExtraGradientState(~looks, anchor, kept)

    return optax.GradientTransformationExtraArgs(init, update)
