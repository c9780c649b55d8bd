"""One layer of two networks: its numbers in float64, read from its fields, and what it does.

The sums are those of `sparseopt.pathnorm.edges`, which knows of every layer what it reads; here
weights keep their signs. Exact numbers are rounded once, to a relative u, and so is the difference
of two weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import (
    Add,
    Concat,
    Input,
    Operator,
    Permute,
    Relu,
    Reshape,
    Select,
    unchecked,
)
from sparseopt.networks.parameters import Shape, exact
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.arithmetic import Arithmetic
from sparseopt.pathnorm.effort import EACH_LAYER, Effort, of_layer

WIRING = Concat | Input | Permute | Reshape | Select
POOLS = MaxPool | RankPool
KNOWN = WIRING | POOLS | Add | Conv | ConvTranspose | Dense | Neuron | Relu | Resample | Scale
MORE = 16
"""Roundings besides those of a sum: of weights, of their differences, of biases, of the radius."""
_LEAST = 2.0**-1000
_GROWS = 2.0**50
_MOST_VALUES = 1 << 27
"""Values whose boxes are held at once; each takes some 50 bytes."""
_PASSES = 16
"""Passes through a layer, about, that boxes need, or the path metric."""

_ZERO = np.zeros(())
_SIGNED = Arithmetic(np.add, np.multiply, np.matmul, _ZERO)
_LARGEST = Arithmetic(np.maximum, np.multiply, np.matmul, np.full((), -np.inf))


@dataclass(frozen=True, eq=False)
class Tensor:
    """Weights in the shape in which `edges` reads them."""

    array: np.ndarray

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel (groups, outputs, inputs)."""
        return self.array[:, outputs]

    def all(self) -> np.ndarray:
        """Return all weights."""
        return self.array


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer as it stands in both networks.

    Parameters
    ----------
    op : Operator
        Of the first network; the other's has the same fields but for its parameters.
    sources : tuple of str
        Names of the layers that it reads.
    inputs : tuple of shape
    shape : tuple of int
        Of the output.
    first, second, gap : list of array
        The weights of the first network, of the other, and the first minus the other.
    biases : three arrays
        In the same order, each in a shape that broadcasts to the output.
    moves : bool
        Whether a weight differs.
    """

    op: Operator
    sources: tuple[str, ...]
    inputs: tuple[Shape, ...]
    shape: Shape
    first: list[np.ndarray]
    second: list[np.ndarray]
    gap: list[np.ndarray]
    biases: tuple[np.ndarray, np.ndarray, np.ndarray]
    moves: bool

    @property
    def nanoseconds(self) -> float:
        """How long its numbers take in a pass, as predicted."""
        return of_layer(self.op, self.inputs, self.shape)

    @property
    def terms(self) -> int:
        """How many roundings a sum over the edges of a neuron has, at most, with all others.

        Each array of weights that multiply along an edge rounds them once.
        """
        return sum(edges.terms(self.op, self.inputs)) + len(self.first) + MORE

    @property
    def terms_back(self) -> int:
        """The same for the sums of `back`."""
        return sum(edges.terms_back(self.op, self.inputs)) + len(self.first) + MORE

    def forward(self, weights: list[np.ndarray], values: Sequence[np.ndarray]) -> np.ndarray:
        """Return the sums over the edges, for values with a leading axis of samples."""
        if isinstance(self.op, Add):
            return np.asarray(reduce(np.add, values))
        return edges.forward(self.op, values, list(map(Tensor, weights)), self.shape, _SIGNED)

    def back(self, weights: list[np.ndarray], value: np.ndarray) -> list[np.ndarray]:
        """Return the transpose of `forward`, one array per input."""
        if isinstance(self.op, Add):
            return [value for _ in self.inputs]
        return edges.backward(self.op, value, list(map(Tensor, weights)), self.inputs, _SIGNED)

    def pooled(self, value: np.ndarray) -> np.ndarray:
        """Return the entry of the pool's rank in each window."""
        if not isinstance(self.op, RankPool):
            return self.largest(value)
        return np.take(np.sort(value, self.op.axis + 1), -self.op.rank, self.op.axis + 1)

    def largest(self, value: np.ndarray) -> np.ndarray:
        """Return the largest entry in each window."""
        return edges.forward(self.op, [value], [], self.shape, _LARGEST)


