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
from collections.abc import Iterable, Sequence
from functools import reduce, singledispatch
from typing import Any

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.operator import (
    Add,
    Concat,
    Input,
    Operator,
    Permute,
    Relu,
    Reshape,
    Select,
)
from sparseopt.networks.parameters import Shape, exact
from sparseopt.networks.window import AxisMap, MaxPool, RankPool, Resample
from sparseopt.pathnorm.arithmetic import Arithmetic, Weights
from sparseopt.pathnorm.cells import gather, most_uses, scatter
from sparseopt.pathnorm.contractions import (
    Contraction,
    Layer,
    Windows,
    contracted,
    contracted_back,
    kernel,
    not_judged,
)

_OfOnes = Add | Concat | MaxPool | Permute | RankPool | Relu | Reshape | Select
"""Layers whose edges have the weight 1."""


@singledispatch
def tensors(op: Layer) -> list[np.ndarray]:
    """Return the arrays whose entries multiply along an edge; kernels as `kernel` forms them."""
    raise not_judged(op)


@tensors.register(Contraction)
def _tensors_contraction(op: Contraction) -> list[np.ndarray]:
    return [kernel(op, op.weight)]


@tensors.register
def _tensors_scale(op: Scale) -> list[np.ndarray]:
    return [] if op.factor is None else [op.factor]


@tensors.register
def _tensors_resample(op: Resample) -> list[np.ndarray]:
    return [_coefficients(m) for m in op.maps]


@tensors.register(_OfOnes)
def _tensors_of_ones(op: Operator) -> list[np.ndarray]:
    return []


def _coefficients(m: AxisMap) -> np.ndarray:
    if (m.divisor == 1).all():
        return m.weight
    return np.asarray(exact(m.weight) / m.divisor[:, None].astype(object), dtype=object)


@singledispatch
def terms(op: Layer, inputs: Sequence[Shape]) -> list[int]:
    """Return how many numbers a neuron of the layer adds up, for each of its successive sums."""
    raise not_judged(op)


@terms.register(Contraction)
def _terms_contraction(op: Contraction, inputs: Sequence[Shape]) -> list[int]:
    return [kernel(op, op.weight).shape[2]]


@terms.register(MaxPool | Resample)
def _terms_windows(op: MaxPool | Resample, inputs: Sequence[Shape]) -> list[int]:
    return [w.index.shape[1] for w in op.windows]


@terms.register
def _terms_rank_pool(op: RankPool, inputs: Sequence[Shape]) -> list[int]:
    return [inputs[0][op.axis]]


@terms.register
def _terms_add(op: Add, inputs: Sequence[Shape]) -> list[int]:
    return [len(inputs)]


@terms.register(Concat | Permute | Relu | Reshape | Scale | Select)
def _terms_entrywise(op: Operator, inputs: Sequence[Shape]) -> list[int]:
    return [1]


@singledispatch
def terms_back(op: Layer, inputs: Sequence[Shape]) -> list[int]:
    """Return the same for the sums of `backward`."""
    raise not_judged(op)


@terms_back.register(Conv | ConvTranspose)
def _terms_back_conv(op: Conv | ConvTranspose, inputs: Sequence[Shape]) -> list[int]:
    return [kernel(op, op.weight).shape[1] * math.prod(op.kernel)]


@terms_back.register
def _terms_back_stored(op: Windows, inputs: Sequence[Shape]) -> list[int]:
    return [kernel(op, op.weight).shape[1] * math.prod(map(most_uses, op.reads))]


@terms_back.register
def _terms_back_dense(op: Dense, inputs: Sequence[Shape]) -> list[int]:
    return [op.weight.shape[0]]


@terms_back.register(MaxPool | Resample)
def _terms_back_windows(op: MaxPool | Resample, inputs: Sequence[Shape]) -> list[int]:
    return [most_uses(w.index) for w in op.windows]


@terms_back.register
def _terms_back_select(op: Select, inputs: Sequence[Shape]) -> list[int]:
    return [most_uses(op.index)]


@terms_back.register(Add | Concat | Neuron | Permute | RankPool | Relu | Reshape | Scale)
def _terms_back_once(op: Operator, inputs: Sequence[Shape]) -> list[int]:
    return [1]


@singledispatch
def offset(op: Operator) -> np.ndarray | None:
    """Return the biases, in a shape that broadcasts to the output."""
    raise not_judged(op)


@offset.register(Dense | Neuron | Scale)
def _offset_entrywise(op: Dense | Neuron | Scale) -> np.ndarray | None:
    return op.bias


@offset.register(Conv | ConvTranspose)
def _offset_conv(op: Conv | ConvTranspose) -> np.ndarray | None:
    return None if op.bias is None else op.bias.reshape(-1, *(1,) * len(op.kernel))


@offset.register(Input | Resample | _OfOnes)
def _offset_none(op: Operator) -> np.ndarray | None:
    return None


@singledispatch
def forward(
    op: Layer,
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
    raise not_judged(op)


@singledispatch
def backward(
    op: Layer,
    y: np.ndarray,
    weights: Sequence[Weights],
    inputs: Sequence[Shape],
    a: Arithmetic,
) -> list[np.ndarray]:
    """Return the transpose of `forward`, one array per input."""
    raise not_judged(op)


forward.register(Contraction, contracted)
backward.register(Contraction, contracted_back)


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


@forward.register(MaxPool | Resample)
def _forward_windows(
    op: Any, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    x = inputs[0]
    for position, w in enumerate(op.windows):
        cells = _along(x, w.axis)
        taken: Iterable[Any] = (gather(cells, column, a.zero) for column in w.index.T)
        if weights:
            taken = map(a.times, taken, weights[position].all().T)
        x = _back_to(reduce(a.add, taken), w.axis)
    return np.asarray(x)


@backward.register(MaxPool | Resample)
def _backward_windows(
    op: Any, y: Any, weights: Any, inputs: Any, a: Arithmetic
) -> list[np.ndarray]:
    for position, w in reversed(list(enumerate(op.windows))):
        values = _along(y, w.axis)[..., None]  # the same for each cell of a window
        values = np.broadcast_to(values, (*values.shape[:-1], w.index.shape[1]))
        values = a.times(values, weights[position].all()) if weights else values
        y = _back_to(scatter(values, w.index, inputs[0][w.axis], a), w.axis)
    return [y]


@forward.register
def _forward_rank_pool(
    op: RankPool, inputs: Any, weights: Any, output: Shape, a: Arithmetic
) -> np.ndarray:
    return np.asarray(reduce(a.add, np.moveaxis(inputs[0], op.axis + 1, 0)))


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
    cuts = np.cumsum([shape[op.axis] for shape in inputs])[:-1]
    return np.split(y, cuts, axis=op.axis + 1)


def _along(x: np.ndarray, axis: int) -> np.ndarray:
    """Return the samples with an axis moved to the end."""
    return np.moveaxis(x, axis + 1, -1)


def _back_to(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, -1, axis + 1)
