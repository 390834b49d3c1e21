"""Laws that hold for every solver, whatever its method; each file in `_solvers` is tried.

The examples of the solvers are made for operators with L <= 1. A solver that is for some games only
says so by its `check`, and is tried on those (`tests/law_games.py`).
"""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree

import minimax as mm
from minimax import _solvers
from tests.discovery import check_files, examples
from tests.iterates import iterates, outputs
from tests.law_games import (
    FAMILIES,
    Around,
    Posed,
    Quadratic,
    draw,
    family_for,
    first_variables,
    suits,
    traces,
)

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps
EXAMPLES = examples(_solvers)
every_solver = pytest.mark.parametrize("name", EXAMPLES)
STEPS = 8


def pose(name: str, seed: int = 0, dtype: str = "float64") -> tuple[Quadratic, PyTree]:
    """A game that the solver is for, and where to start."""
    family = family_for(EXAMPLES[name]())
    return family.quadratic(seed, dtype), family.start(seed, dtype)


def assert_close(tree, expected, ulps: float) -> None:
    """Equal up to `ulps` roundings of the largest number in sight."""

    def close(a, b):
        scale = max(1.0, float(jnp.max(jnp.abs(b))))
        np.testing.assert_allclose(a, b, rtol=0, atol=ulps * EPS * scale)

    jax.tree.map(close, tree, expected)


def assert_constant(rows, expected) -> None:
    """Every row is `expected`, bit by bit."""
    jax.tree.map(
        lambda row, z: np.testing.assert_array_equal(row, np.broadcast_to(z, row.shape)),
        rows,
        expected,
    )


def refined(solver, game, players, state):
    """A step and a look."""
    players, state = solver.step(game, players, state)
    return players, solver.refine(game, players, state)


step = eqx.filter_jit(lambda solver, *args: solver.step(*args))
refined_step = eqx.filter_jit(refined)
init = eqx.filter_jit(lambda solver, *args: solver.init(*args))


def solve(name: str, solver=None, seed: int = 0, tol: float = 1e-2, dtype="float64", data=None):
    """The one way in which most tests solve: with equal shapes and options it compiles once."""
    solver = EXAMPLES[name]() if solver is None else solver
    return mm.solve(*pose(name, seed, dtype), solver, tol=tol, data=data)


def first_that_suits(solver: mm.AbstractSolver, games: list[Posed]) -> Posed | None:
    """The first game that the solver is for; where there is none, `solve` must say so."""
    for posed in games:
        if suits(solver, posed):
            return posed
    for posed in games:
        with pytest.raises(mm.GameError):
            mm.solve(*posed, solver)
    return None


def test_every_file_holds_one_solver_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_solvers, mm.AbstractSolver)


# What a step is -----------------------------------------------------------------------------------


@every_solver
def test_a_step_keeps_structure_shapes_and_dtypes(name):
    """(players, state) -> (players, state) with the same types, or `lax.scan` would refuse it: for
    float32 and float64, for half precision, in x64 mode and not."""
    for x64, dtypes in (
        (False, ["float32", "bfloat16", "float16"]),
        (True, ["float32", "float64"]),
    ):
        with jax.enable_x64(x64):
            solver = EXAMPLES[name]()
            for dtype in dtypes:
                game, players = pose(name, dtype=dtype)
                before = jax.eval_shape(lambda: (players, solver.init(game, players)))  # noqa: B023
                after = jax.eval_shape(lambda args: refined(solver, game, *args), before)  # noqa: B023
                assert jax.tree.structure(before) == jax.tree.structure(after), dtype
                for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
                    assert (old.shape, old.dtype) == (new.shape, new.dtype), dtype
                assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(after[0])), dtype


@every_solver
@pytest.mark.parametrize("x64, dtype", [(True, "float32"), (False, "bfloat16")])
def test_solve_answers_in_the_dtype_of_the_players(name, x64, dtype):
    """Also where x64 mode is on and the players are float32. Half precision at least runs: there,
    steps round to nothing while the residual is still some 2⁻⁸/η times the size of the players."""
    with jax.enable_x64(x64):
        solution = solve(name, dtype=dtype)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(solution.players))
        coarse = dtype == "bfloat16" and solution.residual < 2**-8 / 0.1 * 4
        assert solution.success or coarse, solution


