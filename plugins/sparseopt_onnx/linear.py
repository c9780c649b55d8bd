"""ONNX operators that are linear layers with constant weights."""

from __future__ import annotations

import numpy as np
import onnx

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.tools.reading import composed, contraction
from sparseopt.tools.reading.values import MovedTensor, Origin, times
from sparseopt_onnx.attributes import Attributes
from sparseopt_onnx.graph import OnnxGraph, Rule
from sparseopt_onnx.pools import AUTO_PADS, paddings


def _origin(graph: OnnxGraph, node: onnx.NodeProto, **slots: int) -> dict[str, str]:
    """Return the tensors behind parameters, for those that are tensors of the file."""
    return {
        field: node.input[slot]
        for field, slot in slots.items()
        if slot < len(node.input) and node.input[slot]
    }


def _turned(graph: OnnxGraph, name: str, matrix: np.ndarray) -> dict[str, Origin]:
    """Return the tensor behind a weight that is its transpose.

    None of one that stays in its file: the places of its entries take twice its memory.
    """
    if name in graph.maps:
        return {}
    positions = np.arange(matrix.size).reshape(matrix.shape).T
    in_order = 1 in matrix.shape
    return {"weight": name if in_order else MovedTensor(name, positions)}


def _kernel(node_attributes: Attributes, weight: np.ndarray) -> list[int]:
    """Return the kernel's sizes; the attribute, where it is given, must agree with the weight."""
    kernel = list(weight.shape[2:])
    if not kernel:
        raise so.ProblemError(f"its weight of shape {weight.shape} has no kernel axes")
    given = list(node_attributes.get("kernel_shape", kernel))
    if given != kernel:
        raise so.ProblemError(f"kernel_shape {given} contradicts the weight {weight.shape}")
    return kernel


