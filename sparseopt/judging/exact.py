"""Exact linear algebra: one elimination over the rationals, one modulo a prime."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

PRIME = 2_147_483_629
"""The largest prime below 2^31 - 1: products of residues stay below 2^62."""


PANEL = 64
"""Rows that are eliminated together."""


def of_python(value: Any) -> Fraction:
    """Return an integer or rational as a Fraction of Python's integers: NumPy's wrap around."""
    return Fraction(int(value.numerator), int(value.denominator))


def is_exact(value: Any) -> bool:
    """Whether a value is an int, or a Fraction of Python's integers."""
    return isinstance(value, int | Fraction) and {*map(type, value.as_integer_ratio())} == {int}


def eliminate(rows: list[list[Any]], columns: int) -> list[int]:
    """Bring rows of ints and Fractions to reduced echelon form over some columns, in place.

    Returns the pivots among the first `columns`; row number i holds pivot number i. Rows without
    one are left with a positive multiple of what remains of them. O(rows x columns x width).
    """
    for i, row in enumerate(rows):
        shared = math.lcm(*(value.denominator for value in row))
        rows[i] = [value.numerator * (shared // value.denominator) for value in row]
    pivots = eliminate_integers(rows, range(columns))
    head = rows[len(pivots) - 1][pivots[-1]] if pivots else 1
    rows[:] = [[Fraction(value, head) for value in row] for row in rows]
    return pivots


def eliminate_integers(
    rows: list[list[int]], columns: Iterable[int], reduced: bool = True
) -> list[int]:
    """Bring rows of ints to echelon form over some columns, in place and without fractions.

    Every entry is a minor of the matrix, so that every division by the last pivot is exact
    (Bareiss 1968). Reduced, all pivots are equal in the end.

    Parameters
    ----------
    rows : list of list of int
    columns : iterable of int
        One after the other, so that a generator may watch the time.
    reduced : bool
        Whether entries above the pivots are cleared as well.

    Returns
    -------
    list of int
        The pivots; row number i holds pivot number i.

    Examples
    --------
    >>> rows = [[2, 1, 1], [1, 1, 0]]
    >>> eliminate_integers(rows, range(2)), rows
    ([0, 1], [[1, 0, 1], [0, 1, -1]])
    """
    pivots, old = list[int](), 1
    for column in columns:
        found = len(pivots)
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        top, new = rows[found], rows[found][column]
        for i, row in enumerate(rows):
            if i > found or (reduced and i < found):
                rows[i] = [
                    (new * a - row[column] * b) // old for a, b in zip(row, top, strict=True)
                ]
        pivots, old = [*pivots, column], new
    return pivots


def rank(matrix: Sequence[Sequence[int | Fraction]]) -> int:
    """Return the rank of a matrix of integers and rationals.

    Examples
    --------
    >>> rank([[49, 49], [1, 1]])
    1
    """
    rows = [list(row) for row in matrix]
    return len(eliminate(rows, len(rows[0]) if rows else 0))


def fixed_unknowns(
    system: Sequence[Sequence[int | Fraction]], unknowns: Sequence[Any]
) -> dict[Any, Fraction] | None:
    """Return the unknowns that linear equations fix, or None if they have no solution.

    Each row of `system` holds the coefficients of one equation and then its right-hand side.

    Examples
    --------
    >>> fixed_unknowns([[2, 0, 0, 1], [0, 1, 1, 5]], ["x", "y", "z"])
    {'x': Fraction(1, 2)}
    """
    rows = [list(row) for row in system]
    pivots = eliminate(rows, len(unknowns))
    if any(row[-1] for row in rows[len(pivots) :]):
        return None
    alone = [i for i in range(len(pivots)) if sum(1 for v in rows[i][:-1] if v) == 1]
    return {unknowns[pivots[i]]: Fraction(rows[i][-1]) for i in alone}


def eliminate_modulo(work: np.ndarray, columns: int) -> int:
    """Bring residues modulo `PRIME` to echelon form over the first columns, in place.

    Parameters
    ----------
    work : int64 array, shape (rows, width)
        Entries from 0 to PRIME - 1.
    columns : int

    Returns
    -------
    int
        The number of pivots: the rank, modulo `PRIME`, of the first columns.
    """
    found = 0
    for column in range(columns):
        if found == work.shape[0]:
            break
        below = np.flatnonzero(work[found:, column])
        if not below.size:
            continue
        pivot = found + int(below[0])
        work[[found, pivot]] = work[[pivot, found]]
        inverse = pow(int(work[found, column]), -1, PRIME)
        work[found] = work[found] * inverse % PRIME
        factors = work[found + 1 :, column]
        # Both factors are below 2^31, so products stay below 2^62.
        work[found + 1 :] = (work[found + 1 :] - np.outer(factors, work[found]) % PRIME) % PRIME
        found += 1
    return found


def residues(matrix: np.ndarray) -> np.ndarray:
    """Return an integer matrix modulo `PRIME`, int64; exact also for Python ints of any size."""
    return np.mod(matrix, PRIME).astype(np.int64)


def rank_modulo(matrix: np.ndarray) -> int:
    """Return the rank of an integer matrix modulo `PRIME`, a lower bound of the rank over Q.

    `PANEL` rows at a time are brought to echelon form, and cleared from those below by one matrix
    product: O(rows x rank x columns), most of it in BLAS.
    """
    work, found = residues(matrix), 0
    while work.shape[0]:
        top, work = work[:PANEL], work[PANEL:]
        pivots = _echelon(top)
        held = sorted(pivots)
        work = _reduced(work - _times(work[:, [pivots[i] for i in held]], top[held]))
        found += len(held)
    return found


def _echelon(rows: np.ndarray) -> dict[int, int]:
    """Bring residues to reduced echelon form in place; return the pivot of each row that has one.

    Half of the rows after the other, each cleared from the other half by a product.
    """
    if len(rows) > 1:
        half = len(rows) // 2
        first, second = rows[:half], rows[half:]
        above = _echelon(first)
        _clear(second, first, above)
        below = _echelon(second)
        _clear(first, second, below)
        return above | {half + i: column for i, column in below.items()}
    places = np.flatnonzero(rows[0]) if len(rows) else rows
    if not places.size:
        return {}
    pivot = int(places[0])
    rows[0] = _reduced(rows[0] * pow(int(rows[0, pivot]), -1, PRIME))
    return {0: pivot}


def _clear(rows: np.ndarray, by: np.ndarray, pivots: dict[int, int]) -> None:
    held = sorted(pivots)
    rows[:] = _reduced(rows - _times(rows[:, [pivots[i] for i in held]], by[held]))


def _times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the product of residues, with at most `PANEL` terms a sum, modulo `PRIME`.

    Factors of 15 or 16 and of 31 bits, 2^6 terms: all sums stay within the 53 bits of a double.
    """
    wide = right.astype(np.float64)
    high, low = ((part.astype(np.float64) @ wide).astype(np.int64) for part in _halves(left))
    return _reduced((_reduced(high) << 16) + low)


def _halves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values >> 16, values & 0xFFFF


def _reduced(values: np.ndarray) -> np.ndarray:
    """Return int64 values modulo `PRIME`; a quotient by a constant is faster than a remainder."""
    return values - (values // PRIME) * PRIME


def counts(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the product of matrices of zeros and ones, in floats: exact, in any order of summing.

    OpenBLAS now and then sets the flag of invalid operations on such operands, and NumPy warns
    (numpy issue 24067 is one case); the numbers are right.
    """
    kind = np.float32 if left.shape[1] <= 2**24 else np.float64
    with np.errstate(invalid="ignore"):
        return np.asarray(left.astype(kind) @ right.astype(kind))
