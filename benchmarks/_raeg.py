"""Restarted averaged extragradient with backtracking in plain NumPy: what the default is held to.

The method as it was first tried out, written for vectors, without the care that a library takes:
it counts evaluations of F, and nothing else.
"""

from collections.abc import Callable

import numpy as np

Vector = np.ndarray
Map = Callable[[Vector], Vector]


def evaluations(F: Map, project: Map, start: Vector, relative: float, most: int) -> int | None:
    """How many evaluations until the natural residual is `relative` times that of the start; `None`
    where `most` are not enough."""
    calls = 0

    def operator(z: Vector) -> Vector:
        nonlocal calls
        calls += 1
        return F(z)

    def residual(z: Vector, Fz: Vector, eta: float = 1.0) -> float:
        return float(np.linalg.norm(z - project(z - eta * Fz)) / eta)

    z = project(start)
    Fz = operator(z)
    goal = relative * residual(z, Fz)
    aside = z - 1e-4 * max(1.0, float(np.linalg.norm(z))) * Fz / np.linalg.norm(Fz)
    changed = float(np.linalg.norm(operator(aside) - Fz))
    eta = 0.9 * float(np.linalg.norm(aside - z)) / max(changed, 1e-300)
    best, best_z, best_F, cautious = residual(z, Fz, eta), z, Fz, False
    epoch_start, total, steps, weight, average = best, 0, 0, 0.0, np.zeros_like(z)
    while calls < most:
        if residual(z, Fz) <= goal:
            return calls
        while True:
            w = project(z - eta * Fz)
            Fw = operator(w)
            moved = float(np.linalg.norm(w - z))
            q = eta * float(np.linalg.norm(Fw - Fz)) / moved if moved > 0 else 0.0
            if q <= 0.9 or calls >= most:
                break
            eta *= 0.7 * min(1.0, 1 / q) if np.isfinite(q) else 0.1
        if cautious:
            d = (z - w) - eta * (Fz - Fw)
            alpha = -0.45 + (z - w) @ d / max(d @ d, 1e-300)
            z = project(z - 0.5 * alpha * d)
        else:
            z = project(z - eta * Fw)
        average = average + eta * w
        weight, steps, total = weight + eta, steps + 1, total + 1
        if q < 0.45:
            eta *= 1.2
        Fz = operator(z)
        if steps % 20 == 0:
            mean = average / weight
            F_mean = operator(mean)
            here, there = residual(z, Fz, eta), residual(mean, F_mean, eta)
            u, Fu, r = (z, Fz, here) if here <= there else (mean, F_mean, there)
            if not np.isfinite(here) or here > 100 * best:
                z, Fz, cautious = best_z, best_F, True
                restarts, epoch_start = True, best
            else:
                restarts = r <= 0.2 * epoch_start or (
                    total > 200 and steps > total / 2 and r <= 0.9 * epoch_start
                )
                if r < best:
                    best, best_z, best_F = r, u, Fu
                if restarts:
                    z, Fz, epoch_start = u, Fu, r
            if restarts:
                steps, weight, average = 0, 0.0, np.zeros_like(z)
    return None
