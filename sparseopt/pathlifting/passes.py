"""One pass through the layers gives ``||Phi^(->j)||_q^q`` for every output j.

Replace every weight and bias by the q-th power of its absolute value, every ReLU by the identity
and every pool by a sum: at the all-ones input the network then adds up |Phi_p|^q over the paths p
that end at each output (Gonon et al., arXiv 2310.01225, Theorem A.1). Values grow and shrink
geometrically with depth, so each tensor carries a power of two beside its entries; where the
entries of one tensor lie too far apart for that, the pass is repeated in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.network.network import Network, Node
from sparseopt.network.semiring import LARGEST, LOG, Semiring
from sparseopt.pathlifting import runs

# Entries above 2**-SAFE, times weights above 2**-SAFE, stay clear of underflow (2**-1022).
_SAFE = 480

Observe = Callable[[str, float, float], None]


@dataclass(frozen=True, eq=False)
class Powers:
    """Non-negative numbers ``mantissa * 2**exponent``, one per output entry.

    Parameters
    ----------
    mantissa : float64 array
        In [1/2, 1), or 0.
    exponent : int64 array
    """

    mantissa: np.ndarray
    exponent: np.ndarray

    @staticmethod
    def of(values: np.ndarray, exponent: int | np.ndarray = 0) -> Powers:
        """Return ``values * 2**exponent``."""
        mantissa, shift = np.frexp(values)
        return Powers(mantissa, np.where(mantissa > 0, shift.astype(np.int64) + exponent, 0))

    @staticmethod
    def of_log2(values: np.ndarray) -> Powers:
        """Return ``2**values``; -inf gives 0."""
        finite = np.isfinite(values)
        whole = np.where(finite, np.floor(np.where(finite, values, 0.0)), 0.0)
        part = np.where(finite, np.exp2(np.where(finite, values - whole, 0.0)), 0.0)
        return Powers.of(part, whole.astype(np.int64))

    @staticmethod
    def of_fractions(values: list[Fraction]) -> Powers:
        """Return rationals, rounded to 53 bits."""
        pairs = [_split(value) for value in values]
        mantissa = np.array([m for m, _ in pairs])
        return Powers.of(mantissa, np.array([e for _, e in pairs], dtype=np.int64))

    def root(self, q: float) -> Powers:
        """Return the q-th roots."""
        if q == 1:
            return self
        whole = np.floor(self.exponent / q).astype(np.int64)
        rest = self.exponent - whole * q
        return Powers.of(np.power(self.mantissa, 1.0 / q) * np.exp2(rest / q), whole)

    def log10(self) -> np.ndarray:
        """Return the decimal logarithms; -inf for 0."""
        with np.errstate(divide="ignore"):
            return np.log10(self.mantissa) + self.exponent * math.log10(2.0)

    def norm(self, r: float) -> Powers:
        """Return the r-norm of the numbers, as one number of shape ()."""
        positive = self.mantissa > 0
        if not positive.any():
            return Powers.of(np.zeros(()))
        top = int(self.exponent[positive].max())
        scaled = np.ldexp(self.mantissa, np.maximum(self.exponent - top, -1100))
        largest = scaled.max()
        if r == math.inf:
            return Powers.of(np.asarray(largest), top)
        total = largest * np.sum((scaled / largest) ** r) ** (1.0 / r)
        return Powers.of(np.asarray(total), top)

    def as_float(self) -> float:
        """Return the single number as a float; inf or 0.0 where float64 ends."""
        try:
            return math.ldexp(float(self.mantissa), int(self.exponent))
        except OverflowError:
            return math.inf


def _split(value: Fraction) -> tuple[float, int]:
    """Return (m, e) with ``m * 2**e`` equal to a rational up to rounding, however large it is."""
    if value == 0:
        return 0.0, 0
    shift = value.numerator.bit_length() - value.denominator.bit_length()
    scaled = value / 2**shift if shift >= 0 else value * 2**-shift
    return float(scaled), shift


class _OutOfRange(Exception):
    """One tensor holds entries too far apart for a common exponent."""


def power_sums(
    network: Network,
    q: float,
    *,
    bias_paths: bool = True,
    by_pixels: bool = False,
    tick: Callable[[str], None] | None = None,
    observe: Observe | None = None,
) -> Powers:
    """Return ``||Phi^(->j)||_q^q`` per output (the number of nonzero paths for q = 0, the largest
    |Phi_p| for q = inf).

    Parameters
    ----------
    network : Network
    q : float
        0, positive, or inf.
    bias_paths : bool
        Whether paths that start at biases count.
    by_pixels : bool
        Compute convolutions with their sums in another order.
    tick : callable(node name), optional
        Called at each layer.
    observe : callable(node name, log2 of the total, log2 of the largest), optional
        Called after each layer with the total and the largest of ``||Phi^(->v)||_q^q`` over its
        neurons v; again from the first layer on if the pass is repeated. For q = inf the total
        is the largest.

    Returns
    -------
    Powers
        In the shape of the output.
    """
    pass_of = _Logarithms if q == math.inf else _Scaled
    try:
        return pass_of(q, bias_paths, by_pixels, tick, observe).run(network)
    except _OutOfRange:
        return _Logarithms(q, bias_paths, by_pixels, tick, observe).run(network)


@dataclass(frozen=True)
class _Logarithms:
    """The pass on base-2 logarithms; any range, at one exponential per edge (none for q = inf)."""

    q: float
    bias_paths: bool
    by_pixels: bool
    tick: Callable[[str], None] | None
    observe: Observe | None

    def run(self, network: Network) -> Powers:
        first = runs.Runs.ones(network.input_shape, semiring=self._semiring)
        return Powers.of_log2(network.walk(first, self._visit).expanded().array[0])

    @property
    def _semiring(self) -> Semiring:
        return LARGEST if self.q == math.inf else LOG

    def _log(self, array: np.ndarray) -> np.ndarray:
        size = np.asarray(np.abs(array), dtype=np.float64)
        with np.errstate(divide="ignore"):
            logs = np.log2(size)
        if self.q == 0:
            return np.where(size > 0, 0.0, -np.inf)
        return logs if self.q == math.inf else logs * self.q

    def _visit(self, node: Node, values: list[runs.Runs]) -> runs.Runs:
        if self.tick:
            self.tick(node.name)
        result = runs.propagate(node.op.mapped(self._log), values, self._semiring)
        offset = node.op.offset() if self.bias_paths else None
        if offset is not None:
            result = result.against(offset)
            result = result.scaled(self._semiring.add(result.array, self._log(offset)))
        if self.observe:
            largest = float(result.array.max())
            total = largest
            if self.q != math.inf and largest > -math.inf:
                total += math.log2(result.scaled(np.exp2(result.array - largest)).total())
            self.observe(node.name, total, largest)
        return result


@dataclass(frozen=True)
class _Scaled:
    """The pass on float64 arrays, each with a power of two beside it.

    Equal positions of an image are computed once; see `sparseopt.pathlifting.runs`.
    """

    q: float
    bias_paths: bool
    by_pixels: bool
    tick: Callable[[str], None] | None
    observe: Observe | None

    def run(self, network: Network) -> Powers:
        first = (runs.Runs.ones(network.input_shape), 0)
        values, exponent = network.walk(first, self._visit)
        return Powers.of(values.expanded().array[0], exponent)

    def _power(self, array: np.ndarray) -> tuple[np.ndarray, int]:
        """Return (m, e) with |array|**q = m * 2**e."""
        if self.q == 0:
            return np.asarray(array != 0, dtype=np.float64), 0
        if array.dtype == np.float32 and self.q <= 3:
            # Nonzero float32 numbers have cubes between 2**-447 and 2**384: no need to look.
            size = np.abs(array).astype(np.float64)
            return (size if self.q == 1 else np.power(size, self.q)), 0
        size = np.asarray(np.abs(array), dtype=np.float64)
        top = float(size.max())
        if top == 0.0:
            return size, 0
        shift = math.frexp(top)[1]
        if shift:
            np.ldexp(size, -shift, out=size)
        _require_range(size, self.q)
        if self.q == 1:
            return size, shift
        exponent = math.floor(self.q * shift)
        powered = np.power(size, self.q) * 2.0 ** (self.q * shift - exponent)
        return powered, exponent

    def _visit(self, node: Node, values: list[Any]) -> tuple[runs.Runs, int]:
        if self.tick:
            self.tick(node.name)
        inputs, exponent = _aligned(values)
        shifts: list[int] = []

        def transform(array: np.ndarray) -> np.ndarray:
            powered, shift = self._power(array)
            shifts.append(shift)
            return powered

        result = runs.propagate(node.op.mapped(transform), inputs, by_pixels=self.by_pixels)
        exponent += sum(shifts)
        offset = node.op.offset() if self.bias_paths else None
        if offset is not None and np.any(offset):
            powered, shift = self._power(offset)
            constant = runs.Runs(powered, (None,) * powered.ndim)
            (result, constant), exponent = _aligned([(result, exponent), (constant, shift)])
            result = result.against(constant.array)
            result = result.scaled(result.array + constant.array)
        if self.observe:
            sums = result.total(), float(result.array.max())
            total, largest = (math.log2(v) + exponent if v > 0 else -math.inf for v in sums)
            self.observe(node.name, total, largest)
        return result, exponent


def _require_range(values: np.ndarray, power: float = 1.0) -> None:
    """Raise `_OutOfRange` if a nonzero entry, at most 1, has a power below 2**-SAFE."""
    least = float(values.min(initial=1.0, where=values > 0))
    if math.frexp(least)[1] * power < -_SAFE:
        raise _OutOfRange


def _aligned(values: list[tuple[runs.Runs, int]]) -> tuple[list[runs.Runs], int]:
    """Return the arrays under one exponent, with largest entry near 1."""
    scaled = []
    for value, exponent in values:
        top = float(value.array.max())
        shift = math.frexp(top)[1] if top > 0.0 else 0
        scaled.append((value, shift, exponent + shift if top > 0.0 else None))
    present = [total for _, _, total in scaled if total is not None]
    common = max(present, default=0)
    result = []
    for value, shift, total in scaled:
        move = -shift if total is None else total - common - shift
        if total is not None and total - common < -_SAFE:
            raise _OutOfRange
        array = np.ldexp(value.array, move) if move else value.array
        if total is not None:
            _require_range(array)
        result.append(value.scaled(array))
    return result, common
