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
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from sparseopt.networks.linear import Conv, ConvTranspose, Dense, Neuron, Scale
from sparseopt.networks.operator import Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape, exact
from sparseopt.networks.window import AxisMap, MaxPool, RankPool, Resample
from sparseopt.pathnorm.arithmetic import Arithmetic, Weights
from sparseopt.pathnorm.cells import gather, scatter
from sparseopt.pathnorm.contractions import contracted, contracted_back, kernel


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


forward.register(Dense | Conv | ConvTranspose | Neuron, contracted)
backward.register(Dense | Conv | ConvTranspose | Neuron, contracted_back)


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


def _along(x: np.ndarray, axis: int) -> np.ndarray:
    """Return the samples with an axis moved to the end."""
    return np.moveaxis(x, axis + 1, -1)


def _back_to(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, -1, axis + 1)
