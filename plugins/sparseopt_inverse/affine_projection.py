"""Projections onto the solutions of Ax = y, and the dual points that subgradients stand for."""

from __future__ import annotations

import numpy as np
import scipy.linalg

_WELL = 1e-5
"""Ratio of the pivots of A A^T above which its Cholesky factor is good to ten digits."""


class GramProjection:
    """By the Cholesky factor of A A^T: fast, for well-conditioned rows.

    Parameters
    ----------
    matrix : ndarray, shape (m, n)
    target : ndarray, shape (m,)
    """

    def __init__(self, matrix: np.ndarray, target: np.ndarray, factor: np.ndarray) -> None:
        self._matrix, self._target, self._factor = matrix, target, factor
        self.rows = np.arange(len(target))

    def _solved(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(scipy.linalg.cho_solve((self._factor, True), values, check_finite=False))

    def project(self, z: np.ndarray) -> np.ndarray:
        """Return the solution that is nearest to z."""
        return z + self._matrix.T @ self._solved(self._target - self._matrix @ z)

    def dual_point(self, gradient: np.ndarray) -> np.ndarray:
        """Return the w whose correlations are nearest to a subgradient."""
        return self._solved(self._matrix @ gradient)


class BasisProjection:
    """By an orthonormal basis of the rows: for all others.

    Parameters
    ----------
    basis : ndarray, shape (n, rank)
    upper : ndarray, shape (rank, rank)
        ``matrix[rows].T = basis @ upper``.
    target : ndarray, shape (m,)
    rows : ndarray of int, shape (rank,)
    """

    def __init__(
        self, basis: np.ndarray, upper: np.ndarray, target: np.ndarray, rows: np.ndarray
    ) -> None:
        self._basis, self._upper, self.rows = basis, upper, rows
        self._count = len(target)
        self._inside = scipy.linalg.solve_triangular(
            upper, target[rows], trans=1, check_finite=False
        )

    def project(self, z: np.ndarray) -> np.ndarray:
        """Return the solution that is nearest to z."""
        return z + self._basis @ (self._inside - self._basis.T @ z)

    def dual_point(self, gradient: np.ndarray) -> np.ndarray:
        """Return the w whose correlations are nearest to a subgradient."""
        w = np.zeros(self._count)
        along = self._basis.T @ gradient
        w[self.rows] = scipy.linalg.solve_triangular(self._upper, along, check_finite=False)
        return w


def projection(matrix: np.ndarray, target: np.ndarray) -> GramProjection | BasisProjection:
    """Return the faster one where its rounding does no harm; O(m^2 n)."""
    m, n = matrix.shape
    if m <= n:
        norms = np.linalg.norm(matrix, axis=1)
        if norms.min() > _WELL * norms.max():
            try:
                factor = scipy.linalg.cholesky(
                    matrix @ matrix.T, lower=True, overwrite_a=True, check_finite=False
                )
            except np.linalg.LinAlgError:
                factor = np.zeros((m, m))
            pivots = np.diagonal(factor)
            if pivots.min() > _WELL * pivots.max():
                return GramProjection(matrix, target, factor)
    basis, upper, order = scipy.linalg.qr(
        matrix.T, mode="economic", pivoting=True, check_finite=False
    )
    pivots = np.abs(np.diagonal(upper))
    rank = int(np.count_nonzero(pivots > 1e-12 * pivots[0]))
    basis = np.ascontiguousarray(basis[:, :rank])
    return BasisProjection(basis, upper[:rank, :rank], target, order[:rank])
