"""Passes through the layers with absolute weights, forwards and backwards, many times."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt_pathnorm.scaled_sums import Scaled, added, aligned, sizes_of

_BATCH_ENTRIES = 1 << 24


class ScaledLayers:
    """The layers with absolute weights, each divided by a power of two, for repeated passes.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._layers: dict[str, tuple[Operator, int]] = {}

    def _layer(self, node: Node) -> tuple[Operator, int]:
        """Return the layer with absolute weights and the exponent that was taken out of it."""
        if node.name not in self._layers:
            shifts: list[int] = []

            def transform(array: np.ndarray) -> np.ndarray:
                sizes = sizes_of(array)
                shifts.append(sizes.exponent)
                return sizes.array

            self._layers[node.name] = (node.op.mapped(transform), sum(shifts))
        return self._layers[node.name]

    def forward(self, x: np.ndarray) -> Scaled:
        """Return ``C x`` for non-negative `x` of shape (n, *input_shape)."""

        def visit(node: Node, values: list[Scaled]) -> Scaled:
            op, shift = self._layer(node)
            arrays, exponent = aligned(values)
            return Scaled(op.propagate(arrays), exponent + shift)

        return added([self.network.walk(Scaled(x.astype(np.float64), 0), visit)])

    def backward(self, y: np.ndarray) -> Scaled:
        """Return ``C^T y`` for non-negative `y` of shape (n, *output_shape)."""
        network = self.network
        pending: dict[str, list[Scaled]] = {network.output: [Scaled(y.astype(np.float64), 0)]}
        for node in reversed(network.nodes[1:]):
            parts = pending.pop(node.name, None)
            if parts is None or node.name not in network.used:
                continue
            value = added(parts)
            op, shift = self._layer(node)
            shapes = [network.shapes[name] for name in node.inputs]
            for name, back in zip(node.inputs, op.adjoint(value.array, shapes), strict=True):
                pending.setdefault(name, []).append(Scaled(back, value.exponent + shift))
        first = network.nodes[0].name
        if first not in pending:
            return Scaled(np.zeros((len(y), *network.input_shape)), 0)
        return added(pending[first])


def path_table(network: Network) -> np.ndarray:
    """Return the sums of |Phi_p| over the paths from each input to each output, (outputs, inputs).

    Entries may overflow to inf.
    """
    outputs, inputs = math.prod(network.output_shape), math.prod(network.input_shape)
    layers = ScaledLayers(network)
    widest = max(math.prod(shape) for shape in network.shapes.values())
    rows = max(1, min(outputs, _BATCH_ENTRIES // widest))
    table = np.empty((outputs, inputs))
    for start in range(0, outputs, rows):
        stop = min(outputs, start + rows)
        ends = np.zeros((stop - start, outputs))
        ends[np.arange(stop - start), np.arange(start, stop)] = 1.0
        value = layers.backward(ends.reshape(-1, *network.output_shape))
        with np.errstate(over="ignore"):
            table[start:stop] = np.ldexp(value.array.reshape(stop - start, inputs), value.exponent)
    return table
