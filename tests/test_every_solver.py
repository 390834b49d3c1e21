"""Laws that hold for every solver, whatever its method; each file in `_solvers` is tried.

The examples of the solvers are made for operators with L <= 1.
"""

import re
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import minimax as mm
from minimax import _solvers
from tests.discovery import check_files, examples
from tests.iterates import iterates, outputs
from tests.strategies import Network, parts

pytestmark = pytest.mark.usefixtures("float64")

EPS = np.finfo(float).eps
EXAMPLES = examples(_solvers)
every_solver = pytest.mark.parametrize("name", EXAMPLES)
STEPS = 8

traces = []
"""One entry for every time that JAX traces the payoff below."""


class Quadratic(mm.AbstractGame):
    r"""$\tfrac{0.4}{2}\|x - a\|^2 + (x - a)^\top A (y - b) - \tfrac{0.3}{2}\|y - b\|^2 + d^\top x$.

    Strongly convex-concave with $\|A\| \le 1/2$, so L <= 0.9; without data its saddle is (a, b).
    """

    matrix: Float[Array, "n m"]
    a: Float[Array, " n"]
    b: Float[Array, " m"]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        traces.append(self)
        u, v = players["x"] - self.a, players["y"] - self.b
        push = 0.0 if data is None else data @ players["x"]
        return 0.2 * u @ u + u @ self.matrix @ v - 0.15 * v @ v + push


class Bounded(mm.AbstractGame):
    """The same inside sets."""

    game: Quadratic
    constraints: dict
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return self.game.payoff(players, data)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def quadratic(seed: int = 0, dtype: str = "float64") -> Quadratic:
    matrix = draw(seed, 3, 2)
    matrix = 0.5 * matrix / np.linalg.norm(matrix, 2)
    a, b = draw(seed + 1, 3), draw(seed + 2, 2)
    return Quadratic(*(jnp.asarray(array, dtype) for array in (matrix, a, b)))


def start(seed: int = 5, dtype: str = "float64") -> dict[str, Array]:
    return {"x": jnp.asarray(draw(seed, 3), dtype), "y": jnp.asarray(draw(seed + 1, 2), dtype)}


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


step = eqx.filter_jit(lambda solver, *args: solver.step(*args))
init = eqx.filter_jit(lambda solver, *args: solver.init(*args))


def solve(solver, seed: int = 0, tol: float = 1e-2, dtype: str = "float64", data=None):
    """The one way in which most tests solve: with equal shapes and options it compiles once."""
    return mm.solve(quadratic(seed, dtype), start(seed, dtype), solver, tol=tol, data=data)


def test_every_file_holds_one_solver_that_is_exported():
    """One class per file, with an `example()`; the message is the line that is missing."""
    check_files(_solvers, mm.AbstractSolver)


def refuses(solver, game, players) -> bool:
    """Whether the solver says that it is not for this game; then `init` does not begin either."""
    try:
        solver.check(game, players)
    except mm.GameError as error:
        with pytest.raises(mm.GameError, match=re.escape(str(error))):
            mm.solve(game, players, solver)
        return True
    return False


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
                game, players = quadratic(dtype=dtype), start(dtype=dtype)
                before = jax.eval_shape(lambda: (players, solver.init(game, players)))  # noqa: B023
                after = jax.eval_shape(lambda args: solver.step(game, *args), before)  # noqa: B023
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
        solution = solve(EXAMPLES[name](), dtype=dtype)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(solution.players))
        coarse = dtype == "bfloat16" and solution.residual < 2**-8 / 0.1 * 4
        assert solution.success or coarse, solution


@every_solver
def test_jit_changes_nothing(name):
    """A compiled step is the uncompiled one, up to the order of sums."""
    solver, game, players = EXAMPLES[name](), quadratic(), start()
    state = init(solver, game, players)
    ours, _ = solver.step(game, players, state)
    theirs, _ = step(solver, game, players, state)
    assert_close(ours, theirs, ulps=100)


