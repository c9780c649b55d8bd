"""The derivative of a network's outputs by its parameters, modulo a prime.

Weights and inputs are rationals, and the prime divides none of their denominators: reducing
modulo the prime is a map of rings, so that the rank of the reduced matrix is at most the rank
over the rationals, for every such prime.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.guarantees.patterns import Pattern
from sparseopt.guarantees.wires import Layer, Wires
from sparseopt.interface.errors import ProblemError

PRIME = 4_194_301
"""The largest below 2^22: sums of 512 products and one more residue stay below 2^53."""
LEAST = 1 << 16
_TERMS = 512
_MOST_EDGES = 1 << 18
"""Of one neuron: sums of as many products stay below 2^63."""
_BLOCK = 64
_AT_ONCE = 1 << 23


def is_prime(n: int) -> bool:
    """Return whether an integer from 2 to 2^22 is a prime, by trial division."""
    return all(n % d for d in range(2, 2049) if d * d <= n)


def residues(numbers: Any, prime: int) -> np.ndarray:
    """Return floats, ints and Fractions modulo a prime, int64, in the shape given.

    Raises
    ------
    ProblemError
        If the prime divides a denominator.
    """
    array = np.asarray(numbers)
    if array.dtype == object:
        flat = [_residue(Fraction(value), prime) for value in array.ravel().tolist()]
        return np.array(flat, dtype=np.int64).reshape(array.shape)
    mantissa, exponent = np.frexp(array.astype(np.float64))
    whole = np.ldexp(mantissa, 53).astype(np.int64) % prime
    exponents, place = np.unique(exponent.astype(np.int64) - 53, return_inverse=True)
    powers = [pow(2, int(k), prime) for k in exponents.tolist()]
    factor = np.array(powers, dtype=np.int64)[place].reshape(array.shape)
    return np.asarray(whole * factor % prime)


def _residue(value: Fraction, prime: int) -> int:
    if value.denominator % prime == 0:
        raise ProblemError(f"{prime} divides the denominator of a weight; take another prime")
    return value.numerator * pow(value.denominator, -1, prime) % prime


def of_entries(wires: Wires, prime: int) -> np.ndarray:
    """Return the entries modulo a prime."""
    floats = np.array([isinstance(value, float) for value in wires.exact], dtype=bool)
    result = np.empty(len(wires.exact), dtype=np.int64)
    result[floats] = residues(wires.floats[floats], prime)
    result[~floats] = residues(wires.exact[~floats], prime)
    return result


class LinearMap:
    """The matrix of a linear layer modulo a prime."""

    def __init__(self, layer: Layer, entries: np.ndarray, prime: int) -> None:
        self.reads, self._prime = layer.window, prime
        matrix = layer.matrix(entries)
        # Products of plain matrices are those of floats, sparse ones are summed in int64.
        if isinstance(matrix, np.ndarray):
            matrix = (matrix % prime).astype(np.float64)
        elif max(np.bincount(ends).max(initial=0) for ends in matrix.nonzero()) > _MOST_EDGES:
            raise ProblemError(f"a neuron has more than {_MOST_EDGES} edges, more than are summed")
        else:
            matrix.data %= prime
        self._matrix = matrix

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of what neurons hold, without biases."""
        return self._times(self._matrix, values[self.reads])

    def back(self, slopes: np.ndarray) -> np.ndarray:
        """Return the transpose, for the neurons `reads`."""
        return self._times(self._matrix.T, slopes)

    def _times(self, matrix: Any, values: np.ndarray) -> np.ndarray:
        if isinstance(matrix, np.ndarray):
            return product(matrix, values.astype(np.float64), self._prime).astype(np.int64)
        return np.asarray(matrix @ values % self._prime)


class LinearMaps:
    """The linear layers of a network modulo a prime: `entries`, and a map for each layer, None for
    those that are not linear."""

    def __init__(self, wires: Wires, prime: int) -> None:
        self.wires, self.prime = wires, prime
        self.entries = of_entries(wires, prime)
        self.maps = [
            LinearMap(layer, self.entries, prime) if layer.kind == "linear" else None
            for layer in wires.layers
        ]

    def biased(self, layer: Layer, sums: np.ndarray) -> np.ndarray:
        """Return the sums of a linear layer with its biases."""
        sums[layer.biased] += self.entries[layer.bias[layer.biased], None]
        return sums % self.prime


