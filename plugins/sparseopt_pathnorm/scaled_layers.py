"""Passes through the layers with absolute weights, forwards and backwards, many times.

Of networks with many weights one layer at a time is held in float64.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape
from sparseopt_pathnorm.layer_parts import is_large, parts_of, placed_parts
from sparseopt_pathnorm.scaled_sums import Scaled, added, aligned, sizes_of

_BATCH_ENTRIES = 1 << 24
KEPT_ENTRIES = 1 << 24
"""Weights that are kept in float64 from one pass to the next; others are converted again."""


class ScaledLayers:
    """The layers with absolute weights, each divided by a power of two, for repeated passes.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._layers: dict[str, tuple[Operator, int]] = {}
        self._room = KEPT_ENTRIES

    def _layer(self, node: Node) -> tuple[Operator, int]:
        """Return the layer with absolute weights and the exponent that was taken out of it."""
        if node.name in self._layers:
            return self._layers[node.name]
        layer = _absolute(node.op)
        count = sum(array.size for array in node.op.parameters().values())
        if count <= self._room:
            self._room -= count
            self._layers[node.name] = layer
        return layer

    def _through(self, node: Node, values: list[Scaled]) -> Scaled:
        """Return what a layer makes of what enters it."""
        arrays, exponent = aligned(values)
        if not is_large(node.op):
            op, shift = self._layer(node)
            return Scaled(op.propagate(arrays), exponent + shift)
        made = []
        for part in parts_of(node.op):
            op, shift = _absolute(part)
            made.append(Scaled(op.propagate(arrays), exponent + shift))
        parts, exponent = aligned(made)
        return Scaled(np.concatenate(parts, axis=-1), exponent)

    def _back(self, node: Node, value: Scaled, shapes: list[Shape]) -> list[Scaled]:
        """Return what comes back to the inputs of a layer."""
        if not is_large(node.op):
            op, shift = self._layer(node)
            return [Scaled(x, value.exponent + shift) for x in op.adjoint(value.array, shapes)]
        total = None
        for rows, part in placed_parts(node.op):
            op, shift = _absolute(part)
            (back,) = op.adjoint(value.array[..., rows], shapes)
            own = [Scaled(back, value.exponent + shift)]
            total = added(own if total is None else [total, *own])
        assert total is not None
        return [total]

    def forward(self, x: np.ndarray) -> Scaled:
        """Return ``C x`` for non-negative `x` of shape (n, *input_shape)."""

        return added([self.network.walk(Scaled(x.astype(np.float64), 0), self._through)])

    def backward(self, y: np.ndarray) -> Scaled:
        """Return ``C^T y`` for non-negative `y` of shape (n, *output_shape)."""
        network = self.network
        pending: dict[str, list[Scaled]] = {network.output: [Scaled(y.astype(np.float64), 0)]}
        for node in reversed(network.nodes[1:]):
            parts = pending.pop(node.name, None)
            if parts is None or node.name not in network.used:
                continue
            value = added(parts)
            shapes = [network.shapes[name] for name in node.inputs]
            for name, back in zip(node.inputs, self._back(node, value, shapes), strict=True):
                pending.setdefault(name, []).append(back)
        first = network.nodes[0].name
        if first not in pending:
            return Scaled(np.zeros((len(y), *network.input_shape)), 0)
        return added(pending[first])


def _absolute(op: Operator) -> tuple[Operator, int]:
    """Return a layer with absolute weights and the exponent that was taken out of it."""
    shifts: list[int] = []

    def transform(array: np.ndarray) -> np.ndarray:
        sizes = sizes_of(array)
        shifts.append(sizes.exponent)
        return sizes.array

    return op.mapped(transform), sum(shifts)


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
