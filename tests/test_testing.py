"""`minimax.testing` catches what is broken, by the law that says so: toys, each with one fault."""

import functools
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float

import minimax as mm
from minimax.testing import (
    GameCase,
    MetricCase,
    SolverCase,
    check_constraint,
    check_game_laws,
    check_metric,
    check_solver,
    game_laws,
    metric_laws,
    solver_laws,
)
from minimax.testing._solver_case import in_time


def named(laws: list[Any], name: str) -> Any:
    (law,) = (law for law in laws if law.name == name)
    return law


def assert_broken(law: Any, case: Any, match: str) -> None:
    """The law fails with its name in words, its sentence, and what was seen."""
    with pytest.raises(AssertionError) as failure:
        law(case)
    message = str(failure.value)
    assert message.startswith(f"{law.name.replace('_', ' ')}: {law.sentence}\n")
    assert match in message


# Solvers ------------------------------------------------------------------------------------------


class Descent(mm.AbstractSolver):
    """Gradient descent and ascent, which is right where the operator is strongly monotone."""

    step_size: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.3)

    def init(self, game, players, data=None):
        return {"steps": jnp.asarray(0)}

    def step(self, game, players, state, data=None):
        F = game.operator(players, data)
        return game.prox_step(players, F, self.step_size), {"steps": state["steps"] + 1}

    def evaluations(self, steps, state):
        return steps


class WithoutData(Descent):
    def step(self, game, players, state, data=None):
        return super().step(game, players, state)


class WithoutAProjection(Descent):
    def step(self, game, players, state, data=None):
        F = game.operator(players, data)
        moved = {k: players[k] - self.step_size.astype(F[k].dtype) * F[k] for k in players}
        return moved, state


class WithoutAscent(Descent):
    def step(self, game, players, state, data=None):
        return game.prox_step(players, game.gradient(players, data), self.step_size), state


class Miscounting(Descent):
    def evaluations(self, steps, state):
        return 2 * steps


class WritingIntoItsState(Descent):
    def step(self, game, players, state, data=None):
        players, after = super().step(game, players, state, data)
        state["steps"] = after["steps"]
        return players, state


class Remembering(Descent):
    seen = []

    def step(self, game, players, state, data=None):
        self.seen.append(None)
        F = game.operator(players, data)
        return game.prox_step(players, F, self.step_size / len(self.seen)), state


class Forgetting(Descent):
    """The dtype of its state."""

    def step(self, game, players, state, data=None):
        players, after = super().step(game, players, state, data)
        return players, {"steps": after["steps"].astype(float)}


class Restless(Descent):
    def step(self, game, players, state, data=None):
        players, state = super().step(game, players, state, data)
        return {k: z * (1 + 4 * jnp.finfo(z.dtype).eps) for k, z in players.items()}, state


class Tiring(Descent):
    """Its steps are 1/k, which is enough to converge, and not linearly."""

    def step(self, game, players, state, data=None):
        steps = state["steps"] + 1
        F = game.operator(players, data)
        return game.prox_step(players, F, 3.0 / (9 + steps)), {"steps": steps}


class Recompiling(Descent):
    """A number that is no array is part of the program."""

    factor: float = 1.0

    def step(self, game, players, state, data=None):
        F = game.operator(players, data)
        return game.prox_step(players, F, self.factor * self.step_size), state


BROKEN_SOLVERS = [
    (WithoutData(), "data_reaches_every_evaluation", "Not equal to tolerance"),
    (WithoutAscent(), "it_converges_where_the_operator_is_strongly_monotone", "Solution: "),
    (Miscounting(), "evaluations_are_as_many_as_are_made", "after 1 steps {'x': 1, 'y': 1} were"),
    (WritingIntoItsState(), "a_step_has_no_memory_but_its_state", "writes into its arguments"),
    (Remembering(), "a_step_has_no_memory_but_its_state", "another program"),
    (Forgetting(), "a_step_keeps_structure_shapes_and_dtypes", "float32"),
    (Restless(), "a_solution_stays_where_it_is", "Arrays are not equal"),
    (Tiring(), "a_linear_rate_is_linear", "max_steps"),
    (Recompiling(), "new_numbers_do_not_trace_again", "array"),
]


