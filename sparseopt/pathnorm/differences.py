"""How far apart two parameter settings are in path-lifting: the judge's passes.

Where no sign changes, let s be the smaller and s + d the larger absolute value of each parameter.
Then the sums over paths of the smaller setting and their distance to those of the larger one obey

    S' = s S,   D' = s D + d (S + D)

from layer to layer, with nothing but sums of non-negative products: the distance, too, comes with
a small relative error, however small it is. Where signs change, all paths are followed one by one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from sparseopt.judging.rounding import UNIT
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Operator, unchecked
from sparseopt.networks.parameters import exact
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.edges import Arithmetic
from sparseopt.pathnorm.exact import EDGES, LONG, Exacts, TooLarge
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import RoundedSums

PATHS = 2_000_000
"""Paths, over all layers, up to which they are followed one by one."""

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
        smaller = arithmetic.forward(low, [s for s, _ in values], shape)
        apart = arithmetic.forward(low, [d for _, d in values], shape)
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


# Path by path -------------------------------------------------------------------------------

Paths = dict[tuple[int, int], int]
"""How many paths have these entries of Phi in the two settings; those with two zeros left out."""


@dataclass(frozen=True, eq=False)
class _Listed:
    """A tensor of sets of paths, whose entries are integers over one denominator."""

    array: np.ndarray
    denominator: int


def enumerated_distance(network: Network, other: Network) -> Fraction:
    """Return ``|Phi(a) - Phi(b)|_1`` path by path.

    Raises
    ------
    TooLarge
        For more than `PATHS` paths to all neurons together.
    """
    _require_few_paths(network, other)

    def visit(node: Node, values: list[_Listed]) -> _Listed:
        ops, shape = (node.op, other.by_name[node.name].op), network.shapes[node.name]
        tensors = (edges.tensors(op) for op in ops)
        weights = [_PairWeights(a, b) for a, b in zip(*tensors, strict=True)]
        arrays, denominator = _under_one(values)
        if isinstance(node.op, Add):
            array = reduce(_union, arrays)
        else:
            array = edges.forward(node.op, arrays, weights, shape, _SETS)
        denominator *= math.prod(w.denominator for w in weights)
        first, second = (edges.offset(op) for op in ops)
        if first is None or second is None:
            return _Listed(array, denominator)
        pairs = _PairWeights(first, second)
        starts = np.broadcast_to(_single(pairs.all()), (1, *shape))
        (array, starts), common = _under_one(
            [_Listed(array, denominator), _Listed(starts, pairs.denominator)]
        )
        return _Listed(np.asarray(_union(array, starts), dtype=object), common)

    ones = np.full((1, *network.input_shape), _scalar({(1, 1): 1}))
    last = network.walk(_Listed(ones, 1), visit)
    ends: list[Paths] = last.array.ravel().tolist()
    total = sum(n * abs(a - b) for end in ends for (a, b), n in end.items())
    return Fraction(total, last.denominator)


def _require_few_paths(network: Network, other: Network) -> None:
    """Refuse networks with too many paths, counted along all layers."""
    theirs, counted = other.parameters(), 0.0
    either = {
        name: ((array != 0) | (theirs[name] != 0)).astype(np.float64)
        for name, array in network.parameters().items()
    }
    marked = network.with_parameters(either)
    arithmetic = Floats(0)

    def seen(node: Node, values: Any, value: Any) -> None:
        nonlocal counted
        counted += arithmetic.powers(value).norm(1).as_float()
        if counted > PATHS:
            raise TooLarge(f"more than {PATHS} paths")

    plain.forward(marked, arithmetic, plain.biases(marked), seen=seen)


def _under_one(values: list[_Listed]) -> tuple[list[np.ndarray], int]:
    """Return the arrays under one denominator."""
    common = math.lcm(*(v.denominator for v in values))
    factors = [common // v.denominator for v in values]
    arrays = [
        v.array if factor == 1 else np.asarray(_times(v.array, _scalar((factor, factor))))
        for v, factor in zip(values, factors, strict=True)
    ]
    return arrays, common


def _scalar(value: Any) -> np.ndarray:
    result = np.empty((), dtype=object)
    result[()] = value
    return result


def _merged(a: Paths, b: Paths) -> Paths:
    result = dict(a)
    for key, count in b.items():
        result[key] = result.get(key, 0) + count
    return result


def _product(a: Any, b: Any) -> Paths:
    (u, v), paths = (a, b) if isinstance(a, tuple) else (b, a)
    result: Paths = {}
    for (x, y), count in paths.items():
        key = (x * u, y * v)
        if key != (0, 0):
            result[key] = result.get(key, 0) + count
    return result


_union = np.frompyfunc(_merged, 2, 1)
_times = np.frompyfunc(_product, 2, 1)
_single = np.frompyfunc(lambda pair: {pair: 1} if pair != (0, 0) else {}, 1, 1)


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    terms = (_times(a[..., :, i, None], b[..., None, i, :]) for i in range(a.shape[-1]))
    return np.asarray(reduce(_union, terms), dtype=object)


_SETS = Arithmetic(_union, _times, _matmul, _scalar({}))


class _PairWeights:
    """The weights of two settings, in pairs of integers over one denominator."""

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        settings = [[v.as_integer_ratio() for v in raw.ravel().tolist()] for raw in (first, second)]
        self.denominator = math.lcm(*(below for ratios in settings for _, below in ratios))
        scaled = ([v * (self.denominator // d) for v, d in ratios] for ratios in settings)
        flat = np.empty(first.size, dtype=object)
        for place, pair in enumerate(zip(*scaled, strict=True)):
            flat[place] = pair
        self._pairs = flat.reshape(first.shape)

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._pairs[:, outputs]

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._pairs
