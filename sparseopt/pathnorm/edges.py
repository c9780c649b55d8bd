"""The edges of each layer, read from its fields alone.

What is claimed about paths is judged by these few functions and by nothing of the operators' own
arithmetic (`propagate`, `adjoint` and their relatives), with which engines compute: a fault on
either side shows as a disagreement. Every layer is written as its definition reads: which cells
an output reads (`gather`), with which weights; backwards, the same cells are written (`scatter`).

Values carry a leading axis of samples. Numbers may be of any kind that an `Arithmetic` adds and
multiplies: floats, integers, numbers with exponents of their own, sets of paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce, singledispatch
from typing import Any, Protocol

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Conv, ConvTranspose, Dense, Neuron, Scale
from sparseopt.networks.operator import Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape, exact
from sparseopt.networks.window import AxisMap, MaxPool, RankPool, Resample

# Weights, and entries of gathered windows, that are turned into numbers at a time.
_BLOCK = 1 << 18
_PIECE = 1 << 20
# Entries of a block of largest products.
_ENTRIES = 1 << 16
# Cells that all windows of a convolution read, per channel; beyond, their list takes gigabytes.
_MOST = 1 << 27

Contraction = Dense | Conv | ConvTranspose | Neuron
"""Layers of the form ``y[o] = sum_i weight[o, i] x[i]``, at each position and in each group."""


@dataclass(frozen=True)
class Arithmetic:
    """How numbers are added and multiplied.

    Parameters
    ----------
    add, times : callable
        Entrywise, with broadcasting.
    matmul : callable
        As `numpy.matmul`.
    zero : array of shape ()
        What adding changes nothing.
    """

    add: Callable[[Any, Any], Any]
    times: Callable[[Any, Any], Any]
    matmul: Callable[[Any, Any], Any]
    zero: np.ndarray


def largest_products(a: np.ndarray, b: np.ndarray, times: Any, larger: Any) -> np.ndarray:
    """Return a matrix product with the largest instead of the sum of the products."""
    columns = max(1, _ENTRIES // a.shape[-2])
    parts = []
    for start in range(0, b.shape[-1], columns):
        piece = b[..., start : start + columns]
        terms = (times(a[..., :, i, None], piece[..., None, i, :]) for i in range(a.shape[-1]))
        parts.append(reduce(larger, terms))
    return np.concatenate(parts, axis=-1)


def of_largest(larger: Any, times: Any, zero: np.ndarray) -> Arithmetic:
    """Return the arithmetic in which the larger of two numbers takes the place of their sum."""
    return Arithmetic(larger, times, partial(largest_products, times=times, larger=larger), zero)


def whole_power(x: np.ndarray, q: int, times: Callable[[Any, Any], Any]) -> np.ndarray:
    """Return the q-th power of an array, q at least 1, with q - 1 products along each way."""
    result: np.ndarray | None = None
    while True:
        if q & 1:
            result = x if result is None else times(result, x)
        q >>= 1
        if not q:
            assert result is not None
            return result
        x = times(x, x)


class Weights(Protocol):
    """A tensor of weights in the numbers of an arithmetic."""

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel (groups, outputs, inputs)."""

    def all(self) -> np.ndarray:
        """Return all weights."""


def tensors(op: Operator) -> list[np.ndarray]:
    """Return the arrays whose entries multiply along an edge; kernels as `kernel` forms them."""
    if isinstance(op, Dense | Conv | ConvTranspose | Neuron):
        return [kernel(op, op.weight)]
    if isinstance(op, Scale):
        return [] if op.factor is None else [op.factor]
    if isinstance(op, Resample):
        return [_coefficients(m) for m in op.maps]
    return []


def _coefficients(m: AxisMap) -> np.ndarray:
    if (m.divisor == 1).all():
        return m.weight
    return np.asarray(exact(m.weight) / m.divisor[:, None].astype(object), dtype=object)


def terms(op: Operator, inputs: Sequence[Shape]) -> list[int]:
    """Return how many numbers a neuron of the layer adds up, for each of its successive sums."""
    if isinstance(op, Dense | Conv | ConvTranspose | Neuron):
        return [kernel(op, op.weight).shape[2]]
    if isinstance(op, Resample):
        return [m.index.shape[1] for m in op.maps]
    if isinstance(op, MaxPool):
        return [w.index.shape[1] for w in op.windows]
    if isinstance(op, RankPool):
        return [inputs[0][op.axis]]
    return [1 if isinstance(op, Concat) else len(inputs)]


