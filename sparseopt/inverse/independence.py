"""How far columns are from depending on each other, with proof."""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg

from sparseopt.judging.rounding import above, below, gamma, norm_bound


def smallest_singular_value(matrix: np.ndarray) -> float:
    """Return a proven lower bound of |A v| over |v|; 0 where independence cannot be proved.

    Let B = A F for any square F. If |B^T B - I| <= a < 1 in the spectral norm, then F is
    invertible and |A v| = |B F^-1 v| >= sqrt(1 - a) |F^-1 v| >= sqrt(1 - a) |v| / |F|. F comes
    from a QR factorization in plain arithmetic; that it is good enough is proved by the product
    (Rump 2010, Verification methods). O(m k^2).
    """
    rows, count = matrix.shape
    norms = np.array([norm_bound(column) for column in matrix.T])
    if count == 0 or count > rows or not (norms > 0).all():
        return 0.0 if count else math.inf
    with np.errstate(all="ignore"):  # what is not finite proves nothing below
        upper = np.linalg.qr(matrix / norms, mode="r")
        if not np.abs(np.diagonal(upper)).min() > 0:
            return 0.0
        inverse = scipy.linalg.solve_triangular(upper, np.eye(count), check_finite=False)
        factor = inverse / norms[:, None]
        basis = matrix @ factor
        gram = basis.T @ basis
        gram[np.diag_indices(count)] -= 1.0
    size = norm_bound(basis.ravel())
    # What the rounded Gram matrix is off by, then what the rounded basis is off by.
    error = norm_bound(gram.ravel()) + gamma(rows + 8) * (size * size + count)
    weights = np.array([norm_bound(row) for row in factor])
    lost = gamma(count + 8) * float(norms @ weights)
    error = above(error + 3.0 * lost + lost * lost, 16)
    if not error < 0.5:  # so that |B| < sqrt(1.5), and 2 |B| lost < 3 lost
        return 0.0
    return below(math.sqrt(1.0 - error) / norm_bound(factor.ravel()), 8)
