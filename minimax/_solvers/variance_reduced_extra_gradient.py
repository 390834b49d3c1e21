"""Extragradient for finite sums, with variance reduction."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

from minimax import _tree
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._solvers.base import AbstractSolver
from minimax._step_size import as_step_size


class VarianceReducedState(NamedTuple):
    """`snapshot`: w; `at_snapshot`: F(w), over all data; `steps`: how many have been made;
    `passes`: how often F was evaluated over all data; `components`: how many there are."""

    snapshot: PyTree
    at_snapshot: PyTree
    steps: Int[Array, ""]
    passes: Int[Array, ""]
    components: Int[Array, ""]


def _as_probability(number: ArrayLike | None) -> Float[Array, ""] | None:
    return None if number is None else _tree.as_real(number)


@final
class VarianceReducedExtraGradient(AbstractSolver):
    r"""Extragradient for a payoff that is a mean over data: a few components per step, and all of
    them only now and then.

    For $F = \frac1n \sum_{i=1}^n F_i$ each step draws components $\xi$ and a coin:

    $$\bar z = (1 - p) z + p w, \qquad v = P(\bar z - \eta F(w)), \qquad
      z^+ = P\bigl(\bar z - \eta [F(w) + F_\xi(v) - F_\xi(w)]\bigr),$$

    and the snapshot $w^+$ is $z^+$ with probability p, and w otherwise. F is evaluated over all
    data only where the snapshot changes.

    `data` is all of it: a pytree whose arrays have one leading axis of n components, and the payoff
    must be the mean over that axis of what the components are worth, for any number of them. A
    step calls it with `batch_size` components, which are drawn independently. Without data there is
    one component, and with p = 1 this is extragradient.

    Let L be such that $\mathbb E \|F_\xi(u) - F_\xi(v)\|^2 \le L^2 \|u - v\|^2$; the Lipschitz
    constant of every component will do. For monotone F and $\eta = \gamma \sqrt p / L$ with
    $\gamma < 1$, iterates converge almost surely, and with every solution $z^\star$

    $$\Phi = (1 - p) \|z - z^\star\|^2 + \|w - z^\star\|^2$$

    falls in expectation: $\mathbb E\, \Phi^+ \le \Phi - (1 - \gamma)(\mathbb E \|z^+ - v\|^2 +
    p \|v - w\|^2) - (1 - p) \|z - v\|^2 - 2 \eta \mu \|v - z^\star\|^2$ if F is $\mu$-strongly
    monotone, and so $\mathbb E\, \Phi^+ \le (1 - \tfrac12 \min((1 - \gamma) p, \eta \mu))\, \Phi$.
    With p of order 1/n an accuracy of $\epsilon$ takes $O(n + \sqrt n L/\epsilon)$ components for
    the gap of the average, where extragradient takes $O(n L_F/\epsilon)$ with the Lipschitz
    constant $L_F \le L$ of F: it pays where n is large and L not much above $L_F$. The theory is
    for Euclidean distances.

    An evaluation is one pass over all components: a step costs $2b/n$, and a new snapshot 1.

    **Arguments:**

    - `step_size`: $\eta > 0$.
    - `batch_size`: b, how many components a step draws.
    - `probability`: p, in (0, 1]; by default 2b/n, at most 1, for which snapshots cost as much as
      the steps between them.
    - `seed`: of the draws. That of step k depends on the seed and k alone, so that a run that goes
      on draws what it would have drawn.

    **Raises:** `GameError` for numbers outside these ranges, and for data whose arrays do not have
    one leading axis.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> def payoff(players, data):
    ...     x, y = players
    ...     return x**2 / 2 + jnp.mean(data) * x * y - y**2 / 2
    >>> solver = mm.VarianceReducedExtraGradient(0.02)
    >>> data = jnp.linspace(0.0, 2.0, 100)
    >>> solution = mm.solve(mm.Game(payoff), (1.0, 1.0), solver, data=data)
    >>> print(solution.status, solution.evaluations < solution.steps / 10)
    converged True

    ```

    Source: Alacaoglu and Malitsky, "Stochastic variance reduction for variational inequality
    methods", COLT 2022, arXiv:2102.08352, algorithm 1 with $\alpha = 1 - p$.
    """

    step_size: Float[Array, ""] = eqx.field(converter=as_step_size)
    batch_size: int = eqx.field(default=1, static=True)
    probability: Float[Array, ""] | None = eqx.field(default=None, converter=_as_probability)
    seed: Int[Array, ""] = eqx.field(default=0, converter=_tree.as_array)

    def __check_init__(self) -> None:
        b, p, seed = self.batch_size, self.probability, self.seed
        check_whole("batch_size", b)
        if p is not None and is_known(p) and not 0 < float(p) <= 1:
            raise GameError(f"probability is {p}: expected a number above 0 and up to 1.")
        if not jnp.issubdtype(seed.dtype, jnp.integer):
            raise GameError(f"seed is {seed}: expected a whole number, such as 0.")

    def check(self, game: AbstractGame, players: PyTree, data: PyTree = None) -> None:
        del game, players
        _components(data)

    @property
    def draws_batches(self) -> bool:
        return True

    def init(
        self, game: AbstractGame, players: PyTree, data: PyTree = None
    ) -> VarianceReducedState:
        return VarianceReducedState(
            _tree.variables(players),
            game.operator(players, data),
            steps=jnp.zeros((), int),
            passes=jnp.ones((), int),
            components=jnp.full((), _components(data), int),
        )

    def step(
        self,
        game: AbstractGame,
        players: PyTree,
        state: VarianceReducedState,
        data: PyTree = None,
    ) -> tuple[PyTree, VarianceReducedState]:
        batch, renews = self._drawn(state.steps, data)
        z, w, F = players, eqx.combine(state.snapshot, players), state.at_snapshot
        mean = _tree.toward(z, w, self._probability(data))
        v = game.prox_step(mean, F, self.step_size)
        change = _tree.subtract(game.operator(v, batch), game.operator(w, batch))
        players = game.prox_step(mean, _tree.add(F, change), self.step_size)
        at_snapshot = jax.lax.cond(renews, lambda: game.operator(players, data), lambda: F)
        return players, VarianceReducedState(
            _tree.where(renews, _tree.variables(players), state.snapshot),
            at_snapshot,
            state.steps + 1,
            state.passes + renews,
            state.components,
        )

    def evaluations(self, steps: Int[Array, ""], state: VarianceReducedState) -> Int[Array, ""]:
        """Passes over all data, and the draws of all steps as passes, rounded up together; step by
        step they would be more than an integer holds, and where those of fewer than n are, too,
        they are rounded as floating-point numbers."""
        n, drawn = state.components, 2 * self.batch_size
        rest = steps % n
        fits = rest <= jnp.iinfo(rest.dtype).max // drawn
        exact = -(-jnp.where(fits, rest, 0) * drawn // n)
        share = jnp.ceil(rest / n * drawn).astype(rest.dtype)
        return state.passes + steps // n * drawn + jnp.where(fits, exact, share)

    def stats(self, state: VarianceReducedState) -> dict[str, Array]:
        return {"snapshots": state.passes}

    def _probability(self, data: PyTree) -> Float[Array, ""]:
        if self.probability is not None:
            return self.probability
        return jnp.asarray(min(1.0, 2 * self.batch_size / _components(data)))

    def _drawn(self, step: Int[Array, ""], data: PyTree) -> tuple[PyTree, Bool[Array, ""]]:
        """The components of a step, and whether the snapshot changes after it."""
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        of_components, of_coin = jax.random.split(key)
        chosen = jax.random.randint(of_components, (self.batch_size,), 0, _components(data))
        batch = jax.tree.map(lambda leaf: leaf[chosen] if eqx.is_array(leaf) else leaf, data)
        return batch, jax.random.bernoulli(of_coin, self._probability(data))


def example() -> VarianceReducedExtraGradient:
    """For the tests that every solver passes: an instance for operators with L <= 1."""
    return VarianceReducedExtraGradient(0.1, probability=0.5)


def _components(data: PyTree) -> int:
    """How many components the data has: one, if there is no data."""
    arrays = [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(data)
        if eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    ]
    if not arrays:
        return 1
    lengths = {leaf.shape[:1] for _, leaf in arrays}
    if len(lengths) > 1 or lengths & {(), (0,)}:
        shapes = ", ".join(f"{_tree.place('data', path)} has {leaf.shape}" for path, leaf in arrays)
        raise GameError(
            f"data has no leading axis of components that all its arrays share: {shapes}. The "
            "payoff must be a mean over that axis; what is the same for all components belongs "
            "into the game."
        )
    return lengths.pop()[0]
