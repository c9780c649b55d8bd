"""Good dual points from any: what certificates are built with, and nothing that judges them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import UNIT, two_product

_ROOM = 3.0
"""How many times over each bound of rounding is taken, see `DualityGap`."""


def best_multiple(
    target: np.ndarray, t: np.ndarray, norms: np.ndarray, limits: np.ndarray
) -> float:
    """Return the factor f for which D(f t) is largest among the feasible multiples of `t`.

    D(f t) is a parabola in f with its top at target.t / |t|^2, cut off where f times a block norm
    of ``A^T t`` reaches its limit. Plain arithmetic: feasible up to rounding.
    """
    square = float(t @ t)
    used = norms > 0
    with np.errstate(over="ignore"):
        room = float(np.min(limits[used] / norms[used], initial=np.inf))
    return min(max(float(target @ t) / square, -room), room) if square > 0 else 0.0


def _multiple(t: np.ndarray, factor: float) -> np.ndarray:
    """Return a dual point times a factor; one of two rows keeps twice the digits."""
    if len(t) == 1:
        return t * factor
    high, low = two_product(t[0], np.full(t.shape[1], factor))
    low += t[1] * factor
    total = high + low
    return np.stack([total, low - (total - high)])


def feasible_multiple(gap: DualityGap, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the feasible multiple of `t` with the largest dual objective, and its `reach`.

    Without a penalty it is `t` itself.

    Parameters
    ----------
    gap : DualityGap
    t : ndarray, shape (1, m) or (2, m)
        In scaled units.
    """
    if not gap.penalised:
        return t, gap.reach(t)
    if (largest := np.abs(t).max()) > 2.0**300:  # so that its square is a number
        t = t * math.ldexp(1.0, -math.frexp(largest)[1])
    reach = gap.reach(t)
    factor, shrink = best_multiple(gap.scaled.target, t[0], reach, gap.limits_low), 0.0
    if abs(factor - 1.0) <= 8.0 * UNIT and gap.feasible(reach).all():
        return t, reach
    # Rounding the multiple itself moves the correlations of large columns, so what is taken off
    # doubles until all constraints hold.
    while shrink < 1.0:
        point = _multiple(t, factor * (1.0 - shrink))
        reach = gap.reach(point)
        over = ~gap.feasible(reach)
        if not over.any():
            return point, reach
        excess = np.max(1.0 - gap.limits_low[over] / reach[over], initial=2.0 * UNIT)
        shrink = 2.0 * max(shrink, float(excess))
    point = np.zeros_like(t[:1])
    return point, gap.reach(point)


def best_evidence(
    problem: SparseRegression, x: np.ndarray, dual_points: Sequence[np.ndarray]
) -> tuple[Any, ...]:
    """Return what a certificate of `x` holds, see `DualityGapCertificate.build`.

    Returns
    -------
    x, dual_point, primal, dual, gap, undecided
        The coefficients, those set to zero that are proved to be; then the fields.
    """
    x, gap = np.array(x, dtype=np.float64), DualityGap(problem, _ROOM)
    if x.shape != problem.shape[1:] or not np.isfinite(x).all():
        raise ProblemError(f"x must be {problem.shape[1]} finite numbers, got shape {x.shape}")
    scaled = gap.scaled
    x = scaled.original_coefficients(scaled.coefficients(x))
    primal = gap.primal(scaled.coefficients(x))
    if not math.isfinite(primal.terms[0]):
        raise ProblemError("x is so large that the objective leaves the range of float64")
    points = [scaled.dual_point(_rows(t, problem.shape[0])) for t in dual_points]
    points = [t for t in points or [primal.residual[None]] if np.isfinite(t).all()]
    ready = [feasible_multiple(gap, t) for t in points or [np.zeros((1, problem.shape[0]))]]
    t, reach = ready[0]
    if len(ready) > 1:
        t, reach = max(ready, key=lambda item: gap.bounds(primal, item[0]).dual)
    while True:
        bounds = gap.bounds(primal, t)
        proved = gap.proved_zero(reach, bounds.gap)
        if not x[proved].any():
            break
        x[proved] = 0.0
        primal = gap.primal(scaled.coefficients(x))
    return (
        x,
        scaled.original_dual_point(t[0] if len(t) == 1 else t),
        scaled.original_above(bounds.primal),
        scaled.original_below(bounds.dual),
        scaled.original_above(bounds.gap),
        np.flatnonzero((x == 0) & ~proved),
    )


def _rows(point: np.ndarray, size: int) -> np.ndarray:
    """Return a dual point of shape (size,) or (2, size) with its rows, one or two."""
    rows = np.atleast_2d(np.asarray(point, dtype=np.float64))
    if rows.shape not in ((1, size), (2, size)):
        raise ProblemError(
            f"a dual point must have shape ({size},) or (2, {size}), got {np.shape(point)}"
        )
    return rows
