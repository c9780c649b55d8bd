"""Sparse matrices that store a number more than once: sums without rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import to_double
from sparseopt.interface.errors import ProblemError


def summed(value: Any, cls: Any, name: str) -> Any:
    """Return a sparse matrix as a `cls` of SciPy in canonical format, without rounding.

    Integers, which SciPy would add up in their own dtype, and truth values become float64.

    Raises
    ------
    ProblemError
        If numbers stored for one entry have a sum that float64 does not hold, or are truth values.
    """
    if value.dtype.kind in "biu":
        value = _in_double(value.tocoo(), name)
    matrix = cls(value)
    kept = matrix.has_canonical_format and matrix.nnz == value.nnz
    return matrix if kept else _summed(value, matrix.copy(), name)


def _in_double(matrix: Any, name: str) -> Any:
    if matrix.dtype == bool and matrix.tocsr().nnz < matrix.nnz:
        raise ProblemError(
            f"{name} stores truth values more than once for an entry, which may count as one or as "
            "many; add them up first (.sum_duplicates())"
        )
    return scipy.sparse.coo_array((to_double(matrix.data, name), matrix.coords), matrix.shape)


def _summed(value: Any, matrix: Any, name: str) -> Any:
    matrix.sum_duplicates()
    if matrix.nnz == value.nnz:
        return matrix
    return type(matrix)(_without_duplicates(value.tocoo(), name))  # SciPy added up, and rounded


def _without_duplicates(matrix: Any, name: str) -> Any:
    """Return a sparse matrix in coordinates with what is stored twice added up."""
    order = np.lexsort((matrix.row, matrix.col))
    row, column = matrix.row[order], matrix.col[order]
    values = to_double(matrix.data[order], name)
    new = np.append(True, (np.diff(row) != 0) | (np.diff(column) != 0))[: len(values)]
    first = np.flatnonzero(new)
    counts = np.diff(np.append(first, len(values)))
    found, open_ = values[first], np.arange(len(first))
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(1, int(counts.max(initial=1))):
            open_ = open_[counts[open_] > k]
            one, two = found[open_], values[first[open_] + k]
            added = found[open_] = one + two
            part = added - one
            lost = (one - (added - part)) + (two - part)  # Knuth's TwoSum
            if lost.any() and np.isfinite(values).all():
                i = first[open_[np.flatnonzero(lost)[0]]]
                raise ProblemError(
                    f"{name} stores numbers at entry {(int(row[i]), int(column[i]))} whose sum "
                    "float64 does not hold; add them up first (.sum_duplicates())"
                )
    narrow = found.astype(matrix.dtype) if matrix.dtype.kind in "fc" else found
    kept = narrow if np.array_equal(narrow, found, equal_nan=True) else found
    return scipy.sparse.coo_array((kept, (row[first], column[first])), shape=matrix.shape)
