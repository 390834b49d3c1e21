"""Where the data of a run come from: fixed, drawn inside the loop, or fed from the host."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from minimax._sampler import IndependentBatches, Sampler


class AbstractSource(eqx.Module):
    """The data of every step, and those of every look.

    A scan over steps goes along a `stream`; `batch` makes the data of a step from its item there.
    """

    @abc.abstractmethod
    def ready(self) -> "AbstractSource":
        """This source with all that stays the same during a run, inside the compiled program."""

    @abc.abstractmethod
    def example(self) -> PyTree:
        """Data like those of a step."""

    def identity(self) -> PyTree:
        """The arrays that make a run with this source another run."""
        return self

    @abc.abstractmethod
    def seen(self) -> PyTree:
        """The data at looks: the same at all of them, so that what falls is the residual."""

    @abc.abstractmethod
    def stream(self, first: Int[Array, ""], length: int) -> PyTree:
        """The items of `length` steps, of which the first is step `first`."""

    @abc.abstractmethod
    def batch(self, item: PyTree) -> PyTree:
        """The data of a step."""


@final
class Fixed(AbstractSource):
    """The same data at every step."""

    data: PyTree

    def ready(self) -> "Fixed":
        return self

    def seen(self) -> PyTree:
        return self.data

    def stream(self, first: Int[Array, ""], length: int) -> PyTree:
        del first, length

    def batch(self, item: PyTree) -> PyTree:
        del item
        return self.data

    def example(self) -> PyTree:
        return self.data


@final
class Drawn(AbstractSource):
    """Batches from a sampler, `per_step` for every step. A key is used once: of the two halves of
    `key` one becomes that of all steps, the other is for the looks."""

    sampler: Sampler
    key: PRNGKeyArray
    per_step: int = eqx.field(static=True)
    looked_at: PyTree = None

    def ready(self) -> "Drawn":
        of_steps, of_looks = jax.random.split(self.key)
        return Drawn(self.sampler, of_steps, self.per_step, self.sampler.sample(of_looks))

    def seen(self) -> PyTree:
        return self.looked_at

    def stream(self, first: Int[Array, ""], length: int) -> PyTree:
        return first + jnp.arange(length, dtype=first.dtype)

    def batch(self, item: PyTree) -> PyTree:
        key = jax.random.fold_in(self.key, item)
        if self.per_step == 1:
            return self.sampler.sample(key)
        keys = jax.random.split(key, self.per_step)
        return IndependentBatches(jax.lax.map(self.sampler.sample, keys))

    def example(self) -> PyTree:
        return self.batch(jnp.zeros((), int))


@final
class Fed(AbstractSource):
    """Batches that the host has collected for the steps of one call: on the first axis of every
    array there is one for each step, and on the second `per_step` of them, where that is not 1.

    With a `key` the data are pairs of a batch and a key of its own.
    """

    batches: PyTree
    first: PyTree
    key: PRNGKeyArray | None
    per_step: int = eqx.field(static=True)

    def ready(self) -> "Fed":
        if self.key is None:
            return self
        of_steps, of_looks = jax.random.split(self.key)
        return Fed(self.batches, (self.first, of_looks), of_steps, self.per_step)

    def identity(self) -> PyTree:
        return self.key

    def seen(self) -> PyTree:
        return self.first

    def stream(self, first: Int[Array, ""], length: int) -> PyTree:
        steps = first + jnp.arange(length, dtype=first.dtype)
        return self.batches, None if self.key is None else steps

    def batch(self, item: PyTree) -> PyTree:
        batch, step = item
        if self.key is not None:
            key = jax.random.fold_in(self.key, step)
            batch = batch, key if self.per_step == 1 else jax.random.split(key, self.per_step)
        return batch if self.per_step == 1 else IndependentBatches(batch)

    def example(self) -> PyTree:
        first = self.first if self.key is None else self.first[0]
        if self.per_step > 1:
            first = jax.tree.map(lambda leaf: jnp.stack(self.per_step * [leaf]), first)
        return self.batch((first, jnp.zeros((), int)))
