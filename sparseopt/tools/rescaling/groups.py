"""Groups of neurons that a positive rescaling must treat alike.

A ReLU network computes the same function when the weights into a hidden neuron, its bias
included, are multiplied by some c > 0 and the weights out of it are divided by c. In a network
of layers, neurons share weights (the positions of a convolution), meet in sums, or pass through
pools, normalizations and reshapings, so their factors are tied: each group below is a smallest
set of neurons that can be rescaled on its own. Neurons tied to inputs or outputs keep the factor
1, and a constant that many neurons share, such as the 6 of ReLU6, ties them. The ties are found
by union-find over the entries of all values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Conv, ConvTranspose, Dense, Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import MaxPool, RankPool, Resample

PINNED = 0
"""Group of the neurons whose factor is 1."""


@dataclass(frozen=True, eq=False)
class RescalingGroups:
    """The groups of a network, numbered 1 to `count`; group 0 holds what must keep its scale.

    Parameters
    ----------
    network : Network
    fixed : collection of str
        Parameters, as ``"node.field"``, that must keep their values.

    Raises
    ------
    ProblemError
        For a name in `fixed` that is no parameter.

    Notes
    -----
    O(values) memory and nearly O(values) time, values being the entries of all layers; the
    positions of an image count once.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3))))
    >>> groups = RescalingGroups(net)
    >>> groups.count, groups.names
    (3, ('0:Dense[0]', '0:Dense[1]', '0:Dense[2]'))
    """

    network: Network
    fixed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", frozenset(self.fixed))
        unknown = sorted(self.fixed - set(self.network.parameters()))
        if unknown:
            raise ProblemError(f"the network has no parameter {unknown[0]!r} to keep fixed")

    @property
    def count(self) -> int:
        """How many groups are free."""
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The first unit of each group, as ``"node[unit]"``."""
        result: dict[int, str] = {}
        for node, groups in self.layers.items():
            first = dict(zip(self.units[node][::-1].tolist(), self._places(node), strict=True))
            result.update({group: f"{node}[{first[group]}]" for group in groups.tolist()})
        return tuple(result[group] for group in sorted(result))

    def _places(self, node: str) -> range:
        return range(len(self.units[node]) - 1, -1, -1)

    @cached_property
    def layers(self) -> dict[str, np.ndarray]:
        """For each layer that has any, the groups of its units that no earlier layer has."""
        seen = {PINNED}
        result = {}
        for node, labels in self.units.items():
            fresh = [group for group in dict.fromkeys(labels.tolist()) if group not in seen]
            seen.update(fresh)
            if fresh:
                result[node] = np.array(fresh)
        return result

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """For each layer with weights, the group of each of its output units."""
        return {node: self._final(labels) for node, labels in self._ties.units.items()}

    @cached_property
    def weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each weight array, by ``"node.field"``, the groups at the head and at the tail of
        its edges, in shapes that broadcast to that of the array.
        """
        return {
            name: (self._final(head), self._final(tail))
            for name, (head, tail) in self._ties.weights.items()
        }

    @cached_property
    def biases(self) -> dict[str, np.ndarray]:
        """For each bias array, by ``"node.field"``, the group of each entry, likewise."""
        return {name: self._final(labels) for name, labels in self._ties.biases.items()}

    @cached_property
    def _ties(self) -> _Ties:
        ties = _Ties(self.network)
        for name in sorted(self.fixed):
            for labels in (*ties.weights.get(name, ()), *ties.biases.get(name, ())):
                ties.unite(labels, np.zeros_like(labels))
        return ties

    def _final(self, labels: np.ndarray) -> np.ndarray:
        return self._numbering[labels]

    @cached_property
    def _numbering(self) -> np.ndarray:
        """Map from provisional labels to groups, in order of first appearance among the units."""
        components = self._ties.components()
        seen = [components[labels.ravel()] for labels in self._ties.units.values()]
        order = np.concatenate([components[[PINNED]], *seen])
        unique, first = np.unique(order, return_index=True)
        ranks = np.empty(len(unique), dtype=np.int64)
        ranks[np.argsort(first, kind="stable")] = np.arange(len(unique))
        # A padding zero that meets no unit has a label, but no unit: any factor suits it.
        numbering = np.zeros(int(components.max()) + 1, dtype=np.int64)
        numbering[unique] = ranks
        return numbering[components]


class _Ties:
    """One walk through the network: a label per entry of each value, and which labels agree.

    The labels of a value are an array that broadcasts to its shape; an axis of length 1 says
    that the entries along it are tied.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.units: dict[str, np.ndarray] = {}
        self.weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.biases: dict[str, np.ndarray] = {}
        self._next = PINNED + 1
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []
        first = np.zeros((1,) * len(network.input_shape), dtype=np.int64)
        last = network.walk(first, self._visit)
        self.unite(last, np.zeros_like(last))
        self._tie_shared()

    def unite(self, a: np.ndarray, b: np.ndarray) -> None:
        """Record that labels agree, entry by entry."""
        a, b = np.broadcast_arrays(a, b)
        self._pairs.append((a.ravel(), b.ravel()))

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
                self.unite(a, b)
        elif first in self.biases and other in self.biases:
            self.unite(self.biases[first].ravel(), self.biases[other].ravel())
        else:  # one tensor as a weight here and a bias there: neither may change
            for name in (first, other):
                for labels in (
                    *self.weights.get(name, ()),
                    self.biases.get(name, np.zeros(1, int)),
                ):
                    self.unite(labels, np.zeros_like(labels))

    def _fresh(self, count: int) -> np.ndarray:
        labels = np.arange(self._next, self._next + count)
        self._next += count
        return labels

    def _along(self, labels: np.ndarray, axis: int) -> np.ndarray:
        """Tie the entries along an axis; return the labels with that axis of length 1."""
        first = labels.take([0], axis=axis)
        if labels.shape[axis] > 1:
            self.unite(labels, first)
        return first

    def _visit(self, node: Node, values: list[np.ndarray]) -> np.ndarray:
        shapes = [self.network.shapes[name] for name in node.inputs]
        op = node.op
        if isinstance(op, Dense):
            return self._dense(node, op, values[0])
        if isinstance(op, Conv | ConvTranspose):
            return self._convolution(node, op, values[0])
        if isinstance(op, Neuron):
            return self._neuron(node, op, values)
        if isinstance(op, Scale):
            return self._scale(node, op, values[0])
        if isinstance(op, Relu):
            return values[0]
        return self._wiring(node, op, values, shapes)

    def _wiring(
        self, node: Node, op: Operator, values: list[np.ndarray], shapes: Sequence[Shape]
    ) -> np.ndarray:
        if isinstance(op, Reshape):
            return _compact(np.broadcast_to(values[0], shapes[0]).reshape(op.size))
        if isinstance(op, Permute):
            return values[0].transpose(op.axes)
        if isinstance(op, Select):
            flat = np.broadcast_to(values[0], shapes[0]).ravel()
            result = np.array(flat[op.index])
            empty = op.index < 0
            result[empty] = self._fresh(int(empty.sum()))
            return _compact(result)
        if isinstance(op, Concat):
            return self._concat(op, values, shapes)
        if isinstance(op, Add):
            return self._add(values)
        if isinstance(op, MaxPool):
            for window in op.windows:
                values = [self._window(values[0], window.axis, window.index)]
            return values[0]
        if isinstance(op, Resample):
            for m in op.maps:
                values = [self._window(values[0], m.axis, m.index)]
            return values[0]
        if isinstance(op, RankPool):
            return self._along(values[0], op.axis).squeeze(op.axis)
        raise ProblemError(f"node {node.name!r}: {type(op).__name__} is not known to rescaling")

    def _weighted(self, node: Node, head: np.ndarray, tail: np.ndarray, units: np.ndarray) -> None:
        self.units[node.name] = units
        self.weights[f"{node.name}.weight"] = (head, tail)
        if node.op.has("bias"):
            self.biases[f"{node.name}.bias"] = units

    def _dense(self, node: Node, op: Dense, labels: np.ndarray) -> np.ndarray:
        for axis in range(labels.ndim - 1):
            labels = self._along(labels, axis)
        units = self._fresh(op.weight.shape[0])
        tail = np.broadcast_to(labels.ravel(), op.weight.shape[1:])
        self._weighted(node, units[:, None], tail[None, :], units)
        return units.reshape((1,) * (labels.ndim - 1) + (-1,))

    def _convolution(self, node: Node, op: Conv | ConvTranspose, labels: np.ndarray) -> np.ndarray:
        for axis in range(1, labels.ndim):
            labels = self._along(labels, axis)
        groups, kernel = op.groups, (1,) * len(op.kernel)
        rows, columns = op.weight.shape[:2]
        if isinstance(op, Conv):
            units = self._fresh(rows)
            tail = np.broadcast_to(labels.ravel(), (columns * groups,)).reshape(groups, columns)
            head = units.reshape(-1, 1, *kernel)
            tail = np.repeat(tail, rows // groups, axis=0).reshape(rows, columns, *kernel)
        else:
            units = self._fresh(columns * groups)
            tail = np.broadcast_to(labels.ravel(), (rows,)).reshape(-1, 1, *kernel)
            head = np.repeat(units.reshape(groups, columns), rows // groups, axis=0)
            head = head.reshape(rows, columns, *kernel)
        self._weighted(node, head, tail, units)
        return units.reshape(-1, *kernel)

    def _neuron(self, node: Node, op: Neuron, values: list[np.ndarray]) -> np.ndarray:
        units = self._fresh(1)
        tail = np.array([int(v) for v in values], dtype=np.int64)
        self.units[node.name] = units
        self.weights[f"{node.name}.weight"] = (units, tail)
        if op.bias is not None:
            self.biases[f"{node.name}.bias"] = units.reshape(())
        return units.reshape(())

    def _scale(self, node: Node, op: Scale, labels: np.ndarray) -> np.ndarray:
        """Keep the factor, and scale the bias along: a frozen batch normalization commutes."""
        if op.bias is not None:
            for axis, size in enumerate(op.bias.shape):
                if size == 1:
                    labels = self._along(labels, axis)
            self.biases[f"{node.name}.bias"] = labels
        return labels

    def _concat(self, op: Concat, values: list[np.ndarray], shapes: Sequence[Shape]) -> np.ndarray:
        common = np.max([v.shape for v in values], axis=0)
        parts = []
        for labels, shape in zip(values, shapes, strict=True):
            size = [shape[a] if a == op.axis else n for a, n in enumerate(common)]
            parts.append(np.broadcast_to(labels, size))
        return np.concatenate(parts, axis=op.axis)

    def _add(self, values: list[np.ndarray]) -> np.ndarray:
        result = values[0]
        for labels in values[1:]:
            self.unite(result, labels)
            for axis, size in enumerate(labels.shape):
                if size == 1:
                    result = result.take([0], axis=axis)
        return result

    def _window(self, labels: np.ndarray, axis: int, index: np.ndarray) -> np.ndarray:
        """Tie the cells of each window along an axis; return the labels of the outputs."""
        if labels.shape[axis] == 1:
            return labels
        inside = index >= 0
        some = np.where(inside.any(axis=1), index.max(axis=1), 0)
        filled = np.where(inside, index, some[:, None])
        result = labels.take(some, axis=axis)
        for cells in filled.T:
            self.unite(labels.take(cells, axis=axis), result)
        return result


def _compact(labels: np.ndarray) -> np.ndarray:
    """Return the labels with length 1 along the axes on which they do not vary."""
    for axis in range(labels.ndim):
        first = labels.take([0], axis=axis)
        if (labels == first).all():
            labels = first
    return labels
