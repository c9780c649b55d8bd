"""The distance of two parameter settings where signs change: all paths, one by one."""

from __future__ import annotations

import math
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
from sparseopt.pathnorm.exact import TooLarge
from sparseopt.pathnorm.floats import Floats

PATHS = 2_000_000
"""Paths, over all layers, up to which they are followed one by one."""

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
    arithmetic, counted = Floats(0), 0.0

    def visit(node: Node, values: list[Any]) -> Any:
        nonlocal counted
        theirs, shape = other.by_name[node.name].op.parameters(), network.shapes[node.name]
        arrays = {
            name: ((array != 0) | (theirs[name] != 0)).astype(np.float64)
            for name, array in node.op.parameters().items()
        }
        either = unchecked(node.op, **arrays)
        value = plain.through(arithmetic, either, values, shape)
        starts = edges.offset(either)
        if starts is not None:
            value = arithmetic.plus(value, arithmetic.constant(starts, shape))
        counted += arithmetic.powers(value).norm(1).as_float()
        if counted > PATHS:
            raise TooLarge(f"more than {PATHS} paths")
        return value

    network.walk(arithmetic.ones(network.input_shape), visit)


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
    return {key: a.get(key, 0) + b.get(key, 0) for key in {**a, **b}}


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
