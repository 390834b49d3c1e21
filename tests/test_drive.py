# Traces are asked for where they are looked at.
# pyright: reportOptionalMemberAccess=false
"""Runs in several compiled calls: as one call would go, until the time is up or Ctrl-C comes."""

import itertools
import math
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from minimax import _drive, _loop, _solve
from minimax._interrupt import interruptible
from minimax._source import Fixed

pytestmark = pytest.mark.usefixtures("float64")

M = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, -1.0], [1.0, 0.0, 3.0]])
GAME = mm.Game(lambda p, matrix: p["x"] @ matrix @ p["y"], {"x": "min", "y": "max"})
FOREVER = 1e9


def start():
    return {"x": jnp.array([1.0, 2.0, 3.0]), "y": jnp.array([1.0, -1.0, 1.0])}


def solve(solver=None, tol=1e-9, **options):
    solver = mm.ExtraGradient(0.1) if solver is None else solver
    return mm.solve(GAME, start(), solver, data=M, tol=tol, **options)


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


# The same run -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"record": 1},
        {"record": 70, "max_steps": 433},
        {"record": 25, "check_every": 5, "max_steps": 118},
        {"max_steps": 77},
        {"max_steps": 0, "record": 1},
        {"solver": mm.ExtraGradient(2.0), "record": 40},
        {"solver": mm.ExtraGradient(1e4), "record": 1, "check_every": 3},
        {"solver": mm.Averaged(mm.ExtraGradient(0.2)), "tol": 1e-3},
    ],
    ids=str,
)
def test_several_calls_do_what_one_does(options):
    """To the bit, here: whatever the calls, it is chunks of the same steps, and the same looks."""
    assert_equal(solve(**options, time_limit=FOREVER), solve(**options))


def test_what_happens_does_not_depend_on_how_many_looks_a_call_has():
    """A clock that stands still makes calls as long as may be; one that jumps makes one look a
    call."""
    plan = _loop.Plan.of(max_steps=330, check_every=10, record=30)
    problem = _loop.Problem(
        GAME, mm.ExtraGradient(0.01), mm.NaturalResidual(), Fixed(M), jnp.array(1e-9)
    )

    def run(clock):
        outcome = _loop.begin(problem, problem.start(start()), plan.rows)
        outcome = jax.tree.map(jnp.copy, outcome)
        return _drive.drive(problem, outcome, plan, clock=clock)

    still, jumping = run(lambda: 0.0), run(itertools.count().__next__)
    assert still.status == mm.Status.max_steps
    assert_equal(still, jumping)


def test_long_runs_are_several_calls_and_short_ones_are_one(monkeypatch):
    """And all calls of a run are the same program: it is traced once."""
    calls, traces = [], []
    advance = _drive._advance
    monkeypatch.setattr(_drive, "_advance", lambda *given: calls.append(given) or advance(*given))

    def payoff(p):
        traces.append(1)
        return p[0] @ p[1]

    def count(entries, max_steps):
        calls.clear()
        traces.clear()
        one = jnp.ones(entries)
        mm.solve(mm.Game(payoff), (one, one), mm.GradientDescentAscent(0.0), max_steps=max_steps)
        return len(calls)

    assert count(10, 10_000) == 0
    assert count(10, 1_000_000) >= 2
    one_call = len(traces)
    assert count(10, 10_000_000) >= 2
    assert len(traces) <= one_call
    assert count(4097, 10_000) >= 1


@pytest.mark.parametrize(
    ("first", "others", "options"),
    [
        (100, (0, 50, 150, 5000), {}),
        (110, (160, 10_010), {"check_every": 25}),
        (1_000_000, (2_000_000, 3_000_050), {}),
        (100, (0, 40, 200), {"time_limit": FOREVER, "check_every": 20}),
    ],
)
def test_another_number_of_steps_runs_the_same_program(first, others, options):
    """Unless the last chunk is another one, nothing is traced again."""
    traces = []

    def payoff(p):
        traces.append(1)
        return p[0] * p[1]

    game, solver = mm.Game(payoff), mm.GradientDescentAscent(0.0)

    def steps(max_steps):
        return mm.solve(game, (1.0, 1.0), solver, max_steps=max_steps, **options).steps

    assert steps(first) == first
    assert traces
    traces.clear()
    for max_steps in others:
        assert steps(max_steps) == max_steps
    assert not traces


