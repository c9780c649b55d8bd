"""Exact arithmetic for engines: vectors of a kernel, and what is orthogonal to columns."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import gcd, lcm

import numpy as np

import sparseopt as so
from sparseopt.inverse.recovery_columns import DesignColumns
from sparseopt.judging.exact import eliminate_integers
from sparseopt.judging.integers import as_integers


def watched(count: int, context: so.Context) -> Iterator[int]:
    """Yield column numbers while there is time."""
    for column in range(count):
        context.check_time("computing a kernel exactly")
        yield column


def kernel_vector(
    design: np.ndarray | DesignColumns, guess: np.ndarray, context: so.Context
) -> np.ndarray | None:
    """Return integers h with ``design @ h = 0`` exactly, close to a multiple of `guess`, or None.

    For complex columns the guess has twice their number, and h two rows, of both parts.

    The columns where the guess is large depend on each other, up to rounding. The free ones among
    them keep their entries, the others follow. None if the columns are independent.
    """
    if isinstance(design, np.ndarray):
        design = DesignColumns(design, design.shape, False)  # type: ignore[arg-type]
    order = np.argsort(-np.abs(guess), kind="stable")
    large = int(np.count_nonzero(np.abs(guess) > 1e-9 * np.abs(guess).max()))
    sides = 2 if design.is_complex else 1
    for count in dict.fromkeys((large, min(len(order), sides * design.shape[0] + 1))):
        chosen = order[:count]
        rows = design.whole(chosen).tolist()
        pivots = eliminate_integers(rows, watched(count, context))
        free = [i for i in range(count) if i not in set(pivots)]
        if free:
            values = {i: Fraction(float(guess[chosen[i]])) for i in free}
            if not any(values.values()):
                values[free[0]] = Fraction(1)
            found = _completed(rows, pivots, values, chosen, len(order))
            return found.reshape(2, -1) if design.is_complex else found
    return None


def _completed(
    rows: list[list[int]],
    pivots: list[int],
    free: dict[int, Fraction],
    chosen: np.ndarray,
    size: int,
) -> np.ndarray:
    """Return the kernel vector with given free entries, as integers without a common factor."""
    if len(free) == 1:
        free = dict.fromkeys(free, Fraction(1 if next(iter(free.values())) > 0 else -1))
    exact = dict(free)
    for row, pivot in zip(rows, pivots, strict=False):
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
    rows = np.column_stack([matrix.T @ matrix, matrix.T @ known]).tolist()
    pivots = eliminate_integers(rows, watched(design.shape[1], context))
    rest = [Fraction(int(v)) for v in known]
    for row, pivot in zip(rows, pivots, strict=False):
        share = Fraction(row[-1], row[pivot])
        rest = [r - share * int(a) for r, a in zip(rest, matrix[:, pivot], strict=True)]
    largest = max(map(abs, rest))
    return np.array([float(r / largest) if largest else 0.0 for r in rest])
