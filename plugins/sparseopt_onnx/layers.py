"""ONNX operators that become layers with neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.networks.linear import Conv, ConvTranspose, Dense
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.values import Value
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


# Linear layers ------------------------------------------------------------------------------


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
    x = graph.value(node)
    if len(x.shape) != 2:
        raise so.ProblemError(f"its input has shape {x.shape}; Gemm needs a matrix")
    weight = graph.require_constant(node, 1, "the second matrix")
    transposed = attributes.flag("transB")
    origin = _origin(graph, node, weight=1) if transposed else {}
    weight = weight if transposed else weight.T
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    if alpha != 1.0:
        graph.builder.budget.keep(weight.size)
        weight, origin = weight * weight.dtype.type(alpha), {}
    if attributes.flag("transA"):
        x = graph.builder.permute(x, (1, 0), f"{name}:A")
    bias = None
    addend = node.input[2] if len(node.input) > 2 else ""
    c = graph.constant(addend) if addend else None
    if c is not None and c.size in (1, weight.shape[0]) and c.shape[-1:] != ():
        flat = np.broadcast_to(c.reshape(-1), (weight.shape[0],))
        if c.ndim == 1 or c.shape[0] == 1:
            bias = flat if beta == 1.0 else flat * c.dtype.type(beta)
            if beta == 1.0 and c.size == weight.shape[0]:
                origin["bias"] = addend
    result = graph.builder.dense(x, Dense(weight, bias), name, **origin)
    if addend and bias is None:
        if c is not None:
            result = graph.builder.affine(result, f"{name}:C", bias=c * c.dtype.type(beta))
        else:
            other = graph.value(node, 2)
            if beta != 1.0:
                other = graph.builder.affine(other, f"{name}:beta", factor=beta)
            result = graph.builder.sum_of([result, other], f"{name}:C")
    graph.set(node, result)


def matmul(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """MatMul with one constant matrix."""
    name = graph.label(node)
    right, left = graph.constant(node.input[1]), graph.constant(node.input[0])
    if right is None and left is None:
        raise so.ProblemError("it multiplies two values that both depend on the input")
    weight = right if right is not None else left
    assert weight is not None
    if weight.ndim > 2 and weight.size == np.prod(weight.shape[-2:]):
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim != 2:
        raise so.ProblemError(f"the constant has shape {weight.shape}; a matrix is needed")
    if right is not None:
        graph.set(node, graph.builder.dense(graph.value(node, 0), Dense(weight.T), name))
        return
    x = graph.value(node, 1)
    if len(x.shape) < 2:
        raise so.ProblemError(f"its input has shape {x.shape}; at least two axes are needed")
    order = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    turned = graph.builder.permute(x, order, f"{name}:turn")
    made = graph.builder.dense(turned, Dense(weight), name, **_origin(graph, node, weight=0))
    graph.set(node, graph.builder.permute(made, order, f"{name}:back"))


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
    made = composed.batch_norm(graph.builder, x, (mean, variance), (weight, bias), epsilon, label)
    graph.set(node, made)


# Arithmetic ---------------------------------------------------------------------------------


def _operands(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[Value, Any, bool]:
    """Return the first varying operand, the other (array or Value), and whether they swapped."""
    a, b = (graph.constant(node.input[slot]) for slot in (0, 1))
    if a is None:
        return graph.value(node, 0), (graph.value(node, 1) if b is None else b), False
    return graph.value(node, 1), a, True


def add(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Add of two values, or of a value and a constant."""
    x, other, _ = _operands(graph, node)
    name = graph.label(node)
    if isinstance(other, Value):
        graph.set(node, graph.builder.sum_of([x, other], name))
    else:
        graph.set(node, graph.builder.affine(x, name, bias=other))


