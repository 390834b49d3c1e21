"""Makes `hero.svg`, the picture at the top of the README: `python docs/pictures/hero.py`.

On f(x, y) = x y, gradient descent-ascent spirals out and extragradient lands. The same input gives
the same file, byte for byte.
"""

import pathlib

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

import minimax as mm  # noqa: E402

STEP_SIZE = 0.15
STEPS = 1500
VIEW = ((-3.1, 3.1), (-3.1, 3.1))
GAME = mm.Game(lambda players: players["x"] * players["y"], roles={"x": "min", "y": "max"})
INK = "#333333"
START, SADDLE = {"x": 1.0, "y": 1.0}, {"x": 0.0, "y": 0.0}

ALTERNATING = mm.AlternatingGradientDescentAscent(STEP_SIZE)
SOLVERS = {
    "extragradient": mm.ExtraGradient(STEP_SIZE),
    "gradient descent-ascent": mm.GradientDescentAscent(STEP_SIZE),
    "alternating": ALTERNATING,
    "its average": mm.Averaged(ALTERNATING, power=1),
    "optimistic": mm.OptimisticGradient(STEP_SIZE),
}
# Where the name of each curve stands, in the units of the axes, and how it is aligned.
LEFT_NAMES = {
    "extragradient": ((0.0, -1.35), "center"),
    "gradient descent-ascent": ((0.0, 2.68), "center"),
}
RIGHT_NAMES = {
    "extragradient": ((2.4e3, 0.5), "right"),
    "gradient descent-ascent": ((1.6e2, 2.2e1), "right"),
    "alternating": ((2.95e3, 1.35), "left"),
    "its average": ((2.95e3, 1.24e-2), "left"),
    "optimistic": ((7.4e2, 2.2e-5), "right"),
}
SETTINGS = {"font.size": 11, "svg.hashsalt": "minimax"}


def main() -> None:
    solutions = {
        name: mm.solve(GAME, START, solver, max_steps=STEPS, record=1)
        for name, solver in SOLVERS.items()
    }
    with matplotlib.rc_context(SETTINGS):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10.4, 4.6), width_ratios=(1, 1.18), layout="constrained"
        )
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
        shown = {name: solutions[name] for name in LEFT_NAMES}
        mm.plot.phase_portrait(GAME, shown, equilibrium=SADDLE, view=VIEW, ax=left)
        mm.plot.convergence(solutions, guides=("1/k",), ax=right)
        write_names(left, LEFT_NAMES)
        write_names(right, RIGHT_NAMES)
        left.set_title("f(x, y) = xy:  x descends, y ascends", fontsize="medium", color=INK, pad=10)
        right.set_title("the same game, five methods", fontsize="medium", color=INK, pad=10)
        figure.savefig(
            pathlib.Path(__file__).with_suffix(".svg"), metadata={"Date": None, "Creator": None}
        )


def write_names(ax, names) -> None:
    """The names of the curves beside them, in their colours, in place of a legend."""
    ax.get_legend().remove()
    color = {line.get_label(): line.get_color() for line in ax.get_lines()}
    for name, (place, side) in names.items():
        ground = dict(facecolor="white", edgecolor="none", pad=1.5)
        ax.text(*place, name, color=color[name], ha=side, va="center", bbox=ground)


if __name__ == "__main__":
    main()
