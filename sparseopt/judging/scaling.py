"""Arrays with a power of two: what brings numbers into a safe range, without rounding.

`ScaledArray` holds them; engines and judges of every capability share it, and nothing here loses a
digit, so neither can hide an error of the other. How sums are formed, and what they may lose, is
each one's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar, cast

import numpy as np

from sparseopt.judging.rounding import float_above

# Where the mean square of the entries is above the first number and the sum of squares below the
# second, sums of fourth powers (products of inner products) neither overflow nor, in blocks that
# count, underflow: the target is taken as it is, without a copy.
_SAFE = {4: (2.0**-20, 2.0**50), 8: (2.0**-200, 2.0**300)}
_ONE_STEP = 100
"""Powers of two that are normal numbers of every dtype."""

Entries = TypeVar("Entries", covariant=True)


@dataclass(frozen=True, eq=False)
class ScaledArray(Generic[Entries]):
    """Numbers ``array * 2**exponent``.

    Parameters
    ----------
    array : array, tensor or float
        Of any kind that is multiplied by floats.
    exponent : int, or int64 array
        One for all entries, or one for each.

    Examples
    --------
    >>> from sparseopt.judging.scaling import ScaledArray
    >>> ScaledArray(np.array([3.0, 0.5]), 4).under(1)
    array([24.,  4.])
    """

    array: Entries
    exponent: Any

    @staticmethod
    def split(values: Any) -> ScaledArray[np.ndarray]:
        """Return floats as they are, and exact numbers, of an object array, to 53 bits.

        These, which may be larger than any float, have exponents of their own.
        """
        # np.abs makes a number of an array without axes.
        values = np.asarray(values, dtype=object if isinstance(values, int) else None)
        if values.dtype != object:
            return ScaledArray(values.astype(np.float64, copy=False), 0)
        pairs = np.array([_split(Fraction(v)) for v in values.flat]).T.reshape(2, *values.shape)
        return ScaledArray(pairs[0], pairs[1].astype(np.int64))

    def under(self, exponent: int) -> Entries:
        """Return the entries in units of ``2**exponent``."""
        return cast(Entries, times_power(self.array, self.exponent - exponent))

    def above(self: ScaledArray[float]) -> float:
        """Return the least float that is not below the one number; NaN and infinity stay."""
        if self.exponent == 0 or not math.isfinite(self.array):
            return self.array
        return float_above(Fraction(self.array) * Fraction(2) ** int(self.exponent))

    def below(self: ScaledArray[float]) -> float:
        """Return the largest float that is not above the one number; NaN and infinity stay."""
        return 0.0 - ScaledArray(-self.array, self.exponent).above()  # not -0.0 for 0

    def at_most(self: ScaledArray[float], stated: float) -> bool:
        """Whether the one number is finite and at most a finite stated one, exactly."""
        return math.isfinite(stated) and -math.inf < self.above() <= stated

    def at_least(self: ScaledArray[float], stated: float) -> bool:
        """Whether the one number is finite and at least a finite stated one, exactly."""
        return math.isfinite(stated) and stated <= self.below() < math.inf


def _split(value: Fraction) -> tuple[float, int]:
    shift = value.numerator.bit_length() - value.denominator.bit_length()
    return float(value / Fraction(2) ** shift), shift


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


def times_power(array: Any, exponent: Any) -> Any:
    """Return an array or tensor times 2**exponent; exact unless numbers leave the normal range.

    One exponent for all or, for real arrays, one for each entry. Where one for all might overflow
    as a power of its own it takes several steps.
    """
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(array, exponent) if np.ndim(exponent) else _times_power(array, exponent)


def _times_power(array: Any, exponent: int) -> Any:
    if abs(exponent) > _ONE_STEP:
        return _times_power(_times_power(array, exponent // 2), exponent - exponent // 2)
    return array * 2.0**exponent if exponent else array


def times_power_not_to_zero(array: np.ndarray, exponent: int) -> np.ndarray:
    """Return doubles times 2**exponent, of which only those are 0 that were: what underflows to 0
    is the least number above it instead, so that a zero proves one."""
    try:
        with np.errstate(over="ignore", under="raise"):
            return np.asarray(_times_power(array, exponent))
    except FloatingPointError:
        scaled = np.array(times_power(array, exponent))
    parts = ("real", "imag") if scaled.dtype.kind == "c" else ("real",)
    for part in parts:
        new, old = getattr(scaled, part), getattr(array, part)
        new[(new == 0) & (old != 0)] = np.nextafter(0.0, 1.0)
    return scaled


def spread_power(factors: Sequence[Any], exponent: int) -> tuple[Any, ...]:
    """Return factors whose product is 2**exponent times as large, the power shared evenly.

    So a product at the end of the range of its dtype has factors inside it.
    """
    count = len(factors)
    shares = [exponent * (i + 1) // count - exponent * i // count for i in range(count)]
    return tuple(times_power(f, share) for f, share in zip(factors, shares, strict=True))
