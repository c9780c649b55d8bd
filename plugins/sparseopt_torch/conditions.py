"""PyTorch operators that choose between values by a condition: what is continuous of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.values import Comparison, Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


def compare(graph: TorchGraph, call: Call) -> Comparison:
    """gt, ge, lt and le of a value and a constant, as conditions of where and masked_fill."""
    a, b = call["self"], call["other"]
    if isinstance(a, Value) and isinstance(b, Value):
        raise so.ProblemError("it compares two values that both depend on the input")
    above = str(call.node.target).split(".")[1][0] == "g"
    if isinstance(a, Value):
        return Comparison(graph.value(a), graph.array(b, "the bound"), above)
    return Comparison(graph.value(b), graph.array(a, "the bound"), not above)


def negated(graph: TorchGraph, call: Call) -> Comparison:
    """logical_not and bitwise_not of a condition."""
    if not isinstance(call["self"], Comparison):
        raise so.ProblemError("it negates what is no condition on a value")
    return call["self"].opposite


def where(graph: TorchGraph, call: Call) -> Any:
    """where: by a constant mask; by a condition on x, if the result is continuous and linear in x
    on either side."""
    a, b = (
        graph.value(v) if isinstance(v, Value) else graph.array(v, "the operand")
        for v in (call["self"], call["other"])
    )
    return _chosen(graph, call["condition"], a, b, call.name)


def masked_fill(graph: TorchGraph, call: Call) -> Any:
    """masked_fill with a constant number, by a constant mask or a condition, as where."""
    number = graph.array(call["value"], "the number").reshape(()).astype(np.float64)
    if not np.isfinite(number):
        raise so.ProblemError(f"it fills with {number}")
    return _chosen(graph, call["mask"], number, graph.value(call["self"]), call.name)


def _chosen(graph: TorchGraph, condition: Any, a: Any, b: Any, name: str) -> Any:
    if isinstance(condition, Comparison):
        return graph.cases.by_comparison(condition, a, b, name)
    made = graph.cases.by_mask(graph.array(condition, "the mask") != 0, a, b, name)
    return torch.from_numpy(made) if isinstance(made, np.ndarray) else made


def soft_shrink(graph: TorchGraph, call: Call) -> Value:
    """softshrink: relu(x - w) - relu(-x - w)."""
    width = float(call["lambd"])
    return composed.soft_shrink(graph.builder, graph.value(call["self"]), width, call.name)


CONDITIONS: dict[str, Rule] = {
    **dict.fromkeys(("aten.gt", "aten.ge", "aten.lt", "aten.le"), compare),
    **dict.fromkeys(("aten.greater", "aten.greater_equal"), compare),
    **dict.fromkeys(("aten.less", "aten.less_equal"), compare),
    "aten.logical_not": negated,
    "aten.bitwise_not": negated,
    "aten.where": where,
    "aten.masked_fill": masked_fill,
    "aten.softshrink": soft_shrink,
}
