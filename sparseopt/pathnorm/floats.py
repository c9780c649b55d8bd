"""Sums over paths in float64, with a bound of their rounding.

All numbers are non-negative, so nothing cancels: if each number on the way to a result is rounded
at most k times along each path of the computation, the result is off by at most a factor
``(1 + u)^k`` or ``(1 - u)^k``, whatever the order of summation (Higham, Accuracy and Stability,
section 3.1). k is counted along with the numbers: n for a sum of n products, 1 for a bias.

That holds as long as no product or sum is rounded to a denormal number or to zero. A tensor
carries a power of two beside its entries and knows its smallest positive one; where a product of
two such may fall below 2^-1000 the result must be at least 2^-900 in every entry, beside which
what is lost is far less than one more rounding; else `OutOfRange` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from sparseopt.judging.rounding import gamma
from sparseopt.networks.operator import Add, Operator, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.edges import Arithmetic
from sparseopt.pathnorm.powers import Powers, split

SAFE = 2.0**-1000
CLEAR = 2.0**-900
_MODEST = 300
"""Exponents between which weights are left as they are."""
POWER_ROUNDINGS = 20
"""Roundings that a real power counts for: twice eight units, and a product."""

_CHUNK = 1 << 16


class OutOfRange(Exception):
    """Numbers of one tensor lie too far apart for float64."""


def _largest_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a matrix product with the largest instead of the sum of the products."""
    columns = max(1, _CHUNK // a.shape[-2])
    parts = []
    for start in range(0, b.shape[-1], columns):
        piece = b[..., start : start + columns]
        result = a[..., :, 0, None] * piece[..., None, 0, :]
        term = np.empty_like(result)
        for i in range(1, a.shape[-1]):
            np.multiply(a[..., :, i, None], piece[..., None, i, :], out=term)
            np.maximum(result, term, out=result)
        parts.append(result)
    return np.concatenate(parts, axis=-1)


_ZERO = np.zeros(())
SUMS = Arithmetic(np.add, np.multiply, np.matmul, _ZERO)
LARGEST = Arithmetic(np.maximum, np.multiply, _largest_products, _ZERO)


@dataclass(frozen=True, eq=False)
class Floating:
    """A tensor ``array * 2**exponent`` of non-negative numbers.

    Parameters
    ----------
    array : float64 array, shape (n, ...)
    exponent : int
    roundings : int
        Each entry is off by at most ``gamma(roundings)``, relatively.
    least : float
        No positive entry is smaller; inf if there is none.
    """

    array: np.ndarray
    exponent: int
    roundings: int
    least: float


def _least(array: np.ndarray) -> float:
    """Return the smallest positive entry, inf if there is none."""
    least = float(array.min())
    return least if least > 0.0 else float(array.min(initial=math.inf, where=array > 0))


def normal(array: np.ndarray, exponent: int, roundings: int) -> Floating:
    """Return the tensor with its largest entry in [1, 2)."""
    top = float(array.max())
    if top == 0.0:
        return Floating(array, 0, roundings, math.inf)
    if not top < math.inf:
        raise OutOfRange
    least, shift = _least(array), math.frexp(top)[1] - 1
    if math.ldexp(least, -shift) < SAFE:
        raise OutOfRange
    array = _times_power(array, -shift)
    return Floating(array, exponent + shift, roundings, math.ldexp(least, -shift))


def _times_power(array: np.ndarray, shift: int) -> np.ndarray:
    """Return ``array * 2**shift``."""
    if not shift:
        return array
    return array * 2.0**shift if abs(shift) <= 1000 else np.ldexp(array, shift)


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
            raw, self.shift = _rounded(raw)
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
        size = _times_power(np.abs(raw).astype(np.float64, copy=False), -self._scale)
        if float(self._q).is_integer():
            return whole_power(size, int(self._q))
        return np.power(size, self._q) * self._factor

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._numbers(self._raw[:, outputs])

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._numbers(self._raw)


def whole_power(x: np.ndarray, q: int) -> np.ndarray:
    """Return the q-th power of an array, q at least 1, with q - 1 roundings."""
    result: np.ndarray | None = None
    while True:
        if q & 1:
            result = x if result is None else result * x
        q >>= 1
        if not q:
            assert result is not None
            return result
        x = x * x


def _rounded(raw: np.ndarray) -> tuple[np.ndarray, int]:
    """Return (m, e) with exact numbers equal to ``m * 2**e`` up to a rounding."""
    pairs = [split(abs(value)) for value in edges.exact(raw).ravel().tolist()]
    common = max((e for m, e in pairs if m), default=0)
    if any(m and e - common < -1000 for m, e in pairs):
        raise OutOfRange
    return np.array([math.ldexp(m, e - common) for m, e in pairs]).reshape(raw.shape), common


def _range(raw: np.ndarray) -> tuple[float, float]:
    """Return the largest absolute value and the smallest nonzero one."""
    top = max(float(raw.max()), -float(raw.min()))
    least, flat = math.inf, raw.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        least = min(least, _least(np.abs(flat[start : start + _CHUNK])))
    return top, least


class Floats:
    """The arithmetic of sums (for q = inf of largest values) of q-th powers in float64.

    The methods raise `OutOfRange` where float64 does not suffice.
    """

    def __init__(self, q: float) -> None:
        self._q = 1 if q == math.inf else q
        self._a = LARGEST if q == math.inf else SUMS

    def ones(self, shape: Shape, samples: int = 1) -> Floating:
        """Return all-ones samples."""
        return self.of(np.ones((samples, *shape)))

    def of(self, array: np.ndarray) -> Floating:
        """Return a tensor of given non-negative numbers."""
        return normal(array, 0, 0)

    def constant(self, raw: np.ndarray, shape: Shape) -> Floating:
        """Return the powers of biases that broadcast to a shape."""
        w = FloatWeights(raw, self._q)
        value = normal(w.all(), w.shift, w.roundings)
        wide = np.broadcast_to(value.array, (1, *shape))
        return Floating(wide, value.exponent, value.roundings, value.least)

    def forward(self, op: Operator, values: Sequence[Floating], output: Shape) -> Floating:
        """Return what the edges of a layer bring; see `edges.forward`."""
        if isinstance(op, Add):
            return reduce(self.plus, values)
        if isinstance(op, Relu):
            return values[0]
        given = _aligned(values)
        weights = self._weights(op)
        with np.errstate(under="ignore", over="ignore"):
            array = edges.forward(op, given.arrays, weights, output, self._a)
        given.roundings += sum(edges.terms(op, [a.shape[1:] for a in given.arrays]))
        return given.result(array, weights)

    def backward(self, op: Operator, value: Floating, inputs: Sequence[Shape]) -> list[Floating]:
        """Return the transpose of `forward`."""
        if isinstance(op, Add):
            return [value for _ in inputs]
        given = _aligned([value])
        weights = self._weights(op)
        with np.errstate(under="ignore", over="ignore"):
            arrays = edges.backward(op, value.array, weights, inputs, self._a)
        given.roundings += sum(edges.terms_back(op, inputs))
        return [given.result(array, weights) for array in arrays]

    def gradient(
        self, op: edges.Contraction, values: Sequence[Floating], value: Floating
    ) -> Floating:
        """Return the absolute weights times `edges.gradient`, one sample of the kernel's shape."""
        given, above = _aligned(values), _aligned([value])
        (weights,) = self._weights(op)
        given.exponent += above.exponent
        given.least *= above.least
        # One rounding for each position that a weight serves, and one for the weight.
        groups, outputs, _ = edges.kernel(op, op.weight).shape
        given.roundings += above.roundings + value.array.size // (groups * outputs) + 1
        if given.least * weights.least < SAFE:
            raise OutOfRange
        array = edges.gradient(op, given.arrays, value.array, self._a) * weights.all()
        return given.result(array[None], [weights])

    def _weights(self, op: Operator) -> list[FloatWeights]:
        return [FloatWeights(raw, self._q) for raw in edges.tensors(op)]

    def plus(self, a: Floating, b: Floating) -> Floating:
        """Return the sum of two tensors (for q = inf the larger)."""
        common = max((v.exponent for v in (a, b) if v.least < math.inf), default=0)
        moved, faint = [], False
        for v in (a, b):
            shift = max(v.exponent - common, -4000) if v.least < math.inf else 0
            faint = faint or math.ldexp(min(v.least, 1.0), shift) < SAFE
            moved.append(_times_power(v.array, shift))
        total = self._a.add(*moved)
        if faint:
            present = np.broadcast_to((a.array > 0) | (b.array > 0), total.shape)
            if total.min(initial=math.inf, where=present) < CLEAR:
                raise OutOfRange
        return normal(total, common, max(a.roundings, b.roundings) + 1 + int(faint))

    def shares(self, value: Floating, total: Powers) -> tuple[np.ndarray, float]:
        """Return the first sample over a positive total, and a bound of the relative error."""
        shift = max(value.exponent - total.exponent.item(), -4000)
        with np.errstate(under="ignore"):
            shares = _times_power(value.array[0] * (1.0 / total.mantissa.item()), shift)
        error = gamma(value.roundings + 4) + total.error
        return shares, error + error * error

    def powers(self, value: Floating, sample: int = 0) -> Powers:
        """Return one sample."""
        return Powers.of(value.array[sample], value.exponent, gamma(value.roundings))


@dataclass
class _Given:
    """What enters a layer, under one exponent; the fields as in `Floating`."""

    arrays: list[np.ndarray]
    exponent: int
    roundings: int
    least: float

    def result(self, array: np.ndarray, weights: Sequence[FloatWeights]) -> Floating:
        """Return the tensor that the layer makes of it."""
        faint = math.prod([self.least, *(w.least for w in weights)]) < SAFE
        # With one tensor of weights each product is added as it is; with two, what is lost in
        # the first would be multiplied.
        if faint and (len(weights) > 1 or not float(array.min()) >= CLEAR):
            raise OutOfRange
        exponent = self.exponent + sum(w.shift for w in weights)
        roundings = self.roundings + sum(w.roundings for w in weights) + int(faint)
        return normal(array, exponent, roundings)


def _aligned(values: Sequence[Floating]) -> _Given:
    common = max((v.exponent for v in values if v.least < math.inf), default=0)
    arrays, least = [], math.inf
    for v in values:
        shift = v.exponent - common if v.least < math.inf else 0
        least = min(least, math.ldexp(v.least, max(shift, -4000)))
        if least < SAFE:
            raise OutOfRange
        arrays.append(_times_power(v.array, shift))
    return _Given(arrays, common, max(v.roundings for v in values), least)
