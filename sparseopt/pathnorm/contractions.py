"""Layers that multiply by a kernel, at each position and in each group, read from their fields."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Conv, ConvTranspose, Dense, Neuron
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm.arithmetic import Arithmetic, Weights
from sparseopt.pathnorm.cells import scatter, with_zero

# Weights, and entries of gathered windows, that are turned into numbers at a time.
_BLOCK = 1 << 18
_PIECE = 1 << 20
# Cells that all windows of a convolution read, per channel; beyond, their list takes gigabytes.
_MOST = 1 << 27

Contraction = Dense | Conv | ConvTranspose | Neuron
"""Layers of the form ``y[o] = sum_i weight[o, i] x[i]``, at each position and in each group."""


def kernel(op: Contraction, array: np.ndarray) -> np.ndarray:
    """Return an array in the shape of the layer's weight as (groups, outputs, inputs).

    The inputs of a convolution run over channels and cells of the window.
    """
    if isinstance(op, Dense):
        return array[None]
    if isinstance(op, Neuron):
        return array[None, None]
    groups, cells = op.groups, math.prod(op.kernel)
    if isinstance(op, Conv):
        return array.reshape(groups, array.shape[0] // groups, -1)
    split = array.reshape(groups, array.shape[0] // groups, array.shape[1], cells)
    return split.transpose(0, 2, 1, 3).reshape(groups, array.shape[1], -1)


def unkernel(op: Contraction, array: np.ndarray) -> np.ndarray:
    """Undo `kernel`."""
    if isinstance(op, ConvTranspose):
        split = array.reshape(op.groups, op.weight.shape[1], -1, math.prod(op.kernel))
        array = split.transpose(0, 2, 1, 3)
    return array.reshape(op.weight.shape)


def _positions(op: Contraction, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    """Return which position each cell of a window reads, (cells, positions); -1 in the padding."""
    if isinstance(op, Neuron):
        return np.zeros((1, 1), dtype=np.int64)
    if isinstance(op, Dense):
        return np.arange(math.prod(output[:-1]))[None]
    cells = math.prod(op.kernel) * math.prod(output[1:])
    if cells > _MOST:
        raise ProblemError(f"a convolution that reads {cells} cells per channel is not judged")
    index = np.zeros((1,) * (2 * len(op.kernel)), dtype=np.int64)
    outside = np.zeros(index.shape, dtype=bool)
    for axis, size in enumerate(inputs[0][1:]):
        before, stride = op.padding[axis][0], op.stride[axis]
        places = np.arange(op.kernel[axis])[:, None] * op.dilation[axis]
        at = np.arange(output[axis + 1])[None]
        if isinstance(op, Conv):
            reads = at * stride - before + places
        else:  # cell c is spread to stride c + place - before
            spread = at + before - places
            reads = np.where(spread % stride == 0, spread // stride, -1)
        wide = [1] * index.ndim
        wide[axis], wide[len(op.kernel) + axis] = reads.shape
        reads = reads.reshape(wide)
        outside = outside | (reads < 0) | (reads >= size)
        index = index * size + reads
    return np.where(outside, -1, index).reshape(math.prod(op.kernel), -1)


def _channels(op: Contraction, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a layer reads as (samples, channels, positions)."""
    if isinstance(op, Neuron):
        return np.stack(list(inputs), axis=1)[..., None]
    x = np.moveaxis(inputs[0], -1, 1) if isinstance(op, Dense) else inputs[0]
    return x.reshape(*x.shape[:2], -1)


def _outputs(op: Contraction, y: np.ndarray) -> np.ndarray:
    """Return an output of a layer as (samples, channels, positions)."""
    if isinstance(op, Neuron):
        return y.reshape(-1, 1, 1)
    return _channels(op, [y])


def _shaped(op: Contraction, y: np.ndarray, shape: Shape) -> np.ndarray:
    """Undo `_channels` for a single value of some shape."""
    if isinstance(op, Dense):
        return np.moveaxis(y.reshape(*y.shape[:2], *shape[:-1]), 1, -1)
    return y.reshape(len(y), *shape)


def _windows(
    op: Contraction, inputs: Sequence[np.ndarray], output: Shape, a: Arithmetic
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield pieces of the positions, with what they read as (samples, groups, inputs, piece)."""
    x = _channels(op, inputs)
    index = _positions(op, [v.shape[1:] for v in inputs], output)
    groups = 1 if isinstance(op, Dense | Neuron) else op.groups
    step = max(1, _PIECE // (x.shape[0] * x.shape[1] * len(index)))
    x = with_zero(x, index, a.zero)
    for start in range(0, index.shape[1], step):
        piece = slice(start, start + step)
        columns = np.take(x, index[:, piece], axis=-1)
        yield piece, columns.reshape(len(x), groups, -1, columns.shape[-1])


def _blocks(groups: int, outputs: int, inputs: int) -> Iterator[slice]:
    step = max(1, _BLOCK // (groups * inputs))
    return (slice(i, min(i + step, outputs)) for i in range(0, outputs, step))


def contracted(
    op: Contraction,
    inputs: Sequence[np.ndarray],
    weights: Sequence[Weights],
    output: Shape,
    a: Arithmetic,
) -> np.ndarray:
    """Return the outputs of a layer; see `edges.forward`."""
    sizes = kernel(op, op.weight).shape
    pieces = []
    for _, columns in _windows(op, inputs, output, a):
        rows = [a.matmul(weights[0].part(block), columns) for block in _blocks(*sizes)]
        pieces.append(rows[0] if len(rows) == 1 else np.concatenate(rows, axis=-2))
    result = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
    return _shaped(op, result.reshape(len(result), -1, result.shape[-1]), output)


def contracted_back(
    op: Contraction,
    y: np.ndarray,
    weights: Sequence[Weights],
    inputs: Sequence[Shape],
    a: Arithmetic,
) -> list[np.ndarray]:
    """Return what comes back to the inputs of a layer; see `edges.backward`."""
    sizes = kernel(op, op.weight).shape
    index = _positions(op, inputs, y.shape[1:])
    flat = _outputs(op, y)
    flat = flat.reshape(len(flat), sizes[0], sizes[1], -1)
    total: np.ndarray | None = None
    for block in _blocks(*sizes):
        part = a.matmul(np.swapaxes(weights[0].part(block), 1, 2), flat[:, :, block])
        total = part if total is None else a.add(total, part)
    assert total is not None
    if isinstance(op, Neuron):
        return [total[:, 0, i, 0] for i in range(sizes[2])]
    cells = total.reshape(len(y), -1, *index.shape)
    size = math.prod(inputs[0][:-1] if isinstance(op, Dense) else inputs[0][1:])
    return [_shaped(op, scatter(cells, index, size, a), inputs[0])]


def gradient(
    op: Contraction, inputs: Sequence[np.ndarray], y: np.ndarray, a: Arithmetic
) -> np.ndarray:
    """Return, for each weight, the sum of input times `y` over the positions it serves.

    Parameters
    ----------
    inputs : arrays, shape (n, ...)
        What enters the layer.
    y : array, shape (n, ...)
        One number per output.

    Returns
    -------
    array, in the shape of the kernel (groups, outputs, inputs)
    """
    sizes = kernel(op, op.weight).shape
    flat = _outputs(op, y)
    flat = flat.reshape(len(flat), sizes[0], sizes[1], -1)
    result: np.ndarray | None = None
    for piece, columns in _windows(op, inputs, y.shape[1:], a):
        for sample in a.matmul(flat[..., piece], np.swapaxes(columns, 2, 3)):
            result = sample if result is None else a.add(result, sample)
    assert result is not None
    return result
