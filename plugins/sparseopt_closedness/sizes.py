"""Which supports a solver takes: two factors or more, up to a size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

import sparseopt as so


def largest_pair(supports: Sequence[np.ndarray]) -> int:
    """Return the largest rows x terms x columns of two neighbours."""
    return max(int(a.shape[0] * b.shape[0] * b.shape[1]) for a, b in pairwise(supports))


def of_two(problem: so.Closedness, largest: float = math.inf) -> so.Accepted | so.Refused:
    """Accept pairs up to a size, see `largest_pair`."""
    if len(problem.supports) != 2:
        return so.Refused(f"it takes two factors, not {len(problem.supports)}")
    return _up_to(problem, largest)


def of_more(problem: so.Closedness, largest: float) -> so.Accepted | so.Refused:
    """Accept chains of more than two factors, no pair of neighbours beyond a size."""
    if len(problem.supports) <= 2:
        return so.Refused("it takes more than two factors")
    return _up_to(problem, largest)


def _up_to(problem: so.Closedness, largest: float) -> so.Accepted | so.Refused:
    size = largest_pair(problem.supports)
    if size > largest:
        return so.Refused(f"rows x terms x columns is {size:.1e}; it takes up to {largest:.0e}")
    return so.Accepted()
