"""Laws that hold for every game; each file in `games` is tried, in each of its variants.

A variant is a choice of values for those parameters of `example()` that have a Literal type.
"""

import contextlib
import doctest
import functools
import inspect
import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree

import games
import minimax as mm
from minimax import _tree
from tests.discovery import modules

CARD = ["Players", "Payoff", "Sets", "Known solution", "Shapes", "Source"]

REACHES: dict[str, dict[str, Any]] = {
    # Adam does not settle exactly, and nobody waits for it to.
    "gan_lite(variant='mlp')": dict(tol=3e-2, max_steps=4000)
}
"""What is asked of games that are not solved to the default tolerance."""

FILES = modules(games)


def variants(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each choice of literal arguments of a game's example, with a name for it."""
    hints = get_type_hints(FILES[name].example)
    choices = {key: get_args(hint) for key, hint in hints.items() if get_origin(hint) is Literal}
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        yield f"{name}({', '.join(f'{key}={value!r}' for key, value in chosen.items())})", chosen


VARIANTS = {label: (name, chosen) for name in FILES for label, chosen in variants(name)}
every_file = pytest.mark.parametrize("name", FILES)
every_variant = pytest.mark.parametrize("variant", VARIANTS)
both_precisions = pytest.mark.parametrize("dtype", ["float32", "float64"])


@contextlib.contextmanager
def example_of(variant: str, dtype: str) -> Iterator[mm.Example]:
    """The example of a variant, in single or double precision."""
    with jax.enable_x64(dtype == "float64"):
        yield cached_example(variant, dtype)


@functools.cache
def cached_example(variant: str, dtype: str) -> mm.Example:
    del dtype
    name, chosen = VARIANTS[variant]
    return FILES[name].example(**chosen)


def nudged(players: PyTree, seed: int = 0, size: float = 0.3) -> PyTree:
    """Players in general position."""
    random = np.random.default_rng(seed)
    return _tree.map_variables(
        lambda x: x + jnp.asarray(size * random.standard_normal(x.shape), x.dtype), players
    )


@every_file
def test_its_card_says_what_the_game_is(name):
    document = inspect.getdoc(FILES[name]) or ""
    missing = [entry for entry in CARD if f"**{entry}:**" not in document]
    assert not missing, f"the docstring of games/{name}.py lacks {missing}"


@every_file
def test_its_examples_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(FILES[name], optionflags=flags).failed == 0


@every_file
def test_each_parameter_of_its_example_has_a_default_a_type_and_a_line(name):
    example = FILES[name].example
    hints = get_type_hints(example)
    for parameter in inspect.signature(example).parameters.values():
        assert parameter.default is not parameter.empty, parameter
        assert parameter.name in hints, parameter
        assert f"- `{parameter.name}`:" in (inspect.getdoc(example) or ""), parameter
    assert hints["return"] is mm.Example


@every_variant
@both_precisions
def test_its_example_fits_together(variant, dtype):
    with example_of(variant, dtype) as example:
        mm.check_game(example.game, example.players)
        leaves = jax.tree.leaves(_tree.variables(example.players))
        assert {leaf.dtype.name for leaf in leaves} == {dtype}
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)
        feasible = eqx.filter_jit(example.game.project)(example.players)
        assert _tree.norm(_tree.subtract(feasible, example.players)) < 1e-6, "starts outside"
        values = jax.tree.leaves(eqx.filter_jit(example.game.value)(example.players))
        assert all(value.dtype == dtype and bool(jnp.isfinite(value)) for value in values)


