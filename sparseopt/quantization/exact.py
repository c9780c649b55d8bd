"""Exact sums and roundings of floating-point numbers, in integers and rationals."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np

from sparseopt.judging.rounding import float_above
from sparseopt.quantization.nearest import Grid


def _integers(values: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Return floats as integers times powers of two."""
    mantissas, exponents = np.frexp(values)
    return np.ldexp(mantissas, 53).astype(np.int64).tolist(), exponents.astype(np.int64) - 53


def dot(*vectors: np.ndarray, powers: np.ndarray | int = 0) -> Fraction:
    """Return the sum of the products of entries times ``2**powers``, exactly.

    About a microsecond an entry.
    """
    factors, exponents = zip(*map(_integers, vectors), strict=True)
    total = np.broadcast_to(np.sum(exponents, axis=0) + powers, vectors[0].shape).tolist()
    sums: dict[int, int] = defaultdict(int)
    for power, *terms in zip(total, *factors, strict=True):
        sums[power] += math.prod(terms)
    least = min(sums, default=0)
    return scaled(Fraction(sum(value << (p - least) for p, value in sums.items())), least)


def scaled(value: Fraction, exponent: int) -> Fraction:
    """Return ``value 2**exponent``."""
    return value * (1 << exponent) if exponent >= 0 else value / (1 << -exponent)


def exponent_of(value: Fraction) -> int:
    """Return e with ``2**e <= value < 2**(e + 1)``, for a positive number."""
    e = value.numerator.bit_length() - value.denominator.bit_length()
    return e if scaled(value, -e) >= 1 else e - 1


def rounded_multiples(
    rate: Fraction, values: np.ndarray, grid: Grid
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a grid nearest to a positive rational times positive floats, exactly.

    Returns
    -------
    numbers : ndarray of float64
        Integers up to ``2**digits``, or the largest number.
    powers : ndarray of int64
        The nearest are ``numbers * 2**powers``, which floats need not hold.
    """
    numbers, powers = [], []
    top, bottom = rate.numerator, rate.denominator
    largest = None if grid.largest == math.inf else Fraction(grid.largest)
    for whole, exponent in zip(*_integers(values), strict=True):
        value, e = top * whole, int(exponent)
        spacing = value.bit_length() - bottom.bit_length()
        spacing -= (value << max(-spacing, 0)) < (bottom << max(spacing, 0))
        spacing += e - grid.digits + 1
        if grid.lowest is not None:
            spacing = max(spacing, grid.lowest - grid.digits + 1)
        over = bottom << max(spacing - e, 0)
        count, rest = divmod(value << max(e - spacing, 0), over)
        count += 2 * rest > over or (2 * rest == over and count % 2)
        if largest is not None and scaled(Fraction(count), spacing) > largest:
            numbers.append(grid.largest)
            powers.append(0)
        else:
            numbers.append(float(count))
            powers.append(spacing)
    return np.array(numbers), np.array(powers, dtype=np.int64)


def root_above(value: Fraction) -> float:
    """Return a float that is hardly above the square root of a number that is not negative."""
    return float_above(_root(value, 1))


def root_below(value: Fraction) -> float:
    """Return a float that is hardly below the square root of a number that is not negative."""
    return 0.0 - float_above(-_root(value, 0))


def _root(value: Fraction, up: int) -> Fraction:
    """Return the square root, up or down, with more digits than a float has."""
    if value == 0:
        return value
    shift = 70 - exponent_of(value) // 2
    square = scaled(value, 2 * shift)
    root = math.isqrt(square.numerator // square.denominator)
    is_exact = root * root == square
    return scaled(Fraction(root + (0 if is_exact else up)), -shift)