@pytest.mark.parametrize(
    "solver, name, match", BROKEN_SOLVERS, ids=[type(row[0]).__name__ for row in BROKEN_SOLVERS]
)
def test_a_broken_solver_is_caught(solver, name, match):
    """By this law; the toy without a fault obeys it."""
    law = named(solver_laws, name)
    law(SolverCase(Descent(), linear=True))
    assert_broken(law, SolverCase(solver, linear=True), match)


def test_a_case_says_what_a_solver_is_meant_for():
    """One that knows no sets is held to no law of sets, and one for two players to none of three;
    without that it fails them."""
    on_sets = named(solver_laws, "a_pure_solution_on_a_set_stays_where_it_is")
    assert_broken(on_sets, SolverCase(WithoutAProjection()), "Arrays are not equal")
    on_sets(SolverCase(WithoutAProjection(), lambda game, players: game.constraints is None))

    class ForTwo(Descent):
        def step(self, game, players, state, data=None):
            assert len(players) == 2, "two players, not more"
            return super().step(game, players, state, data)

    of_three = named(solver_laws, "three_maximisers_are_players_too")
    assert_broken(of_three, SolverCase(ForTwo()), "two players, not more")
    of_three(SolverCase(ForTwo(), lambda game, players: len(players) == 2))
    with pytest.raises(AssertionError, match="ForTwo is for the games of none of the families"):
        SolverCase(ForTwo(), lambda game, players: False).pose()
    assert not named(solver_laws, "a_linear_rate_is_linear").applies(SolverCase(Tiring()))


def test_a_solver_that_looks_for_ever_is_caught():
    """A compiled loop without an end cannot be interrupted, so it is left behind."""
    with pytest.raises(AssertionError, match="no answer after 1 seconds"):
        in_time(lambda: jax.pure_callback(_sleep, jax.ShapeDtypeStruct((), "float32")), seconds=1)


def _sleep():
    time.sleep(4)
    return jnp.float32(0)


# Games --------------------------------------------------------------------------------------------


class Saddle(mm.AbstractGame):
    curvature: Float[Array, ""]
    constraints: Any = None
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        x, y = players["x"], players["y"]
        return self.curvature / 2 * (x**2 - y**2) + x * y


class WithoutSigns(Saddle):
    def operator(self, players, data=None):
        return self.gradient(players, data)


class InSinglePrecision(Saddle):
    def payoff(self, players, data=None):
        return super().payoff(players, data).astype("float32")


class Random(Saddle):
    """Payoffs that count how often they were looked at."""

    seen = []

    def payoff(self, players, data=None):
        self.seen.append(None)
        return super().payoff(players, data) + len(self.seen)


class NearlyABox(mm.AbstractSet):
    def project(self, point):
        return jnp.clip(point, -1, 1) * jnp.asarray(0.9, point.dtype)


def saddle(kind: type = Saddle, solution: float = 0.0, constraints: Any = None) -> mm.Example:
    return mm.Example(
        kind(jnp.asarray(0.5), constraints),
        {"x": 0.3, "y": 0.2},
        {"x": jnp.asarray(solution), "y": jnp.asarray(0.0)},
        mm.ExtraGradient(0.3),
    )


BROKEN_GAMES = {
    "without signs": (
        dict(kind=WithoutSigns),
        "the_operator_is_the_signed_derivative_of_each_own_payoff",
        "for player 1 (max)",
    ),
    "random": (dict(kind=Random), "the_payoff_is_the_same_compiled", "Not equal to tolerance"),
    "another solution": (
        dict(solution=0.1),
        "the_known_solution_solves_it",
        "its natural residual is 0.1",
    ),
    "nearly a box": (
        dict(constraints=NearlyABox()),
        "projected_players_are_feasible",
        "projected again they move by",
    ),
}


@pytest.mark.parametrize("broken", BROKEN_GAMES)
def test_a_broken_game_is_caught(broken):
    """By this law; the saddle without a fault obeys it."""
    fault, name, match = BROKEN_GAMES[broken]
    law = named(game_laws, name)
    law(GameCase(saddle))
    assert_broken(law, GameCase(functools.partial(saddle, **fault)), match)


