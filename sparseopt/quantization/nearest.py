"""Rounding to the nearest number with few digits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.judging.rounding import two_product

OVERFLOW = ("saturate", "error", "ieee")
_DIGITS = {np.dtype(np.float64): 53, np.dtype(np.float32): 24}
_UP = 2.0**64
"""Takes numbers below the normal range into it."""


@dataclass(frozen=True)
class Grid:
    """The numbers 0 and +-k 2^(e - digits + 1) with k < 2^digits, e >= lowest, up to the largest.

    Attributes
    ----------
    digits : int
        Of the significand, the hidden one counted.
    lowest : int or None
        Exponent of the least normal number; numbers below it lie as densely as just above it.
        None: there is no least number.
    largest : float
        Largest finite number; infinity if there is none.
    beyond : float or None
        What stands for an overflow by the format's own standard; None: the largest number.
    has_nan : bool
        Whether a code stands for NaN.
    bits : int or None
        Of one number in memory.
    """

    digits: int
    lowest: int | None = None
    largest: float = math.inf
    beyond: float | None = math.inf
    has_nan: bool = False
    bits: int | None = None


def as_floats(values: Any, name: str = "values") -> np.ndarray:
    """Return numbers as a float32, float64, complex64 or complex128 array, without rounding one.

    Refuses masked arrays, tensors that would lose their gradient, and all dtypes but these,
    float16, bfloat16, integers and truth values: converting those here would round twice.
    """
    if getattr(values, "requires_grad", False):
        raise ProblemError(f"{name} is a tensor that needs a gradient; detach it first")
    array = as_array(values, name)
    if array.dtype in (np.float64, np.float32, np.complex64, np.complex128):
        return array
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind not in "biu":
        raise ProblemError(
            f"{name} has dtype {array.dtype}; convert it to float32 or float64, whichever holds "
            "every entry"
        )
    real = array.astype(np.float64)
    for place in map(tuple, np.argwhere(np.abs(real) >= 2.0**53).tolist()):
        if int(array[place]) != int(real[place]):
            raise ProblemError(
                f"{name} holds {array[place]} at entry {place}, which float64 does not"
            )
    return real


def nearest(array: np.ndarray, grid: Grid, overflow: str, name: str) -> np.ndarray:
    """Return the numbers of a grid nearest to an array's, in its dtype; see `NumberFormat.round`.

    Parameters
    ----------
    array : float32, float64, complex64 or complex128 array
    grid : Grid
    overflow : {"saturate", "error", "ieee"}
    name : str
        Of the format, for errors.
    """
    if overflow not in OVERFLOW:
        raise ProblemError(f"overflow must be one of {', '.join(OVERFLOW)}, got {short(overflow)}")
    if array.dtype.kind == "c":
        rounded = np.empty(array.shape, dtype=array.dtype)
        rounded.real = nearest(array.real, grid, overflow, name)
        rounded.imag = nearest(array.imag, grid, overflow, name)
        return rounded
    most = _DIGITS[array.dtype]
    if grid.digits > most:
        raise ProblemError(f"{array.dtype} has {most} digits, {name} asks for {grid.digits}")
    is_nan = np.isnan(array)
    if is_nan.any() and (overflow == "error" or not grid.has_nan):
        raise ProblemError(
            f"NaN at entry {_first(is_nan)}: {name} holds no NaN, or none is wanted; replace it"
        )
    rounded = _to_digits(array, grid.digits)
    if grid.lowest is not None:
        _round_small(array, rounded, grid)
    rounded[is_nan] = math.nan
    largest = grid.largest
    if largest == math.inf:
        top = float(np.finfo(array.dtype).maxexp - 1)
        largest = (2.0 - 2.0 ** (1 - grid.digits)) * 2.0**top
    if overflow == "saturate" or (grid.beyond is None and overflow == "ieee"):
        return np.clip(rounded, -largest, largest, out=rounded)
    over = np.abs(rounded) > largest
    if overflow == "error" and over.any():
        place = _first(over)
        raise ProblemError(
            f"{array[place]!s} at entry {place} ({np.count_nonzero(over)} such entries) is beyond "
            f"{largest:g}, the largest number of {name}; rescale, or choose overflow='saturate'"
        )
    if grid.beyond is not None:
        rounded[over] = np.copysign(grid.beyond, rounded[over])
    return rounded


def _first(places: np.ndarray) -> tuple[int, ...]:
    """Return the first place where a boolean array is true."""
    return tuple(np.argwhere(places)[0].tolist())


def _to_digits(array: np.ndarray, digits: int) -> np.ndarray:
    """Return a copy rounded to so many digits, of any exponent; halfway, to an even significand.

    Of the bits of a normal number the last ones are dropped after half of what they count was
    added, a little less where the digit before them is even: a carry moves on into the exponent,
    as it should, and out of the range of the dtype into infinity. Numbers below the normal range
    go through it. Some NaN become other bits.
    """
    dropped = _DIGITS[array.dtype] - digits
    rounded = np.array(array, order="C")
    if not dropped:
        return rounded
    small = np.abs(rounded) < np.finfo(array.dtype).smallest_normal
    small &= rounded != 0.0
    if small.any():
        lifted = rounded[small] * array.dtype.type(_UP)
    bits: Any = rounded.view(np.uint64 if array.dtype == np.float64 else np.uint32)
    if digits == 1:  # the only digit is the hidden one, and odd
        bits += bits.dtype.type(1 << (dropped - 1))
    else:
        odd = (bits >> bits.dtype.type(dropped)) & bits.dtype.type(1)
        odd += bits.dtype.type((1 << (dropped - 1)) - 1)
        bits += odd
    bits &= ~bits.dtype.type((1 << dropped) - 1)
    if small.any():
        rounded[small] = _to_digits(lifted, digits) / array.dtype.type(_UP)
    return rounded


def _round_small(array: np.ndarray, rounded: np.ndarray, grid: Grid) -> None:
    """Round, in place, the numbers below the least normal one, which lie evenly."""
    assert grid.lowest is not None
    small = np.abs(array) < 2.0**grid.lowest
    if small.any():
        # Both products are exact: powers of two, in double precision.
        spacing = 2.0 ** (grid.lowest - grid.digits + 1)
        rounded[small] = np.rint(array[small].astype(np.float64) / spacing) * spacing


def quotients(part: np.ndarray, scales: Any, grid: Grid) -> np.ndarray:
    """Return real numbers over positive scales, such that rounding them to the grid is not a second
    rounding: a quotient that was rounded onto a midpoint is moved to the side where it is from.

    As rounding is monotone, any other quotient stays on its side of every midpoint.
    """
    mantissas, exponents = np.frexp(scales)
    # In [1, 2), so that what is over 1 keeps the last digit of the least float.
    mantissas, exponents = 2.0 * mantissas, exponents - 1
    values = np.ldexp(part.astype(np.float64), -exponents)
    found = values / mantissas
    if grid.digits >= 53:  # no float is a midpoint
        return found
    halves = Grid(grid.digits + 1, grid.lowest)
    on_midpoint = np.isfinite(found) & (nearest(found, halves, "saturate", "") == found)
    product, error = two_product(np.where(on_midpoint, found, 0.0), mantissas)
    rest = (values - product) - error
    aside = np.nextafter(found, np.copysign(math.inf, rest))
    return np.where(on_midpoint & (rest != 0.0), aside, found)
