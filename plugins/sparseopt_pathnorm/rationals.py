"""Exact weights as floats, however large they are."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from sparseopt.pathnorm.powers import split


def as_floats(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (m, e) with absolute values ``m * 2**e`` up to rounding, and m at most 2.

    What is smaller than the largest by more than the range of float64 becomes 0.
    """
    pairs = [split(abs(Fraction(value))) for value in array.ravel().tolist()]
    common = max((e for m, e in pairs if m), default=0)
    values = [math.ldexp(m, max(e - common, -4000)) for m, e in pairs]
    return np.array(values).reshape(array.shape), common
