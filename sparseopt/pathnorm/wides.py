"""Rounded numbers with an exponent each: any range, at some twenty times the cost.

Where the numbers of one tensor lie too far apart for `floats`. Each product and each sum counts
for two roundings, which covers what a far smaller summand loses.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from sparseopt.judging.scaling import ScaledArray
from sparseopt.pathnorm.arithmetic import Arithmetic, of_largest, whole_power
from sparseopt.pathnorm.rounded import POWER_ROUNDINGS, Rounded, RoundedSums

NUMBER = np.dtype([("m", np.float64), ("e", np.int64)])
"""``m * 2**e`` with m in [1/2, 1), or zero."""

_LOW = -(1 << 50)
"""Exponent of zero."""
_MOST = 1 << 48
"""Largest exponent: of a product twice as large, which still lies above that of zero."""
_CHUNK = 1 << 16


def numbers(m: np.ndarray, e: np.ndarray | int) -> np.ndarray:
    """Return ``m * 2**e`` for non-negative floats m; beyond all range NaN, which is the largest."""
    mantissa, shift = np.frexp(m)
    power = shift + np.asarray(e, dtype=np.int64)
    mantissa = np.where((mantissa > 0) & (np.abs(power) > _MOST), math.nan, mantissa)
    result = np.empty(mantissa.shape, NUMBER)
    result["m"] = mantissa
    result["e"] = np.where(mantissa == 0, _LOW, np.where(mantissa > 0, power, _MOST))
    return result


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    top = np.maximum(a["e"], b["e"])
    parts = [np.ldexp(x["m"], np.maximum(x["e"] - top, -2000)) for x in (a, b)]
    return numbers(parts[0] + parts[1], top)


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return numbers(a["m"] * b["m"], a["e"] + b["e"])


def _larger(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = np.broadcast_arrays(a, b)
    take = (b["e"] > a["e"]) | ((b["e"] == a["e"]) & (b["m"] > a["m"]))
    return np.where(take, b, a)


def _sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a matrix product: the exponent of each entry first, then the mantissas under it."""
    inner, step = range(a.shape[-1]), max(1, _CHUNK // a.shape[-2])
    parts = []
    for start in range(0, b.shape[-1], step):
        piece = b[..., start : start + step]
        columns = [(a[..., :, i, None], piece[..., None, i, :]) for i in inner]
        top = reduce(np.maximum, (x["e"] + y["e"] for x, y in columns))
        total = np.zeros(top.shape)
        for x, y in columns:
            total += np.ldexp(x["m"] * y["m"], np.maximum(x["e"] + y["e"] - top, -2000))
        parts.append(numbers(total, top))
    return np.concatenate(parts, axis=-1)


_ZERO = numbers(np.zeros(()), 0)


class WideWeights:
    """The q-th powers of absolute weights."""

    shift = 0
    least = 1.0

    def __init__(self, raw: np.ndarray, q: float) -> None:
        if q == 0:
            self._numbers, self.roundings = numbers((raw != 0).astype(np.float64), 0), 0
            return
        found = ScaledArray.split(np.abs(raw))
        size = numbers(found.array, found.exponent)
        whole, part = divmod(q, 1)
        self.roundings = 2 * math.ceil(q)
        factors = [whole_power(size, int(whole), _times)] if whole else []
        if part:
            exponent = np.where(size["m"] > 0, size["e"] * part, 0.0)
            below = np.floor(exponent)
            root = np.power(size["m"], part) * np.exp2(exponent - below)
            factors.append(numbers(root, below.astype(np.int64)))
            self.roundings += POWER_ROUNDINGS + math.ceil(float(np.abs(exponent).max())) + 2
        self._numbers = reduce(_times, factors)

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._numbers[:, outputs]

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._numbers


class Wides(RoundedSums):
    """The arithmetic without a limit of range."""

    SUMS = Arithmetic(_add, _times, _sums, _ZERO)
    LARGEST = of_largest(_larger, _times, _ZERO)
    EACH = 2
    NANOSECONDS = 20.0, 100.0

    def of(self, array: np.ndarray) -> Rounded:
        """Return a tensor of given non-negative floats."""
        return self._normal(numbers(array, 0), 0, 0)

    def _normal(self, array: np.ndarray, exponent: int, roundings: int) -> Rounded:
        return Rounded(array, exponent, roundings, 1.0)

    def _powers_of(self, raw: np.ndarray) -> WideWeights:
        return WideWeights(raw, self._q)

    def _parts(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return array["m"], np.where(array["m"] == 0, 0, array["e"])
