"""Numbers that are known to a room of rounding, and the norms that are known so."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sparseopt.judging.rounding import TINY, above, below, gamma
from sparseopt.judging.scaling import ScaledArray

ROOMS = 3.0
"""Rooms of rounding with which a figure is stated; to check it demands one. See `Figure`."""
_LARGE = 1 << 21
"""Bytes above which an array is not copied as a whole."""
_ROW = 256


@dataclass(frozen=True)
class Figure:
    """A nonnegative number known to lie within `room` of `value`, in units of ``2**exponent``.

    Whoever states a figure keeps a distance of three rooms, whoever checks it demands one of his
    own. Two computations of one number, in any order of summation, differ by two rooms at most; so
    what was stated honestly on one machine is accepted on every other.

    Examples
    --------
    >>> from sparseopt.judging.figures import Figure
    >>> figure = Figure(1.0, 0.25)
    >>> round(figure.low(), 12), round(figure.high(3), 12)
    (0.75, 1.75)
    """

    value: float
    room: float
    exponent: int = 0

    def low(self, rooms: float = 1.0) -> float:
        """Return a float that is not above ``value - rooms room``, nor below 0."""
        least = self.value - rooms * self.room
        return ScaledArray(below(least), self.exponent).below() if 0.0 < least < math.inf else 0.0

    def high(self, rooms: float = 1.0) -> float:
        """Return a float that is not below ``value + rooms room``; infinity for no number.

        Exactly 0 if both are.
        """
        most = self.value + rooms * self.room
        if most == 0.0:
            return 0.0
        return ScaledArray(above(most, 2), self.exponent).above() if most < math.inf else math.inf


def sum_of_squares(array: np.ndarray) -> float:
    """Return the sum of the squared moduli of a float or complex array.

    Rows of at most 256 numbers are summed by dot products, at most 256 of these sums by additions,
    and the rest without error (`math.fsum`). So in double precision the result is off by
    gamma(514) of itself, and by what squares below 2^-1022 lose; other arrays are summed in their
    own precision. Not finite if an entry is not, or if squares overflow.
    """
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    ordered = array.transpose(axes)
    is_dense = ordered.flags.c_contiguous
    if not is_dense and ordered.ndim > 1 and array.nbytes > _LARGE:
        return _exact_sum(sum_of_squares(part) for part in ordered)
    is_row = ordered.ndim > 0 and _ROW // 4 <= ordered.shape[-1] <= _ROW // 2
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if not is_dense and is_row and ordered.strides[-1] == ordered.itemsize:
            rows = ordered.view(ordered.real.dtype)
            return _grouped_sum(np.vecdot(rows, rows).ravel())
        flat = np.ascontiguousarray(ordered).reshape(-1)
        flat = flat.view(flat.real.dtype)
        whole = flat.size - flat.size % _ROW
        rows, rest = flat[:whole].reshape(-1, _ROW), flat[whole:]
        return _exact_sum([_grouped_sum(np.vecdot(rows, rows)), float(np.dot(rest, rest))])


def _grouped_sum(sums: np.ndarray) -> float:
    """Return the sum of nonnegative floats, 256 by additions and then without error."""
    starts = range(0, sums.size, _ROW)
    return _exact_sum(np.add.reduceat(sums, starts).tolist()) if sums.size else 0.0


def _exact_sum(parts: Iterable[float]) -> float:
    """Return the sum of nonnegative floats, correctly rounded; infinity if it overflows."""
    try:
        return math.fsum(parts)
    except OverflowError:
        return math.inf


class NormSum:
    """Collects arrays of double precision; `figure` encloses their common Frobenius norm.

    The entries should be scaled, so that the norm is far above 2^-450: squares of up to 2^100
    entries that underflow change it by less than `TINY`. A norm of zero is recognised exactly.
    """

    def __init__(self) -> None:
        self._squares: list[float] = []
        self._is_zero = True
        self._terms = 0

    def add(self, array: np.ndarray) -> None:
        """Take an array in."""
        square = sum_of_squares(array)
        self._squares.append(square)
        self._is_zero = self._is_zero and square == 0.0 and not array.any()
        self._terms = max(self._terms, min(2 * array.size, 2 * _ROW))

    def figure(self) -> Figure:
        """Return the norm of all that was added."""
        if self._is_zero:
            return Figure(0.0, 0.0)
        value = math.sqrt(_exact_sum(self._squares))
        # A root halves the relative error of the sum, see `sum_of_squares`.
        return Figure(value, value * gamma(self._terms // 2 + 8) + TINY)
