"""Passes over images of which many positions hold the same numbers.

The pass of a path-norm starts from an all-ones image, and a convolution of a constant image is
constant except near the border. So along each axis many positions hold the same numbers. A value
here keeps one representative of each class of equal positions, and every layer computes its
output for one position of each class only: two output positions whose windows meet the same
classes (and the padding at the same cells) are equal. No approximation is involved; a ResNet at
224 x 224 needs about half of the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Scale
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.semiring import SUM, Semiring
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, Resample
from sparseopt_pathnorm.needed_combinations import (
    Combinations,
    Wanted,
    combinations_of,
    conv_reads,
    factors,
    shifted,
    summed,
)

Classes = tuple[np.ndarray | Combinations | None, ...]


@dataclass(frozen=True, eq=False)
class Condensed:
    """Samples, stored for one position of each class, or for combinations, along each axis.

    Parameters
    ----------
    array : array, shape (n, *stored sizes)
    classes : tuple of int array, Combinations or None, one per axis
        Full position to stored position; None where all positions are stored; the combinations
        where those are stored instead of positions.
    """

    array: np.ndarray
    classes: Classes

    @staticmethod
    def ones(shape: Shape, samples: int = 1, semiring: Semiring = SUM) -> Condensed:
        """Return all-ones samples: one class along each axis."""
        classes = tuple(np.zeros(n, dtype=np.int64) for n in shape)
        return Condensed(np.full((samples, *(1 for _ in shape)), float(semiring.one)), classes)

    def expanded(self, axes: Sequence[int] | None = None) -> Condensed:
        """Return the samples with every position stored along some axes, by default along all."""
        array, classes = self.array, list(self.classes)
        for axis, index in enumerate(classes):
            if index is not None and (axes is None or axis in axes):
                if isinstance(index, Combinations):
                    raise TypeError("combinations of positions cannot be expanded")
                array = np.take(array, index, axis=axis + 1)
                classes[axis] = None
        return Condensed(array, tuple(classes))

    def scaled(self, array: np.ndarray) -> Condensed:
        """Return the samples with other numbers in the same places."""
        return Condensed(array, self.classes)

    def combined(self, axis: int, combinations: Combinations) -> Condensed:
        """Return the samples with combinations of the positions along an axis."""
        known = self.classes[axis]
        if known is combinations:
            return self
        if isinstance(known, Combinations):
            array = np.take(self.array, known.places(combinations.rows), axis=axis + 1)
        else:
            matrix = combinations.rows
            if known is not None:
                matrix = np.zeros((len(matrix), self.array.shape[axis + 1]))
                np.add.at(matrix.T, known, combinations.rows.T)
            matrix = matrix.astype(self.array.dtype)
            array = np.moveaxis(np.tensordot(self.array, matrix, ([axis + 1], [1])), -1, axis + 1)
        return _replaced(self, axis, array, combinations)

    def narrowed(self, wanted: Wanted | None) -> Condensed:
        """Return the samples with combinations along the axes where that is less to store."""
        result = self
        for axis, combinations in enumerate(wanted or ()):
            known = result.classes[axis]
            if combinations is None or isinstance(known, Combinations):
                continue
            if len(combinations.rows) < result.array.shape[axis + 1]:
                result = result.combined(axis, combinations)
        return result

    def of_ones(self) -> np.ndarray | float:
        """Return what stands for an image of ones in the same storage."""
        result: np.ndarray | float = 1.0
        for axis, known in enumerate(self.classes):
            if isinstance(known, Combinations):
                shape = [1] * (len(self.classes) + 1)
                shape[axis + 1] = -1
                result = result * known.totals.reshape(shape).astype(self.array.dtype)
        return result

    def against(self, constant: np.ndarray) -> Condensed:
        """Return the samples with the axes expanded along which a constant varies."""
        lead = len(self.classes) - constant.ndim
        return self.expanded([lead + a for a, n in enumerate(constant.shape) if n > 1])


def propagate(
    op: Operator,
    inputs: Sequence[Condensed],
    semiring: Semiring = SUM,
    wanted: Wanted | None = None,
) -> Condensed:
    """Return ``op.propagate`` on condensed values.

    `wanted` says which combinations of positions of the result suffice (see
    `sparseopt_pathnorm.needed_combinations`); the result has them where that is less work. In
    ordinary arithmetic only.
    """
    return _propagate(op, inputs, semiring, wanted).narrowed(wanted)


@singledispatch
def _propagate(
    op: Operator, inputs: Sequence[Condensed], semiring: Semiring, wanted: Wanted | None
) -> Condensed:
    """Compute every position: right for every layer, as no combinations are asked of its inputs."""
    array = op.propagate([x.expanded().array for x in inputs], semiring)
    return Condensed(array, (None,) * (array.ndim - 1))


@_propagate.register
def _relu(op: Relu, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    result: Condensed = inputs[0]
    return result


@_propagate.register
def _scale(op: Scale, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    x: Condensed = inputs[0] if op.factor is None else inputs[0].against(op.factor)
    return x.scaled(op.propagate([x.array], semiring))


@_propagate.register
def _add(op: Add, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    common = _common(inputs, None, wanted)
    return common[0].scaled(op.propagate([x.array for x in common], semiring))


@_propagate.register
def _permute(op: Permute, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    classes = tuple(inputs[0].classes[a] for a in op.axes)
    return Condensed(op.propagate([inputs[0].array]), classes)


def _cells(classes: np.ndarray | None, index: np.ndarray) -> np.ndarray:
    """Return the stored positions of cells, -1 for padding."""
    if classes is None:
        return index
    return np.where(index >= 0, classes[np.maximum(index, 0)], -1)


def representatives(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the first row of each class of equal rows, and the class of each row."""
    data = np.ascontiguousarray(keys)
    text, width = data.tobytes(), data.strides[0]
    classes: dict[bytes, int] = {}
    inverse = [
        classes.setdefault(text[i : i + width], len(classes)) for i in range(0, len(text), width)
    ]
    if len(classes) == len(inverse):
        return np.arange(len(inverse)), None
    index = np.array(inverse)
    first = np.zeros(len(classes), dtype=np.int64)
    first[index[::-1]] = np.arange(len(index))[::-1]
    return first, index


