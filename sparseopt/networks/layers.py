"""Views of a network that speak of its layers with weights: their order, and consecutive pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Operator, Relu, Reshape


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
        Whether the network has no other layers but ReLUs and reshapings, hence one hidden layer.
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

    @property
    def is_sparse(self) -> bool:
        """Whether one of the two has a zero."""
        return not all(bool(np.all(support)) for support in self.supports)


@singledispatch
def _view(op: Operator, name: str) -> LinearLayer | None:
    """Return the view of a dense or convolutional layer; other layers have none."""
    return None


@_view.register
def _view_dense(op: Dense, name: str) -> LinearLayer:
    return LinearLayer(name, "dense", op.weight, op.bias, 1)


@_view.register
def _view_conv(op: Conv, name: str) -> LinearLayer:
    return LinearLayer(name, "conv", op.weight, op.bias, op.groups)


@_view.register
def _view_conv_transpose(op: ConvTranspose, name: str) -> LinearLayer:
    return LinearLayer(name, "conv_transpose", op.weight, op.bias, op.groups)


def linear_layer(node: Node) -> LinearLayer | None:
    """Return the view of a node, or None if it is not a dense or convolutional layer."""
    return _view(node.op, node.name)


def linear_layers(network: Network) -> list[LinearLayer]:
    """Return the dense and convolutional layers in order."""
    layers = (linear_layer(node) for node in network.nodes if node.name in network.used)
    return [layer for layer in layers if layer is not None]


def consecutive_linear_pairs(network: Network) -> list[LinearPair]:
    """Return the pairs of matrix layers with only ReLU, dropout or reshaping between them.

    The value between them is read by nothing else, and entry i of the first layer's output is
    entry i of the second layer's input.
    """
    silent = Input | Relu | Reshape
    used = [node.op for node in network.nodes if node.name in network.used]
    is_whole = sum(not isinstance(op, silent) for op in used) == 2
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
                    pairs.append(LinearPair(first, second, has_relu, is_whole))
                break
            if not isinstance(current.op, Relu | Reshape):
                break
    return pairs
