"""Views of a network that speak of its layers with weights: their order, and consecutive pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch
from itertools import pairwise

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Operator, Permute, Relu, Reshape, Select


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
    def support(self) -> np.ndarray | None:
        """Where the layer, as a matrix (outputs, inputs) at each position, is not zero.

        None for layers that are no such matrix: dense layers and convolutions with a kernel of one
        cell are, groups being blocks on the diagonal.
        """
        if self.kind == "dense":
            return self.weight != 0
        if self.kind != "conv" or set(self.weight.shape[2:]) != {1}:
            return None
        rows, columns = self.weight.shape[:2]
        support = np.zeros((self.groups, rows // self.groups, self.groups, columns), dtype=bool)
        each = np.arange(self.groups)
        support[each, :, each] = (self.weight != 0).reshape(self.groups, -1, columns)
        return support.reshape(rows, self.groups * columns)

    def kept(self, support: np.ndarray) -> np.ndarray:
        """Return which entries of the weight a support, within the own one, keeps."""
        if self.groups == 1:
            return support.reshape(self.weight.shape)
        columns = self.weight.shape[1]
        blocks = support.reshape(self.groups, -1, self.groups, columns)
        each = np.arange(self.groups)
        return blocks[each, :, each].reshape(self.weight.shape)

    @property
    def density(self) -> float:
        """Share of weights that are not zero."""
        return float(np.count_nonzero(self.weight) / self.weight.size)


@dataclass(frozen=True, eq=False)
class LinearPair:
    """Two matrix layers with nothing but entrywise ReLU and wiring between them.

    Attributes
    ----------
    first, second : LinearLayer
    order : int array
        Input j of the second layer is output ``order[j]`` of the first.
    has_relu : bool
        Whether a ReLU stands between them.
    is_whole_network : bool
        Whether the network has no other layers but ReLUs and reshapings, and one position, hence
        one hidden layer.
    """

    first: LinearLayer
    second: LinearLayer
    order: np.ndarray
    has_relu: bool
    is_whole_network: bool

    @cached_property
    def supports(self) -> tuple[np.ndarray, np.ndarray]:
        """Supports (second, first), in the order in which the matrices multiply.

        The columns of the second stand in the order of the rows of the first.
        """
        first, second = self.first.support, self.second.support
        assert first is not None
        assert second is not None
        ordered = np.empty_like(second)
        ordered[:, self.order] = second
        return ordered, first

    def kept(self, supports: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the entries of the weights (second, first) that two such supports keep."""
        return self.second.kept(supports[0][:, self.order]), self.first.kept(supports[1])

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
    """Return the pairs of matrix layers with only ReLU, biases and wiring between them.

    Every entry of the first layer's output is read by the second layer only, and once, and the
    order of its channels is the same at every position.
    """
    silent = Input | Relu | Reshape
    used = [node.op for node in network.nodes if node.name in network.used]
    is_whole = sum(not isinstance(op, silent) for op in used) == 2
    pairs = []
    for node in network.nodes:
        first = linear_layer(node) if node.name in network.used else None
        if first is None or not _is_matrix(first):
            continue
        shape = network.shapes[node.name]
        places = np.arange(math.prod(shape)).reshape(shape)
        current, has_relu = node, False
        while True:
            users = network.consumers[current.name]
            if len(users) != 1 or network.output == current.name:
                break
            current = network.by_name[users[0]]
            has_relu = has_relu or isinstance(current.op, Relu)
            second = linear_layer(current)
            if second is not None:
                order = _order(first, shape, second, places) if _is_matrix(second) else None
                if order is not None:
                    alone = is_whole and math.prod(shape) == len(order)
                    pairs.append(LinearPair(first, second, order, has_relu, alone))
                break
            moved = _moved(current.op, places)
            if moved is None:
                break
            places = moved
    return pairs


@dataclass(frozen=True, eq=False)
class ReluChain:
    """A network that is W_1 relu(W_2 ... relu(W_L x)), each layer with or without a bias.

    Attributes
    ----------
    layers : tuple of LinearLayer
        In the order in which they act, the output layer last.
    supports : tuple of bool array
        Of W_1, ..., W_L: that of the output layer first.
    """

    layers: tuple[LinearLayer, ...]
    supports: tuple[np.ndarray, ...]

    @property
    def hidden_biases(self) -> list[bool]:
        """Whether each hidden layer has biases, in the order in which they act."""
        return [layer.bias is not None for layer in self.layers[:-1]]

    @property
    def output_biases(self) -> bool:
        """Whether the outputs have biases."""
        return self.layers[-1].bias is not None


def relu_chain(network: Network) -> ReluChain | None:
    """Return the network as dense layers with one ReLU between any two, or None if it is more."""
    pairs = consecutive_linear_pairs(network)
    used = [node.op for node in network.nodes if node.name in network.used]
    relus = sum(isinstance(op, Relu) for op in used)
    weighted = sum(not isinstance(op, Input | Relu | Reshape) for op in used)
    if not pairs or (relus, weighted) != (len(pairs), len(pairs) + 1):
        return None
    layers = (pairs[0].first, *(pair.second for pair in pairs))
    dense = all(layer.kind == "dense" for layer in layers)
    single = all(math.prod(network.shapes[e.name]) == e.weight.shape[0] for e in layers)
    linked = all(a.second.name == b.first.name for a, b in pairwise(pairs))
    if not (dense and single and linked and all(pair.has_relu for pair in pairs)):
        return None
    supports = [pair.supports[0] for pair in reversed(pairs)]
    return ReluChain(layers, (*supports, pairs[0].supports[1]))


def _is_matrix(layer: LinearLayer) -> bool:
    one_cell = layer.kind == "conv" and set(layer.weight.shape[2:]) == {1}
    return layer.kind == "dense" or one_cell


def _order(
    first: LinearLayer, shape: tuple[int, ...], second: LinearLayer, places: np.ndarray
) -> np.ndarray | None:
    """Return which output of the first layer each input of the second one is, None if that differs
    between positions. `places` says where, in the first layer's output, the entries stood."""
    cells, channels = (
        _by_position(layer, array)
        for layer, array in ((first, np.arange(math.prod(shape)).reshape(shape)), (second, places))
    )
    size = cells.shape[1]
    of_cell, of_channel = (np.empty(cells.size, dtype=np.int64) for _ in range(2))
    of_cell[cells], of_channel[cells] = np.indices(cells.shape)
    if channels.shape != cells.shape:
        return None
    order = of_channel[channels]
    same = np.all(order == order[:1]) and np.all(of_cell[channels] == of_cell[channels[:, :1]])
    return order[0] if same and size else None


def _by_position(layer: LinearLayer, array: np.ndarray) -> np.ndarray:
    """Return an array like what a layer gives or takes as (positions, channels)."""
    last = array if layer.kind == "dense" else np.moveaxis(array, 0, -1)
    return last.reshape(-1, last.shape[-1])


def _moved(op: Operator, places: np.ndarray) -> np.ndarray | None:
    """Return where the entries of an operator's result stood, None if it does more than move."""
    if isinstance(op, Relu) or (isinstance(op, Scale) and op.factor is None):
        return places
    if isinstance(op, Reshape | Permute):
        return op.propagate([places[None]])[0]
    if isinstance(op, Select) and op.index.size == places.size:
        each = np.array_equal(np.sort(op.index, axis=None), np.arange(places.size))
        return op.propagate([places[None]])[0] if each else None
    return None
