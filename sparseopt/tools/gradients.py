"""Values of a network on a batch, and gradients of a weighted sum of its outputs by the input."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import AxisWindow, MaxPool, RankPool

Values = dict[str, np.ndarray]


def values_of(network: Network, batch: np.ndarray) -> Values:
    """Return the value of every layer that the output depends on, for a batch of inputs."""
    found = {network.nodes[0].name: batch}

    def visit(node: Node, given: list[np.ndarray]) -> np.ndarray:
        found[node.name] = node.op.run(given)
        return found[node.name]

    network.walk(batch, visit)
    return found


def input_gradient(network: Network, values: Values, weights: np.ndarray) -> np.ndarray:
    """Return the gradient of ``sum(weights * output)`` by the input, sample by sample.

    At kinks that of one of the pieces: a ReLU at 0 passes nothing, a pool passes to the first of
    its largest entries.

    Parameters
    ----------
    values : dict of str to array
        From `values_of`.
    weights : array, shape (n, *output_shape)
    """
    pending = {network.output: weights}
    first = network.nodes[0].name
    for node in reversed(network.nodes[1:]):
        value = pending.pop(node.name, None)
        if value is None:
            continue
        inputs = [values[name] for name in node.inputs]
        back = _back(node.op, value, inputs, values[node.name])
        for name, part in zip(node.inputs, back, strict=True):
            pending[name] = pending[name] + part if name in pending else part
    return pending.get(first, np.zeros_like(values[first]))


@singledispatch
def _back(
    op: Operator, value: np.ndarray, inputs: list[np.ndarray], output: np.ndarray
) -> list[np.ndarray]:
    """Return what comes back to each input of a layer; of one without kinks, its transpose."""
    if op.neuron_kind()[0] != "id":
        raise ProblemError(f"no gradient is known of a layer {type(op).__name__}")
    return op.adjoint(value, _shapes(inputs))


def _shapes(inputs: list[np.ndarray]) -> list[Shape]:
    return [array.shape[1:] for array in inputs]


@_back.register
def _back_relu(
    op: Relu, value: np.ndarray, inputs: list[np.ndarray], output: np.ndarray
) -> list[np.ndarray]:
    return [value * (output > 0)]


@_back.register
def _back_neuron(
    op: Neuron, value: np.ndarray, inputs: list[np.ndarray], output: np.ndarray
) -> list[np.ndarray]:
    if op.kind == "pool":
        raise ProblemError("no gradient is known of a pool of weighted neurons")
    return op.adjoint(value * (output > 0) if op.kind == "relu" else value, _shapes(inputs))


@_back.register
def _back_rank_pool(
    op: RankPool, value: np.ndarray, inputs: list[np.ndarray], output: np.ndarray
) -> list[np.ndarray]:
    axis = op.axis + 1
    order = np.argsort(-inputs[0], axis=axis, kind="stable")
    place = np.take(order, [op.rank - 1], axis=axis)
    result = np.zeros_like(inputs[0])
    np.put_along_axis(result, place, np.expand_dims(value, axis), axis)
    return [result]


@_back.register
def _back_max_pool(
    op: MaxPool, value: np.ndarray, inputs: list[np.ndarray], output: np.ndarray
) -> list[np.ndarray]:
    """A maximum over a product of windows is one over each axis after the other."""
    before = [inputs[0]]
    for window in op.windows:
        before.append(window.reduce(before[-1], np.maximum, None))
    for window, given in zip(reversed(op.windows), reversed(before[:-1]), strict=True):
        value = _along_axis(window, value, given)
    return [value]


def _along_axis(window: AxisWindow, value: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Hand each maximum along an axis to the first largest cell of its window."""
    moved, incoming = (np.moveaxis(array, window.axis + 1, 0) for array in (given, value))
    padding = (window.index < 0).reshape(*window.index.shape, *(1,) * (moved.ndim - 1))
    cells = np.where(padding, -np.inf, moved[np.maximum(window.index, 0)])
    winner = cells.argmax(axis=1)
    result = np.zeros_like(moved)
    for place in range(window.index.shape[1]):
        part = np.where(winner == place, incoming, 0.0)
        np.add.at(result, np.maximum(window.index[:, place], 0), part)
    return np.moveaxis(result, 0, window.axis + 1)
