"""Real vectors and matrices as problems keep them: float64, finite, read-only, exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import (
    as_array,
    read_only,
    require_finite,
    to_double,
    unmasked,
)
from sparseopt.interface.errors import ProblemError

_WORDS = {1: "a vector", 2: "a matrix"}


def as_real(value: Any, name: str, dimensions: int, complex_too: bool = False) -> np.ndarray:
    """Return a non-empty real array as float64, read-only, without rounding an entry.

    Where `complex_too`, a complex array as complex128.

    Refuses, by name or entry: sparse matrices and linear operators (nothing is written out
    silently), complex numbers, masked and ragged arrays, other dtypes than floats of at most 64
    bits, integers and booleans, integers that float64 does not hold, NaN and infinity, another
    number of dimensions, no entries.
    """
    if scipy.sparse.issparse(value) or hasattr(value, "matvec"):
        written = ".toarray()" if scipy.sparse.issparse(value) else "its product with the identity"
        written = ".to_dense()" if hasattr(value, "to_dense") else written
        raise ProblemError(
            f"{name} is a {type(value).__name__}, and its entries are needed one by one; pass "
            f"the array itself, for instance {written}"
        )
    value = unmasked(value, name)
    array = as_array(value, name)
    if array.dtype.kind == "c" and not complex_too:
        raise ProblemError(f"{name} is complex; only real numbers are taken here")
    if array.dtype.kind not in "biufc" or array.real.dtype.itemsize > 8:
        raise ProblemError(f"{name} has dtype {array.dtype}; convert it to float32 or float64")
    if array.ndim != dimensions or 0 in array.shape:
        raise ProblemError(
            f"{name} must be {_WORDS[dimensions]} with at least one entry, got an array of shape "
            f"{array.shape}"
        )
    require_finite(array, name)
    return read_only(to_double(array, name))


def as_complex(value: Any, name: str, dimensions: int) -> np.ndarray:
    """Return a non-empty array as complex128, read-only; both parts are taken as by `as_real`."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        if value.dtype.itemsize > 16:
            raise ProblemError(f"{name} has dtype {value.dtype}; convert it to complex128")
        if isinstance(value, np.ma.MaskedArray):
            as_real(value, name, dimensions)
        parts = [as_real(part, name, dimensions) for part in (value.real, value.imag)]
        found = np.empty(value.shape, dtype=np.complex128)
        found.real, found.imag = parts
        return read_only(found)
    return read_only(as_real(value, name, dimensions).astype(np.complex128))