@every_solver
def test_data_reaches_every_evaluation(name):
    """payoff(players, data) moves as the game in which the same term is built in."""
    solver, game, push = EXAMPLES[name](), quadratic(), jnp.asarray(draw(9, 3))
    # d'x is the same force as moving both centres.
    A = game.matrix
    # F(z) + (d, 0) = F(z - shift), with (0.4 s + A t, 0.3 t - A's) = -(d, 0) for shift (s, t).
    M = jnp.block([[0.4 * jnp.eye(3), A], [-A.T, 0.3 * jnp.eye(2)]])
    shift = jnp.linalg.solve(M, jnp.concatenate([-push, jnp.zeros(2)]))
    moved = Quadratic(A, game.a + shift[:3], game.b + shift[3:])
    rows = iterates(game, start(), solver, STEPS, push)
    assert_close(rows, iterates(moved, start(), solver, STEPS), ulps=1e6)


class Anything(mm.AbstractGame):
    """`Quadratic` for players of any structure."""

    game: Quadratic
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return self.game.payoff(dict(zip("xy", parts(players), strict=True)), data)


@every_solver
def test_players_may_be_any_pytree(name):
    """Iterates are those of plain vectors; what is no variable stays what it is."""
    z, solver = start(0), EXAMPLES[name]()
    network = Network.of(z["x"][:2], z["x"][2])
    players = {"x": network, "y": (z["y"][0], [z["y"][1:]])}
    solution = mm.solve(Anything(quadratic()), players, solver, tol=1e-2)
    plain = solve(solver)
    assert solution.steps == plain.steps
    found = dict(zip("xy", parts(solution.players), strict=True))
    assert_close(found, plain.players, ulps=1e6)
    after = solution.players["x"]
    assert (after.activation, after.rate) == (network.activation, 0.5)
    np.testing.assert_array_equal(after.labels, network.labels)
    assert after.labels.dtype == network.labels.dtype


@every_solver
def test_a_game_of_three_maximisers(name):
    """Cournot: firm i earns q_i (1 - Σq) - c_i q_i; at equilibrium q_i = (1 + Σc)/4 - c_i."""
    costs = {"a": 0.1, "b": 0.2, "c": 0.3}

    def profits(q):
        price = 1.0 - (q["a"] + q["b"] + q["c"])
        return {firm: q[firm] * (price - cost) for firm, cost in costs.items()}

    game = mm.Game(lambda q: jax.tree.map(lambda p: 0.25 * p, profits(q)), roles="max")  # L = 1
    solution = mm.solve(game, {firm: jnp.zeros(()) for firm in costs}, EXAMPLES[name](), tol=1e-3)
    assert solution.success, solution
    for firm, cost in costs.items():
        # The operator is 1/4-strongly monotone, so the error is at most 4 times the residual.
        assert solution.players[firm] == pytest.approx(0.4 - cost, abs=4e-3)


# Where it goes ------------------------------------------------------------------------------------


@every_solver
def test_it_converges_where_the_operator_is_strongly_monotone(name):
    """μ = 0.3 and L <= 0.9: every method finds (a, b), and the error is at most residual/μ."""
    solution, game = solve(EXAMPLES[name](), seed=3), quadratic(3)
    assert solution.success and solution.residual <= 1e-2, solution
    x, y = solution.players["x"] - game.a, solution.players["y"] - game.b
    assert np.sqrt(x @ x + y @ y) <= float(solution.residual) / 0.3 + 10 * EPS


