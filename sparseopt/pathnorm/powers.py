"""Non-negative numbers with wide exponents, known to a relative error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.judging.rounding import FUNCTION, UNIT
from sparseopt.judging.scaling import ScaledArray

LEAST_ROOT = 1e-3
"""Roots of numbers from 1/2 on of at least this order are normal floats."""


@dataclass(frozen=True, eq=False)
class Powers(ScaledArray[np.ndarray]):
    """Non-negative numbers ``array * 2**exponent``, one per output entry.

    Parameters
    ----------
    array : float64 array
        In [1/2, 1), or 0.
    exponent : int64 array
        For each entry one.
    error : float
        What is stored is off by at most this much, relatively to the true number; infinite where
        nobody has bounded it.
    """

    error: float = math.inf

    @staticmethod
    def of(values: np.ndarray, exponent: int | np.ndarray = 0, error: float = math.inf) -> Powers:
        """Return ``values * 2**exponent``."""
        array, shift = np.frexp(values)
        powers = np.where(array > 0, shift.astype(np.int64) + exponent, 0)
        return Powers(array, powers, error)

    @staticmethod
    def of_log2(values: np.ndarray) -> Powers:
        """Return ``2**values``; -inf gives 0."""
        finite = np.isfinite(values)
        whole = np.where(finite, np.floor(np.where(finite, values, 0.0)), 0.0)
        part = np.where(finite, np.exp2(np.where(finite, values - whole, 0.0)), 0.0)
        return Powers.of(part, whole.astype(np.int64))

    @staticmethod
    def of_fractions(values: list[Fraction]) -> Powers:
        """Return rationals, rounded to 53 bits."""
        found = ScaledArray.split(np.array(values, dtype=object))
        return Powers.of(found.array, found.exponent, 2 * UNIT)

    def root(self, q: float) -> Powers:
        """Return the q-th roots; of q below 1/1000, which may underflow, with no bound."""
        if q == 1:
            return self
        whole = np.floor(self.exponent / q).astype(np.int64)
        rest = self.exponent - whole * q
        roots = np.power(self.array, 1.0 / q) * np.exp2(rest / q)
        # The exponent is split with an error of 2 u |exponent|; both functions, the product, and
        # the quotients 1 / q and rest / q are rounded.
        largest = float(np.abs(self.exponent).max(initial=0))
        own = 2 * FUNCTION + UNIT * (8 + (2 * largest + 8) / q) if q >= LEAST_ROOT else math.inf
        return Powers.of(roots, whole, added(_rooted(self.error, q), own))

    def log10(self) -> np.ndarray:
        """Return the decimal logarithms; -inf for 0."""
        with np.errstate(divide="ignore"):
            return np.log10(self.array) + self.exponent * math.log10(2.0)

    def log10_error(self) -> np.ndarray:
        """Return how far `log10` is at most from the logarithms of the true numbers."""
        # log(1 + d) and -log(1 - d) are at most 1.1 d for d up to 0.1.
        relative = self.error * 1.1 / math.log(10.0) if self.error <= 0.1 else math.inf
        return relative + FUNCTION * (1.0 + 0.31 * np.abs(self.exponent))

    def norm(self, r: float) -> Powers:
        """Return the r-norm of the numbers, as one number of shape ()."""
        positive = self.array > 0
        if not positive.any():
            return Powers.of(np.zeros(()), 0, self.error)
        flat, powers = self.array[positive], self.exponent[positive]
        largest = int(np.lexsort((flat, powers))[-1])
        top, above = flat[largest], int(powers[largest])
        if r == math.inf:
            return Powers.of(np.asarray(top), above, self.error)
        below = powers - above
        count = len(flat)
        # One unit for the ratio, raised to the power r; terms too small for float64, and for
        # r < 1 those below 2**-100, are lost without harm beside the largest, which is 1.
        with np.errstate(under="ignore"):
            if r >= 1:
                parts = np.ldexp(flat / top, np.maximum(below, -1100)) ** r
                own = FUNCTION + UNIT * (r + 4)
            else:
                parts = (flat / top) ** r * np.exp2(r * below)
                own = 2 * FUNCTION + UNIT * (r + 104)
        total = math.fsum(parts.tolist())
        own = _rooted(own + count * 2.0**-90, r)
        power = math.log2(total) / r
        whole = math.floor(power) if r < 1 else 0
        root = 2.0 ** (power - whole) if r < 1 else total ** (1.0 / r)
        own = added(own, FUNCTION * (2 + abs(power)) + UNIT * (4 + math.log(count) / r))
        return Powers.of(np.asarray(root * top), above + whole, added(self.error, own))

    def as_float(self) -> float:
        """Return the single number as a float; inf or 0.0 where float64 ends."""
        try:
            return math.ldexp(self.array.item(), self.exponent.item())
        except OverflowError:
            return math.inf

    def as_fraction(self) -> Fraction:
        """Return the single number that is stored as a rational."""
        return Fraction(self.array.item()) * Fraction(2) ** self.exponent.item()


def _rooted(error: float, q: float) -> float:
    """Return the relative error of a q-th root from that of its argument, rounded up."""
    if error >= 0.5:
        return math.inf
    return math.expm1(-math.log1p(-error) / q) * (1.0 + 16 * UNIT) + 2.0**-1000


def added(error: float, own: float) -> float:
    """Return the relative error of a computation with error `own` on numbers with `error`."""
    return error + own + error * own
