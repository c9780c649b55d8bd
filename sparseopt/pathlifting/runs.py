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

from sparseopt.network.linear import Conv, Scale
from sparseopt.network.operator import Add, Concat, Operator, Permute, Relu
from sparseopt.network.parameters import Shape
from sparseopt.network.semiring import SUM, Semiring
from sparseopt.network.window import AxisWindow, MaxPool, Resample

Classes = tuple[np.ndarray | None, ...]


@dataclass(frozen=True, eq=False)
class Runs:
    """Samples, stored for one position of each class along each axis.

    Parameters
    ----------
    array : array, shape (n, *stored sizes)
    classes : tuple of int array or None, one per axis
        Full position to stored position; None where all positions are stored.
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
                array = np.take(array, index, axis=axis + 1)
                classes[axis] = None
        return Runs(array, tuple(classes))

    def scaled(self, array: np.ndarray) -> Runs:
        """Return the samples with other numbers in the same places."""
        return Runs(array, self.classes)

    def total(self) -> float:
        """Return the sum over the entries of the first sample, each class times its size."""
        result = self.array[0]
        for index in reversed(self.classes):
            if index is None:
                result = result.sum(axis=-1)
            else:
                result = result @ np.bincount(index, minlength=result.shape[-1])
        return float(result)

    def against(self, constant: np.ndarray) -> Runs:
        """Return the samples with the axes expanded along which a constant varies."""
        lead = len(self.classes) - constant.ndim
        return self.expanded([lead + a for a, n in enumerate(constant.shape) if n > 1])


def propagate(
    op: Operator, inputs: Sequence[Runs], semiring: Semiring = SUM, by_pixels: bool = False
) -> Runs:
    """Return ``op.propagate`` on values with runs.

    With `by_pixels`, convolutions add up in another order (ordinary arithmetic only).
    """
    if isinstance(op, Conv):
        return _conv(op, inputs[0], semiring, by_pixels)
    if isinstance(op, Relu):
        return inputs[0]
    if isinstance(op, Scale):
        x = inputs[0] if op.factor is None else inputs[0].against(op.factor)
        return x.scaled(op.propagate([x.array], semiring))
    if isinstance(op, MaxPool):
        return _max_pool(op, inputs[0], semiring)
    if isinstance(op, Resample):
        return _resample(op, inputs[0], semiring)
    if isinstance(op, Add):
        common = _common(inputs, None)
        return common[0].scaled(op.propagate([x.array for x in common], semiring))
    if isinstance(op, Concat):
        return _concat(op, inputs)
    if isinstance(op, Permute):
        classes = tuple(inputs[0].classes[a] for a in op.axes)
        return Runs(op.propagate([inputs[0].array]), classes)
    array = op.propagate([x.expanded().array for x in inputs], semiring)
    return Runs(array, (None,) * (array.ndim - 1))


def _cells(classes: np.ndarray | None, index: np.ndarray) -> np.ndarray:
    """Return the stored positions of cells, -1 for padding."""
    if classes is None:
        return index
    return np.where(index >= 0, classes[np.maximum(index, 0)], -1)


def _representatives(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the first row of each class of equal rows, and the class of each row."""
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    if len(first) == len(keys):
        return np.arange(len(keys)), None
    return first, inverse.ravel()


def _conv(op: Conv, x: Runs, semiring: Semiring, by_pixels: bool) -> Runs:
    x = x.expanded([0])
    spatial = x.classes[1:]
    pointwise = set(op.kernel) == set(op.stride) == {1} and not any(map(any, op.padding))
    if all(c is None for c in spatial) or pointwise:
        array = op.propagate_by_pixels(x.array) if by_pixels else op.propagate([x.array], semiring)
        return Runs(array, x.classes)
    keys, classes = [], []
    for axis, known in enumerate(spatial):
        size = x.array.shape[axis + 2] if known is None else len(known)
        cells = _cells(known, _reads(op, axis, size))
        first, inverse = _representatives(cells)
        keys.append(cells[first])
        classes.append(inverse)
    windows = _gather(x.array, keys, semiring.zero)
    return Runs(_product(op, windows, semiring, by_pixels), (None, *classes))


