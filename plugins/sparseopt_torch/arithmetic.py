"""PyTorch operators that add, subtract and multiply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.tools.reading.values import Origin, Value, times
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


def _scaled(graph: TorchGraph, operand: Any, factor: float, name: str) -> Any:
    """Return ``factor * operand`` for a value or a constant."""
    if isinstance(operand, Value):
        x = graph.value(operand)
        return x if factor == 1.0 else graph.builder.affine(x, f"{name}:alpha", factor=factor)
    return times(graph.array(operand, "the operand"), factor)


def _sum(
    graph: TorchGraph, a: Any, b: Any, name: str, origin: Mapping[str, Origin] | None = None
) -> Value:
    if isinstance(a, Value) and isinstance(b, Value):
        return graph.builder.sum_of([graph.value(a), graph.value(b)], name)
    x, constant = (a, b) if isinstance(a, Value) else (b, a)
    array = graph.array(constant, "the addend")
    return graph.builder.affine(graph.value(x), name, bias=array, origin=origin)


def add(graph: TorchGraph, call: Call) -> Value:
    """add: self + alpha other."""
    alpha = float(call.get("alpha", 1))
    other = _scaled(graph, call["other"], alpha, call.name)
    behind = graph.moved_origin(call, a="self", b="other") if alpha == 1.0 else {}
    origin = dict(zip(["bias"], behind.values(), strict=False))  # one of both, or none
    return _sum(graph, call["self"], other, call.name, origin)


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


ARITHMETIC: dict[str, Rule] = {
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
}
