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

from sparseopt.judging.integers import as_integers

MOST_COLUMNS = 40
"""The reduction takes O(k^4 log condition)."""
_LOVASZ = 0.75
_MOST_SWAPS = 20_000
_MOST_PASSES = 12


@np.errstate(over="ignore", divide="ignore", invalid="ignore")  # what is not finite is not used
def rounded_jointly(
    columns: np.ndarray,
    x: np.ndarray,
    weights: np.ndarray | None = None,
    independent: bool = False,
) -> np.ndarray:
    """Return float64 coefficients near `x` for which columns times coefficients is nearest.

    Parameters
    ----------
    columns : ndarray of float64, shape (m, k)
    x : ndarray of float64, shape (2, k)
        The sum of its rows.
    weights : ndarray of float64, shape (m,), or None
        What an error of each entry costs, up to a factor of two; None for ones.
    independent : bool
        Whether the columns are known to be; if not, those that look dependent stay as they are.
    """
    free = np.arange(columns.shape[1]) if independent else _independent(columns)
    if len(free) > MOST_COLUMNS or not len(free):
        return x[0]
    spacing = np.spacing(np.abs(x[0, free]))
    if weights is not None and weights.max() > 0.0:
        cost = np.maximum(weights, 2.0**-60 * weights.max())
        columns = columns * np.ldexp(1.0, np.frexp(cost / weights.max())[1])[:, None]
    (whole,), unit = as_integers(columns[:, free] * spacing)
    transform = _reduced(whole)
    rest = np.delete(np.arange(columns.shape[1]), free)
    # What is missing, in steps, has 53 bits of its own.
    missing = as_integers(x[1, free] / spacing)
    basis, left = whole.dot(transform), whole.dot(missing[0][0])
    q, r = np.linalg.qr(basis.astype(np.float64))
    others = np.ldexp(columns[:, rest] @ x[1, rest], -unit)
    left = q.T @ (np.ldexp(left.astype(np.float64), missing[1]) + others)
    moves = np.zeros(len(spacing), dtype=object)
    for i in range(len(spacing) - 1, -1, -1):
        times = np.rint(left[i] / r[i, i])
        if not np.isfinite(times):
            return x[0]
        left[: i + 1] -= times * r[: i + 1, i]
        moves[i] = int(times)
    found = x[0].copy()
    found[free] += transform.dot(moves).astype(np.float64) * spacing
    return found if np.isfinite(found).all() else x[0]


def _independent(columns: np.ndarray) -> np.ndarray:
    """Return columns that are independent, as far as plain arithmetic sees it."""
    r, order = scipy.linalg.qr(columns, mode="r", pivoting=True, check_finite=False)
    pivots = np.abs(np.diagonal(r))
    return np.asarray(order[: np.count_nonzero(pivots > 2.0**-46 * pivots[0])])


def _reduced(whole: np.ndarray) -> np.ndarray:
    """Return the integer matrix that reduces a basis of integers.

    Each pass finds in plain arithmetic what it can, and the basis follows exactly, so that the next
    one sees more of it. A pass that is lost among roundings may make the basis longer: the shortest
    is kept.
    """
    transform = best = np.eye(whole.shape[1], dtype=int).astype(object)
    least = np.inf
    for _ in range(_MOST_PASSES):
        basis = whole.dot(transform).astype(np.float64)
        with np.errstate(all="ignore"):
            size = float(np.log(np.linalg.norm(basis, axis=0)).sum())
            more = _reduction(basis)
        if size < least:
            best, least = transform, size
        if not np.isfinite(more).all() or np.array_equal(more, np.eye(len(more))):
            break
        transform = transform.dot(np.vectorize(int, otypes=[object])(more))
    return best


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
