"""Each kind of critical point, by hand; and the critical points of the literature."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.strategies import Network, flat

pytestmark = pytest.mark.usefixtures("float64")


def quadratic(a: float, b: float, c: float) -> mm.Game:
    """a x²/2 + b xy + c y²/2: J = (a, b; -b, -c)."""
    return mm.Game(lambda p: a * p[0] ** 2 / 2 + b * p[0] * p[1] + c * p[1] ** 2 / 2)


@pytest.mark.parametrize(
    "a, b, c, kind, attracts",
    [
        (1.0, 2.0, -3.0, "strict local Nash", True),
        (-1.0, 2.0, -3.0, "strict local minimax", True),  # a - b²/c = 1/3, trace 2, det 1
        (-3.0, 2.0, -1.0, "strict local minimax", False),  # a - b²/c = 1, but the trace is -2
        (3.0, 2.0, 1.0, "spurious attractor", True),  # y is at a minimum; trace 2, det 1
        (-1.0, 1.0, -3.0, "unstable", False),  # a - b²/c = -2/3, det -2
        (1.0, 1.0, 3.0, "unstable", False),  # trace -2
        (0.0, 1.0, 0.0, "undecided", False),  # eigenvalues ±i: higher orders decide
        (-1.0, 0.0, -2.0, "unstable", False),
    ],
)
def test_each_kind(a, b, c, kind, attracts):
    """Trace a - c and determinant b² - ac decide the eigenvalues; own curvatures are a and -c."""
    found = mm.local_stability(quadratic(a, b, c), (0.0, 0.0))
    assert (found.kind, found.attracts) == (kind, attracts)
    np.testing.assert_allclose(found.own_curvature, [a, -c], atol=1e-14)
    expected = np.roots([1.0, -(a - c), b**2 - a * c])
    expected = expected[np.lexsort((expected.imag, expected.real))]
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-12)


@pytest.mark.parametrize("share, contracts", [(0.99, True), (1.01, False)])
def test_the_step_size_is_where_descent_ascent_stops_contracting(share, contracts):
    game = quadratic(-1.0, 2.0, -3.0)
    found = mm.local_stability(game, (0.0, 0.0))
    solution = mm.solve(
        game, (1e-3, 1e-3), mm.GradientDescentAscent(share * found.step_size), max_steps=5000
    )
    assert (float(jnp.hypot(*solution.players)) < 1e-6) == contracts


def test_the_critical_point_of_forsaken_attracts_though_one_player_could_gain():
    """x(y - .45) + φ(x) - φ(y), φ(z) = z²/4 - z⁴/2 + z⁶/6: eigenvalues .0447 ± .908i."""

    def phi(z):
        return z**2 / 4 - z**4 / 2 + z**6 / 6

    game = mm.Game(
        lambda p: p[0] * (p[1] - 0.45) + phi(p[0]) - phi(p[1]), constraints=mm.Box(-1.5, 1.5)
    )
    found = mm.local_stability(game, (0.0780267, 0.4119339), tol=1e-6)
    np.testing.assert_allclose(found.eigenvalues, [0.0447 - 0.908j, 0.0447 + 0.908j], atol=5e-4)
    # φ''(z) = 1/2 - 6z² + 5z⁴, for x and for y.
    curvatures = [0.5 - 6 * z**2 + 5 * z**4 for z in (0.0780267, 0.4119339)]
    np.testing.assert_allclose(found.own_curvature, curvatures, rtol=1e-10)
    assert found.own_curvature[1] < 0 and found.kind == "spurious attractor"


@pytest.mark.parametrize("penalty", [0.0, 0.5, 2.0])
def test_dirac_gan(penalty):
    """log(1 + e^{-ψθ}) and the penalty γψ²/2: F has eigenvalues γ/2 ± √(γ²/4 - 1/4)."""
    game = mm.Game(
        lambda p: -jnp.logaddexp(0.0, -p["psi"] * p["theta"]) - penalty * p["psi"] ** 2 / 2,
        {"theta": "min", "psi": "max"},
    )
    found = mm.local_stability(game, {"theta": 0.0, "psi": 0.0})
    root = np.sqrt(complex(penalty**2 / 4 - 1 / 4))
    expected = np.array([penalty / 2 - root, penalty / 2 + root])
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-12)
    assert found.kind == ("strict local minimax" if penalty else "undecided")
    assert found.attracts == (penalty > 0)


def test_general_sum_games_have_no_minimax_points_and_players_are_any_pytree():
    """Three coupled quadratics, one player a network; own blocks and eigenvalues by NumPy."""
    rng = np.random.default_rng(0)
    hessians = rng.normal(size=(2, 5, 5))
    hessians = hessians + np.swapaxes(hessians, 1, 2)

    def payoff(p):
        z = jnp.concatenate([flat(p["a"]), p["b"]])
        return {"a": z @ hessians[0] @ z / 2, "b": z @ hessians[1] @ z / 2}

    game = mm.Game(payoff, {"a": "min", "b": "max"})
    players = {"a": Network.of(jnp.zeros(2), jnp.zeros(())), "b": jnp.zeros(2)}
    found = mm.local_stability(game, players)
    J = np.concatenate([hessians[0][:3], -hessians[1][3:]])
    own = [np.linalg.eigvalsh(J[:3, :3])[0], np.linalg.eigvalsh(J[3:, 3:])[0]]
    np.testing.assert_allclose(found.own_curvature, own, rtol=1e-10)
    np.testing.assert_allclose(
        np.sort(np.real(found.eigenvalues)), np.sort(np.real(np.linalg.eigvals(J))), atol=1e-10
    )
    assert found.kind in ("unstable", "spurious attractor")


def test_errors_say_what_to_do(as_users_run_it: Any):
    game = quadratic(1.0, 2.0, -3.0)
    with pytest.raises(mm.GameError, match="no critical point.*mm.solve"):
        mm.local_stability(game, (1.0, 1.0))
    with pytest.raises(mm.GameError, match="under jit"):
        jax.jit(lambda z: mm.local_stability(game, z))((0.0, 0.0))
    boxed = mm.Game(game.payoff, constraints=(None, mm.Box(0.0, 1.0)))
    with pytest.raises(mm.GameError, match=r"players\[1\] is on the boundary of Box"):
        mm.local_stability(boxed, (0.0, 0.0))
    simplex = mm.Game(lambda p: p @ p, "min", constraints=mm.Simplex())
    with pytest.raises(mm.GameError, match="boundary"):
        mm.local_stability(simplex, jnp.ones(3) / 3)
    large = mm.Game(lambda p: p @ p, "min")
    with pytest.raises(mm.GameError, match="2001 variables"):
        mm.local_stability(large, jnp.zeros(2001))


def test_it_can_be_read():
    text = repr(mm.local_stability(quadratic(1.0, 2.0, -3.0), (0.0, 0.0)))
    assert text.startswith("Stability: strict local Nash\n  eigenvalues    2-1.73j, 2+1.73j")
