"""Numbers of paths modulo random primes: what checks counts of hundreds of digits.

The layers add up zeros and ones in float64, modulo primes so small that every intermediate sum
stays below 2**53 and is exact. A count C that differs from the true count N by less than 2**B has
the same residue modulo fewer than ``B / (b - 1)`` primes of b bits, and there are at least
``2**(b - 1) / (3 b ln 2)`` of these (Erdos). A wrong count is therefore missed by k primes, drawn
uniformly and independently, with at most the k-th power of the quotient as probability.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.biases import Offsets
from sparseopt.pathnorm.effort import Effort
from sparseopt.pathnorm.floats import Floats, FloatWeights

FAILURE = 1e-12
"""Probability that wrong counts are missed."""


def count_bits(network: Network) -> int:
    """Return B such that each output has fewer than ``2**B`` paths, from the sizes alone."""

    def visit(node: plain.Node, values: list[int]) -> int:
        return max(values) + _fan_in(node.op, [network.shapes[n] for n in node.inputs]).bit_length()

    return int(network.walk(1, visit))


def _fan_in(op: Operator, inputs: Sequence[Shape]) -> int:
    """Return how many terms a neuron of the layer adds up at most, its bias included."""
    return math.prod(edges.terms(op, inputs)) + 1


def draw_primes(network: Network, largest: int) -> list[int]:
    """Return primes from the operating system's randomness, enough for counts up to `largest`.

    A count that is wrong has another residue modulo one of them, except with probability `FAILURE`.
    """
    fan_in = max(
        (_fan_in(n.op, [network.shapes[i] for i in n.inputs]) for n in network.nodes[1:]), default=1
    )
    bits = 52 - fan_in.bit_length()
    differ = max(count_bits(network), largest.bit_length()) + 1
    missed = (differ / (bits - 1)) / (2.0 ** (bits - 1) / (3 * bits * math.log(2)))
    count = math.ceil(math.log(FAILURE) / math.log(missed))
    rng = random.SystemRandom()
    return [_draw_prime(bits, rng) for _ in range(count)]


def _draw_prime(bits: int, rng: random.Random) -> int:
    while True:
        candidate = rng.randrange(1 << (bits - 1), 1 << bits)
        if is_prime(candidate):
            return candidate


def is_prime(n: int) -> bool:
    """Miller-Rabin with bases that decide every n below 3.3e24."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2 or any(n % p == 0 for p in bases):
        return n in bases
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    odd = (n - 1) >> twos
    return all(
        pow(base, odd, n) == 1 or any(pow(base, odd << i, n) == n - 1 for i in range(twos))
        for base in bases
    )


def residues(network: Network, offsets: Offsets, primes: Sequence[int]) -> np.ndarray:
    """Return the number of paths without a zero modulo each prime, (primes, outputs)."""
    Effort().spend(len(primes) * plain.nanoseconds(network))
    counted = plain.forward(network, Residues(primes), offsets)
    return np.asarray(counted.reshape(len(primes), -1).astype(np.int64))


class Residues:
    """The arithmetic of counts modulo primes, one sample for each."""

    def __init__(self, primes: Sequence[int]) -> None:
        self._primes = np.array(primes, dtype=np.float64)

    def _reduced(self, array: np.ndarray) -> np.ndarray:
        return np.fmod(array, self._primes.reshape(-1, *(1,) * (array.ndim - 1)))

    def ones(self, shape: Shape, samples: int = 1) -> np.ndarray:
        """Return ones modulo each prime."""
        return np.ones((len(self._primes), *shape))

    def constant(self, raw: np.ndarray, shape: Shape) -> np.ndarray:
        """Return ones where biases are nonzero."""
        return np.broadcast_to(FloatWeights(raw, 0).all(), (1, *shape))

    def forward(self, op: Operator, values: Sequence[np.ndarray], output: Shape) -> np.ndarray:
        """Return what the edges of a layer bring; see `edges.forward`."""
        weights = [FloatWeights(raw, 0) for raw in edges.tensors(op)]
        return self._reduced(edges.forward(op, values, weights, output, Floats.SUMS))

    def plus(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the sum modulo each prime."""
        return self._reduced(a + b)
