"""Exact sums and roundings of floating-point numbers, in integers and rationals."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np

from sparseopt.judging.rounding import float_above
from sparseopt.quantization.nearest import Grid


def dot(*vectors: np.ndarray) -> Fraction:
    """Return the sum of the products of entries, exactly; about a microsecond an entry."""
    mantissas, exponents = zip(*(np.frexp(v) for v in vectors), strict=True)
    whole = [np.ldexp(m, 53).astype(np.int64).tolist() for m in mantissas]
    powers = np.sum(exponents, axis=0).tolist()
    sums: dict[int, int] = defaultdict(int)
    for power, *factors in zip(powers, *whole, strict=True):
        sums[power] += math.prod(factors)
    least = min(sums, default=0)
    total = sum(value << (power - least) for power, value in sums.items())
    return scaled(Fraction(total), least - 53 * len(vectors))


def scaled(value: Fraction, exponent: int) -> Fraction:
    """Return ``value 2**exponent``."""
    return value * (1 << exponent) if exponent >= 0 else value / (1 << -exponent)


def exponent_of(value: Fraction) -> int:
    """Return e with ``2**e <= value < 2**(e + 1)``, for a positive number."""
    e = value.numerator.bit_length() - value.denominator.bit_length()
    return e if scaled(value, -e) >= 1 else e - 1


def rounded(value: Fraction, grid: Grid) -> Fraction:
    """Return the number of a grid that is nearest to a number that is not negative."""
    if value == 0:
        return value
    e = exponent_of(value)
    spacing = (e if grid.lowest is None else max(e, grid.lowest)) - grid.digits + 1
    found = scaled(Fraction(round(scaled(value, -spacing))), spacing)
    return found if grid.largest == math.inf else min(found, Fraction(grid.largest))


def root_above(value: Fraction) -> float:
    """Return a float that is hardly above the square root of a number that is not negative."""
    return float_above(_root(value, 1))


def root_below(value: Fraction) -> float:
    """Return a float that is hardly below the square root of a number that is not negative."""
    return -float_above(-_root(value, 0))


def _root(value: Fraction, up: int) -> Fraction:
    """Return the square root, up or down, with more digits than a float has."""
    if value == 0:
        return value
    shift = 70 - exponent_of(value) // 2
    square = scaled(value, 2 * shift)
    root = math.isqrt(square.numerator // square.denominator)
    is_exact = root * root == square
    return scaled(Fraction(root + (0 if is_exact else up)), -shift)
