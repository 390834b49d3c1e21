"""Laws of games, with where to start and, where one is known, the solution."""

import contextlib
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import minimax as mm
from minimax import _tree
from minimax.testing._game_case import (
    GameCase,
    anything,
    direction_of,
    in_general_position,
    nudged,
    operator,
    own,
    payoffs,
    project,
)
from minimax.testing._law import EPS, Law, law

LAWS: list[Law] = []


@law(LAWS, anything)
def game_and_players_fit_together(subject: GameCase):
    """Players, roles and constraints have one structure; the players are feasible, finite, and in
    the precision of the mode, as is the payoff."""
    for example, dtype in subject.each():
        data = example.batch()
        mm.check_game(example.game, example.players, data)
        leaves = jax.tree.leaves(_tree.variables(example.players))
        assert {leaf.dtype.name for leaf in leaves} == {dtype}
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)
        feasible = project(example.game, example.players)
        assert _tree.norm(_tree.subtract(feasible, example.players)) < 1e-6, "starts outside"
        values = jax.tree.leaves(payoffs(example.game, example.players, data))
        assert all(value.dtype == dtype for value in values), f"{values} for players of {dtype}"
        assert all(bool(jnp.isfinite(value)) for value in values), f"the payoff is {values}"


@law(LAWS, anything)
def the_operator_is_the_signed_derivative_of_each_own_payoff(subject: GameCase):
    """Against central differences at players in general position: a minimiser's block is its slope,
    and a maximiser's the opposite."""
    dtype = subject.finest
    # The error is that of the third derivative, h², and that of rounding, ε/h.
    h, rel, least = (1e-5, 1e-6, 1e-7) if dtype == "float64" else (1e-2, 1e-2, 1e-3)
    with subject.in_precision(dtype) as example:
        game, players, data = example.game, in_general_position(example), example.batch()
        found = operator(game, players, data)
        roles, structure = jax.tree.flatten(game.roles)
        for player, role in enumerate(roles):
            turn = jax.tree.unflatten(structure, [i == player for i in range(len(roles))])
            direction = direction_of(turn, players)
            ahead, behind = (
                own(payoffs(game, _tree.add_scaled(players, step, direction), data), turn, players)
                for step in (h, -h)
            )
            slope = {"min": 1, "max": -1}[role] * float((ahead - behind) / (2 * h))
            claimed = float(_tree.dot(found, _tree.variables(direction)))
            assert math.isclose(claimed, slope, rel_tol=rel, abs_tol=least), (
                f"the operator says {claimed} for player {player} ({role}), its payoff {slope}"
            )


@law(LAWS, anything)
def the_payoff_is_the_same_compiled(subject: GameCase):
    """Up to the order of sums."""
    for example, dtype in subject.each():
        players, data = in_general_position(example), example.batch()
        eager = jax.tree.leaves(example.game.value(players, data))
        compiled = jax.tree.leaves(payoffs(example.game, players, data))
        np.testing.assert_allclose(eager, compiled, rtol=1e-4 if dtype == "float32" else 1e-12)


@law(LAWS, anything)
def a_batch_is_a_loop(subject: GameCase):
    """Payoff and operator under `vmap`, over players, are those one by one."""
    dtype = subject.finest
    with subject.in_precision(dtype) as example:
        game, data = example.game, example.batch()
        each = [in_general_position(example, seed) for seed in range(3)]
        variables, rest = zip(*(_tree.partition(one) for one in each), strict=True)
        rows = jax.tree.map(lambda *leaves: jnp.stack(leaves), *variables)

        def both(one):
            players = eqx.combine(one, rest[0])
            return game.value(players, data), game.operator(players, data)

        batch = eqx.filter_jit(jax.vmap(both))(rows)
        for i, players in enumerate(each):
            alone = (payoffs(game, players, data), operator(game, players, data))
            for ours, theirs in zip(*map(jax.tree.leaves, (batch, alone)), strict=True):
                rounding = 1e4 * EPS[dtype] * max(1.0, float(jnp.max(jnp.abs(theirs))))
                np.testing.assert_allclose(ours[i], theirs, rtol=0, atol=rounding)


@law(LAWS, anything)
def projected_players_are_feasible(subject: GameCase):
    """Projecting keeps structure and dtypes, and does nothing more when it is done again or after
    a proximal step."""
    for example, dtype in subject.each():
        game, players = example.game, nudged(example.players, seed=2, size=1.0)
        once = project(game, players)
        assert jax.tree.structure(once) == jax.tree.structure(players)
        leaves = jax.tree.leaves(_tree.variables(once))
        assert {leaf.dtype.name for leaf in leaves} == {dtype}
        stepped = game.prox_step(once, _tree.variables(players), 0.1)
        for inside in (once, stepped):
            moved = float(_tree.norm(_tree.subtract(project(game, inside), inside)))
            size = 1 + sum(leaf.size for leaf in leaves) * float(_tree.largest(inside))
            assert moved <= 16 * EPS[dtype] * size, f"projected again they move by {moved}"


@law(LAWS, anything)
def the_known_solution_solves_it(subject: GameCase):
    """Where one is known: it has the structure of the players, no natural residual and, where
    players are bounded, no duality gap."""
    for example, dtype in subject.each():
        game, solution = example.game, example.solution
        if solution is None:
            continue
        assert jax.tree.structure(solution) == jax.tree.structure(example.players)
        shapes = jax.tree.map(lambda a, b: a.shape == b.shape, solution, example.players)
        assert all(jax.tree.leaves(shapes))
        small = 1e-5 if dtype == "float32" else 1e-12
        data = example.batch()
        residual = float(mm.NaturalResidual()(game, solution, data))
        assert residual < small, f"its natural residual is {residual}"
        with contextlib.suppress(mm.GameError):
            mm.DualityGap().check(game, solution)
            assert abs(mm.DualityGap()(game, solution, data)) < small


@law(LAWS, anything)
def the_example_is_solved(subject: GameCase):
    """By its own solver, or the default one; where the solution is known, near to it. Where data
    are sampled there is no verdict: all steps are made."""
    for example, dtype in subject.each():
        metric = mm.NaturalResidual() if example.metric is None else example.metric
        solution = mm.solve(
            example.game,
            example.players,
            example.solver,
            **{"metric": metric, "data": example.data, "key": example.key, **subject.options},
        )
        ended_well = "max_steps" if example.is_sampled else "converged"
        assert solution.status == ended_well, solution
        if example.solution is not None and subject.unique:
            distance = float(_tree.norm(_tree.subtract(solution.players, example.solution)))
            assert distance < (1e-2 if dtype == "float32" else 1e-6), f"{distance} from its own"
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
