"""What a certificate states after a rough search, from what the search knows already.

All figures are in plain arithmetic, with margins far above what rounding takes and far below what
was asked; the judge, who trusts none of them, finds sharper bounds of his own. Where the margins
would count, there is no such certificate, and `sparseopt.inverse.building` makes one with care.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.inverse.building import Evidence
from sparseopt.inverse.duality import ROUGH
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import UNIT, above

_MARGIN = 1.0 + 2.0**-40
_MOST = 0.1
"""Margins are at most that share of what was asked."""


def quick_evidence(
    problem: SparseRegression,
    x: np.ndarray,
    primal: float,
    t: np.ndarray,
    correlation: np.ndarray,
    asked: float,
) -> Evidence | None:
    """Return evidence for the coefficients of a lasso, or None if it is not that simple.

    Parameters
    ----------
    problem : SparseRegression
        Real, without weights of rows, with blocks of one.
    x : ndarray, shape (n,)
        In scaled units, as all that follows.
    primal : float
        The objective there.
    t : ndarray, shape (m,)
        A dual point, feasible up to rounding.
    correlation : ndarray, shape (n,)
        Of the columns with it.
    asked : float
        The accuracy.
    """
    scaled = problem.scaled()
    norms, limits, target = scaled.column_norm_bounds, scaled.limits, scaled.target
    square, along = float(t @ t), float(target @ t)
    spread = float(np.abs(x) @ norms)
    # Twice and more what both the search and the judge may lose: in sums, in P, and in D.
    share = 8.0 * (len(target) + np.count_nonzero(x) + 64) * UNIT
    off = 2.0 * share * (float(target @ target) + spread * spread + square)
    if not off <= _MOST * asked * primal:
        return None
    size = np.abs(correlation) + share * math.sqrt(square) * norms
    excess = float((size / limits).max()) * _MARGIN
    if excess > 1.0 + 2.0**-20:
        return None
    if excess > 1.0:
        t, size, along, square = t / excess, size / excess, along / excess, square / excess**2
    dual = along - 0.5 * square
    gap = max(primal - dual + 2.0 * off, 1.01 * ROUGH * (primal + off)) * _MARGIN
    if not gap <= 0.99 * asked * (primal - off):
        return None
    proved = (size + norms * math.sqrt(2.0 * gap)) * _MARGIN < limits
    own, undecided = scaled.original_coefficients(x), ((x == 0.0) & ~proved).nonzero()[0]
    if x[proved].any() or not (scaled.coefficients(own) == x).all():
        return None
    if len(undecided) and 2.0 * off > ROUGH * primal:  # sharper bounds may prove them zero
        return None
    return Evidence(
        own,
        scaled.original_dual_point(t),
        scaled.original_above(primal + off),
        scaled.original_below(max(dual - off, 0.0)),
        scaled.original_above(gap),
        undecided,
        above(gap / (primal - off), 4),
    )
