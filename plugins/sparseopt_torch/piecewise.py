"""PyTorch operators that are piecewise linear."""

from __future__ import annotations

import sparseopt as so
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.values import Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


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
    value = graph.value(call["self"])
    return composed.clip(graph.builder, value, bounds[0], bounds[1], call.name, call.largest)


def threshold(graph: TorchGraph, call: Call) -> Value:
    """threshold where it is continuous: x above, the threshold itself below."""
    if float(call["threshold"]) != float(call["value"]):
        raise so.ProblemError("it jumps at its threshold, so it is not continuous")
    value, low = graph.value(call["self"]), float(call["value"])
    return composed.clip(graph.builder, value, low, None, call.name, call.largest)


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


PIECEWISE: dict[str, Rule] = {
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
}
