"""Supports as problems keep them: boolean matrices, read-only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import as_array, read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.sparse_arrays import summed
from sparseopt.judging import limits
from sparseopt.judging.evidence import brief


def as_support(value: Any, name: str) -> np.ndarray:
    """Return a read-only boolean matrix from a 0/1 matrix (array, nested lists, scipy sparse).

    Refuses anything that is not two-dimensional or not 0/1, naming the entry. What a sparse matrix
    stores more than once for an entry is added up without rounding, or refused.
    """
    if scipy.sparse.issparse(value):
        if math.prod(value.shape) > limits.DENSE_ENTRIES:
            raise ProblemError(
                f"{name} has shape {value.shape}; supports are stored dense, with at most "
                f"{limits.DENSE_ENTRIES} entries"
            )
        if value.ndim == 2 and value.dtype != bool:  # of truth values SciPy takes one that is true
            value = summed(value, scipy.sparse.csr_array, name)
        value = value.toarray()  # type: ignore[attr-defined]
    array = as_array(value, name)
    if array.ndim != 2:
        hint = "; for one matrix write [I]" if array.ndim == 1 else ""
        raise ProblemError(f"{name} must be a matrix, got an array of shape {array.shape}{hint}")
    if array.dtype == bool:
        # An array over someone's bytes may hold others than 0 and 1, which sums would count.
        return read_only(array.view(np.uint8) != 0)
    if array.dtype.kind not in "iufO":
        raise ProblemError(f"{name} must hold 0 and 1, got dtype {array.dtype}")
    ones = array == 1
    bad = np.argwhere(~(ones | (array == 0)).astype(bool))
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        shown = brief(array[place]) if array.dtype == object else str(array[place])
        raise ProblemError(
            f"{name} must hold only 0 and 1, but entry {place} is {shown}; "
            "pass the support of a weight matrix as (W != 0)"
        )
    return read_only(ones.astype(bool))
