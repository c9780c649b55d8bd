"""Products of a few columns of a sparse matrix by its arrays, where slicing would cost the most."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse


class StoredColumns:
    """The stored entries of a csc matrix.

    Parameters
    ----------
    matrix : csc array, shape (m, n)
    """

    def __init__(self, matrix: Any) -> None:
        self._data, self._rows, self._starts = matrix.data, matrix.indices, matrix.indptr
        self._lengths, self._height = np.diff(matrix.indptr), matrix.shape[0]

    def _entries(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the values, in float64, and rows of some columns, and how many each has."""
        lengths = self._lengths[chosen]
        ends = np.cumsum(lengths)
        places = np.arange(int(ends[-1]) if len(ends) else 0)
        places += np.repeat(self._starts[chosen] - (ends - lengths), lengths)
        return self._data[places].astype(np.float64, copy=False), self._rows[places], lengths

    def product(self, chosen: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return some columns times coefficients."""
        values, rows, lengths = self._entries(chosen)
        return np.bincount(rows, values * np.repeat(x, lengths), self._height)

    def gram(self, chosen: np.ndarray) -> np.ndarray:
        """Return the products of some columns with each other, dense."""
        values, rows, lengths = self._entries(chosen)
        shape = (len(chosen), self._height)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(rows.dtype)
        transpose = scipy.sparse.csr_array((values, rows, starts), shape=shape)
        return np.asarray((transpose @ transpose.T.tocsr()).toarray())