def test_inside_jit_a_long_run_is_one_call():
    inside = jax.jit(lambda z: mm.solve(GAME, z, mm.ExtraGradient(0.1), data=M, max_steps=10**6))
    assert inside(start()).status == "converged"
    constant = jax.jit(lambda: solve(tol=1e-8, max_steps=10**6))  # nothing given is traced
    assert_equal(constant().players, solve(tol=1e-8).players)


def test_long_runs_bear_to_be_searched_for_nans():
    """No call returns one, unless the game has it."""
    with jax.debug_nans(True):
        solution = solve(max_steps=100, record=20, time_limit=FOREVER)
        assert solution.steps == 100
        with pytest.raises(mm.GameError, match="FloatingPointError: invalid value"):
            mm.solve(mm.Game(lambda p: jnp.log(-p[0]) * p[1]), (1.0, 1.0), time_limit=FOREVER)


def test_arrays_of_the_user_are_left_alone():
    """The calls write where their carry is; what was given, and what an earlier solution holds, is
    copied first."""
    players = start()
    before = jax.tree.map(np.array, players)
    first = mm.solve(GAME, players, mm.ExtraGradient(0.1), data=M, max_steps=50, time_limit=FOREVER)
    state = jax.tree.map(np.array, first.state)
    mm.solve(GAME, players, mm.ExtraGradient(0.1), data=M, state=first.state, time_limit=FOREVER)
    assert_equal(players, before)
    assert_equal(first.state, state)


# When it ends -------------------------------------------------------------------------------------


def test_when_the_time_is_up_the_next_look_is_the_last():
    """What is left to do can be done: both parts together are the whole run, to the bit."""
    part = solve(max_steps=400, time_limit=1e-9)
    assert part.status == "time_limit" and not part.success and "time_limit" in part.message
    assert part.steps == 50 and part.evaluations == 100
    rest = solve(max_steps=350, state=part.state, time_limit=FOREVER)
    assert_equal(rest.state, solve(max_steps=400).state)


def test_what_has_converged_is_not_late():
    assert solve(tol=100.0, time_limit=1e-9).status == "converged"


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan, "3", True, jnp.ones(2)], ids=str)
def test_a_time_limit_is_seconds(seconds, as_users_run_it):
    with pytest.raises(mm.GameError, match="time_limit is .*: expected seconds"):
        solve(time_limit=seconds)


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap])
def test_no_clock_runs_inside_a_transformation(transform):
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), start())
    with pytest.raises(mm.GameError, match="time_limit.*inside of jit"):
        transform(lambda z: mm.solve(GAME, z, data=M, time_limit=1.0))(batch)


def test_ctrl_c_ends_the_run_at_the_next_look():
    """It is pressed while compiled code runs, in its seventh look, and nobody sees an exception."""
    looks = itertools.count()

    class Pressing(mm.AbstractMetric):
        def __call__(self, game, players, data=None):
            def press(residual):
                if next(looks) == 7:
                    signal.raise_signal(signal.SIGINT)
                return residual

            residual = mm.NaturalResidual()(game, players, data)
            return jax.pure_callback(press, residual, residual)

    solution = solve(metric=Pressing(), tol=1e-300, max_steps=10**8, record=10**6)
    assert solution.status == "interrupted" and "Ctrl-C" in solution.message
    assert 300 <= solution.steps < 10**8
    assert solution.trace.steps[-1] == solution.steps
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    further = solve(state=solution.state, max_steps=50, tol=0.0)
    assert further.steps == solution.steps + 50


def test_the_second_ctrl_c_is_an_exception():
    with interruptible() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_has_decided_what_ctrl_c_does_is_not_overruled():
    heard = []
    previous = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        with interruptible() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert heard and not interruption.requested
    finally:
        signal.signal(signal.SIGINT, previous)


def test_other_threads_cannot_listen_and_solve_all_the_same():
    found = []
    thread = threading.Thread(target=lambda: found.append(solve(time_limit=FOREVER).status))
    thread.start()
    thread.join()
    assert found == [solve().status]


def test_short_work_is_what_small_players_do_by_default():
    """The two thresholds are one: players that are looked at apart run in one call."""
    request = _solve._Request(GAME, jnp.zeros(_loop.SMALL), None, None, Fixed(None), None, None)
    assert _solve._is_short(request, _loop.Plan.of(10_000, 50, None))
