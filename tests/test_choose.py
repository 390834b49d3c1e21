"""The solver that `solve` takes where none is given."""

import jax.numpy as jnp
import pytest

import minimax as mm
from minimax._choose import choose_solver

A = [[1.0, 2.0], [3.0, 1.0]]
HALF = jnp.array([0.5, 0.5])


def game(extra=lambda p: 0.0, constraints=None):
    return mm.Game(lambda p: p[0] @ jnp.array(A) @ p[1] + extra(p), constraints=constraints)


@pytest.mark.parametrize("constraints", [None, mm.Simplex(), (mm.L1(0.1), mm.Box(-1.0, 1.0))])
def test_bilinear_games_get_restarted_pdhg(constraints):
    solution = mm.solve(game(constraints=constraints), (HALF, HALF), max_steps=1)
    assert solution.solver == "RestartedPDHG"
    assert solution.reason == "the payoff is bilinear" and solution.reason in repr(solution)


@pytest.mark.parametrize(
    "extra, constraints",
    [
        (lambda p: p[0] @ p[0], None),
        (lambda p: 0.0, mm.NegativeEntropy(0.1)),
        (lambda p: jnp.exp(p[1][0]), mm.Simplex()),
    ],
    ids=["own square", "another distance", "not affine"],
)
def test_all_other_games_get_adaptive_extragradient(extra, constraints):
    choice = choose_solver(game(extra, constraints), (HALF, HALF))
    assert isinstance(choice.solver, mm.AdaptiveExtraGradient)


def test_several_payoffs_get_adaptive_extragradient():
    both = mm.Game(lambda p: (p[0] * p[1], -p[0] * p[1]), roles="min")
    assert mm.solve(both, (1.0, 1.0)).solver == "AdaptiveExtraGradient"


def test_a_solver_that_was_given_has_no_reason():
    assert mm.solve(game(), (HALF, HALF), mm.ExtraGradient(0.1), max_steps=1).reason is None
