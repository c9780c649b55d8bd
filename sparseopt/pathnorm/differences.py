"""How far apart two parameter settings are in path-lifting: the judge's passes.

Where no sign changes, let s be the smaller and s + d the larger absolute value of each parameter.
Then the sums over paths of the smaller setting and their distance to those of the larger one obey

    S' = s S,   D' = s D + d (S + D)

from layer to layer, with nothing but sums of non-negative products: the distance, too, comes with
a small relative error, however small it is. Where signs change, see `path_pairs`.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.judging.rounding import UNIT
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, unchecked
from sparseopt.networks.parameters import exact
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.exact import EDGES, LONG, Exacts, TooLarge
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import RoundedSums

Pair = tuple[Any, Any]


def difference(network: Network, other: Network) -> Powers:
    """Return ``||Phi(larger)||_1 - ||Phi(smaller)||_1`` with a bound of the relative error.

    One pass with three products per layer.
    """

    def run(arithmetic: RoundedSums) -> Powers:
        value = _difference(network, other, arithmetic, exactly=False)
        total = arithmetic.powers(value).norm(1)
        # Each gap is a difference of two floats, rounded once; a path meets one in each layer.
        return dataclasses.replace(total, error=total.error + 2 * UNIT * len(network.nodes))

    return plain.in_floats(1, run)


def exact_difference(network: Network, other: Network, work: float = LONG) -> Fraction:
    """Return the same in exact arithmetic; raises `TooLarge`."""
    if plain.edge_count(network) > EDGES:
        raise TooLarge(f"a network of more than {EDGES} edges")
    arithmetic = Exacts(1, work)
    value = _difference(network, other, arithmetic, exactly=True)
    return sum(arithmetic.fractions(value), start=Fraction(0))


def _difference(network: Network, other: Network, arithmetic: Any, exactly: bool) -> Any:
    """Return the tensor D at the output."""

    def visit(node: Node, values: list[Pair]) -> Pair:
        shape = network.shapes[node.name]
        low, gap = _parts(node.op, other.by_name[node.name].op, exactly)
        smaller = plain.through(arithmetic, low, [s for s, _ in values], shape)
        apart = plain.through(arithmetic, low, [d for _, d in values], shape)
        if any(getattr(gap, name).any() for name in gap.weight_fields if gap.has(name)):
            larger = [arithmetic.plus(s, d) for s, d in values]
            apart = arithmetic.plus(apart, arithmetic.forward(gap, larger, shape))
        least, more = edges.offset(low), edges.offset(gap)
        if least is not None and more is not None:
            smaller = arithmetic.plus(smaller, arithmetic.constant(least, shape))
            apart = arithmetic.plus(apart, arithmetic.constant(more, shape))
        return smaller, apart

    ones = arithmetic.ones(network.input_shape)
    zeros = arithmetic.constant(np.zeros((1,) * len(network.input_shape)), network.input_shape)
    return network.walk((ones, zeros), visit)[1]


def _parts(a: Operator, b: Operator, exactly: bool) -> tuple[Operator, Operator]:
    """Return the layer with the smaller absolute values, and with their gaps to the larger."""
    low, gap = {}, {}
    theirs = b.parameters()
    for name, array in a.parameters().items():
        sizes = [np.asarray(np.abs(values)) for values in (array, theirs[name])]
        if exactly or any(size.dtype == object for size in sizes):
            sizes = [exact(size) for size in sizes]
        else:
            sizes = [size.astype(np.float64, copy=False) for size in sizes]
        low[name] = np.asarray(np.minimum(*sizes))
        gap[name] = np.asarray(np.maximum(*sizes) - low[name])
    return unchecked(a, **low), unchecked(a, **gap)
