# Traces are asked for where they are looked at.
# pyright: reportOptionalMemberAccess=false
"""Data that change from step to step: drawn inside the loop, or fed from the host."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import minimax as mm
from minimax._feed import Feed
from minimax._source import Drawn

ROLES = {"x": "min", "y": "max"}
GAME = mm.Game(lambda p, d: (p["x"] - d["b"]) @ p["y"] + 0.1 * (p["x"] @ p["x"]), ROLES)
NORMAL = mm.Sampler(lambda key: {"b": 1 + jax.random.normal(key, (2,))})
EG = mm.ExtraGradient(0.1)
BOTH = mm.ExtraGradient(0.1, samples="independent")
KEY = jax.random.key(7)


def start():
    return {"x": jnp.zeros(2), "y": jnp.zeros(2)}


def solve(data: Any = NORMAL, solver: Any = EG, key: Any = KEY, **changed: Any):
    options: dict[str, Any] = {"max_steps": 120, "check_every": 10} | changed
    return mm.solve(GAME, start(), solver, data=data, key=key, **options)


def fed(solver: Any = EG, **changed: Any):
    options: dict[str, Any] = {"data": batches(), "key": None} | changed
    return solve(solver=solver, **options)


def batches(number=10**6, size=2):
    rng = np.random.default_rng(0)
    return ({"b": 1 + rng.normal(size=size).astype("float32")} for _ in range(number))


def assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if jnp.issubdtype(jnp.asarray(a).dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


# Drawn --------------------------------------------------------------------------------------------


def test_no_batch_is_drawn_twice():
    """Not for two steps, not for two evaluations of one, and not for a look."""
    source = Drawn(mm.Sampler(jax.random.bits), KEY, 2).ready()
    drawn = jax.vmap(source.batch)(source.stream(jnp.int32(0), 200)).stacked
    assert len({*np.ravel(drawn), int(source.seen())}) == 401


def test_every_step_sees_the_next_batch():
    """A payoff that is linear shows its batches: descent steps are minus them."""
    game = mm.Game(lambda p, d: p[0] @ d, ("min", "max"))
    players, descent = (jnp.zeros(3), jnp.zeros(())), mm.GradientDescentAscent(1.0)
    normal = mm.Sampler(lambda key: jax.random.normal(key, (3,)))
    seen = mm.solve(
        game, players, descent, data=normal, key=KEY, max_steps=60, check_every=20, record=1
    )
    source = Drawn(normal, KEY, 1).ready()
    expected = jax.vmap(source.batch)(jnp.arange(60))
    np.testing.assert_allclose(-np.diff(seen.trace.players[0], axis=0), expected, atol=2e-6)


@pytest.mark.parametrize("solver", [EG, BOTH], ids=["same", "independent"])
def test_extragradient_by_hand_with_one_batch_or_two(solver):
    """The second evaluation of a step sees the batch of the first one, or its own."""
    source = Drawn(NORMAL, KEY, solver.batches_per_step).ready()
    data = jax.vmap(source.batch)(jnp.arange(30))
    drawn = data.stacked["b"] if solver is BOTH else jnp.stack([data["b"], data["b"]], axis=1)
    operator = jax.jit(lambda z, d: GAME.operator(z, d))
    z = start()
    for first, second in drawn:
        w = jax.tree.map(lambda a, d: a - 0.1 * d, z, operator(z, {"b": first}))
        z = jax.tree.map(lambda a, d: a - 0.1 * d, z, operator(w, {"b": second}))
    found = solve(solver=solver, max_steps=30)
    np.testing.assert_allclose(found.players["x"], z["x"], rtol=2e-5)
    np.testing.assert_allclose(found.players["y"], z["y"], rtol=2e-5)


def test_the_same_batch_damps_a_rotation_that_independent_ones_do_not():
    """Finite sums of bilinear games around one solution: with one batch per step extragradient
    converges for every batch's own game; with two the noise of the look ahead is a random matrix
    that the players are multiplied by."""
    matrices = jnp.asarray(np.random.default_rng(1).normal(size=(20, 3, 3)), "float32")
    game = mm.Game(lambda p, matrix: p[0] @ matrix @ p[1])
    one = mm.Sampler(lambda key: jax.random.choice(key, matrices))
    size = {}
    for samples in ("same", "independent"):
        solver = mm.ExtraGradient(0.1, samples=samples)
        players = (jnp.ones(3), jnp.ones(3))
        found = mm.solve(game, players, solver, data=one, key=KEY, max_steps=4000)
        size[samples] = float(jnp.linalg.norm(jnp.stack(found.players)))
    assert size["same"] < 0.5 < 5 < size["independent"]


def test_one_key_is_one_run_to_the_bit():
    assert_equal(solve(record=10), solve(record=10))
    assert_equal(solve(record=10), solve(record=10, time_limit=1e9))
    assert not np.array_equal(solve().players["x"], solve(key=jax.random.key(8)).players["x"])


@pytest.mark.parametrize("solver", [EG, BOTH, mm.Averaged(EG)], ids=["one", "two", "averaged"])
def test_a_resumed_run_is_the_whole_run(solver):
    half = solve(solver=solver, max_steps=60)
    assert_equal(
        solve(solver=solver, max_steps=60, state=half.state).state, solve(solver=solver).state
    )


def test_a_batch_of_keys_is_a_batch_of_runs():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: solve(key=key).players["x"])(keys)
    alone = [solve(key=key).players["x"] for key in keys]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_sampler_may_hold_arrays_that_are_no_constants(monkeypatch):
    """New numbers do not trace again."""
    traces = []

    def draw(table, key):
        traces.append(1)
        return {"b": jax.random.choice(key, table)}

    table = jnp.ones((4, 2))
    first = solve(mm.Sampler(jax.tree_util.Partial(draw, table)))
    count = len(traces)
    second = solve(mm.Sampler(jax.tree_util.Partial(draw, 2 * table)))
    assert len(traces) == count
    assert second.players["x"][0] > first.players["x"][0]


def test_looks_are_at_one_batch_and_pass_no_verdict():
    """The residual falls because the players move: with players that stay it is one number."""
    still = solve(solver=mm.GradientDescentAscent(0.0), record=10)
    assert len(set(still.trace.residual.tolist())) == 1
    assert still.status == "max_steps" and still.tol == -np.inf
    assert "(NaturalResidual, on one batch)" in repr(still) and "where data are" in repr(still)
    assert solve(tol=100.0).status == "converged"


# Fed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [EG, BOTH], ids=["same", "independent"])
def test_batches_of_the_host_in_their_order(solver):
    """A loop by hand over the same iterable; 33 steps are not a multiple of a look."""
    stream, z, state = batches(), start(), None
    state = solver.init(GAME, z)
    step = jax.jit(lambda z, state, data: solver.step(GAME, z, state, data))
    for _ in range(33):
        taken = list(itertools.islice(stream, solver.batches_per_step))
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *taken)
        data = mm.IndependentBatches(stacked) if solver is BOTH else taken[0]
        z, state = step(z, state, data)
    found = fed(solver=solver, max_steps=33)
    assert found.steps == 33 and found.status == "max_steps"
    np.testing.assert_allclose(found.players["x"], z["x"], rtol=1e-5)


def test_a_chunk_more_or_less_is_the_same_run():
    assert_equal(fed().players, fed(check_every=7).players)


def test_no_batch_is_taken_that_is_not_needed():
    """Whoever goes on with the iterator finds the next one."""
    stream = batches()
    fed(data=stream, max_steps=33)
    expected = list(itertools.islice(batches(), 34))[-1]
    np.testing.assert_array_equal(next(stream)["b"], expected["b"])


def test_going_on_with_the_same_iterator_is_the_whole_run():
    stream = batches()
    half = fed(data=stream, max_steps=60)
    assert_equal(fed(data=stream, max_steps=60, state=half.state).players, fed().players)


def test_an_iterator_ends_and_what_can_be_gone_through_again_does_not():
    """17 batches: one epoch is 17 steps, and of independent ones half as many."""

    class Loader:
        def __iter__(self):
            return iter(epoch)

    epoch = list(batches(17))
    once = fed(data=iter(epoch))
    assert once.status == "exhausted" and once.steps == 17 and "batches are used" in once.message
    assert fed(solver=BOTH, data=iter(epoch)).steps == 8
    again = fed(data=Loader())
    assert again.status == "max_steps" and again.steps == 120
    assert_equal(again.players, fed(data=itertools.cycle(epoch)).players)


def test_with_a_key_every_step_has_noise_of_its_own():
    game = mm.Game(lambda p, d: p[0] @ (d[0]["b"] + jax.random.normal(d[1], (2,))))
    players, descent = (jnp.zeros(2), jnp.zeros(())), mm.GradientDescentAscent(1.0)
    seen = mm.solve(game, players, descent, data=batches(), key=KEY, max_steps=30, record=1)
    of_steps, _ = jax.random.split(KEY)
    noise = [jax.random.normal(jax.random.fold_in(of_steps, step), (2,)) for step in range(30)]
    data = [batch["b"] for batch in batches(30)]
    expected = np.array(data) + np.array(noise)
    np.testing.assert_allclose(-np.diff(seen.trace.players[0], axis=0), expected, atol=1e-5)


def test_whatever_numpy_can_read_is_a_batch():
    """As tensors of other libraries can be, in the lists that their loaders make."""

    class Tensor:
        def __init__(self, array):
            self._array = array

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self._array, dtype)

    game = mm.Game(lambda p, d: (p[0] - d[0]) @ p[1] + 0.1 * p[0] @ p[0] + 0 * d[1])
    stream = ([Tensor(batch["b"]), 3] for batch in batches())
    players = (jnp.zeros(2), jnp.zeros(2))
    found = mm.solve(game, players, EG, data=stream, max_steps=120, check_every=10)
    np.testing.assert_allclose(found.players[0], fed().players["x"], rtol=1e-5)


def test_what_goes_wrong_in_an_iterable_is_its_own_error():
    """After all that came before it was used: whoever watches has seen it."""

    def breaking():
        yield from batches(25)
        raise OSError("the disk is gone")

    looks = []
    with pytest.raises(OSError, match="the disk is gone"):
        fed(data=breaking(), callback=lambda look: looks.append(look["steps"]))
    assert looks == [10, 20]


@pytest.mark.usefixtures("as_users_run_it")
class TestRefusals:
    def test_batches_of_different_shapes(self):
        uneven = itertools.chain(batches(5), batches(1, size=1))
        with pytest.raises(mm.GameError, match=r"batch 5 of data is .*\[1\].*\[2\].*drop_last"):
            fed(data=uneven)

    def test_no_batches_at_all(self):
        with pytest.raises(mm.GameError, match="without batches"):
            fed(data=iter([]))

    def test_batches_that_are_no_numbers(self):
        with pytest.raises(mm.GameError, match=r"a batch of data\['b'\] is 'seven'"):
            fed(data=iter([{"b": "seven"}]))

    @pytest.mark.parametrize("solver", [None, mm.AdaptiveExtraGradient(), mm.RestartedPDHG()])
    def test_solvers_that_compare_residuals(self, solver):
        with pytest.raises(mm.GameError, match="data are sampled, and .* choose a solver with"):
            solve(solver=solver)

    @pytest.mark.parametrize(
        "wrapper", [mm.SemismoothNewton, mm.Restarted, mm.BestSoFar, mm.Anderson]
    )
    def test_solvers_that_compare_points(self, wrapper):
        """Newton's method would solve the batch of the looks, and not the game."""
        for solver in (wrapper(mm.ExtraGradient(0.1)), mm.Averaged(wrapper(mm.ExtraGradient(0.1)))):
            with pytest.raises(mm.GameError, match="data are sampled, and .* take a solver that"):
                solve(solver=solver)

    @pytest.mark.parametrize(
        ("sample", "message"),
        [
            (lambda: 0.0, r"sample of the Sampler raised TypeError.*takes a key and returns"),
            (lambda key: None, r"sample of the Sampler returned None: expected a batch"),
            (lambda key: float(jax.random.normal(key)), r"raised Concret.*jax\.numpy instead"),
        ],
    )
    def test_samplers_that_draw_nothing(self, sample, message):
        with pytest.raises(mm.GameError, match=message):
            solve(data=mm.Sampler(sample))

    def test_a_sampler_without_a_key_and_a_key_without_a_sampler(self):
        with pytest.raises(mm.GameError, match=r"needs a key: give key=jax.random.key\(0\)"):
            solve(key=None)
        with pytest.raises(mm.GameError, match="nothing draws"):
            solve(data={"b": jnp.ones(2)})
        with pytest.raises(mm.GameError, match="key is 3: expected one key, such as"):
            solve(key=3)
        for several in (jax.random.split(KEY, 3), jnp.zeros(3, "uint32")):
            with pytest.raises(mm.GameError, match="expected one key, such as"):
                solve(key=several)

    def test_a_method_that_needs_all_rows(self):
        solver = mm.VarianceReducedExtraGradient(0.1)
        for each in (solver, mm.ExponentialMovingAverage(solver)):
            with pytest.raises(mm.GameError, match="draws its own batches from data"):
                solve(solver=each)

    def test_a_sampler_where_one_batch_is_meant(self):
        for function in (mm.check_game, mm.certify):
            with pytest.raises(mm.GameError, match="data are a Sampler: one batch is meant here"):
                function(GAME, start(), NORMAL)

    def test_a_list_of_batches(self):
        with pytest.raises(mm.GameError, match=r"batches are given as iter\(list\)"):
            solve(data=[{"b": jnp.ones(2)}] * 3, key=None)

    def test_a_key_in_a_batch(self):
        with pytest.raises(mm.GameError, match="is a key: give key=... to solve"):
            fed(data=iter([{"b": KEY}]))

    def test_an_iterable_inside_jit(self):
        with pytest.raises(mm.GameError, match="iterables of batches.*inside of jit"):
            jax.jit(lambda z: mm.solve(GAME, z, EG, data=batches()).players)(start())

    def test_samples_of_another_name(self):
        with pytest.raises(mm.GameError, match="samples is 'both'"):
            mm.ExtraGradient(0.1, samples="both")  # pyright: ignore[reportArgumentType]

    def test_what_cannot_sample(self):
        with pytest.raises(mm.GameError, match="sample is 3: expected a function"):
            mm.Sampler(3)  # pyright: ignore[reportArgumentType]


