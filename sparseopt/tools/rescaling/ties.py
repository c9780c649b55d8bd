"""Which entries of the values of a network a positive rescaling must treat alike.

One rule for each layer says which of the labels of what it reads and gives must agree; see
`sparseopt.tools.rescaling.groups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np
from scipy.sparse import coo_array

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.tensor_order import of_tensor

PINNED = 0
"""Label, and group, of the neurons whose factor is 1."""
PADDING = 1
"""Label of entries that hold 0 whatever the parameters: any factor suits them; they tie nothing."""


class Ties:
    """One walk through the network: a label per entry of each value, and which labels agree.

    The labels of a value are an array that broadcasts to its shape; an axis of length 1 says
    that the entries along it are tied.

    Parameters
    ----------
    network : Network
    scaled : bool
        Whether constants that entries share tie them, since these would have to be scaled alike.
        Not so for units that are left out: the constants of the others stay what they are, and
        labels of a bias may vary along axes of length 1 of the bias. What ties units then are the
        groups of a convolution, which must stay alike, and padding, which goes with the entries
        that it is added to, so that both values get smaller together.
    """

    def __init__(self, network: Network, scaled: bool = True) -> None:
        self.network = network
        self.scaled = scaled
        self.labels: dict[str, np.ndarray] = {}
        self.units: dict[str, np.ndarray] = {}
        self.weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.biases: dict[str, np.ndarray] = {}
        self._next = PADDING + 1
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        first = np.zeros((1,) * len(network.input_shape), dtype=np.int64)
        self.labels[network.nodes[0].name] = first
        last = network.walk(first, self._visit)
        self.unite(last, np.zeros_like(last))
        self._tie_shared()

    def unite(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Record that labels agree, entry by entry; return those of both together."""
        a, b = np.broadcast_arrays(a, b)
        tied = (a != PADDING) & (b != PADDING)
        self._pairs.append((a[tied], b[tied]))
        return np.where(a == PADDING, b, a)

    def components(self) -> np.ndarray:
        """Return the component of each label."""
        from scipy.sparse.csgraph import connected_components

        rows = np.concatenate([a for a, _ in self._pairs])
        columns = np.concatenate([b for _, b in self._pairs])
        ones = np.ones(len(rows), dtype=np.int8)
        graph = coo_array((ones, (rows, columns)), shape=(self._next, self._next))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def _tie_shared(self) -> None:
        """Tie what is done with one tensor of the source in several places."""
        users: dict[str, list[str]] = {}
        for node in self.network.nodes:
            uses = [(tensor, f"{node.name}.{field}") for field, tensor in node.origin.items()]
            uses += [(tensor, f"{node.name}.{node.op.bias_field}") for tensor in node.shifts]
            for tensor, name in uses:
                if name in self.weights or name in self.biases:
                    users.setdefault(tensor, []).append(name)
        for names in users.values():
            for name in names[1:]:
                self._tie_pair(names[0], name)

    def _tie_pair(self, first: str, other: str) -> None:
        if first in self.weights and other in self.weights:
            for a, b in zip(self.weights[first], self.weights[other], strict=True):
                self.unite(*self._in_one_order((first, a), (other, b)))
        elif first in self.biases and other in self.biases:
            if self.biases[first].size != self.biases[other].size:
                return  # of constants, which tie nothing where units are only left out
            self.unite(self.biases[first].ravel(), self.biases[other].ravel())
        else:  # one tensor as a weight here and a bias there: neither may change
            for name in (first, other):
                for labels in (
                    *self.weights.get(name, ()),
                    self.biases.get(name, np.zeros(1, int)),
                ):
                    self.unite(labels, np.zeros_like(labels))

    def _in_one_order(self, *labels: tuple[str, np.ndarray]) -> list[np.ndarray]:
        """Return labels of weights that are one tensor, its entries moved or not, in its order."""
        found = [(*name.rpartition(".")[::2], array) for name, array in labels]
        nodes = [self.network.by_name[name] for name, _, _ in found]
        if not any(field in node.layouts for node, (_, field, _) in zip(nodes, found, strict=True)):
            return [array for _, array in labels]
        return [
            of_tensor(node, field, array)
            for node, (_, field, array) in zip(nodes, found, strict=True)
        ]

    def fresh(self, count: int) -> np.ndarray:
        """Return labels that no entry has yet."""
        labels = np.arange(self._next, self._next + count)
        self._next += count
        return labels

    def along(self, labels: np.ndarray, axis: int) -> np.ndarray:
        """Tie the entries along an axis; return the labels with that axis of length 1."""
        place = (labels == PADDING).argmin(axis=axis, keepdims=True)
        first = np.take_along_axis(labels, place, axis)  # of those that are not padding
        if labels.shape[axis] > 1:
            self.unite(labels, first)
        return first

    def weighted(
        self, op: Operator, name: str, head: np.ndarray, tail: np.ndarray, units: np.ndarray
    ) -> None:
        """Record a layer's weights with the labels at their ends, and its units with biases."""
        self.units[name] = units
        self.weights[f"{name}.weight"] = (head, tail)
        if op.has("bias"):
            self.biases[f"{name}.bias"] = units

    def _visit(self, node: Node, values: list[np.ndarray]) -> np.ndarray:
        shapes = [self.network.shapes[name] for name in node.inputs]
        self.labels[node.name] = labels_of(node.op, self, node.name, values, shapes)
        return self.labels[node.name]