def _reads(op: Conv, axis: int, size: int) -> np.ndarray:
    """Return the cells (outputs, kernel) that a convolution reads along an axis."""
    before, after = op.padding[axis]
    count = (size + before + after - op.extent[axis]) // op.stride[axis] + 1
    starts = np.arange(count)[:, None] * op.stride[axis] - before
    places = starts + np.arange(op.kernel[axis])[None, :] * op.dilation[axis]
    return np.where((places >= 0) & (places < size), places, -1)


def _gather(array: np.ndarray, keys: Sequence[np.ndarray], zero: float) -> np.ndarray:
    """Return the windows (n, channels, out_1, kernel_1, out_2, kernel_2, ...)."""
    # One more cell of zeros along each axis is what -1 picks.
    array = np.pad(array, [(0, 0), (0, 0), *(((0, 1),) * len(keys))], constant_values=zero)
    for axis, cells in enumerate(keys):
        array = np.take(array, cells, axis=2 + 2 * axis)
    return array


def _product(op: Conv, windows: np.ndarray, semiring: Semiring, by_pixels: bool) -> np.ndarray:
    """Multiply gathered windows by the kernel, columns from the right or rows from the left."""
    n, groups, dims = len(windows), op.groups, len(op.kernel)
    outs, kernels = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    out = tuple(windows.shape[a] for a in outs)
    kernel = op.weight.reshape(groups, op.weight.shape[0] // groups, -1)
    if by_pixels:
        rows = windows.transpose(0, *outs, 1, *kernels).reshape(n, -1, groups, kernel.shape[2])
        result = np.matmul(rows.swapaxes(1, 2), kernel.swapaxes(1, 2)).swapaxes(2, 3)
    else:
        columns = windows.transpose(0, 1, *kernels, *outs)
        columns = columns.reshape(n, groups, kernel.shape[2], math.prod(out))
        result = semiring.matmul(kernel, columns)
    return result.reshape(n, op.weight.shape[0], *out)


def _concat(op: Concat, inputs: Sequence[Runs]) -> Runs:
    common = _common(inputs, op.axis)
    array = np.concatenate([x.array for x in common], axis=op.axis + 1)
    parts, start = [], 0
    for x in common:
        stored, classes = x.array.shape[op.axis + 1], x.classes[op.axis]
        parts.append(start + (np.arange(stored) if classes is None else classes))
        start += stored
    index = np.concatenate(parts)
    return _replaced(common[0], op.axis, array, None if len(index) == start else index)


def _max_pool(op: MaxPool, x: Runs, semiring: Semiring) -> Runs:
    for window in op.windows:
        cells = _cells(x.classes[window.axis], window.index)
        first, inverse = _representatives(cells)
        array = AxisWindow(window.axis, cells[first]).reduce(x.array, semiring.add, semiring.zero)
        x = _replaced(x, window.axis, array, inverse)
    return x


def _resample(op: Resample, x: Runs, semiring: Semiring) -> Runs:
    for m in op.maps:
        cells = _cells(x.classes[m.axis], m.index)
        coefficients = m.coefficients(np.dtype(float))
        first, inverse = _representatives(np.hstack([cells, coefficients.view(np.int64)]))
        ones = np.ones(len(first), dtype=np.int64)
        few = m.with_rows(cells[first], coefficients[first], ones)
        x = _replaced(x, m.axis, few.propagate(x.array, semiring), inverse)
    return x


def _replaced(x: Runs, axis: int, array: np.ndarray, classes: np.ndarray | None) -> Runs:
    return Runs(array, (*x.classes[:axis], classes, *x.classes[axis + 1 :]))


def _common(inputs: Sequence[Runs], keep: int | None) -> list[Runs]:
    """Return the values with the same classes along every axis but `keep`."""
    values = list(inputs)
    for axis in range(len(values[0].classes)):
        known = [x.classes[axis] for x in values]
        if axis == keep or all(c is known[0] for c in known):
            continue
        if any(c is None for c in known):
            values = [x.expanded([axis]) for x in values]
            continue
        keys = np.stack([c for c in known if c is not None], axis=1)
        first, inverse = _representatives(keys)
        values = [
            _replaced(x, axis, np.take(x.array, keys[first, i], axis=axis + 1), inverse)
            for i, x in enumerate(values)
        ]
    return values
