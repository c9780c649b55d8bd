"""The path costs of all weights, computed on one position of each class of equal ones.

The norm is a function of the weights that the passes of `constant_images` compute without an
approximation, whatever the weights are. So its derivative is the transpose of what these did: it
needs no other position than they stored.

Values, and what comes back to them, carry a power of two each; powers multiply and cancel without
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.judging.scaling import ScaledArray
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Permute, Relu
from sparseopt.networks.window import MaxPool, Resample
from sparseopt.pathnorm.path_cost import weight_names
from sparseopt_pathnorm.constant_images import representatives
from sparseopt_pathnorm.needed_combinations import conv_reads, factors
from sparseopt_pathnorm.scaled_sums import Scaled, added, aligned, normal, sizes_of

_MODEST = 2.0**100
"""Up to here, and down to the inverse, a largest entry stays as it is."""
_MOST = 1 << 24
"""Entries of gathered windows; layers that read more go through the operators' own passes."""
_PIECE = 1 << 15

Back = Callable[[Scaled], list[Scaled]]


@dataclass(frozen=True, eq=False)
class Stored:
    """A value: its number, its entries as stored (1, ...), and where each position is stored.

    ``classes`` has one array for each axis, from position to stored position.
    """

    number: int
    value: Scaled
    classes: tuple[np.ndarray, ...]


