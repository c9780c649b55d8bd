"""What the fields of answers are converted to when an answer is built, from a file or not."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError


def as_rational(value: Any, name: str) -> Fraction:
    """Return an exact rational number."""
    if isinstance(value, bool) or not isinstance(value, int | Fraction | np.integer):
        raise ProblemError(f"{name} holds a {type(value).__name__}; give int or Fraction")
    return Fraction(int(value.numerator), int(value.denominator))