@_propagate.register
def _conv(op: Conv, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    x: Condensed = inputs[0].expanded([0])
    if set(op.kernel) == set(op.stride) == {1} and not any(map(any, op.padding)):
        x = x.narrowed(wanted)
        columns = x.array.reshape(len(x.array), op.groups, op.weight.shape[1], -1)
        result = _product(op, columns, semiring)
        return Condensed(result.reshape(len(result), -1, *x.array.shape[2:]), x.classes)
    if not any(wanted or ()) and all(c is None for c in x.classes):
        return Condensed(op.propagate([x.array], semiring), x.classes)
    keys: list[np.ndarray] = []
    classes: list[np.ndarray | Combinations | None] = []
    for axis in range(1, len(x.classes)):
        known = x.classes[axis]
        combinations = wanted[axis] if wanted else None
        size = _size(x, axis)
        reads = conv_reads(op, axis - 1, size)
        if not isinstance(known, Combinations):
            cells = _cells(known, reads)
            first, inverse = representatives(cells)
            if combinations is None or len(first) <= len(combinations.rows):
                keys.append(cells[first])
                classes.append(inverse)
                continue
        assert combinations is not None
        rows = shifted(combinations.rows, reads, size)
        needed = combinations_of(rows)
        x = x.combined(axis, needed)
        keys.append(needed.places(rows))
        classes.append(combinations)
    result = _product(op, _gather(op, x.array, keys, semiring.zero), semiring)
    out = tuple(len(cells) for cells in keys)
    return Condensed(result.reshape(len(result), -1, *out), (None, *classes))


def _size(x: Condensed, axis: int) -> int:
    """Return how many positions an axis has."""
    known = x.classes[axis]
    if isinstance(known, Combinations):
        return int(known.rows.shape[1])
    return x.array.shape[axis + 1] if known is None else len(known)


def _gather(op: Conv, array: np.ndarray, keys: Sequence[np.ndarray], zero: float) -> np.ndarray:
    """Return the windows (n, groups, channels / groups * kernel, outputs)."""
    spatial = array.shape[2:]
    index, outside = np.zeros((), dtype=np.int64), np.zeros((), dtype=bool)
    for axis, cells in enumerate(keys):  # axes of the kernel first, then those of the output
        shape = [1] * (2 * len(keys))
        shape[axis], shape[len(keys) + axis] = cells.shape[1], cells.shape[0]
        along = cells.T.reshape(shape)
        index = index * spatial[axis] + along
        outside = outside | (along < 0)
    flat = array.reshape(*array.shape[:2], -1)
    if outside.any():
        flat = np.pad(flat, [(0, 0), (0, 0), (0, 1)], constant_values=zero)
        index = np.where(outside, flat.shape[2] - 1, index)
    columns = flat.take(index.ravel(), axis=2)
    outputs = math.prod(len(cells) for cells in keys)
    return columns.reshape(len(array), op.groups, -1, outputs)


def _product(op: Conv, columns: np.ndarray, semiring: Semiring) -> np.ndarray:
    """Multiply gathered windows by the kernel."""
    kernel = op.weight.reshape(op.groups, op.weight.shape[0] // op.groups, -1)
    return semiring.matmul(kernel, columns)


@_propagate.register
def _concat(op: Concat, inputs: Any, semiring: Semiring, wanted: Wanted | None) -> Condensed:
    common = _common(inputs, op.axis, wanted)
    array = np.concatenate([x.array for x in common], axis=op.axis + 1)
    parts, start = [], 0
    for x in common:
        stored, classes = x.array.shape[op.axis + 1], x.classes[op.axis]
        assert not isinstance(classes, Combinations)
        parts.append(start + (np.arange(stored) if classes is None else classes))
        start += stored
    index = np.concatenate(parts)
    return _replaced(common[0], op.axis, array, None if len(index) == start else index)


@_propagate.register(MaxPool | Resample)
def _windows(
    op: MaxPool | Resample, inputs: Any, semiring: Semiring, wanted: Wanted | None
) -> Condensed:
    x: Condensed = inputs[0]
    for window in op.windows:
        axis, index, weight = window.axis, window.index, factors(window)
        combinations = wanted[axis] if wanted else None
        known = x.classes[axis]
        if not isinstance(known, Combinations):
            cells = _cells(known, index)
            keys = cells
            if weight is not None:
                keys = np.hstack([cells, weight.view(np.int64)])
            first, inverse = representatives(keys)
            if combinations is None or len(first) <= len(combinations.rows):
                array = _reduce(window, cells[first], weight, first, x.array, semiring)
                x = _replaced(x, axis, array, inverse)
                continue
        rows = summed(
            None if combinations is None else combinations.rows, index, weight, _size(x, axis)
        )
        needed = combinations_of(rows)
        gathered = x.combined(axis, needed).array
        # A window may lie in the padding only; its sum is the zero of -1.
        gathered = np.concatenate([gathered, np.zeros_like(gathered.take([0], axis + 1))], axis + 1)
        x = _replaced(x, axis, np.take(gathered, needed.places(rows), axis=axis + 1), combinations)
    return x


def _reduce(
    window: AxisWindow | AxisMap,
    cells: np.ndarray,
    weight: np.ndarray | None,
    first: np.ndarray,
    array: np.ndarray,
    semiring: Semiring,
) -> np.ndarray:
    """Return the sums of some windows."""
    if isinstance(window, AxisWindow):
        return AxisWindow(window.axis, cells).reduce(array, semiring.add, semiring.zero)
    assert weight is not None
    few = window.with_rows(cells, weight[first], np.ones(len(first), dtype=np.int64))
    return few.propagate(array, semiring)


def _replaced(
    x: Condensed, axis: int, array: np.ndarray, classes: np.ndarray | Combinations | None
) -> Condensed:
    return Condensed(array, (*x.classes[:axis], classes, *x.classes[axis + 1 :]))


def _common(
    inputs: Sequence[Condensed], keep: int | None, wanted: Wanted | None
) -> list[Condensed]:
    """Return the values with the same classes along every axis but `keep`."""
    values = list(inputs)
    for axis in range(len(values[0].classes)):
        known = [x.classes[axis] for x in values]
        if axis == keep or all(c is known[0] for c in known):
            continue
        if any(isinstance(c, Combinations) for c in known):
            combinations = wanted[axis] if wanted else None
            assert combinations is not None
            values = [x.combined(axis, combinations) for x in values]
            continue
        if any(c is None for c in known):
            values = [x.expanded([axis]) for x in values]
            continue
        keys = np.stack([c for c in known if isinstance(c, np.ndarray)], axis=1)
        first, inverse = representatives(keys)
        values = [
            _replaced(x, axis, np.take(x.array, keys[first, i], axis=axis + 1), inverse)
            for i, x in enumerate(values)
        ]
    return values
