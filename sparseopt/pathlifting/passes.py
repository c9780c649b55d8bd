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

import numpy as np

from sparseopt.network.network import Network, Node
from sparseopt.network.semiring import LARGEST, LOG, Semiring
from sparseopt.pathlifting import runs
from sparseopt.pathlifting.scaled import Observe, OutOfRange, ScaledPass


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


def power_sums(
    network: Network,
    q: float,
    *,
    bias_paths: bool = True,
    reordered: bool = False,
    tick: Callable[[str], None] | None = None,
    observe: Observe | None = None,
    dtype: type[np.floating] = np.float64,
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
    reordered : bool
        Compute convolutions and dense layers with their sums in another order.
    tick : callable(node name), optional
        Called at each layer.
    observe : callable(node name, log2 of the total, log2 of the largest), optional
        Called after each layer with the total and the largest of ``||Phi^(->v)||_q^q`` over its
        neurons v; again from the first layer on if the pass is repeated. For q = inf the total
        is the largest.
    dtype : float64 or float32
        Of the pass. Where float32 does not suffice for a tensor, all is computed in float64.

    Returns
    -------
    Powers
        In the shape of the output.
    """
    settings = (q, bias_paths, reordered, tick, observe)
    precisions: list[type[np.floating]] = [np.float64]
    if dtype == np.float32:
        precisions.insert(0, np.float32)
    for precision in precisions if q != math.inf else []:
        try:
            values, exponent = ScaledPass(*settings, dtype=precision).run(network)
        except OutOfRange:
            continue
        return Powers.of(values.astype(np.float64), exponent)
    return _Logarithms(*settings).run(network)


@dataclass(frozen=True)
class _Logarithms:
    """The pass on base-2 logarithms; any range, at one exponential per edge (none for q = inf)."""

    q: float
    bias_paths: bool
    reordered: bool
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
