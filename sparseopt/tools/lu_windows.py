"""How many LU windows a pair of supports has."""

from __future__ import annotations

import numpy as np

from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.exact import counts


def lu_window_count(supports: Supports) -> int:
    """Count the LU windows of two supports; one suffices for "not closed".

    A window is rows i1, i2 and columns j1, j2 of the product, and a term k (column k of I, row k
    of J) that alone covers (i1, j1), (i1, j2) and (i2, j1), while (i2, j2) is covered by k and by
    another term.

    Parameters
    ----------
    supports : [I, J]
        As for `Closedness`.

    Returns
    -------
    int

    Notes
    -----
    With B_k the cells that term k alone covers, the windows of k are the paths i2 - j1 - i1 - j2
    of three cells of B_k that end in a cell of its rectangle outside B_k: the sum of the entries
    of ``B_k B_k' B_k`` there. O(sum of rows times columns times the smaller of both, over the
    rectangles).

    Examples
    --------
    >>> lu_window_count([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])
    1
    """
    checked = Closedness(supports).supports  # type: ignore[arg-type]
    if len(checked) != 2:
        raise ProblemError(f"it takes two supports [I, J], not {len(checked)}")
    left, right = checked
    cover = counts(left, right)
    total = 0
    for k in range(left.shape[1]):
        rows, columns = np.flatnonzero(left[:, k]), np.flatnonzero(right[k])
        if len(rows) < 2 or len(columns) < 2:
            continue
        single = cover[np.ix_(rows, columns)] == 1
        if single.all():
            continue
        # Paths between two ends are at most as many as cells: exact in float64. Sums are not.
        b = single.astype(np.float64)
        paths = b @ (b.T @ b) if len(columns) <= len(rows) else (b @ b.T) @ b
        total += sum(int(row) for row in np.where(single, 0, paths.astype(np.int64)).sum(axis=1))
    return total
