"""The ONNX operators that each layer of a network is."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.writing import windows


@singledispatch
def emit(op: Operator, to: Any, node: Node, values: list[str]) -> str:
    """Add the operators of a layer to a model; return the name of its value, (n, *shape).

    Parameters
    ----------
    op : Operator
    to : sparseopt_onnx.network_model.ModelBuilder
    node : Node
    values : list of str
        What the layer reads.
    """
    raise so.ProblemError(
        f"layer {node.name!r} is a {type(op).__name__}, which is not written as ONNX; register it "
        "with the function emit of sparseopt_onnx.layer_nodes"
    )


@emit.register
def _dense(op: Dense, to: Any, node: Node, values: list[str]) -> str:
    if len(to.shape(node)) == 1:
        inputs = [values[0], to.parameter(node, "weight", op.weight)]
        if op.bias is not None:
            inputs.append(to.parameter(node, "bias", op.bias))
        return str(to.last("Gemm", inputs, node, transB=1))
    weight = to.constant(np.ascontiguousarray(op.weight.T), f"{node.name}.weight")
    if op.bias is None:
        return str(to.last("MatMul", [values[0], weight], node))
    product = to.add("MatMul", [values[0], weight], f"{node.name}:product")
    return str(to.last("Add", [product, to.parameter(node, "bias", op.bias)], node))


def _with_bias(op: Conv | ConvTranspose, to: Any, node: Node, value: str) -> list[str]:
    inputs = [value, to.parameter(node, "weight", op.weight)]
    return inputs if op.bias is None else [*inputs, to.parameter(node, "bias", op.bias)]


def _padded(to: Any, node: Node, value: str, padding: Any, last: bool = False) -> str:
    """Pad the axes after the channels by zeros, or cut them where a width is negative."""
    before, after = zip(*padding, strict=True)
    pads = to.constant(np.array([0, 0, *before, 0, 0, *after]), f"{node.name}.pads")
    if last:
        return str(to.last("Pad", [value, pads], node))
    return str(to.add("Pad", [value, pads], f"{node.name}:pad"))


@emit.register
def _conv(op: Conv, to: Any, node: Node, values: list[str]) -> str:
    padding, value = op.padding, values[0]
    if any(w < 0 for pair in padding for w in pair):
        value, padding = _padded(to, node, value, padding), ((0, 0),) * len(padding)
    return str(
        to.last(
            "Conv",
            _with_bias(op, to, node, value),
            node,
            kernel_shape=list(op.kernel),
            strides=list(op.stride),
            dilations=list(op.dilation),
            pads=[*(a for a, _ in padding), *(b for _, b in padding)],
            group=op.groups,
        )
    )


@emit.register
def _conv_transpose(op: ConvTranspose, to: Any, node: Node, values: list[str]) -> str:
    def attributes(padding: Any) -> dict[str, Any]:
        return {
            "kernel_shape": list(op.kernel),
            "strides": list(op.stride),
            "dilations": list(op.dilation),
            "pads": [*(a for a, _ in padding), *(b for _, b in padding)],
            "group": op.groups,
        }

    if all(w >= 0 for pair in op.padding for w in pair):
        inputs = _with_bias(op, to, node, values[0])
        return str(to.last("ConvTranspose", inputs, node, **attributes(op.padding)))
    # Cells beyond the kernels hold a bias, and nothing else.
    weight = to.parameter(node, "weight", op.weight)
    none = attributes(((0, 0),) * len(op.padding))
    full = to.add("ConvTranspose", [values[0], weight], f"{node.name}:full", **none)
    widths = [(-a, -b) for a, b in op.padding]
    if op.bias is None:
        return _padded(to, node, full, widths, last=True)
    bias = to.constant(op.bias.reshape(-1, *(1,) * len(op.kernel)), f"{node.name}.bias")
    return str(to.last("Add", [_padded(to, node, full, widths), bias], node))


@emit.register
def _scale(op: Scale, to: Any, node: Node, values: list[str]) -> str:
    if op.factor is None and op.bias is None:
        return str(to.renamed(values[0], node))
    value = values[0]
    if op.factor is not None:
        factor = to.parameter(node, "factor", op.factor)
        if op.bias is None:
            return str(to.last("Mul", [value, factor], node))
        value = to.add("Mul", [value, factor], f"{node.name}:product")
    return str(to.last("Add", [value, to.parameter(node, "bias", op.bias)], node))


@emit.register
def _neuron(op: Neuron, to: Any, node: Node, values: list[str]) -> str:
    axis = to.constant(np.array([1]), f"{node.name}.axis")
    rows = [to.add("Unsqueeze", [v, axis], f"{node.name}:row{i}") for i, v in enumerate(values)]
    stack = to.add("Concat", rows, f"{node.name}:stack", axis=1)
    weight = to.parameter(node, "weight", op.weight)
    value = to.add("Mul", [stack, weight], f"{node.name}:products")
    if op.kind == "pool":
        value = to.ranked(value, node, 1, op.rank, op.weight.size)
    else:
        value = to.add("ReduceSum", [value, axis], f"{node.name}:sum", keepdims=0)
    if op.bias is not None:
        bias = to.parameter(node, "bias", op.bias)
        value = to.add("Add", [value, bias], f"{node.name}:biased")
    return str(to.last("Relu", [value], node) if op.kind == "relu" else to.renamed(value, node))


@emit.register
def _relu(op: Relu, to: Any, node: Node, values: list[str]) -> str:
    return str(to.last("Relu", values, node))


def _reshaped(to: Any, node: Node, value: str, shape: tuple[int, ...]) -> str:
    size = to.constant(np.array([-1, *shape]), f"{node.name}.shape")
    return str(to.last("Reshape", [value, size], node))


@emit.register
def _reshape(op: Reshape, to: Any, node: Node, values: list[str]) -> str:
    return _reshaped(to, node, values[0], op.size)


@emit.register
def _permute(op: Permute, to: Any, node: Node, values: list[str]) -> str:
    return str(to.last("Transpose", values, node, perm=[0, *(a + 1 for a in op.axes)]))


@emit.register
def _select(op: Select, to: Any, node: Node, values: list[str]) -> str:
    flat, size = to.flat(values[0], node)
    index = op.index
    if index.min() < 0:  # one more entry, a zero, for those that are read from nowhere
        pads = to.constant(np.array([0, 0, 0, 1]), f"{node.name}.pads")
        flat = to.add("Pad", [flat, pads], f"{node.name}:pad")
        index = np.where(index < 0, size, index)
    places = to.constant(index.ravel(), f"{node.name}.index")
    picked = to.add("Gather", [flat, places], f"{node.name}:picked", axis=1)
    return _reshaped(to, node, picked, op.index.shape)


@emit.register
def _concat(op: Concat, to: Any, node: Node, values: list[str]) -> str:
    return str(to.last("Concat", values, node, axis=op.axis + 1))


@emit.register
def _add(op: Add, to: Any, node: Node, values: list[str]) -> str:
    return str(to.last("Sum", values, node))


@emit.register
def _rank_pool(op: RankPool, to: Any, node: Node, values: list[str]) -> str:
    count = to.shape(node)[op.axis]
    return str(to.renamed(to.ranked(values[0], node, op.axis + 1, op.rank, count), node))


def _window_attributes(found: windows.Pool) -> dict[str, Any]:
    """Return the attributes of a pool; padding after an axis is never negative."""
    return {
        "kernel_shape": [w.kernel for w in found.windows],
        "strides": [w.stride for w in found.windows],
        "pads": [
            *(w.before for w in found.windows),
            *(max(w.after, 0) for w in found.windows),
        ],
    }


def _is_short(found: windows.Pool) -> bool:
    """Whether padding is smaller than the kernels, and what is left over than the strides."""
    return all(max(w.before, w.after) < w.kernel and -w.after < w.stride for w in found.windows)


@emit.register
def _max_pool(op: MaxPool, to: Any, node: Node, values: list[str]) -> str:
    shape = to.shape(node)
    found = windows.pool(op.windows, shape)
    if found is not None and _is_short(found):
        dilations = [w.dilation for w in found.windows]
        return str(
            to.last("MaxPool", values, node, dilations=dilations, **_window_attributes(found))
        )
    value = values[0]
    for place, window in enumerate(op.windows):
        # A cell of the window stands in for those in the padding.
        some = window.index.max(axis=1, keepdims=True)
        cells = np.where(window.index < 0, some, window.index)
        index = to.constant(cells, f"{node.name}.cells{place}")
        value = to.add("Gather", [value, index], f"{node.name}:cells{place}", axis=window.axis + 1)
        value = to.add(
            "ReduceMax", [value], f"{node.name}:max{place}", axes=[window.axis + 2], keepdims=0
        )
    return str(to.renamed(value, node))


@emit.register
def _resample(op: Resample, to: Any, node: Node, values: list[str]) -> str:
    shape = to.shape(node)
    found = windows.average(op, shape)
    if found is not None and _is_short(found):
        counts = int(found.counts_padding)
        attributes = _window_attributes(found)
        return str(to.last("AveragePool", values, node, count_include_pad=counts, **attributes))
    value, axes = values[0], len(shape) + 1
    for place, m in enumerate(op.maps):
        order = list(range(axes))
        order[m.axis + 1], order[-1] = order[-1], order[m.axis + 1]
        weights = np.ascontiguousarray(windows.matrix(m, shape[m.axis]).T)
        matrix = to.constant(weights, f"{node.name}.matrix{place}")
        turned = to.add("Transpose", [value], f"{node.name}:turned{place}", perm=order)
        product = to.add("MatMul", [turned, matrix], f"{node.name}:product{place}")
        value = to.add("Transpose", [product], f"{node.name}:back{place}", perm=order)
    return str(to.renamed(value, node))
