"""Passes through the layers with absolute weights, forwards and backwards, many times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt_pathnorm.rationals import as_floats

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
                taken = 0
                if array.dtype == object:
                    array, taken = as_floats(array)
                size = np.asarray(np.abs(array), dtype=np.float64)
                top = float(size.max(initial=0.0))
                shift = math.frexp(top)[1] if top > 0.0 else 0
                shifts.append(shift + taken)
                return np.ldexp(size, -shift)

            self._layers[node.name] = (node.op.mapped(transform), sum(shifts))
        return self._layers[node.name]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, int]:
        """Return (m, e) with ``C x = m 2^e`` for non-negative `x` of shape (n, *input_shape)."""

        def visit(node: Node, values: list[Any]) -> tuple[np.ndarray, int]:
            op, shift = self._layer(node)
            arrays, exponent = _aligned(values)
            return op.propagate(arrays), exponent + shift

        result: tuple[np.ndarray, int] = self.network.walk((x.astype(np.float64), 0), visit)
        arrays, exponent = _aligned([result])
        return arrays[0], exponent

    def backward(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        """Return (m, e) with ``C^T y = m 2^e`` for non-negative `y` of shape (n, *output_shape)."""
        network = self.network
        pending: dict[str, list[tuple[np.ndarray, int]]] = {
            network.output: [(y.astype(np.float64), 0)]
        }
        for node in reversed(network.nodes[1:]):
            parts = pending.pop(node.name, None)
            if parts is None or node.name not in network.used:
                continue
            value, exponent = _added(parts)
            op, shift = self._layer(node)
            shapes = [network.shapes[name] for name in node.inputs]
            for name, back in zip(node.inputs, op.adjoint(value, shapes), strict=True):
                pending.setdefault(name, []).append((back, exponent + shift))
        first = network.nodes[0].name
        if first not in pending:
            return np.zeros((len(y), *network.input_shape)), 0
        return _added(pending[first])


def _added(parts: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    arrays, exponent = _aligned(parts)
    return sum(arrays[1:], start=arrays[0]), exponent


def _aligned(values: list[tuple[np.ndarray, int]]) -> tuple[list[np.ndarray], int]:
    """Return the arrays under one exponent, with largest entry near 1."""
    tops = [math.frexp(float(array.max(initial=0.0))) for array, _ in values]
    totals = [e + t for (_, e), (m, t) in zip(values, tops, strict=True) if m > 0.0]
    common = max(totals, default=0)
    return [np.ldexp(array, max(e - common, -2000)) for array, e in values], common


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
        value, exponent = layers.backward(ends.reshape(-1, *network.output_shape))
        with np.errstate(over="ignore"):
            table[start:stop] = np.ldexp(value.reshape(stop - start, inputs), exponent)
    return table
