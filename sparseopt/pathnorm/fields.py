"""What the fields of answers are converted to when an answer is built, from a file or not."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError


def as_float(value: Any, name: str) -> float:
    """Return a real number as a float; NaN and infinities are left to the check."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | np.number):
        raise ProblemError(f"{name} is a {type(value).__name__}; it must be a number")
    if isinstance(value, np.complexfloating):
        raise ProblemError(f"{name} is a complex number; it must be real")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_rational(value: Any, name: str) -> Fraction:
    """Return an exact rational number."""
    if isinstance(value, bool) or not isinstance(value, int | Fraction | np.integer):
        raise ProblemError(f"{name} holds a {type(value).__name__}; give int or Fraction")
    return Fraction(int(value.numerator), int(value.denominator))
