"""What `check_game` reports, besides the mistakes that `solve` names as well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from tests.strategies import Network, flat


def test_it_tells_who_descends_and_where_each_may_move():
    """Each leaf with its role, also inside modules, of which only the variables count."""
    game = mm.Game(
        lambda p: jnp.sum(flat(p["x"]) ** 2) - p["y"] @ p["y"],
        {"x": "min", "y": "max"},
        {"x": None, "y": mm.Simplex()},
    )
    report = mm.check_game(game, {"x": Network.of(jnp.ones(2), jnp.zeros(())), "y": jnp.ones(3)})
    assert [(p.place, p.role, p.shape, p.constraint) for p in report.players] == [
        ("players['x'].weight", "min", (2,), "free"),
        ("players['x'].bias", "min", (), "free"),
        ("players['y']", "max", (3,), "Simplex"),
    ]
    assert report.not_monotone is None and report.pair is None
    assert "players['y']" in repr(report) and "<pre>" in report._repr_html_()


@pytest.mark.parametrize("curvature", [-0.5, 0.0, 0.5])
def test_it_finds_a_pair_where_the_game_is_not_monotone(curvature):
    """c x²/2 + xy - c y²/2: <F(a) - F(b), a - b> = c |a - b|² for every pair."""
    game = mm.Game(lambda p: curvature * (p[0] ** 2 - p[1] ** 2) / 2 + p[0] * p[1])
    report = mm.check_game(game, (1.0, 2.0))
    if curvature >= 0:
        assert report.not_monotone is None
        return
    assert report.not_monotone == pytest.approx(curvature, rel=1e-4)
    assert "Not monotone" in repr(report)
    assert report.pair is not None
    a, b = report.pair
    step = np.subtract(a, b)
    assert step @ np.subtract(game.operator(a), game.operator(b)) < 0


@pytest.mark.parametrize(
    "payoff, place",
    [
        (lambda p: jnp.sqrt(p["x"]) * p["y"], r"players\['x'\]"),
        (lambda p: jnp.log(p["x"]) * p["y"], "payoff"),
    ],
)
def test_numbers_that_are_not_finite_at_the_start_are_named(payoff, place):
    with pytest.raises(mm.GameError, match=place + " is infinite or NaN at the start"):
        mm.check_game(mm.Game(payoff, {"x": "min", "y": "max"}), {"x": 0.0, "y": 1.0})


def test_under_jit_it_says_what_shapes_tell():
    def roles(players):
        report = mm.check_game(mm.Game(lambda p: p[0] * p[1]), players)
        assert [p.role for p in report.players] == ["min", "max"]
        assert report.not_monotone is None
        return players

    jax.jit(roles)((1.0, 1.0))
