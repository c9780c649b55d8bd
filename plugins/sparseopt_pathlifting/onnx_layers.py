"""ONNX operators that become layers with neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.network import Conv, ConvTranspose, Dense, MaxPool, Resample
from sparseopt.network.cells import average_map, max_window, pool_positions, same_padding
from sparseopt_pathlifting.onnx_graph import OnnxGraph, Value, attributes_of

Rule = Callable[[OnnxGraph, onnx.NodeProto], None]


def _origin(graph: OnnxGraph, node: onnx.NodeProto, **slots: int) -> dict[str, str]:
    """Return the tensors behind parameters, for those that are tensors of the file."""
    return {
        field: node.input[slot]
        for field, slot in slots.items()
        if slot < len(node.input) and node.input[slot]
    }


# Linear layers ------------------------------------------------------------------------------


def _paddings(
    attributes: dict[str, Any], sizes: tuple[int, ...], extents: list[int], strides: list[int]
) -> list[tuple[int, int]]:
    auto = attributes.get("auto_pad", "NOTSET")
    count = len(extents)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        upper = auto == "SAME_UPPER"
        sizes_ = zip(sizes, extents, strides, strict=True)
        return [same_padding(n, extent, s, upper) for n, extent, s in sizes_]
    if auto == "VALID":
        return [(0, 0)] * count
    pads = attributes.get("pads") or [0] * (2 * count)
    if len(pads) != 2 * count:
        raise so.ProblemError(f"pads {pads} do not fit {count} spatial axes")
    return [(int(a), int(b)) for a, b in zip(pads[:count], pads[count:], strict=True)]


def conv(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Conv."""
    x = graph.image(node)
    weight = graph.require_constant(node, 1, "the weight")
    bias = graph.optional(node, 2, "the bias")
    attributes = attributes_of(node)
    kernel = list(weight.shape[2:])
    if list(attributes.get("kernel_shape", kernel)) != kernel:
        raise so.ProblemError(
            f"kernel_shape {attributes['kernel_shape']} contradicts the weight {weight.shape}"
        )
    strides = list(attributes.get("strides") or [1] * len(kernel))
    dilations = list(attributes.get("dilations") or [1] * len(kernel))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    padding = _paddings(attributes, x.shape[2:], extents, strides)
    groups = int(attributes.get("group", 1))
    op = Conv(weight, bias, tuple(strides), tuple(padding), tuple(dilations), groups)
    origin = _origin(graph, node, weight=1, bias=2)
    graph.set_batched(node, graph.builder.add(op, (x.name,), graph.label(node), origin))


