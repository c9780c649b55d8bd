"""LU windows of blocks: rows, columns and terms that are the same count as one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.lu_windows import find_window


def find_repeated(
    problem: so.Closedness, tick: Callable[[], None] = lambda: None
) -> NotClosedCertificate | None:
    """Return a proof of "not closed" by an LU window of blocks, or None.

    Equal rows of I, equal columns of J, and terms with equal rectangles form classes. In an LU
    window of the classes, let w be the number of terms of the class that covers all four blocks,
    and take w rows and columns of each class. Its curve w times side by side tends to
    M = [[0, Id], [Id, 0]], a permutation of 2 w rows. Of the other terms that touch the window each
    covers the block (i2, j2) alone, where M is 0. They are r' - w of the r' that touch it, hence as
    many as the trace asks for: r' - 2 w + 1. Masks of dense blocks have such windows, no others.
    """
    left, right = (np.asarray(s, dtype=bool) for s in problem.supports)
    both = np.concatenate([left.T, right], axis=1)
    used = np.flatnonzero(left.any(axis=0) & right.any(axis=1))
    term_class = _classes(both[used])
    if not len(used) or term_class.max() + 1 == len(used):
        return None
    first = used[np.unique(term_class, return_index=True)[1]]
    row_class, column_class = _classes(left), _classes(right.T)
    sizes = np.bincount(term_class)
    for width in np.unique(sizes).tolist():
        tick()
        rows, columns = _of_size(row_class, width), _of_size(column_class, width)
        tops = [int(np.flatnonzero(row_class == c)[0]) for c in rows]
        sides = [int(np.flatnonzero(column_class == c)[0]) for c in columns]
        if len(tops) < 2 or len(sides) < 2:
            continue
        window = find_window(left[tops][:, first], right[first][:, sides], tick)
        if window is None or sizes[window.term] > width:
            continue
        count = int(sizes[window.term])
        terms = used[term_class == window.term].tolist()
        chosen = [np.flatnonzero(row_class == rows[i])[:count].tolist() for i in window.rows]
        across = [
            np.flatnonzero(column_class == columns[j])[:count].tolist() for j in window.columns
        ]
        meets = left[chosen[1][0]] & right[:, across[1][0]]
        others = [k for k in np.flatnonzero(meets).tolist() if k not in set(terms)]
        if len(others) >= count:
            return _certificate(problem, chosen, across, terms, others)
    return None


def _classes(lines: np.ndarray) -> np.ndarray:
    """Return a number for each line, the same for equal ones."""
    packed = np.packbits(lines, axis=1)  # in the same order as the lines
    return np.asarray(np.unique(packed, axis=0, return_inverse=True)[1]).reshape(-1)


def _of_size(classes: np.ndarray, least: int) -> list[int]:
    return np.flatnonzero(np.bincount(classes) >= least).tolist()


def _certificate(
    problem: so.Closedness,
    rows: list[list[int]],
    columns: list[list[int]],
    terms: list[int],
    others: list[int],
) -> NotClosedCertificate:
    """Return the curve of the LU window, once for every term of the class, and its limit."""
    one, width = Fraction(1), len(terms)
    left: list[list[Any]] = []
    right: list[list[Any]] = []
    limit = [[Fraction(0)] * (2 * width) for _ in range(2 * width)]
    for u, (k, other) in enumerate(zip(terms, others, strict=False)):
        left += [[u, k, {1: one}], [width + u, k, {0: one}], [width + u, other, {0: -one}]]
        right += [[k, u, {0: one}], [k, width + u, {-1: one}], [other, width + u, {-1: one}]]
        limit[u][width + u] = limit[width + u][u] = one
    return NotClosedCertificate.proved(
        problem,
        (*rows[0], *rows[1]),
        (*columns[0], *columns[1]),
        left,
        right,
        limit,
        [],
        ["trace", others],
    )