def partner(network: Network, other: Network) -> dict[str, Node]:
    """Return for each used node of a network the one at its place in another network."""
    nodes = [[node for node in net.nodes if node.name in net.used] for net in (network, other)]
    return {mine.name: theirs for mine, theirs in zip(*nodes, strict=True)}


def layers(network: Network, other: Network) -> dict[str, Layer]:
    """Return the layers that the output depends on, in order, by the first network's names.

    Raises
    ------
    ProblemError
        If passing boxes on would take too long; for parameters beyond float64.
    """
    theirs = partner(network, other)
    found = {
        node.name: _layer(network, node, theirs[node.name].op)
        for node in network.nodes[1:]
        if node.name in network.used
    }
    Effort().spend(_PASSES * sum(EACH_LAYER + layer.nanoseconds for layer in found.values()))
    return found


def _layer(network: Network, node: Node, other: Operator) -> Layer:
    mine, theirs = edges.tensors(node.op), edges.tensors(other)
    gap = [_difference(a, b) for a, b in zip(mine, theirs, strict=True)]
    shape, offsets = network.shapes[node.name], map(edges.offset, (node.op, other))
    first, second = (np.zeros((1,) * len(shape)) if a is None else a for a in offsets)
    return Layer(
        op=node.op,
        sources=node.inputs,
        inputs=tuple(network.shapes[name] for name in node.inputs),
        shape=shape,
        first=list(map(doubles, mine)),
        second=list(map(doubles, theirs)),
        gap=gap,
        biases=(doubles(first), doubles(second), _difference(first, second)),
        moves=any(bool(array.any()) for array in gap),
    )


def doubles(array: np.ndarray) -> np.ndarray:
    """Return numbers in float64, up to a relative u each."""
    if array.dtype != object:
        return array.astype(np.float64, copy=False)
    try:
        found = array.astype(np.float64)
    except OverflowError:
        found = np.full(array.shape, np.inf)
    if not np.isfinite(found).all() or bool(((np.abs(found) < _LEAST) & (array != 0)).any()):
        raise ProblemError("a parameter leaves the range of float64; rescale the network")
    return found


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a - b, up to a relative u each."""
    if object in (a.dtype, b.dtype):
        return doubles(np.asarray(exact(a) - exact(b), dtype=object))
    return doubles(a) - doubles(b)


def bare(op: Operator) -> Operator:
    """Return the layer without the arrays in which two networks may differ."""
    return unchecked(op, **dict.fromkeys(op.parameters()))  # type: ignore[no-any-return]


def require_known(network: Network) -> None:
    """Refuse layers whose values are not bounded here, by node, and too many values."""
    if sum(math.prod(network.shapes[name]) for name in network.used) > _MOST_VALUES:
        raise ProblemError(f"the network has more than {_MOST_VALUES} values, whose boxes are held")
    for node in network.nodes:
        op: Any = node.op
        maps = op.maps if isinstance(op, Resample) and len(op.maps) > 1 else ()
        sizes = (float(np.abs(m.weight).max(initial=0)) * m.weight.size for m in maps)
        if math.prod(max(size, 1.0) for size in sizes) > _GROWS:
            raise ProblemError(
                f"node {node.name!r} averages along several axes with weights above {_GROWS:g} "
                "together, which would enlarge what underflows between them; rescale the network"
            )
        pool = isinstance(op, Neuron) and op.kind == "pool"
        if not isinstance(op, KNOWN) or pool:
            what = "Neuron that pools" if pool else type(op).__name__
            raise ProblemError(
                f"node {node.name!r} is a {what}, whose values nothing here bounds; write it in "
                "terms of the other layers of sparseopt.networks"
            )
