"""LU windows: the sufficient condition for "not closed" behind most random supports."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.closedness import NotClosedCertificate


@dataclass(frozen=True)
class Window:
    """Rows i1, i2, columns j1, j2, the term k that covers them, and a second term at (i2, j2).

    Term k is the only one that covers (i1, j1), (i1, j2) and (i2, j1).
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    term: int
    other: int


def find_window(left: np.ndarray, right: np.ndarray) -> Window | None:
    """Return an LU window in the wide sense, or None if there is none.

    With N = I J (integer product), a cell with N = 1 is single, and owned by its term. Term k has a
    window exactly if some component of the bipartite graph of its single cells is not a biclique,
    that is, if two rows of that graph meet but differ: (i1, j1), (i1, j2), (i2, j1) single for k,
    (i2, j2) in the rectangle of k and not single, hence covered by another term too. Two float32
    matrix products, exact below 2^24 terms, and bitsets of the rows: O(m n r / speed of BLAS +
    r m^2 / word length).
    """
    rows, columns = left.astype(np.float32), right.astype(np.float32)
    single = rows @ columns == 1
    numbered = rows * np.arange(1, left.shape[1] + 1, dtype=np.float32)
    # 0 where the cell is not single, else 1 + its owner.
    owner = np.where(single, numbered @ columns, 0).astype(np.intp)
    owned = np.bincount(owner.ravel(), minlength=left.shape[1] + 1)[1:]
    # A window needs three single cells of one term; large shares first, they are likelier.
    for k in sorted(np.flatnonzero(owned >= 3).tolist(), key=lambda k: -owned[k]):
        cells = owner[np.ix_(left[:, k], right[k])] == k + 1
        found = differing_rows(cells)
        if found is not None:
            return _window(left, right, k, *found)
    return None


def differing_rows(owned: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return local (i1, i2, j1, j2): rows that meet in j1 while only i1 has j2."""
    packed = np.packbits(owned, axis=1)
    first: dict[int, int] = {}
    # Rows of one biclique are equal: it is enough to compare each row with the first row that
    # owns its columns.
    for i, bits in enumerate(packed):
        if not bits.any():
            continue
        columns = np.flatnonzero(owned[i])
        for j in columns.tolist():
            other = first.setdefault(j, i)
            if other != i and not np.array_equal(packed[other], bits):
                only_other = np.flatnonzero(owned[other] & ~owned[i])
                if only_other.size:
                    return other, i, j, int(only_other[0])
                return i, other, j, int(np.flatnonzero(owned[i] & ~owned[other])[0])
    return None


def _window(
    left: np.ndarray, right: np.ndarray, k: int, i1: int, i2: int, j1: int, j2: int
) -> Window:
    rows, columns = np.flatnonzero(left[:, k]), np.flatnonzero(right[k])
    r1, r2 = int(rows[i1]), int(rows[i2])
    c1, c2 = int(columns[j1]), int(columns[j2])
    others = np.flatnonzero(left[r2] & right[:, c2])
    return Window((r1, r2), (c1, c2), k, int(others[others != k][0]))


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
    answer = so.ClosednessVerdict(
        "not_closed",
        f"LU window at rows {window.rows} and columns {window.columns}, terms {k} and {other}",
    )
    certificate = NotClosedCertificate(
        problem,
        answer,
        rows=window.rows,
        columns=window.columns,
        left=[[0, k, {1: one}], [1, k, {0: one}], [1, other, {0: -one}]],
        right=[[k, 0, {0: one}], [k, 1, {-1: one}], [other, 1, {-1: one}]],
        limit=[[Fraction(0), one], [one, Fraction(0)]],
        exclusion=["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]],
    )
    return answer, certificate


@dataclass(frozen=True)
class LUPattern(so.Solver[so.Closedness]):
    """Not closed by an LU window; decides nothing else."""

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs."""
        if len(problem.supports) == 2:
            return so.Accepted()
        return so.Refused(f"it takes two factors, not {len(problem.supports)}")

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
        """Look for a window."""
        window = find_window(*problem.supports)
        if window is None:
            raise so.Inconclusive("no LU window")
        return window_certificate(problem, window)

    def cost(self, problem: so.Closedness) -> float:
        """Predict two matrix products."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 1e-4 + 1e-10 * m * n * r
