"""The distance of two parameter settings where signs change: all paths, one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, unchecked
from sparseopt.pathnorm import edges, plain
from sparseopt.pathnorm.arithmetic import Arithmetic
from sparseopt.pathnorm.contractions import Contraction
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.exact import EDGES
from sparseopt.pathnorm.floats import Floats

PATHS = 2_000_000
"""Paths, over all layers, up to which they are followed one by one."""

COPIES = 16
"""How often a sum that is not of a `Contraction` hands a path on, in the time to extend one."""

BITS = 4_000_000_000
"""Bits of the entries of all these paths together, half a gigabyte."""

Paths = dict[tuple[int, int], int]
"""How many paths have these entries of Phi in the two settings; those with two zeros left out."""


@dataclass(frozen=True, eq=False)
class _Listed:
    """A tensor of sets of paths, whose entries are integers of some bits over one denominator."""

    array: np.ndarray
    denominator: int
    bits: int


def enumerated_distance(network: Network, other: Network) -> Fraction:
    """Return ``|Phi(a) - Phi(b)|_1`` path by path.

    Raises
    ------
    TooLarge
        For more than `PATHS` paths to all neurons together, the copies that sums make of them
        included; for entries that may take more than `BITS` bits; for more than `EDGES` edges.
    """
    if plain.edge_count(network) > EDGES:
        raise TooLarge(f"no exact values of networks of more than {EDGES} edges")
    paths = _count_paths(network, other)

    def visit(node: Node, values: list[_Listed]) -> _Listed:
        ops, shape = (node.op, other.by_name[node.name].op), network.shapes[node.name]
        tensors = (edges.tensors(op) for op in ops)
        weights = [_PairWeights(a, b) for a, b in zip(*tensors, strict=True)]
        arrays, denominator, bits = _under_one(values, paths)
        bits += sum(w.bits for w in weights)
        _require_room(paths, bits)
        if isinstance(node.op, Add):
            array = reduce(_union, arrays)
        else:
            array = edges.forward(node.op, arrays, weights, shape, _SETS)
        denominator *= math.prod(w.denominator for w in weights)
        first, second = (edges.offset(op) for op in ops)
        if first is None or second is None:
            return _Listed(array, denominator, bits)
        pairs = _PairWeights(first, second)
        starts = np.broadcast_to(_single(pairs.all()), (1, *shape))
        both = _Listed(array, denominator, bits), _Listed(starts, pairs.denominator, pairs.bits)
        (array, starts), common, bits = _under_one(both, paths)
        return _Listed(np.asarray(_union(array, starts), dtype=object), common, bits)

    ones = np.full((1, *network.input_shape), _scalar({(1, 1): 1}))
    last = network.walk(_Listed(ones, 1, 1), visit)
    ends: list[Paths] = last.array.ravel().tolist()
    total = sum(n * abs(a - b) for end in ends for (a, b), n in end.items())
    return Fraction(total, last.denominator)


def _count_paths(network: Network, other: Network) -> float:
    """Return how many paths there are, counted along all layers; refuse too many."""
    arithmetic, counted = Floats(0), 0.0

    def visit(node: Node, values: list[Any]) -> Any:
        nonlocal counted
        theirs, shape = other.by_name[node.name].op.parameters(), network.shapes[node.name]
        inputs = [network.shapes[name] for name in node.inputs]
        arrays = {
            name: ((array != 0) | (theirs[name] != 0)).astype(np.float64)
            for name, array in node.op.parameters().items()
        }
        either = unchecked(node.op, **arrays)
        value = plain.through(arithmetic, either, values, shape, edges.offset(either))
        copied = 0 if isinstance(node.op, Contraction) else max(edges.terms(node.op, inputs))
        counted += arithmetic.powers(value).norm(1).as_float() * (1 + copied / COPIES)
        if counted > PATHS:
            raise TooLarge(f"no exact values of more than {PATHS} paths")
        return value

    network.walk(arithmetic.ones(network.input_shape), visit)
    return counted


def _under_one(values: Sequence[_Listed], paths: float) -> tuple[list[np.ndarray], int, int]:
    """Return the arrays under one denominator, which it is, and the bits of an entry."""
    common = math.lcm(*(v.denominator for v in values))
    factors = [common // v.denominator for v in values]
    bits = max(v.bits + f.bit_length() for v, f in zip(values, factors, strict=True))
    _require_room(paths, bits)
    arrays = [
        v.array if factor == 1 else np.asarray(_times(v.array, _scalar((factor, factor))))
        for v, factor in zip(values, factors, strict=True)
    ]
    return arrays, common, bits


def _require_room(paths: float, bits: int) -> None:
    """Refuse entries of so many bits before they are made."""
    if 2 * paths * bits > BITS:
        raise TooLarge(f"no exact values of paths whose entries may take more than {BITS} bits")


def _scalar(value: Any) -> np.ndarray:
    result = np.empty((), dtype=object)
    result[()] = value
    return result


def _merged(a: Paths, b: Paths) -> Paths:
    small, large = sorted((a, b), key=len)
    return large | {key: large.get(key, 0) + count for key, count in small.items()}


def _add_product(total: Paths, a: Any, b: Any) -> Paths:
    (u, v), paths = (a, b) if isinstance(a, tuple) else (b, a)
    for (x, y), count in paths.items():
        key = (x * u, y * v)
        if key != (0, 0):
            total[key] = total.get(key, 0) + count
    return total


_union = np.frompyfunc(_merged, 2, 1)
_times = np.frompyfunc(lambda a, b: _add_product({}, a, b), 2, 1)
_add_products = np.frompyfunc(_add_product, 3, 1)
_nothing = np.frompyfunc(lambda _: {}, 1, 1)
_single = np.frompyfunc(lambda pair: {pair: 1} if pair != (0, 0) else {}, 1, 1)


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Collect the paths in sets made here, so that each is looked at once."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result: np.ndarray = _nothing(np.empty((*lead, a.shape[-2], b.shape[-1]), dtype=object))
    for i in range(a.shape[-1]):
        _add_products(result, a[..., :, i, None], b[..., None, i, :])
    return result


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
        self.bits = max((n.bit_length() for pair in flat for n in pair), default=0)
        self._pairs = flat.reshape(first.shape)

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel."""
        return self._pairs[:, outputs]

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self._pairs
