"""Good dual points from any: what certificates are built with, and nothing that judges them."""

from __future__ import annotations

import numpy as np

from sparseopt.interface.arrays import as_array, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.rounding import UNIT
from sparseopt.judging.scaling import exponent_of, largest_part, times_power
from sparseopt.supports.coercive import CoerciveBounds, Part
from sparseopt.supports.singular_values import singular_value_bounds


def fitting(judge: CoerciveBounds, point: np.ndarray) -> np.ndarray | None:
    """Return a dual point, on each component its best feasible multiple; None for zero.

    It is zero where a component has one rectangle only, whose bound needs none.

    Parameters
    ----------
    judge : CoerciveBounds
    point : array (m, n)
        In units of the target.
    """
    shape, exponent = judge.target.shape, 2 * judge.half
    point = as_array(point, "a dual point")
    if point.shape != shape:
        raise ProblemError(f"a dual point must have shape {shape}, got {point.shape}")
    require_finite(point, "the dual point")
    found = np.zeros(shape, np.complex128 if point.dtype.kind == "c" else np.float64)
    for part in judge.parts:
        if len(part.groups) > 1:
            z = np.where(part.cells, judge.scaled(point[part.place], -exponent), 0.0)
            found[part.place] += judge.scaled(best_multiple(judge, part, z), exponent)
    return found if found.any() else None


def best_multiple(judge: CoerciveBounds, part: Part, z: np.ndarray) -> np.ndarray:
    """Return the feasible multiple of Z with the largest lower bound, in scaled units.

    <A, t Z> - 1/2 |t Z|^2 is largest for t = <A, Z> / |Z|^2, cut off where the norm on a rectangle
    reaches the decay.
    """
    z = np.asarray(times_power(z, -exponent_of(largest_part(z))))
    square = float(np.vdot(z, z).real)
    if square == 0.0:
        return z
    norms = [float(singular_value_bounds(z[g.block], judge.room)[1][0]) for g in part.groups]
    most = judge.decay_low / max(norms) * (1.0 - 8.0 * UNIT)
    top = float(np.vdot(np.where(part.cells, judge.target[part.place], 0.0), z).real) / square
    return np.asarray(z * min(max(top, -most), most))