@singledispatch
def labels_of(
    op: Operator, ties: Ties, name: str, values: list[np.ndarray], shapes: Sequence[Shape]
) -> np.ndarray:
    """Return the labels of a layer's output; record its units, weights and ties.

    Parameters
    ----------
    op, name
        The layer, and the name of its node.
    values : list of int array
        Labels of the inputs.
    shapes : list of tuple of int
        Shapes of the inputs.
    """
    raise ProblemError(
        f"layer {name!r} is a {type(op).__name__}, of which rescaling does not know what stays the "
        "same; register it with the function labels_of of sparseopt.tools.rescaling.ties"
    )


@labels_of.register
def _dense(op: Dense, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    labels = values[0]
    for axis in range(labels.ndim - 1):
        labels = ties.along(labels, axis)
    units = ties.fresh(op.weight.shape[0])
    tail = np.broadcast_to(labels.ravel(), op.weight.shape[1:])
    ties.weighted(op, name, units[:, None], tail[None, :], units)
    return units.reshape((1,) * (labels.ndim - 1) + (-1,))


@labels_of.register
def _conv(op: Conv, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    labels, kernel = _over_space(ties, values[0]), (1,) * len(op.kernel)
    rows, columns = op.weight.shape[:2]
    units = ties.fresh(rows)
    tail = np.broadcast_to(labels, (columns * op.groups,)).reshape(op.groups, columns)
    _tie_groups(ties, tail, units.reshape(op.groups, -1))
    tail = np.repeat(tail, rows // op.groups, axis=0).reshape(rows, columns, *kernel)
    ties.weighted(op, name, units.reshape(-1, 1, *kernel), tail, units)
    return units.reshape(-1, *kernel)


@labels_of.register
def _conv_transpose(
    op: ConvTranspose, ties: Ties, name: str, values: Any, shapes: Any
) -> np.ndarray:
    labels, kernel = _over_space(ties, values[0]), (1,) * len(op.kernel)
    rows, columns = op.weight.shape[:2]
    units = ties.fresh(columns * op.groups)
    tail = np.broadcast_to(labels, (rows,))
    _tie_groups(ties, tail.reshape(op.groups, -1), units.reshape(op.groups, columns))
    tail = tail.reshape(-1, 1, *kernel)
    head = np.repeat(units.reshape(op.groups, columns), rows // op.groups, axis=0)
    ties.weighted(op, name, head.reshape(rows, columns, *kernel), tail, units)
    return units.reshape(-1, *kernel)


def _tie_groups(ties: Ties, reads: np.ndarray, gives: np.ndarray) -> None:
    """Tie the channels (groups, channels) of a convolution that can only be left out together.

    Its groups must stay alike: either a group goes as a whole, as in a depthwise convolution, or
    the same places of all groups do.
    """
    if ties.scaled or len(reads) == 1:
        return
    if len(reads) > max(reads.shape[1], gives.shape[1]):
        ties.unite(gives, ties.along(reads, 1))
    else:
        ties.along(reads, 0)
        ties.unite(gives, gives[:1])


def _over_space(ties: Ties, labels: np.ndarray) -> np.ndarray:
    """Tie the positions of each channel; return the labels of the channels."""
    for axis in range(1, labels.ndim):
        labels = ties.along(labels, axis)
    return labels.ravel()


@labels_of.register
def _neuron(op: Neuron, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    units = ties.fresh(1)
    tail = np.array([int(v) for v in values], dtype=np.int64)
    ties.units[name] = units
    ties.weights[f"{name}.weight"] = (units, tail)
    if op.bias is not None:
        ties.biases[f"{name}.bias"] = units.reshape(())
    return units.reshape(())


@labels_of.register
def _scale(op: Scale, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    """Keep the factor, and scale the bias along: a frozen batch normalization commutes."""
    labels: np.ndarray = values[0]
    if op.bias is not None:
        if PADDING in labels:  # a bias makes neurons of it
            labels = np.array(np.broadcast_to(labels, shapes[0]))
            empty = labels == PADDING
            labels[empty] = ties.fresh(int(empty.sum()))
        for axis, size in enumerate(op.bias.shape):
            if size == 1 and ties.scaled:
                labels = ties.along(labels, axis)
        ties.biases[f"{name}.bias"] = labels
    return labels


@labels_of.register
def _relu(op: Relu, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    return np.asarray(values[0])


@labels_of.register
def _reshape(op: Reshape, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    return _compact(np.broadcast_to(values[0], shapes[0]).reshape(op.size))


@labels_of.register
def _permute(op: Permute, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    return np.transpose(values[0], op.axes)


@labels_of.register
def _select(op: Select, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    flat = np.broadcast_to(values[0], shapes[0]).ravel()
    result, empty = np.array(flat[op.index]), op.index < 0
    result[empty] = PADDING if ties.scaled else ties.fresh(int(empty.sum()))
    return _compact(result)


@labels_of.register
def _concat(op: Concat, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    common = np.max([v.shape for v in values], axis=0)
    parts = []
    for labels, shape in zip(values, shapes, strict=True):
        size = [shape[a] if a == op.axis else n for a, n in enumerate(common)]
        parts.append(np.broadcast_to(labels, size))
    return np.concatenate(parts, axis=op.axis)


@labels_of.register
def _add(op: Add, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    result: np.ndarray = values[0]
    for labels in values[1:]:
        both = ties.unite(result, labels)
        for part in (result, labels):
            for axis, size in enumerate(part.shape):
                if size == 1 and PADDING not in part:
                    both = both.take([0], axis=axis)
        result = both
    return result


@labels_of.register(MaxPool | Resample)
def _windows(op: MaxPool | Resample, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    """Tie the cells of each window along each axis in turn; keep one label of each."""
    labels: np.ndarray = values[0]
    for w in op.windows:
        if labels.shape[w.axis] == 1:
            continue
        inside = w.index >= 0
        some = np.where(inside.any(axis=1), w.index.max(axis=1), 0)
        result = labels.take(some, axis=w.axis)
        for cells in np.where(inside, w.index, some[:, None]).T:
            result = ties.unite(result, labels.take(cells, axis=w.axis))
        labels = result
    return labels


@labels_of.register
def _rank_pool(op: RankPool, ties: Ties, name: str, values: Any, shapes: Any) -> np.ndarray:
    return ties.along(values[0], op.axis).squeeze(op.axis)


def _compact(labels: np.ndarray) -> np.ndarray:
    """Return the labels with length 1 along the axes on which they do not vary."""
    for axis in range(labels.ndim):
        first = labels.take([0], axis=axis)
        if (labels == first).all():
            labels = first
    return labels
