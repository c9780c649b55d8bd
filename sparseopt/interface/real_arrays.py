"""Real vectors and matrices as problems keep them: float64, finite, read-only, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.errors import ProblemError

_EXACT = 2**53
"""Integers up to here are numbers of float64."""
_WORDS = {1: "a vector", 2: "a matrix"}


def as_real(value: Any, name: str, dimensions: int) -> np.ndarray:
    """Return a non-empty real array as float64, read-only, without rounding an entry.

    Refuses, by name or entry: sparse matrices and linear operators (nothing is written out
    silently), complex numbers, masked and ragged arrays, other dtypes than floats of at most 64
    bits, integers and booleans, integers that float64 does not hold, NaN and infinity, another
    number of dimensions, no entries.
    """
    if scipy.sparse.issparse(value) or hasattr(value, "matvec"):
        raise ProblemError(
            f"{name} is a {type(value).__name__}, and its entries are needed one by one; pass "
            "the array itself, for instance .toarray()"
        )
    if isinstance(value, np.ma.MaskedArray):
        raise ProblemError(
            f"{name} is a masked array; fill or drop the masked entries first (.filled(value))"
        )
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"{name} is ragged: its rows differ in length ({error})") from error
    if array.dtype.kind == "c":
        raise ProblemError(f"{name} is complex; only real numbers are taken here")
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ProblemError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    if array.ndim != dimensions or 0 in array.shape:
        raise ProblemError(
            f"{name} must be {_WORDS[dimensions]} with at least one entry, got an array of shape "
            f"{array.shape}"
        )
    require_finite(array, name)
    real = array.astype(np.float64, copy=False)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        _require_held(array, real, name)
    return read_only(real)


def _require_held(array: np.ndarray, real: np.ndarray, name: str) -> None:
    """Refuse integers that changed on their way to float64."""
    large = array > _EXACT if array.dtype.kind == "u" else (array > _EXACT) | (array < -_EXACT)
    for place in map(tuple, np.argwhere(large).tolist()):
        if int(array[place]) != int(real[place]):
            raise ProblemError(
                f"{name} holds {array[place]} at entry {place}, which float64 does not; pass "
                "float64 numbers"
            )
