"""ONNX operators that add, subtract and multiply."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading.values import Value
from sparseopt_onnx.graph import OnnxGraph, Rule


def _operands(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[Value, Any, bool]:
    """Return the first varying operand, the other (array or Value), and whether they swapped."""
    a, b = (graph.constant(node.input[slot]) for slot in (0, 1))
    if a is None:
        return graph.value(node, 0), (graph.value(node, 1) if b is None else b), False
    return graph.value(node, 1), a, True


def _origin(graph: OnnxGraph, node: onnx.NodeProto, field: str) -> dict[str, str]:
    """Return the initializer behind a constant operand, if it is one."""
    names = [name for name in node.input if graph.is_initializer(name)]
    return {field: names[0]} if names else {}


def add(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Add of two values, or of a value and a constant."""
    x, other, _ = _operands(graph, node)
    name = graph.label(node)
    if isinstance(other, Value):
        graph.set(node, graph.builder.sum_of([x, other], name))
    else:
        made = graph.builder.affine(x, name, bias=other, origin=_origin(graph, node, "bias"))
        graph.set(node, made)


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
    origin = _origin(graph, node, "factor")
    graph.set(node, graph.builder.affine(x, graph.label(node), factor=other, origin=origin))


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


def parts(graph: OnnxGraph, node: onnx.NodeProto) -> tuple[list[Value], list[np.ndarray]]:
    """Return the inputs that vary and those that are constant."""
    constants = [c for n in node.input if (c := graph.constant(n)) is not None]
    slots = [i for i, n in enumerate(node.input) if graph.constant(n) is None]
    return [graph.value(node, slot) for slot in slots], constants


def total(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Sum and Mean of any number of values and constants."""
    name = graph.label(node)
    values, constants = parts(graph, node)
    result = graph.builder.sum_of(values, name)
    for constant in constants:
        result = graph.builder.affine(result, f"{name}:constant", bias=constant)
    if node.op_type == "Mean":
        result = graph.builder.affine(result, f"{name}:mean", factor=1.0 / len(node.input))
    graph.set(node, result)


ARITHMETIC: dict[str, Rule] = {
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Neg": negate,
    "Sum": total,
    "Mean": total,
}