def conv(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Conv."""
    x = graph.image(node)
    weight = graph.require_constant(node, 1, "the weight")
    bias = graph.optional(node, 2, "the bias")
    attributes = graph.attributes(node)
    kernel = _kernel(attributes, weight)
    strides = attributes.sizes("strides", len(kernel), 1, 1)
    dilations = attributes.sizes("dilations", len(kernel), 1, 1)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    padding = paddings(attributes, x.shape[2:], extents, strides)
    groups = int(attributes.get("group", 1))
    op = Conv(weight, bias, tuple(strides), tuple(padding), tuple(dilations), groups)
    origin = _origin(graph, node, weight=1, bias=2)
    graph.set(node, graph.builder.image(x, len(kernel), op, graph.label(node), **origin))


def conv_transpose(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ConvTranspose, with output_padding and output_shape."""
    x = graph.image(node)
    weight = graph.require_constant(node, 1, "the weight")
    bias = graph.optional(node, 2, "the bias")
    attributes = graph.attributes(node)
    kernel = _kernel(attributes, weight)
    count = len(kernel)
    strides = attributes.sizes("strides", count, 1, 1)
    dilations = attributes.sizes("dilations", count, 1, 1)
    extra = attributes.sizes("output_padding", count, 0, 0)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    full = [
        (n - 1) * s + e + o for n, s, e, o in zip(x.shape[2:], strides, extents, extra, strict=True)
    ]
    auto = attributes.choice("auto_pad", "NOTSET", AUTO_PADS)
    padding = paddings(attributes, x.shape[2:], extents, strides)
    target = None
    if attributes.get("output_shape"):
        target = attributes.sizes("output_shape", count, 1, 1)
    elif auto.startswith("SAME"):
        target = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if target is not None:
        totals = [f - t for f, t in zip(full, target, strict=True)]
        halves = [(t // 2, t - t // 2) for t in totals]
        padding = halves if auto == "SAME_UPPER" else [(b, a) for a, b in halves]
    padding = [(a, b - o) for (a, b), o in zip(padding, extra, strict=True)]
    groups = int(attributes.get("group", 1))
    op = ConvTranspose(weight, bias, tuple(strides), tuple(padding), tuple(dilations), groups)
    origin = _origin(graph, node, weight=1, bias=2)
    graph.set(node, graph.builder.image(x, count, op, graph.label(node), **origin))


def gemm(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Gemm: alpha A B + beta C with a constant B."""
    attributes = graph.attributes(node)
    name = graph.label(node)
    if graph.constant(node.input[0]) is not None:
        raise so.ProblemError("its first matrix is constant; Gemm is read with a constant second")
    x = graph.value(node)
    if len(x.shape) != 2:
        raise so.ProblemError(f"its input has shape {x.shape}; Gemm needs a matrix")
    weight = graph.require_constant(node, 1, "the second matrix")
    transposed = attributes.flag("transB")
    origin: dict[str, Origin] = {**_origin(graph, node, weight=1)}
    origin = origin if transposed else _turned(graph, node.input[1], weight)
    weight = weight if transposed else weight.T
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    if alpha != 1.0:
        graph.builder.budget.keep(weight.size)
        weight, origin = times(weight, alpha), {}
    if attributes.flag("transA"):
        x = graph.builder.permute(x, (1, 0), f"{name}:A")
    bias = None
    addend = node.input[2] if len(node.input) > 2 else ""
    c = graph.constant(addend) if addend else None
    if c is not None and c.size in (1, weight.shape[0]) and c.shape[-1:] != ():
        flat = np.broadcast_to(c.reshape(-1), (weight.shape[0],))
        if c.ndim == 1 or c.shape[0] == 1:
            bias = times(flat, beta)
            if beta == 1.0 and c.size == weight.shape[0]:
                origin["bias"] = addend
    result = graph.builder.dense(x, Dense(weight, bias), name, **origin)
    if addend and bias is None:
        if c is not None:
            result = graph.builder.affine(result, f"{name}:C", bias=times(c, beta))
        else:
            other = graph.value(node, 2)
            if beta != 1.0:
                other = graph.builder.affine(other, f"{name}:beta", factor=beta)
            result = graph.builder.sum_of([result, other], f"{name}:C")
    graph.set(node, result)


def matmul(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """MatMul with one constant operand."""
    name = graph.label(node)
    right, left = graph.constant(node.input[1]), graph.constant(node.input[0])
    if right is not None:
        turned = _turned(graph, node.input[1], right) if right.ndim == 2 else {}
        x = graph.value(node, 0)
        made = contraction.from_right(graph.builder, x, right, name, **turned)
    elif left is not None:
        origin = _origin(graph, node, weight=0) if left.ndim == 2 else {}
        made = contraction.from_left(graph.builder, left, graph.value(node, 1), name, **origin)
    else:
        raise so.ProblemError("it multiplies two values that both depend on the input")
    graph.set(node, made)


def einsum(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Einsum of two operands, one of them constant."""
    equation = graph.attributes(node).get("equation", "")
    equation = equation.decode() if isinstance(equation, bytes) else str(equation)
    if len(node.input) != 2:
        raise so.ProblemError(f"it has {len(node.input)} operands; two are supported")
    right, left = graph.constant(node.input[1]), graph.constant(node.input[0])
    weight = right if right is not None else left
    if weight is None:
        raise so.ProblemError("it multiplies two values that both depend on the input")
    first = right is not None
    x = graph.value(node, 0 if first else 1)
    made = contraction.einsum(graph.builder, equation, x, weight, first, graph.label(node))
    graph.set(node, made)


def batch_norm(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """BatchNormalization with frozen statistics, kept as one scale per channel."""
    attributes = graph.attributes(node)
    x = graph.value(node)
    attributes.ignore("momentum")  # of the statistics, which stay as they are
    if attributes.flag("training_mode") or len([o for o in node.output if o]) > 1:
        raise so.ProblemError("it is in training mode; export the model after model.eval()")
    if not attributes.flag("spatial", True):
        raise so.ProblemError("statistics per position (spatial=0) are not supported")
    names = ("scale", "bias", "mean", "variance")
    weight, bias, mean, variance = (
        graph.require_constant(node, i + 1, n) for i, n in enumerate(names)
    )
    epsilon = float(attributes.get("epsilon", 1e-5))
    label = graph.label(node)
    shifts = (node.input[3], node.input[2])
    statistics, gain = (mean, variance), (weight, bias)
    made = composed.batch_norm(graph.builder, x, statistics, gain, epsilon, label, shifts)
    graph.set(node, made)


LINEAR: dict[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "Einsum": einsum,
    "BatchNormalization": batch_norm,
}