@every_variant
def test_its_operator_is_the_signed_derivative_of_each_own_payoff(variant):
    with example_of(variant, "float64") as example:
        game, players = example.game, nudged(example.players)
        operator = eqx.filter_jit(game.operator)(players)
        roles, structure = jax.tree.flatten(game.roles)
        payoff = eqx.filter_jit(game.value)
        for player, role in enumerate(roles):
            turn = jax.tree.unflatten(structure, [i == player for i in range(len(roles))])
            direction = direction_of(turn, players)
            h = 1e-5
            ahead, behind = (
                own(payoff(_tree.add_scaled(players, step, direction)), turn, players)
                for step in (h, -h)
            )
            slope = (ahead - behind) / (2 * h)
            sign = {"min": 1, "max": -1}[role]
            expected = sum(
                jnp.sum(a * b)
                for a, b in zip(
                    jax.tree.leaves(operator),
                    jax.tree.leaves(_tree.variables(direction)),
                    strict=True,
                )
            )
            assert math.isclose(float(expected), sign * float(slope), rel_tol=1e-6, abs_tol=1e-7)


def direction_of(turn: PyTree, players: PyTree, seed: int = 1) -> PyTree:
    """A random direction in which only the player whose turn it is moves."""
    random = np.random.default_rng(seed)
    moves = _tree.broadcast_prefix(turn, players, "turn")
    return _tree.map_variables(
        lambda x, own: jnp.asarray(random.standard_normal(x.shape) * own, x.dtype), players, moves
    )


def own(payoffs: PyTree, turn: PyTree, players: PyTree) -> jax.Array:
    """The payoff of the player whose turn it is."""
    variables = _tree.variables(players)
    payoff_of = jax.tree.leaves(_tree.broadcast_prefix(payoffs, variables, "payoff"))
    moves = jax.tree.leaves(_tree.broadcast_prefix(turn, variables, "turn"))
    return next(payoff for payoff, moving in zip(payoff_of, moves, strict=True) if moving)


@every_variant
@both_precisions
def test_its_payoff_is_the_same_compiled(variant, dtype):
    with example_of(variant, dtype) as example:
        players = nudged(example.players)
        eager = jax.tree.leaves(example.game.payoff(players))
        compiled = jax.tree.leaves(eqx.filter_jit(example.game.payoff)(players))
        np.testing.assert_allclose(eager, compiled, rtol=1e-4 if dtype == "float32" else 1e-12)


@every_variant
@both_precisions
def test_its_known_solution_solves_it(variant, dtype):
    with example_of(variant, dtype) as example:
        if example.solution is None:
            pytest.skip("no solution is known")
        game, solution = example.game, example.solution
        assert jax.tree.structure(solution) == jax.tree.structure(example.players)
        shapes = jax.tree.map(lambda a, b: a.shape == b.shape, solution, example.players)
        assert all(jax.tree.leaves(shapes))
        small = 1e-5 if dtype == "float32" else 1e-12
        assert mm.NaturalResidual()(game, solution) < small
        with contextlib.suppress(mm.GameError):
            mm.DualityGap().check(game, solution)
            assert abs(mm.DualityGap()(game, solution)) < small


@every_variant
@both_precisions
def test_its_example_is_solved(variant, dtype):
    with example_of(variant, dtype) as example:
        metric = mm.NaturalResidual() if example.metric is None else example.metric
        solution = mm.solve(
            example.game,
            example.players,
            example.solver,
            metric=metric,
            **REACHES.get(variant, {}),
        )
        assert solution.success, solution
        if example.solution is not None:
            distance = _tree.norm(_tree.subtract(solution.players, example.solution))
            assert distance < (1e-2 if dtype == "float32" else 1e-6)
        if example.summary is not None:
            check_summary(example.summary(solution.players))


def check_summary(summary: Any) -> None:
    """Numbers, texts, and tables `{row: {column: number}}` whose rows have the same columns."""
    for name, entry in summary.items():
        assert isinstance(name, str)
        if isinstance(entry, dict):
            assert all(isinstance(row, str) for row in entry)
            assert len({tuple(row) for row in entry.values()}) == 1
            assert all(math.isfinite(n) for row in entry.values() for n in row.values())
        else:
            assert isinstance(entry, str) or math.isfinite(entry)