class Resetting:
    """A loader that begins anew when it is asked for an iterator, and is that itself."""

    def __init__(self, number):
        self.number, self.at = number, 0

    def __iter__(self):
        self.at = 0
        return self

    def __next__(self):
        if self.at == self.number:
            raise StopIteration
        self.at += 1
        return np.float32(self.at)


@pytest.mark.parametrize("loader", [Resetting(5), range(1, 6)], ids=["itself", "another"])
def test_a_loader_is_gone_through_in_epochs(loader):
    """Batch after batch, also where a loader is its own iterator."""
    steps, stacked = Feed(loader).collect(12)
    assert steps == 12
    np.testing.assert_array_equal(stacked, [1, 2, 3, 4, 5] * 2 + [1, 2])


def test_batches_may_be_empty_where_a_key_draws():
    game = mm.Game(lambda p, d: p[0] * jax.random.normal(d[1]), ("min", "max"))
    made = mm.solve(
        game, (0.0, 0.0), EG, data=itertools.repeat(None), key=KEY, max_steps=20, check_every=10
    )
    assert made.steps == 20 and made.players[0] != 0


def test_a_feed_passes_over_what_was_used():
    feed = Feed(batches(40), per_step=2)
    feed.skip(3)
    steps, stacked = feed.collect(5)
    assert steps == 5
    expected = [batch["b"] for batch in batches(16)][6:]
    np.testing.assert_array_equal(stacked["b"].reshape(10, 2), expected)


def test_an_exact_zero_on_one_batch_is_no_solution():
    """As sparse and hinge losses have it: the first look must not end the run."""
    game = mm.Game(lambda p, d: d * ((p[0] - 3) ** 2 - (p[1] - 1) ** 2))
    zeros = itertools.chain([np.float32(0)], itertools.repeat(np.float32(1)))
    found = mm.solve(game, (0.0, 0.0), EG, data=zeros, max_steps=200)
    assert found.status == "max_steps"
    np.testing.assert_allclose(found.players, (3, 1), rtol=1e-3)


def test_a_loader_may_reuse_its_buffer():
    def reusing():
        buffer = np.zeros(3, "float32")
        for number in range(1, 61):
            buffer[...] = number
            yield buffer

    game = mm.Game(lambda p, d: jnp.mean(d) * p[0] + 0 * p[1])
    descent = mm.GradientDescentAscent(1.0)
    found = mm.solve(game, (0.0, 0.0), descent, data=reusing(), max_steps=60)
    assert found.players[0] == -sum(range(1, 61))
