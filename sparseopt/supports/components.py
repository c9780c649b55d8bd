"""The rectangles of two supports, and which of them overlap.

For supports I (m x r) and J (r x n), term k is a rank-one matrix on the rectangle of rows I[:, k]
and columns J[k, :]. Two terms belong to one component when a chain of overlapping rectangles
joins them; components share no cell, so the squared error splits into one part per component and
the cells that no rectangle covers.
"""

from __future__ import annotations

import numpy as np


def components(left: np.ndarray, right: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Return the classes of terms joined by overlapping rectangles, each with its cells.

    Parameters
    ----------
    left, right : bool array (m, r), (r, n)
        Supports.

    Returns
    -------
    list of (list of int, bool array (m, n))
        Terms of one component in ascending order, and the cells they cover together. Terms with
        an empty rectangle belong to none. O(r^2 (m + n) + m n r).
    """
    rows, columns = left.astype(np.float32), right.astype(np.float32)
    return [(terms, rows[:, terms] @ columns[terms] > 0) for terms in joined_terms(left, right)]


def joined_terms(left: np.ndarray, right: np.ndarray) -> list[list[int]]:
    """Return the terms of each component in ascending order; O(r^2 (m + n))."""
    # Sums of zeros and ones are only compared with 0, so single precision is exact enough.
    rows, columns = left.astype(np.float32), right.astype(np.float32)
    overlap = (rows.T @ rows > 0) & (columns @ columns.T > 0)
    waiting = [k for k in range(left.shape[1]) if overlap[k, k]]
    found = []
    while waiting:
        terms, frontier = set(), {waiting[0]}
        while frontier:
            terms |= frontier
            reached = np.flatnonzero(overlap[list(frontier)].any(axis=0))
            frontier = set(reached.tolist()) - terms
        found.append(sorted(terms))
        waiting = [k for k in waiting if k not in terms]
    return found


def same_rectangle(left: np.ndarray, right: np.ndarray) -> list[list[int]]:
    """Return the terms with a rectangle that is not empty, those with the same one together."""
    found: dict[tuple[bytes, bytes], list[int]] = {}
    for k in range(left.shape[1]):
        if left[:, k].any() and right[k].any():
            found.setdefault((left[:, k].tobytes(), right[k].tobytes()), []).append(k)
    return list(found.values())


def is_tractable(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether any two rectangles are disjoint or identical: then block SVDs are optimal.

    Source: Le, Riccietti, Gribonval, "Spurious valleys, NP-hardness, and tractability of sparse
    matrix factorization with fixed support", arXiv 2112.00386, Theorem 3.3.
    """
    return all(
        np.array_equal(left[:, terms[0]], left[:, k]) and np.array_equal(right[terms[0]], right[k])
        for terms in joined_terms(left, right)
        for k in terms[1:]
    )
