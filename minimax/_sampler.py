"""Data that are drawn at random, a batch for every step."""

import operator
from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray, PyTree

from minimax._errors import GameError


@final
class Sampler(eqx.Module):
    r"""Data of a payoff that is an expectation, $\mathbb{E}_\xi\, f(z, \xi)$: a batch $\xi$ for
    every step, drawn inside the compiled loop.

    The batch of step k follows from the `key` of `solve` and from k alone, so a run can be repeated
    and resumed to the bit. `metric` is looked at with a batch of its own, the same at every look.

    **Arguments:**

    - `sample`: a function from a key to a batch, any pytree. Put further keys into the batch where
      the payoff needs noise. Arrays that the function refers to are constants of the program:
      where they are large, or change, make it an `eqx.Module` or a `jax.tree_util.Partial` that
      holds them.

    **Raises:** `GameError` where `sample` cannot be called.

    ```python
    >>> import jax, minimax as mm
    >>> game = mm.Game(lambda players, noise: (players[0] - 1 + noise) * players[1])
    >>> normal = mm.Sampler(lambda key: 0.1 * jax.random.normal(key))
    >>> solver = mm.Averaged(mm.ExtraGradient(0.1))
    >>> solution = mm.solve(
    ...     game, (0.0, 0.0), solver, data=normal, key=jax.random.key(0), max_steps=5000
    ... )
    >>> print(solution.players[0].round(1))
    1.0

    ```
    """

    sample: Callable[[PRNGKeyArray], PyTree]

    def __check_init__(self) -> None:
        if not callable(self.sample):
            raise GameError(
                f"sample is {self.sample!r}: expected a function from a key to a batch, such as "
                "lambda key: jax.random.normal(key, (64, 2))."
            )


Samples = Literal["same", "independent"]


def check_samples(samples: str) -> None:
    """Raises `GameError` where `samples` is neither of the two."""
    if samples not in ("same", "independent"):
        raise GameError(f"samples is {samples!r}: expected 'same' or 'independent'.")


class IndependentBatches(eqx.Module):
    """What `data` is where every evaluation of a step has a batch of its own.

    **Attributes:**

    - `stacked`: the batches, one behind the other on the first axis of every array.
    """

    stacked: PyTree

    def first(self, number: int) -> PyTree:
        """The first of them, stacked as all are."""
        return jax.tree.map(operator.itemgetter(slice(number)), self.stacked)

    def each(self, number: int) -> list[PyTree]:
        """The batches one by one."""
        return [jax.tree.map(operator.itemgetter(i), self.stacked) for i in range(number)]


def batch_of_each(data: PyTree, number: int) -> list[PyTree]:
    """The data of `number` evaluations in a step: one batch each, or the same for all."""
    return data.each(number) if isinstance(data, IndependentBatches) else [data] * number