def terms_back(op: Operator, inputs: Sequence[Shape]) -> list[int]:
    """Return the same for the sums of `backward`."""
    if isinstance(op, Conv | ConvTranspose):
        return [kernel(op, op.weight).shape[1] * math.prod(op.kernel)]
    if isinstance(op, Dense):
        return [op.weight.shape[0]]
    if isinstance(op, Resample | MaxPool):
        windows = op.maps if isinstance(op, Resample) else op.windows
        return [_most_uses(w.index) for w in windows]
    return [_most_uses(op.index)] if isinstance(op, Select) else [1]


def _most_uses(index: np.ndarray) -> int:
    return int(np.bincount(index[index >= 0].ravel(), minlength=1).max())


def offset(op: Operator) -> np.ndarray | None:
    """Return the biases, in a shape that broadcasts to the output."""
    bias: np.ndarray | None = getattr(op, "bias", None)
    if bias is not None and isinstance(op, Conv | ConvTranspose):
        return bias.reshape(-1, *(1,) * len(op.kernel))
    return bias


# Reading and writing cells ------------------------------------------------------------------


def gather(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return ``x[..., index]``, with zero where the index is -1."""
    return np.take(_with_zero(x, index, zero), index, axis=-1)


def _with_zero(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return the samples with a zero behind, as the last entry, which -1 picks; if it is needed."""
    if index.min() >= 0:
        return x
    return np.concatenate([x, np.full((*x.shape[:-1], 1), zero, dtype=x.dtype)], axis=-1)


def scatter(y: np.ndarray, index: np.ndarray, size: int, a: Arithmetic) -> np.ndarray:
    """Return the transpose of `gather`: entry c is the sum of ``y[..., k]`` with index c.

    Cells that occur several times are served in rounds, each cell at most once in a round.
    """
    flat = index.ravel()
    lead = y.shape[: y.ndim - index.ndim]
    values = y.reshape(*lead, -1)
    result = np.full((*lead, size), a.zero, dtype=y.dtype)
    order = np.argsort(flat, kind="stable")
    cells, first = np.unique(flat[order], return_index=True)
    stops = np.append(first[1:], len(flat))
    inside = cells >= 0
    cells, first, stops = cells[inside], first[inside], stops[inside]
    while cells.size:
        picked = values[..., order[first]]
        result[..., cells] = a.add(result[..., cells], picked)
        first = first + 1
        more = first < stops
        cells, first, stops = cells[more], first[more], stops[more]
    return result


def _along(x: np.ndarray, axis: int) -> np.ndarray:
    """Return the samples with an axis moved to the end."""
    return np.moveaxis(x, axis + 1, -1)


def _back_to(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, -1, axis + 1)


# Contractions -------------------------------------------------------------------------------


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
    x = _with_zero(x, index, a.zero)
    for start in range(0, index.shape[1], step):
        piece = slice(start, start + step)
        columns = np.take(x, index[:, piece], axis=-1)
        yield piece, columns.reshape(len(x), groups, -1, columns.shape[-1])


def _blocks(groups: int, outputs: int, inputs: int) -> Iterator[slice]:
    step = max(1, _BLOCK // (groups * inputs))
    return (slice(i, min(i + step, outputs)) for i in range(0, outputs, step))


def _contracted(
    op: Contraction, inputs: Sequence[np.ndarray], weights: Weights, output: Shape, a: Arithmetic
) -> np.ndarray:
    sizes = kernel(op, op.weight).shape
    pieces = []
    for _, columns in _windows(op, inputs, output, a):
        rows = [a.matmul(weights.part(block), columns) for block in _blocks(*sizes)]
        pieces.append(rows[0] if len(rows) == 1 else np.concatenate(rows, axis=-2))
    result = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=-1)
    return _shaped(op, result.reshape(len(result), -1, result.shape[-1]), output)


def _contracted_back(
    op: Contraction, y: np.ndarray, weights: Weights, inputs: Sequence[Shape], a: Arithmetic
) -> list[np.ndarray]:
    sizes = kernel(op, op.weight).shape
    index = _positions(op, inputs, y.shape[1:])
    flat = _outputs(op, y)
    flat = flat.reshape(len(flat), sizes[0], sizes[1], -1)
    total: np.ndarray | None = None
    for block in _blocks(*sizes):
        part = a.matmul(np.swapaxes(weights.part(block), 1, 2), flat[:, :, block])
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


# Every layer, forwards and backwards --------------------------------------------------------


@singledispatch
def forward(
    op: Operator,
    inputs: Sequence[np.ndarray],
    weights: Sequence[Weights],
    output: Shape,
    a: Arithmetic,
) -> np.ndarray:
    """Return, for each neuron of a layer, the sum of what its edges bring; without biases.

    Parameters
    ----------
    op : Operator
        Not `Add`: sums of values that may differ in scale are left to the caller.
    inputs : arrays, shape (n, *input shape)
    weights : one per array of `tensors`
    output : tuple of int
        Shape of the result, without the axis of samples.
    """
    raise TypeError(f"paths through a {type(op).__name__} cannot be judged")


@singledispatch
def backward(
    op: Operator,
    y: np.ndarray,
    weights: Sequence[Weights],
    inputs: Sequence[Shape],
    a: Arithmetic,
) -> list[np.ndarray]:
    """Return the transpose of `forward`, one array per input."""
    raise TypeError(f"paths through a {type(op).__name__} cannot be judged")


@forward.register(Dense | Conv | ConvTranspose | Neuron)
def _forward_contraction(
    op: Any, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return _contracted(op, inputs, weights[0], output, a)


@backward.register(Dense | Conv | ConvTranspose | Neuron)
def _backward_contraction(
    op: Any, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    return _contracted_back(op, y, weights[0], inputs, a)


@forward.register
def _forward_scale(
    op: Scale, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    result: np.ndarray = a.times(inputs[0], weights[0].all()) if weights else inputs[0]
    return result


@backward.register
def _backward_scale(
    op: Scale, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    return [a.times(y, weights[0].all()) if weights else y]


@forward.register
def _forward_relu(op: Relu, inputs: Any, weights: Any, output: Shape, a: Arithmetic) -> np.ndarray:
    return np.asarray(inputs[0])


@backward.register
def _backward_relu(op: Relu, y: Any, weights: Any, inputs: Any, a: Arithmetic) -> list[np.ndarray]:
    return [y]


@forward.register(Resample | MaxPool)
def _forward_windows(
    op: Any, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    x = inputs[0]
    windows = op.maps if isinstance(op, Resample) else op.windows
    for position, w in enumerate(windows):
        cells = _along(x, w.axis)
        factors = weights[position].all() if weights else None
        total: np.ndarray | None = None
        for k in range(w.index.shape[1]):
            term = gather(cells, w.index[:, k], a.zero)
            term = term if factors is None else a.times(term, factors[:, k])
            total = term if total is None else a.add(total, term)
        x = _back_to(total, w.axis)  # type: ignore[arg-type]
    return np.asarray(x)


@backward.register(Resample | MaxPool)
def _backward_windows(
    op: Any, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    windows = op.maps if isinstance(op, Resample) else op.windows
    for position, w in reversed(list(enumerate(windows))):
        values = _along(y, w.axis)[..., None]  # the same for each cell of a window
        values = np.broadcast_to(values, (*values.shape[:-1], w.index.shape[1]))
        values = a.times(values, weights[position].all()) if weights else values
        y = _back_to(scatter(values, w.index, inputs[0][w.axis], a), w.axis)
    return [y]


@forward.register
def _forward_rank_pool(
    op: RankPool, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    cells = _along(inputs[0], op.axis)
    total = cells[..., 0]
    for k in range(1, cells.shape[-1]):
        total = a.add(total, cells[..., k])
    return np.asarray(total)


@backward.register
def _backward_rank_pool(
    op: RankPool, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    return [np.repeat(np.expand_dims(y, op.axis + 1), inputs[0][op.axis], op.axis + 1)]


@forward.register
def _forward_reshape(
    op: Reshape, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return np.asarray(inputs[0].reshape(len(inputs[0]), *output))


@backward.register
def _backward_reshape(
    op: Reshape, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    return [y.reshape(len(y), *inputs[0])]


@forward.register
def _forward_permute(
    op: Permute, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return np.transpose(inputs[0], (0, *(axis + 1 for axis in op.axes)))


@backward.register
def _backward_permute(
    op: Permute, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    places = [op.axes.index(axis) + 1 for axis in range(len(op.axes))]
    return [np.transpose(y, (0, *places))]


@forward.register
def _forward_select(
    op: Select, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return gather(inputs[0].reshape(len(inputs[0]), -1), op.index, a.zero)


@backward.register
def _backward_select(
    op: Select, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    cells = scatter(y, op.index, math.prod(inputs[0]), a)
    return [cells.reshape(len(y), *inputs[0])]


@forward.register
def _forward_concat(
    op: Concat, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return np.concatenate(inputs, axis=op.axis + 1)


@backward.register
def _backward_concat(
    op: Concat, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    parts, start = [], 0
    for shape in inputs:
        stop = start + shape[op.axis]
        parts.append(np.take(y, np.arange(start, stop), axis=op.axis + 1))
        start = stop
    return parts
