"""LU windows of entries, and the proof of "not closed" that each gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.judging.exact import counts

CHUNK = 4_000_000
"""Cells of the product of the supports that are counted at a time."""


@dataclass(frozen=True)
class Window:
    """Rows i1, i2, columns j1, j2, the term k that covers them, and a second term at (i2, j2).

    Term k is the only one that covers (i1, j1), (i1, j2) and (i2, j1).
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    term: int
    other: int


def find_window(
    left: np.ndarray, right: np.ndarray, tick: Callable[[], None] = lambda: None
) -> Window | None:
    """Return an LU window in the wide sense, or None if there is none.

    With N = I J (integer product), a cell with N = 1 is single, and owned by its term. Term k has a
    window exactly if some component of the bipartite graph of its single cells is not a biclique,
    that is, if two rows of that graph meet but differ: (i1, j1), (i1, j2), (i2, j1) single for k,
    (i2, j2) in the rectangle of k and not single, hence covered by another term too. Two exact
    matrix products in float32, and bitsets of the rows of single cells: O(m n r).

    The products are formed for `CHUNK` cells at a time, and windows of these rows alone end the
    search, so memory beyond the supports is one integer per cell and two float copies of J.

    Parameters
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
    tick : callable
        Called now and then; raises to stop the search.
    """
    (m, r), n = left.shape, right.shape[1]
    numbers = np.arange(1, r + 1)
    height = max(1, CHUNK // n)
    owners = []
    for first in range(0, m, height):
        tick()
        rows = left[first : first + height]
        # 0 where the cell is not single, else 1 + its owner; a sum of one number is exact, too.
        owner = np.where(counts(rows, right) == 1, counts(rows * numbers, right), 0)
        owners.append(owner.astype(np.int32))
        found = _owned_window(rows, right, owners[-1], tick)
        if found is not None:
            return _window(left, right, found[0], first + found[1], first + found[2], *found[3:])
    if len(owners) == 1:
        return None
    found = _owned_window(left, right, np.concatenate(owners), tick)
    return None if found is None else _window(left, right, *found)


def _owned_window(
    left: np.ndarray, right: np.ndarray, owner: np.ndarray, tick: Callable[[], None]
) -> tuple[int, int, int, int, int] | None:
    """Return (k, i1, i2, j1, j2) of a window among rows whose owners are given, or None."""
    owned = np.bincount(owner.ravel(), minlength=left.shape[1] + 1)[1:]
    area = left.sum(axis=0) * right.sum(axis=1)
    # A window needs three single cells of one term and one that is not single.
    open_terms = np.flatnonzero((owned >= 3) & (owned < area))
    # Large shares first, they are likelier; the first alone, because it often suffices.
    ordered = open_terms[np.argsort(-owned[open_terms], kind="stable")]
    for terms in (ordered[:1], ordered[1:]):
        for number, (k, cells) in enumerate(_cells_of(terms, owner)):
            if number % 64 == 0:
                tick()
            (rows, i), (columns, j) = map(_places, np.divmod(cells, owner.shape[1]), owner.shape)
            single = np.zeros((len(rows), len(columns)), dtype=bool)
            single[i, j] = True
            found = differing_rows(single)
            if found is not None:
                i1, i2, j1, j2 = found
                return k, int(rows[i1]), int(rows[i2]), int(columns[j1]), int(columns[j2])
    return None


def _cells_of(terms: np.ndarray, owner: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each term with its single cells; O(cells), however large their rectangles are."""
    place = np.zeros(owner.max(initial=0) + 1, dtype=np.min_scalar_type(len(terms)))
    place[terms + 1] = np.arange(1, len(terms) + 1)
    places = place[owner.ravel()]
    cells = np.flatnonzero(places)
    order = places[cells]  # of at most 16 bits as a rule: then sorting it takes linear time
    ends = np.cumsum(np.bincount(order, minlength=len(terms) + 1))[:-1]
    groups = np.split(cells[np.argsort(order, kind="stable")], ends[1:])
    return zip(terms.tolist(), groups, strict=False)


def _places(numbers: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers below `size`, and where each number is among them."""
    present = np.zeros(size, dtype=bool)
    present[numbers] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[numbers]


def differing_rows(owned: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return local (i1, i2, j1, j2): rows that meet in j1 while only i1 has j2."""
    # Rows of one biclique are equal. So a row unlike all rows before it must not meet them.
    first = np.full(owned.shape[1], -1, dtype=np.intp)
    known: set[bytes] = set()
    packed = np.packbits(owned, axis=1)
    for i in np.flatnonzero(owned.any(axis=1)).tolist():
        key = packed[i].tobytes()
        if key in known:
            continue
        known.add(key)
        columns = np.flatnonzero(owned[i])
        met = columns[first[columns] >= 0]
        if met.size:
            j = int(met[0])
            other = int(first[j])
            only_other = np.flatnonzero(owned[other] & ~owned[i])
            if only_other.size:
                return other, i, j, int(only_other[0])
            return i, other, j, int(np.flatnonzero(owned[i] & ~owned[other])[0])
        first[columns] = i
    return None


def _window(
    left: np.ndarray, right: np.ndarray, k: int, i1: int, i2: int, j1: int, j2: int
) -> Window:
    others = np.flatnonzero(left[i2] & right[:, j2])
    return Window((i1, i2), (j1, j2), k, int(others[others != k][0]))


def window_certificate(
    problem: so.Closedness, window: Window
) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
    """Return the proof of Le, Riccietti, Gribonval's LU example (arXiv 2306.02666) in a window.

    x_k = (t, 1), y_k = (1, 1/t), and the other term cancels the pole at (i2, j2): the products
    tend to [[0, 1], [1, 0]]. The cell (i1, j1) forces x or y of term k to be zero there, which
    leaves (i1, j2) or (i2, j1) without a live term.
    """
    k, other = window.term, window.other
    one = Fraction(1)
    certificate = NotClosedCertificate.proved(
        problem,
        rows=window.rows,
        columns=window.columns,
        left=[[0, k, {1: one}], [1, k, {0: one}], [1, other, {0: -one}]],
        right=[[k, 0, {0: one}], [k, 1, {-1: one}], [other, 1, {-1: one}]],
        limit=[[Fraction(0), one], [one, Fraction(0)]],
        reductions=[],
        exclusion=["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]],
    )
    return certificate.answer, certificate
