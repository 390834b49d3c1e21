"""The solver that `solve` takes where none is given."""

import jax
import jax.numpy as jnp
import numpy as np
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
    assert solution.solver == "SemismoothNewton(RestartedPDHG)"
    assert solution.reason == "the payoff is bilinear" and solution.reason in repr(solution)


@pytest.mark.parametrize(
    "extra, constraints, reason",
    [
        (lambda p: p[0] @ p[0], None, "the operator is affine"),
        (
            lambda p: 0.0,
            mm.NegativeEntropy(0.1),
            "bilinear, but a distance is not Euclidean",
        ),
        (lambda p: jnp.exp(p[1][0]), mm.Simplex(), "for any payoff"),
    ],
    ids=["own square", "another distance", "not affine"],
)
def test_all_other_games_get_adaptive_extragradient(extra, constraints, reason):
    """With Newton's method around it where the operator is affine."""
    choice = choose_solver(game(extra, constraints), (HALF, HALF))
    assert choice.reason == reason
    affine, solver = reason != "for any payoff", choice.solver
    inner = solver.solver if isinstance(solver, mm.SemismoothNewton) else solver
    assert isinstance(inner, mm.AdaptiveExtraGradient) and affine == (inner is not solver)


def test_several_payoffs_get_adaptive_extragradient():
    both = mm.Game(lambda p: (p[0] * p[1], -p[0] * p[1]), roles="min")
    assert mm.solve(both, (1.0, 1.0)).solver == "SemismoothNewton(AdaptiveExtraGradient)"


def test_large_affine_games_are_left_to_first_order_methods():
    """A Jacobian of 201 dimensions is not formed."""
    large = mm.Game(lambda p: jnp.sum(p[0]) * p[1])
    for n, kind in ((199, mm.SemismoothNewton), (200, mm.RestartedPDHG)):
        assert isinstance(choose_solver(large, (jnp.zeros(n), 0.0)).solver, kind)


def test_a_solver_that_was_given_has_no_reason():
    assert mm.solve(game(), (HALF, HALF), mm.ExtraGradient(0.1), max_steps=1).reason is None


ILL = np.geomspace(1, 1e-4, 6)


def test_ill_conditioned_affine_games_are_finished():
    """Where the first-order method alone is not done after all steps; under `vmap` as alone, and
    with the answer of a linear solve. The attempt costs one evaluation and 12 products, and what it
    found is compared with what the inner solver has: an evaluation of each."""
    with jax.enable_x64(True):
        Q = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 6, 6)))[0]
        K = jnp.asarray(Q[0] * ILL @ Q[1])
        ill = mm.Game(
            lambda p, b: (p[0] @ p[0] - p[1] @ p[1]) * 1e-5 + p[0] @ K @ p[1] + b @ (p[0] + p[1])
        )
        start, b = (np.zeros(6), np.ones(6)), jnp.asarray(np.eye(3, 6) + 1)
        assert not mm.solve(ill, start, mm.AdaptiveExtraGradient(), data=b[0]).success
        alone = [mm.solve(ill, start, data=row) for row in b]
        batch = jax.vmap(lambda row: mm.solve(ill, start, data=row))(b)
        M = np.block([[2e-5 * np.eye(6), K], [-K.T, 2e-5 * np.eye(6)]])
        for i, solution in enumerate(alone):
            assert solution.success and solution.steps <= 100, solution
            assert solution.solver == "SemismoothNewton(AdaptiveExtraGradient)"
            progress = solution.state.state
            assert progress.attempts == 1 and progress.spent == 15
            assert solution.evaluations == progress.inner.evaluations + 15
            exact = np.linalg.solve(M, np.r_[-b[i], b[i]])
            np.testing.assert_allclose(np.r_[*solution.players], exact, rtol=1e-6, atol=1e-6)
            assert batch.success[i] and batch.evaluations[i] == solution.evaluations
            np.testing.assert_allclose(
                np.r_[batch.players[0][i], batch.players[1][i]], exact, rtol=1e-6, atol=1e-6
            )
