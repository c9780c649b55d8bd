"""Which duality gap judges which penalty."""

from __future__ import annotations

from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.problem import SparseRegression


def gap_of(problem: SparseRegression, room: float = 1.0) -> DualityGap:
    """Return the evaluation of a problem's primal and dual."""
    return DualityGap(problem, room)
