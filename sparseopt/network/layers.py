"""Views of a network that speak of its layers with weights: their order, pairs, hidden units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt.network.linear import Conv, ConvTranspose, Dense, Scale
from sparseopt.network.network import Network, Node
from sparseopt.network.operator import Permute, Relu, Reshape
from sparseopt.network.window import MaxPool, Resample


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A layer with a weight tensor.

    Attributes
    ----------
    name : str
        Name of the node.
    kind : {"dense", "conv", "conv_transpose"}
    weight : array
        The tensor as stored; outputs first (inputs first for ``conv_transpose``).
    bias : array or None
    groups : int
        1 for dense layers.
    """

    name: str
    kind: str
    weight: np.ndarray
    bias: np.ndarray | None
    groups: int

    @property
    def incoming(self) -> np.ndarray:
        """Weights into each output channel, shape (outputs, fan-in)."""
        if self.kind != "conv_transpose":
            return self.weight.reshape(self.weight.shape[0], -1)
        per_group = np.moveaxis(self._split(), 2, 1)
        return per_group.reshape(self.groups * self.weight.shape[1], -1)

    @property
    def outgoing(self) -> np.ndarray:
        """Weights out of each input channel, shape (inputs, fan-out)."""
        if self.kind == "conv_transpose":
            return self.weight.reshape(self.weight.shape[0], -1)
        outputs = self.weight.shape[0] // self.groups
        split = self.weight.reshape(self.groups, outputs, *self.weight.shape[1:])
        return np.moveaxis(split, 2, 1).reshape(self.groups * self.weight.shape[1], -1)

    def _split(self) -> np.ndarray:
        return self.weight.reshape(self.groups, -1, *self.weight.shape[1:])

    @property
    def matrix(self) -> np.ndarray | None:
        """The layer as a matrix (outputs, inputs), if it is one at each position, else None.

        Dense layers, and ungrouped convolutions with a kernel of one cell.
        """
        if self.kind == "dense":
            return self.weight
        if self.kind == "conv" and self.groups == 1 and set(self.weight.shape[2:]) == {1}:
            return self.weight.reshape(self.weight.shape[:2])
        return None

    @property
    def density(self) -> float:
        """Share of weights that are not zero."""
        return float(np.count_nonzero(self.weight) / self.weight.size)


@dataclass(frozen=True, eq=False)
class LinearPair:
    """Two matrix layers with nothing but entrywise ReLU between them.

    Attributes
    ----------
    first, second : LinearLayer
        ``second.matrix @ first.matrix`` is defined; with the factors I = support of the second
        and J = support of the first, `Closedness([I, J])` asks about their supports.
    has_relu : bool
        Whether a ReLU stands between them.
    is_whole_network : bool
        Whether the two are the only layers with weights, so that the network has one hidden layer.
    """

    first: LinearLayer
    second: LinearLayer
    has_relu: bool
    is_whole_network: bool

    @property
    def supports(self) -> tuple[np.ndarray, np.ndarray]:
        """Supports (second, first), in the order in which the matrices multiply."""
        assert self.first.matrix is not None
        assert self.second.matrix is not None
        return self.second.matrix != 0, self.first.matrix != 0


@dataclass(frozen=True, eq=False)
class HiddenUnits:
    """The hidden neurons or channels between a layer and the layers that read it.

    Attributes
    ----------
    layer : LinearLayer
        The layer before them.
    readers : tuple of LinearLayer
        The layers after them.
    incoming : array, shape (units, fan-in)
        Weights into each unit, the bias last if there is one.
    outgoing : array, shape (units, fan-out)
        Weights out of each unit, of all readers side by side.
    """

    layer: LinearLayer
    readers: tuple[LinearLayer, ...]
    incoming: np.ndarray
    outgoing: np.ndarray


def linear_layer(node: Node) -> LinearLayer | None:
    """Return the view of a node, or None if it has no weight tensor."""
    op = node.op
    if isinstance(op, Dense):
        return LinearLayer(node.name, "dense", op.weight, op.bias, 1)
    if isinstance(op, Conv):
        return LinearLayer(node.name, "conv", op.weight, op.bias, op.groups)
    if isinstance(op, ConvTranspose):
        return LinearLayer(node.name, "conv_transpose", op.weight, op.bias, op.groups)
    return None


