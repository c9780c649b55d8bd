"""PyTorch operators that become layers with neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.linear import Conv, ConvTranspose, Dense
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import same_padding
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph, sizes

# Linear layers ------------------------------------------------------------------------------


def linear(graph: TorchGraph, call: Call) -> Value:
    """linear: x W^T + b with constant W."""
    weight = graph.array(call["weight"], "the weight")
    bias = graph.optional(call.get("bias"), "the bias")
    x = graph.value(call["input"])
    origin = graph.origin(call, weight="weight", bias="bias")
    if weight.ndim == 1:  # a weight vector: the last axis disappears
        made = graph.builder.dense(x, Dense(weight[None], bias), call.name)
        return graph.builder.keep(made, x.shape[:-1])
    return graph.builder.dense(x, Dense(weight, bias), call.name, **origin)


def matmul(graph: TorchGraph, call: Call) -> Value:
    """mm, matmul, bmm and mv with one constant matrix."""
    a, b = call["self"], call.get("other", call.get("mat2", call.get("vec")))
    if isinstance(a, Value) and isinstance(b, Value):
        raise so.ProblemError("it multiplies two values that both depend on the input")
    if isinstance(a, Value):
        weight = _matrix(graph.array(b, "the matrix"))
        if weight.ndim == 1:
            made = graph.builder.dense(graph.value(a), Dense(weight[None]), call.name)
            return graph.builder.keep(made, a.shape[:-1])
        return graph.builder.dense(graph.value(a), Dense(weight.T), call.name)
    x, weight = graph.value(b), _matrix(graph.array(a, "the matrix"))
    if weight.ndim != 2:
        raise so.ProblemError("a constant vector on the left is not supported")
    if len(x.shape) == 1:
        return graph.builder.dense(x, Dense(weight), call.name)
    order = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    turned = graph.builder.permute(x, order, f"{call.name}:turn")
    made = graph.builder.dense(turned, Dense(weight), call.name)
    return graph.builder.permute(made, order, f"{call.name}:back")


def _matrix(weight: np.ndarray) -> np.ndarray:
    """Return the matrix without leading axes of 1."""
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim > 2:
        raise so.ProblemError(f"the constant has shape {weight.shape}; a matrix is needed")
    return weight


def addmm(graph: TorchGraph, call: Call) -> Value:
    """addmm and addmv: beta C + alpha A B with constant B."""
    a, b = call["mat1"], call["mat2"]
    alpha, beta = float(call.get("alpha", 1)), float(call.get("beta", 1))
    x = graph.value(a, "the first matrix")
    weight = graph.array(b, "the second matrix")
    weight = weight if alpha == 1.0 else weight * weight.dtype.type(alpha)
    addend = call["self"]
    if not isinstance(addend, Value):
        shift = graph.array(addend, "the addend")
        shift = shift if beta == 1.0 else shift * shift.dtype.type(beta)
        if shift.ndim == 1 and shift.size == weight.shape[1]:
            return graph.builder.dense(x, Dense(weight.T, shift), call.name)
        made = graph.builder.dense(x, Dense(weight.T), call.name)
        return graph.builder.affine(made, f"{call.name}:addend", bias=shift)
    made = graph.builder.dense(x, Dense(weight.T), call.name)
    other = graph.value(addend)
    if beta != 1.0:
        other = graph.builder.affine(other, f"{call.name}:beta", factor=beta)
    return graph.builder.sum_of([made, other], f"{call.name}:sum")


def convolution(graph: TorchGraph, call: Call) -> Value:
    """conv1d, conv2d, conv3d, their transposes, and the general convolution."""
    weight = graph.array(call["weight"], "the weight")
    bias = graph.optional(call.get("bias"), "the bias")
    x = graph.value(call["input"])
    count = weight.ndim - 2
    stride = tuple(sizes(call["stride"], count))
    dilation = tuple(sizes(call["dilation"], count))
    groups = int(call["groups"])
    origin = graph.origin(call, weight="weight", bias="bias")
    transposed = call.get("transposed", "transpose" in str(call.node.target))
    padding = call["padding"]
    if isinstance(padding, str):
        pads = _padding_by_name(padding, x, weight, dilation)
    else:
        pads = [(p, p) for p in sizes(padding, count)]
    extra = sizes(call.get("output_padding", 0), count)
    if transposed:
        cut = tuple((a, b - e) for (a, b), e in zip(pads, extra, strict=True))
        op: Any = ConvTranspose(weight, bias, stride, cut, dilation, groups)
    elif any(extra):
        raise so.ProblemError(f"output_padding {extra} is for transposed convolutions")
    else:
        op = Conv(weight, bias, stride, tuple(pads), dilation, groups)
    return graph.builder.image(x, count, op, call.name, **origin)


def _padding_by_name(
    name: str, x: Value, weight: np.ndarray, dilation: tuple[int, ...]
) -> list[tuple[int, int]]:
    if name == "valid":
        return [(0, 0)] * len(dilation)
    extents = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    spatial = x.shape[-len(dilation) :]
    return [same_padding(n, e, 1, True) for n, e in zip(spatial, extents, strict=True)]


def batch_norm(graph: TorchGraph, call: Call) -> Value:
    """batch_norm with running statistics."""
    x = graph.value(call["input"])
    if call.get("training", False) or call["running_mean"] is None:
        raise so.ProblemError(
            "batch normalization in training mode uses the statistics of the batch; call "
            "module.eval() first (and keep track_running_stats=True)"
        )
    mean = graph.array(call["running_mean"], "the running mean")
    variance = graph.array(call["running_var"], "the running variance")
    weight = graph.optional(call["weight"], "the weight")
    bias = graph.optional(call["bias"], "the bias")
    names = graph.origin(call, mean="running_mean", bias="bias")
    complete = "mean" in names and (bias is None or "bias" in names)
    shifts = tuple(names.values()) if complete else ()
    return composed.batch_norm(
        graph.builder, x, (mean, variance), (weight, bias), call["eps"], call.name, shifts
    )


def batch_norm_first(graph: TorchGraph, call: Call) -> list[Any]:
    """The decomposed batch_norm, which returns its statistics as well."""
    return [batch_norm(graph, call), None, None]


# Arithmetic ---------------------------------------------------------------------------------


def _scaled(graph: TorchGraph, operand: Any, factor: float, name: str) -> Any:
    """Return ``factor * operand`` for a value or a constant."""
    if isinstance(operand, Value):
        x = graph.value(operand)
        return x if factor == 1.0 else graph.builder.affine(x, f"{name}:alpha", factor=factor)
    array = graph.array(operand, "the operand")
    return array if factor == 1.0 else array * array.dtype.type(factor)


def _sum(graph: TorchGraph, a: Any, b: Any, name: str) -> Value:
    if isinstance(a, Value) and isinstance(b, Value):
        return graph.builder.sum_of([graph.value(a), graph.value(b)], name)
    x, constant = (a, b) if isinstance(a, Value) else (b, a)
    return graph.builder.affine(graph.value(x), name, bias=graph.array(constant, "the addend"))


def add(graph: TorchGraph, call: Call) -> Value:
    """add: self + alpha other."""
    other = _scaled(graph, call["other"], float(call.get("alpha", 1)), call.name)
    return _sum(graph, call["self"], other, call.name)


def subtract(graph: TorchGraph, call: Call) -> Value:
    """sub: self - alpha other."""
    other = _scaled(graph, call["other"], -float(call.get("alpha", 1)), call.name)
    return _sum(graph, call["self"], other, call.name)


def subtract_from(graph: TorchGraph, call: Call) -> Value:
    """rsub: other - alpha self."""
    own = _scaled(graph, call["self"], -float(call.get("alpha", 1)), call.name)
    return _sum(graph, own, call["other"], call.name)


def multiply(graph: TorchGraph, call: Call) -> Value:
    """mul by a constant."""
    a, b = call["self"], call["other"]
    if isinstance(a, Value) and isinstance(b, Value):
        raise so.ProblemError("it multiplies two values that both depend on the input")
    x, constant = (a, b) if isinstance(a, Value) else (b, a)
    factor = graph.array(constant, "the factor")
    return graph.builder.affine(graph.value(x), call.name, factor=factor)


def divide(graph: TorchGraph, call: Call) -> Value:
    """div by a constant."""
    if isinstance(call["other"], Value):
        raise so.ProblemError("it divides by a value that depends on the input")
    if call.get("rounding_mode") is not None:
        raise so.ProblemError("a division with rounding is not piecewise linear and continuous")
    divisor = graph.array(call["other"], "the divisor").astype(np.float64)
    if not np.all(divisor):
        raise so.ProblemError("it divides by a constant that is 0 somewhere")
    return graph.builder.affine(graph.value(call["self"]), call.name, factor=1.0 / divisor)


def negate(graph: TorchGraph, call: Call) -> Value:
    """neg."""
    return graph.builder.affine(graph.value(call["self"]), call.name, factor=-1.0)


# Piecewise linear ---------------------------------------------------------------------------


def relu(graph: TorchGraph, call: Call) -> Value:
    """relu."""
    return graph.builder.relu(graph.value(call["self"]), call.name)


def clip(graph: TorchGraph, call: Call) -> Value:
    """clamp, clamp_min, clamp_max, hardtanh and relu6, with constant numbers as bounds."""
    low, high = call.get("min", call.get("min_val")), call.get("max", call.get("max_val"))
    if "relu6" in str(call.node.target):
        low, high = 0.0, 6.0
    bounds = []
    for bound in (low, high):
        array = graph.optional(bound, "the bound")
        if array is not None and array.size != 1:
            raise so.ProblemError("bounds that differ between entries are not supported")
        bounds.append(None if array is None else float(array.reshape(())))
    return composed.clip(graph.builder, graph.value(call["self"]), bounds[0], bounds[1], call.name)


def threshold(graph: TorchGraph, call: Call) -> Value:
    """threshold where it is continuous: x above, the threshold itself below."""
    if float(call["threshold"]) != float(call["value"]):
        raise so.ProblemError("it jumps at its threshold, so it is not continuous")
    return composed.clip(
        graph.builder, graph.value(call["self"]), float(call["value"]), None, call.name
    )


def leaky_relu(graph: TorchGraph, call: Call) -> Value:
    """leaky_relu."""
    slope = float(call["negative_slope"])
    return composed.leaky_relu(graph.builder, graph.value(call["self"]), slope, call.name)


def random_leaky_relu(graph: TorchGraph, call: Call) -> Value:
    """rrelu outside training: the mean slope."""
    if call["training"]:
        raise so.ProblemError("it draws random slopes in training mode; call module.eval() first")
    slope = (float(call["lower"]) + float(call["upper"])) / 2
    return composed.leaky_relu(graph.builder, graph.value(call["self"]), slope, call.name)


def prelu(graph: TorchGraph, call: Call) -> Value:
    """prelu, one slope for all or one per channel (axis 1)."""
    x = graph.value(call["self"])
    slope = graph.array(call["weight"], "the slope")
    if slope.size > 1 and slope.ndim == 1 and len(x.shape) > 2:
        slope = slope.reshape(-1, *(1,) * (len(x.shape) - 2))
    return composed.leaky_relu(graph.builder, x, slope, call.name)


def absolute(graph: TorchGraph, call: Call) -> Value:
    """abs."""
    return composed.absolute(graph.builder, graph.value(call["self"]), call.name)


def hard_sigmoid(graph: TorchGraph, call: Call) -> Value:
    """hardsigmoid: min(max(x / 6 + 1/2, 0), 1)."""
    return composed.hard_sigmoid(
        graph.builder, graph.value(call["self"]), 1.0 / 6.0, 0.5, call.name
    )


def extreme(graph: TorchGraph, call: Call) -> Value:
    """maximum and minimum of two tensors."""
    operands = [call["self"], call["other"]]
    values = [graph.value(o) for o in operands if isinstance(o, Value)]
    constants = [graph.array(o, "the operand") for o in operands if not isinstance(o, Value)]
    return composed.extreme(
        graph.builder, values, constants, "max" in str(call.node.target), call.name
    )


# Heads --------------------------------------------------------------------------------------


def head(graph: TorchGraph, call: Call) -> Value:
    """softmax, log_softmax and sigmoid at the end of the network: left out, with a note."""
    x = graph.value(call["self"])
    for name in ("dim", "half_to_float"):  # whatever it is normalized along, it is left out
        call.get(name)
    kind = str(call.node.target).split(".")[1].lstrip("_")
    graph.builder.note(f"the head {call.name!r} ({kind}) was stripped; outputs are its inputs")
    graph.head_input = call.node.all_input_nodes[0].name
    return Value(x.name, x.shape, kind)


LAYERS: dict[str, Rule] = {
    "aten.linear": linear,
    "aten.mm": matmul,
    "aten.mv": matmul,
    "aten.bmm": matmul,
    "aten.matmul": matmul,
    "aten.addmm": addmm,
    "aten.conv1d": convolution,
    "aten.conv2d": convolution,
    "aten.conv3d": convolution,
    "aten.conv_transpose1d": convolution,
    "aten.conv_transpose2d": convolution,
    "aten.conv_transpose3d": convolution,
    "aten.convolution": convolution,
    "aten.batch_norm": batch_norm,
    "aten._native_batch_norm_legit_no_training": batch_norm_first,
    "aten.add": add,
    "aten.sub": subtract,
    "aten.subtract": subtract,
    "aten.rsub": subtract_from,
    "aten.mul": multiply,
    "aten.multiply": multiply,
    "aten.div": divide,
    "aten.divide": divide,
    "aten.true_divide": divide,
    "aten.neg": negate,
    "aten.negative": negate,
    "aten.relu": relu,
    "aten.relu6": clip,
    "aten.hardtanh": clip,
    "aten.clamp": clip,
    "aten.clip": clip,
    "aten.clamp_min": clip,
    "aten.clamp_max": clip,
    "aten.threshold": threshold,
    "aten.leaky_relu": leaky_relu,
    "aten.rrelu": random_leaky_relu,
    "aten.prelu": prelu,
    "aten._prelu_kernel": prelu,
    "aten.abs": absolute,
    "aten.hardsigmoid": hard_sigmoid,
    "aten.maximum": extreme,
    "aten.minimum": extreme,
    "aten.max.other": extreme,
    "aten.min.other": extreme,
    "aten.softmax.int": head,
    "aten._softmax": head,
    "aten.log_softmax.int": head,
    "aten._log_softmax": head,
    "aten.sigmoid": head,
}
