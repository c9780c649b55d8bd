"""Arrays of parameters: which dtypes are allowed, and how one is read in another dtype."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from operator import index as whole_number
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_array, read_only, require_finite, to_double
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.judging.exact import is_exact

Shape = tuple[int, ...]

_exact = np.frompyfunc(Fraction, 1, 1)


def as_parameter(value: Any, name: str) -> np.ndarray:
    """Return `value` as a read-only float32, float64 or exact (object) array, without a copy.

    Exact arrays hold `int` and `fractions.Fraction` only, these of Python's integers: those of
    NumPy wrap around. Integer arrays become float64.
    """
    array = as_array(value, name)
    if array.size == 0:
        raise ProblemError(f"{name} is empty (shape {array.shape}); remove the zero-size layer")
    if array.dtype == object:
        if bad := [v for v in array.ravel().tolist() if not is_exact(v)]:
            raise ProblemError(
                f"{name} mixes in a {type(bad[0]).__name__} ({bad[0]!r}); an exact array holds "
                "int and fractions.Fraction only, these of Python's integers"
            )
        return read_only(array)
    if array.dtype.kind in "bi" or array.dtype.kind == "u":
        array = to_double(array, name)
    if array.dtype not in (np.float32, np.float64):
        raise ProblemError(
            f"{name} has dtype {array.dtype}; convert it to float32 or float64 first "
            "(for a torch model: model.float())"
        )
    require_finite(array, name)
    return read_only(array)


def as_integers(values: Any, name: str) -> tuple[int, ...]:
    """Return integers in a list, a tuple or an array as a tuple; refuse everything else."""
    try:
        return tuple(map(whole_number, values))
    except TypeError:
        raise ProblemError(f"{name} must be a list of integers, got {short(values)}") from None


def cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return `array` in `dtype`; floats become exact rationals when `dtype` is object."""
    if array.dtype == dtype:
        return array
    if dtype.kind == "O":
        return np.asarray(_exact(array), dtype=object)
    return array.astype(dtype)


def exact(array: np.ndarray) -> np.ndarray:
    """Return an object array of Fractions equal to `array`, entry by entry."""
    return np.asarray(_exact(array), dtype=object)


Transform = Callable[[np.ndarray], np.ndarray]
"""Maps an array of weights entry by entry, for example to absolute values."""
