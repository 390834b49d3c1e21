# Mistakes are made on purpose here, and traces are asked for.
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
"""`solve`: when it stops, what it says, what it keeps; and every message for a user's mistake."""

import dataclasses
import html
import re
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import minimax as mm

pytestmark = pytest.mark.usefixtures("float64")

ROLES = {"x": "min", "y": "max"}
XY = mm.Game(lambda p: p["x"] * p["y"], ROLES)


def ones(dtype="float64"):
    return {"x": jnp.ones((), dtype), "y": jnp.ones((), dtype)}


class Rotation(mm.AbstractGame):
    """f = a x y, which may turn into NaN where |x| exceeds `edge`."""

    a: jax.Array
    edge: jax.Array
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return self.a * x * y * jnp.where(jnp.abs(x) < self.edge, 1.0, jnp.nan)


def rotation(a=1.0, edge=np.inf):
    return Rotation(jnp.asarray(a), jnp.asarray(edge))


# Why it stops -------------------------------------------------------------------------------------


def test_converged_means_that_the_metric_is_at_most_the_tolerance():
    """And it is the metric at the players that are returned."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.5), tol=1e-6)
    assert solution.status == mm.Status.converged and solution.success
    assert solution.residual <= 1e-6 and solution.tol == 1e-6
    assert solution.residual == mm.NaturalResidual()(XY, solution.players)
    assert solution.value == XY.payoff(solution.players)


def test_it_stops_at_the_first_look_at_which_the_metric_is_small_enough():
    """With η = 0.1 extragradient shrinks the residual by √(1 - η² + η⁴) = 0.995 a step, so the last
    residual is at most so far below the tolerance."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.1), tol=0.1, check_every=1)
    assert 0.1 * np.sqrt(1 - 0.01 + 0.0001) * (1 - 1e-12) <= solution.residual <= 0.1


def test_no_step_is_taken_from_a_solution():
    """It is looked at before the first step."""
    solution = mm.solve(XY, {"x": 0.0, "y": 0.0}, mm.ExtraGradient(0.5), record=1)
    assert (solution.status, solution.steps, solution.evaluations) == (mm.Status.converged, 0, 0)
    assert solution.trace.steps.tolist() == [0]


@pytest.mark.parametrize("max_steps", [0, 1, 49, 50, 51, 120])
def test_max_steps_is_exact(max_steps):
    """Whether or not it is a multiple of `check_every`."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.1), max_steps=max_steps)
    assert solution.status == mm.Status.max_steps and not solution.success
    assert (solution.steps, solution.evaluations) == (max_steps, 2 * max_steps)
    expected = np.sqrt(2) * (1 - 0.01 + 0.0001) ** (max_steps / 2)
    assert float(solution.residual) == pytest.approx(expected, rel=1e-12)


def test_diverged_players_are_a_million_times_further_out():
    """Descent-ascent with η = 0.5 grows by √1.25 a step; it is not stopped before, nor much
    later."""
    solution = mm.solve(XY, ones(), mm.GradientDescentAscent(0.5), check_every=1)
    assert solution.status == mm.Status.diverged
    size = np.hypot(*solution.players.values())
    assert 1e6 <= size <= 4e6


def test_far_away_is_not_diverged_where_the_metric_falls():
    """A start far from the solution, or a solution far from the start, is no divergence."""
    game = mm.Game(lambda p: 0.5e-8 * (p - 1e8) ** 2, "min")
    solution = mm.solve(game, 0.0, mm.GradientDescentAscent(0.5e8), tol=1e-7, check_every=1)
    assert solution.success and float(solution.players) == pytest.approx(1e8, rel=1e-6)


def test_nonfinite_returns_the_last_players_that_were_looked_at():
    """f turns into NaN at |x| >= 3; the spiral gets there after some steps."""
    solver = mm.GradientDescentAscent(0.5)
    solution = mm.solve(rotation(edge=3.0), ones(), solver, check_every=1)
    assert solution.status == mm.Status.nonfinite
    assert all(bool(jnp.isfinite(z)) for z in solution.players.values())
    again = mm.solve(XY, ones(), solver, max_steps=int(solution.steps))
    assert again.players == solution.players, "they are the iterates before it happened"
    assert solution.players["x"] ** 2 < 9 and jnp.isfinite(solution.value), "still a payoff"


@pytest.mark.parametrize(
    "payoff, step_size, expected",
    [
        (lambda p: p["x"] ** 2 / 2 - p["y"] ** 2 / 2, 1.0, "converged"),
        (lambda p: p["x"] * p["y"], 10.0, "diverged"),
        (lambda p: p["x"] ** 4 - p["y"] ** 4, 1.0, "nonfinite"),
        (lambda p: p["x"] * p["y"], 0.1, "max_steps"),
    ],
)
def test_what_the_last_look_sees_comes_before_that_it_is_the_last(payoff, step_size, expected):
    """One chunk only: its look is the first after the start and the last."""
    solver = mm.GradientDescentAscent(step_size)
    solution = mm.solve(mm.Game(payoff, ROLES), ones(), solver, max_steps=50, check_every=50)
    assert solution.status == expected
    assert all(bool(jnp.isfinite(z)) for z in solution.players.values())


def test_a_start_outside_the_sets_is_projected_first():
    """Every point that is returned, recorded or measured is feasible, the start too."""
    game = game_with(constraints=mm.Box(-1.0, 2.0))
    solution = mm.solve(game, {"x": 5.0, "y": -5.0}, mm.ExtraGradient(0.1), record=1, max_steps=2)
    assert (solution.trace.players["x"][0], solution.trace.players["y"][0]) == (2.0, -1.0)


def test_nonfinite_players_are_not_worked_on():
    """NaN or infinity in the start is said, not iterated."""
    for start in (float("nan"), float("inf")):
        solution = mm.solve(XY, {"x": start, "y": 1.0}, mm.ExtraGradient(0.1))
        assert (solution.status, solution.steps) == (mm.Status.nonfinite, 0)


def test_one_nan_among_thousands_is_seen():
    """XLA's reductions forget some, on CPUs; neither payoff nor gradient shows it here."""
    mask = jnp.arange(5000) != 3

    def payoff(p):
        x, y = jnp.where(mask, p["x"], 0), p["y"]
        return x @ (x + y) - y @ y

    start = {"x": jnp.ones(5000).at[3].set(jnp.nan), "y": jnp.ones(5000)}
    solution = mm.solve(mm.Game(payoff, ROLES), start, mm.ExtraGradient(0.1))
    assert (solution.status, solution.steps) == (mm.Status.nonfinite, 0)


