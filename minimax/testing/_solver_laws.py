"""Laws of solvers, whatever the method, on games with L <= 1."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import minimax as mm
from minimax.testing._counted import Watched, calls
from minimax.testing._families import Around, Posed, draw, first_variables, traces
from minimax.testing._iterates import iterates, outputs
from minimax.testing._law import Law, law
from minimax.testing._solver_case import (
    EPS,
    STEPS,
    SolverCase,
    anything,
    assert_close,
    assert_constant,
    in_time,
    init,
    is_linear,
    refined,
    refined_step,
    step,
)

LAWS: list[Law] = []


# What a step is -----------------------------------------------------------------------------------


@law(LAWS, anything)
def a_step_keeps_structure_shapes_and_dtypes(subject: SolverCase):
    """(players, state) -> (players, state) with the same types, or `lax.scan` would refuse it: for
    float32 and float64, for half precision, in x64 mode and not."""
    for x64, dtypes in (
        (False, ["float32", "bfloat16", "float16"]),
        (True, ["float32", "float64"]),
    ):
        with jax.enable_x64(x64):
            solver = subject.here
            for dtype in dtypes:
                game, players = subject.pose(dtype=dtype)
                before = jax.eval_shape(lambda: (players, solver.init(game, players)))  # noqa: B023
                after = jax.eval_shape(lambda args: refined(solver, game, *args), before)  # noqa: B023
                assert jax.tree.structure(before) == jax.tree.structure(after), dtype
                for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
                    assert (old.shape, old.dtype) == (new.shape, new.dtype), dtype
                assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(after[0])), dtype


@law(LAWS, anything)
def a_step_has_no_memory_but_its_state(subject: SolverCase):
    """It leaves its arguments as they are, lets no tracer out, and traced again it is the same
    program with the same numbers in it."""
    solver, (game, players) = subject.solver, subject.pose()
    state = jax.eval_shape(solver.init, game, players)

    def seen(players, state):
        given, structure = jax.tree.flatten((players, state))
        after = solver.step(game, players, state)
        kept, same = jax.tree.flatten((players, state))
        assert structure == same and all(a is b for a, b in zip(given, kept, strict=True)), (
            "step writes into its arguments"
        )
        return after

    programs = [jax.make_jaxpr(lambda *args: seen(*args))(players, state) for _ in range(2)]
    texts = [re.sub(r"0x[0-9a-f]+", "", str(program)) for program in programs]
    assert texts[0] == texts[1], "step is another program when it is traced again"
    for one, other in zip(*(program.consts for program in programs), strict=True):
        np.testing.assert_array_equal(one, other)


@law(LAWS, anything)
def solve_answers_in_the_dtype_of_the_players(subject: SolverCase):
    """Also where x64 mode is on and the players are float32. Half precision at least runs: there,
    steps round to nothing while the residual is still some 2⁻⁸/η times the size of the players."""
    for x64, dtype in ((True, "float32"), (False, "bfloat16")):
        with jax.enable_x64(x64):
            solution = subject.solve(dtype=dtype)
            assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(solution.players))
            coarse = dtype == "bfloat16" and solution.residual < 2**-8 / 0.1 * 4
            assert solution.success or coarse, solution


@law(LAWS, anything)
def jit_changes_nothing(subject: SolverCase):
    """A compiled step is the uncompiled one, up to the order of sums."""
    solver, (game, players) = subject.solver, subject.pose()
    state = init(solver, game, players)
    ours, _ = solver.step(game, players, state)
    theirs, _ = step(solver, game, players, state)
    assert_close(ours, theirs, ulps=100)


@law(LAWS, anything)
def data_reaches_every_evaluation(subject: SolverCase):
    """payoff(players, data) moves as the game in which the same term is built in. The payoff takes
    the mean over the rows of the data, so that a method for finite sums may take them apart."""
    solver, (game, players), data = subject.solver, subject.pose(), jnp.asarray(draw(9, 2, 3))
    built_in = eqx.tree_at(lambda game: game.push, game, jnp.mean(data, 0))
    rows = iterates(game, players, solver, STEPS, data)
    assert_close(rows, iterates(built_in, players, solver, STEPS), ulps=1e6)
    plain = iterates(game, players, solver, STEPS)
    assert float(jnp.max(jnp.abs(rows["x"] - plain["x"]))) > 1e-3, "the data does nothing"


@law(LAWS, anything)
def players_may_be_any_pytree(subject: SolverCase):
    """Iterates are those of plain vectors; what is no variable stays what it is."""
    solver, (game, z) = subject.solver, subject.pose()
    players = subject.family.nested(z)
    network = players["x"]
    solution = mm.solve(Around(game, game.constraints), players, solver, tol=1e-2)
    plain = subject.solve()
    assert solution.steps == plain.steps
    # Of sixteen digits a probe of F at a distance of 1e-4 leaves twelve, and step sizes that follow
    # what F does carry its rounding on.
    assert_close(first_variables(solution.players), plain.players, ulps=1e7)
    after = solution.players["x"]
    assert (after.activation, after.rate) == (network.activation, 0.5)
    np.testing.assert_array_equal(after.labels, network.labels)
    assert after.labels.dtype == network.labels.dtype


@law(LAWS, anything)
def three_maximisers_are_players_too(subject: SolverCase):
    """Cournot: firm i earns q_i (1 - Σq) - c_i q_i; at equilibrium q_i = (1 + Σc)/4 - c_i."""
    costs, solver = {"a": 0.1, "b": 0.2, "c": 0.3}, subject.solver
    candidates = [family.cournot(costs) for family in subject.families]
    posed = subject.first_that_suits([posed for posed, _ in candidates])
    if posed is None:
        return
    (quantities,) = (read for each, read in candidates if each is posed)
    solution = mm.solve(*posed, solver, tol=1e-3)
    assert solution.success, solution
    for firm, quantity in quantities(solution.players).items():
        # The operator is 1/4-strongly monotone, so the error is at most 4 times its norm, which is
        # the residual, or √2 times that where a firm mixes.
        expected = 0.4 - costs[firm]
        assert abs(float(quantity) - expected) <= 6e-3, f"{firm}: {quantity}, not {expected}"


# Where it goes ------------------------------------------------------------------------------------


@law(LAWS, anything)
def it_converges_where_the_operator_is_strongly_monotone(subject: SolverCase):
    """μ = 0.3 and L <= 0.9: every method finds (a, b), and the error is bounded by the residual."""
    solution, (game, _) = subject.solve(seed=3), subject.pose(3)
    assert solution.success and solution.residual <= 1e-2, solution
    x, y = solution.players["x"] - game.a, solution.players["y"] - game.b
    bound = subject.family.error_per_residual * float(solution.residual)
    assert np.sqrt(x @ x + y @ y) <= bound + 10 * EPS


@law(LAWS, is_linear)
def a_linear_rate_is_linear(subject: SolverCase):
    """Nine digits take at most as many more steps as three did, by a straight line: three times as
    many, with one time, and two looks at the residual, for the beginning."""
    three, nine = (subject.solve(seed=3, tol=tol) for tol in (1e-3, 1e-9))
    assert three.success and nine.success, nine
    assert int(nine.steps) <= 4 * int(three.steps) + 100, f"{three.steps}, then {nine.steps} steps"


@law(LAWS, anything)
def it_converges_on_sets_and_stays_inside(subject: SolverCase):
    """Every point that is reported is feasible, and the answer solves the variational inequality:
    ⟨F(z*), z - z*⟩ >= 0 at random feasible z."""
    solver = subject.solver
    posed = subject.first_that_suits([family.with_sets() for family in subject.families])
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


@law(LAWS, anything)
def a_solution_stays_where_it_is(subject: SolverCase):
    """From z* no step moves by one bit, where F(z*) is zero exactly."""
    game, solved = subject.family.solved()
    for rows in (rows(game, solved, subject.solver, STEPS) for rows in (iterates, outputs)):
        assert_constant(rows, solved)


@law(LAWS, anything)
def a_pure_solution_on_a_set_stays_where_it_is(subject: SolverCase):
    """A vertex that every player prefers strictly: no step leaves it."""
    posed = subject.first_that_suits([family.pure() for family in subject.families])
    if posed is not None:
        assert_constant(outputs(*posed, subject.solver, 3), posed.players)


@law(LAWS, anything)
def the_game_seen_differently_has_the_iterates_seen_differently(subject: SolverCase):
    """f(z - t) from z_0 + t has the iterates z_k + t; with the actions of a mixed strategy in
    another order the iterates are in that order."""
    solver, (game, players) = subject.solver, subject.pose()
    there, back = subject.family.moved(game, players)
    rows = back(iterates(*there, solver, STEPS))
    # A method may probe F at a distance of 1e-4, which costs four digits.
    assert_close(rows, iterates(game, players, solver, STEPS), ulps=1e4 * 100 * STEPS)


@law(LAWS, anything)
def a_game_without_a_solution_is_not_called_solved(subject: SolverCase):
    """A player who wins without end, and a game whose players all flee from its only critical
    point: what is called solved has a small residual."""
    posed = subject.family.without_solution()
    if posed is None:
        return
    solution = mm.solve(*posed, subject.solver, tol=1e-2)
    assert not solution.success, solution
    game, players = subject.pose()
    repelling = eqx.tree_at(lambda g: g.curvature, game, -game.curvature)
    posed = Posed(repelling, players)
    if subject.means(posed) and subject.suits(posed):
        solution = mm.solve(*posed, subject.solver, tol=1e-2)
        residual = float(mm.NaturalResidual()(repelling, solution.players))
        assert solution.success == (residual <= 1e-2 * (1 + 100 * EPS)), solution


@law(LAWS, anything)
def a_gradient_that_is_not_finite_ends_the_run(subject: SolverCase):
    """√x at 0 has an infinite slope: the status says so, and soon, though a method may look for a
    step size."""
    posed = subject.first_that_suits([family.not_finite() for family in subject.families])
    if posed is None:
        return
    solution = in_time(lambda: mm.solve(*posed, subject.solver, max_steps=100), seconds=200)
    assert solution.status is mm.Status.nonfinite, solution


# What it says of itself ---------------------------------------------------------------------------


@law(LAWS, anything)
def the_trace_of_solve_is_the_step_api(subject: SolverCase):
    """What `solve(record=1)` keeps is `output` after each `step`."""
    solver, (game, players) = subject.solver, subject.pose()
    solution = mm.solve(game, players, solver, max_steps=STEPS, tol=0.0, record=1)
    assert solution.trace is not None
    assert_close(solution.trace.players, outputs(game, players, solver, STEPS), ulps=20 * STEPS)
    np.testing.assert_array_equal(solution.trace.steps, np.arange(STEPS + 1))


@law(LAWS, anything)
def statistics_are_scalars_by_name(subject: SolverCase):
    """They become columns of the trace."""
    solver, (game, players) = subject.solver, subject.pose()
    stats = solver.stats(init(solver, game, players))
    assert all(isinstance(key, str) and value.shape == () for key, value in stats.items())
    solution = mm.solve(game, players, solver, max_steps=STEPS, tol=0.0, record=1)
    assert solution.trace is not None
    assert {key: column.shape for key, column in solution.trace.stats.items()} == {
        key: (STEPS + 1,) for key in stats
    }
    taken = set(solution.trace.to_dict()) - set(stats)
    assert len(solution.trace.to_dict()) == len(taken) + len(stats), "a name is taken twice"


@law(LAWS, anything)
def evaluations_are_as_many_as_are_made(subject: SolverCase):
    """`evaluations` after k steps is the number of gradients of own payoffs, and of products with
    their Jacobian, per player, that `init` and k steps compute, with a look after each."""
    solver, (game, players) = subject.solver, subject.pose()
    game = Watched(game, game.constraints)
    calls.update(x=0, y=0)
    state = init(solver, game, players)
    for k in range(45):  # more than two looks of a method that looks at its average at times
        jax.block_until_ready(state)
        claimed = int(solver.evaluations(jnp.asarray(k), state))
        made = f"after {k} steps {calls} were made, and {claimed} of each are claimed"
        assert calls == {"x": claimed, "y": claimed}, made
        players, state = refined_step(solver, game, players, state)


# What it costs ------------------------------------------------------------------------------------


@law(LAWS, anything)
def new_numbers_do_not_trace_again(subject: SolverCase):
    """One trace for new data, starts, games, tolerances, step sizes and equal solvers."""
    solver = subject.here
    equal = solver if subject.again is None else subject.again
    other = jax.tree.map(lambda x: 0.5 * x if eqx.is_inexact_array_like(x) else x, solver)
    data = jnp.asarray(draw(0, 2, 3))
    subject.solve()
    subject.solve(data=data)
    before = len(traces)
    for what, again in {
        "a new game and start": dict(seed=1),
        "an equal solver": dict(solver=equal),
        "a new tolerance": dict(tol=1e-1),
        "a solver with new numbers": dict(solver=other),
        "new data": dict(data=2 * data),
    }.items():
        subject.solve(**again)
        assert len(traces) == before, f"{what} is a new program: are all numbers arrays?"


@law(LAWS, anything)
def going_on_is_the_same_as_not_stopping(subject: SolverCase):
    """100 steps, and 50 and 50 more with `state=`: the same bits, and all steps counted. Only a
    method that solves the game exactly makes fewer."""
    solver, (game, players) = subject.solver, subject.pose()
    whole = mm.solve(game, players, solver, max_steps=100, tol=0.0)
    half = mm.solve(game, players, solver, max_steps=50, tol=0.0)
    rest = mm.solve(game, half.players, solver, max_steps=50, tol=0.0, state=half.state)
    for ours, theirs in zip(*map(jax.tree.leaves, (rest, whole)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert half.steps == 50 and rest.steps == whole.steps
    assert whole.steps == 100 or whole.residual == 0


@law(LAWS, anything)
def a_batch_of_solves_is_a_loop_over_solves(subject: SolverCase):
    """Under `vmap` and `jit`, over games and starts at once; members stop when they are done."""
    solver, seeds = subject.solver, range(3)
    games, starts = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *posed)
        for posed in zip(*(subject.pose(seed) for seed in seeds), strict=True)
    )
    both = eqx.filter_vmap(lambda game, z: mm.solve(game, z, solver, tol=1e-2))
    solutions = eqx.filter_jit(both)(games, starts)
    for seed in seeds:
        alone = subject.solve(seed=seed)
        assert_close(solutions[seed].players, alone.players, ulps=1e7)
        assert int(solutions[seed].steps) == int(alone.steps)
        assert int(solutions[seed].evaluations) == int(alone.evaluations)
