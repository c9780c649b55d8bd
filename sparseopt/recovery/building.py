"""Good dual points from any: what certificates are built with, and nothing that judges them."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.recovery.duality import DualityGap
from sparseopt.rounding import UNIT, two_product


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