def conv_transpose(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ConvTranspose, with output_padding and output_shape."""
    x = graph.image(node)
    weight = graph.require_constant(node, 1, "the weight")
    bias = graph.optional(node, 2, "the bias")
    attributes = attributes_of(node)
    count = weight.ndim - 2
    strides = list(attributes.get("strides") or [1] * count)
    dilations = list(attributes.get("dilations") or [1] * count)
    extra = list(attributes.get("output_padding") or [0] * count)
    extents = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    full = [
        (n - 1) * s + e + o for n, s, e, o in zip(x.shape[2:], strides, extents, extra, strict=True)
    ]
    auto = attributes.get("auto_pad", "NOTSET")
    target = attributes.get("output_shape")
    if target is None and auto.startswith("SAME"):
        target = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
    if target is not None:
        totals = [f - t for f, t in zip(full, target, strict=True)]
        upper = auto == "SAME_UPPER"
        halves = [(t // 2, t - t // 2) for t in totals]
        padding = halves if upper else [(b, a) for a, b in halves]
    else:
        padding = _paddings(attributes, x.shape[2:], extents, strides)
    padding = [(a, b - o) for (a, b), o in zip(padding, extra, strict=True)]
    groups = int(attributes.get("group", 1))
    op = ConvTranspose(weight, bias, tuple(strides), tuple(padding), tuple(dilations), groups)
    origin = _origin(graph, node, weight=1, bias=2)
    graph.set_batched(node, graph.builder.add(op, (x.name,), graph.label(node), origin))


def gemm(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Gemm: alpha A B + beta C with a constant B."""
    attributes = attributes_of(node)
    name = graph.label(node)
    x = graph.value(node)
    if len(x.shape) != 2:
        raise so.ProblemError(f"its input has shape {x.shape}; Gemm needs a matrix")
    weight = graph.require_constant(node, 1, "the second matrix")
    transposed = bool(attributes.get("transB", 0))
    origin = _origin(graph, node, weight=1) if transposed else {}
    weight = weight if transposed else weight.T
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    if alpha != 1.0:
        weight, origin = weight * weight.dtype.type(alpha), {}
    source, rows = x.name, x.shape[0]
    if attributes.get("transA", 0):
        source = graph.builder.permute(graph.full(x, name), (1, 0), f"{name}:A")
        rows = x.shape[1]
        if rows == 1:
            source = graph.builder.reshape(source, (x.shape[0],), f"{name}:row")
    bias = None
    addend = node.input[2] if len(node.input) > 2 else ""
    c = graph.constant(addend) if addend else None
    if c is not None and c.size in (1, weight.shape[0]) and c.shape[-1:] != ():
        flat = np.broadcast_to(c.reshape(-1), (weight.shape[0],))
        if c.ndim == 1 or c.shape[0] == 1:
            bias = flat if beta == 1.0 else flat * c.dtype.type(beta)
            if beta == 1.0 and c.size == weight.shape[0]:
                origin["bias"] = addend
    result = graph.builder.add(Dense(weight, bias), (source,), name, origin)
    shape = (rows, weight.shape[0])
    if addend and bias is None:
        result = _gemm_addend(graph, node, result, c, beta, name)
    graph.set(node, result, shape)


def _gemm_addend(
    graph: OnnxGraph,
    node: onnx.NodeProto,
    result: str,
    c: np.ndarray | None,
    beta: float,
    name: str,
) -> str:
    if c is not None:
        return graph.builder.scale(result, f"{name}:C", bias=c * c.dtype.type(beta))
    other = graph.value(node, 2)
    scaled = other.name
    if beta != 1.0:
        scaled = graph.builder.scale(scaled, f"{name}:beta", factor=beta)
    return graph.builder.add_up([result, scaled], f"{name}:C")


def matmul(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """MatMul with one constant matrix."""
    name = graph.label(node)
    right, left = graph.constant(node.input[1]), graph.constant(node.input[0])
    if right is None and left is None:
        raise so.ProblemError("it multiplies two values that both depend on the input")
    weight = right if right is not None else left
    assert weight is not None
    weight = (
        weight.reshape(weight.shape[-2:])
        if weight.ndim > 2 and weight.size == np.prod(weight.shape[-2:])
        else weight
    )
    if weight.ndim != 2:
        raise so.ProblemError(f"the constant has shape {weight.shape}; a matrix is needed")
    if right is not None:
        x = graph.value(node, 0)
        result = graph.builder.add(Dense(weight.T), (x.name,), name)
        graph.set(node, result, (*x.shape[:-1], weight.shape[1]))
        return
    x = graph.value(node, 1)
    if len(x.shape) < 2:
        raise so.ProblemError(f"its input has shape {x.shape}; at least two axes are needed")
    order = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    turned = graph.builder.permute(graph.full(x, name), order, f"{name}:turn")
    made = graph.builder.add(Dense(weight), (turned,), name, _origin(graph, node, weight=0))
    back = graph.builder.permute(made, order, f"{name}:back")
    graph.set(node, back, (*x.shape[:-2], weight.shape[0], x.shape[-1]))


def batch_norm(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """BatchNormalization with frozen statistics, kept as one scale per channel."""
    attributes = attributes_of(node)
    x = graph.value(node)
    if attributes.get("training_mode", 0) or len([o for o in node.output if o]) > 1:
        raise so.ProblemError("it is in training mode; export the model after model.eval()")
    if not attributes.get("spatial", 1):
        raise so.ProblemError("statistics per position (spatial=0) are not supported")
    names = ("scale", "bias", "mean", "variance")
    parts = [graph.require_constant(node, i + 1, n).astype(np.float64) for i, n in enumerate(names)]
    gamma, beta, mean, variance = parts
    spread = variance + float(attributes.get("epsilon", 1e-5))
    if not spread.min() > 0:
        raise so.ProblemError("variance + epsilon is not positive in some channel")
    factor = gamma / np.sqrt(spread)
    shift = beta - factor * mean
    tail = (1,) * max(0, len(x.shape) - 2)
    result = graph.builder.scale(
        x.name, graph.label(node), factor.reshape(-1, *tail), shift.reshape(-1, *tail)
    )
    graph.set(node, result, x.shape)


# Arithmetic ---------------------------------------------------------------------------------


def _operands(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[Value, Any, bool]:
    """Return the first varying operand, the other (array or Value), and whether they swapped."""
    a, b = (graph.constant(node.input[slot]) for slot in (0, 1))
    if a is None:
        return graph.value(node, 0), (graph.value(node, 1) if b is None else b), False
    return graph.value(node, 1), a, True


def _with_constant(
    graph: OnnxGraph, node: onnx.NodeProto, x: Value, factor: Any, bias: Any
) -> None:
    """Let the node be factor * x + bias, with x broadcast to the constants' shape."""
    shape = np.broadcast_shapes(x.shape, *(np.shape(a) for a in (factor, bias) if a is not None))
    name = graph.label(node)
    wide = x
    if shape != x.shape:
        index = np.broadcast_to(graph.positions(x), shape)
        picked = graph.builder.select(x.name, index.reshape(_sample(shape)), f"{name}:expand")
        wide = Value(picked, shape)
    if shape[:1] != (1,):
        result = graph.builder.scale(wide.name, name, factor, bias)
    else:
        trimmed = [None if a is None else _without_batch(a, len(shape)) for a in (factor, bias)]
        result = graph.builder.scale(wide.name, name, *trimmed)
    graph.set(node, result, shape)


def _sample(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if shape[:1] == (1,) else shape


def _without_batch(array: Any, ndim: int) -> Any:
    array = np.asarray(array)
    return array[0] if array.ndim == ndim else array


def _sum_of(graph: OnnxGraph, node: onnx.NodeProto, values: list[Value]) -> None:
    shape = np.broadcast_shapes(*(v.shape for v in values))
    name = graph.label(node)
    parts = []
    for value in values:
        index = np.broadcast_to(graph.positions(value), shape)
        parts.append(
            value.name
            if value.shape == shape
            else graph.builder.select(value.name, index.reshape(_sample(shape)), f"{name}:expand")
        )
    graph.set(node, graph.builder.add_up(parts, name), shape)


def add(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Add of two values, or of a value and a constant."""
    x, other, _ = _operands(graph, node)
    if isinstance(other, Value):
        _sum_of(graph, node, [x, other])
    else:
        _with_constant(graph, node, x, None, other)


def subtract(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Sub."""
    x, other, swapped = _operands(graph, node)
    if isinstance(other, Value):
        minus = graph.builder.scale(other.name, f"{graph.label(node)}:minus", factor=-1.0)
        _sum_of(graph, node, [x, Value(minus, other.shape)])
    elif swapped:
        _with_constant(graph, node, x, np.float64(-1.0), other)
    else:
        _with_constant(graph, node, x, None, -other)


def multiply(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Mul by a constant."""
    x, other, _ = _operands(graph, node)
    if isinstance(other, Value):
        raise so.ProblemError("it multiplies two values that both depend on the input")
    _with_constant(graph, node, x, other, None)


def divide(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Div by a constant."""
    x, other, swapped = _operands(graph, node)
    if isinstance(other, Value) or swapped:
        raise so.ProblemError("it divides by a value that depends on the input")
    if not np.all(other):
        raise so.ProblemError("it divides by a constant that is 0 somewhere")
    _with_constant(graph, node, x, 1.0 / other.astype(np.float64), None)


def negate(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Neg."""
    x = graph.value(node)
    graph.set(node, graph.builder.scale(x.name, graph.label(node), factor=-1.0), x.shape)


def total(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Sum and Mean of any number of values and constants."""
    name = graph.label(node)
    constants = [c for n in node.input if (c := graph.constant(n)) is not None]
    slots = [i for i, n in enumerate(node.input) if graph.constant(n) is None]
    values = [graph.value(node, slot) for slot in slots]
    if constants:
        shift = sum(constants[1:], start=constants[0])
        shape = np.broadcast_shapes(shift.shape, *(v.shape for v in values))
        if shape != values[0].shape:
            raise so.ProblemError("a constant that enlarges the sum is not supported")
        trimmed = _without_batch(shift, len(shape)) if shape[:1] == (1,) else shift
        moved = graph.builder.scale(values[0].name, f"{name}:constant", bias=trimmed)
        values[0] = Value(moved, shape)
    _sum_of(graph, node, values)
    if node.op_type == "Mean":
        result = graph.values[node.output[0]]
        mean = graph.builder.scale(result.name, f"{name}:mean", factor=1.0 / len(node.input))
        graph.set(node, mean, result.shape)


# Piecewise linear ---------------------------------------------------------------------------


def relu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Relu."""
    x = graph.value(node)
    graph.set(node, graph.builder.relu(x.name, graph.label(node)), x.shape)


def leaky_relu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """LeakyRelu."""
    x = graph.value(node)
    slope = float(attributes_of(node).get("alpha", 0.01))
    graph.set(node, graph.builder.leaky_relu(x.name, slope, graph.label(node)), x.shape)


def prelu(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """PRelu with constant slopes."""
    x = graph.value(node)
    slope = graph.require_constant(node, 1, "the slope")
    if slope.ndim == len(x.shape) and x.shape[0] == 1:
        slope = slope[0]
    graph.set(node, graph.builder.leaky_relu(x.name, slope, graph.label(node)), x.shape)


def absolute(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Abs."""
    x = graph.value(node)
    graph.set(node, graph.builder.absolute(x.name, graph.label(node)), x.shape)


def clip(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Clip, with bounds as attributes (before operator set 11) or constant inputs."""
    x = graph.value(node)
    attributes = attributes_of(node)
    bounds: list[float | None] = []
    for slot, key in ((1, "min"), (2, "max")):
        given = graph.optional(node, slot, key)
        bounds.append(attributes.get(key) if given is None else float(given.reshape(())))
    low, high = bounds
    graph.set(node, graph.builder.clip(x.name, low, high, graph.label(node)), x.shape)


def hard_sigmoid(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """HardSigmoid."""
    x = graph.value(node)
    attributes = attributes_of(node)
    alpha, beta = float(attributes.get("alpha", 0.2)), float(attributes.get("beta", 0.5))
    made = graph.builder.hard_sigmoid(x.name, alpha, beta, graph.label(node))
    graph.set(node, made, x.shape)


def extreme(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Max and Min of values and constants, entry by entry."""
    name, largest = graph.label(node), node.op_type == "Max"
    constants = [c for n in node.input if (c := graph.constant(n)) is not None]
    slots = [i for i, n in enumerate(node.input) if graph.constant(n) is None]
    values = [graph.value(node, slot) for slot in slots]
    shape = np.broadcast_shapes(*(v.shape for v in values), *(c.shape for c in constants))
    wide = []
    for value in values:
        index = np.broadcast_to(graph.positions(value), shape).reshape(_sample(shape))
        same = value.shape == shape
        wide.append(value.name if same else graph.builder.select(value.name, index, name))
    result = wide[0]
    if len(wide) > 1:
        result = graph.builder.rank(wide, 1 if largest else len(wide), name)
    for constant in constants:  # max(x, c) = relu(x - c) + c
        sign = 1.0 if largest else -1.0
        c = _without_batch(constant, len(shape)) if shape[:1] == (1,) else constant
        moved = graph.builder.scale(result, f"{name}:minus", factor=sign, bias=-sign * c)
        result = graph.builder.scale(
            graph.builder.relu(moved, f"{name}:relu"), f"{name}:plus", factor=sign, bias=c
        )
    graph.set(node, result, shape)


# Pooling ------------------------------------------------------------------------------------


def _window(
    graph: OnnxGraph, node: onnx.NodeProto, x: Value
) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Return the window positions and paddings per spatial axis."""
    attributes = attributes_of(node)
    kernel = list(attributes.get("kernel_shape", ()))
    if len(kernel) != len(x.shape) - 2:
        raise so.ProblemError(f"kernel_shape {kernel} does not fit an input of shape {x.shape}")
    strides = list(attributes.get("strides") or [1] * len(kernel))
    dilations = list(attributes.get("dilations") or [1] * len(kernel))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    padding = _paddings(attributes, x.shape[2:], extents, strides)
    ceil_mode = bool(attributes.get("ceil_mode", 0))
    positions = [
        pool_positions(n, k, s, pads, d, ceil_mode)
        for n, k, s, pads, d in zip(x.shape[2:], kernel, strides, padding, dilations, strict=True)
    ]
    return positions, padding


def max_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """MaxPool."""
    x = graph.image(node)
    if len([o for o in node.output if o]) > 1:
        raise so.ProblemError("its second output, the indices, is not supported")
    positions, _ = _window(graph, node, x)
    windows = tuple(
        max_window(axis + 1, places, n)
        for axis, (places, n) in enumerate(zip(positions, x.shape[2:], strict=True))
    )
    made = graph.builder.add(MaxPool(windows), (x.name,), graph.label(node))
    graph.set_batched(node, made)


def average_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """AveragePool."""
    x = graph.image(node)
    positions, padding = _window(graph, node, x)
    counted = bool(attributes_of(node).get("count_include_pad", 0))
    maps = tuple(
        average_map(axis + 1, places, n, pads if counted else None)
        for axis, (places, n, pads) in enumerate(zip(positions, x.shape[2:], padding, strict=True))
    )
    made = graph.builder.add(Resample(maps), (x.name,), graph.label(node))
    graph.set_batched(node, made)


def global_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    x = graph.image(node)
    axes = range(1, len(x.shape) - 1)
    name = graph.label(node)
    if node.op_type == "GlobalAveragePool":
        made = graph.builder.total(x.name, axes, True, True, name)
    else:
        made = graph.builder.largest(x.name, axes, True, name)
    graph.set_batched(node, made)


def reduce(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ReduceSum, ReduceMean, ReduceMax and ReduceMin."""
    attributes = attributes_of(node)
    x = graph.value(node)
    name = graph.label(node)
    given = graph.optional(node, 1, "axes")
    axes = attributes.get("axes") if given is None else given.tolist()
    if not axes:
        if attributes.get("noop_with_empty_axes", 0):
            graph.set(node, x.name, x.shape)
            return
        axes = range(len(x.shape))
    axes = sorted({int(a) % len(x.shape) for a in axes})
    keep = bool(attributes.get("keepdims", 1))
    full = graph.full(x, name)
    if node.op_type in ("ReduceSum", "ReduceMean"):
        made = graph.builder.total(full, axes, node.op_type == "ReduceMean", keep, name)
    elif node.op_type == "ReduceMax":
        made = graph.builder.largest(full, axes, keep, name)
    else:
        made = graph.builder.smallest(full, axes, keep, name)
    graph.set(node, made, graph.builder.shape(made))


# Heads --------------------------------------------------------------------------------------


def head(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Softmax, LogSoftmax and Sigmoid at the end of the network: left out, with a note."""
    x = graph.value(node)
    graph.builder.note(
        f"the head {graph.label(node)!r} ({node.op_type}) was stripped; outputs are its inputs"
    )
    graph.head_input = node.input[0]
    graph.set(node, x.name, x.shape, head=node.op_type)


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
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "ReduceSum": reduce,
    "ReduceMean": reduce,
    "ReduceMax": reduce,
    "ReduceMin": reduce,
    "Softmax": head,
    "LogSoftmax": head,
    "Sigmoid": head,
}