@every_solver
def test_jit_changes_nothing(name):
    """A compiled step is the uncompiled one, up to the order of sums."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    state = init(solver, game, players)
    ours, _ = solver.step(game, players, state)
    theirs, _ = step(solver, game, players, state)
    assert_close(ours, theirs, ulps=100)


@every_solver
def test_data_reaches_every_evaluation(name):
    """payoff(players, data) moves as the game in which the same term is built in."""
    solver, (game, players), push = EXAMPLES[name](), pose(name), jnp.asarray(draw(9, 3))
    built_in = eqx.tree_at(lambda game: game.push, game, push)
    rows = iterates(game, players, solver, STEPS, push)
    assert_close(rows, iterates(built_in, players, solver, STEPS), ulps=1e6)
    plain = iterates(game, players, solver, STEPS)
    assert float(jnp.max(jnp.abs(rows["x"] - plain["x"]))) > 1e-3, "the data does nothing"


@every_solver
def test_players_may_be_any_pytree(name):
    """Iterates are those of plain vectors; what is no variable stays what it is."""
    solver, (game, z) = EXAMPLES[name](), pose(name)
    players = family_for(solver).nested(z)
    network = players["x"]
    solution = mm.solve(Around(game, game.constraints), players, solver, tol=1e-2)
    plain = solve(name)
    assert solution.steps == plain.steps
    # Of sixteen digits a probe of F at a distance of 1e-4 leaves twelve, and step sizes that follow
    # what F does carry its rounding on.
    assert_close(first_variables(solution.players), plain.players, ulps=1e7)
    after = solution.players["x"]
    assert (after.activation, after.rate) == (network.activation, 0.5)
    np.testing.assert_array_equal(after.labels, network.labels)
    assert after.labels.dtype == network.labels.dtype


@every_solver
def test_a_game_of_three_maximisers(name):
    """Cournot: firm i earns q_i (1 - Σq) - c_i q_i; at equilibrium q_i = (1 + Σc)/4 - c_i."""
    costs, solver = {"a": 0.1, "b": 0.2, "c": 0.3}, EXAMPLES[name]()
    candidates = [family.cournot(costs) for family in FAMILIES]
    posed = first_that_suits(solver, [posed for posed, _ in candidates])
    if posed is None:
        return
    (quantities,) = (read for each, read in candidates if each is posed)
    solution = mm.solve(*posed, solver, tol=1e-3)
    assert solution.success, solution
    for firm, quantity in quantities(solution.players).items():
        # The operator is 1/4-strongly monotone, so the error is at most 4 times its norm, which is
        # the residual, or √2 times that where a firm mixes.
        assert quantity == pytest.approx(0.4 - costs[firm], abs=6e-3)


# Where it goes ------------------------------------------------------------------------------------


@every_solver
def test_it_converges_where_the_operator_is_strongly_monotone(name):
    """μ = 0.3 and L <= 0.9: every method finds (a, b), and the error is bounded by the residual."""
    solution, (game, _) = solve(name, seed=3), pose(name, 3)
    assert solution.success and solution.residual <= 1e-2, solution
    x, y = solution.players["x"] - game.a, solution.players["y"] - game.b
    bound = family_for(EXAMPLES[name]()).error_per_residual * float(solution.residual)
    assert np.sqrt(x @ x + y @ y) <= bound + 10 * EPS


@every_solver
def test_it_converges_on_sets_and_stays_inside(name):
    """Every point that is reported is feasible, and the answer solves the variational inequality:
    ⟨F(z*), z - z*⟩ >= 0 at random feasible z."""
    solver = EXAMPLES[name]()
    posed = first_that_suits(solver, [family.with_sets() for family in FAMILIES])
    if posed is None:
        return
    game = posed.game
    solution = mm.solve(*posed, solver, record=10, tol=1e-2)
    assert solution.success, solution
    assert solution.trace is not None
    rows = solution.trace.players
    outside = jax.tree.map(jnp.subtract, rows, jax.vmap(game.project)(rows))
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(outside)) <= 100 * EPS
    F = game.operator(solution.players)
    feasible = jax.vmap(game.project)({"x": draw(1, 50, 3), "y": draw(2, 50, 2)})
    x, y = ((feasible[k] - solution.players[k]) @ F[k] for k in "xy")
    # ⟨F(z), z - u⟩ <= residual (|z - u| + |F|), and both norms are below 3.
    assert float((x + y).min()) >= -1e-2 * 6


@every_solver
def test_a_solution_stays_where_it_is(name):
    """From z* no step moves by one bit, where F(z*) is zero exactly."""
    solver = EXAMPLES[name]()
    game, solved = family_for(solver).solved()
    for rows in (rows(game, solved, solver, STEPS) for rows in (iterates, outputs)):
        assert_constant(rows, solved)


@every_solver
def test_a_pure_solution_on_a_set_stays_where_it_is(name):
    """A vertex that every player prefers strictly: no step leaves it."""
    solver = EXAMPLES[name]()
    posed = first_that_suits(solver, [family.pure() for family in FAMILIES])
    if posed is not None:
        assert_constant(outputs(*posed, solver, 3), posed.players)


@every_solver
def test_the_game_seen_differently_has_the_iterates_seen_differently(name):
    """f(z - t) from z_0 + t has the iterates z_k + t; with the actions of a mixed strategy in
    another order the iterates are in that order."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    there, back = family_for(solver).moved(game, players)
    rows = back(iterates(*there, solver, STEPS))
    # A method may probe F at a distance of 1e-4, which costs four digits.
    assert_close(rows, iterates(game, players, solver, STEPS), ulps=1e4 * 100 * STEPS)


