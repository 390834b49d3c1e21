"""The scaling of TiAda as an optax transformation, for a user's own training loop."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, PyTree

from minimax import _tree
from minimax._errors import GameError, is_known
from minimax._roles import check_roles, role_of_each


class ScaleByTiAdaState(NamedTuple):
    """`descent`, `ascent`: the roots of the sums of the squared gradient norms, of all minimisers
    and of all maximisers; the sums would over- or underflow."""

    descent: Float[Array, ""]
    ascent: Float[Array, ""]


def scale_by_tiada(
    roles: PyTree, descent_power: ArrayLike = 0.6, ascent_power: ArrayLike = 0.4
) -> optax.GradientTransformation:
    r"""Divides the gradients of all players by powers of what both sides have seen.

    With the sums of squared gradients so far, this one included, $v_x$ of the minimisers and $v_y$
    of the maximisers,

    $$g_x \mapsto \frac{g_x}{\max(v_x, v_y)^\alpha}, \qquad g_y \mapsto \frac{g_y}{v_y^\beta}.$$

    `TiAda` is this, one step of every player's own optimizer, and the projection. Minimisers look
    at the maximisers' gradients, so it stands before `optax.multi_transform`, where it sees all
    players, and never inside. It sets no signs: step sizes are negative where a player ascends.
    Until a side has seen a gradient that is not zero, its power is taken to be one.

    **Arguments:**

    - `roles`: "min" or "max" for each player, as a prefix of the parameters.
    - `descent_power`, `ascent_power`: $1 > \alpha > \beta > 0$.

    **Raises:** `GameError` for other roles or powers, and where roles do not fit the gradients.

    ```python
    >>> import jax, optax, minimax as mm
    >>> players, names = {"x": 1.0, "y": 1.0}, {"x": "x", "y": "y"}
    >>> both = optax.multi_transform({"x": optax.sgd(0.5), "y": optax.sgd(-0.5)}, names)
    >>> optimizer = optax.chain(mm.scale_by_tiada({"x": "min", "y": "max"}), both)
    >>> gradient = jax.grad(lambda p: -(p["x"] ** 2) + 2 * p["x"] * p["y"] - p["y"] ** 2 / 2)
    >>> @jax.jit
    ... def step(players, state):
    ...     update, state = optimizer.update(gradient(players), state, players)
    ...     return optax.apply_updates(players, update), state
    >>> state = optimizer.init(players)
    >>> for _ in range(500):
    ...     players, state = step(players, state)
    >>> print(f"{abs(players['x']):.3f} {abs(players['y']):.3f}")
    0.000 0.000

    ```

    Source: as for `TiAda`.
    """
    check_roles(roles)
    check_powers(descent_power, ascent_power)

    def init(params: PyTree) -> ScaleByTiAdaState:
        nothing = jnp.zeros((), _tree.norm(_tree.map_variables(_tree.as_array, params)).dtype)
        return ScaleByTiAdaState(nothing, nothing)

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None
    ) -> tuple[PyTree, ScaleByTiAdaState]:
        del params
        gradient = jax.tree.map(_tree.as_array, updates)
        role_of = role_of_each(roles, gradient)
        descent = jnp.hypot(state.descent, _norm_of("min", role_of, gradient))
        ascent = jnp.hypot(state.ascent, _norm_of("max", role_of, gradient))
        scales = {
            "min": _power(jnp.maximum(descent, ascent), -2 * jnp.asarray(descent_power)),
            "max": _power(ascent, -2 * jnp.asarray(ascent_power)),
        }
        scaled = jax.tree.map(
            # What divides may be too small for half precision, though the quotient is not.
            lambda role, g: (scales[role] * g).astype(g.dtype),
            role_of,
            gradient,
        )
        return scaled, ScaleByTiAdaState(descent, ascent)

    return optax.GradientTransformation(init, update)


def check_powers(descent_power: Any, ascent_power: Any) -> None:
    """Raises `GameError` for powers of which nothing is proven."""
    if not is_known(descent_power, ascent_power):
        return
    powers = jnp.shape(descent_power) == jnp.shape(ascent_power) == ()
    if not (powers and 1 > float(descent_power) > float(ascent_power) > 0):
        raise GameError(
            f"descent_power is {descent_power} and ascent_power is {ascent_power}: expected "
            "1 > descent_power > ascent_power > 0."
        )


def _norm_of(role: str, role_of: PyTree, gradient: PyTree) -> Float[Array, ""]:
    """Of the gradients of all who have this role."""
    own = jax.tree.map(lambda r, g: g if r == role else None, role_of, gradient)
    return _tree.scaled_norm(own)


def _power(root: Float[Array, ""], exponent: Float[Array, ""]) -> Float[Array, ""]:
    """Without a gradient yet there is nothing to scale."""
    return jnp.where(root == 0, 1, jnp.where(root == 0, 1, root) ** exponent)
