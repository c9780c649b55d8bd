"""ONNX operators at the end of a network, which are left out."""

from __future__ import annotations

import onnx

from sparseopt.tools.reading.values import Value
from sparseopt_onnx.graph import OnnxGraph, Rule


def head(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Softmax, LogSoftmax, Sigmoid and Tanh at the end of the network: left out, with a note."""
    x = graph.value(node)
    graph.attributes(node).ignore("axis")
    graph.builder.note(
        f"the head {graph.label(node)!r} ({node.op_type}) was stripped; outputs are its inputs"
    )
    graph.heads.add(id(node))
    graph.set(node, Value(x.name, x.shape, node.op_type))


HEADS: dict[str, Rule] = {
    "Softmax": head,
    "LogSoftmax": head,
    "Sigmoid": head,
    "Tanh": head,
}
