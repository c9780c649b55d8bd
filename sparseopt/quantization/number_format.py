"""Formats of few bits: which numbers they hold, and rounding to the nearest of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.quantization.nearest import Grid, as_floats, nearest, quotients

_SCALES = (None, "free", "power_of_two")
_GRIDS = {
    "bf16": Grid(8, -126, (2.0 - 2.0**-7) * 2.0**127, math.inf, True, 16),
    "fp16": Grid(11, -14, 65504.0, math.inf, True, 16),
    "e4m3": Grid(4, -6, 448.0, math.nan, True, 8),
    "e5m2": Grid(3, -14, 57344.0, math.inf, True, 8),
    "e2m3": Grid(4, 0, 7.5, None, False, 6),
    "e3m2": Grid(3, -2, 28.0, None, False, 6),
    "e2m1": Grid(2, 0, 6.0, None, False, 4),
    # Integers are below 2^lowest, where numbers lie evenly.
    "int8": Grid(7, 6, 127.0, None, False, 8),
    "int4": Grid(3, 2, 7.0, None, False, 4),
}
_SIGNIFICANDS = {f"F{t}": Grid(t) for t in range(1, 54)}


@json_type
@dataclass(frozen=True)
class NumberFormat:
    """A set of numbers that take few bits.

    Parameters
    ----------
    name : str
        A hardware format: "bf16", "fp16", "e4m3" (largest number 448; no infinities), "e5m2",
        "e2m3", "e3m2", "e2m1", with their subnormal numbers; "int8" (-127 to 127), "int4" (-7 to
        7). Or "F1" to "F53": F_t, all numbers with t significant binary digits, of any exponent;
        also as ``significand(t)``.
    scale : {None, "free", "power_of_two"}
        Whether a block of numbers is stored with one common factor: none, any positive number, or
        a power of two.

    Raises
    ------
    ProblemError
        For another name or another scale; the message lists those that there are.

    Examples
    --------
    >>> import sparseopt as so
    >>> so.NumberFormat("e4m3").round([400 + 2**-40, 1e9, 1.03])
    array([416., 448.,   1.])
    >>> so.significand(3).round(1000.0)
    np.float64(1024.0)
    """

    name: str
    scale: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not (
            self.name in _GRIDS or self.name in _SIGNIFICANDS
        ):
            known = [*_GRIDS, "F1 to F53 (also as so.significand(t))"]
            raise UnknownNameError("number format", str(self.name), known)
        if self.scale not in _SCALES:
            raise ProblemError(
                f"the scale of a number format is None, 'free' or 'power_of_two', got "
                f"{self.scale!r}"
            )

    @property
    def grid(self) -> Grid:
        """The numbers that the codes stand for, without a scale."""
        return _GRIDS.get(self.name) or _SIGNIFICANDS[self.name]

    def __str__(self) -> str:
        words = {None: "", "free": " with a free scale", "power_of_two": " times a power of two"}
        return self.name + words[self.scale]

    @property
    def digits(self) -> int:
        """Significant binary digits t, the hidden one counted."""
        return self.grid.digits

    @property
    def lowest(self) -> int | None:
        """Exponent of the least normal number; None for F_t.

        Below ``2**lowest`` the numbers are the multiples of ``2**(lowest - digits + 1)``. For
        integers all are.
        """
        return self.grid.lowest

    @property
    def largest(self) -> float:
        """The largest number; infinity for F_t, which has none."""
        return self.grid.largest

    @property
    def bits(self) -> int | None:
        """Bits of one number in memory; None for F_t, which says nothing of exponents."""
        return self.grid.bits

    @property
    def is_finite(self) -> bool:
        """Whether the format holds finitely many numbers; F_t does not."""
        return self.grid.lowest is not None

    def positive_numbers(self) -> np.ndarray:
        """Return all positive numbers of a hardware format, ascending, as float64.

        Raises
        ------
        ProblemError
            For F_t, which holds infinitely many.

        Examples
        --------
        >>> import sparseopt as so
        >>> so.NumberFormat("e2m1").positive_numbers()
        array([0.5, 1. , 1.5, 2. , 3. , 4. , 6. ])
        """
        lowest = self.lowest
        if lowest is None:
            raise ProblemError(f"{self.name} holds infinitely many numbers; choose another format")
        half = 2 ** (self.digits - 1)
        top = math.frexp(self.largest)[1] - 1
        powers = 2.0 ** np.arange(lowest - self.digits + 1, top - self.digits + 2)
        normal = powers[:, None] * np.arange(half, 2 * half)
        numbers = np.concatenate([powers[0] * np.arange(1, half), normal.ravel()])
        return numbers[numbers <= self.largest]

    def round(self, values: ArrayLike, overflow: str = "saturate", axis: int | None = None) -> Any:
        """Return the nearest numbers of the format; halfway, the one whose last digit is even.

        There is one rounding, from the values as they are given, never by way of another format.
        Zeros keep their sign, but for integers.

        Parameters
        ----------
        values : array_like of float32 or float64, real or complex, of any shape
            float16 counts as float32, integers as float64. Complex numbers are rounded by parts.
        overflow : {"saturate", "error", "ieee"}
            What becomes of values beyond the largest number: that number; or a `ProblemError` that
            names the first of them; or what the standard of the format says: infinity, NaN for
            "e4m3", the largest number where the format has neither. F_t holds what the dtype of
            the values holds, and infinity.
        axis : int or None
            Of a format with a scale: each slice along this axis is a block; None: all values are
            one. The codes times their scale are returned, see `round_blocks`.

        Returns
        -------
        array of the values' dtype and shape
            A NumPy scalar for a single number. O(size), in a few passes.

        Raises
        ------
        ProblemError
            For NaN where the format holds none or ``overflow="error"``; for F_t with more digits
            than the dtype of the values has (t > 24 for float32); for other dtypes.

        References
        ----------
        IEEE 754-2019, section 4.3; OCP 8-bit Floating Point Specification 1.0; OCP Microscaling
        Formats 1.0.
        """
        array = as_floats(values)
        if self.scale is None:
            return self._nearest(array, overflow)[()]
        codes, scales = self.round_blocks(array, overflow, axis)
        parts = (codes.real, codes.imag) if codes.dtype.kind == "c" else (codes,)
        found = [self._times(part, scales, array.real.dtype, overflow) for part in parts]
        return (found[0] if len(found) == 1 else found[0] + 1j * found[1])[()]

    def _times(
        self, codes: np.ndarray, scales: Any, dtype: np.dtype[Any], overflow: str
    ) -> np.ndarray:
        """Return codes times their scales; a code may have been rounded up to beyond the dtype."""
        with np.errstate(over="ignore", under="ignore"):
            found = (codes * scales).astype(dtype)
            beyond = np.isinf(found) & np.isfinite(codes)
            if overflow == "ieee" or not self.is_finite or not beyond.any():
                return found
            if overflow == "error":
                raise ProblemError(f"a value rounds to one that {dtype} does not hold")
            # That code is a power of two; this is the next one towards zero.
            step = 1.0 if self.name.startswith("int") else np.abs(codes) * 2.0**-self.digits
            return np.where(beyond, (codes - np.sign(codes) * step) * scales, found).astype(dtype)

    def _nearest(self, array: np.ndarray, overflow: str) -> np.ndarray:
        """Round without a scale."""
        rounded = nearest(array, self.grid, overflow, self.name)
        # Integers have one zero: -0 + 0 is 0.
        return rounded + 0.0 if self.name.startswith("int") else rounded

    def contains(self, values: ArrayLike) -> bool:
        """Whether all values are numbers of the format; the codes, where it has a scale.

        Examples
        --------
        >>> import sparseopt as so
        >>> so.NumberFormat("e2m1").contains([0.5, -6.0]), so.significand(2).contains(5.0)
        (True, False)
        """
        array = as_floats(values)
        if not np.isfinite(array).all():
            return False
        exact = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        return np.array_equal(nearest(exact, self.grid, "saturate", self.name), exact)

    def block_scales(self, values: ArrayLike, axis: int | None = None) -> Any:
        """Return of each block the scale that takes its largest magnitude to the largest number.

        Parameters
        ----------
        values : array_like
        axis : int or None
            Of the blocks, see `round`.

        Returns
        -------
        float64, a scalar or an array that broadcasts against the values
            Positive and finite: 1 for a block of zeros, and for F_t. The least power of two that
            leaves no number beyond the largest, where the format says so.
        """
        array = as_floats(values)
        if axis is not None and not -array.ndim <= axis < array.ndim:
            raise ProblemError(f"axis {axis} is none of the {array.ndim} axes of the values")
        sizes = np.maximum(np.abs(array.real), np.abs(array.imag)).astype(np.float64)
        peaks = np.asarray(sizes.max(axis=axis, keepdims=axis is not None, initial=0.0))
        if not np.isfinite(peaks).all():
            raise ProblemError("a block with NaN or infinity has no scale; replace these first")
        if self.scale is None or not self.is_finite:
            return np.ones(peaks.shape)[()]
        with np.errstate(over="ignore", under="ignore"):
            scales = peaks / self.largest
            # A quotient below the normal range may be far too small.
            scales = np.where(scales * self.largest < peaks, np.nextafter(scales, np.inf), scales)
        if self.scale == "power_of_two":
            mantissas, exponents = np.frexp(peaks)
            top_mantissa, top = math.frexp(self.largest)
            scales = np.ldexp(1.0, np.maximum(exponents - top + (mantissas > top_mantissa), -1074))
        return np.where(peaks == 0.0, 1.0, scales)[()]

    def round_blocks(
        self, values: ArrayLike, overflow: str = "saturate", axis: int | None = None
    ) -> tuple[np.ndarray, Any]:
        """Return codes and scales: the multiples of `block_scales` that are nearest to the values.

        Returns
        -------
        codes : float64 or complex128 array of the values' shape
            Numbers of the format.
        scales : float64
            See `block_scales`; codes times scales stand for the values.

        Examples
        --------
        >>> import sparseopt as so
        >>> int4 = so.NumberFormat("int4", scale="power_of_two")
        >>> int4.round_blocks([[0.0, 0.0], [3.0, -0.6]], axis=1)
        (array([[ 0.,  0.],
               [ 6., -1.]]), array([[1. ],
               [0.5]]))
        """
        array = as_floats(values)
        scales = self.block_scales(array, axis)
        parts = [
            self._nearest(quotients(part, scales, self.grid), overflow)
            for part in ((array.real, array.imag) if array.dtype.kind == "c" else (array,))
        ]
        return (parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]), scales


def significand(t: int, scale: str | None = None) -> NumberFormat:
    """Return the format F_t: zero and all ``+-k 2**e`` with integers ``k < 2**t`` and e.

    Parameters
    ----------
    t : int
        Significant binary digits, 1 to 53. bf16 has 8, fp16 11, float32 24, float64 53.
    scale : {None, "free", "power_of_two"}
        See `NumberFormat`.

    Examples
    --------
    >>> import sparseopt as so
    >>> so.significand(8).round(1 / 3) == so.NumberFormat("bf16").round(1 / 3)
    np.True_
    """
    is_integer = isinstance(t, int | np.integer) and not isinstance(t, bool)
    if not is_integer or not 1 <= t <= 53:
        raise ProblemError(f"t must be an integer from 1 to 53, got {short(t)}")
    return NumberFormat(f"F{t}", scale)
