"""Powers of two: they bring numbers into a range where squares are safe, without rounding.

Every factorization is scaled here before an engine sees it, and its factors are scaled back here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

# Where the mean square of the entries is above the first number and the sum of squares below the
# second, sums of fourth powers (products of inner products) neither overflow nor, in blocks that
# count, underflow: the target is taken as it is, without a copy.
_SAFE = {4: (2.0**-20, 2.0**50), 8: (2.0**-200, 2.0**300)}


def is_safe(squares: float, size: int, dtype: np.dtype[Any]) -> bool:
    """Whether numbers with this sum of squares, approximately, may be used as they are."""
    low, high = _SAFE[dtype.itemsize // (2 if dtype.kind == "c" else 1)]
    return low * size < squares < high


def largest_part(array: np.ndarray) -> float:
    """Return the largest magnitude of a real or imaginary part; no large temporary."""
    if array.size == 0:
        return 0.0
    if array.dtype.kind == "c":
        return max(largest_part(array.real), largest_part(array.imag))
    return max(float(array.max()), -float(array.min()))


def exponent_of(peak: float) -> int:
    """Return e with ``peak 2^-e`` in [1/2, 1); 0 for 0."""
    return math.frexp(peak)[1] if peak else 0


def times_power(array: Any, exponent: int) -> Any:
    """Return an array or tensor times 2**exponent; exact unless numbers leave the normal range.

    Two steps for large exponents, so that neither power overflows.
    """
    if exponent == 0:
        return array
    if -100 < exponent < 100:
        return array * 2.0**exponent
    half = exponent // 2
    with np.errstate(over="ignore", under="ignore"):
        return (array * 2.0**half) * 2.0 ** (exponent - half)


def spread_power(factors: Sequence[Any], exponent: int) -> tuple[Any, ...]:
    """Return factors whose product is 2**exponent times as large, the power shared evenly.

    So a product at the end of the range of its dtype has factors inside it.
    """
    count = len(factors)
    shares = [exponent * (i + 1) // count - exponent * i // count for i in range(count)]
    return tuple(times_power(f, share) for f, share in zip(factors, shares, strict=True))
