"""Numbers that are known to a room of rounding, and the norms that are known so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sparseopt.judging.rounding import TINY, above, below, gamma
from sparseopt.judging.scaling import ScaledArray

ROOMS = 3.0
"""Rooms of rounding with which a figure is stated; to check it demands one. See `Figure`."""
_CHUNK = 1 << 18
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
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return _exact_sum(_grouped(_row_sums(array)))


def _row_sums(array: np.ndarray) -> list[np.ndarray]:
    """Return the sums of squares of rows of at most 256 numbers, all entries in one of them."""
    if array.size == 0:
        return []
    ordered = array
    if array.flags.c_contiguous and array.size % _ROW == 0:
        rows = array.view(array.real.dtype).reshape(-1, _ROW)
        return [np.vecdot(rows, rows)]
    if not array.flags.c_contiguous:
        axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        ordered = array.transpose(axes)
    lead, run = ordered.ndim, ordered.itemsize
    while lead and (ordered.shape[lead - 1] == 1 or ordered.strides[lead - 1] == run):
        lead -= 1
        run *= ordered.shape[lead]
    run //= ordered.real.itemsize
    row = _row_length(run) if lead else _ROW
    if not row and array.nbytes > 8 * _CHUNK:
        return [sums for part in ordered for sums in _row_sums(part)]
    if not row:
        ordered, lead, row = np.ascontiguousarray(ordered), 0, _ROW
    numbers = ordered.reshape(*ordered.shape[:lead], -1).view(ordered.real.dtype)
    if lead:
        rows = numbers.reshape(*ordered.shape[:lead], -1, row)
        return [np.vecdot(rows, rows).ravel()]
    whole = numbers.size - numbers.size % row
    rows, rest = numbers[:whole].reshape(-1, row), numbers[whole:]
    return [np.vecdot(rows, rows), np.vecdot(rest, rest).reshape(1)]


@lru_cache(maxsize=256)
def _row_length(run: int) -> int:
    """Return the longest row, of 64 to 256 numbers, of which whole ones make a run; 0 if none."""
    return next((row for row in range(_ROW, _ROW // 4 - 1, -1) if run and run % row == 0), 0)


def _grouped(sums: Sequence[np.ndarray]) -> list[float]:
    """Return nonnegative numbers, added up 256 by 256."""
    if not sums:
        return []
    found = np.concatenate(sums)
    grouped: list[float] = np.add.reduceat(found, range(0, found.size, _ROW)).tolist()
    return grouped


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
        self._rows: list[np.ndarray] = []
        self._squares: list[float] = []
        self._is_zero = True
        self._terms = 0
        self._count = 0

    def add(self, array: np.ndarray) -> None:
        """Take an array in."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            rows = _row_sums(array)
        if self._is_zero:
            self._is_zero = not (any(sums.any() for sums in rows) or array.any())
        self._terms = max(self._terms, min(2 * array.size, _ROW))
        self._rows.extend(rows)
        self._count += sum(sums.size for sums in rows)
        if self._count > _CHUNK:
            self._squares.extend(_grouped(self._rows))
            self._rows, self._count = [], _ROW

    def figure(self) -> Figure:
        """Return the norm of all that was added."""
        if self._is_zero:
            return Figure(0.0, 0.0)
        value = math.sqrt(_exact_sum(self._squares + _grouped(self._rows)))
        # A root halves the relative error of the sum: that of a row, and of the sum of rows.
        terms = self._terms + min(self._count, _ROW)
        return Figure(value, value * gamma(terms // 2 + 8) + TINY)
