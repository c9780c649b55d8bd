"""Numbers of paths as exact integers, also where they have hundreds of digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Operator, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.pathnorm.residues import is_prime
from sparseopt_pathnorm.constant_images import Condensed, propagate
from sparseopt_pathnorm.layer_parts import joined, parts_of
from sparseopt_pathnorm.passes import power_sums


def path_counts(network: Network) -> list[int]:
    """Return the number of paths without a zero to each output entry, in row-major order.

    Notes
    -----
    The counts are computed modulo several primes in float64, where every intermediate sum stays
    below 2**53 and is therefore exact, and put together by the Chinese remainder theorem. Layers
    without zero weights add up their channels once instead of multiplying. Cost: one evaluation
    of the network per 35 to 45 bits of the count, much less for layers without zeros.
    """
    bits = int(power_sums(network, 0).exponent.max()) + 2
    limit = 53 - max(_fan_in_bits(network, node) for node in network.nodes)
    primes = _primes(limit, bits)
    moduli = np.array(primes, dtype=np.float64)
    run = _ModularPass(moduli)
    first = Condensed.ones(network.input_shape, len(primes))
    residues = network.walk(first, run.visit).expanded().array.reshape(len(primes), -1)
    return [_combine([int(r) for r in column], primes) for column in residues.T]


def _is_nonzero(array: np.ndarray) -> np.ndarray:
    return np.asarray(array != 0, dtype=bool)


def _indicator(array: np.ndarray) -> np.ndarray:
    return np.asarray(array != 0, dtype=np.float64)


def _fan_in_bits(network: Network, node: Node) -> int:
    return math.ceil(math.log2(_fan_in(node.op, [network.shapes[n] for n in node.inputs]) + 1))


@singledispatch
def _fan_in(op: Operator, inputs: Sequence[Shape]) -> int:
    """Return how many terms a neuron of the layer adds up at most; counted if there is no formula.

    Wiring moves values and adds none up.
    """
    return 1 if op.is_wiring else int(op.fan_in(inputs).max())


@_fan_in.register
def _fan_in_dense(op: Dense, inputs: Sequence[Shape]) -> int:
    return op.weight.shape[1]


@_fan_in.register
def _fan_in_conv(op: Conv, inputs: Sequence[Shape]) -> int:
    return op.weight.size // op.weight.shape[0]


@_fan_in.register
def _fan_in_conv_transpose(op: ConvTranspose, inputs: Sequence[Shape]) -> int:
    return op.weight.shape[0] // op.groups * math.prod(op.kernel)


@_fan_in.register(MaxPool | Resample)
def _fan_in_windows(op: MaxPool | Resample, inputs: Sequence[Shape]) -> int:
    return math.prod(w.index.shape[1] for w in op.windows)


@_fan_in.register
def _fan_in_rank_pool(op: RankPool, inputs: Sequence[Shape]) -> int:
    return inputs[0][op.axis]


@_fan_in.register(Add | Neuron | Relu | Scale)
def _fan_in_entrywise(op: Operator, inputs: Sequence[Shape]) -> int:
    return len(inputs)


class _ModularPass:
    """The counting pass with one sample per prime."""

    def __init__(self, moduli: np.ndarray) -> None:
        self._moduli = moduli

    def visit(self, node: Node, values: list[Condensed]) -> Condensed:
        result = _without_zeros(node.op.mapped(_is_nonzero), values[0])
        if result is None:
            parts = (part.mapped(_indicator) for part in parts_of(node.op))
            result = joined([propagate(part, values) for part in parts])
        if node.op.is_wiring:
            return result
        offset = node.op.offset()
        if offset is not None:
            ones = _indicator(offset)
            if ones.min() >= 1:
                result = result.scaled(result.array + 1.0)
            else:
                result = result.against(ones)
                result = result.scaled(result.array + ones)
        moduli = self._moduli.reshape(-1, *(1,) * (result.array.ndim - 1))
        return result.scaled(np.fmod(result.array, moduli))


@singledispatch
def _without_zeros(op: Operator, x: Condensed) -> Condensed | None:
    """Return the pass of a layer without zero weights, or None where it goes the usual way.

    All output channels are then equal, and stored once.
    """
    return None


@_without_zeros.register
def _scale_without_zeros(op: Scale, x: Condensed) -> Condensed | None:
    return x if op.factor is None or op.factor.all() else None


@_without_zeros.register
def _dense_without_zeros(op: Dense, x: Condensed) -> Condensed | None:
    if not op.weight.all():
        return None
    total = _total(x, len(x.classes) - 1)
    outputs = np.zeros(op.weight.shape[0], dtype=np.int64)
    return Condensed(total.array, (*x.classes[:-1], outputs))


@_without_zeros.register
def _conv_without_zeros(op: Conv, x: Condensed) -> Condensed | None:
    if not op.weight.all():
        return None
    groups, outputs = op.groups, op.weight.shape[0] // op.groups
    if groups == 1:
        total = _total(x, 0)
    else:
        wide = x.expanded([0])
        split = wide.array.reshape(len(wide.array), groups, -1, *wide.array.shape[2:])
        total = Condensed(split.sum(axis=2), wide.classes)
    kernel = Conv(
        np.ones((groups, 1, *op.kernel)), None, op.stride, op.padding, op.dilation, groups
    )
    result = propagate(kernel, [total])
    return Condensed(result.array, (np.repeat(np.arange(groups), outputs), *result.classes[1:]))


def _total(x: Condensed, axis: int) -> Condensed:
    """Return the sum along an axis, which keeps one entry."""
    classes = x.classes[axis]
    array = x.array
    if isinstance(classes, np.ndarray):
        counts = np.bincount(classes, minlength=array.shape[axis + 1]).astype(np.float64)
        array = array * counts.reshape(-1, *(1,) * (array.ndim - axis - 2))
    total = array.sum(axis=axis + 1, keepdims=True)
    return Condensed(total, (*x.classes[:axis], None, *x.classes[axis + 1 :]))


def _primes(bits: int, needed: int) -> list[int]:
    """Return the largest primes below ``2**bits`` whose product has more than `needed` bits."""
    found: list[int] = []
    product, candidate = 1, 2**bits - 1
    while product.bit_length() <= needed:
        if is_prime(candidate):
            found.append(candidate)
            product *= candidate
        candidate -= 1
    return found


def _combine(residues: list[int], primes: list[int]) -> int:
    """Return the number below the product of the primes with these residues."""
    value, modulus = 0, 1
    for residue, prime in zip(residues, primes, strict=True):
        step = (residue - value) * pow(modulus, -1, prime) % prime
        value += modulus * step
        modulus *= prime
    return value