def linear_layers(network: Network) -> list[LinearLayer]:
    """Return the dense and convolutional layers in order."""
    layers = (linear_layer(node) for node in network.nodes if node.name in network.used)
    return [layer for layer in layers if layer is not None]


def consecutive_linear_pairs(network: Network) -> list[LinearPair]:
    """Return the pairs of matrix layers with only ReLU, dropout or reshaping between them.

    The value between them is read by nothing else, and entry i of the first layer's output is
    entry i of the second layer's input.
    """
    total = len(linear_layers(network))
    pairs = []
    for node in network.nodes:
        first = linear_layer(node) if node.name in network.used else None
        if first is None or first.matrix is None:
            continue
        current, has_relu = node, False
        while True:
            users = network.consumers[current.name]
            if len(users) != 1 or network.output == current.name:
                break
            current = network.by_name[users[0]]
            has_relu = has_relu or isinstance(current.op, Relu)
            second = linear_layer(current)
            if second is not None:
                matrix = second.matrix
                if matrix is not None and matrix.shape[1] == first.matrix.shape[0]:
                    pairs.append(LinearPair(first, second, has_relu, total == 2))
                break
            if not isinstance(current.op, Relu | Reshape):
                break
    return pairs


def hidden_units(network: Network) -> list[HiddenUnits]:
    """Return the hidden channels that lie between layers without mixing with others.

    From a layer the value may pass ReLU, pooling, averaging, batch normalization and flattening
    to several readers; layers whose channels meet others in sums or concatenations on the way
    are left out. The factors of averages and normalizations in between are not part of the
    weights.
    """
    result = []
    for node in network.nodes:
        layer = linear_layer(node) if node.name in network.used else None
        if layer is None or network.output == node.name:
            continue
        units = layer.incoming.shape[0]
        readers = _readers(network, node, units)
        if not readers:
            continue
        incoming = layer.incoming
        if layer.bias is not None:
            incoming = np.concatenate([incoming, layer.bias[:, None]], axis=1)
        outgoing = [reader.outgoing.reshape(units, -1) for reader in readers]
        result.append(
            HiddenUnits(layer, tuple(readers), incoming, np.concatenate(outgoing, axis=1))
        )
    return result


def _readers(network: Network, node: Node, units: int) -> list[LinearLayer] | None:
    """Return the layers that read the channels of `node`, or None if channels mix on the way.

    Channel c occupies the c-th of `units` equal blocks of the value in row-major order; every
    operator that is passed keeps that so.
    """
    dense_tail = network.shapes[node.name][:-1] != () and linear_layer(node).kind == "dense"  # type: ignore[union-attr]
    if dense_tail:  # a dense layer at several positions has its channels on the last axis
        return None
    readers: list[LinearLayer] = []
    open_nodes = [node.name]
    while open_nodes:
        name = open_nodes.pop(0)
        if name == network.output:
            return None
        for user in network.consumers[name]:
            reader = linear_layer(network.by_name[user])
            op = network.by_name[user].op
            if reader is not None:
                if reader.outgoing.shape[0] % units or (
                    reader.kind != "dense" and reader.outgoing.shape[0] != units
                ):
                    return None
                if reader.kind == "dense" and len(network.shapes[name]) != 1:
                    return None
                readers.append(reader)
            elif isinstance(op, Relu | Reshape | Scale) or _keeps_channels(op):
                open_nodes.append(user)
            else:
                return None
    return readers


def _keeps_channels(op: object) -> bool:
    """Whether a windowed operator leaves the first axis alone."""
    if isinstance(op, MaxPool):
        return all(window.axis > 0 for window in op.windows)
    if isinstance(op, Resample):
        return all(m.axis > 0 for m in op.maps)
    return isinstance(op, Permute) and op.axes[:1] == (0,) and len(op.axes) <= 2
