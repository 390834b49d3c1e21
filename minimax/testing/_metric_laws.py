"""Laws of metrics: a metric is non-negative, zero exactly at solutions, and the same for the same
game written differently."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minimax as mm
from minimax.testing._law import EPS, Law, law, seeds
from minimax.testing._metric_case import (
    RPS,
    Matrix,
    MetricCase,
    anything,
    draw,
    in_units,
    matrix_game,
    measure,
    near,
    project,
)
from minimax.testing._players import Network, flat

LAWS: list[Law] = []
ULP = EPS["float64"]


def feasible(game: mm.AbstractGame, seed: int) -> dict[str, jax.Array]:
    return project(game, {"x": draw(seed, 3), "y": draw(seed + 1, 4)})


def assert_same(found, expected, ulps: float | int = 64) -> None:
    assert abs(float(found) - float(expected)) <= ulps * ULP, f"{found}, not {expected}"


@law(LAWS, anything)
@given(seeds)
def it_is_zero_at_solutions_and_positive_elsewhere(subject: MetricCase, seed):
    """Zero up to rounding where the solution is known; nowhere negative."""
    for game, solution in subject.solved:
        at_solution = measure(subject.metric, game, solution)
        assert at_solution.shape == (), f"a metric is one number, not {at_solution}"
        assert -8 * ULP <= float(at_solution) <= 8 * ULP, f"{at_solution} at the solution"
        players = near(game, solution, seed)
        distance = max(float(jnp.max(jnp.abs(players[k] - solution[k]))) for k in "xy")
        found = float(measure(subject.metric, game, players))
        assert found > 0, f"{found} at {players}, which solve nothing"
        assert found >= subject.sharpness * distance, f"{found} at a distance of {distance}"


@law(LAWS, anything)
@given(seeds, st.sampled_from([1e-3, 0.5]))
def a_payoff_in_larger_units_has_the_same_solutions(subject: MetricCase, seed, scale):
    """c f for c < 1 is solved where f is; elsewhere it leaves no more to gain, and not nothing."""
    for game, solution in subject.solved:
        smaller = in_units(game, scale)
        assert abs(float(measure(subject.metric, smaller, solution))) <= 8 * ULP
        players = near(game, solution, seed)
        whole = float(measure(subject.metric, game, players))
        part = float(measure(subject.metric, smaller, players))
        assert 0 < part <= whole * (1 + 64 * ULP), f"{part} for {scale} f, {whole} for f"


@law(LAWS, anything)
def it_is_zero_at_a_corner_that_every_player_prefers(subject: MetricCase):
    """F points out of the set there: not zero itself, but nothing is to gain. No rounding."""
    game = mm.Game(
        lambda p: p["x"] @ jnp.array([0.1, 0.5, 1.0]) - p["y"] @ jnp.array([0.5, 0.2]),
        {"x": "min", "y": "max"},
        constraints=mm.Simplex(),
    )
    corner = {"x": jnp.array([1.0, 0.0, 0.0]), "y": jnp.array([0.0, 1.0])}
    if subject.suits(game, corner):
        assert float(subject.metric(game, corner)) == 0.0


@law(LAWS, anything)
def it_is_a_number_wherever_players_are_feasible(subject: MetricCase):
    """At corners, on edges and inside, for payoffs of 10⁻³⁰, 1 and 10³⁰ in single precision."""
    corners = {"x": jnp.eye(3), "y": jnp.eye(4)[:3]}
    edges = {"x": jnp.asarray([[0.5, 0.5, 0.0]]), "y": jnp.asarray([[0.0, 0.25, 0.0, 0.75]])}
    boxed = {"x": jnp.asarray([[1.0, -1.0, 0.0]]), "y": jnp.asarray([[-1.0, 1.0, 1.0, 0.0]])}
    for constraint, points in ((mm.Simplex(), (corners, edges)), (mm.Box(-1.0, 1.0), (boxed,))):
        for scale in (1e-30, 1.0, 1e30):
            game = Matrix(jnp.asarray(RPS, "float32"), jnp.float32(scale), constraint)
            for rows in points:
                for i in range(len(rows["x"])):
                    players = {k: row[i].astype("float32") for k, row in rows.items()}
                    suited = subject.suited(game, players)
                    if suited is not None:
                        found = float(measure(subject.metric, suited, players))
                        assert found >= 0, f"{found} for payoffs of {scale} at {players}"


@law(LAWS, anything)
@given(seeds)
def relabelling_moves_and_swapping_roles_changes_nothing(subject: MetricCase, seed):
    """Permuted rows and columns; and min f / max f as max -f / min -f."""
    metric, game = subject.metric, matrix_game(seed)
    players = feasible(game, seed + 7)
    suited = subject.suited(game, players)
    if suited is None:
        return
    value = measure(metric, suited, players)
    rows, columns = (np.random.default_rng(seed).permutation(n) for n in (3, 4))
    permuted = Matrix(game.matrix[rows][:, columns], game.scale, suited.constraints)
    moved = {"x": players["x"][rows], "y": players["y"][columns]}
    assert_same(measure(metric, permuted, moved), value)
    transposed = Matrix(-game.matrix.T, game.scale, suited.constraints)
    swapped = {"x": players["y"], "y": players["x"]}
    assert_same(measure(metric, transposed, swapped), value)


@law(LAWS, anything)
def how_players_are_written_changes_nothing(subject: MetricCase):
    """NumPy arrays, nested trees, modules with settings in them: the same number."""
    A, metric = draw(1, 3, 4), subject.metric
    box = mm.Box(-1.0, 1.0)
    x, y = jnp.clip(draw(2, 3), -1, 1), jnp.clip(draw(3, 4), -1, 1)
    boxed = mm.Game(lambda p: p["x"] @ A @ p["y"], {"x": "min", "y": "max"}, box)
    plain = subject.suited(boxed, {"x": x, "y": y})
    if plain is None:
        return
    box = plain.constraints
    expected = metric(plain, {"x": x, "y": y})
    assert metric(plain, {"x": np.asarray(x), "y": np.asarray(y)}) == expected
    tree = mm.Game(lambda p: flat(p["x"]) @ A @ flat(p["y"]), {"x": "min", "y": "max"}, box)
    nested = {"x": Network.of(x[:2], x[2]), "y": (y[0], {"z": [y[1:]]})}
    assert_same(metric(tree, nested), expected)
    scalars = mm.Game(lambda p: p[0] * p[1] + p[0], constraints=box)
    assert metric(scalars, (0.5, 0.25)) == metric(scalars, (jnp.asarray(0.5), jnp.asarray(0.25)))


@law(LAWS, anything)
def it_has_the_dtype_of_the_players(subject: MetricCase):
    """Also in x64 mode; half precision may be measured in single."""
    for dtype in ("float32", "float64", "bfloat16"):
        game = Matrix(draw(0, 3, 4).astype(dtype), jnp.asarray(1.0, dtype), mm.Simplex())
        players = {k: x.astype(dtype) for k, x in feasible(matrix_game(0), 1).items()}
        suited = subject.suited(game, players)
        if suited is not None:
            found = measure(subject.metric, suited, players).dtype
            half = dtype == "bfloat16" and found == "float32"
            assert found == dtype or half, f"players of {dtype} are measured in {found}"


@law(LAWS, anything)
def a_batch_is_a_loop_and_jit_changes_nothing(subject: MetricCase):
    """Under `vmap` and under `jit` it is what it is without."""
    metric = subject.metric
    batch = {"x": jax.nn.softmax(draw(2, 5, 3)), "y": jax.nn.softmax(draw(3, 5, 4))}
    first = {k: x[0] for k, x in batch.items()}
    game = subject.suited(matrix_game(0), first)
    if game is None:
        return
    values = jax.vmap(lambda players: metric(game, players))(batch)
    for i in range(5):
        players = {k: x[i] for k, x in batch.items()}
        assert_same(values[i], metric(game, players), ulps=16)
    assert_same(measure(metric, game, first), metric(game, first), ulps=16)


@law(LAWS, anything)
def data_is_handed_to_the_payoff(subject: MetricCase):
    """metric(game, players, data) measures the game with that data."""
    metric, players = subject.metric, (0.5, 0.25)
    boxed = mm.Game(lambda p: 3.0 * p[0] * p[1] + p[0], constraints=mm.Box(-1.0, 1.0))
    built_in = subject.suited(boxed, players)
    if built_in is not None:
        constraints = built_in.constraints
        game = mm.Game(lambda p, d=1.0: d * p[0] * p[1] + p[0], constraints=constraints)
        found, expected = metric(game, players, jnp.asarray(3.0)), metric(built_in, players)
        assert found == expected, f"{found} with the data, {expected} with the same built in"
