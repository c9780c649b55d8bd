"""The difference of the path-norms of two settings without a change of sign, in one pass.

Sums over paths with the smaller absolute values s, and their distance to those with the larger
ones s + d, are carried together: ``S' = s S`` and ``D' = s D + d (S + D)``. Nothing cancels, so
that small differences, too, are found to almost all digits.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, unchecked
from sparseopt.networks.parameters import cast
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.scaled_sums import Scaled, added, aligned, normal, sizes_of

Pair = tuple[Scaled, Scaled]


def difference(network: Network, other: Network) -> Powers:
    """Return ``||Phi(larger)||_1 - ||Phi(smaller)||_1``."""

    def visit(node: Node, values: list[Pair]) -> Pair:
        sizes = _sizes(node.op, other.by_name[node.name].op)
        low = {name: np.minimum(*pair) for name, pair in sizes.items()}
        gap = {name: np.maximum(*pair) - low[name] for name, pair in sizes.items()}
        small = [s for s, _ in values]
        result = _linear(node.op, low, small), _linear(node.op, low, [d for _, d in values])
        if any(gap[name].any() for name in node.op.weight_fields if name in gap):
            large = [added(list(pair)) for pair in values]
            result = result[0], added([result[1], _linear(node.op, gap, large)])
        if node.op.bias_field in sizes:
            starts = (_offset(node.op, part, result[0].array.shape) for part in (low, gap))
            result = added([result[0], next(starts)]), added([result[1], next(starts)])
        return normal(result[0]), normal(result[1])

    ones = np.ones((1, *network.input_shape))
    start = Scaled(ones, 0), Scaled(np.zeros_like(ones), 0)
    value = network.walk(start, visit)[1]
    return Powers.of(np.asarray(math.fsum(value.array.ravel().tolist())), value.exponent)


def _sizes(a: Operator, b: Operator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the absolute values of both settings; exact if one of them is."""
    theirs = b.parameters()
    result = {}
    for name, array in a.parameters().items():
        kind = np.dtype(object if object in (array.dtype, theirs[name].dtype) else np.float64)
        result[name] = (np.abs(cast(array, kind)), np.abs(cast(theirs[name], kind)))
    return result


def _linear(op: Operator, arrays: dict[str, np.ndarray], values: list[Scaled]) -> Scaled:
    """Return the layer with other weights, each divided by a power of two first."""
    inputs, exponent = aligned(values)
    changes = {}
    for name in op.weight_fields:
        if name in arrays:
            sizes = sizes_of(np.asarray(arrays[name]))
            changes[name] = sizes.array
            exponent += sizes.exponent
    return Scaled(unchecked(op, **changes).propagate(inputs), exponent)


def _offset(op: Operator, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> Scaled:
    assert op.bias_field is not None
    bias = sizes_of(np.asarray(arrays[op.bias_field]))
    offset = unchecked(op, **{op.bias_field: bias.array}).offset()
    wide = offset.reshape((1,) * (len(shape) - offset.ndim) + offset.shape)
    return Scaled(np.broadcast_to(wide, shape), bias.exponent)
