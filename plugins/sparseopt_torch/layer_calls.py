"""The calls of PyTorch that each layer of a network is."""

from __future__ import annotations

import math
import operator
from functools import singledispatch
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.writing import windows

_CONV: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: Any = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_MAX: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
_AVERAGE: Any = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


@singledispatch
def call(op: Operator, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    """Add the calls of a layer to a module; return the node of its value, (n, *shape).

    Parameters
    ----------
    op : Operator
    to : sparseopt_torch.network_module.ModuleBuilder
    node : Node
    values : list of torch.fx.Node
        What the layer reads.
    """
    raise so.ProblemError(
        f"layer {node.name!r} is a {type(op).__name__}, which is not written for PyTorch; register "
        "it with the function call of sparseopt_torch.layer_calls"
    )


@call.register
def _dense(op: Dense, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    rows, columns = op.weight.shape
    with torch.device("meta"):
        made = nn.Linear(columns, rows, op.bias is not None)
    return to.layer(node, made, values[0])


def _axes(op: Conv | ConvTranspose, node: Node) -> int:
    if len(op.kernel) > 3:
        raise so.ProblemError(
            f"layer {node.name!r} is a convolution over {len(op.kernel)} axes; PyTorch has them "
            "over at most 3"
        )
    return len(op.kernel)


def _padded(to: Any, value: fx.Node, widths: Any) -> fx.Node:
    flat = [int(w) for pair in reversed(list(widths)) for w in pair]
    return to.function(F.pad, value, flat) if any(flat) else value


@call.register
def _conv(op: Conv, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    rows, columns = op.weight.shape[:2]
    symmetric = all(a == b >= 0 for a, b in op.padding)
    value = values[0] if symmetric else _padded(to, values[0], op.padding)
    padding = tuple(a for a, _ in op.padding) if symmetric else (0,) * len(op.kernel)
    with torch.device("meta"):
        made = _CONV[_axes(op, node) - 1](
            columns * op.groups,
            rows,
            op.kernel,
            op.stride,
            padding,
            op.dilation,
            op.groups,
            op.bias is not None,
        )
    return to.layer(node, made, value)


@call.register
def _conv_transpose(op: ConvTranspose, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    rows, columns = op.weight.shape[:2]
    held = [
        a >= 0 and 0 <= a - b < max(s, d)
        for (a, b), s, d in zip(op.padding, op.stride, op.dilation, strict=True)
    ]
    plain = all(held)
    zeros = (0,) * len(op.kernel)
    with torch.device("meta"):
        made = _TRANSPOSED[_axes(op, node) - 1](
            rows,
            columns * op.groups,
            op.kernel,
            op.stride,
            tuple(a for a, _ in op.padding) if plain else zeros,
            tuple(a - b for a, b in op.padding) if plain else zeros,
            op.groups,
            op.bias is not None and (plain or _only_cuts(op)),
            op.dilation,
        )
    if plain or _only_cuts(op):
        result = to.layer(node, made, values[0])
        return result if plain else _padded(to, result, [(-a, -b) for a, b in op.padding])
    # Cells that the padding adds have no kernel on them, but a bias.
    result = _without_bias(op, to, node, made, values[0])
    return result


def _only_cuts(op: ConvTranspose) -> bool:
    return op.bias is None or all(a >= 0 and b >= 0 for a, b in op.padding)


def _without_bias(op: ConvTranspose, to: Any, node: Node, made: Any, value: fx.Node) -> fx.Node:
    weight = to.tensor(node, "weight", op.weight, trained=True)
    bias = to.tensor(node, "bias", op.bias, trained=True)
    functions: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
    function = functions[len(op.kernel) - 1]
    result = to.function(function, value, weight, None, op.stride, 0, 0, op.groups, op.dilation)
    result = _padded(to, result, [(-a, -b) for a, b in op.padding])
    shape = (-1, *(1,) * len(op.kernel))
    return to.function(operator.add, result, to.function(torch.reshape, bias, shape))


@call.register
def _scale(op: Scale, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    trained = bool(node.shifts or node.origin)  # other scales are constants of the code
    result = values[0]
    if op.factor is not None:
        result = to.function(
            operator.mul, result, to.tensor(node, "factor", op.factor, trained=trained)
        )
    if op.bias is not None:
        result = to.function(
            operator.add, result, to.tensor(node, "bias", op.bias, trained=trained)
        )
    return result


@call.register
def _neuron(op: Neuron, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    weight = to.tensor(node, "weight", op.weight, trained=True)
    products = to.function(operator.mul, to.function(torch.stack, list(values), -1), weight)
    if op.kind == "pool":
        result = _ranked(to, products, -1, op.rank, op.weight.size)
    else:
        result = to.function(torch.sum, products, -1)
    if op.bias is not None:
        bias = to.tensor(node, "bias", op.bias, trained=True)
        result = to.function(operator.add, result, bias)
    return to.function(torch.relu, result) if op.kind == "relu" else result


@call.register
def _relu(op: Relu, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    return to.function(torch.relu, values[0])


@call.register
def _reshape(op: Reshape, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    return to.function(torch.reshape, values[0], (-1, *op.size))


@call.register
def _permute(op: Permute, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    return to.function(torch.permute, values[0], (0, *(a + 1 for a in op.axes)))


@call.register
def _select(op: Select, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    size = math.prod(to.shape(node))
    flat = to.function(torch.reshape, values[0], (-1, size))
    index = op.index.ravel()
    if index.min() < 0:  # one more entry, a zero, for those that are read from nowhere
        flat = to.function(F.pad, flat, [0, 1])
        index = np.where(index < 0, size, index)
    picked = to.function(torch.index_select, flat, 1, to.tensor(node, "index", index))
    return to.function(torch.reshape, picked, (-1, *op.index.shape))


@call.register
def _concat(op: Concat, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    return to.function(torch.cat, list(values), op.axis + 1)


@call.register
def _add(op: Add, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    result = values[0]
    for value in values[1:]:
        result = to.function(operator.add, result, value)
    return result


@call.register
def _rank_pool(op: RankPool, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    return _ranked(to, values[0], op.axis + 1, op.rank, to.shape(node)[op.axis])


def _ranked(to: Any, value: fx.Node, axis: int, rank: int, count: int) -> fx.Node:
    if rank == 1:
        return to.function(torch.amax, value, axis)
    if rank == count:
        return to.function(torch.amin, value, axis)
    ordered = to.function(torch.sort, value, axis)
    return to.function(torch.select, to.function(operator.getitem, ordered, 0), axis, count - rank)


@call.register
def _max_pool(op: MaxPool, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    shape = to.shape(node)
    found = windows.pool(op.windows, shape)
    if found is not None and all(_is_symmetric(w) for w in found.windows):
        kernel, stride, dilation, padding = zip(
            *((w.kernel, w.stride, w.dilation, w.before) for w in found.windows), strict=True
        )
        function = _MAX[len(kernel) - 1]
        return to.function(function, values[0], kernel, stride, padding, dilation)
    result = values[0]
    for place, window in enumerate(op.windows):
        # A cell of the window stands in for those in the padding.
        some = window.index.max(axis=1, keepdims=True)
        cells = np.where(window.index < 0, some, window.index)
        axis = window.axis + 1
        index = to.tensor(node, f"cells{place}", cells.ravel())
        picked = to.function(torch.index_select, result, axis, index)
        split = to.function(torch.unflatten, picked, axis, cells.shape)
        result = to.function(torch.amax, split, axis + 1)
    return result


def _is_symmetric(window: windows.Sliding) -> bool:
    """Whether PyTorch has a pool with the window: as much padding on both sides is enough."""
    left = window.before - window.after
    return 0 <= left < window.stride and 2 * window.before <= window.kernel


@call.register
def _resample(op: Resample, to: Any, node: Node, values: list[fx.Node]) -> fx.Node:
    shape = to.shape(node)
    found = windows.average(op, shape)
    if found is not None and all(_is_symmetric(w) for w in found.windows):
        kernel, stride, padding = zip(
            *((w.kernel, w.stride, w.before) for w in found.windows), strict=True
        )
        function = _AVERAGE[len(kernel) - 1]
        return to.function(
            function, values[0], kernel, stride, padding, False, found.counts_padding
        )
    result = values[0]
    for place, m in enumerate(op.maps):
        weights = to.tensor(node, f"matrix{place}", windows.matrix(m, shape[m.axis]))
        moved = to.function(torch.movedim, result, m.axis + 1, -1)
        result = to.function(torch.movedim, to.function(F.linear, moved, weights), -1, m.axis + 1)
    return result
