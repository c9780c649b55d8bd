"""Exact arithmetic for engines: vectors of a kernel, and what is orthogonal to columns."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np

import sparseopt as so
from sparseopt.judging.integers import as_integers


def echelon(rows: np.ndarray, columns: int, context: so.Context) -> tuple[np.ndarray, list[int]]:
    """Return integers in reduced echelon form over the first columns, and the pivots.

    Fraction-free (Bareiss 1968): every division is exact, and all pivots are equal in the end.
    """
    work, previous = rows.copy(), 1
    pivots: list[int] = []
    for column in range(columns):
        found = len(pivots)
        if found == len(work):
            break
        context.check_time("computing a kernel exactly")
        pivot = next((i for i in range(found, len(work)) if work[i, column]), None)
        if pivot is None:
            continue
        work[[found, pivot]] = work[[pivot, found]]
        head, row = work[found, column], work[found].copy()
        work = (work * head - np.multiply.outer(work[:, column], row)) // previous
        work[found] = row
        previous = head
        pivots.append(column)
    return work[: len(pivots)], pivots


def kernel_vector(design: np.ndarray, guess: np.ndarray, context: so.Context) -> np.ndarray | None:
    """Return integers h with ``design @ h = 0`` exactly, close to a multiple of `guess`, or None.

    The columns where the guess is large depend on each other, up to rounding. The free ones among
    them keep their entries, the others follow. None if the columns are independent.
    """
    order = np.argsort(-np.abs(guess), kind="stable")
    large = int(np.count_nonzero(np.abs(guess) > 1e-9 * np.abs(guess).max()))
    for count in dict.fromkeys((large, min(len(order), len(design) + 1))):
        chosen = order[:count]
        rows, pivots = echelon(as_integers(design[:, chosen])[0][0], count, context)
        free = [i for i in range(count) if i not in set(pivots)]
        if free:
            values = {i: Fraction(float(guess[chosen[i]])) for i in free}
            if not any(values.values()):
                values[free[0]] = Fraction(1)
            return _completed(rows, pivots, values, chosen, design.shape[1])
    return None


def _completed(
    rows: np.ndarray, pivots: list[int], free: dict[int, Fraction], chosen: np.ndarray, size: int
) -> np.ndarray:
    """Return the kernel vector with given free entries, as integers without a common factor."""
    if len(free) == 1:
        free = dict.fromkeys(free, Fraction(1 if next(iter(free.values())) > 0 else -1))
    exact = dict(free)
    for row, pivot in zip(rows, pivots, strict=True):
        exact[pivot] = -sum(row[i] * v for i, v in free.items()) / Fraction(row[pivot])
    shared = lcm(*(v.denominator for v in exact.values()))
    whole = {i: int(v * shared) for i, v in exact.items()}
    divisor = gcd(*whole.values())
    vector = np.zeros(size, dtype=object)
    for i, v in whole.items():
        vector[chosen[i]] = v // divisor
    return vector


def exact_rest(design: np.ndarray, target: np.ndarray, context: so.Context) -> np.ndarray:
    """Return the part of a target that is orthogonal to all columns, rounded once, its unit free.

    By the normal equations over the rationals, whatever the condition of the columns.
    """
    matrix, known = as_integers(design)[0][0], as_integers(target)[0][0]
    system = np.column_stack([matrix.T @ matrix, matrix.T @ known])
    rows, pivots = echelon(system, design.shape[1], context)
    rest = [Fraction(int(v)) for v in known]
    for row, pivot in zip(rows, pivots, strict=True):
        share = Fraction(int(row[-1]), int(row[pivot]))
        rest = [r - share * int(a) for r, a in zip(rest, matrix[:, pivot], strict=True)]
    largest = max(map(abs, rest))
    return np.array([float(r / largest) if largest else 0.0 for r in rest])
