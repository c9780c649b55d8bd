"""ONNX operators that choose between values by a condition, or by their order."""

from __future__ import annotations

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading import composed, windowed
from sparseopt.tools.reading.values import Comparison, Value
from sparseopt_onnx.graph import OnnxGraph, Rule


def compare(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Greater, Less and the like of a value and a constant, as conditions of Where."""
    a, b = (graph.constant(name) for name in node.input)
    above = node.op_type.startswith("Greater")
    if a is None and b is None:
        raise so.ProblemError("it compares two values that both depend on the input")
    found = (
        Comparison(graph.value(node, 0), np.asarray(b), above)
        if a is None
        else Comparison(graph.value(node, 1), a, not above)
    )
    graph.conditions[node.output[0]] = found


def negated(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Not of a condition."""
    graph.conditions[node.output[0]] = graph.condition(node, 0).opposite


def where(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Where: by a constant mask; by a condition on x, if the result is continuous and linear in x
    on either side."""
    name = graph.label(node)
    parts: list[Value | np.ndarray] = []
    for slot in (1, 2):
        constant = graph.constant(node.input[slot])
        parts.append(graph.value(node, slot) if constant is None else constant)
    mask = graph.constant(node.input[0])
    if mask is None:
        made = graph.cases.by_comparison(graph.condition(node, 0), parts[0], parts[1], name)
        graph.set(node, made)
        return
    chosen = graph.cases.by_mask(mask.astype(bool), parts[0], parts[1], name)
    assert isinstance(chosen, Value)  # a node of constants is computed before
    graph.set(node, chosen)


def shrink(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Shrink where it is continuous, its bias being its threshold: softshrink."""
    attributes = graph.attributes(node)
    width, bias = float(attributes.get("lambd", 0.5)), float(attributes.get("bias", 0.0))
    if width != bias:
        raise so.ProblemError(
            f"it jumps at its threshold {width:g}, as its bias {bias:g} is not the same"
        )
    made = composed.soft_shrink(graph.builder, graph.value(node), width, graph.label(node))
    graph.set(node, made)


def top(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """TopK: the largest or smallest entries in order; the indices are not read."""
    x = graph.value(node)
    attributes = graph.attributes(node)
    given = graph.integers(node, 1, "k")
    count = int(attributes.get("k", 0)) if given is None else given[0]
    axis = int(attributes.get("axis", -1))
    largest = attributes.flag("largest", True)
    if not attributes.flag("sorted", True) and count > 1:
        raise so.ProblemError("its entries come in no order (sorted=0)")
    if not -len(x.shape) <= axis < len(x.shape):
        raise so.ProblemError(f"axis {axis} does not exist in a value of shape {x.shape}")
    axis %= len(x.shape)
    size = x.shape[axis]
    if not 1 <= count <= size:
        raise so.ProblemError(f"{size} entries have no {count} largest")
    ranks = [i + 1 if largest else size - i for i in range(count)]
    graph.set(node, windowed.ranked(graph.builder, x, axis, ranks, graph.label(node)))
    graph.without(node.output[1], "indices are no continuous function of the input")


CONDITIONS: dict[str, Rule] = {
    "Greater": compare,
    "GreaterOrEqual": compare,
    "Less": compare,
    "LessOrEqual": compare,
    "Not": negated,
    "Where": where,
    "Shrink": shrink,
    "TopK": top,
}