class Slopes(LinearMaps):
    """Values and derivatives at inputs with a known pattern, modulo a prime.

    Parameters
    ----------
    wires : Wires
    inputs : float64 array, shape (n, entries of the input)
    pattern : Pattern
        Of these inputs, which must be regular.
    prime : int
    """

    def __init__(self, wires: Wires, inputs: np.ndarray, pattern: Pattern, prime: int) -> None:
        super().__init__(wires, prime)
        self.layers = list(zip(wires.layers, self.maps, pattern.takes, strict=True))
        self.values = np.zeros((wires.count, len(inputs)), dtype=np.int64)
        self.values[: wires.inputs] = residues(inputs, prime).T
        for layer, linear, taken in self.layers:
            if linear is not None:
                self.values[layer.own] = self.biased(layer, linear.forward(self.values))
            elif layer.kind == "relu":
                self.values[layer.own] = np.where(taken, self.values[layer.reads[:, 0]], 0)
            else:
                won = np.take_along_axis(self.values, np.maximum(taken, 0), axis=0)
                self.values[layer.own] = np.where(taken < 0, 0, won)

    def rows(self, samples: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Return rows of the derivative, int64 (rows, parameters): of each pair of an input and an
        output, both counted from 0."""
        result = np.zeros((len(samples), self.wires.parameters.count), dtype=np.int64)
        step = max(1, _AT_ONCE // max(self.wires.count, *(len(x.heads) for x in self.wires.layers)))
        for start in range(0, len(samples), step):
            part = slice(start, start + step)
            self._rows(samples[part], self.wires.outputs[outputs[part]], result[part])
        return result

    def _rows(self, samples: np.ndarray, ends: np.ndarray, result: np.ndarray) -> None:
        slopes = np.zeros((self.wires.count, len(samples)), dtype=np.int64)
        each = np.arange(len(samples))
        slopes[ends[ends >= 0], each[ends >= 0]] = 1
        for layer, linear, taken in reversed(self.layers):
            own = slopes[layer.own] % self.prime
            if linear is not None:
                self._gather(layer, own, self.values[:, samples], result)
                slopes[linear.reads] += linear.back(own)
            elif layer.kind == "relu":
                read = layer.reads[:, 0]
                np.add.at(slopes, read, np.where(taken[:, samples], own, 0))
            else:
                won = taken[:, samples]
                place = np.nonzero(won >= 0)
                np.add.at(slopes, (won[place], place[1]), own[place])

    def _gather(
        self, layer: Layer, own: np.ndarray, values: np.ndarray, result: np.ndarray
    ) -> None:
        """Add, for each parameter, slope times value over the edges that carry it."""
        heads, tails, entries = layer.edges
        column = self.wires.column[entries]
        kept = np.flatnonzero(column >= 0)
        held = np.where(tails[kept, None] < 0, 1, values[tails[kept]])
        products = own[heads[kept] - layer.start] * held % self.prime
        used, place = np.unique(column[kept], return_inverse=True)
        ends, shape = (place.ravel(), np.arange(len(kept))), (len(used), len(kept))
        sums = scipy.sparse.csr_array((np.ones(len(kept), dtype=np.int64), ends), shape=shape)
        result[:, used] = (result[:, used] + (sums @ products).T) % self.prime


def product(a: np.ndarray, b: np.ndarray, prime: int) -> np.ndarray:
    """Return the product of matrices of residues, as float64 arrays, modulo the prime."""
    total = np.zeros((a.shape[0], b.shape[1]))
    for start in range(0, a.shape[1], _TERMS):
        part = slice(start, start + _TERMS)
        total = reduced(total + a[:, part] @ b[part], prime)
    return total


def reduced(a: np.ndarray, prime: int) -> np.ndarray:
    """Return integers below 2^53 modulo a prime: the quotient, rounded down, is off by one at
    most, and the product exact."""
    a -= np.floor(a * (1.0 / prime)) * prime
    a[a < 0] += prime
    a[a >= prime] -= prime
    return a


def is_invertible(matrix: np.ndarray, prime: int) -> bool:
    """Return whether every leading minor of a square matrix of residues has an inverse.

    Blocks on the diagonal are eliminated one after the other; the order of rows and columns is the
    caller's, so that nothing is searched.
    """
    rest = np.asarray(matrix, dtype=np.float64)
    while len(rest):
        inverse = _inverse(rest[:_BLOCK, :_BLOCK], prime)
        if inverse is None:
            return False
        top = product(inverse, rest[:_BLOCK, _BLOCK:], prime)
        rest = reduced(rest[_BLOCK:, _BLOCK:] - rest[_BLOCK:, :_BLOCK] @ top, prime)
    return True


def _inverse(block: np.ndarray, prime: int) -> np.ndarray | None:
    """Return the inverse of a block by pivots down the diagonal, None where one is 0."""
    size = len(block)
    work = np.concatenate([block, np.eye(size)], axis=1).astype(np.int64)
    for k in range(size):
        if not work[k, k]:
            return None
        rest = work[:, k : k + size + 1]  # further columns are still those of the identity
        row = rest[k] * pow(int(rest[k, 0]), -1, prime) % prime
        rest[:] = (rest - rest[:, :1] * row) % prime
        rest[k] = row
    return work[:, size:].astype(np.float64)
