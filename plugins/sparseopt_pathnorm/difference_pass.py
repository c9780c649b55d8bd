"""The difference of the path-norms of two settings without a change of sign, in one pass.

Sums over paths with the smaller absolute values s, and their distance to those with the larger
ones s + d, are carried together: ``S' = s S`` and ``D' = s D + d (S + D)``. Nothing cancels, so
that small differences, too, are found to almost all digits. Where signs may change, the same is
done from the setting between both, with the smaller values where signs agree and 0 elsewhere, to
either of them.
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

Sums = tuple[Scaled, ...]


def difference(network: Network, other: Network, apart: bool = False) -> Powers:
    """Return ``||Phi(larger)||_1 - ||Phi(smaller)||_1``.

    If `apart`, ``|Phi(a)|_1 + |Phi(b)|_1 - 2 |Phi(m)|_1``, m being the setting between.
    """

    def visit(node: Node, values: list[Sums]) -> Sums:
        low, *gaps = _sizes(node.op, other.by_name[node.name].op, apart)
        # Coefficients that are no parameters, as those of averages, may be negative.
        op = node.op if low else node.op.mapped(np.abs)
        small = [value[0] for value in values]
        found = [_linear(op, low, small)]
        for side, gap in enumerate(gaps, 1):
            result = _linear(op, low, [value[side] for value in values])
            if any(gap[name].any() for name in op.weight_fields if name in gap):
                large = [added([value[0], value[side]]) for value in values]
                result = added([result, _linear(op, gap, large)])
            found.append(result)
        if node.op.bias_field in low:
            parts = zip(found, (low, *gaps), strict=True)
            found = [added([r, _offset(node.op, part, r.array.shape)]) for r, part in parts]
        return tuple(map(normal, found))

    ones = np.ones((1, *network.input_shape))
    nothing = Scaled(np.zeros_like(ones), 0)
    first = (Scaled(ones, 0), nothing, nothing) if apart else (Scaled(ones, 0), nothing)
    value = added(list(network.walk(first, visit)[1:]))
    return Powers.of(np.asarray(math.fsum(value.array.ravel().tolist())), value.exponent)


def _sizes(a: Operator, b: Operator, apart: bool) -> list[dict[str, np.ndarray]]:
    """Return the smaller absolute values, and the gaps to the larger; exact if one setting is.

    If `apart`, the values between both, and the gaps to either.
    """
    theirs = b.parameters()
    result: list[dict[str, np.ndarray]] = [{}, {}, {}]
    for name, array in a.parameters().items():
        kind = np.dtype(object if object in (array.dtype, theirs[name].dtype) else np.float64)
        x, y = cast(array, kind), cast(theirs[name], kind)
        sizes = np.abs(x), np.abs(y)
        agree = ((x >= 0) & (y >= 0)) | ((x <= 0) & (y <= 0))
        low = np.asarray(np.minimum(*sizes) * agree)
        tops = sizes if apart else (np.maximum(*sizes),)
        for arrays, part in zip(result, (low, *(top - low for top in tops)), strict=False):
            arrays[name] = np.asarray(part)
    return result[: 3 if apart else 2]


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
