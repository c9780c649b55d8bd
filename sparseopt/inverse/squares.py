"""Sums of the squares of columns: the one pass over a design that also finds out wild entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

_CHUNK = 1 << 20
_PIECE = 1 << 16
"""Stored entries whose squares stay in the cache until they are summed."""


def column_squares(matrix: Any, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the sum of the squares of each column, row i times ``weights[i]``, in float64.

    Parameters
    ----------
    matrix : ndarray or scipy.sparse csr or csc, shape (m, n)
        float32 or float64; the former is converted chunk by chunk.
    weights : ndarray of float64, shape (m,), or None
        Not negative; None stands for ones.

    Returns
    -------
    ndarray of float64, shape (n,)
        Each a sum of m products or weighted squares in some order, in plain arithmetic. Not finite
        where an entry is not.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if scipy.sparse.issparse(matrix):
            return _stored_squares(matrix, weights)
        # float64 is not copied, so it needs no pieces.
        step = matrix.shape[1] if matrix.dtype == np.float64 else max(1, _CHUNK // matrix.shape[0])
        parts = (matrix[:, i : i + step] for i in range(0, matrix.shape[1], step))
        return np.concatenate([_dense_squares(part, weights) for part in parts])


def _dense_squares(part: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    part = part.astype(np.float64, copy=False)
    if weights is not None:
        return np.asarray(weights @ np.square(part))
    if part.strides[0] == part.itemsize:  # inner products of columns that lie in one piece
        return np.asarray(np.vecdot(part.T, part.T))
    return np.asarray(np.einsum("ij,ij->j", part, part))


def _stored_squares(matrix: Any, weights: np.ndarray | None) -> np.ndarray:
    if matrix.format == "csr" or weights is not None:
        squares = np.square(matrix.data, dtype=np.float64)
        own = type(matrix)((squares, matrix.indices, matrix.indptr), shape=matrix.shape)
        return np.asarray(own.T @ (np.ones(matrix.shape[0]) if weights is None else weights))
    sums, step = np.zeros(matrix.shape[1]), max(1, _PIECE * matrix.shape[1] // max(1, matrix.nnz))
    for first in range(0, len(sums), step):
        ends = matrix.indptr[first : first + step + 1]
        squares = np.square(matrix.data[ends[0] : ends[-1]], dtype=np.float64)
        filled = np.flatnonzero(np.diff(ends))
        sums[first + filled] = np.add.reduceat(squares, ends[filled] - ends[0])
    return sums
