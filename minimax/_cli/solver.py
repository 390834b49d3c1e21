"""Which solver to run: the game's own, or one by name, with a step size."""

import dataclasses
import difflib
import inspect
import math
import re

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PyTree

import minimax as mm
from minimax import _tree
from minimax._players import as_players

_STEP_SIZES = ("optimizer", "step_size")
"""What solvers call the field that a step size goes into."""


def choose_solver(
    example: mm.Example, name: str | None, step_size: float | None
) -> mm.AbstractSolver | None:
    """The solver called `name`, or the example's own; `None` leaves the choice to `solve`.

    A solver that needs a step size and is given none gets 1/(2L), with L from `lipschitz_estimate`.

    **Raises:** `GameError` for a name that is no solver's, a solver that needs more than a step
    size, and a step size that is not positive or that the solver does not take.
    """
    if step_size is not None and not 0 < step_size < math.inf:
        raise mm.GameError(f"--step-size is {step_size}: expected a finite number > 0.")
    if name is None:
        return example.solver if step_size is None else _with_step_size(example.solver, step_size)
    solver = _solver_named(name)
    field = _step_size_field(solver)
    if field is None and step_size is not None:
        raise mm.GameError(f"{solver.__name__} takes no step size: leave --step-size out.")
    if field is None or (step_size is None and not _is_required(field)):
        return solver()
    if step_size is None:
        step_size = default_step_size(example.game, example.players, example.batch())
    return solver(**{field.name: step_size})


def default_step_size(game: mm.AbstractGame, players: PyTree, data: PyTree = None) -> float:
    """1/(2L), which is safe for extragradient and optimistic gradient where L is right; 1 where
    the operator does not change at all."""
    lipschitz = lipschitz_estimate(game, players, data)
    if not math.isfinite(lipschitz):
        raise mm.GameError(
            "no step size can be estimated, because the game's Jacobian is not finite at the "
            "start: give one with --step-size."
        )
    return 0.5 / lipschitz if lipschitz > 0 else 1.0


def lipschitz_estimate(
    game: mm.AbstractGame, players: PyTree, data: PyTree = None, iterations: int = 30
) -> float:
    r"""An estimate of the Lipschitz constant of the operator, $\|J(z)\|_2$ at these players.

    Power iteration on $J^\top J$ with products only. It is an estimate twice over: power iteration
    approaches $\|J(z)\|$ from below, and elsewhere the operator may change faster.
    """
    variables, rest = _tree.partition(as_players(players))
    leaves, structure = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    start = jax.tree.unflatten(
        structure,
        [jax.random.normal(key, x.shape, x.dtype) for key, x in zip(keys, leaves, strict=True)],
    )

    @jax.jit
    def estimate(variables: PyTree, direction: PyTree) -> jax.Array:
        _, multiply = jax.linearize(lambda z: game.operator(eqx.combine(z, rest), data), variables)
        multiply_transposed = jax.linear_transpose(multiply, variables)

        def normalised(direction: PyTree) -> PyTree:
            size = _tree.norm(direction)
            return _tree.scale(1 / jnp.where(size > 0, size, 1), direction)

        def iterate(_: ArrayLike, direction: PyTree) -> PyTree:
            return normalised(multiply_transposed(multiply(direction))[0])

        direction = jax.lax.fori_loop(0, iterations, iterate, normalised(direction))
        return _tree.norm(multiply(direction))

    return float(estimate(variables, start))


def _with_step_size(solver: mm.AbstractSolver | None, step_size: float) -> mm.AbstractSolver:
    """The game's own solver with another step size."""
    field = None if solver is None else _step_size_field(type(solver))
    if solver is None or field is None:
        own = "the default solver" if solver is None else f"the game's own {type(solver).__name__}"
        raise mm.GameError(
            f"{own} takes no step size: name one that does, for example --solver extra-gradient."
        )
    return dataclasses.replace(solver, **{field.name: step_size})


def _solver_named(name: str) -> type[mm.AbstractSolver]:
    known = {
        _plain(each.__name__): each
        for each in vars(mm).values()
        if inspect.isclass(each)
        and issubclass(each, mm.AbstractSolver)
        and not inspect.isabstract(each)
    }
    offered = {
        key: each
        for key, each in known.items()
        if all(map(_can_be_given, dataclasses.fields(each)))
    }
    if _plain(name) in offered:
        return offered[_plain(name)]
    if _plain(name) in known:
        raise mm.GameError(
            f"{known[_plain(name)].__name__} needs more than a step size: give it in example()."
        )
    close = difflib.get_close_matches(_plain(name), offered, n=1)
    hint = f" (did you mean {_with_hyphens(offered[close[0]].__name__)}?)" if close else ""
    names = ", ".join(sorted(_with_hyphens(each.__name__) for each in offered.values()))
    raise mm.GameError(f"there is no solver {name!r}{hint}: choose from {names}.")


def _can_be_given(field: dataclasses.Field) -> bool:
    return not _is_required(field) or field.name in _STEP_SIZES


def _step_size_field(solver: type[mm.AbstractSolver]) -> dataclasses.Field | None:
    fields = dataclasses.fields(solver)
    return next((field for field in fields if field.name in _STEP_SIZES), None)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _with_hyphens(name: str) -> str:
    """`ExtraGradient` as `extra-gradient`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