@every_solver
def test_it_converges_on_sets_and_stays_inside(name):
    """Every point that is reported is feasible, and the answer solves the variational inequality:
    ⟨F(z*), z - z*⟩ >= 0 at random feasible z."""
    game = Bounded(quadratic(), {"x": mm.Simplex(), "y": mm.L2Ball(0.1)})
    if refuses(EXAMPLES[name](), game, start()):
        return
    solution = mm.solve(game, game.project(start()), EXAMPLES[name](), record=10, tol=1e-2)
    assert solution.success, solution
    assert solution.trace is not None
    x, y = solution.trace.players["x"], solution.trace.players["y"]
    assert float(x.min()) >= 0 and np.abs(x.sum(-1) - 1).max() <= 100 * EPS
    assert np.linalg.norm(y, axis=-1).max() <= 0.1 * (1 + 100 * EPS)
    F = game.operator(solution.players)
    feasible = jax.vmap(game.project)({"x": draw(1, 50, 3), "y": draw(2, 50, 2)})
    x, y = ((feasible[k] - solution.players[k]) @ F[k] for k in "xy")
    # ⟨F(z), z - u⟩ <= residual (|z - u| + |F|), and both norms are below 3.
    assert float((x + y).min()) >= -1e-2 * 6


@every_solver
def test_a_solution_stays_where_it_is(name):
    """From z* no step moves by one bit, where F(z*) is zero exactly."""
    game = Quadratic(jnp.array([[0.25, 0.5], [0.0, 0.25], [0.125, 0.0]]), jnp.ones(3), -jnp.ones(2))
    solved = {"x": jnp.ones(3), "y": -jnp.ones(2)}
    for rows in (rows(game, solved, EXAMPLES[name](), STEPS) for rows in (iterates, outputs)):
        assert_constant(rows, solved)


@every_solver
def test_a_pure_solution_on_a_set_stays_where_it_is(name):
    """A vertex that every player prefers strictly: no step leaves it."""
    game = mm.Game(
        lambda p: p["x"] @ jnp.array([0.0, 0.5, 1.0]) - p["y"] @ jnp.array([0.5, 0.0]),
        {"x": "min", "y": "max"},
        constraints=mm.Simplex(),
    )
    solved = {"x": jnp.array([1.0, 0.0, 0.0]), "y": jnp.array([0.0, 1.0])}
    if refuses(EXAMPLES[name](), game, solved):
        return
    rows = outputs(game, solved, EXAMPLES[name](), 3)
    assert_constant(rows, solved)


@every_solver
def test_moving_the_game_moves_the_iterates(name):
    """f(z - t) from z_0 + t has the iterates z_k + t."""
    solver, game, z = EXAMPLES[name](), quadratic(), start()
    t = {"x": jnp.asarray(draw(7, 3)), "y": jnp.asarray(draw(8, 2))}
    moved = Quadratic(game.matrix, game.a + t["x"], game.b + t["y"])
    rows = iterates(moved, jax.tree.map(jnp.add, z, t), solver, STEPS)
    expected = jax.tree.map(lambda row, s: row + s, iterates(game, z, solver, STEPS), t)
    # A method may probe F at a distance of 1e-4, which costs four digits.
    assert_close(rows, expected, ulps=1e4 * 100 * STEPS)


NOT_FINITE = """
import importlib, sys
import jax.numpy as jnp
import minimax as mm

game = mm.Game(lambda p: jnp.sqrt(p["x"]) * p["y"], {"x": "min", "y": "max"})
for name in sys.argv[1:]:
    solver = importlib.import_module(f"minimax._solvers.{name}").example()
    solution = mm.solve(game, {"x": 0.0, "y": 1.0}, solver, max_steps=100)
    print(name, solution.status.name, flush=True)
"""


def test_a_gradient_that_is_not_finite_ends_the_run():
    """√x at 0 has an infinite slope: the status says so. In a process of its own, because a method
    that looks for a step size may look for ever."""
    process = subprocess.Popen(
        [sys.executable, "-c", NOT_FINITE, *EXAMPLES], stdout=subprocess.PIPE, text=True
    )
    try:
        answers, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        answers, _ = process.communicate()
    assert answers.split() == [word for name in EXAMPLES for word in (name, "nonfinite")]


# What it says of itself ---------------------------------------------------------------------------


