"""How far columns are from depending on each other, with proof.

Let B = A F for any square F. If |B^T B - I| <= a < 1 in the spectral norm, then F is invertible,
and B, and with it A, has independent columns. F comes from a QR factorization in plain arithmetic;
that it is good enough is proved by the product (Rump 2010, Verification methods).
"""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg

from sparseopt.judging.rounding import above, below, gamma, norm_bound


@np.errstate(all="ignore")  # what is not finite proves nothing
def nearly_orthonormal(
    matrix: np.ndarray, off: np.ndarray | float = 0.0
) -> tuple[np.ndarray, float] | None:
    """Return F and a < 1/2 with |B^T B - I| <= a for B = A F; None where none is found. O(m k^2).

    Parameters
    ----------
    matrix : ndarray of float64, shape (m, k), k from 1 to m
        A, each of whose entries may be off by the rounding of a root and a product.
    off : float or ndarray of float64, shape (k,)
        What else the norms of its columns may be off by.
    """
    rows, count = matrix.shape
    norms = np.array([norm_bound(column) for column in matrix.T])
    upper = np.linalg.qr(matrix / norms, mode="r")
    if not np.abs(np.diagonal(upper)).min() > 0:
        return None
    inverse = scipy.linalg.solve_triangular(upper, np.eye(count), check_finite=False)
    factor = inverse / norms[:, None]
    basis = matrix @ factor
    gram = basis.T @ basis
    gram[np.diag_indices(count)] -= 1.0
    size = norm_bound(basis.ravel())
    # What the rounded Gram matrix is off by, then what the rounded basis is off by.
    error = norm_bound(gram.ravel()) + gamma(rows + 8) * (size * size + count)
    weights = np.array([norm_bound(row) for row in factor])
    lost = float((gamma(count + 12) * norms + off) @ weights)
    error = above(error + 3.0 * lost + lost * lost, 16)
    # Below 1/2, so that |B| < sqrt(1.5), and 2 |B| lost < 3 lost.
    return (factor, error) if error < 0.5 else None


def smallest_singular_value(matrix: np.ndarray) -> float:
    """Return a proven lower bound of |A v| over |v|; 0 where independence cannot be proved.

    |A v| = |B F^-1 v| >= sqrt(1 - a) |F^-1 v| >= sqrt(1 - a) |v| / |F|. O(m k^2).
    """
    rows, count = matrix.shape
    if count == 0 or count > rows:
        return 0.0 if count else math.inf
    found = nearly_orthonormal(matrix)
    if found is None:
        return 0.0
    factor, error = found
    return below(math.sqrt(1.0 - error) / norm_bound(factor.ravel()), 8)


def distinct_columns(matrix: np.ndarray) -> np.ndarray:
    """Return the columns that are not zero, the first of each that are equal or opposite."""
    first = np.argmax(matrix != 0, axis=0)
    signs = np.sign(matrix[first, np.arange(matrix.shape[1])])
    seen: dict[bytes, int] = {}
    for j in np.flatnonzero(signs):  # adding 0 turns -0 into 0
        seen.setdefault((matrix[:, j] * signs[j] + 0.0).tobytes(), int(j))
    return np.array(list(seen.values()), dtype=np.intp)
