"""Sums over paths with an exponent for every number: any range, at some twenty times the cost.

Where the numbers of one tensor lie too far apart for `floats`. Rounding is counted as there; each
product and each sum counts twice, which covers what a far smaller summand loses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from sparseopt.judging.rounding import gamma
from sparseopt.networks.operator import Add, Operator
from sparseopt.networks.parameters import Shape, exact
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.edges import Arithmetic
from sparseopt.pathnorm.floats import POWER_ROUNDINGS
from sparseopt.pathnorm.powers import Powers, split

NUMBER = np.dtype([("m", np.float64), ("e", np.int64)])
"""``m * 2**e`` with m in [1/2, 1), or zero."""

_LOW = -(1 << 50)
"""Exponent of zero."""
_CHUNK = 1 << 16


def numbers(m: np.ndarray, e: np.ndarray | int) -> np.ndarray:
    """Return ``m * 2**e`` for non-negative floats m."""
    mantissa, shift = np.frexp(m)
    result = np.empty(mantissa.shape, NUMBER)
    result["m"] = mantissa
    result["e"] = np.where(mantissa > 0, shift + np.asarray(e, dtype=np.int64), _LOW)
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


def _pieces(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    step = max(1, _CHUNK // a.shape[-2])
    return [b[..., start : start + step] for start in range(0, b.shape[-1], step)]


def _sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a matrix product: the exponent of each entry first, then the mantissas under it."""
    inner = range(a.shape[-1])
    parts = []
    for piece in _pieces(a, b):
        columns = [(a[..., :, i, None], piece[..., None, i, :]) for i in inner]
        top = reduce(np.maximum, (x["e"] + y["e"] for x, y in columns))
        total = np.zeros(top.shape)
        for x, y in columns:
            total += np.ldexp(x["m"] * y["m"], np.maximum(x["e"] + y["e"] - top, -2000))
        parts.append(numbers(total, top))
    return np.concatenate(parts, axis=-1)


def _largest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    inner = range(a.shape[-1])
    parts = []
    for piece in _pieces(a, b):
        terms = (_times(a[..., :, i, None], piece[..., None, i, :]) for i in inner)
        parts.append(reduce(_larger, terms))
    return np.concatenate(parts, axis=-1)


_ZERO = numbers(np.zeros(()), 0)
SUMS = Arithmetic(_add, _times, _sums, _ZERO)
LARGEST = Arithmetic(_larger, _times, _largest, _ZERO)


class WideWeights:
    """The q-th powers of absolute weights; see `FloatWeights`."""

    def __init__(self, raw: np.ndarray, q: float) -> None:
        if q == 0:
            self._numbers, self.roundings = numbers((raw != 0).astype(np.float64), 0), 0
            return
        if raw.dtype == object:
            pairs = [split(abs(value)) for value in exact(raw).ravel().tolist()]
            m = np.array([m for m, _ in pairs]).reshape(raw.shape)
            size = numbers(m, np.array([e for _, e in pairs]).reshape(raw.shape))
        else:
            size = numbers(np.abs(raw).astype(np.float64), 0)
        whole = math.floor(q)
        part = q - whole
        self.roundings = 2 * math.ceil(q)
        factors = [_whole_power(size, whole)] if whole else []
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


def _whole_power(x: np.ndarray, q: int) -> np.ndarray:
    result: np.ndarray | None = None
    while q:
        if q & 1:
            result = x if result is None else _times(result, x)
        q >>= 1
        x = _times(x, x) if q else x
    assert result is not None
    return result


@dataclass(frozen=True, eq=False)
class Wide:
    """A tensor of numbers, shape (n, ...), each off by at most ``gamma(roundings)`` relatively."""

    array: np.ndarray
    roundings: int


class Wides:
    """The arithmetic of `Floats` without a limit of range."""

    def __init__(self, q: float) -> None:
        self._q = 1 if q == math.inf else q
        self._a = LARGEST if q == math.inf else SUMS

    def ones(self, shape: Shape, samples: int = 1) -> Wide:
        """Return all-ones samples."""
        return self.of(np.ones((samples, *shape)))

    def of(self, array: np.ndarray) -> Wide:
        """Return a tensor of given non-negative numbers."""
        return Wide(numbers(array, 0), 0)

    def constant(self, raw: np.ndarray, shape: Shape) -> Wide:
        """Return the powers of biases that broadcast to a shape."""
        w = WideWeights(raw, self._q)
        return Wide(np.broadcast_to(w.all(), (1, *shape)), w.roundings)

    def forward(self, op: Operator, values: Sequence[Wide], output: Shape) -> Wide:
        """Return what the edges of a layer bring; see `edges.forward`."""
        if isinstance(op, Add):
            return reduce(self.plus, values)
        arrays, weights = [v.array for v in values], self._weights(op)
        count = 2 * sum(edges.terms(op, [a.shape[1:] for a in arrays]))
        count += max(v.roundings for v in values) + sum(w.roundings for w in weights)
        return Wide(edges.forward(op, arrays, weights, output, self._a), count)

    def backward(self, op: Operator, value: Wide, inputs: Sequence[Shape]) -> list[Wide]:
        """Return the transpose of `forward`."""
        if isinstance(op, Add):
            return [value for _ in inputs]
        weights = self._weights(op)
        count = value.roundings + 2 * sum(edges.terms_back(op, inputs))
        count += sum(w.roundings for w in weights)
        arrays = edges.backward(op, value.array, weights, inputs, self._a)
        return [Wide(array, count) for array in arrays]

    def gradient(self, op: edges.Contraction, values: Sequence[Wide], value: Wide) -> Wide:
        """Return the absolute weights times `edges.gradient`, one sample of the kernel's shape."""
        (weights,) = self._weights(op)
        groups, outputs, _ = edges.kernel(op, op.weight).shape
        count = 2 * (value.array.size // (groups * outputs) + 1) + weights.roundings
        count += max(v.roundings for v in values) + value.roundings
        array = edges.gradient(op, [v.array for v in values], value.array, self._a)
        return Wide(_times(array, weights.all())[None], count)

    def plus(self, a: Wide, b: Wide) -> Wide:
        """Return the sum of two tensors (for q = inf the larger)."""
        return Wide(self._a.add(a.array, b.array), max(a.roundings, b.roundings) + 2)

    def shares(self, value: Wide, total: Powers) -> tuple[np.ndarray, float]:
        """Return the first sample over a positive total, and a bound of the relative error."""
        below = np.maximum(value.array["e"][0] - total.exponent.item(), -4000)
        shares = np.ldexp(value.array["m"][0] / total.mantissa.item(), below)
        error = gamma(value.roundings + 4) + total.error
        return shares, error + error * error

    def powers(self, value: Wide, sample: int = 0) -> Powers:
        """Return one sample."""
        mantissa, exponent = value.array["m"][sample], value.array["e"][sample]
        return Powers(mantissa, np.where(mantissa == 0, 0, exponent), gamma(value.roundings))

    def _weights(self, op: Operator) -> list[WideWeights]:
        return [WideWeights(raw, self._q) for raw in edges.tensors(op)]
