"""Passes over images that are constant along runs of pixels.

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

import numpy as np

from sparseopt.networks.linear import Conv, Scale
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu
from sparseopt.networks.parameters import Shape
from sparseopt.networks.semiring import SUM, Semiring
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, Resample
from sparseopt_pathnorm.needed_combinations import (
    Combos,
    Wanted,
    combos_of,
    conv_reads,
    shifted,
    summed,
    windows,
)

Classes = tuple[np.ndarray | Combos | None, ...]


@dataclass(frozen=True, eq=False)
class Runs:
    """Samples, stored for one position of each class, or for combinations, along each axis.

    Parameters
    ----------
    array : array, shape (n, *stored sizes)
    classes : tuple of int array, Combos or None, one per axis
        Full position to stored position; None where all positions are stored; the combinations
        where those are stored instead of positions.
    """

    array: np.ndarray
    classes: Classes

    @staticmethod
    def ones(shape: Shape, samples: int = 1, semiring: Semiring = SUM) -> Runs:
        """Return all-ones samples: one class along each axis."""
        classes = tuple(np.zeros(n, dtype=np.int64) for n in shape)
        return Runs(np.full((samples, *(1 for _ in shape)), float(semiring.one)), classes)

    def expanded(self, axes: Sequence[int] | None = None) -> Runs:
        """Return the samples with every position stored along some axes, by default along all."""
        array, classes = self.array, list(self.classes)
        for axis, index in enumerate(classes):
            if index is not None and (axes is None or axis in axes):
                if isinstance(index, Combos):
                    raise TypeError("combinations of positions cannot be expanded")
                array = np.take(array, index, axis=axis + 1)
                classes[axis] = None
        return Runs(array, tuple(classes))

    def scaled(self, array: np.ndarray) -> Runs:
        """Return the samples with other numbers in the same places."""
        return Runs(array, self.classes)

    def combined(self, axis: int, combos: Combos) -> Runs:
        """Return the samples with combinations of the positions along an axis."""
        known = self.classes[axis]
        if known is combos:
            return self
        if isinstance(known, Combos):
            array = np.take(self.array, known.places(combos.rows), axis=axis + 1)
        else:
            matrix = combos.rows
            if known is not None:
                matrix = np.zeros((len(matrix), self.array.shape[axis + 1]))
                np.add.at(matrix.T, known, combos.rows.T)
            matrix = matrix.astype(self.array.dtype)
            array = np.moveaxis(np.tensordot(self.array, matrix, ([axis + 1], [1])), -1, axis + 1)
        return _replaced(self, axis, array, combos)

    def narrowed(self, wanted: Wanted | None) -> Runs:
        """Return the samples with combinations along the axes where that is less to store."""
        result = self
        for axis, combos in enumerate(wanted or ()):
            known = result.classes[axis]
            if combos is None or isinstance(known, Combos):
                continue
            if len(combos.rows) < result.array.shape[axis + 1]:
                result = result.combined(axis, combos)
        return result

    def of_ones(self) -> np.ndarray | float:
        """Return what stands for an image of ones in the same storage."""
        result: np.ndarray | float = 1.0
        for axis, known in enumerate(self.classes):
            if isinstance(known, Combos):
                shape = [1] * (len(self.classes) + 1)
                shape[axis + 1] = -1
                result = result * known.totals.reshape(shape).astype(self.array.dtype)
        return result

    def against(self, constant: np.ndarray) -> Runs:
        """Return the samples with the axes expanded along which a constant varies."""
        lead = len(self.classes) - constant.ndim
        return self.expanded([lead + a for a, n in enumerate(constant.shape) if n > 1])


def propagate(
    op: Operator,
    inputs: Sequence[Runs],
    semiring: Semiring = SUM,
    wanted: Wanted | None = None,
) -> Runs:
    """Return ``op.propagate`` on values with runs.

    `wanted` says which combinations of positions of the result suffice (see
    `sparseopt_pathnorm.needed_combinations`); the result has them where that is less work. In
    ordinary arithmetic only.
    """
    return _propagate(op, inputs, semiring, wanted).narrowed(wanted)


def _propagate(
    op: Operator, inputs: Sequence[Runs], semiring: Semiring, wanted: Wanted | None
) -> Runs:
    if isinstance(op, Conv):
        return _conv(op, inputs[0], semiring, wanted)
    if isinstance(op, Relu):
        return inputs[0]
    if isinstance(op, Scale):
        x = inputs[0] if op.factor is None else inputs[0].against(op.factor)
        return x.scaled(op.propagate([x.array], semiring))
    if isinstance(op, MaxPool | Resample):
        return _window(op, inputs[0], semiring, wanted)
    if isinstance(op, Add):
        common = _common(inputs, None, wanted)
        return common[0].scaled(op.propagate([x.array for x in common], semiring))
    if isinstance(op, Concat):
        return _concat(op, inputs, wanted)
    if isinstance(op, Permute):
        classes = tuple(inputs[0].classes[a] for a in op.axes)
        return Runs(op.propagate([inputs[0].array]), classes)
    arrays = [x.expanded().array for x in inputs]
    array = op.propagate(arrays, semiring)
    return Runs(array, (None,) * (array.ndim - 1))


def _cells(classes: np.ndarray | None, index: np.ndarray) -> np.ndarray:
    """Return the stored positions of cells, -1 for padding."""
    if classes is None:
        return index
    return np.where(index >= 0, classes[np.maximum(index, 0)], -1)


def _representatives(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
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


def _conv(op: Conv, x: Runs, semiring: Semiring, wanted: Wanted | None) -> Runs:
    x = x.expanded([0])
    if set(op.kernel) == set(op.stride) == {1} and not any(map(any, op.padding)):
        x = x.narrowed(wanted)
        columns = x.array.reshape(len(x.array), op.groups, op.weight.shape[1], -1)
        result = _product(op, columns, semiring)
        return Runs(result.reshape(len(result), -1, *x.array.shape[2:]), x.classes)
    if not any(wanted or ()) and all(c is None for c in x.classes):
        return Runs(op.propagate([x.array], semiring), x.classes)
    keys: list[np.ndarray] = []
    classes: list[np.ndarray | Combos | None] = []
    for axis in range(1, len(x.classes)):
        known = x.classes[axis]
        combos = wanted[axis] if wanted else None
        size = _size(x, axis)
        reads = conv_reads(op, axis - 1, size)
        if not isinstance(known, Combos):
            cells = _cells(known, reads)
            first, inverse = _representatives(cells)
            if combos is None or len(first) <= len(combos.rows):
                keys.append(cells[first])
                classes.append(inverse)
                continue
        assert combos is not None
        rows = shifted(combos.rows, reads, size)
        needed = combos_of(rows)
        x = x.combined(axis, needed)
        keys.append(needed.places(rows))
        classes.append(combos)
    result = _product(op, _gather(op, x.array, keys, semiring.zero), semiring)
    out = tuple(len(cells) for cells in keys)
    return Runs(result.reshape(len(result), -1, *out), (None, *classes))


def _size(x: Runs, axis: int) -> int:
    """Return how many positions an axis has."""
    known = x.classes[axis]
    if isinstance(known, Combos):
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


def _concat(op: Concat, inputs: Sequence[Runs], wanted: Wanted | None) -> Runs:
    common = _common(inputs, op.axis, wanted)
    array = np.concatenate([x.array for x in common], axis=op.axis + 1)
    parts, start = [], 0
    for x in common:
        stored, classes = x.array.shape[op.axis + 1], x.classes[op.axis]
        assert not isinstance(classes, Combos)
        parts.append(start + (np.arange(stored) if classes is None else classes))
        start += stored
    index = np.concatenate(parts)
    return _replaced(common[0], op.axis, array, None if len(index) == start else index)


def _window(op: MaxPool | Resample, x: Runs, semiring: Semiring, wanted: Wanted | None) -> Runs:
    for window, (axis, index, weight) in zip(_windows_of(op), windows(op), strict=True):
        combos = wanted[axis] if wanted else None
        known = x.classes[axis]
        if not isinstance(known, Combos):
            cells = _cells(known, index)
            keys = cells
            if weight is not None:
                keys = np.hstack([cells, weight.view(np.int64)])
            first, inverse = _representatives(keys)
            if combos is None or len(first) <= len(combos.rows):
                array = _reduce(window, cells[first], weight, first, x.array, semiring)
                x = _replaced(x, axis, array, inverse)
                continue
        rows = summed(None if combos is None else combos.rows, index, weight, _size(x, axis))
        needed = combos_of(rows)
        gathered = x.combined(axis, needed).array
        # A window may lie in the padding only; its sum is the zero of -1.
        gathered = np.concatenate([gathered, np.zeros_like(gathered.take([0], axis + 1))], axis + 1)
        x = _replaced(x, axis, np.take(gathered, needed.places(rows), axis=axis + 1), combos)
    return x


def _windows_of(op: MaxPool | Resample) -> Sequence[AxisWindow | AxisMap]:
    return op.windows if isinstance(op, MaxPool) else op.maps


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


def _replaced(x: Runs, axis: int, array: np.ndarray, classes: np.ndarray | Combos | None) -> Runs:
    return Runs(array, (*x.classes[:axis], classes, *x.classes[axis + 1 :]))


def _common(inputs: Sequence[Runs], keep: int | None, wanted: Wanted | None) -> list[Runs]:
    """Return the values with the same classes along every axis but `keep`."""
    values = list(inputs)
    for axis in range(len(values[0].classes)):
        known = [x.classes[axis] for x in values]
        if axis == keep or all(c is known[0] for c in known):
            continue
        if any(isinstance(c, Combos) for c in known):
            combos = wanted[axis] if wanted else None
            assert combos is not None
            values = [x.combined(axis, combos) for x in values]
            continue
        if any(c is None for c in known):
            values = [x.expanded([axis]) for x in values]
            continue
        keys = np.stack([c for c in known if isinstance(c, np.ndarray)], axis=1)
        first, inverse = _representatives(keys)
        values = [
            _replaced(x, axis, np.take(x.array, keys[first, i], axis=axis + 1), inverse)
            for i, x in enumerate(values)
        ]
    return values
