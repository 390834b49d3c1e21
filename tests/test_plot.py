"""What the pictures show: the trace and nothing else, on the axes that were given."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

import minimax as mm

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_hex  # noqa: E402

BILINEAR = mm.Game(lambda p: p["x"] * p["y"], roles={"x": "min", "y": "max"})
START = {"x": 1.0, "y": 1.0}
ORIGIN = {"x": 0.0, "y": 0.0}

NETWORK = {"net": {"w": jnp.ones((2, 2)), "b": 1.0}, "z": jnp.array([1.0, 2.0])}
QUADRATIC = mm.Game(
    lambda p: jnp.sum(p["net"]["w"] @ p["z"]) + p["net"]["b"] ** 2 - jnp.sum(p["z"] ** 2),
    {"net": "min", "z": "max"},
)


@pytest.fixture(autouse=True)
def no_figure_from_elsewhere():
    """Doctests that ran before in this process leave theirs open."""
    plt.close("all")


@pytest.fixture(autouse=True)
def close_figures():
    settings = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == settings


@pytest.fixture(scope="module")
def solutions():
    """One run that diverges, one that cycles, its average, and one that converges."""
    cycling = mm.AlternatingGradientDescentAscent(0.3)
    return {
        "descent-ascent": solved(mm.GradientDescentAscent(0.3)),
        "alternating": solved(cycling, max_steps=200),
        "its average": solved(mm.Averaged(cycling), max_steps=200),
        "extragradient": solved(mm.ExtraGradient(0.3)),
    }


@pytest.fixture(scope="module")
def bare():
    return solved(mm.ExtraGradient(0.3), record=None)


@pytest.fixture(scope="module")
def batch():
    def run(step):
        return solved(mm.ExtraGradient(step), max_steps=20)

    return jax.vmap(run)(jnp.array([0.1, 0.2]))


@pytest.fixture(scope="module")
def network():
    """A run of QUADRATIC, whose players are no two scalars."""
    return solved(mm.ExtraGradient(0.1), QUADRATIC, NETWORK, max_steps=30, record=2)


@pytest.fixture
def ax():
    return plt.figure().add_subplot()


def solved(solver, game=BILINEAR, players: Any = START, record: int | None = 1, **options):
    return mm.solve(game, players, solver, record=record, **options)


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def texts(ax):
    return {text.get_text() for text in ax.texts}


def trace_of(solution) -> mm.Trace:
    return solution.trace


def path_of(solution):
    return np.stack([np.asarray(trace_of(solution).players[name]) for name in "xy"])


# ---- every picture ----------------------------------------------------------------------------


def pictures(solution):
    return {
        "phase_portrait": lambda ax: mm.plot.phase_portrait(BILINEAR, solution, ax=ax),
        "convergence": lambda ax: mm.plot.convergence(solution, ax=ax),
        "trajectory": lambda ax: mm.plot.trajectory(solution, ax=ax),
        "overview": lambda ax: mm.plot.overview(solution, ax=ax),
        "Solution.plot": lambda ax: solution.plot(ax=ax),
    }


NAMES = list(pictures(None))


@pytest.mark.parametrize("name", NAMES)
def test_draws_on_the_axes_that_it_is_given(name, solutions, ax):
    returned = pictures(solutions["extragradient"])[name](ax)
    assert returned is ax
    assert plt.get_fignums() == [ax.figure.number]
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", NAMES)
def test_makes_one_figure_without_axes(name, solutions):
    axes = np.ravel(pictures(solutions["extragradient"])[name](None))
    assert plt.get_fignums() == [axes[0].figure.number]
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize("name", NAMES)
def test_says_how_to_record_a_trace(name, bare):
    with pytest.raises(mm.GameError, match=r"no trace.*record=1"):
        pictures(bare)[name](None)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_plotted_member_by_member(name, batch, ax):
    with pytest.raises(mm.GameError, match=r"batch of 2 .*solution\[0\]"):
        pictures(batch)[name](None)
    pictures(batch[0])[name](ax)


def test_is_not_for_traced_solutions():
    def plotted(step):
        return mm.plot.trajectory(solved(mm.ExtraGradient(step), max_steps=3))

    with pytest.raises(mm.GameError, match="traced by jit"):
        jax.jit(plotted)(0.1)


def test_says_what_is_no_solution(solutions):
    with pytest.raises(mm.GameError, match=r"solutions\[1\] is 3: expected a Solution"):
        mm.plot.convergence([solutions["extragradient"], 3])
    with pytest.raises(mm.GameError, match="empty"):
        mm.plot.convergence([])


def test_importing_the_library_imports_no_matplotlib():
    code = "import sys, minimax.plot; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_says_how_to_install_matplotlib(monkeypatch, solutions):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot")
    with pytest.raises(ImportError, match=r'pip install "minimax-jax\[plot\]"'):
        solutions["extragradient"].plot()


# ---- labels and colours -----------------------------------------------------------------------


def test_a_list_is_labelled_by_solver(solutions, ax):
    mm.plot.convergence([solutions["alternating"], solutions["its average"]], ax=ax)
    name = "AlternatingGradientDescentAscent"
    assert legend(ax) == [name, f"Averaged({name})"]


def test_solvers_of_one_name_are_numbered(solutions, ax):
    mm.plot.convergence([solutions["extragradient"]] * 2, ax=ax)
    assert legend(ax) == ["ExtraGradient (1)", "ExtraGradient (2)"]


@pytest.mark.parametrize("name", ["phase_portrait", "convergence"])
def test_every_solver_has_its_colour_and_its_average_is_dashed(name, solutions, ax):
    pictures(solutions)[name](ax)
    assert legend(ax) == list(solutions)
    lines = {label: line(ax, label) for label in solutions}
    colors = {label: to_hex(line.get_color()) for label, line in lines.items()}
    assert colors["its average"] == colors["alternating"]
    assert len(set(colors.values())) == 3
    dashed = {label for label, line in lines.items() if line.get_linestyle() == "--"}
    assert dashed == {"its average"}


def test_an_average_without_its_solver_has_its_own_colour(solutions, ax):
    mm.plot.convergence([solutions["extragradient"], solutions["its average"]], ax=ax)
    assert len({to_hex(text.get_color()) for text in ax.get_legend().get_lines()}) == 2


# ---- phase portraits --------------------------------------------------------------------------


def test_phase_portrait_shows_the_trace(solutions, ax):
    solution = solutions["extragradient"]
    mm.plot.phase_portrait(BILINEAR, solution, equilibrium=ORIGIN, ax=ax)
    path = path_of(solution)
    np.testing.assert_array_equal(line(ax, "ExtraGradient").get_data(), path)
    marks = {line.get_marker(): line.get_xydata() for line in ax.get_lines() if len(path.T) > 1}
    np.testing.assert_array_equal(marks["*"], [[0, 0]])
    dots = [line.get_xydata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_array_equal(dots, path.T[[0, -1]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert ax.get_aspect() == 1


def test_field_is_minus_the_operator(ax, monkeypatch):
    seen = {}

    def streamplot(x, y, u, v, **_):
        seen.update(x=x, y=y, u=u, v=v)

    monkeypatch.setattr(ax, "streamplot", streamplot)
    game = mm.Game(lambda p, data: data * p["x"] * p["y"] + p["x"] ** 2, {"x": "min", "y": "max"})
    solution = solved(mm.ExtraGradient(0.1), game, data=3.0, max_steps=50)
    mm.plot.phase_portrait(game, solution, data=3.0, ax=ax)
    x, y = np.meshgrid(seen["x"], seen["y"])
    assert x.shape == (21, 21)
    np.testing.assert_allclose(seen["u"], -(3 * y + 2 * x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(seen["v"], 3 * x, rtol=1e-5, atol=1e-5)


def test_a_run_that_diverges_leaves_the_view_to_the_others(solutions, ax):
    mm.plot.phase_portrait(BILINEAR, solutions, equilibrium=ORIGIN, ax=ax)
    assert np.abs(path_of(solutions["descent-ascent"])).max() > 1e5
    for low, high in (ax.get_xlim(), ax.get_ylim()):
        assert -4 < low < -1 and 1 < high < 4
    # Its line ends at the arrow, inside; the others are drawn whole.
    assert np.abs(line(ax, "descent-ascent").get_data()).max() < 4
    assert sum(bool(text.arrow_patch) for text in ax.texts) == 1
    np.testing.assert_array_equal(
        line(ax, "alternating").get_data(), path_of(solutions["alternating"])
    )


def test_a_run_that_diverges_is_shown_on_its_own(solutions, ax):
    mm.plot.phase_portrait(BILINEAR, solutions["descent-ascent"], ax=ax)
    assert 1 < ax.get_xlim()[1] < 100


def test_a_run_that_diverges_unnoticed_is_clipped_too(solutions, ax):
    far = solved(mm.GradientDescentAscent(0.3), max_steps=150)
    assert far.status == mm.Status.max_steps
    runs = {"far": far, "near": solutions["extragradient"]}
    mm.plot.phase_portrait(BILINEAR, runs, equilibrium=ORIGIN, ax=ax)
    assert ax.get_xlim()[1] < 20 < np.abs(path_of(far)).max()


def test_the_view_can_be_chosen(solutions, ax):
    view = ((-3.0, 2.0), (-1.0, 4.0))
    mm.plot.phase_portrait(BILINEAR, solutions, view=view, ax=ax)
    assert (ax.get_xlim(), ax.get_ylim()) == view
    with pytest.raises(mm.GameError, match=r"expected \(\(left, right\), \(bottom, top\)\)"):
        mm.plot.phase_portrait(BILINEAR, solutions, view=((1.0, -1.0), (0.0, 1.0)))


def test_a_run_that_overflows_is_shown(ax):
    game = mm.Game(lambda p: p["y"] ** 4 - p["x"] ** 4, {"x": "min", "y": "max"})
    solution = solved(mm.GradientDescentAscent(0.3), game, {"x": 1.0, "y": 2.0})
    assert solution.status in (mm.Status.diverged, mm.Status.nonfinite)
    mm.plot.phase_portrait(game, solution, ax=ax)
    ax.figure.canvas.draw()


def test_phase_portrait_of_a_solution_that_never_moved(ax):
    game = mm.Game(lambda p: 0.0 * p["x"] * p["y"], {"x": "min", "y": "max"})
    mm.plot.phase_portrait(game, solved(mm.ExtraGradient(0.1), game), ax=ax)
    ax.figure.canvas.draw()
    assert np.all(np.isfinite([*ax.get_xlim(), *ax.get_ylim()]))
    assert np.ptp(ax.get_xlim()) > 0 and np.ptp(ax.get_ylim()) > 0


def test_a_field_that_is_not_finite_somewhere_is_left_out_there(ax):
    game = mm.Game(
        lambda p: jnp.log(p["x"]) + p["x"] * p["y"],
        {"x": "min", "y": "max"},
        constraints={"x": mm.Box(0.1, 2.0), "y": mm.Box(-2.0, 2.0)},
    )
    mm.plot.phase_portrait(game, solved(mm.ExtraGradient(0.1), game, max_steps=200), ax=ax)
    ax.figure.canvas.draw()
    assert np.all(np.isfinite([*ax.get_xlim(), *ax.get_ylim()]))
    assert ax.collections, "a field is drawn where it is finite"


def test_axes_names_two_of_many_variables(network, ax):
    mm.plot.phase_portrait(QUADRATIC, network, axes=("net['w'][0, 1]", "z[1]"), ax=ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("net['w'][0, 1]", "z[1]")
    x, y = line(ax, "ExtraGradient").get_data()
    np.testing.assert_array_equal(x, trace_of(network).players["net"]["w"][:, 0, 1])
    np.testing.assert_array_equal(y, trace_of(network).players["z"][:, 1])


def test_axes_must_decide(network):
    with pytest.raises(mm.GameError, match=r"two scalar variables and the players have 7 \(net\["):
        mm.plot.phase_portrait(QUADRATIC, network)
    with pytest.raises(mm.GameError, match=r"'z\[2\]', which is no scalar variable.*7 in all"):
        mm.plot.phase_portrait(QUADRATIC, network, axes=("z[0]", "z[2]"))


def test_a_single_variable_has_no_phase_portrait():
    game = mm.Game(lambda p: p["x"] ** 2, {"x": "min"})
    solution = solved(mm.ExtraGradient(0.1), game, {"x": 1.0}, max_steps=2)
    with pytest.raises(mm.GameError, match="the players have 1"):
        mm.plot.phase_portrait(game, solution)


def test_phase_portraits_show_one_game(solutions, network):
    with pytest.raises(mm.GameError, match="equilibrium has the variables"):
        mm.plot.phase_portrait(BILINEAR, solutions, equilibrium=(0.0, 0.0))
    with pytest.raises(mm.GameError, match="players of one game"):
        mm.plot.phase_portrait(BILINEAR, [network, solutions["extragradient"]])


# ---- convergence ------------------------------------------------------------------------------


@pytest.mark.parametrize("against", ["evaluations", "steps"])
def test_convergence_shows_the_trace(against, solutions, ax):
    mm.plot.convergence(solutions, against=against, ax=ax)
    for label, solution in solutions.items():
        x, y = line(ax, label).get_data()
        np.testing.assert_array_equal(x, getattr(trace_of(solution), against))
        np.testing.assert_array_equal(y, np.asarray(trace_of(solution).residual))
    assert ax.get_xlabel() == {"evaluations": "operator evaluations", "steps": "steps"}[against]
    assert ax.get_ylabel() == "natural residual"
    assert "tolerance\n1e-05" in texts(ax)


@pytest.mark.parametrize("scale, across", [("loglog", "log"), ("semilogy", "linear")])
def test_convergence_has_the_scale_asked_for(scale, across, solutions, ax):
    mm.plot.convergence(solutions, scale=scale, ax=ax)
    assert (ax.get_xscale(), ax.get_yscale()) == (across, "log")


def test_a_run_that_diverges_leaves_through_the_upper_edge(solutions, ax):
    mm.plot.convergence(solutions, ax=ax)
    bottom, top = ax.get_ylim()
    assert bottom < 1e-5 and 1 < top < 1e3 < solutions["descent-ascent"].residual


@pytest.mark.parametrize("scale", ["loglog", "semilogy"])
def test_guides_fall_at_their_rate(scale, solutions, ax):
    mm.plot.convergence(solutions, guides=("1/√k", "1/k", "1/k^2"), scale=scale, ax=ax)
    guides = {g.get_gid(): g.get_data() for g in ax.get_lines() if g.get_gid()}
    for name, power in (("1/√k", 0.5), ("1/k", 1), ("1/k^2", 2)):
        k, curve = guides[f"guide {name}"]
        np.testing.assert_allclose(curve * k**power, curve[0] * k[0] ** power)
        assert curve.min() >= ax.get_ylim()[0] * 0.999
    assert {"O(1/√k)", "O(1/k)"} <= texts(ax)
    assert legend(ax) == list(solutions)


def test_zero_and_infinite_residuals_are_marked_at_the_edges(ax):
    quadratic = mm.Game(lambda p: (p["x"] ** 2 - p["y"] ** 2) / 2, {"x": "min", "y": "max"})
    unbounded = mm.Game(quadratic.payoff, quadratic.roles, mm.Box(-jnp.inf, jnp.inf))
    zero = solved(mm.GradientDescentAscent(1.0), quadratic)
    infinite = mm.solve(
        unbounded,
        {"x": 1.0, "y": 2.0},
        mm.GradientDescentAscent(0.3),
        metric=mm.DualityGap(),
        max_steps=5,
        record=5,
    )
    assert trace_of(zero).residual[-1] == 0 and not np.isfinite(trace_of(infinite).residual[-1])
    mm.plot.convergence([zero, infinite], scale="semilogy", ax=ax)
    marks = {line.get_marker(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert marks["v"] == [[int(zero.evaluations), 0.0]]
    assert marks["^"][-1] == [int(infinite.evaluations), 1.0]
    ax.figure.canvas.draw()


@pytest.mark.parametrize("scale", ["loglog", "semilogy"])
def test_convergence_of_a_run_of_no_steps(scale, ax):
    mm.plot.convergence(
        solved(mm.ExtraGradient(0.1), players=ORIGIN), guides=("1/k",), scale=scale, ax=ax
    )
    ax.figure.canvas.draw()
    assert np.all(np.isfinite([*ax.get_xlim(), *ax.get_ylim()]))
    assert ax.get_xscale() in ("log", "linear") and ax.lines


def test_different_metrics_share_no_name(ax):
    game = mm.Game(BILINEAR.function, BILINEAR.roles, mm.Box(-1.0, 1.0))
    both = [
        solved(mm.ExtraGradient(0.1), game, metric=metric, max_steps=5)
        for metric in (mm.DualityGap(), mm.NaturalResidual())
    ]
    assert mm.plot.convergence(both[:1], ax=ax).get_ylabel() == "duality gap"
    assert mm.plot.convergence(both, ax=ax).get_ylabel() == "residual"


def test_the_residual_of_sampled_data_is_that_of_one_batch():
    game = mm.Game(lambda p, shift: (p["x"] - shift) * p["y"], roles={"x": "min", "y": "max"})
    sampler = mm.Sampler(jax.random.normal)
    start, solver = {"x": 0.0, "y": 1.0}, mm.ExtraGradient(0.1)
    options = {"key": jax.random.key(0), "max_steps": 50, "record": 10}
    solution = mm.solve(game, start, solver, data=sampler, **options)
    assert mm.plot.convergence(solution).get_ylabel() == "natural residual on one batch"


def test_unknown_options_are_named(as_users_run_it, solutions):
    wrong: dict[str, Any] = {"against": "time", "guides": ("1/n",), "scale": "linear"}
    known = {"against": "'evaluations'", "guides": "'1/√k'", "scale": "'loglog'"}
    for name, option in wrong.items():
        with pytest.raises(mm.GameError, match=rf"expected one of {known[name]}"):
            mm.plot.convergence(solutions, **{name: option})


# ---- trajectories -----------------------------------------------------------------------------


def test_trajectory_shows_every_variable_by_its_place(network, ax):
    mm.plot.trajectory(network, ax=ax)
    entries = [f"net['w'][{i}, {j}]" for i in range(2) for j in range(2)]
    assert legend(ax) == ["net['b']", *entries, "z[0]", "z[1]"]
    steps, values = line(ax, "net['w'][1, 0]").get_data()
    np.testing.assert_array_equal(steps, trace_of(network).steps)
    np.testing.assert_array_equal(values, trace_of(network).players["net"]["w"][:, 1, 0])
    assert ax.get_xlabel() == "steps"


def test_large_players_are_shown_by_their_norm(ax):
    game = mm.Game(lambda p: p[0] @ p[1]["a"] + p[1]["b"] * jnp.sum(p[0]))
    players = (jnp.ones(12), {"a": jnp.ones(12), "b": 2.0})
    solution = solved(mm.ExtraGradient(0.1), game, players, max_steps=10)
    mm.plot.trajectory(solution, ax=ax)
    assert legend(ax) == ["‖players[0]‖", "‖players[1]‖"]
    rows = np.column_stack([np.asarray(trace_of(solution).players[1][name]) for name in "ab"])
    np.testing.assert_allclose(
        line(ax, "‖players[1]‖").get_ydata(), np.linalg.norm(rows, axis=1), rtol=1e-6
    )


def test_many_players_are_shown_by_one_norm(ax):
    game = mm.Game(lambda p: sum(x**2 for x in p), roles="min")
    solution = solved(mm.ExtraGradient(0.1), game, [1.0] * 11, max_steps=5)
    mm.plot.trajectory(solution, ax=ax)
    assert legend(ax) == ["‖players‖"]


def test_players_keep_their_activation_functions_to_themselves(ax):
    game = mm.Game(lambda p: p["f"]["tanh"](p["f"]["w"]) * p["y"], {"f": "min", "y": "max"})
    players = {"f": {"tanh": jnp.tanh, "w": 1.0}, "y": 1.0}
    solution = solved(mm.ExtraGradient(0.1), game, players, max_steps=5)
    mm.plot.trajectory(solution, ax=ax)
    assert legend(ax) == ["f['w']", "y"]
    mm.plot.phase_portrait(game, solution)


# ---- the overview -----------------------------------------------------------------------------


def test_overview_is_convergence_beside_trajectory(solutions):
    left, right = solutions["extragradient"].plot()
    assert left.figure is right.figure
    assert left.figure.get_suptitle().startswith("converged after")
    assert (left.get_xlabel(), right.get_xlabel()) == ("operator evaluations", "steps")
    assert legend(right) == ["x", "y"]
