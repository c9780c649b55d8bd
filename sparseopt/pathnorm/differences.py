"""How far apart two parameter settings are in path-lifting: the judge's passes.

Where no sign changes, let s be the smaller and s + d the larger absolute value of each parameter.
Then the sums over paths of the smaller setting and their distance to those of the larger one obey

    S' = s S,   D' = s D + d (S + D)

from layer to layer, with nothing but sums of non-negative products: the distance, too, comes with
a small relative error, however small it is.

For all signs let m have the smaller absolute values where signs agree, 0 elsewhere. From a to m no
sign changes and every |Phi_p| falls, likewise from b to m; the same sums, with s + d for a and then
for b, give how far a and b are from m. Together they bound how far the outputs of a and b differ.

For exact distances where signs change, see `path_pairs`.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from sparseopt.judging.rounding import UNIT
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, unchecked
from sparseopt.networks.parameters import exact
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.exact import EDGES, LONG, Exacts
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import RoundedSums

Sums = tuple[Any, ...]
"""The sums of the smaller setting, and how far those of one or two larger ones lie above them."""


def difference(network: Network, other: Network, apart: bool = False) -> Powers:
    """Return ``||Phi(larger)||_1 - ||Phi(smaller)||_1`` with a bound of the relative error.

    If `apart`, ``|Phi(a)|_1 + |Phi(b)|_1 - 2 |Phi(m)|_1``, whatever the signs. One pass with three
    products per layer, or with five.
    """

    def run(arithmetic: RoundedSums) -> Powers:
        value = _difference(network, other, arithmetic, apart, exactly=False)
        total = arithmetic.powers(value).norm(1)
        # Each gap is a difference of two floats, rounded once; a path meets one in each layer.
        return dataclasses.replace(total, error=total.error + 2 * UNIT * len(network.nodes))

    return plain.in_floats(network, 1, run, passes=8)


def exact_difference(
    network: Network, other: Network, work: float = LONG, apart: bool = False
) -> Fraction:
    """Return the same in exact arithmetic; raises `TooLarge`."""
    if plain.edge_count(network) > EDGES:
        raise TooLarge(f"no exact values of networks of more than {EDGES} edges")
    arithmetic = Exacts(1, work)
    value = _difference(network, other, arithmetic, apart, exactly=True)
    return sum(arithmetic.fractions(value), start=Fraction(0))


def _difference(
    network: Network, other: Network, arithmetic: Any, apart: bool, exactly: bool
) -> Any:
    """Return the tensor D at the output, or the sum of both."""

    def visit(node: Node, values: list[Sums]) -> Sums:
        shape = network.shapes[node.name]
        low, *gaps = _parts(node.op, other.by_name[node.name].op, apart, exactly)
        sums, *above = zip(*values, strict=True)
        found = [plain.through(arithmetic, low, sums, shape, edges.offset(low))]
        for gap, more in zip(gaps, above, strict=True):
            found.append(plain.through(arithmetic, low, more, shape, edges.offset(gap)))
            if any(getattr(gap, name).any() for name in gap.weight_fields if gap.has(name)):
                larger = list(map(arithmetic.plus, sums, more))
                found[-1] = arithmetic.plus(found[-1], arithmetic.forward(gap, larger, shape))
        return tuple(found)

    ones = arithmetic.ones(network.input_shape)
    zeros = arithmetic.constant(np.zeros((1,) * len(network.input_shape)), network.input_shape)
    first = (ones, zeros, zeros) if apart else (ones, zeros)
    return reduce(arithmetic.plus, network.walk(first, visit)[1:])


def _parts(a: Operator, b: Operator, apart: bool, exactly: bool) -> list[Operator]:
    """Return the layer with the smaller absolute values, and with the gaps to the larger ones; if
    `apart`, with those of m, and the gaps to those of a and of b."""
    found: list[dict[str, np.ndarray]] = [{}, {}, {}]
    theirs = b.parameters()
    for name, array in a.parameters().items():
        opposed = (array > 0) & (theirs[name] < 0) | (array < 0) & (theirs[name] > 0)
        sizes = [np.asarray(np.abs(values)) for values in (array, theirs[name])]
        if exactly or any(size.dtype == object for size in sizes):
            sizes = [exact(size) for size in sizes]
        else:
            sizes = [size.astype(np.float64, copy=False) for size in sizes]
        low = np.where(opposed, 0, np.minimum(*sizes))
        tops = sizes if apart else [np.maximum(*sizes)]
        for arrays, part in zip(found, (low, *(top - low for top in tops)), strict=False):
            arrays[name] = np.asarray(part)
    return [unchecked(a, **arrays) for arrays in found[: 3 if apart else 2]]
