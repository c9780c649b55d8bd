"""Sums over paths in rounded arithmetic, with a bound of their rounding.

All numbers are non-negative, so nothing cancels: if each number on the way to a result is rounded
at most k times along each path of the computation, the result is off by at most a factor
``(1 + u)^k`` or ``(1 - u)^k``, whatever the order of summation (Higham, Accuracy and Stability,
section 3.1). k is counted along with the numbers: n for a sum of n products, 1 for a bias.

That holds as long as no product or sum is rounded to a denormal number or to zero. A tensor
carries a power of two beside its entries and knows its smallest positive one; where a product of
two such may fall below 2^-1000 the result must be at least 2^-900 in every entry, beside which
what is lost is far less than one more rounding; otherwise `OutOfRange` is raised.

Numbers are held in one of two ways: `floats`, and `wides`, where each has an exponent of its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from sparseopt.judging.rounding import gamma
from sparseopt.judging.scaling import ScaledArray, times_power
from sparseopt.networks.operator import Add, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import contractions, edges
from sparseopt.pathnorm.arithmetic import Arithmetic, Weights
from sparseopt.pathnorm.contractions import Contraction, Layer
from sparseopt.pathnorm.powers import Powers

SAFE = 2.0**-1000
CLEAR = 2.0**-900
POWER_ROUNDINGS = 20
"""Roundings that a real power counts for: twice eight units, and a product."""
_CHUNK = 1 << 15
"""Parts of the norm at a time, so that what is computed from them stays in the cache."""


class OutOfRange(Exception):
    """Numbers of one tensor lie too far apart for float64."""


@dataclass(frozen=True, eq=False)
class Rounded(ScaledArray[np.ndarray]):
    """A tensor ``array * 2**exponent`` of non-negative numbers.

    Parameters
    ----------
    array : array, shape (n, ...)
        Of float64, or of `wides.NUMBER`.
    exponent : int
        One for all.
    roundings : int
        Each entry is off by at most ``gamma(roundings)``, relatively.
    least : float
        No positive entry is smaller; inf if there is none. 1 for `wides`, which have no range.
    """

    roundings: int
    least: float


class RoundedWeights(Weights, Protocol):
    """The q-th powers of absolute weights, divided by ``2**shift``; the fields as in `Rounded`."""

    shift: int
    roundings: int
    least: float


class RoundedSums(ABC):
    """The arithmetic of sums (for q = inf of largest values) of q-th powers.

    The methods raise `OutOfRange` where the numbers that it is for do not suffice.
    """

    SUMS: ClassVar[Arithmetic]
    LARGEST: ClassVar[Arithmetic]
    EACH: ClassVar[int]
    """Roundings that a product and its summation count for."""
    NANOSECONDS: ClassVar[tuple[float, float]]
    """What a product takes, and what a number takes that is touched: see `effort.DOUBLES`."""

    def __init__(self, q: float) -> None:
        self._q = 1 if q == math.inf else q
        self._a = self.LARGEST if q == math.inf else self.SUMS

    @abstractmethod
    def of(self, array: np.ndarray) -> Rounded:
        """Return a tensor of given non-negative floats."""

    @abstractmethod
    def _normal(self, array: np.ndarray, exponent: int, roundings: int) -> Rounded:
        """Return a tensor as it is passed on."""

    @abstractmethod
    def _powers_of(self, raw: np.ndarray) -> RoundedWeights:
        """Return the q-th powers of absolute weights."""

    @abstractmethod
    def _parts(self, array: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return (m, e) with an array equal to ``m * 2**e``."""

    def ones(self, shape: Shape, samples: int = 1) -> Rounded:
        """Return all-ones samples."""
        return self.of(np.ones((samples, *shape)))

    def constant(self, raw: np.ndarray, shape: Shape) -> Rounded:
        """Return the powers of biases that broadcast to a shape."""
        w = self._powers_of(raw)
        value = self._normal(w.all(), w.shift, w.roundings)
        wide = np.broadcast_to(value.array, (1, *shape))
        return Rounded(wide, value.exponent, value.roundings, value.least)

    def forward(self, op: Layer, values: Sequence[Rounded], output: Shape) -> Rounded:
        """Return what the edges of a layer bring; see `edges.forward`."""
        if isinstance(op, Relu):
            return values[0]
        given, weights = _aligned(values), self._weights(op)
        with np.errstate(under="ignore", over="ignore"):
            array = edges.forward(op, given.arrays, weights, output, self._a)
        given.roundings += self.EACH * sum(edges.terms(op, [a.shape[1:] for a in given.arrays]))
        return self._result(given, array, weights)

    def backward(self, op: Layer, value: Rounded, inputs: Sequence[Shape]) -> list[Rounded]:
        """Return the transpose of `forward`."""
        if isinstance(op, Add):
            return [value for _ in inputs]
        given, weights = _aligned([value]), self._weights(op)
        with np.errstate(under="ignore", over="ignore"):
            arrays = edges.backward(op, value.array, weights, inputs, self._a)
        given.roundings += self.EACH * sum(edges.terms_back(op, inputs))
        return [self._result(given, array, weights) for array in arrays]

    def gradient(
        self, op: Contraction, values: Sequence[Rounded], value: Rounded
    ) -> Iterator[tuple[slice, Rounded]]:
        """Yield the absolute weights times `contractions.gradient`, some outputs at a time.

        No number is rounded to a denormal one or zero, which is looked at here, and none is
        infinite: entries are below 2^64 and weights below 2^301 (`floats`), or have no range.
        """
        given, above = _aligned(values), _aligned([value])
        (weights,) = self._weights(op)
        given.exponent += above.exponent
        products = given.least * above.least
        # One rounding for each position that a weight serves, and one for the weight.
        groups, outputs, inputs = contractions.kernel(op, op.weight).shape
        served = value.array.size // (groups * outputs) + 1
        given.roundings += above.roundings + self.EACH * served
        given.least = products * weights.least
        if min(products, given.least) < SAFE:
            raise OutOfRange
        exponent, roundings = given.exponent + weights.shift, given.roundings + weights.roundings
        for block, array in contractions.gradient(op, given.arrays, value.array, self._a):
            for rows in contractions.blocks(groups, array.shape[1], inputs, _CHUNK):
                at = slice(block.start + rows.start, block.start + rows.stop)
                part = self._a.times(array[:, rows], weights.part(at))
                yield at, Rounded(part[None], exponent, roundings, given.least)

    def _weights(self, op: Layer) -> list[RoundedWeights]:
        return [self._powers_of(raw) for raw in edges.tensors(op)]

    def _result(
        self, given: _Given, array: np.ndarray, weights: Sequence[RoundedWeights]
    ) -> Rounded:
        """Return the tensor that a layer makes of what enters it."""
        # In whichever order they are multiplied, no product on the way is smaller than this.
        faint = math.prod(min(v, 1.0) for v in (given.least, *(w.least for w in weights))) < SAFE
        # With one tensor of weights each product is added as it is; with two, what is lost in
        # the first would be multiplied.
        if faint and (len(weights) > 1 or not float(array.min()) >= CLEAR):
            raise OutOfRange
        exponent = given.exponent + sum(w.shift for w in weights)
        roundings = given.roundings + sum(w.roundings for w in weights) + int(faint)
        return self._normal(array, exponent, roundings)

    def plus(self, a: Rounded, b: Rounded) -> Rounded:
        """Return the sum of two tensors (for q = inf the larger)."""
        common = max((v.exponent for v in (a, b) if v.least < math.inf), default=0)
        moved, faint = [], False
        for v in (a, b):
            shift = max(v.exponent - common, -4000) if v.least < math.inf else 0
            faint = faint or math.ldexp(min(v.least, 1.0), shift) < SAFE
            moved.append(times_power(v.array, shift))
        total = self._a.add(*moved)
        if faint:
            present = np.broadcast_to((a.array > 0) | (b.array > 0), total.shape)
            if total.min(initial=math.inf, where=present) < CLEAR:
                raise OutOfRange
        return self._normal(total, common, max(a.roundings, b.roundings) + self.EACH + int(faint))

    def shares(self, value: Rounded, total: Powers) -> np.ndarray:
        """Return numbers under the exponent of a tensor, over a positive total."""
        m, e = self._parts(value.array)
        shift = np.maximum(e + (value.exponent - total.exponent.item()), -4000)
        over = 1.0 / total.array.item()
        with np.errstate(under="ignore"):
            if np.ndim(shift) or abs(shift) > 900:
                return times_power(m * over, shift)
            return m * math.ldexp(over, int(shift))

    @staticmethod
    def share_error(value: Rounded, total: Powers) -> float:
        """Return a bound of the relative error of `shares`."""
        error = gamma(value.roundings + 4) + total.error
        return error + error * error

    def powers(self, value: Rounded, sample: int = 0) -> Powers:
        """Return one sample."""
        m, e = self._parts(value.array[sample])
        error = gamma(value.roundings) if (m >= 0).all() else math.inf
        return Powers.of(m, e + value.exponent, error)


@dataclass(eq=False)
class _Given:
    """What enters a layer, under one exponent; the fields as in `Rounded`."""

    arrays: list[np.ndarray]
    exponent: int
    roundings: int
    least: float


def _aligned(values: Sequence[Rounded]) -> _Given:
    common = max((v.exponent for v in values if v.least < math.inf), default=0)
    arrays, least = [], math.inf
    for v in values:
        shift = v.exponent - common if v.least < math.inf else 0
        least = min(least, math.ldexp(v.least, max(shift, -4000)))
        if least < SAFE:
            raise OutOfRange
        arrays.append(times_power(v.array, shift))
    return _Given(arrays, common, max(v.roundings for v in values), least)
