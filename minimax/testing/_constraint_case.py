"""A constraint with what its laws need to know of it, and what they compute of it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import minimax as mm

USUAL_SHAPES = [(4,), (2, 3), (), (3, 3), (2, 2, 2)]


def fits(constraint: Any, shape: tuple[int, ...]) -> bool:
    """Whether leaves of this shape can be meant."""
    try:
        constraint.check(shape)
    except mm.GameError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class ConstraintCase:
    """A constraint, the shapes of the leaves it is tried on, and what is meant by it: how far a
    leaf misses the set, and the value of a regulariser, said independently of it."""

    constraint: Any  # an instance of mm.AbstractConstraint
    shapes: Sequence[tuple[int, ...]] | None = None
    violation: Callable[[Any, float], float] | None = None
    meant: Callable[[Any], float] | None = None

    def shape(self, which: int = 0) -> tuple[int, ...]:
        """The first few shapes that fit; few, because every new shape compiles."""
        shapes = self.fitting
        return shapes[which % len(shapes)]

    @functools.cached_property
    def fitting(self) -> list[tuple[int, ...]]:
        if self.shapes is not None:
            return list(self.shapes)
        fitting = [shape for shape in USUAL_SHAPES if fits(self.constraint, shape)][:3]
        assert fitting, f"{self.constraint} fits none of {USUAL_SHAPES}: say shapes=[...]"
        return fitting

    @functools.cached_property
    def small_shape(self) -> tuple[int, ...]:
        """Three entries, or a matrix of four."""
        if self.shapes is not None:
            return min(self.shapes, key=np.prod)
        return (3,) if fits(self.constraint, (3,)) else (2, 2)

    @property
    def a_small_and_a_large_shape(self) -> list[tuple[int, ...]]:
        large = [shape for shape in ((5000,), (72, 72)) if fits(self.constraint, shape)][:1]
        return [self.small_shape, *(large if self.shapes is None else [])]

    @property
    def a_matrix(self) -> tuple[int, ...]:
        return (2, 3) if self.shapes is None else self.small_shape

    @property
    def some_matrices(self) -> list[tuple[int, ...]]:
        return [(3,), (2, 3), (3, 2), (2, 2)] if self.shapes is None else [self.small_shape]

    def like(self, point: Any) -> Any:
        """The numbers as a leaf."""
        leaf = point if self.shapes is None else np.resize(point, self.small_shape)
        return jnp.asarray(leaf)

    def hard_leaf(self, hard: str, dtype: str) -> Any:
        """A hard point as a leaf: as it is, or as a small diagonal matrix; `None` where it has
        another length.

        Projections on unbounded sets can have larger entries than their arguments, hence the half.
        """
        point = hard_points(dtype)[hard]
        if hard == "largest" and is_set(self) and not is_compact(self):
            point = point / 2
        if self.shapes is not None:
            return jnp.asarray(np.resize(point, self.small_shape))
        leaf = point if fits(self.constraint, (3,)) else np.diag(point[:6])
        return jnp.asarray(leaf) if fits(self.constraint, leaf.shape) else None

    def miss(self, leaf: Any, size: float = 0.0) -> float:
        """By how much a leaf misses the set, relative to the size of the set, or where it has none
        to the `size` of the numbers that the leaf was computed from.

        Where nobody says what is meant, by how much projecting moves it.
        """
        if self.violation is not None:
            return self.violation(leaf, size)
        u = np.asarray(leaf, np.longdouble)
        again = np.asarray(project(self.constraint, jnp.asarray(leaf)), np.longdouble)
        return float(np.max(np.abs(again - u)) / max(1.0, size, float(np.max(np.abs(u)))))

    def value(self, u: Any) -> float:
        """g(u), as it is meant."""
        return self.meant(u) if self.meant else float(value(self.constraint, jnp.asarray(u)))


def anything(case: ConstraintCase) -> bool:
    return isinstance(case.constraint, mm.AbstractConstraint)


def is_set(case: ConstraintCase) -> bool:
    return isinstance(case.constraint, mm.AbstractSet)


def is_convex_set(case: ConstraintCase) -> bool:
    return is_set(case) and case.constraint.is_convex


def is_set_that_is_not_convex(case: ConstraintCase) -> bool:
    return is_set(case) and not case.constraint.is_convex


def is_compact(case: ConstraintCase) -> bool:
    return isinstance(case.constraint, mm.AbstractCompactSet)


def is_euclidean_set(case: ConstraintCase) -> bool:
    """The others have a distance of their own, and say so by a proximal step of their own."""
    return type(case.constraint).prox_step is mm.AbstractSet.prox_step


def is_regularizer(case: ConstraintCase) -> bool:
    return isinstance(case.constraint, mm.AbstractRegularizer)


def has_axis(case: ConstraintCase) -> bool:
    return hasattr(case.constraint, "axis")


def knows_tangent_cones(case: ConstraintCase) -> bool:
    unknown = mm.AbstractConstraint.project_on_tangent_cone
    return type(case.constraint).project_on_tangent_cone is not unknown


def is_convex_and_knows_tangent_cones(case: ConstraintCase) -> bool:
    return case.constraint.is_convex and knows_tangent_cones(case)


project = eqx.filter_jit(lambda constraint, point: constraint.project(point))
minimizer = eqx.filter_jit(lambda constraint, direction: constraint.linear_minimizer(direction))
stepped = eqx.filter_jit(lambda constraint, *args: constraint.prox_step(*args))
displaced = eqx.filter_jit(lambda constraint, *args: constraint.displacement(*args))
tangent = eqx.filter_jit(lambda constraint, *args: constraint.project_on_tangent_cone(*args))
gap = eqx.filter_jit(lambda constraint, *args: constraint.gap(*args))
divergence = eqx.filter_jit(lambda constraint, u, point: constraint.divergence(u, point))
jacobian_of = eqx.filter_jit(
    lambda constraint, point: jax.jacobian(lambda x: constraint.project(x))(point)
)
prox = eqx.filter_jit(lambda constraint, point, step: constraint.prox(point, step))
value = eqx.filter_jit(lambda constraint, point: constraint.value(point))
natural_map = eqx.filter_jit(lambda constraint, *args: constraint.natural_map(*args))
jacobian_of_prox = eqx.filter_jit(
    lambda constraint, point: jax.jacobian(lambda x: constraint.prox(x, 0.9))(point)
)


def prox_step(constraint, point, direction, step_size):
    """With the step size as an array, because every new Python number compiles."""
    return stepped(constraint, point, direction, jnp.asarray(step_size))


def displacement(constraint, point, direction, step_size):
    return displaced(constraint, point, direction, jnp.asarray(step_size))


def draw(seed: int, shape: tuple[int, ...], scale: float = 1.0, dtype: str = "float64"):
    return jnp.asarray(scale * np.random.default_rng(seed).normal(size=shape), dtype)


def inner(a, b) -> float:
    return float(np.sum(np.asarray(a, float) * np.asarray(b, float)))


def hard_points(dtype: str) -> dict[str, np.ndarray]:
    """Where projections go wrong: entries that are huge, tiny, equal, tied, signed zeros, alone."""
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    points = {
        "huge and tiny": [1e30, -1e30, 1e-30],
        "huge and equal": [1e30, 1e30, 1e30],
        "all hugely negative": [-1e30, -1e30, -2e30],
        "one hugely negative": [0.0, -1e30, 0.5],
        "largest": [largest, -largest, largest],
        "a third of the largest": [-0.3 * largest, -0.3 * largest, 0.3 * largest],
        "many of them": [0.0] + 7 * [-0.25 * largest],
        "subnormal": [smallest, -smallest, 0.0],
        "just normal": 3 * [float(np.finfo(dtype).tiny)],
        "tiny": [1e-30, 2e-30],
        "zeros": [0.0, -0.0, 0.0],
        "equal": 7 * [0.1],
        "tied": [1.0, 1.0, 0.0, 0.0, -5.0],
        "nearly tied": [1.0, 1.0 - np.finfo(dtype).eps, 1.0 + np.finfo(dtype).eps],
        "alone": [3.0],
        "alone and huge": [-1e30],
        "a ramp": list(np.linspace(-3, 3, 50)),
        "a geometric ramp": list(-(2.0 ** np.arange(60))),
    }
    return {name: np.asarray(point, dtype) for name, point in points.items()}
