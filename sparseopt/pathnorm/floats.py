"""Rounded numbers as float64, with one power of two for each tensor."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.judging.scaling import ScaledArray, times_power
from sparseopt.pathnorm.arithmetic import Arithmetic, of_largest, whole_power
from sparseopt.pathnorm.effort import DOUBLES
from sparseopt.pathnorm.rounded import (
    POWER_ROUNDINGS,
    SAFE,
    OutOfRange,
    Rounded,
    RoundedSums,
)

_MODEST = 300
"""Exponents between which weights are left as they are."""
_NEAR = 2.0**64
_CHUNK = 1 << 16

_ZERO = np.zeros(())


def _least(array: np.ndarray) -> float:
    """Return the smallest positive entry, inf if there is none."""
    least = float(array.min())
    return least if least > 0.0 else float(array.min(initial=math.inf, where=array > 0))


def normal(array: np.ndarray, exponent: int, roundings: int) -> Rounded:
    """Return the tensor, divided by a power of two unless its largest entry is near 1."""
    top = float(array.max())
    if top == 0.0:
        return Rounded(array, 0, roundings, math.inf)
    if not top < math.inf:
        raise OutOfRange
    shift = math.frexp(top)[1] - 1 if not 1 / _NEAR < top < _NEAR else 0
    least = math.ldexp(_least(array), -shift)
    if least < SAFE:
        raise OutOfRange
    return Rounded(times_power(array, -shift), exponent + shift, roundings, least)


class FloatWeights:
    """The q-th powers of absolute weights, divided by ``2**shift``.

    Parameters
    ----------
    raw : float32, float64 or exact array
    q : float
        0 for the indicator of nonzero.
    """

    def __init__(self, raw: np.ndarray, q: float) -> None:
        self._q = q
        self._scale = 0
        self._factor = 1.0
        self.shift = 0
        self.roundings = 0
        self.least = 1.0
        if raw.dtype == object and q != 0:
            sizes = _rounded(raw)
            raw, self.shift = sizes.array, sizes.exponent
            self.roundings = 1
        self._raw = raw
        if q != 0:
            self._set_range()

    def _set_range(self) -> None:
        raw, q = self._raw, self._q
        if raw.dtype == np.float32 and q in (1, 2):  # not looked at: no power leaves the range
            self.least = 2.0 ** (-149 * q)
        else:
            top, least = _range(raw)
            if top == 0.0:
                return
            low, high = math.frexp(least)[1] - 1, math.frexp(top)[1]
            if max(-low, high) * q > _MODEST:
                self._scale, low, high = high, low - high, 0
            if low * max(q, 1) < -1000:
                raise OutOfRange
            self.least = 2.0 ** math.floor(low * q)
        power = (self._scale + self.shift) * q
        self.shift = math.floor(power)
        self.roundings *= math.ceil(q)
        if float(q).is_integer():
            self.roundings += int(q) - 1
        else:
            self._factor = 2.0 ** (power - self.shift)
            self.roundings += POWER_ROUNDINGS + math.ceil(abs(power))

    def _numbers(self, raw: np.ndarray) -> np.ndarray:
        if self._q == 0:
            return (raw != 0).astype(np.float64)
        size = times_power(np.abs(raw, dtype=np.float64), -self._scale)
        if float(self._q).is_integer():
            return whole_power(size, int(self._q), np.multiply)
        return np.power(size, self._q) * self._factor

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._numbers(self._raw[:, outputs])

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._numbers(self._raw)


def _rounded(raw: np.ndarray) -> ScaledArray[np.ndarray]:
    """Return absolute values of exact numbers, up to a rounding, under one exponent."""
    sizes = ScaledArray.split(np.abs(raw))
    present = sizes.array > 0
    common = int(sizes.exponent[present].max()) if present.any() else 0
    if (sizes.exponent[present] - common < -1000).any():
        raise OutOfRange
    return ScaledArray(np.ldexp(sizes.array, sizes.exponent - common), common)


def _range(raw: np.ndarray) -> tuple[float, float]:
    """Return the largest absolute value and the smallest nonzero one."""
    top = max(float(raw.max()), -float(raw.min()))
    least, flat = math.inf, raw.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        least = min(least, _least(np.abs(flat[start : start + _CHUNK])))
    return top, least


class Floats(RoundedSums):
    """The arithmetic in float64."""

    SUMS = Arithmetic(np.add, np.multiply, np.matmul, _ZERO)
    LARGEST = of_largest(np.maximum, np.multiply, _ZERO)
    EACH = 1
    NANOSECONDS = DOUBLES

    def of(self, array: np.ndarray) -> Rounded:
        """Return a tensor of given non-negative floats."""
        return normal(array, 0, 0)

    def _normal(self, array: np.ndarray, exponent: int, roundings: int) -> Rounded:
        return normal(array, exponent, roundings)

    def _powers_of(self, raw: np.ndarray) -> FloatWeights:
        return FloatWeights(raw, self._q)

    def _parts(self, array: np.ndarray) -> tuple[np.ndarray, int]:
        return array, 0
