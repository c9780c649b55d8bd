"""Layers that multiply by a kernel, at each position and in each group, read from their fields."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce, singledispatch

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm.arithmetic import Arithmetic, Weights
from sparseopt.pathnorm.cells import picked, scatter, with_zero

# Weights, and entries of gathered windows, that are turned into numbers at a time.
_BLOCK = 1 << 21
_PIECE = 1 << 20
# Cells that all windows of a convolution read, per channel; beyond, their list takes gigabytes.
_MOST = 1 << 27


@dataclass(frozen=True, eq=False)
class Windows:
    """A convolution that reads stored cells, which may stand for several positions.

    Parameters
    ----------
    op : Conv or ConvTranspose
    reads : tuple of int array, each of the shape (places of the kernel, outputs)
        The stored cells that are read along each spatial axis, -1 for none.
    """

    op: Conv | ConvTranspose
    reads: tuple[np.ndarray, ...]

    @property
    def weight(self) -> np.ndarray:
        """The kernel."""
        return self.op.weight


Contraction = Dense | Conv | ConvTranspose | Neuron | Windows
"""Layers of the form ``y[o] = sum_i weight[o, i] x[i]``, at each position and in each group."""
Layer = Operator | Windows


def not_judged(op: Layer) -> ProblemError:
    """Return the refusal of a layer whose edges the judge does not know."""
    return ProblemError(
        f"paths through a {type(op).__name__} cannot be judged: write the layer in terms of those "
        "of sparseopt.networks, or register it with the functions of sparseopt.pathnorm.edges"
    )


@singledispatch
def kernel(op: Contraction, array: np.ndarray) -> np.ndarray:
    """Return an array in the shape of the layer's weight as (groups, outputs, inputs).

    The inputs of a convolution run over channels and cells of the window.
    """
    raise not_judged(op)


@kernel.register
def _kernel_dense(op: Dense, array: np.ndarray) -> np.ndarray:
    return array[None]


@kernel.register
def _kernel_neuron(op: Neuron, array: np.ndarray) -> np.ndarray:
    return array[None, None]


@kernel.register
def _kernel_conv(op: Conv, array: np.ndarray) -> np.ndarray:
    return array.reshape(op.groups, array.shape[0] // op.groups, -1)


@kernel.register
def _kernel_conv_transpose(op: ConvTranspose, array: np.ndarray) -> np.ndarray:
    split = array.reshape(op.groups, -1, array.shape[1], math.prod(op.kernel))
    return split.transpose(0, 2, 1, 3).reshape(op.groups, array.shape[1], -1)


@kernel.register
def _kernel_windows(op: Windows, array: np.ndarray) -> np.ndarray:
    return kernel(op.op, array)


@singledispatch
def _positions(op: Contraction, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    """Return which position each cell of a window reads, (cells, positions); -1 in the padding."""
    raise not_judged(op)


@_positions.register
def _positions_neuron(op: Neuron, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    return np.zeros((1, 1), dtype=np.int64)


@_positions.register
def _positions_dense(op: Dense, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    return np.arange(math.prod(output[:-1]))[None]


@_positions.register(Conv | ConvTranspose)
def _positions_conv(op: Conv | ConvTranspose, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    return joined([axis_reads(op, i, inputs[0], output) for i in range(len(op.kernel))], inputs[0])


@_positions.register
def _positions_windows(op: Windows, inputs: Sequence[Shape], output: Shape) -> np.ndarray:
    return joined(op.reads, inputs[0])


def axis_reads(
    op: Conv | ConvTranspose, axis: int, shape: Sequence[int], output: Shape
) -> np.ndarray:
    """Return the cell that each output reads, for each place of the kernel, along a spatial axis.

    In the shape (kernel, outputs); -1 outside the cells. Shapes are those of input and output.
    """
    places = np.arange(op.kernel[axis])[:, None] * op.dilation[axis] - op.padding[axis][0]
    reads = _reads(op, places, np.arange(output[axis + 1])[None], op.stride[axis])
    return np.where((reads < 0) | (reads >= shape[axis + 1]), -1, reads)


def joined(reads: Sequence[np.ndarray], shape: Shape) -> np.ndarray:
    """Return, from what is read along each axis, the cells of all axes together."""
    cells = math.prod(along.size for along in reads)
    if cells > _MOST:
        raise ProblemError(f"a convolution that reads {cells} cells per channel is not judged")
    index = np.zeros((1, 1), dtype=np.int64)
    for along, size in zip(reads, shape[1:], strict=True):
        outer, inner = index[:, None, :, None], along[None, :, None, :]
        index = np.where((outer < 0) | (inner < 0), -1, outer * size + inner)
        index = index.reshape(index.shape[0] * index.shape[1], -1)
    return index


@singledispatch
def _reads(op: Conv | ConvTranspose, places: np.ndarray, at: np.ndarray, stride: int) -> np.ndarray:
    """Return the cells along an axis that outputs read, from the places of the kernel."""
    return at * stride + places


@_reads.register
def _reads_transposed(
    op: ConvTranspose, places: np.ndarray, at: np.ndarray, stride: int
) -> np.ndarray:
    spread = at - places  # cell c is spread to stride c + place
    return np.where(spread % stride == 0, spread // stride, -1)


@singledispatch
def _channels(op: Contraction, values: Sequence[np.ndarray]) -> np.ndarray:
    """Return what a layer reads, or its output, as (samples, channels, positions)."""
    return values[0].reshape(*values[0].shape[:2], -1)


@_channels.register
def _channels_neuron(op: Neuron, values: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(list(values), axis=1)[..., None]


@_channels.register
def _channels_dense(op: Dense, values: Sequence[np.ndarray]) -> np.ndarray:
    x = np.moveaxis(values[0], -1, 1)
    return x.reshape(*x.shape[:2], -1)


@singledispatch
def _shaped(op: Contraction, y: np.ndarray, shapes: Sequence[Shape]) -> list[np.ndarray]:
    """Undo `_channels` for values of some shapes."""
    return [y.reshape(len(y), *shapes[0])]


@_shaped.register
def _shaped_neuron(op: Neuron, y: np.ndarray, shapes: Sequence[Shape]) -> list[np.ndarray]:
    return [y[:, i, 0] for i in range(len(shapes))]


@_shaped.register
def _shaped_dense(op: Dense, y: np.ndarray, shapes: Sequence[Shape]) -> list[np.ndarray]:
    return [np.moveaxis(y.reshape(*y.shape[:2], *shapes[0][:-1]), 1, -1)]


def _windows(
    op: Contraction, inputs: Sequence[np.ndarray], output: Shape, a: Arithmetic
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield pieces of the positions, with what they read as (samples, groups, inputs, piece)."""
    index = _positions(op, [v.shape[1:] for v in inputs], output)
    x = with_zero(_channels(op, inputs), index, a.zero)
    groups = kernel(op, op.weight).shape[0]
    step = max(1, _PIECE // (x.shape[0] * x.shape[1] * len(index)))
    for start in range(0, index.shape[1], step):
        piece = slice(start, start + step)
        columns = picked(x, index[:, piece])
        yield piece, columns.reshape(len(x), groups, -1, columns.shape[-1])


def blocks(groups: int, outputs: int, inputs: int, weights: int | None = None) -> Iterator[slice]:
    """Yield the outputs of a kernel a few at a time, with about so many weights."""
    step = max(1, (weights or _BLOCK) // (groups * inputs))
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
        rows = [a.matmul(weights[0].part(block), columns) for block in blocks(*sizes)]
        pieces.append(rows[0] if len(rows) == 1 else np.concatenate(rows, axis=-2))
    result = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
    return _shaped(op, result.reshape(len(result), -1, result.shape[-1]), [output])[0]


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
    flat = _channels(op, [y])
    flat = flat.reshape(len(flat), sizes[0], sizes[1], -1)
    total: np.ndarray | None = None
    for block in blocks(*sizes):
        part = a.matmul(np.swapaxes(weights[0].part(block), 1, 2), flat[:, :, block])
        total = part if total is None else a.add(total, part)
    assert total is not None
    cells = total.reshape(len(y), -1, *index.shape)
    size = sum(map(math.prod, inputs)) // cells.shape[1]
    return _shaped(op, scatter(cells, index, size, a), inputs)


def gradient(
    op: Contraction, inputs: Sequence[np.ndarray], y: np.ndarray, a: Arithmetic
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield, for each weight, the sum of input times `y` over the positions it serves.

    A few outputs at a time, in the shape of the kernel (groups, outputs, inputs).

    Parameters
    ----------
    inputs : arrays, shape (n, ...)
        What enters the layer.
    y : array, shape (n, ...)
        One number per output.
    """
    sizes = kernel(op, op.weight).shape
    flat = _channels(op, [y])
    flat = flat.reshape(len(flat), sizes[0], sizes[1], -1)
    earlier: dict[int, np.ndarray] = {}
    for piece, columns in _windows(op, inputs, y.shape[1:], a):
        for block in blocks(*sizes):
            samples = a.matmul(flat[:, :, block, piece], np.swapaxes(columns, 2, 3))
            part = reduce(a.add, samples)
            if piece.start:
                part = a.add(earlier.pop(block.start), part)
            if piece.stop >= flat.shape[-1]:
                yield block, part
            else:
                earlier[block.start] = part
