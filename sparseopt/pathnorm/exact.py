"""Sums over paths in exact arithmetic: integers under a common denominator for each tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.arithmetic import Arithmetic, of_largest
from sparseopt.pathnorm.biases import Offsets
from sparseopt.pathnorm.effort import Effort, TooLarge

EDGES = 250_000
"""Edges up to which the judge computes exact values."""
SHORT, LONG = 2e8, 2e10
"""Nanoseconds, as predicted, that the judge takes where exact values are welcome, or needed."""
_OVERHEAD, _READING = 60.0, 600.0
"""Nanoseconds of a product, besides one for each pair of digits (30 bits each), and of a weight."""
_BITS = 400_000_000
"""Bits that the powers of one tensor of weights may have together."""


def has_exact_powers(q: float) -> bool:
    """Whether |w|**q is rational for every rational w."""
    return q == math.inf or (float(q).is_integer() and 0 <= q <= 64)


def power_sums(network: Network, q: float, offsets: Offsets, work: float = LONG) -> list[Fraction]:
    """Return ``||Phi^(->j)||_q^q`` per output, in exact arithmetic; floats are rationals.

    Parameters
    ----------
    q : int or inf
        As for `has_exact_powers`.
    work : float
        Nanoseconds, as predicted, that it may take.

    Raises
    ------
    TooLarge
        For more than `EDGES` edges, or numbers of too many digits.
    """
    if plain.edge_count(network) > EDGES:
        raise TooLarge(f"no exact values of networks of more than {EDGES} edges")
    arithmetic = Exacts(q, work)
    return arithmetic.fractions(plain.forward(network, arithmetic, offsets))


_ZERO = np.array(0, dtype=object)
SUMS = Arithmetic(np.add, np.multiply, np.matmul, _ZERO)
LARGEST = of_largest(np.maximum, np.multiply, _ZERO)


@dataclass(frozen=True, eq=False)
class Exact:
    """A tensor of rationals ``array / denominator``.

    Parameters
    ----------
    array : object array of int, shape (n, ...)
    denominator : int
    """

    array: np.ndarray
    denominator: int


class ExactWeights:
    """The q-th powers of absolute weights, as integers under one denominator."""

    def __init__(self, raw: np.ndarray, q: int) -> None:
        ratios = [v.as_integer_ratio() for v in raw.ravel().tolist()]
        most = max(above.bit_length() for above, _ in ratios)
        common = 1
        for _, below in ratios:
            common = math.lcm(common, below)
            if (common.bit_length() + most) * max(q, 1) * len(ratios) > _BITS:
                raise TooLarge("no exact values of weights of too many digits")
        flat = np.empty(len(ratios), dtype=object)
        flat[:] = [
            int(above != 0) if q == 0 else abs(above * (common // below)) ** q
            for above, below in ratios
        ]
        self._array = flat.reshape(raw.shape)
        self.denominator = common**q

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._array[:, outputs]

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._array


class Exacts:
    """The arithmetic of sums (for q = inf of largest values) of q-th powers of rationals."""

    def __init__(self, q: float, work: float = LONG) -> None:
        self._q = 1 if q == math.inf else int(q)
        self._a = LARGEST if q == math.inf else SUMS
        self._effort = Effort(work)

    def ones(self, shape: Shape, samples: int = 1) -> Exact:
        """Return all-ones samples."""
        return Exact(np.full((samples, *shape), 1, dtype=object), 1)

    def constant(self, raw: np.ndarray, shape: Shape) -> Exact:
        """Return the powers of biases that broadcast to a shape."""
        w = ExactWeights(raw, self._q)
        return Exact(np.broadcast_to(w.all(), (1, *shape)), w.denominator)

    def forward(self, op: Operator, values: Sequence[Exact], output: Shape) -> Exact:
        """Return what the edges of a layer bring; see `edges.forward`."""
        arrays, common = self._aligned(values)
        self._effort.spend(_READING * sum(raw.size for raw in edges.tensors(op)))
        weights = [ExactWeights(raw, self._q) for raw in edges.tensors(op)]
        count = math.prod(output) * math.prod(edges.terms(op, [a.shape[1:] for a in arrays]))
        digits = [_digits(a) for a in (*arrays, *(w.all() for w in weights))]
        self._effort.spend(count * (_OVERHEAD + max(digits) * (sum(digits) - max(digits))))
        array = edges.forward(op, arrays, weights, output, self._a)
        return Exact(array, math.prod([common, *(w.denominator for w in weights)]))

    def plus(self, a: Exact, b: Exact) -> Exact:
        """Return the sum of two tensors (for q = inf the larger)."""
        arrays, common = self._aligned([a, b])
        return Exact(self._a.add(*arrays), common)

    def _aligned(self, values: Sequence[Exact]) -> tuple[list[np.ndarray], int]:
        """Return the arrays under one denominator."""
        digits = max(v.denominator.bit_length() for v in values) / 30
        each = (digits * digits + (_OVERHEAD + digits) * v.array.size for v in values)
        self._effort.spend(sum(each))
        common = math.lcm(*(v.denominator for v in values))
        return [v.array * (common // v.denominator) for v in values], common

    def fractions(self, value: Exact) -> list[Fraction]:
        """Return the entries of the first sample."""
        return [Fraction(v, value.denominator) for v in value.array[:1].ravel().tolist()]


def _digits(array: np.ndarray) -> float:
    return max(v.bit_length() for v in array.ravel().tolist()) / 30
