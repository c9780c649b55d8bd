"""ONNX operators that are piecewise linear."""

from __future__ import annotations

import numpy as np
import onnx

from sparseopt.tools.reading import composed
from sparseopt_onnx.arithmetic import parts
from sparseopt_onnx.graph import OnnxGraph, Rule


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
    largest = graph.largest(node)
    for slot, key in ((1, "min"), (2, "max")):
        given = graph.optional(node, slot, key)
        value = attributes.get(key)
        if given is not None:
            value, largest = float(given.reshape(())), graph.largest(node, given)
        elif value is None and graph.opset < 11:  # the standard's, in float64 too
            value = float(np.finfo(np.float32).max) * (-1.0 if key == "min" else 1.0)
        bounds.append(value)
    low, high = bounds
    value, name = graph.value(node), graph.label(node)
    graph.set(node, composed.clip(graph.builder, value, low, high, name, largest))


def hard_sigmoid(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """HardSigmoid."""
    attributes = graph.attributes(node)
    alpha, beta = float(attributes.get("alpha", 0.2)), float(attributes.get("beta", 0.5))
    made = composed.hard_sigmoid(graph.builder, graph.value(node), alpha, beta, graph.label(node))
    graph.set(node, made)


def extreme(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Max and Min of values and constants, entry by entry."""
    values, constants = parts(graph, node)
    largest = node.op_type == "Max"
    graph.set(node, composed.extreme(graph.builder, values, constants, largest, graph.label(node)))


PIECEWISE: dict[str, Rule] = {
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Abs": absolute,
    "Clip": clip,
    "HardSigmoid": hard_sigmoid,
    "Max": extreme,
    "Min": extreme,
}