def test_whole_numbers_of_numpy_are_whole_numbers():
    given = {"max_steps": np.int64(60), "check_every": np.int32(20), "record": np.int8(10)}
    solution = mm.solve(XY, ones(), EG, tol=0.0, **given)
    assert solution.steps == 60 and len(solution.trace.steps) == 7


class Lazy:
    """What looks like a sequence or an array, and is neither."""

    def __len__(self):
        return 10**9

    def __getitem__(self, index):
        raise AssertionError("nobody asked for a number")

    def __array__(self, *_, **__):
        raise AssertionError("nobody asked for an array")


@pytest.mark.parametrize("setting", [1j, Lazy()], ids=["a complex number", "a lazy object"])
def test_settings_in_modules_are_let_be(setting):
    class Model(eqx.Module):
        w: jax.Array
        setting: Any

    game = mm.Game(lambda p: p["x"].w * p["y"], ROLES)
    start = {"x": Model(jnp.ones(()), setting), "y": jnp.ones(())}
    solution = mm.solve(game, start, EG, max_steps=5)
    assert solution.players["x"].setting is setting


def test_a_nonfinite_gradient_at_the_start_is_no_convergence():
    """√x at 0 has an infinite slope; the players are fine, the step is not."""
    game = mm.Game(lambda p: jnp.sqrt(jnp.abs(p["x"])) * p["y"], ROLES)
    solution = mm.solve(game, {"x": 0.0, "y": 1.0}, mm.ExtraGradient(0.1))
    assert solution.status in (mm.Status.nonfinite, mm.Status.max_steps, mm.Status.diverged)
    assert not solution.success


@pytest.mark.parametrize("tol", [0.0, 1e-30, 1e-12, 1e-3, 10.0])
@pytest.mark.parametrize("eta", [0.1, 0.9, 1.5])
def test_never_converged_above_the_tolerance(tol, eta):
    """converged <=> residual <= tol, at any step size."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(eta), tol=tol, max_steps=500)
    assert solution.success == bool(solution.residual <= tol)


def test_a_run_that_has_not_begun_to_converge_is_not_called_converged():
    """A float32 residual must not round to zero where players are large: ‖F‖ = 0.02 here."""
    game = mm.Game(lambda p: 0.5e-3 * (p - 1e6) ** 2, "min")
    start = jnp.asarray(1e6 + 20, "float32")
    solution = mm.solve(game, start, mm.GradientDescentAscent(0.1), max_steps=10)
    assert not (solution.success and abs(float(game.operator(solution.players))) > 1e-3), solution


@pytest.mark.parametrize(
    "dtype, expected", [("float64", 1e-8), ("float32", 1e-5), ("bfloat16", 1e-2), ("float16", 1e-2)]
)
def test_the_tolerance_goes_with_the_dtype(dtype, expected):
    """The coarsest dtype among the players counts; every dtype named has its default and runs."""
    solution = mm.solve(XY, ones(dtype), mm.ExtraGradient(0.5))
    assert float(solution.tol) == pytest.approx(expected, rel=1e-6)
    assert solution.success and all(z.dtype == dtype for z in solution.players.values())


def test_the_coarsest_dtype_counts():
    """A float32 player beside a float64 player."""
    mixed = {"x": jnp.ones((), "float32"), "y": jnp.ones((), "float64")}
    solution = mm.solve(XY, mixed, mm.ExtraGradient(0.5), record=1)
    assert float(solution.tol) == pytest.approx(1e-5, rel=1e-6)
    assert {k: z.dtype for k, z in solution.players.items()} == {"x": "float32", "y": "float64"}


# What it keeps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record, max_steps, expected",
    [
        (1, 3, [0, 1, 2, 3]),
        (10, 30, [0, 10, 20, 30]),
        (10, 35, [0, 10, 20, 30, 35]),
        (7, 20, [0, 7, 14, 20]),
        (50, 20, [0, 20]),
        (100, 230, [0, 100, 200, 230]),
        (5, 0, [0]),
    ],
)
def test_record_keeps_every_kth_iterate_and_the_last(record, max_steps, expected):
    """Each row holds the iterate, its value, its residual and the evaluations up to it."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.1), max_steps=max_steps, record=record)
    trace = solution.trace
    assert trace.steps.tolist() == expected
    assert trace.evaluations.tolist() == [2 * k for k in expected]
    zeta = (1 + 1j) * (1 - 0.01 + 0.1j) ** np.array(expected)
    np.testing.assert_allclose(trace.players["x"], zeta.real, atol=1e-13)
    np.testing.assert_allclose(trace.players["y"], zeta.imag, atol=1e-13)
    np.testing.assert_allclose(trace.residual, np.abs(zeta), rtol=1e-12)
    np.testing.assert_allclose(trace.value, zeta.real * zeta.imag, atol=1e-13)
    assert trace.residual[-1] == solution.residual and trace.value[-1] == solution.value


def test_recording_does_not_change_the_run():
    """Same bits with and without a trace, however often one looks."""
    options = dict(max_steps=60, tol=0.0)
    plain = mm.solve(XY, ones(), mm.ExtraGradient(0.1), **options)
    assert plain.trace is None
    for extra in (dict(record=1), dict(record=20), dict(check_every=7)):
        solution = mm.solve(XY, ones(), mm.ExtraGradient(0.1), **options, **extra)
        assert solution.players == plain.players