NOT_FINITE = """
import importlib, sys
import jax.numpy as jnp
import minimax as mm

roles = {"x": "min", "y": "max"}
games = [
    (mm.Game(lambda p: jnp.sqrt(p["x"]) * p["y"], roles), {"x": 0.0, "y": 1.0}),
    (
        mm.Game(lambda p: -jnp.sqrt(p["x"][0]) * p["y"][0], roles, mm.Simplex()),
        {"x": jnp.array([0.0, 1.0]), "y": jnp.array([1.0, 0.0])},
    ),
    (mm.Game(lambda p: jnp.inf * p["x"] * p["y"], roles), {"x": 1.0, "y": 1.0}),
]
for name in sys.argv[1:]:
    solver = importlib.import_module(f"minimax._solvers.{name}").example()
    for game, players in games:
        try:
            solver.check(game, players)
        except mm.GameError:
            continue
        solution = mm.solve(game, players, solver, max_steps=100)
        print(name, solution.status.name, flush=True)
        break
"""


def test_a_gradient_that_is_not_finite_ends_the_run():
    """√x at 0 has an infinite slope: the status says so. In a process of its own, because a method
    that looks for a step size may look for ever."""
    process = subprocess.Popen(
        [sys.executable, "-c", NOT_FINITE, *EXAMPLES], stdout=subprocess.PIPE, text=True
    )
    try:
        answers, _ = process.communicate(timeout=400)
    except subprocess.TimeoutExpired:
        process.kill()
        answers, _ = process.communicate()
    assert answers.split() == [word for name in EXAMPLES for word in (name, "nonfinite")]


# What it says of itself ---------------------------------------------------------------------------


@every_solver
def test_the_trace_of_solve_is_the_step_api(name):
    """What `solve(record=1)` keeps is `output` after each `step`."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    solution = mm.solve(game, players, solver, max_steps=STEPS, tol=0.0, record=1)
    assert solution.trace is not None
    assert_close(solution.trace.players, outputs(game, players, solver, STEPS), ulps=20 * STEPS)
    np.testing.assert_array_equal(solution.trace.steps, np.arange(STEPS + 1))


@every_solver
def test_statistics_are_scalars_by_name(name):
    """They become columns of the trace."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    stats = solver.stats(init(solver, game, players))
    assert all(isinstance(key, str) and value.shape == () for key, value in stats.items())
    solution = mm.solve(game, players, solver, max_steps=STEPS, tol=0.0, record=1)
    assert solution.trace is not None
    assert {key: column.shape for key, column in solution.trace.stats.items()} == {
        key: (STEPS + 1,) for key in stats
    }
    taken = set(solution.trace.to_dict()) - set(stats)
    assert len(solution.trace.to_dict()) == len(taken) + len(stats), "a name is taken twice"


