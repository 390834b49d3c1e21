"""What `solve` compiles to: the inner loop is the loop that one would write by hand.

Read off the optimised HLO. On a bilinear game one operator evaluation is two matrix-vector
products, so a step of extragradient holds four.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import minimax as mm
from minimax import _loop

N = 96  # large enough for matrix products to be calls, and not loops that are fused away


class Bilinear(mm.AbstractGame):
    matrix: Float[Array, "n m"]
    roles = {"x": "min", "y": "max"}

    def payoff(self, players, data=None):
        return players["x"] @ self.matrix @ players["y"]


def compiled(function, *arguments) -> dict[str, str]:
    """The computations of the optimised module, by name."""
    text = jax.jit(function).lower(*arguments).compile().as_text() or ""
    blocks = re.findall(r"^(?:ENTRY )?%?([\w.\-]+) \([^\n]*\{\n(.*?)^\}", text, re.M | re.S)
    return dict(blocks)


def products(computations: dict[str, str], name: str, inside_loops: bool) -> int:
    """How many matrix products a computation holds, with those that it calls; those of loops inside
    it only if asked for."""
    total = 0
    for line in computations[name].splitlines():
        is_loop = re.search(r"\bwhile\(", line) is not None
        if re.search(r"\bdot\(|custom_call_target=\"[^\"]*(gemm|matmul|dot)", line):
            total += 1
        if is_loop and not inside_loops:
            continue
        for called in re.findall(r"%([\w.\-]+)", line.split("metadata=")[0]):
            if called in computations and called != name:
                total += products(computations, called, inside_loops)
    return total


def loop_bodies(computations: dict[str, str]) -> list[str]:
    """The names of the bodies of all loops."""
    return re.findall(r"body=%?([\w.\-]+)", "\n".join(computations.values()))


def products_of_the_innermost_loop(computations: dict[str, str]) -> int:
    """Of the loop that holds matrix products and no other loop that does."""
    innermost = [
        products(computations, body, inside_loops=True)
        for body in loop_bodies(computations)
        if not any(
            products(computations, inner, inside_loops=True)
            for inner in re.findall(r"body=%?([\w.\-]+)", reachable(computations, body))
        )
    ]
    counts = [count for count in innermost if count]
    assert len(counts) == 1, f"expected one innermost loop, found {counts}"
    return counts[0]


def reachable(computations: dict[str, str], name: str) -> str:
    """The text of a computation and of all that it calls."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [
                c for c in re.findall(r"%([\w.\-]+)", computations[current]) if c in computations
            ]
    return "\n".join(computations[each] for each in seen)


def by_hand(matrix, x, y):
    """Extragradient as one writes it."""

    def step(carry, _):
        x, y = carry
        u, v = x - 0.1 * (matrix @ y), y + 0.1 * (x @ matrix)
        return (x - 0.1 * (matrix @ v), y + 0.1 * (u @ matrix)), None

    return jax.lax.scan(step, (x, y), None, length=500)[0]


ARGUMENTS = tuple(
    np.random.default_rng(0).normal(size=shape).astype("float32") for shape in ((N, N), N, N)
)


def solved(solver, **options):
    def function(matrix, x, y):
        return mm.solve(
            Bilinear(matrix), {"x": x, "y": y}, solver, max_steps=500, check_every=50, **options
        )

    return function


@pytest.mark.parametrize("record", [None, 100, 50])
def test_a_step_of_extragradient_holds_as_many_products_as_by_hand(record):
    """Four; and recording adds none to the inner loop."""
    hand = products_of_the_innermost_loop(compiled(by_hand, *ARGUMENTS))
    assert hand == 4, "the parser, or the compiler, has changed"
    ours = compiled(solved(mm.ExtraGradient(0.1), record=record), *ARGUMENTS)
    assert products_of_the_innermost_loop(ours) == hand


@pytest.mark.parametrize(
    "solver, expected",
    [
        (mm.GradientDescentAscent(0.1), 2),
        (mm.OptimisticGradient(0.1), 2),
        (mm.AlternatingGradientDescentAscent(0.1), 2),
        (mm.Averaged(mm.ExtraGradient(0.1)), 4),
    ],
    ids=["descent-ascent", "optimistic", "alternating", "average"],
)
def test_a_step_holds_two_products_per_evaluation(solver, expected):
    """Also where players move in turns: of each gradient only the block that moves is computed."""
    ours = compiled(solved(solver), *ARGUMENTS)
    assert products_of_the_innermost_loop(ours) == expected


@pytest.mark.parametrize("n, looks", [(N, 2), (2 * 2048 + 2, 1)], ids=["small", "large"])
def test_looking_costs_one_evaluation(n, looks):
    """Outside the inner loop: two products for F at the players that are reported, of which the
    payoff shares one. For small players that is compiled for the start as well, for large ones it
    is not."""
    shapes = [jax.ShapeDtypeStruct(shape, "float32") for shape in ((n, n), (n,), (n,))]
    computations = compiled(solved(mm.ExtraGradient(0.1)), *shapes)
    result = r"f32\[[\d,]+\]\S* (?:dot\(|custom-call\(.*(?:gemm|matmul|dot))"
    everything = sum(len(re.findall(result, text)) for text in computations.values())
    assert everything == 4 + 2 * looks


@pytest.mark.parametrize("solver", [mm.ExtraGradient(0.1), mm.AdaptiveExtraGradient()])
@pytest.mark.parametrize("record", [None, 20])
def test_large_players_are_looked_at_like_small_ones(monkeypatch, solver, record):
    """Where the first look is made is the engine's own affair."""
    game, start = mm.Game(lambda p: p[0] @ p[1] + 0.1 * p[0] @ p[0]), (jnp.ones(3), jnp.ones(3))
    small = mm.solve(game, start, solver, max_steps=90, check_every=20, record=record, tol=1e-3)
    monkeypatch.setattr(_loop, "SMALL", 0)
    jax.clear_caches()
    large = mm.solve(game, start, solver, max_steps=90, check_every=20, record=record, tol=1e-3)
    jax.clear_caches()
    assert small.status == large.status
    for one, other in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_game_is_an_argument_of_the_program_not_a_constant_in_it():
    """A matrix in a field is not baked into the program: another matrix, the same program."""
    jaxpr = jax.make_jaxpr(lambda: solved(mm.ExtraGradient(0.1))(*ARGUMENTS).players)()
    (run,) = [equation for equation in jaxpr.eqns if "jaxpr" in equation.params]
    assert (N, N) in [variable.aval.shape for variable in run.invars]
    assert all(np.size(constant) < N for constant in run.params["jaxpr"].consts)


def test_half_precision_and_double_stay_what_they_are():
    """No hidden conversion of players inside the inner loop."""
    with jax.enable_x64(True):
        arguments = tuple(jnp.asarray(a, "float32") for a in ARGUMENTS)
        text = "\n".join(compiled(solved(mm.ExtraGradient(0.1)), *arguments).values())
    assert not re.search(rf"f64\[{N}", text)
