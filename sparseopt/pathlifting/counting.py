"""Numbers of paths as exact integers, also where they have hundreds of digits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sparseopt.errors import ProblemError
from sparseopt.network.linear import Conv, ConvTranspose, Dense
from sparseopt.network.network import Network, Node
from sparseopt.network.operator import Operator
from sparseopt.network.parameters import Shape
from sparseopt.network.window import MaxPool, RankPool, Resample
from sparseopt.pathlifting.passes import power_sums


def path_count(network: Network, affine: str = "as_is", *, nonzero: bool = False) -> int:
    """Return the number of paths of a network.

    Parameters
    ----------
    network : Network
    affine : {"as_is", "merged"}
        Whether entrywise scales such as batch normalization count as neurons of their own.
    nonzero : bool
        Count only paths whose weights (and bias, if they start at one) are all nonzero. By
        default every edge counts, whatever its weight, and every stored bias.

    Returns
    -------
    int
        Paths that start at an input or at a biased neuron and end at an output.

    Notes
    -----
    The count is computed modulo several primes in float64, where every intermediate sum stays
    below 2**53 and is therefore exact, and put together by the Chinese remainder theorem. Layers
    without zero weights add up their channels once instead of multiplying. Cost: one evaluation
    of the network per 35 to 45 bits of the count, much less for layers without zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.network import Dense, Relu, chain
    >>> layers = [Dense(np.ones((9, 9)), np.ones(9)) for _ in range(40)]
    >>> path_count(chain((9,), *layers)) == 9**41 + sum(9**k for k in range(1, 41))
    True
    """
    counts = path_counts(_chosen(network, affine), nonzero=nonzero)
    return sum(counts)


def _chosen(network: Network, affine: str) -> Network:
    if affine not in ("as_is", "merged"):
        raise ProblemError(f"affine must be 'as_is' or 'merged', not {affine!r}")
    return network.merged_biases if affine == "merged" else network


def path_counts(network: Network, *, nonzero: bool, skip: int = 0) -> list[int]:
    """Return the number of paths to each output entry, in row-major order.

    `skip` leaves out that many of the largest usable primes, so that a second computation can
    use others.
    """
    transform = _indicator if nonzero else _ones
    marked = {node.name: node.op.mapped(transform) for node in network.nodes}
    bits = _bits(network, nonzero)
    limit = 53 - max(_fan_in_bits(network, node) for node in network.nodes)
    primes = _primes(limit, bits, skip)
    moduli = np.array(primes, dtype=np.float64)
    run = _ModularPass(marked, transform, moduli)
    first = np.ones((len(primes), *network.input_shape))
    residues = network.walk(first, run.visit).reshape(len(primes), -1)
    return [_combine([int(r) for r in column], primes) for column in residues.T]


def _indicator(array: np.ndarray) -> np.ndarray:
    return np.asarray(array != 0, dtype=np.float64)


def _ones(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.float64(1.0), array.shape)


def _bits(network: Network, nonzero: bool) -> int:
    """Return an upper bound on the bits of each count, from a float pass."""
    if nonzero:
        sums = power_sums(network, 0)
    else:
        ones = {n: np.broadcast_to(1.0, a.shape) for n, a in network.parameters().items()}
        sums = power_sums(network.with_parameters(ones), 0)
    return int(sums.exponent.max()) + 2


def _fan_in_bits(network: Network, node: Node) -> int:
    return math.ceil(math.log2(_fan_in(node.op, [network.shapes[n] for n in node.inputs]) + 1))


def _fan_in(op: Operator, inputs: list[Shape]) -> int:
    """Return how many terms a neuron of the layer adds up at most."""
    if isinstance(op, Dense):
        return op.weight.shape[1]
    if isinstance(op, Conv):
        return op.weight.size // op.weight.shape[0]
    if isinstance(op, ConvTranspose):
        return op.weight.shape[0] // op.groups * math.prod(op.kernel)
    if isinstance(op, Resample):
        return math.prod(m.index.shape[1] for m in op.maps)
    if isinstance(op, MaxPool):
        return math.prod(w.index.shape[1] for w in op.windows)
    if isinstance(op, RankPool):
        return inputs[0][op.axis]
    return max(1, len(inputs))


class _ModularPass:
    """The counting pass with one sample per prime."""

    def __init__(
        self,
        marked: dict[str, Operator],
        transform: Callable[[np.ndarray], np.ndarray],
        moduli: np.ndarray,
    ) -> None:
        self._marked = marked
        self._transform = transform
        self._moduli = moduli

    def visit(self, node: Node, values: list[np.ndarray]) -> np.ndarray:
        op = self._marked[node.name]
        if node.op.is_wiring:
            return op.propagate(values)
        result = _without_zeros(op, values[0]) if isinstance(op, Conv | Dense) else None
        if result is None:
            result = op.propagate(values)
        offset = node.op.offset()
        if offset is not None:
            result = result + self._transform(offset)
        return np.fmod(result, self._moduli.reshape(-1, *(1,) * (result.ndim - 1)))


def _without_zeros(op: Conv | Dense, x: np.ndarray) -> np.ndarray | None:
    """Return the pass of a layer whose weights are all 1, or None if some are 0."""
    if op.weight.min() < 1:
        return None
    if isinstance(op, Dense):
        total = x.sum(axis=-1, keepdims=True)
        return np.broadcast_to(total, (*x.shape[:-1], op.weight.shape[0]))
    groups, outputs = op.groups, op.weight.shape[0] // op.groups
    total = x.reshape(x.shape[0], groups, -1, *x.shape[2:]).sum(axis=2)
    kernel = Conv(
        np.ones((groups, 1, *op.kernel)), None, op.stride, op.padding, op.dilation, groups
    )
    return np.repeat(kernel.propagate([total]), outputs, axis=1)


def _primes(bits: int, needed: int, skip: int) -> list[int]:
    """Return the largest primes below ``2**bits`` whose product has more than `needed` bits."""
    found: list[int] = []
    product, candidate = 1, 2**bits - 1
    while product.bit_length() <= needed:
        if _is_prime(candidate):
            if skip:
                skip -= 1
            else:
                found.append(candidate)
                product *= candidate
        candidate -= 1
    return found


def _is_prime(n: int) -> bool:
    """Miller-Rabin with bases that decide every n below 3.3e24."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2 or any(n % p == 0 for p in bases):
        return n in bases
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def _combine(residues: list[int], primes: list[int]) -> int:
    """Return the number below the product of the primes with these residues."""
    value, modulus = 0, 1
    for residue, prime in zip(residues, primes, strict=True):
        step = (residue - value) * pow(modulus, -1, prime) % prime
        value += modulus * step
        modulus *= prime
    return value
