r"""For those who train Flax NNX models in a loop of their own, by `nnx.Optimizer`.

`mm.solve` takes NNX modules as players as they are and needs nothing of this. It is the extra
`flax`; import it by its name, `import minimax.flax`.

In a loop of your own `mm.extra_gradient` is a transformation as any other, and `mm.per_player` sets
the signs. The players are one `nnx.Optimizer`'s model, and roles, as all that `nnx.Optimizer` hands
to optax, are an `nnx.State`:

```python
>>> import optax
>>> import minimax as mm
>>> from flax import nnx
>>> players = nnx.Dict(x=nnx.Param(1.0), y=nnx.Param(1.0))
>>> roles = nnx.State({"x": "min", "y": "max"})
>>> optimizer = nnx.Optimizer(
...     players, mm.extra_gradient(mm.per_player(0.5, roles)), wrt=nnx.Param
... )
>>> for _ in range(2 * 20):
...     gradient = nnx.grad(lambda p: p["x"] * p["y"])(players)
...     _ = optimizer.update(players, gradient)
>>> print(f"{players['x'][...]:.2f} {players['y'][...]:.2f}")
0.18 -0.00

```
"""

from collections.abc import Callable
from typing import Any

import optax
from jaxtyping import Array, Float, PyTree

try:
    from flax import nnx
except ModuleNotFoundError:
    raise ImportError('minimax.flax needs Flax: pip install "minimax-jax[flax]"') from None


def update(
    optimizer: nnx.Optimizer[Any], model: Any, loss: Callable[[Any], Float[Array, ""]]
) -> Float[Array, ""]:
    r"""One step that makes the loss of a model smaller, by an optimizer of any kind.

    Most optimizers ask for the gradient. L-BFGS and line searches ask for the loss, too, here and
    at other parameters: they get it, of a model put together anew from those parameters. What a
    forward pass leaves in the model, such as the statistics of a batch normalisation, is that of
    the forward pass here; the search sees one loss, with the random numbers and statistics of
    before the step.

    Call it inside `nnx.jit`: a search is a loop that would be compiled in every step.

    **Arguments:**

    - `optimizer`: `nnx.Optimizer(model, tx, wrt=nnx.Param)`; it is updated.
    - `model`: the module; it is updated.
    - `loss`: a function of the model alone, which returns a scalar.

    **Returns:** the loss before the step.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax.flax
    >>> import optax
    >>> from flax import nnx
    >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    >>> optimizer = nnx.Optimizer(model, optax.lbfgs(), wrt=nnx.Param)
    >>> x, y = jnp.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]), jnp.array([[2.0], [-1.0], [1.0]])
    >>> @nnx.jit
    ... def step(model, optimizer, x, y):
    ...     return minimax.flax.update(optimizer, model, lambda m: jnp.mean((m(x) - y) ** 2))
    >>> for _ in range(20):
    ...     value = step(model, optimizer, x, y)
    >>> print(f"{value:.6f}")
    0.000000

    ```

    Source: optax's own description of `optax.lbfgs`.
    """
    before = nnx.clone(model)

    def loss_at(parameters: PyTree) -> Float[Array, ""]:
        other = nnx.clone(before)  # in the search's own trace, where it may be changed
        nnx.update(other, parameters)
        return loss(other)

    with_respect_to = nnx.DiffState(0, optimizer.wrt)
    value, gradient = nnx.value_and_grad(loss, argnums=with_respect_to)(model)
    asked = {}
    if isinstance(optimizer.tx, optax.GradientTransformationExtraArgs):
        asked = {"value": value, "grad": gradient, "value_fn": loss_at}
    optimizer.update(model, gradient, **asked)
    return value
