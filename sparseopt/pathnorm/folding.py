"""A network on few positions: of positions that hold the same numbers one is kept.

The norm is what the network with absolute weights makes of an image of ones, and a convolution of
a constant image is constant but near the border. So along each axis a value is stored at one
position of each class only: entry ``(p_1, p_2, ...)`` of the value is entry ``(places_1[p_1],
places_2[p_2], ...)`` of what is stored.

Why the path costs are the same. That equation holds for the input, all of whose entries are 1, and
each rule below keeps it: a layer is computed at one output position of each class, from stored
entries, and two positions are in one class only if they read the same stored entries with the same
coefficients; where biases or factors differ between positions, each is stored. It holds whatever
the weights are. So the folded network and the network are the same function of the weights, with
the same derivative by each of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, Resample
from sparseopt.pathnorm.biases import Offsets
from sparseopt.pathnorm.contractions import Layer, Windows, axis_reads

Places = tuple[np.ndarray, ...]
"""For each axis, at which stored position each position of the axis is found."""


@dataclass(frozen=True, eq=False)
class Step:
    """A layer of the folded network.

    Parameters
    ----------
    op : layer
    inputs : tuple of int
        The steps whose values it reads.
    shape : tuple of int
        Of its value as stored.
    name : str
        The node that it stands for, empty for steps that only move what is stored.
    bias : array or None
    """

    op: Layer
    inputs: tuple[int, ...]
    shape: Shape
    name: str = ""
    bias: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Kept:
    """The value of a node: the step that computes it, and its places."""

    step: int
    places: Places


class Folding:
    """The steps of a folded network as they are found, layer by layer."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, op: Layer, inputs: Sequence[Kept], places: Sequence[Any], **of: Any) -> Kept:
        """Return the value of one more step."""
        shape = tuple(int(along.max()) + 1 for along in places)
        self.steps.append(Step(op, tuple(x.step for x in inputs), shape, **of))
        return Kept(len(self.steps) - 1, tuple(places))

    def stored(self, x: Kept, reads: Mapping[int, np.ndarray], places: Places) -> Kept:
        """Return a value with other places, from the stored entries read along some axes."""
        shape = self.steps[x.step].shape
        windows = [
            AxisWindow(axis, index[:, None])
            for axis, index in reads.items()
            if not np.array_equal(index, np.arange(shape[axis]))
        ]
        # A pool over windows of one cell copies these.
        return self.add(MaxPool(tuple(windows)), [x], places) if windows else Kept(x.step, places)

    def spread(self, x: Kept, axes: Iterable[int]) -> Kept:
        """Return a value with each position stored along some axes."""
        reads = {axis: x.places[axis] for axis in axes}
        places = [np.arange(len(p)) if i in reads else p for i, p in enumerate(x.places)]
        return self.stored(x, reads, tuple(places))

    def alike(self, values: Sequence[Kept], axes: Iterable[int]) -> list[Kept]:
        """Return values that have the same places along some axes."""
        reads: list[dict[int, np.ndarray]] = [{} for _ in values]
        common = [list(x.places) for x in values]
        for axis in axes:
            first, along = classes(zip(*(x.places[axis].tolist() for x in values), strict=True))
            for x, index, places in zip(values, reads, common, strict=True):
                index[axis], places[axis] = x.places[axis][first], along
        return [
            self.stored(x, index, tuple(places))
            for x, index, places in zip(values, reads, common, strict=True)
        ]


def classes(keys: Iterable[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of each class of equal keys, and the class of each."""
    known: dict[Hashable, int] = {}
    along = np.array([known.setdefault(key, len(known)) for key in keys])
    return np.unique(along, return_index=True)[1], along


def folded(network: Network, offsets: Offsets) -> list[Step]:
    """Return the steps whose last value is that of the network at the all-ones input.

    The first is the input, in which a single 1 is stored.
    """
    run = Folding()

    def visit(node: Node, values: list[Kept]) -> Kept:
        if isinstance(node.op, Relu):
            return values[0]
        op, inputs, places = _folded(node.op, values, network.shapes[node.name], run)
        return run.add(op, inputs, places, name=node.name, bias=offsets.get(node.name))

    ones = run.add(network.nodes[0].op, [], [np.zeros(n, dtype=int) for n in network.input_shape])
    end = network.walk(ones, visit)
    run.spread(end, range(len(end.places)))
    return run.steps


Found = tuple[Layer, Sequence[Kept], Sequence[np.ndarray]]


@singledispatch
def _folded(op: Operator, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    """Return a layer on stored entries, what it reads, and the places of its value.

    The default stores each position, which is right for every layer.
    """
    wide = [run.spread(x, range(len(x.places))) for x in values]
    return op, wide, [np.arange(n) for n in output]


@_folded.register
def _folded_add(op: Add, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    same = run.alike(values, range(len(output)))
    return op, same, same[0].places


@_folded.register
def _folded_concat(op: Concat, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    others = [axis for axis in range(len(output)) if axis != op.axis]
    same = run.alike([run.spread(x, [op.axis]) for x in values], others)
    places = list(same[0].places)
    places[op.axis] = np.arange(output[op.axis])
    return op, same, places


@_folded.register
def _folded_scale(op: Scale, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    given = [array.shape for array in (op.factor, op.bias) if array is not None]
    x = run.spread(values[0], [i for i in range(len(output)) if any(s[i] > 1 for s in given)])
    return op, [x], x.places


@_folded.register(Conv | ConvTranspose)
def _folded_conv(
    op: Conv | ConvTranspose, values: Sequence[Kept], output: Shape, run: Folding
) -> Found:
    x = run.spread(values[0], [0])
    reads, places = [], [np.arange(output[0])]
    sizes = [len(known) for known in x.places]
    for axis, known in enumerate(x.places[1:]):
        cells = _read(known, axis_reads(op, axis, sizes, output))
        first, along = classes(map(tuple, cells.T.tolist()))
        reads.append(cells[:, first])
        places.append(along)
    return Windows(op, tuple(reads)), [x], places


@_folded.register
def _folded_pool(op: MaxPool, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    windows, places = [], list(values[0].places)
    for w in op.windows:
        cells = _read(places[w.axis], w.index)
        first, places[w.axis] = classes(map(tuple, cells.tolist()))
        windows.append(AxisWindow(w.axis, cells[first]))
    return MaxPool(tuple(windows)), values, places


@_folded.register
def _folded_resample(op: Resample, values: Sequence[Kept], output: Shape, run: Folding) -> Found:
    maps, places = [], list(values[0].places)
    for m in op.maps:
        cells = _read(places[m.axis], m.index)
        keys = [cells.tolist(), m.weight.tolist(), m.divisor[:, None].tolist()]
        first, places[m.axis] = classes(zip(*(map(tuple, key) for key in keys), strict=True))
        maps.append(AxisMap(m.axis, cells[first], m.weight[first], m.divisor[first]))
    return Resample(tuple(maps)), values, places


def _read(places: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return where cells are stored; -1 stands for none."""
    return np.where(cells < 0, -1, places[cells])
