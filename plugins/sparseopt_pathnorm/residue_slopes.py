"""Derivatives by the parameters modulo a prime, with the operators' own arithmetic.

The judge reads the layers' fields instead (`sparseopt.guarantees`), so that a fault on either side
shows as a disagreement.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.modular import residues
from sparseopt.guarantees.patterns import Pattern
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator, Relu, unchecked
from sparseopt.networks.window import MaxPool, RankPool, Resample


@singledispatch
def reduced(op: Operator, prime: int) -> Any:
    """Return a layer with its arrays modulo a prime, in int64."""
    changes = {name: residues(array, prime) for name, array in op.parameters().items()}
    return unchecked(op, **changes) if changes else op


@reduced.register
def _reduced_resample(op: Resample, prime: int) -> Any:
    maps = []
    for m in op.maps:
        exact = m.coefficients(np.dtype(object))
        ones = np.ones(len(m.divisor), dtype=np.int64)
        maps.append(m.with_rows(m.index, residues(exact, prime).astype(np.float64), ones))
    return unchecked(op, maps=tuple(maps))


def _won_windows(op: MaxPool, x: np.ndarray) -> np.ndarray:
    """Return the flat position of the winner of each window."""
    place = np.broadcast_to(np.arange(x[0].size).reshape(x.shape[1:]), x.shape)
    for window in op.windows:
        axis, index = window.axis + 1, np.maximum(window.index, 0)
        cells = [np.moveaxis(np.take(a, index, axis=axis), axis + 1, -1) for a in (x, place)]
        tail = (1,) * (cells[0].ndim - window.axis - 3)
        hidden = (window.index < 0).reshape(len(window.index), *tail, -1)
        best = np.argmax(np.where(hidden, -np.inf, cells[0]), axis=-1)[..., None]
        x, place = (np.take_along_axis(a, best, axis=-1)[..., 0] for a in cells)
    return place


class OperatorSlopes:
    """Values and derivatives at regular inputs, layer by layer.

    Parameters
    ----------
    problem : sparseopt.Identifiability
    inputs : array, shape (n, *input_shape)
    pattern : Pattern
        What is active at these inputs.
    prime : int
    """

    def __init__(
        self, problem: so.Identifiability, inputs: np.ndarray, pattern: Pattern, prime: int
    ) -> None:
        self.problem, self.network, self.prime = problem, problem.network, prime
        self._active = {
            layer.name: taken.T
            for layer, taken in zip(problem.wires.layers, pattern.takes, strict=True)
            if layer.kind == "relu"
        }
        self._floats = {self.network.nodes[0].name: inputs.astype(np.float64)}
        self._values = {self.network.nodes[0].name: residues(inputs, prime)}
        self._winners: dict[str, np.ndarray] = {}
        self._ops = {
            node.name: reduced(node.op, prime)
            for node in self.network.nodes
            if node.name in self.network.used
        }
        for node in self.network.nodes[1:]:
            if node.name in self.network.used:
                self._forward(node)

    def _forward(self, node: Node) -> None:
        floats = [self._floats[name] for name in node.inputs]
        values = [self._values[name] for name in node.inputs]
        op = self._ops[node.name]
        with np.errstate(all="ignore"):
            self._floats[node.name] = node.op.run(floats)
        if isinstance(op, Relu):
            result = values[0] * self._active[node.name].reshape(values[0].shape)
        elif isinstance(op, MaxPool | RankPool):
            if isinstance(op, MaxPool):
                won = _won_windows(op, floats[0])
            else:
                order = np.argsort(floats[0], axis=op.axis + 1)
                at = floats[0].shape[op.axis + 1] - op.rank
                pick = np.take(order, [at], axis=op.axis + 1)
                shape = floats[0].shape[1:]
                place = np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), order.shape)
                won = np.take_along_axis(place, pick, axis=op.axis + 1)
            won = won.reshape(len(floats[0]), -1)
            self._winners[node.name] = won
            flat = np.take_along_axis(values[0].reshape(len(won), -1), won, axis=1)
            result = flat.reshape(len(won), *self.network.shapes[node.name])
        elif isinstance(op, Resample):
            result = values[0]
            for m in op.maps:  # products of three residues would leave int64
                result = m.propagate(result) % self.prime
        elif isinstance(op, Neuron):
            result = self._neuron(node, op, floats, values)
        else:
            result = op.propagate(values)
            offset = op.offset()
            result = result if offset is None else result + offset
        self._values[node.name] = result % self.prime

    def _neuron(self, node: Node, op: Neuron, floats: Any, values: Any) -> np.ndarray:
        held = node.op
        assert isinstance(held, Neuron)
        taken = np.ones((len(values[0]), len(values)), dtype=np.int64)
        if op.kind == "relu":
            taken *= self._active[node.name]
        elif op.kind == "pool":
            products = np.stack(floats, axis=-1) * held.weight.astype(np.float64)
            won = np.argsort(products, axis=-1)[:, len(values) - op.rank]
            taken = (np.arange(len(values)) == won[:, None]).astype(np.int64)
        self._winners[node.name] = taken
        result = (np.stack(values, axis=-1) * op.weight % self.prime * taken).sum(axis=-1)
        if op.bias is not None:
            on = taken[:, 0] if op.kind == "relu" else 1
            result = result + op.bias * on
        return np.asarray(result)

    def rows(self, output: int) -> np.ndarray:
        """Return the derivative of one output at every input, int64 (n, parameters)."""
        n = len(self._values[self.network.nodes[0].name])
        result = np.zeros((n, self.problem.parameters.count), dtype=np.int64)
        seed = np.zeros((n, math.prod(self.network.output_shape)), dtype=np.int64)
        seed[:, output] = 1
        pending = {self.network.output: seed.reshape(n, *self.network.output_shape)}
        for node in reversed(self.network.nodes[1:]):
            if node.name not in pending:
                continue
            slope = pending.pop(node.name) % self.prime
            values = [self._values[name] for name in node.inputs]
            for name, back in zip(
                node.inputs, self._back(node, slope, values, result), strict=True
            ):
                pending[name] = pending.get(name, 0) + back
        return result

    def _back(self, node: Node, slope: np.ndarray, values: Any, result: np.ndarray) -> list[Any]:
        op = self._ops[node.name]
        shapes = [value.shape[1:] for value in values]
        if isinstance(op, Relu):
            return [slope * self._active[node.name].reshape(slope.shape)]
        if isinstance(op, MaxPool | RankPool):
            flat = np.zeros((len(slope), math.prod(shapes[0])), dtype=np.int64)
            each = np.arange(len(slope))[:, None]
            np.add.at(flat, (each, self._winners[node.name]), slope.reshape(len(slope), -1))
            return [flat.reshape(values[0].shape)]
        if isinstance(op, Neuron):
            taken = self._winners[node.name]
            parts = slope[:, None] * taken
            self._add(node, "weight", parts * np.stack(values, axis=-1), result)
            if op.bias is not None:
                on = taken[:, 0] if op.kind == "relu" else 1
                self._add(node, "bias", (slope * on)[:, None], result)
            return list(np.moveaxis(parts * op.weight, -1, 0))
        if isinstance(op, Resample):
            for m in reversed(op.maps):
                slope = m.transposed(slope, shapes[0][m.axis]) % self.prime
            return [slope]
        self._own_slopes(node, op, slope, values, result)
        return op.adjoint(slope, shapes)  # type: ignore[no-any-return]

    def _own_slopes(self, node: Node, op: Any, slope: Any, values: Any, result: Any) -> None:
        for name, array in op.parameters().items():
            if not self._is_free(node, name):
                continue
            if name == op.bias_field:
                self._add(node, name, _summed(slope, op.offset().shape), result)
            elif isinstance(op, Scale):
                self._add(node, name, _summed(slope * values[0] % self.prime, array.shape), result)
            elif isinstance(op, Dense):
                left = slope.reshape(len(slope), -1, slope.shape[-1])
                right = values[0].reshape(len(slope), -1, values[0].shape[-1])
                self._add(node, name, np.swapaxes(left, 1, 2) @ right, result)
            else:
                each = [
                    op.weight_adjoint(slope[i : i + 1], [v[i : i + 1] for v in values])
                    for i in range(len(slope))
                ]
                self._add(node, name, np.stack(each), result)

    def _columns(self, node: Node, name: str) -> np.ndarray:
        start = self.problem.parameters.starts[f"{node.name}.{name}"]
        size = node.op.parameters()[name].size
        return self.problem.parameters.column[start : start + size]

    def _is_free(self, node: Node, name: str) -> bool:
        return bool((self._columns(node, name) >= 0).any())

    def _add(self, node: Node, name: str, slopes: np.ndarray, result: np.ndarray) -> None:
        columns = self._columns(node, name)
        kept = np.flatnonzero(columns >= 0)
        flat = slopes.reshape(len(slopes), -1)[:, kept] % self.prime
        result[:, columns[kept]] = (result[:, columns[kept]] + flat) % self.prime


def _summed(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the sums over what a smaller shape is broadcast along, sample by sample."""
    wide = (1,) * (array.ndim - 1 - len(shape)) + tuple(shape)
    axes = tuple(i + 1 for i, size in enumerate(wide) if size == 1)
    return array.sum(axis=axes) if axes else array
