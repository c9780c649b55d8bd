"""Coefficients rounded to float64 together, so that their errors cancel in the fit.

Rounded one by one, coefficients of nearly dependent columns spoil the fit by their size times
2^-53. But the float64 vectors near x form a lattice, whose steps are the columns times the spacing
of each coefficient, and the one with the best fit is a closest lattice point: the basis is
reduced (Lenstra, Lenstra, Lovasz 1982) and the point found by nearest planes (Babai 1986). The
error falls by about the square root of the columns' condition.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

MOST_COLUMNS = 40
"""The reduction takes O(k^4 log condition)."""
_LOVASZ = 0.75
_MOST_SWAPS = 20_000


def rounded_jointly(columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return float64 coefficients near `x` for which columns times coefficients is nearest.

    Parameters
    ----------
    columns : ndarray of float64, shape (m, k)
    x : ndarray of float64, shape (2, k)
        The sum of its rows. Only coefficients of independent columns move.
    """
    r, order = scipy.linalg.qr(columns, mode="r", pivoting=True, check_finite=False)
    pivots = np.abs(np.diagonal(r))
    free = order[: np.count_nonzero(pivots > 2.0**-46 * pivots[0])]
    if len(free) > MOST_COLUMNS:
        return x[0]
    spacing = np.spacing(np.abs(x[0, free]))
    steps = columns[:, free] * spacing
    transform = np.eye(len(spacing))
    for _ in range(4):
        more = _reduction(steps @ transform)
        transform = transform @ more
        if np.array_equal(more, np.eye(len(spacing))):
            break
    q, r = np.linalg.qr(steps @ transform)
    left = q.T @ (columns @ x[1])
    moves = np.zeros(len(spacing))
    for i in range(len(spacing) - 1, -1, -1):
        moves[i] = np.rint(left[i] / r[i, i])
        left[: i + 1] -= moves[i] * r[: i + 1, i]
    found = x[0].copy()
    found[free] += (transform @ moves) * spacing
    return found if np.isfinite(found).all() else x[0]


def _reduction(basis: np.ndarray) -> np.ndarray:
    """Return the integer matrix that reduces a basis, as far as plain arithmetic sees it."""
    r = np.asarray(np.linalg.qr(basis, mode="r"))
    count = r.shape[1]
    transform = np.eye(count)
    k, swaps = 1, 0
    while k < count and swaps < _MOST_SWAPS:
        for j in range(k - 1, -1, -1):
            times = np.rint(r[j, k] / r[j, j])
            if times:
                r[: j + 1, k] -= times * r[: j + 1, j]
                transform[:, k] -= times * transform[:, j]
        if _LOVASZ * r[k - 1, k - 1] ** 2 <= r[k - 1, k] ** 2 + r[k, k] ** 2:
            k += 1
            continue
        swaps += 1
        r[: k + 1, [k - 1, k]] = r[: k + 1, [k, k - 1]]
        transform[:, [k - 1, k]] = transform[:, [k, k - 1]]
        a, b = r[k - 1, k - 1], r[k, k - 1]
        length = np.hypot(a, b)
        turn = np.array([[a, b], [-b, a]]) / length
        r[k - 1 : k + 1, k - 1 :] = turn @ r[k - 1 : k + 1, k - 1 :]
        r[k, k - 1] = 0.0
        k = max(k - 1, 1)
    return transform
