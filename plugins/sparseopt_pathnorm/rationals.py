"""Exact weights as floats, however large they are."""

from __future__ import annotations

import numpy as np

from sparseopt.pathnorm.powers import split


def as_floats(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (m, e) with absolute values ``m * 2**e`` up to rounding, and m at most 2.

    What is smaller than the largest by more than the range of float64 becomes 0.
    """
    m, e = split(np.abs(array))
    common = int(e[m > 0].max(initial=-(1 << 60))) if m.any() else 0
    return np.ldexp(m, np.maximum(e - common, -4000)), common
