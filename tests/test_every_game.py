"""Each file in `games` is held to the laws of `minimax.testing`, in each of its variants, and to
those of its text.

A variant is a choice of values for those parameters of `example()` that have a Literal type.
"""

import doctest
import functools
import inspect
import itertools
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import games
import minimax as mm
from minimax.testing import GameCase, game_laws
from tests.discovery import modules

CARD = ["Players", "Payoff", "Sets", "Known solution", "Shapes", "Source"]

REACHES: dict[str, dict[str, Any]] = {
    # Adam does not settle exactly, and nobody waits for it to.
    "gan_lite(variant='mlp')": dict(tol=3e-2, max_steps=4000),
    # Every step sees other data: how well it learns is for a benchmark, or a test of its own.
    "adversarial_training()": dict(max_steps=50),
    "auc_maximization(variant='sampled')": dict(max_steps=50),
    "constrained_classifier()": dict(max_steps=50),
    "gan_8_gaussians(variant='non_saturating')": dict(max_steps=50),
    "gan_8_gaussians(variant='wasserstein')": dict(max_steps=50),
    "flax_critic()": dict(max_steps=50),
    "lq_gan(variant='sampled')": dict(max_steps=50),
}
"""What is asked of games that are not solved to the default tolerance."""

SMALL: dict[str, dict[str, Any]] = {
    "adversarial_training": dict(points=32, batch=16, width=8),
    "constrained_classifier": dict(batch=16, width=8),
    "gan_8_gaussians": dict(batch=16, width=8),
}
"""Sizes at which the laws of larger games are held."""

NEEDS: dict[str, str] = {"flax_critic": "flax"}
"""Games whose example is made with a library that the package does without."""

FILES = modules(games)


def variants(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each choice of literal arguments of a game's example, with a name for it."""
    hints = get_type_hints(FILES[name].example)
    choices = {key: get_args(hint) for key, hint in hints.items() if get_origin(hint) is Literal}
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        yield f"{name}({', '.join(f'{key}={value!r}' for key, value in chosen.items())})", chosen


VARIANTS = {label: (name, chosen) for name in FILES for label, chosen in variants(name)}
every_file = pytest.mark.parametrize("name", FILES)


@functools.cache
def case_of(variant: str) -> GameCase:
    name, chosen = VARIANTS[variant]
    return GameCase(
        functools.partial(FILES[name].example, **chosen, **SMALL.get(name, {})),
        options=REACHES.get(variant, {}),
    )


LAWS = [
    pytest.param(law, variant, id=f"{variant}-{law.name}")
    for variant in VARIANTS
    for law in game_laws
    if law.applies(case_of(variant))
]


@pytest.mark.parametrize("law, variant", LAWS)
def test_laws(law, variant):
    """Each law that is for it."""
    name, _ = VARIANTS[variant]
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    law(case_of(variant))


@every_file
def test_its_card_says_what_the_game_is(name):
    document = inspect.getdoc(FILES[name]) or ""
    missing = [entry for entry in CARD if f"**{entry}:**" not in document]
    assert not missing, f"the docstring of games/{name}.py lacks {missing}"


@every_file
def test_its_examples_run(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(FILES[name], optionflags=flags).failed == 0


@every_file
def test_each_parameter_of_its_example_has_a_default_a_type_and_a_line(name):
    example = FILES[name].example
    hints = get_type_hints(example)
    for parameter in inspect.signature(example).parameters.values():
        assert parameter.default is not parameter.empty, parameter
        assert parameter.name in hints, parameter
        assert f"- `{parameter.name}`:" in (inspect.getdoc(example) or ""), parameter
    assert hints["return"] is mm.Example