class CondensedCosts:
    """Both passes through one network."""

    def __init__(self, network: so.Network, context: so.Context) -> None:
        self._network = network
        self._context = context
        self._names = {node: name for name, node in weight_names(network).items()}
        self._tape: list[tuple[tuple[int, ...], Back]] = []
        self._shares: dict[str, np.ndarray] = {}

    def forward(self) -> ScaledArray[float]:
        """Return the norm."""
        shape = self._network.input_shape
        ones = Scaled(np.ones((1, *(1 for _ in shape))), 0)
        first = self._put([], ones, [np.zeros(n, dtype=np.int64) for n in shape], lambda y: [])
        end = self._expanded(self._network.walk(first, self._visit))
        self._outputs = end.value.array.shape
        return ScaledArray(float(end.value.array.sum()), end.value.exponent)

    def shares(self, total: ScaledArray[float]) -> dict[str, np.ndarray]:
        """Return the shares of a positive norm, by the transposed passes."""
        ones = Scaled(np.full(self._outputs, 1.0 / total.array), -total.exponent)
        pending = {len(self._tape) - 1: [ones]}
        while self._tape:
            inputs, back = self._tape.pop()
            self._context.check_time("passing back")
            parts = pending.pop(len(self._tape), [])
            if parts:
                value = _settled(added(parts) if len(parts) > 1 else parts[0])
                for number, part in zip(inputs, back(value), strict=True):
                    pending.setdefault(number, []).append(part)
        return {name: self._shares[name] for name in weight_names(self._network)}

    def _put(
        self, inputs: Sequence[Stored], value: Scaled, classes: Iterable[np.ndarray], back: Back
    ) -> Stored:
        self._tape.append((tuple(x.number for x in inputs), back))
        return Stored(len(self._tape) - 1, value, tuple(classes))

    def _visit(self, node: Node, values: list[Stored]) -> Stored:
        self._context.check_time(f"passing layer {node.name!r}")
        op: Any = node.op
        if isinstance(op, Relu):
            return values[0]
        if isinstance(op, Add):
            result = self._add(values)
        elif isinstance(op, Scale):
            result = self._scale(op, values[0])
        elif isinstance(op, Concat):
            result = self._concat(op, values)
        elif isinstance(op, Permute):
            result = self._permute(op, values[0])
        elif isinstance(op, MaxPool | Resample):
            result = self._windows(op, values[0])
        elif isinstance(op, Dense) and len(values[0].classes) == 1:
            result = self._dense(op, values[0], node.name)
        elif isinstance(op, Conv) and (found := self._conv(op, values[0], node.name)):
            result = found
        else:
            result = self._other(node, values)
        offset = op.offset()
        return result if offset is None or not np.any(offset) else self._biased(result, offset)

    def _biased(self, x: Stored, offset: np.ndarray) -> Stored:
        sizes = sizes_of(offset.reshape((1,) * (len(x.classes) - offset.ndim) + offset.shape))
        x = self._expanded(x, [i for i, n in enumerate(sizes.array.shape) if n > 1])
        wide = Scaled(np.broadcast_to(sizes.array, x.value.array.shape), sizes.exponent)
        return self._put([x], _settled(added([x.value, wide])), x.classes, lambda y: [y])

    def _along(
        self, x: Stored, axis: int, matrix: scipy.sparse.csr_array, classes: np.ndarray
    ) -> Stored:
        """Multiply along an axis by a sparse matrix."""
        there, back = matrix, matrix.T.tocsr()
        value = Scaled(_multiplied(there, x.value.array, axis + 1), x.value.exponent)
        known = (*x.classes[:axis], classes, *x.classes[axis + 1 :])
        return self._put(
            [x], value, known, lambda y: [Scaled(_multiplied(back, y.array, axis + 1), y.exponent)]
        )

    def _taken(self, x: Stored, axis: int, cells: np.ndarray, classes: np.ndarray) -> Stored:
        """Read stored positions along an axis."""
        size = x.value.array.shape[axis + 1]
        if np.array_equal(cells, np.arange(size)):
            return Stored(x.number, x.value, (*x.classes[:axis], classes, *x.classes[axis + 1 :]))
        return self._along(x, axis, _reading(cells[:, None], None, size), classes)

    def _expanded(self, x: Stored, axes: Iterable[int] | None = None) -> Stored:
        for axis in range(len(x.classes)) if axes is None else axes:
            known = x.classes[axis]
            x = self._taken(x, axis, known, np.arange(len(known)))
        return x

    def _common(self, values: Sequence[Stored], keep: int | None = None) -> list[Stored]:
        """Return values with the same classes along every axis but `keep`."""
        values = list(values)
        for axis in range(len(values[0].classes)):
            if axis == keep:
                continue
            first, classes = _classes(np.stack([x.classes[axis] for x in values], axis=1))
            values = [self._taken(x, axis, x.classes[axis][first], classes) for x in values]
        return values

    def _add(self, values: Sequence[Stored]) -> Stored:
        common = self._common(values)
        value = _settled(added([x.value for x in common]))
        return self._put(common, value, common[0].classes, lambda y: [y for _ in common])

    def _scale(self, op: Scale, x: Stored) -> Stored:
        if op.factor is None:
            return x
        sizes = sizes_of(op.factor)
        x = self._expanded(x, [i for i, n in enumerate(op.factor.shape) if n > 1])

        def scaled(value: Scaled) -> Scaled:
            return Scaled(value.array * sizes.array, value.exponent + sizes.exponent)

        return self._put([x], _settled(scaled(x.value)), x.classes, lambda y: [scaled(y)])

    def _concat(self, op: Concat, values: Sequence[Stored]) -> Stored:
        common = self._common([self._expanded(x, [op.axis]) for x in values], op.axis)
        arrays, exponent = aligned([x.value for x in common])
        array = np.concatenate(arrays, axis=op.axis + 1)
        cuts = np.cumsum([part.shape[op.axis + 1] for part in arrays])
        classes = list(common[0].classes)
        classes[op.axis] = np.arange(cuts[-1])

        def back(y: Scaled) -> list[Scaled]:
            parts = np.split(y.array, cuts[:-1], axis=op.axis + 1)
            return [Scaled(part, y.exponent) for part in parts]

        return self._put(common, Scaled(array, exponent), classes, back)

    def _permute(self, op: Permute, x: Stored) -> Stored:
        there = (0, *(axis + 1 for axis in op.axes))
        back = np.argsort(there)
        value = Scaled(x.value.array.transpose(there), x.value.exponent)
        return self._put(
            [x],
            value,
            [x.classes[axis] for axis in op.axes],
            lambda y: [Scaled(y.array.transpose(back), y.exponent)],
        )

    def _windows(self, op: MaxPool | Resample, x: Stored) -> Stored:
        for window in op.windows:
            known, weight = x.classes[window.axis], factors(window)
            cells = np.where(window.index >= 0, known[window.index], -1)
            keys = cells if weight is None else np.hstack([cells, weight.view(np.int64)])
            first, classes = _classes(keys)
            weight = None if weight is None else np.abs(weight[first])
            matrix = _reading(cells[first], weight, x.value.array.shape[window.axis + 1])
            x = self._along(x, window.axis, matrix, classes)
        return x

    def _dense(self, op: Dense, x: Stored, name: str) -> Stored:
        x = self._expanded(x)
        sizes = self._sizes(op.weight)
        entering = x.value.array[0]

        def back(y: Scaled) -> list[Scaled]:
            before = (y.array[0] @ sizes.array)[None]
            exponent = x.value.exponent + y.exponent + sizes.exponent
            step = max(1, _PIECE // len(entering))
            for start in range(0, len(sizes.array), step):  # in place, a piece in the cache
                part, served = sizes.array[start : start + step], y.array[0, start : start + step]
                part *= entering
                part *= served[:, None]
                _move(part, exponent)
            self._shares[self._names[name]] = sizes.array
            return [Scaled(before, y.exponent + sizes.exponent)]

        value = Scaled((sizes.array @ entering)[None], x.value.exponent + sizes.exponent)
        return self._put([x], _settled(value), [np.arange(len(sizes.array))], back)

    def _conv(self, op: Conv, x: Stored, name: str) -> Stored | None:
        x = self._expanded(x, [0])
        keys, classes = [], [np.arange(op.weight.shape[0])]
        for axis, known in enumerate(x.classes[1:]):
            reads = conv_reads(op, axis, len(known))
            cells = np.where(reads >= 0, known[reads], -1)
            first, along = _classes(cells)
            keys.append(cells[first])
            classes.append(along)
        spatial = x.value.array.shape[2:]
        index = reduce(_product, zip(keys, spatial, strict=True), np.zeros((1, 1), dtype=np.int64))
        channels = op.weight.shape[1] * op.groups
        if channels * index.size > _MOST:
            return None
        sizes = self._sizes(op.weight)
        weight = sizes.array.reshape(op.groups, op.weight.shape[0] // op.groups, -1)
        columns = _columns(x.value.array.reshape(channels, -1), index)
        columns = columns.reshape(op.groups, -1, index.shape[1])

        def back(y: Scaled) -> list[Scaled]:
            flat = y.array.reshape(*weight.shape[:2], -1)
            cells = np.matmul(weight.swapaxes(1, 2), flat).reshape(channels, -1)
            np.multiply(weight, np.matmul(flat, columns.swapaxes(1, 2)), out=weight)
            _move(weight, x.value.exponent + y.exponent + sizes.exponent)
            self._shares[self._names[name]] = sizes.array
            before = _transposed(cells, index, math.prod(spatial))
            return [Scaled(before.reshape(x.value.array.shape), y.exponent + sizes.exponent)]

        array = np.matmul(weight, columns).reshape(1, -1, *map(len, keys))
        value = _settled(Scaled(array, x.value.exponent + sizes.exponent))
        return self._put([x], value, classes, back)

    def _other(self, node: Node, values: Sequence[Stored]) -> Stored:
        """Pass a layer by its own methods, each position stored."""
        shifts: list[int] = []

        def size(array: np.ndarray) -> np.ndarray:
            found = sizes_of(array)
            shifts.append(found.exponent)
            return found.array

        op: Any = node.op.mapped(size)
        wide = [self._expanded(x) for x in values]
        arrays, exponent = aligned([x.value for x in wide])
        shapes = [array.shape[1:] for array in arrays]

        def back(y: Scaled) -> list[Scaled]:
            if node.name in self._names:
                share = op.parameters()["weight"] * op.weight_adjoint(y.array, arrays)
                _move(share, y.exponent + exponent + sum(shifts))
                self._shares[self._names[node.name]] = share
            parts = op.adjoint(y.array, shapes)
            return [Scaled(part, y.exponent + sum(shifts)) for part in parts]

        value = _settled(Scaled(op.propagate(arrays), exponent + sum(shifts)))
        classes = [np.arange(n) for n in self._network.shapes[node.name]]
        return self._put(wide, value, classes, back)

    @staticmethod
    def _sizes(weight: np.ndarray) -> Scaled:
        """Return absolute weights in an array of their own, which becomes that of the shares."""
        if weight.dtype == object:
            return sizes_of(weight)
        sizes = np.abs(weight, dtype=np.float64)
        return Scaled(sizes, 0) if weight.dtype == np.float32 else _settled(Scaled(sizes, 0))


def _settled(value: Scaled) -> Scaled:
    """Return the same numbers with a modest largest one."""
    top = float(value.array.max(initial=0.0))
    return value if 1 / _MODEST < top < _MODEST else normal(value)


def _move(array: np.ndarray, exponent: int) -> None:
    """Multiply by a power of two in place."""
    if abs(exponent) < 1000:
        array *= 2.0**exponent
    else:
        np.ldexp(array, exponent, out=array)


def _classes(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, along = representatives(keys)
    return first, np.arange(len(keys)) if along is None else along


def _reading(cells: np.ndarray, weight: np.ndarray | None, size: int) -> scipy.sparse.csr_array:
    """Return the matrix of what reads cells (outputs, window); -1 stands for none."""
    inside = cells >= 0
    rows = np.nonzero(inside)[0]
    numbers = np.ones(len(rows)) if weight is None else weight[inside]
    return scipy.sparse.csr_array((numbers, (rows, cells[inside])), shape=(len(cells), size))


def _multiplied(matrix: scipy.sparse.csr_array, array: np.ndarray, axis: int) -> np.ndarray:
    moved = np.moveaxis(array, axis, 0)
    result = matrix @ np.ascontiguousarray(moved).reshape(len(moved), -1)
    return np.ascontiguousarray(np.moveaxis(result.reshape(-1, *moved.shape[1:]), 0, axis))


def _product(index: np.ndarray, along: tuple[np.ndarray, int]) -> np.ndarray:
    """Return the cells (kernel, outputs) of one axis more, from those it reads and its size."""
    cells, size = along
    outer, inner = index[:, None, :, None], cells.T[None, :, None, :]
    joined = np.where((outer >= 0) & (inner >= 0), outer * size + inner, -1)
    return joined.reshape(joined.shape[0] * joined.shape[1], -1)


def _columns(flat: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ``flat[:, index]``, with zero for -1."""
    if len(index) == 1 and np.array_equal(index[0], np.arange(flat.shape[1])):
        return flat
    if index.min() < 0:
        flat = np.pad(flat, [(0, 0), (0, 1)])
    return np.take(flat, index, axis=1)


def _transposed(cells: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    """Return the transpose of `_columns`."""
    if len(index) == 1 and np.array_equal(index[0], np.arange(size)):
        return cells
    matrix = _reading(index.reshape(-1, 1), None, size).T.tocsr()
    return np.asarray((matrix @ cells.T).T)
