"""PyTorch operators that are linear layers with constant weights."""

from __future__ import annotations

from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.tools.reading import composed, contraction
from sparseopt.tools.reading.values import Value, times
from sparseopt.tools.reading.window_cells import same_padding
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph, sizes


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
    """mm, matmul, bmm and mv with one constant operand."""
    a, b = call["self"], call.get("other", call.get("mat2", call.get("vec")))
    if isinstance(a, Value) and isinstance(b, Value):
        raise so.ProblemError("it multiplies two values that both depend on the input")
    if isinstance(a, Value):
        weight = graph.array(b, "the matrix")
        return contraction.from_right(graph.builder, graph.value(a), weight, call.name)
    weight = graph.array(a, "the matrix")
    origin = graph.moved_origin(call, weight="self")
    return contraction.from_left(graph.builder, weight, graph.value(b), call.name, **origin)


def addmm(graph: TorchGraph, call: Call) -> Value:
    """addmm and addmv: beta C + alpha A B with constant B."""
    a, b = call["mat1"], call["mat2"]
    alpha, beta = float(call.get("alpha", 1)), float(call.get("beta", 1))
    x = graph.value(a, "the first matrix")
    weight = graph.array(b, "the second matrix")
    weight = times(weight, alpha)
    addend = call["self"]
    if not isinstance(addend, Value):
        shift = times(graph.array(addend, "the addend"), beta)
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
    if call["running_mean"] is None:
        raise so.ProblemError(
            "batch normalization that keeps no statistics (track_running_stats=False) divides by "
            "those of its input in every mode, so it is not piecewise linear"
        )
    if call.get("training", False):
        raise so.ProblemError(
            "batch normalization in training mode uses the statistics of the batch; call "
            "module.eval() first"
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


def instance_norm(graph: TorchGraph, call: Call) -> Value:
    """instance_norm with running statistics, which is a batch_norm."""
    if call["use_input_stats"] or call["running_mean"] is None:
        raise so.ProblemError(
            "instance normalization divides by a function of the input, unless it tracks "
            "statistics (track_running_stats=True) and is in evaluation mode"
        )
    return batch_norm(graph, call)


LINEAR: dict[str, Rule] = {
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
    "aten.instance_norm": instance_norm,
    "aten._native_batch_norm_legit_no_training": batch_norm_first,
}