# Metrics ------------------------------------------------------------------------------------------


class Residual(mm.AbstractMetric):
    """The natural residual, written anew."""

    def __call__(self, game, players, data=None):
        back = game.natural_map(players, game.operator(players, data), 1.0)
        leaves = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(back)])
        return jnp.linalg.norm(leaves)


class OfFreePlayers(Residual):
    def __call__(self, game, players, data=None):
        free = mm.Game(game.payoff, game.roles)
        return super().__call__(free, players, data)


class Value(Residual):
    def __call__(self, game, players, data=None):
        return game.value(players, data)


class OfTheFirstPlayer(Residual):
    def __call__(self, game, players, data=None):
        back = game.natural_map(players, game.operator(players, data), 1.0)
        return jnp.linalg.norm(jax.tree.leaves(back)[0]) + 0 * super().__call__(game, players)


class DeafToData(Residual):
    def __call__(self, game, players, data=None):
        return super().__call__(game, players)


class WithALogarithm(Residual):
    def __call__(self, game, players, data=None):
        zero = sum(jnp.sum(0 * jnp.log(jnp.abs(x))) for x in jax.tree.leaves(players))
        return super().__call__(game, players, data) + zero


BROKEN_METRICS = [
    (OfFreePlayers(), "it_is_zero_at_solutions_and_positive_elsewhere", "at the solution"),
    (Value(), "it_is_zero_at_solutions_and_positive_elsewhere", "which solve nothing"),
    (OfTheFirstPlayer(), "relabelling_moves_and_swapping_roles_changes_nothing", ", not "),
    (DeafToData(), "data_is_handed_to_the_payoff", "with the data"),
    (WithALogarithm(), "it_is_a_number_wherever_players_are_feasible", "nan for payoffs of"),
]


@pytest.mark.parametrize(
    "metric, name, match", BROKEN_METRICS, ids=[type(row[0]).__name__ for row in BROKEN_METRICS]
)
def test_a_broken_metric_is_caught(metric, name, match):
    """By this law; the metric without a fault obeys it."""
    law = named(metric_laws, name)
    law(MetricCase(Residual()))
    assert_broken(law, MetricCase(metric), match)


def test_a_case_says_what_a_metric_is_meant_for():
    """One for free players is held to the laws on those; for no game at all it is none."""
    law = named(metric_laws, "it_is_zero_at_solutions_and_positive_elsewhere")
    law(MetricCase(OfFreePlayers(), lambda game, players: game.constraints is None))
    assert_broken(
        law,
        MetricCase(Residual(), lambda game, players: False),
        "Residual is for none of the games",
    )
    assert_broken(law, MetricCase(Residual(), sharpness=100.0), "at a distance of")


# In one call --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check, name",
    [
        (lambda: check_solver(Forgetting()), "a step keeps structure shapes and dtypes: "),
        (
            lambda: check_game_laws(functools.partial(saddle, InSinglePrecision)),
            "game and players fit together: ",
        ),
        (lambda: check_metric(Value()), "it is zero at solutions and positive elsewhere: "),
    ],
    ids=["solver", "game", "metric"],
)
def test_one_call_names_the_first_law_that_fails(check, name):
    with pytest.raises(AssertionError) as failure:
        check()
    assert str(failure.value).startswith(name)


@pytest.mark.parametrize(
    "check, given",
    [
        (check_constraint, mm.Simplex),
        (check_metric, mm.NaturalResidual),
        (check_solver, mm.ExtraGradient),
        (check_game_laws, mm.Game(lambda p: p[0] * p[1])),
    ],
    ids=["constraint", "metric", "solver", "game"],
)
def test_what_laws_are_not_for_is_refused(check, given, as_users_run_it):
    with pytest.raises(mm.GameError, match="expected a"):
        check(given)


def test_a_law_without_words_is_told_by_its_line():
    class Summed(mm.AbstractSet):
        def project(self, point):
            return jnp.sum(point)

    with pytest.raises(AssertionError, match=r"assert once.shape == shape|\(\) == \("):
        check_constraint(Summed(), shapes=[(3,)])