@every_solver
def test_the_trace_of_solve_is_the_step_api(name):
    """What `solve(record=1)` keeps is `output` after each `step`."""
    solver, game, players = EXAMPLES[name](), quadratic(), start()
    solution = mm.solve(game, players, solver, max_steps=STEPS, tol=0.0, record=1)
    assert solution.trace is not None
    assert_close(solution.trace.players, outputs(game, players, solver, STEPS), ulps=20 * STEPS)
    np.testing.assert_array_equal(solution.trace.steps, np.arange(STEPS + 1))


@every_solver
def test_statistics_are_scalars_by_name(name):
    """They become columns of the trace."""
    solver, game, players = EXAMPLES[name](), quadratic(), start()
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
    """The identity, which counts how often a gradient is pulled back through it, and how often a
    gradient's derivative along a vector is: a product with the Jacobian counts as an evaluation. A
    pull-back that nobody needs is not run: `pure_callback` may be dropped by the compiler."""

    def count(gradient):
        calls[player] += 1
        return gradient

    def called(gradient):
        shape = jax.ShapeDtypeStruct(gradient.shape, gradient.dtype)
        return jax.pure_callback(count, shape, gradient)

    @jax.custom_jvp
    def pulled(gradient):
        return called(gradient)

    @pulled.defjvp
    def _(gradients, tangents):
        return pulled(*gradients), called(*tangents)

    @jax.custom_vjp
    def identity(x):
        return x

    def backward(_, gradient):
        return (pulled(gradient),)

    identity.defvjp(lambda x: (x, None), backward)
    return identity


watch = {player: counted(player) for player in calls}


class Watched(mm.AbstractGame):
    """`Quadratic`, in which each player's gradients are counted."""

    game: Quadratic
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return self.game.payoff({k: watch[k](z) for k, z in players.items()}, data)


@every_solver
def test_evaluations_are_as_many_as_are_made(name):
    """`evaluations` after k steps is the number of gradients of own payoffs, per player, that
    `init` and k steps compute."""
    solver, game, players = EXAMPLES[name](), Watched(quadratic()), start()
    calls.update(x=0, y=0)
    state = init(solver, game, players)
    for k in range(45):  # more than two looks of a method that looks at its average at times
        jax.block_until_ready(state)
        claimed = int(solver.evaluations(jnp.asarray(k), state))
        assert calls == {"x": claimed, "y": claimed}, f"after {k} steps"
        players, state = step(solver, game, players, state)


# What it costs ------------------------------------------------------------------------------------


@every_solver
def test_new_numbers_do_not_trace_again(name):
    """One trace for new data, starts, games, tolerances, step sizes and equal solvers."""

    solver = EXAMPLES[name]()
    other = jax.tree.map(lambda x: 0.5 * x if eqx.is_inexact_array(x) else x, solver)
    push = jnp.asarray(draw(0, 3))
    solve(solver)
    solve(solver, data=push)
    before = len(traces)
    solve(solver, seed=1)
    solve(EXAMPLES[name]())
    solve(solver, tol=1e-1)
    solve(other)
    solve(solver, data=2 * push)
    assert len(traces) == before


@every_solver
def test_going_on_is_the_same_as_not_stopping(name):
    """100 steps, and 50 and 50 more with `state=`: the same bits, and all steps counted. Only a
    method that solves the game exactly makes fewer."""
    solver, game, players = EXAMPLES[name](), quadratic(), start()
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
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(make, seeds))
        for make in (quadratic, start)
    )
    both = eqx.filter_vmap(lambda game, z: mm.solve(game, z, solver, tol=1e-2))
    solutions = eqx.filter_jit(both)(games, starts)
    for seed in seeds:
        alone = solve(solver, seed)
        assert_close(solutions[seed].players, alone.players, ulps=1e6)
        assert int(solutions[seed].steps) == int(alone.steps)
        assert int(solutions[seed].evaluations) == int(alone.evaluations)