def test_a_trace_ends_where_the_run_did():
    """On the host without empty rows; the last row is the solution, also where the run ends early
    or badly."""
    for game, eta in ((XY, 0.5), (rotation(edge=3.0), 1.2)):
        solution = mm.solve(game, ones(), mm.ExtraGradient(eta), record=10)
        assert solution.steps < 10_000 and solution.trace.steps[-1] == solution.steps
        assert len(solution.trace.steps) == -(-int(solution.steps) // 10) + 1
        assert jax.tree.map(lambda column: column[-1], solution.trace.players) == solution.players


def test_a_trace_as_columns():
    """`to_dict` names every column; players and payoffs by their place in the pytree."""
    game = mm.Game(lambda p: {"x": p["x"][0] * p["y"], "y": p["x"][0] * p["y"]}, ROLES)
    players = {"x": [1.0], "y": 1.0}
    columns = mm.solve(game, players, mm.ExtraGradient(0.1), record=1, max_steps=3).trace.to_dict()
    names = ["step", "evaluations", "value['x']", "value['y']"]
    names += ["players['x'][0]", "players['y']", "residual"]
    assert list(columns) == names
    assert all(type(column) is np.ndarray and len(column) == 4 for column in columns.values())


def test_going_on_counts_all_steps_and_keeps_the_moments():
    """With `state=`, Adam goes on where it stood; the trace goes on from that step."""
    solver = mm.ExtraGradient(optax.adam(0.05, b1=0.5))
    whole = mm.solve(XY, ones(), solver, max_steps=60, tol=0.0, record=10)
    first = mm.solve(XY, ones(), solver, max_steps=20, tol=0.0)
    second = mm.solve(
        XY, first.players, solver, max_steps=40, tol=0.0, record=10, state=first.state
    )
    assert second.players == whole.players
    assert (second.steps, second.evaluations) == (60, 120)
    assert second.trace.steps.tolist() == [20, 30, 40, 50, 60]
    np.testing.assert_array_equal(second.trace.residual, whole.trace.residual[2:])


def test_a_large_trace_is_warned_of():
    """Before memory is allocated; by rows and bytes."""
    game = mm.Game(lambda p: jnp.sum(p["x"]) * p["y"], ROLES)
    players = {"x": jnp.ones(100_000), "y": 1.0}
    with pytest.warns(UserWarning, match=r"rows of 800008 bytes, 1\.5 GiB .* raise record"):
        with pytest.raises(Exception, match="stop here"):
            mm.solve(game, players, Stopping(), record=5)


class Stopping(mm.AbstractSolver):
    """Refuses to begin."""

    def init(self, game, players, data=None):
        raise RuntimeError("stop here")

    def step(self, game, players, state, data=None):
        return players, state

    def evaluations(self, steps, state):
        return steps


# Batches ------------------------------------------------------------------------------------------


def test_a_batch_over_games_starts_and_step_sizes():
    """Each member is a solve of its own: same status, steps and players."""
    a, eta = jnp.array([1.0, 0.5, 2.0]), jnp.array([0.5, 0.4, 0.3])
    starts = {"x": jnp.array([1.0, 2.0, 3.0]), "y": jnp.array([0.0, -1.0, 1.0])}

    def run(a, eta, start):
        return mm.solve(Rotation(a, jnp.inf + 0 * a), start, mm.ExtraGradient(eta))

    batch = jax.vmap(run)(a, eta, starts)
    assert batch.status.shape == (3,) and bool(jnp.all(batch.success))
    for i in range(3):
        alone = run(a[i], eta[i], jax.tree.map(lambda z, i=i: z[i], starts))
        assert batch[i].status == alone.status and int(batch[i].steps) == int(alone.steps)
        for name in "xy":
            np.testing.assert_allclose(batch[i].players[name], alone.players[name], rtol=1e-9)


def test_bad_members_of_a_batch_leave_the_others_untouched():
    """One diverges, one turns into NaN, one runs out of steps, one converges: the last two are
    bitwise what they are without the others, and each has its own status."""
    cases = {
        # a, edge, what becomes of it with η = 0.7
        "converged": (1.0, np.inf),
        "diverged": (4.0, np.inf),
        "nonfinite": (4.0, 50.0),
        "max_steps": (0.01, np.inf),
    }
    a, edge = map(jnp.asarray, zip(*cases.values(), strict=True))
    start = {"x": jnp.asarray(0.0), "y": jnp.asarray(1.0)}

    def run(a, edge):
        solver = mm.ExtraGradient(0.7)
        return mm.solve(Rotation(a, edge), start, solver, max_steps=1000, record=100)

    batch = jax.vmap(run)(a, edge)
    for i, name in enumerate(cases):
        assert batch[i].status == mm.Status[name]
        assert all(bool(jnp.isfinite(z)) for z in batch[i].players.values())
        assert batch[i].success == (name == "converged")
    for i in (0, 3):
        pair = jax.vmap(run)(a[jnp.array([i, i])], edge[jnp.array([i, i])])[0]
        for ours, theirs in zip(*map(jax.tree.leaves, (batch[i], pair)), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert int(batch[0].trace.steps[-1]) == int(batch[0].steps) < 1000
    assert "1 converged, 1 max_steps, 1 diverged, 1 nonfinite" in repr(batch)
    assert re.search(r"\n  steps        \d+ to 1000\n  failed       1, 2, 3$", repr(batch)), batch
    assert "1 converged" in batch.message
    with pytest.raises(RuntimeError, match="1 diverged"):
        batch.raise_if_failed()


def test_a_solve_inside_jit_is_a_solve():
    """Statuses are integers there, comparable with `Status`."""

    @jax.jit
    def run(z):
        solution = mm.solve(XY, {"x": z, "y": z}, mm.ExtraGradient(0.5))
        assert "traced" in repr(solution)
        return solution.players, solution.status == mm.Status.converged, solution.success

    players, converged, success = run(jnp.ones(()))
    assert bool(converged) and bool(success)
    assert players == mm.solve(XY, ones(), mm.ExtraGradient(0.5)).players


def test_a_batch_has_members_and_a_single_solution_has_none():
    """`sol[i]` for batches only."""
    with pytest.raises(TypeError, match="only a batch"):
        mm.solve(XY, ones(), mm.ExtraGradient(0.5))[0]


# New numbers, one trace ---------------------------------------------------------------------------


def test_new_numbers_do_not_trace_again():
    """In data, in a game's fields and constraints, in players, step sizes and tolerances; whether
    JAX arrays or NumPy arrays, and outside data and games Python numbers."""
    traces = []

    class Scaled(mm.AbstractGame):
        factor: jax.Array
        box: mm.Box
        roles = ("min", "max")

        @property
        def constraints(self):
            return self.box

        def payoff(self, players, data=None):
            traces.append(None)
            return self.factor * players[0] * players[1] * data

    def count(*, factor=1.0, bound=1.0, start=1.0, step=0.5, data=1.0, tol=1e-3, array=jnp.asarray):
        before = len(traces)
        mm.solve(
            Scaled(array(factor), mm.Box(-bound, bound)),
            (start, 1.0),
            mm.ExtraGradient(step),
            data=array(data),
            tol=tol,
            max_steps=3,
        )
        return len(traces) - before

    count()
    assert count(start=0.5) == 0, "players"
    assert count(step=0.25) == 0, "step size"
    assert count(bound=0.5) == 0, "constraint"
    assert count(tol=1e-4) == 0, "tolerance"
    assert count(tol=np.float64(1e-4)) == 0, "tolerance as a NumPy number"
    assert count(factor=2.0) == 0, "a field of the game"
    assert count(data=2.0) == 0, "data"
    count(array=np.asarray)
    assert count(factor=2.0, data=3.0, array=np.asarray) == 0, "NumPy arrays"


# What a solution says -----------------------------------------------------------------------------


def test_a_solution_says_how_it_went():
    """Headline, residual against tolerance, value, counts; advice only where it failed."""
    good = mm.solve(XY, ones(), mm.ExtraGradient(0.5))
    assert re.fullmatch(
        r"Solution: converged after \d+ steps of ExtraGradient\n"
        r"  residual     \S+ <= 1e-08 \(NaturalResidual\)\n"
        r"  value        \S+\n"
        r"  steps        \d+\n"
        r"  evaluations  \d+",
        repr(good),
    )
    assert good.message == mm.Status.converged.message and good.raise_if_failed() is good
    assert str(good.status) == f"{good.status}" == "converged" == good.status != "max_steps"
    assert good.status == 0 == hash(mm.Status.converged) and good.status != mm.Status.diverged
    bad = mm.solve(XY, ones(), mm.ExtraGradient(0.5), max_steps=3)
    assert "> 1e-08" in repr(bad) and "advice       The steps ran out" in repr(bad)
    with pytest.raises(RuntimeError, match="ExtraGradient: The steps ran out"):
        bad.raise_if_failed()


def test_a_solution_in_a_notebook():
    """The same facts as a table, escaped."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.5), max_steps=3)
    page = solution._repr_html_()
    assert page.startswith("<b>max_steps after 3 steps of ExtraGradient</b><table>")
    assert "&gt; 1e-08" in page and html.escape(solution.message) in page
    batch = jax.vmap(lambda x: mm.solve(XY, {"x": x, "y": x}, mm.ExtraGradient(0.5)))(jnp.ones(2))
    assert "batch of 2 (2 converged) by ExtraGradient" in batch._repr_html_()


def test_every_status_gives_advice():
    """A sentence on what happened and one on what to do."""
    for status in mm.Status:
        assert status.message.endswith(".") and len(status.message) > 30
        if status is not mm.Status.converged:
            assert re.search(r"(?i)lower|raise|default|look|go on", status.message)


def test_a_general_sum_value_is_shown_per_player():
    """`value` has one entry per payoff."""
    game = mm.Game(lambda p: {"x": p["x"] ** 2, "y": -(p["y"] ** 2)}, ROLES)
    solution = mm.solve(game, ones(), mm.ExtraGradient(0.2))
    assert re.search(r"value        \['x'\] \S+, \['y'\] -\S+", repr(solution))


def test_wrappers_are_named_with_what_they_wrap():
    """`Averaged(ExtraGradient)`."""
    solution = mm.solve(XY, ones(), mm.Averaged(mm.ExtraGradient(0.5)), max_steps=3)
    assert solution.solver == "Averaged(ExtraGradient)"


# Mistakes -----------------------------------------------------------------------------------------

PAYOFF = XY.function
EG = mm.ExtraGradient(0.1)


def game_with(payoff=PAYOFF, roles=ROLES, constraints=None):
    return mm.Game(payoff, roles, constraints)


@dataclasses.dataclass
class Unhashable:
    """A dataclass that may change has no hash."""

    scale: float = 1.0

    def __call__(self, players):
        return self.scale * players["x"] * players["y"]


MISTAKES = {
    # What the user did, and what the message must say: the place, what came, what to do.
    "game is a function": (
        lambda: mm.solve(PAYOFF, ones(), EG),
        r"game is <function.*mm\.Game\(payoff, roles=",
    ),
    "game is a class": (lambda: mm.solve(mm.Game, ones(), EG), r"expected an instance"),
    "unknown role": (
        lambda: mm.solve(game_with(roles={"x": "min", "y": "maximise"}), ones(), EG),
        r"roles\['y'\] is 'maximise'.*\"min\".*\"max\"",
    ),
    "role is None": (
        lambda: mm.solve(game_with(roles={"x": "min", "y": None}), ones(), EG),
        r"roles\['y'\] is None",
    ),
    "role is a number": (
        lambda: mm.solve(game_with(roles={"x": 1, "y": -1}), ones(), EG),
        r"roles\['x'\] is 1",
    ),
    "no roles": (
        lambda: mm.solve(game_with(roles=()), ones(), EG),
        r"roles are empty.*every player",
    ),
    "role of nobody": (
        lambda: mm.solve(game_with(roles={"x": "min", "z": "max"}), ones(), EG),
        r"roles\['z'\] fits no player.*\['x'\], \['y'\]",
    ),
    "player without role": (
        lambda: mm.solve(game_with(roles={"x": "min"}), ones(), EG),
        r"roles says nothing about players\['y'\]: give every player",
    ),
    "roles as a tuple, players as a dict": (
        lambda: mm.solve(mm.Game(PAYOFF), ones(), EG),
        r"roles\[0\] fits no player.*\['x'\], \['y'\]",
    ),
    "deep role of nobody": (
        lambda: mm.solve(game_with(roles={"x": {"w": "min"}, "y": "max"}), ones(), EG),
        r"roles\['x'\]\['w'\] fits no player",
    ),
    "constraint of nobody": (
        lambda: mm.solve(game_with(constraints={"x": None, "z": None}), ones(), EG),
        r"constraints\['z'\] fits no player",
    ),
    "player without constraint": (
        lambda: mm.solve(game_with(constraints={"x": mm.Box(0.0, 1.0)}), ones(), EG),
        r"constraints says nothing about players\['y'\].*None leaves it free",
    ),
    "constraint is a string": (
        lambda: mm.solve(game_with(constraints={"x": "simplex", "y": None}), ones(), EG),
        r"constraints\['x'\] is 'simplex'.*mm\.Simplex\(\)",
    ),
    "constraint is a class": (
        lambda: mm.solve(game_with(constraints={"x": mm.Simplex, "y": None}), ones(), EG),
        r"constraints\['x'\] is <class.*mm\.Simplex\(\)",
    ),
    "constraint is a pair": (
        lambda: mm.solve(game_with(constraints={"x": (0.0, 1.0), "y": None}), ones(), EG),
        r"constraints\['x'\]\[0\] is 0\.0.*mm\.Box",
    ),
    "box of another shape": (
        lambda: mm.solve(
            mm.Game(
                lambda p: jnp.sum(p["x"]) * p["y"],
                ROLES,
                {"x": mm.Box(jnp.zeros(3), 1.0), "y": None},
            ),
            {"x": jnp.ones(2), "y": 1.0},
            EG,
        ),
        r"Box.* does not fit players\['x'\] of shape \(2,\)",
    ),
    "box of a larger shape": (
        lambda: mm.solve(
            game_with(constraints={"x": mm.Box(jnp.zeros(3), 1.0), "y": None}), ones(), EG
        ),
        r"Box.* does not fit players\['x'\].*shape \(\).*\(3,\)",
    ),
    "axis that is not there": (
        lambda: mm.solve(
            mm.Game(
                lambda p: jnp.sum(p["x"]) * p["y"], ROLES, {"x": mm.Simplex(axis=2), "y": None}
            ),
            {"x": jnp.ones(2), "y": 1.0},
            EG,
        ),
        r"Simplex\(.*axis=2\) does not fit players\['x'\] of shape \(2,\)",
    ),
    "simplex of no entries": (
        lambda: mm.solve(
            mm.Game(lambda p: jnp.sum(p["x"]) * p["y"], ROLES, {"x": mm.Simplex(), "y": None}),
            {"x": jnp.ones(0), "y": 1.0},
            EG,
        ),
        r"Simplex.* does not fit players\['x'\] of shape \(0,\)",
    ),
    "integer player": (
        lambda: mm.solve(XY, {"x": 1, "y": 1.0}, EG),
        r"players\['x'\] has dtype int.*floating.*jnp\.asarray",
    ),
    "integer array": (
        lambda: mm.solve(XY, {"x": jnp.arange(2), "y": 1.0}, EG),
        r"players\['x'\] has dtype int",
    ),
    "boolean player": (
        lambda: mm.solve(XY, {"x": True, "y": 1.0}, EG),
        r"players\['x'\] has dtype bool",
    ),
    "complex player": (
        lambda: mm.solve(XY, {"x": 1j, "y": 1.0}, EG),
        r"players\['x'\] has dtype complex",
    ),
    "complex array in a module": (
        lambda: mm.solve(
            XY, {"x": eqx.nn.Linear(1, 1, dtype=complex, key=jax.random.key(0)), "y": 1.0}, EG
        ),
        r"players\['x'\]\.weight has dtype complex.*two real arrays.*mm\.freeze",
    ),
    "no players": (lambda: mm.solve(XY, {}, EG), r"players hold no floating-point array"),
    "players without numbers": (
        lambda: mm.solve(XY, {"x": None, "y": jnp.tanh}, EG),
        r"players hold no floating-point array",
    ),
    "payoff is a vector": (
        lambda: mm.solve(game_with(lambda p: p["x"] * jnp.ones(3)), ones(), EG),
        r"payoff has shape \(3,\).*scalar.*Sum or average",
    ),
    "payoff is an integer": (
        lambda: mm.solve(game_with(lambda p: 1), ones(), EG),
        r"payoff has shape \(\) and dtype int.*floating-point",
    ),
    "payoff is nothing": (
        lambda: mm.solve(game_with(lambda p: None), ones(), EG),
        r"payoff returned None.*return missing",
    ),
    "payoff is text": (
        lambda: mm.solve(game_with(lambda p: "high"), ones(), EG),
        r"payoff is 'high': expected a scalar",
    ),
    "one payoff is a vector": (
        lambda: mm.solve(game_with(lambda p: {"x": p["x"], "y": p["y"] * jnp.ones(2)}), ones(), EG),
        r"payoff\['y'\] has shape \(2,\)",
    ),
    "payoff of nobody": (
        lambda: mm.solve(game_with(lambda p: {"x": p["x"], "z": p["y"]}), ones(), EG),
        r"payoff\['z'\] fits no player",
    ),
    "player without payoff": (
        lambda: mm.solve(game_with(lambda p: {"x": p["x"]}), ones(), EG),
        r"payoff says nothing about players\['y'\]",
    ),
    "payoff raises": (
        lambda: mm.solve(game_with(lambda p: p["z"]), ones(), EG),
        r"the payoff raised KeyError: 'z' \(it was called with players .*'x'.*'y'",
    ),
    "payoff takes no data": (
        lambda: mm.solve(XY, ones(), EG, data=jnp.ones(3)),
        r"the payoff raised TypeError.*as its second\..*data f64\[3\]",
    ),
    "payoff of something long": (
        lambda: mm.solve(game_with(lambda p: p["z"]), {"x": (1.0,) * 999, "y": 1.0}, EG),
        r"the payoff raised KeyError: 'z' \(it was called with players .{290,300}\.\.\.\)$",
    ),
    "data is a function": (
        lambda: mm.solve(game_with(lambda p, d: p["x"] * d), ones(), EG, data=lambda: iter([1.0])),
        r"the payoff raised TypeError.*drawn by mm\.Sampler",
    ),
    "no role for a player of many arrays": (
        lambda: mm.solve(
            mm.Game(lambda p: 0.0, {"x": "min"}), {"x": 1.0, "y": {"a": {"b": 1.0}, "c": 2.0}}, EG
        ),
        r"roles says nothing about players\['y'\]: give",
    ),
    "payoff wants data": (
        lambda: mm.solve(game_with(lambda p, data: p["x"] * data), ones(), EG),
        r"the payoff raised TypeError.*data",
    ),
    "shapes that do not multiply": (
        lambda: mm.solve(
            game_with(lambda p: p["x"] @ p["y"]), {"x": jnp.ones(2), "y": jnp.ones(3)}, EG
        ),
        r"the payoff raised .*\(it was called with players .*f64\[2\].*f64\[3\]",
    ),
    "solver is a class": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient),
        r"solver is <class.*an instance and not the class",
    ),
    "solver is a step size": (
        lambda: mm.solve(XY, ones(), 0.1),
        r"solver is 0\.1: expected a solver such as mm\.ExtraGradient\(0\.1\)",
    ),
    "solver is an optax transformation": (
        lambda: mm.solve(XY, ones(), optax.sgd(0.1)),
        r"solver is .*expected a solver such as mm\.\w+\(",
    ),
    "metric is a class": (
        lambda: mm.solve(XY, ones(), EG, metric=mm.NaturalResidual),
        r"metric is <class.*mm\.NaturalResidual\(\)",
    ),
    "metric is a function": (
        lambda: mm.solve(XY, ones(), EG, metric=lambda game, players: 0.0),
        r"metric is <function.*mm\.NaturalResidual\(\)",
    ),
    "negative tolerance": (lambda: mm.solve(XY, ones(), EG, tol=-1.0), r"tol is -1\.0.*>= 0"),
    "tolerance is NaN": (lambda: mm.solve(XY, ones(), EG, tol=float("nan")), r"tol is nan.*>= 0"),
    "tolerances": (lambda: mm.solve(XY, ones(), EG, tol=[1e-3]), r"tol is \[0\.001\].*one number"),
    "tolerance is text": (lambda: mm.solve(XY, ones(), EG, tol="1e-3"), r"tol is '1e-3'.*number"),
    "negative steps": (
        lambda: mm.solve(XY, ones(), EG, max_steps=-1),
        r"max_steps is -1: expected a whole number >= 0",
    ),
    "one optimizer for a role": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient({"min": {"x": 0.1, "y": 0.1}, "max": 0.1})),
        r"optimizer\['min'\] holds several: expected one",
    ),
    "half a step": (
        lambda: mm.solve(XY, ones(), EG, max_steps=1e4),
        r"max_steps is 10000\.0: expected a whole number",
    ),
    "record nothing": (
        lambda: mm.solve(XY, ones(), EG, record=0),
        r"record is 0: expected a whole number >= 1",
    ),
    "record yes": (
        lambda: mm.solve(XY, ones(), EG, record=True),
        r"record is True: expected a whole number >= 1",
    ),
    "more steps than can be counted": (
        lambda: mm.solve(XY, ones(), EG, max_steps=2**62),
        r"max_steps is 4611686018427387904: expected at most 2305843009213693951.*64 bits",
    ),
    "check never": (
        lambda: mm.solve(XY, ones(), EG, check_every=0),
        r"check_every is 0: expected a whole number >= 1",
    ),
    "state of another solver": (
        lambda: mm.solve(
            XY, ones(), EG, state=mm.solve(XY, ones(), mm.OptimisticGradient(0.1)).state
        ),
        r"state ",
    ),
    "state is a solution": (
        lambda: mm.solve(XY, ones(), EG, state=mm.solve(XY, ones(), EG, max_steps=1)),
        r"state .*\.state",
    ),
    "optimizer is text": (
        lambda: mm.ExtraGradient("adam"),
        r"optimizer is 'adam': expected a step size, a schedule or an optax transformation",
    ),
    "optimizer is None": (
        lambda: mm.ExtraGradient({"x": 0.1, "y": None}),
        r"optimizer\['y'\] is None: expected a step size",
    ),
    "optimizer of nobody": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient({"x": 0.1, "z": 0.1})),
        r"optimizer\['z'\] fits no player",
    ),
    "player without optimizer": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient({"x": 0.1})),
        r"optimizer says nothing about players\['y'\]",
    ),
    "role without optimizer": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient({"min": 0.1})),
        r"optimizer.*max",
    ),
    "step sizes as an array": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient(jnp.array([0.1, 0.2]))),
        r"optimizer .*shape \(2,\)",
    ),
    "negative step size": (
        lambda: mm.ExtraGradient({"x": 0.1, "y": -0.1}),
        r"optimizer\['y'\] is -0\.1: expected a step size >= 0.*\"max\" ascends by itself",
    ),
    "step size is NaN": (
        lambda: mm.OptimisticGradient(float("nan")),
        r"optimizer is nan: expected a step size >= 0",
    ),
    "negative power": (
        lambda: mm.Averaged(EG, power=-1.0),
        r"finite power >= 0; it got -1",
    ),
    "contraction of one": (
        lambda: mm.AdaptiveExtraGradient(contraction=1.0),
        r"contraction .* is 1\.0: expected a number between 0 and 1",
    ),
    "no patience": (
        lambda: mm.AdaptiveExtraGradient(patience=0),
        r"patience is 0: expected a whole number >= 1",
    ),
    "roles left out, players as a dict": (
        lambda: mm.solve(mm.Game(PAYOFF), ones(), EG),
        r"roles\[0\] fits no player.*Give roles=\{'x': \.\.\., 'y': \.\.\.\}",
    ),
    "payoff with one argument per player": (
        lambda: mm.solve(mm.Game(lambda x, y: x * y), (1.0, 1.0), EG),
        r"missing 1 required positional argument.*A payoff takes all players as its first argument",
    ),
    "optax optimizer as a solver": (
        lambda: mm.solve(XY, ones(), optax.adam(1e-3)),
        r"solver is .*goes inside: mm\.ExtraGradient\(optimizer\)",
    ),
    "players as two arguments": (
        lambda: mm.solve(XY, jnp.ones(2), jnp.ones(2)),
        r"solver is .*one pytree: mm\.solve\(game, \(x, y\)\)",
    ),
    "one probability in a simplex": (
        lambda: mm.solve(game_with(constraints=mm.Simplex()), ones(), EG),
        r"does not fit players\['x'\] of shape \(\).*take Box\(0\.0, 1\.0\)",
    ),
    "a payoff without a hash": (
        lambda: mm.solve(game_with(Unhashable()), ones(), EG),
        r"Unhashable.*neither an array nor hashable.*frozen=True",
    ),
    "one array instead of players": (
        lambda: mm.solve(mm.Game(jnp.sum), jnp.ones(2), EG),
        r"roles does not fit.*\[0\], \[1\], and the players are one array.*tuple \(x, y\)",
    ),
    "lists instead of arrays": (
        lambda: mm.solve(mm.Game(lambda p: jnp.dot(*p)), ([1.0, 2.0], [3.0, 4.0]), EG),
        r"A list is a pytree of its entries.*jnp\.asarray",
    ),
    "numpy in a payoff": (
        lambda: mm.solve(mm.Game(lambda p: np.dot(*p)), (jnp.ones(2), jnp.ones(2)), EG),
        r"TracerArrayConversionError.*jax\.numpy instead of numpy",
    ),
    "if in a payoff": (
        lambda: mm.solve(mm.Game(lambda p: p[0] if p[0] > p[1] else p[1]), (1.0, 2.0), EG),
        r"jnp\.where instead of if",
    ),
    "a gap of free players": (
        lambda: mm.solve(XY, ones(), EG, metric=mm.DualityGap()),
        r"players\['x'\] is free.*mm\.Box",
    ),
    "a time limit that is no number": (
        lambda: mm.solve(XY, ones(), EG, time_limit="60"),
        r"time_limit is '60': expected seconds",
    ),
    "optax class instead of call": (
        lambda: mm.solve(XY, ones(), mm.ExtraGradient(optax.adam)),
        r"optimizer .*adam",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_place_and_its_remedy(mistake, as_users_run_it):
    """One `GameError` each, before anything compiles; nothing else is raised or warned."""
    make, message = MISTAKES[mistake]
    with pytest.raises(mm.GameError) as raised:
        make()
    text = str(raised.value)
    assert re.search(message, text, re.DOTALL), text
    assert "\n" not in text and len(text) < 500, "one readable line"


class Own(mm.AbstractSolver):
    """A solver of a user's own, and right; below are wrong ones."""

    def init(self, game, players, data=None):
        return {"k": jnp.asarray(0)}

    def step(self, game, players, state, data=None):
        F = game.operator(players, data)
        return game.prox_step(players, F, 0.1), {"k": state["k"] + 1}

    def evaluations(self, steps, state):
        return steps


Wrong: Any = Own  # whose signatures are not Own's


class WithoutAStateArgument(Wrong):
    def step(self, game, players, data=None):
        return game.prox_step(players, game.operator(players, data), 0.1)


class WithoutData(Wrong):
    def init(self, game, players):
        return {"k": jnp.asarray(0)}


class WithAnotherOrder(Wrong):
    def evaluations(self, steps):
        return steps


class OnlyPlayers(Wrong):
    def step(self, game, players, state, data=None):
        return game.prox_step(players, game.operator(players, data), 0.1)


class Nothing(Wrong):
    def step(self, game, players, state, data=None):
        game.operator(players, data)


class NoState(Wrong):
    def init(self, game, players, data=None):
        return None


class AnotherState(Wrong):
    def step(self, game, players, state, data=None):
        return players, {"k": state["k"] + 1, "F": game.operator(players, data)}


class PythonNumbers(Wrong):
    def init(self, game, players, data=None):
        return {"k": 0}


class ArraysForNumbers(PythonNumbers):
    def step(self, game, players, state, data=None):
        return players, {"k": state["k"] + jnp.asarray(1)}


class AnotherShape(Wrong):
    def step(self, game, players, state, data=None):
        return jax.tree.map(lambda x: x[None], players), state


class AnotherDtype(Wrong):
    def step(self, game, players, state, data=None):
        return players, {"k": state["k"] + 0.5}


class Branching(Wrong):
    def step(self, game, players, state, data=None):
        return (players, state) if state["k"] > 3 else (players, state)


class BrokenInit(Wrong):
    def init(self, game, players, data=None):
        return {"k": players["z"]}


class HalfEvaluations(Wrong):
    def evaluations(self, steps, state):
        return steps * 1.5


class OnePlayer(Wrong):
    def output(self, players, state):
        return players["x"]


class AListOfStats(Wrong):
    def stats(self, state):
        return [state["k"]]


class OwnMetric(mm.AbstractMetric):
    def __call__(self, game, players, data=None):
        return mm.NaturalResidual()(game, players, data)


WrongMetric: Any = OwnMetric


class WithoutAGame(WrongMetric):
    def __call__(self, players):
        return players["x"]


class AVector(WrongMetric):
    def __call__(self, game, players, data=None):
        return jnp.stack(jax.tree.leaves(game.operator(players, data)))


class AWholeNumber(WrongMetric):
    def __call__(self, game, players, data=None):
        return jnp.asarray(3)


class NoNumber(WrongMetric):
    def __call__(self, game, players, data=None):
        mm.NaturalResidual()(game, players, data)


class OnANumPyArray(WrongMetric):
    def __call__(self, game, players, data=None):
        return np.linalg.norm(np.asarray(players["x"]))


PAIR = r"A step returns the pair \(next players, next state\)\."
OWN = {
    WithoutAStateArgument: r"\.step takes \(game, players, data=None\): expected \(game, players, "
    r"state, data=None\)",
    WithoutData: r"\.init takes \(game, players\): expected \(game, players, data=None\)",
    WithAnotherOrder: r"\.evaluations takes \(steps\): expected \(steps, state\)",
    OnlyPlayers: r"\.step returned \{'x': f64\[\], 'y': f64\[\]\}: expected the pair "
    r"\(next players, next state\)",
    Nothing: r"\.step returned None: expected the pair \(next players, next state\)",
    NoState: r"\.step raised TypeError: 'NoneType' .*and the state None, which init returned",
    AnotherState: r"\.step returned the state \{'F': .*: expected \{'k': \w*i64\[\]\}, as init .*"
    + PAIR,
    PythonNumbers: r"\.step returned the state \{'k': 1\}; make its numbers arrays, such as "
    r"jnp\.asarray\(0\): expected \{'k': 0\}",
    ArraysForNumbers: r"the state \{'k': \w*i64\[\]\}; make its numbers arrays",
    AnotherShape: r"\.step returned players\['x'\] as f64\[1\]: expected f64\[\], as it was given",
    AnotherDtype: r"\.step returned state\['k'\] as \w*f64\[\]: expected \w*i64\[\], as init",
    Branching: r"\.step raised TracerBoolConversionError: .*jnp\.where instead of if",
    BrokenInit: r"\.init raised KeyError: 'z' \(it was called with players \{'x': f64\[\]",
    HalfEvaluations: r"\.evaluations returned \w*f64\[\]: expected one whole number",
    OnePlayer: r"\.output returned the players f64\[\]: expected \{'x': f64\[\], 'y': f64\[\]\}",
    AListOfStats: r"\.stats returned \[\w*i64\[\]\]: expected a dict of numbers by name",
    WithoutAGame: r"\.__call__ takes \(players\): expected \(game, players, data=None\)",
    AVector: r" returned f64\[2\]: expected one real floating-point number, an array of shape \(\)",
    AWholeNumber: r" returned \w*i64\[\]: expected one real floating-point number",
    NoNumber: r" returned None: expected one real floating-point number",
    OnANumPyArray: r" raised TracerArrayConversionError: .*jax\.numpy instead of numpy",
}


@pytest.mark.parametrize("wrong", OWN, ids=lambda wrong: wrong.__name__)
def test_what_is_wrong_with_a_solver_or_metric_of_ones_own_is_said(wrong):
    """One `GameError` that names the class, what was expected and what came; around other solvers,
    and where a run is several calls, too."""
    if issubclass(wrong, mm.AbstractMetric):
        calls = [dict(solver=Own(), metric=wrong()), dict(solver=Own(), metric=wrong(), record=1)]
    else:
        calls = [dict(solver=wrong(), record=1), dict(solver=wrong(), callback=lambda seen: None)]
    for options in calls:
        with pytest.raises(mm.GameError) as raised:
            mm.solve(XY, ones(), max_steps=10, **options)
        text = str(raised.value)
        assert text.startswith(wrong.__name__) and re.search(OWN[wrong], text), text
        assert "\n" not in text and len(text) < 500, "one readable line"


def test_a_wrong_solver_inside_another_is_named():
    with pytest.raises(mm.GameError, match=r"^WithoutData\.init takes"):
        mm.solve(XY, ones(), mm.Averaged(WithoutData()))
    with pytest.raises(mm.GameError, match=r"^Averaged\(NoState\)\.step raised TypeError"):
        mm.solve(XY, ones(), mm.Averaged(NoState()))


def test_solvers_and_metrics_of_ones_own_that_are_right_are_taken():
    """With other names of arguments, a list for the pair, a Python number that stays the same and
    one of a metric that knows without looking."""

    class Right(Wrong):
        def init(self, problem, z, *rest):
            return {"k": jnp.asarray(0), "every": 3, "weak": jnp.asarray(1.0), "nan": np.nan}

        def evaluations(self, steps, state):
            return 7

        def step(self, problem, z, memory, batch=None, more=None):
            z, state = super().step(problem, z, memory, batch)
            return [z, {**memory, **state}]

    class Known(WrongMetric):
        def __call__(self, *args):
            return 0.5

    solution = mm.solve(XY, ones(), Right(), max_steps=7, metric=Known(), tol=0.1)
    assert solution.steps == 7 and solution.residual == 0.5 and solution.state.state["k"] == 7


def test_optimizers_that_look_at_values_are_for_best_responses():
    with pytest.raises(mm.GameError, match="mm.BestResponse alone tells optimizers of values"):
        mm.solve(XY, ones(), mm.ExtraGradient({"x": optax.lbfgs(), "y": 0.1}))


def test_check_game_says_the_same_without_solving():
    """Also where only shapes are known."""
    with pytest.raises(mm.GameError, match=r"roles\['z'\] fits no player"):
        mm.check_game(game_with(roles={"x": "min", "z": "max"}), ones())
    assert mm.check_game(XY, ones()).not_monotone is None
    with pytest.raises(mm.GameError, match="payoff has shape"):
        mm.check_game(game_with(lambda p: p["x"]), {"x": jnp.ones(3), "y": 1.0})


def test_errors_of_a_nested_place_are_named_in_full():
    """`players['x']['w'][1]`, as one would write it."""
    with pytest.raises(mm.GameError, match=r"players\['x'\]\['w'\]\[1\] has dtype int"):
        mm.solve(XY, {"x": {"w": [1.0, 2]}, "y": 1.0}, EG)
    game = mm.Game(lambda p: p.weight.sum(), "min", constraints=mm.Box(jnp.zeros(5), 1.0))
    with pytest.raises(mm.GameError, match=r"players\.weight of shape \(2, 1\)"):
        mm.solve(game, eqx.nn.Linear(1, 2, use_bias=False, key=jax.random.key(0)), EG)


@pytest.mark.parametrize("role", ["min", "max"])
def test_players_who_pull_in_one_direction_are_warned_of(role):
    """One shared payoff and one role: hardly the game that was meant."""
    game = game_with(lambda p: p["x"] ** 2 + p["y"] ** 2, roles={"x": role, "y": role})
    with pytest.warns(UserWarning, match=f'every player is "{role}" of one shared payoff'):
        mm.check_game(game, ones())
    mm.check_game(mm.Game(lambda p: p**2, role), 1.0)  # one player alone may
    mm.check_game(game_with(lambda p: {"x": p["x"], "y": p["y"]}, game.roles), ones())


def test_nothing_warns_on_ordinary_use():
    """NumPy float64 players without x64 mode are what most users have."""
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.simplefilter("error")
        players = {"x": np.array(1.0), "y": np.float64(1.0)}
        solution = mm.solve(XY, players, mm.ExtraGradient(0.5), data=None)
        assert solution.success and solution.players["x"].dtype == "float32"


# What a hostile reader found ----------------------------------------------------------------------


def test_an_average_that_overflows_is_not_finite():
    """The inner iterates jump between ±6e4 in half precision, and their differences overflow."""

    class Flip(mm.AbstractSolver):
        def init(self, game, players, data=None):
            return ()

        def step(self, game, players, state, data=None):
            return jax.tree.map(lambda z: -z, players), state

        def evaluations(self, steps, state):
            return steps

        def output(self, players, state):
            return jax.tree.map(lambda z: z * 2, players)

    game = mm.Game(lambda p: jnp.arctan(p["x"].astype("float32")) * 1e-9 - 0 * p["y"], ROLES)
    start = {"x": jnp.float16(6e4), "y": jnp.float16(1.0)}
    assert mm.solve(game, start, Flip(), max_steps=10).status == "nonfinite"


def test_where_nothing_was_ever_finite_the_start_is_told_as_it_is():
    """√0 has no derivative, but the payoff has a value, and the solver has made its evaluations."""
    game = mm.Game(lambda p: jnp.sqrt(p["x"]) * p["y"] - 1.0, ROLES)
    solution = mm.solve(game, {"x": 0.0, "y": 1.0}, record=1)
    assert solution.status == "nonfinite" and solution.steps == 0
    assert solution.value == -1.0 and solution.evaluations == 2


def test_python_floats_in_data_do_not_recompile():
    """They are arrays like all other numbers."""
    traces = []

    def payoff(players, data):
        traces.append(None)
        return data["a"] * players["x"] * players["y"]

    game = mm.Game(payoff, ROLES)
    mm.solve(game, ones(), EG, data={"a": 0.5}, max_steps=5)
    before = len(traces)
    mm.solve(game, ones(), EG, data={"a": 0.7}, max_steps=5)
    assert len(traces) == before


def test_a_gradient_outside_a_solve_is_plain_jax():
    """It sees what its payoff sees now, and may itself be compiled."""
    matrix = np.ones((2, 2))
    game = mm.Game(lambda p: p["x"] @ matrix @ p["y"], ROLES)
    z = {"x": jnp.ones(2), "y": jnp.ones(2)}
    np.testing.assert_array_equal(game.operator(z)["x"], [2.0, 2.0])
    matrix *= 10
    np.testing.assert_array_equal(game.operator(z)["x"], [20.0, 20.0])
    np.testing.assert_array_equal(jax.jit(lambda z: game.gradient(z))(z)["x"], [20.0, 20.0])


def test_a_stride_of_many_digits_is_no_work():
    """The nearest divisor is found in the square root of it."""
    solution = mm.solve(XY, ones(), mm.ExtraGradient(0.5), max_steps=20, record=10**9)
    assert solution.trace is not None
    np.testing.assert_array_equal(solution.trace.steps, [0, 20])


def test_the_status_of_a_batch_reads_as_words():
    """Elementwise."""
    batch = jax.vmap(lambda x: mm.solve(XY, {"x": x, "y": x}, EG, max_steps=50))(jnp.arange(3.0))
    np.testing.assert_array_equal(batch.status == "converged", [True, False, False])
    np.testing.assert_array_equal(batch.status == mm.Status.max_steps, [False, True, True])
    with pytest.raises(RuntimeError, match="failed 1, 2"):
        batch.raise_if_failed()


def test_tol_zero_asks_for_steps_and_gets_them():
    """The advice is not to raise what was set to zero on purpose."""
    solution = mm.solve(XY, ones(), EG, max_steps=50, tol=0.0)
    assert "advice       All steps asked for are made" in repr(solution)
