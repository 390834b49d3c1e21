"""`solve`: check what was given, run the loop in one compiled call, and say how it went."""

import math
import os
import time
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from minimax import _loop, _tree
from minimax._called import check_calls
from minimax._check import check_fits, check_sample, check_sets
from minimax._checkpoint import Checkpoint, Keeper
from minimax._choose import choose_metric, choose_solver
from minimax._drive import Crew, drive
from minimax._errors import GameError, check_whole, is_known
from minimax._feed import Feed, is_iterable
from minimax._game import AbstractGame
from minimax._metrics.base import AbstractMetric
from minimax._players import as_players
from minimax._sampler import Sampler
from minimax._solution import Solution
from minimax._solvers.base import AbstractSolver, name_of, wrapped_by
from minimax._source import AbstractSource, Drawn, Fed, Fixed
from minimax._watch import AbstractWatcher, Bar, Callback, Caller

DEFAULT_TOL = {"float64": 1e-8, "float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-2}
"""What `tol=None` means, by the coarsest dtype among the players."""

_LARGE_TRACE = 2**30  # bytes

_SHORT_WORK = 10_000 * 8192
"""A run of no more work than this, in entries passed over, takes less than some seconds."""
_STEP_WORK = 4096
"""The work of a step that passes over nothing."""


def solve(
    game: AbstractGame,
    players: PyTree,
    solver: AbstractSolver | None = None,
    *,
    data: PyTree = None,
    key: PRNGKeyArray | None = None,
    max_steps: int | np.integer = 10_000,
    tol: ArrayLike | None = None,
    metric: AbstractMetric | None = None,
    record: int | np.integer | None = None,
    check_every: int | np.integer = 50,
    state: PyTree = None,
    time_limit: float | None = None,
    progress: bool = False,
    callback: Callback | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
) -> Solution:
    r"""Finds players at which none can improve: a saddle point, or an equilibrium.

    $$z^\star \in Z: \quad \langle F(z^\star), z - z^\star \rangle \ge 0 \quad \forall z \in Z.$$

    A pure JAX function: it works under `jit` and `vmap`, where a member of a batch that diverges or
    turns non-finite leaves the others untouched. The whole run is one compiled program, which new
    numbers in game, players, data, solver or `tol` do not recompile, nor another `max_steps` of the
    same remainder by `check_every`, where nothing is recorded and both runs are short, or both long
    enough to be interrupted. New functions do, and an optimizer that optax makes is two: make it
    once.

    **Arguments:**

    - `game`: an `AbstractGame`.
    - `players`: where to start; any pytree of floating-point arrays, Equinox and Flax NNX modules
      among them, projected on the constraints first. The answer has its structure and dtypes. What
      `mm.freeze` marks stays as it is; of NNX modules `nnx.Param` alone is moved, and what a step
      leaves in the other variables is carried along (`mm.WithState` does so for other players).
    - `solver`: the method. By default one with nothing to tune, which the solution names:
      `RestartedPDHG()` where the payoff's program proves it bilinear, and otherwise
      `AdaptiveExtraGradient()`.
    - `data`: handed to the payoff as its second argument, if given: any pytree, of which new
      numbers do not recompile. Or a `Sampler`, which draws a batch for every step. Or any iterable
      of batches that is no pytree: a generator, a `DataLoader`, an iterator over a list. What can
      be gone through again is, epoch after epoch. Batches are taken ahead of their use: a run that
      ends early has taken up to `check_every` more than it used.
    - `key`: the source of all randomness, for a `Sampler`. With an iterable the payoff is given
      pairs: a batch, and a key of its own.
    - `max_steps`: how many steps to make at most.
    - `tol`: what `metric` must reach. By default 1e-8 for float64, 1e-5 for float32 and 1e-2 for
      half precision; the coarsest dtype among the players counts. By default there is none
      where data are sampled: what a metric says of one batch is no verdict.
    - `metric`: what is measured, by default `NaturalResidual()`, and `TangentResidual()` where a
      set is not convex. The status is "converged" exactly when it is at most `tol` at the players
      returned.
    - `record`: keep every `record`-th iterate, with its value, residual and the solver's stats, in
      `Solution.trace`.
    - `check_every`: steps between two looks at the metric and at whether all is finite. With
      `record` it is replaced by the nearest divisor of `record`.
    - `state`: the `state` of an earlier solution of the same game, data and solver, to go on from
      there for up to `max_steps` further steps; `players` then only says what they look like. The
      steps of both runs are counted. With other data hand the earlier players over instead.
    - `time_limit`: seconds from the call on, those of compiling included, after which the next look
      is the last; there is always one.
    - `progress`: whether to show a progress bar, by tqdm where that is installed.
    - `callback`: a function that is called at every look, with a dict: steps, evaluations,
      residual, value, stats, players and seconds. The run ends where it raises `StopIteration`.
    - `checkpoint`: a folder, or a `Checkpoint`, to write to, and to go on from where it holds a
      checkpoint of the same call. An iterable is then gone through from its beginning.

    What the host does, iterables and the last four, is not for the inside of `jit` and `vmap`.

    A run that is not over at once can be stopped: the first Ctrl-C ends it at the next look with
    the status "interrupted" and all that was reached; the second raises `KeyboardInterrupt`.

    **Raises:** `GameError`, before anything compiles, where game, players and options do not fit
    together: what was expected, what came and where.

    ```python
    >>> import minimax as mm
    >>> game = mm.Game(lambda players: players[0] * players[1])
    >>> mm.solve(game, (1.0, 1.0), mm.ExtraGradient(0.5))
    Solution: converged after 150 steps of ExtraGradient
      residual     ... <= 1e-05 (NaturalResidual)
      value        ...
      steps        150
      evaluations  300

    ```
    """
    began = time.perf_counter()
    _check_options(solver, metric, tol, max_steps, record, check_every, time_limit)
    max_steps, check_every = int(max_steps), int(check_every)
    record = None if record is None else int(record)
    if isinstance(players, Solution):
        raise GameError("players are a Solution: expected its players, solution.players.")
    source, feed = _source_of(data, key, solver)
    if tol is None and not isinstance(source, Fixed):
        tol = -math.inf
    request = _Request(
        game,
        as_players(players),
        solver,
        metric,
        source,
        None if tol is None else _tree.as_array(tol),
        state,
    )
    _check_static(request._replace(state=None))
    if isinstance(game, AbstractGame) and is_known(*jax.tree.leaves(game)):
        check_sets(game, request.players)  # by their numbers, too, which are not known later
    if record is not None:
        _warn_of_large_trace(request.players, max_steps // record)
        check_every = _nearest_divisor(record, check_every)
    options = {"check_every": check_every, "record": record}
    keeper = None if checkpoint is None else _keeper(checkpoint, options)
    # A run that is kept may go on for longer, and then has looks where it would have had them.
    may_be_longer = keeper is not None or max_steps == 0
    looks = check_every if may_be_longer else min(check_every, max_steps)
    plan = _loop.Plan.of(max_steps, looks, record)
    watchers: list[AbstractWatcher] = [] if keeper is None else [keeper]
    if progress:
        watchers.append(Bar())
    if callback is not None:
        if not callable(callback):
            raise GameError(f"callback is {callback!r}: expected a function of one dict.")
        watchers.append(Caller(callback))
    deadline = math.inf if time_limit is None else began + time_limit
    crew = Crew(deadline, watchers, feed)
    if not crew.has_work and _is_short(request, plan):
        return _run_in_one_call(request, plan.inside()).trimmed()
    if is_known(*jax.tree.leaves(request), jnp.zeros(())):
        return _run_in_several_calls(request, plan, crew, keeper).trimmed()
    if crew.has_work:
        raise GameError(
            "time_limit, progress, callback, checkpoint and iterables of batches are the host's, "
            "and this is the inside of jit or vmap: leave them out; for data take an mm.Sampler."
        )
    return _run_in_one_call(request, plan.inside())


def _is_short(request: "_Request", plan: _loop.Plan) -> bool:
    """Whether a run is likely to be over before somebody could want to stop it."""
    entries = sum(leaf.size for leaf in jax.tree.leaves(request) if eqx.is_array(leaf))
    return plan.max_steps * (_STEP_WORK + entries) <= _SHORT_WORK


class _Request(NamedTuple):
    """What `solve` was given, besides how long it may run."""

    game: AbstractGame
    players: PyTree
    solver: AbstractSolver | None
    metric: AbstractMetric | None
    source: AbstractSource
    tol: Array | None
    state: PyTree


@eqx.filter_jit
def _run_in_one_call(request: _Request, plan: _loop.Plan) -> Solution:
    problem, start, reason = _prepared(request)
    return _reported(problem, _loop.run(problem, start, plan), reason)


def _run_in_several_calls(
    request: _Request, plan: _loop.Plan, crew: Crew, keeper: Keeper | None
) -> Solution:
    made, outcome, reason = _begun(request, plan.rows)
    problem = _loop.Problem(request.game, made.solver, made.metric, made.source, made.tol)
    if keeper is not None:
        outcome = keeper.restored(problem, outcome, plan)
    if crew.feed is not None:
        crew.feed.skip(int(outcome.now.progress.steps - outcome.first_step))
    return _reported(problem, drive(problem, outcome, plan, crew), reason)


class _Made(NamedTuple):
    """What a problem has besides what was given."""

    solver: AbstractSolver
    metric: AbstractMetric
    source: AbstractSource
    tol: Array


@eqx.filter_jit
def _begun(request: _Request, rows: int) -> tuple[_Made, _loop.Outcome, str | None]:
    problem, start, reason = _prepared(request)
    outcome = _loop.begin(problem, start, rows)
    # Copied, because the next call writes where these arrays are: they must not be the user's.
    outcome = jax.tree.map(lambda leaf: jnp.copy(leaf) if eqx.is_array(leaf) else leaf, outcome)
    made = _Made(problem.solver, problem.metric, problem.source, problem.tol)
    return made, outcome, reason


def _prepared(request: _Request) -> tuple[_loop.Problem, _loop.Progress, str | None]:
    """The problem with its defaults, which are compiled in and not made anew for every call; where
    it starts; and why its solver was chosen."""
    if isinstance(request.source, Drawn):
        check_sample(request.source.sampler, request.source.key)
    game, players, source = request.game, request.players, request.source.ready()
    data = source.seen()
    check_fits(game, players, data)
    metric = choose_metric(game, players) if request.metric is None else request.metric
    check_calls(type(metric).__name__, metric, _METRIC_CALLS)
    metric.check(game, players)
    if request.solver is None:
        solver, reason = choose_solver(game, players, data)
    else:
        solver, reason = request.solver, None
        _check_solver_calls(solver)
        solver.check(game, players, data)
    problem = _loop.Problem(game, solver, metric, source, _tolerance(request.tol, players))
    if request.state is None:
        return problem, problem.start(game.project(players)), reason
    return problem, _resumed(problem, players, request.state), reason


_METRIC_CALLS = {"check": "game, players", "__call__": "game, players, data=None"}

_SOLVER_CALLS = {
    "check": "game, players, data=None",
    "init": "game, players, data=None",
    "step": "game, players, state, data=None",
    "refine": "game, players, state, data=None",
    "evaluations": "steps, state",
    "output": "players, state",
    "stats": "state",
}


def _check_solver_calls(solver: AbstractSolver) -> None:
    check_calls(type(solver).__name__, solver, _SOLVER_CALLS)
    for inner in wrapped_by(solver):
        _check_solver_calls(inner)


def _reported(problem: _loop.Problem, outcome: _loop.Outcome, reason: str | None) -> Solution:
    last = outcome.now
    return Solution(
        players=problem.output(last.progress),
        value=last.value,
        residual=last.residual,
        tol=problem.tol,
        status_code=outcome.status,
        steps=last.progress.steps,
        evaluations=last.evaluations,
        trace=outcome.trace,
        state=last.progress,
        solver=name_of(problem.solver),
        reason=reason,
        metric=type(problem.metric).__name__,
    )


def _source_of(
    data: Any, key: Any, solver: AbstractSolver | None
) -> tuple[AbstractSource, Feed | None]:
    """Where the data come from, and who feeds them from the host."""
    if key is not None and not _is_key(key):
        raise GameError(f"key is {key!r}: expected one key, such as jax.random.key(0).")
    if not isinstance(data, Sampler) and not is_iterable(data):
        if key is not None:
            raise GameError(
                "key is given, and nothing draws: data are fixed. Give data=mm.Sampler(sample), "
                "or put the key into data."
            )
        return Fixed(_tree.floats_as_arrays(data)), None
    if solver is None or solver.chooses_step_size:
        name = "the default solver" if solver is None else name_of(solver)
        raise GameError(
            f"data are sampled, and {name} finds its step size by comparing what batch after batch "
            "makes incomparable: choose a solver with a step size or an optimizer, such as "
            "mm.ExtraGradient(optax.adam(1e-3, b1=0.5)) or mm.Averaged(mm.ExtraGradient(0.01))."
        )
    if solver.compares_points:
        raise GameError(
            f"data are sampled, and {name_of(solver)} compares how good points are, each of which "
            "it meets on another batch: take a solver that only moves, such as "
            "mm.ExtraGradient(optax.adam(1e-3, b1=0.5)) or mm.Averaged(mm.ExtraGradient(0.01))."
        )
    if solver.draws_batches:
        raise GameError(
            f"data are sampled, and {name_of(solver)} draws its own batches from data of which it "
            "compares the same rows at several points: give it all rows as data, or take "
            "mm.ExtraGradient(step_size)."
        )
    if isinstance(data, Sampler):
        if key is None:
            raise GameError("data are a Sampler, which needs a key: give key=jax.random.key(0).")
        return Drawn(data, key, solver.batches_per_step), None
    feed = Feed(data, solver.batches_per_step)
    return Fed(None, jax.tree.map(_tree.as_array, feed.first), key, solver.batches_per_step), feed


def _is_key(key: Any) -> bool:
    if not eqx.is_array(key):
        return False
    if _tree.is_key(key):
        return key.ndim == 0
    raw = jax.eval_shape(jax.random.PRNGKey, 0)
    return (key.shape, key.dtype) == (raw.shape, raw.dtype)


def _keeper(checkpoint: Any, options: dict[str, Any]) -> Keeper:
    if isinstance(checkpoint, (str, os.PathLike)):
        checkpoint = Checkpoint(checkpoint)
    if not isinstance(checkpoint, Checkpoint):
        raise GameError(
            f'checkpoint is {checkpoint!r}: expected a folder, such as "runs/first", or an '
            "mm.Checkpoint(folder, every=1000)."
        )
    return Keeper(checkpoint, options)


def _resumed(problem: _loop.Problem, players: PyTree, state: Any) -> _loop.Progress:
    """`state`, where it is one of this solver and of these players."""
    expected = eqx.filter_eval_shape(problem.start, players)
    if isinstance(state, Solution):
        raise GameError("state is a Solution: expected its state, state=solution.state.")
    if not isinstance(state, _loop.Progress) or _shapes(state) != _shapes(expected):
        raise GameError(
            f"state is no state of {name_of(problem.solver)} for these players: expected "
            "solution.state of an earlier solution of the same game with the same solver."
        )
    return state


def _shapes(tree: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(eqx.filter(tree, _has_shape))
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _has_shape(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _check_options(
    solver: Any,
    metric: Any,
    tol: Any,
    max_steps: Any,
    record: Any,
    check_every: Any,
    time_limit: Any,
) -> None:
    if not (solver is None or isinstance(solver, AbstractSolver)):
        raise GameError(
            f"solver is {solver!r}: expected a solver such as mm.ExtraGradient(0.1)" + _hint(solver)
        )
    if not (metric is None or isinstance(metric, AbstractMetric)):
        raise GameError(
            f"metric is {metric!r}: expected a metric such as mm.NaturalResidual()" + _hint(metric)
        )
    if not (tol is None or not is_known(tol) or _is_tolerance(tol)):
        raise GameError(f"tol is {tol!r}: expected one number >= 0.")
    if not (time_limit is None or _is_seconds(time_limit)):
        raise GameError(f"time_limit is {time_limit!r}: expected seconds, one number > 0, or None.")
    check_whole("max_steps", max_steps, least=0)
    check_whole("check_every", check_every)
    if record is not None:
        check_whole("record", record)
    counter = jnp.iinfo(jnp.result_type(int))
    most = counter.max // 4  # a step has a few evaluations, and those are counted as well
    if max_steps > most:
        raise GameError(
            f"max_steps is {max_steps}: expected at most {most}, since evaluations are counted in "
            f"{counter.bits} bits."
        )


def _tolerance(tol: Array | None, players: PyTree) -> Float[Array, ""]:
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(_tree.variables(players))]
    coarsest = max(dtypes, key=lambda dtype: jnp.finfo(dtype).eps)
    value = DEFAULT_TOL[coarsest.name] if tol is None else tol
    return jnp.asarray(value, jnp.promote_types(coarsest, jnp.float32))


def _hint(given: Any) -> str:
    """The rest of a message about something that is no solver or metric."""
    if isinstance(given, type):
        return ", an instance and not the class."
    if isinstance(given, optax.GradientTransformation):
        return "; an optax optimizer goes inside: mm.ExtraGradient(optimizer)."
    if eqx.is_array_like(given) or isinstance(given, (tuple, list, dict)):
        return "; all players are one pytree: mm.solve(game, (x, y))."
    return "."


def _check_static(given: PyTree) -> None:
    """Raises `GameError` for what is no array and cannot be compared with what came before, which
    is how a program is found that was compiled for it already."""
    for leaf in jax.tree.leaves(given):
        try:
            if not eqx.is_array(leaf):
                hash(leaf)
        except TypeError:
            raise GameError(
                f"{leaf!r} is neither an array nor hashable: give functions and objects that a "
                "game holds a __hash__ (a dataclass: frozen=True), or make them arrays."
            ) from None


def _is_tolerance(value: Any) -> bool:
    number = np.asarray(value)
    return number.ndim == 0 and number.dtype.kind in "fiu" and bool(number >= 0)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _nearest_divisor(record: int, check_every: int) -> int:
    """The divisor of `record` nearest to `check_every`, by ratio."""
    small = [d for d in range(1, math.isqrt(record) + 1) if record % d == 0]
    divisors = sorted({*small, *(record // d for d in small)})
    return min(divisors, key=lambda d: max(d / check_every, check_every / d))


def _warn_of_large_trace(players: PyTree, rows: int) -> None:
    row = sum(leaf.nbytes for leaf in jax.tree.leaves(_tree.variables(players)))
    if row * rows > _LARGE_TRACE:
        warnings.warn(
            f"the trace makes room for {rows} rows of {row} bytes, {row * rows / 2**30:.1f} GiB in "
            "all: raise record, or lower max_steps.",
            stacklevel=3,
        )