calls = {"x": 0, "y": 0}


def counted(player: str):
    """The identity, which counts how often a gradient is pulled back through it, and how often that
    gradient is differentiated again: each product with a Jacobian, transposed or not, pushes one
    vector through it. What nobody needs is not run: `pure_callback` may be dropped by the
    compiler."""

    def count(gradient):
        calls[player] += 1
        return gradient

    def call(_, gradient):
        shape = jax.ShapeDtypeStruct(gradient.shape, gradient.dtype)
        return jax.pure_callback(count, shape, gradient)

    @jax.custom_jvp
    def seen(gradient):
        return call(None, gradient)

    @seen.defjvp
    def push(primals, tangents):
        return seen(*primals), jax.custom_derivatives.linear_call(call, call, (), *tangents)

    @jax.custom_vjp
    def identity(x):
        return x

    identity.defvjp(lambda x: (x, None), lambda _, gradient: (seen(gradient),))
    return identity


watch = {player: counted(player) for player in calls}


class Watched(mm.AbstractGame):
    """`Quadratic`, in which each player's gradients are counted."""

    game: Quadratic
    constraints: PyTree
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return self.game.payoff({k: watch[k](z) for k, z in players.items()}, data)


@every_solver
def test_evaluations_are_as_many_as_are_made(name):
    """`evaluations` after k steps is the number of gradients of own payoffs, and of products with
    their Jacobian, per player, that `init` and k steps compute, with a look after each."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    game = Watched(game, game.constraints)
    calls.update(x=0, y=0)
    state = init(solver, game, players)
    for k in range(45):  # more than two looks of a method that looks at its average at times
        jax.block_until_ready(state)
        claimed = int(solver.evaluations(jnp.asarray(k), state))
        assert calls == {"x": claimed, "y": claimed}, f"after {k} steps"
        players, state = refined_step(solver, game, players, state)


# What it costs ------------------------------------------------------------------------------------


@every_solver
def test_new_numbers_do_not_trace_again(name):
    """One trace for new data, starts, games, tolerances, step sizes and equal solvers."""

    solver = EXAMPLES[name]()
    other = jax.tree.map(lambda x: 0.5 * x if eqx.is_inexact_array(x) else x, solver)
    push = jnp.asarray(draw(0, 3))
    solve(name, solver)
    solve(name, solver, data=push)
    before = len(traces)
    solve(name, solver, seed=1)
    solve(name, EXAMPLES[name]())
    solve(name, solver, tol=1e-1)
    solve(name, other)
    solve(name, solver, data=2 * push)
    assert len(traces) == before


@every_solver
def test_going_on_is_the_same_as_not_stopping(name):
    """100 steps, and 50 and 50 more with `state=`: the same bits, and all steps counted. Only a
    method that solves the game exactly makes fewer."""
    solver, (game, players) = EXAMPLES[name](), pose(name)
    whole = mm.solve(game, players, solver, max_steps=100, tol=0.0)
    half = mm.solve(game, players, solver, max_steps=50, tol=0.0)
    rest = mm.solve(game, half.players, solver, max_steps=50, tol=0.0, state=half.state)
    for ours, theirs in zip(*map(jax.tree.leaves, (rest, whole)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert half.steps == 50 and rest.steps == whole.steps
    assert whole.steps == 100 or whole.residual == 0


@every_solver
def test_a_batch_of_solves_is_a_loop_over_solves(name):
    """Under `vmap` and `jit`, over games and starts at once; members stop when they are done."""
    solver, seeds = EXAMPLES[name](), range(3)
    games, starts = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *posed)
        for posed in zip(*(pose(name, seed) for seed in seeds), strict=True)
    )
    both = eqx.filter_vmap(lambda game, z: mm.solve(game, z, solver, tol=1e-2))
    solutions = eqx.filter_jit(both)(games, starts)
    for seed in seeds:
        alone = solve(name, solver, seed)
        assert_close(solutions[seed].players, alone.players, ulps=1e7)
        assert int(solutions[seed].steps) == int(alone.steps)
        assert int(solutions[seed].evaluations) == int(alone.evaluations)