def subtract(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Sub."""
    x, other, swapped = _operands(graph, node)
    name = graph.label(node)
    if isinstance(other, Value):
        graph.set(
            node,
            graph.builder.sum_of(
                [x, graph.builder.affine(other, f"{name}:minus", factor=-1.0)], name
            ),
        )
    elif swapped:
        graph.set(node, graph.builder.affine(x, name, -1.0, other))
    else:
        graph.set(node, graph.builder.affine(x, name, bias=-other))


def multiply(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Mul by a constant."""
    x, other, _ = _operands(graph, node)
    if isinstance(other, Value):
        raise so.ProblemError("it multiplies two values that both depend on the input")
    graph.set(node, graph.builder.affine(x, graph.label(node), factor=other))


def divide(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Div by a constant."""
    x, other, swapped = _operands(graph, node)
    if isinstance(other, Value) or swapped:
        raise so.ProblemError("it divides by a value that depends on the input")
    if not np.all(other):
        raise so.ProblemError("it divides by a constant that is 0 somewhere")
    inverse = 1.0 / other.astype(np.float64)
    graph.set(node, graph.builder.affine(x, graph.label(node), factor=inverse))


def negate(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Neg."""
    graph.set(node, graph.builder.affine(graph.value(node), graph.label(node), factor=-1.0))


def _parts(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[list[Value], list[np.ndarray]]:
    """Return the inputs that vary and those that are constant."""
    constants = [c for n in node.input if (c := graph.constant(n)) is not None]
    slots = [i for i, n in enumerate(node.input) if graph.constant(n) is None]
    return [graph.value(node, slot) for slot in slots], constants


def total(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Sum and Mean of any number of values and constants."""
    name = graph.label(node)
    values, constants = _parts(graph, node)
    result = graph.builder.sum_of(values, name)
    for constant in constants:
        result = graph.builder.affine(result, f"{name}:constant", bias=constant)
    if node.op_type == "Mean":
        result = graph.builder.affine(result, f"{name}:mean", factor=1.0 / len(node.input))
    graph.set(node, result)


# Piecewise linear ---------------------------------------------------------------------------


def relu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Relu."""
    graph.set(node, graph.builder.relu(graph.value(node), graph.label(node)))


def leaky_relu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """LeakyRelu."""
    slope = float(graph.attributes(node).get("alpha", 0.01))
    graph.set(node, composed.leaky_relu(graph.builder, graph.value(node), slope, graph.label(node)))


def prelu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """PRelu with constant slopes."""
    slope = graph.require_constant(node, 1, "the slope")
    graph.set(node, composed.leaky_relu(graph.builder, graph.value(node), slope, graph.label(node)))


def absolute(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Abs."""
    graph.set(node, composed.absolute(graph.builder, graph.value(node), graph.label(node)))


def clip(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Clip, with bounds as attributes (before operator set 11) or constant inputs."""
    attributes = graph.attributes(node)
    bounds: list[float | None] = []
    for slot, key in ((1, "min"), (2, "max")):
        given = graph.optional(node, slot, key)
        value = attributes.get(key)
        bounds.append(value if given is None else float(given.reshape(())))
    low, high = bounds
    graph.set(node, composed.clip(graph.builder, graph.value(node), low, high, graph.label(node)))


def hard_sigmoid(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """HardSigmoid."""
    attributes = graph.attributes(node)
    alpha, beta = float(attributes.get("alpha", 0.2)), float(attributes.get("beta", 0.5))
    made = composed.hard_sigmoid(graph.builder, graph.value(node), alpha, beta, graph.label(node))
    graph.set(node, made)


def extreme(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Max and Min of values and constants, entry by entry."""
    values, constants = _parts(graph, node)
    largest = node.op_type == "Max"
    graph.set(node, composed.extreme(graph.builder, values, constants, largest, graph.label(node)))


# Heads --------------------------------------------------------------------------------------


def head(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Softmax, LogSoftmax and Sigmoid at the end of the network: left out, with a note."""
    x = graph.value(node)
    graph.attributes(node).ignore("axis")
    graph.builder.note(
        f"the head {graph.label(node)!r} ({node.op_type}) was stripped; outputs are its inputs"
    )
    graph.head_input = node.input[0]
    graph.set(node, Value(x.name, x.shape, node.op_type))


LAYERS: dict[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_norm,
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Neg": negate,
    "Sum": total,
    "Mean": total,
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Abs": absolute,
    "Clip": clip,
    "HardSigmoid": hard_sigmoid,
    "Max": extreme,
    "Min": extreme,
    "Softmax": head,
    "LogSoftmax": head,
    "Sigmoid": head,
}
