"""Floats as integers over one power of two: exact products, sums and comparisons."""

from __future__ import annotations

import numpy as np


def as_integers(*arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Return object arrays of Python's integers and e such that each array is integers 2**e.

    The arrays are finite and float64; e is as large as can be, so small integers stay small.

    Examples
    --------
    >>> as_integers(np.array([0.75, -2.0]))
    ([array([3, -8], dtype=object)], -2)
    """
    split = [_odd_parts(np.asarray(array, dtype=np.float64)) for array in arrays]
    least = [int(powers[whole != 0].min()) for whole, powers in split if whole.any()]
    exponent = min(least, default=0)
    return [_shifted(whole, powers - exponent) for whole, powers in split], exponent


def _odd_parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return odd int64 (or 0) and exponents with ``array = whole 2**exponent``."""
    mantissa, exponents = np.frexp(array)
    whole = (mantissa * 2.0**53).astype(np.int64)
    lowest = np.where(whole != 0, whole & -whole, 1)
    return whole // lowest, exponents.astype(np.int64) - 53 + np.log2(lowest).astype(np.int64)


def _shifted(whole: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    numbers = np.empty(whole.shape, dtype=object)
    flat = numbers.reshape(-1)
    for i, (number, shift) in enumerate(zip(whole.flat, shifts.flat, strict=True)):
        flat[i] = int(number) << int(shift) if number else 0
    return numbers
