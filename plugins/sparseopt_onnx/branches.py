"""Branches of If nodes whose condition is constant, written out in place of the node."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

import sparseopt as so
from sparseopt.interface.printing import printable


def branch_of(node: onnx.NodeProto, taken: bool) -> onnx.GraphProto:
    """Return the graph that an If node runs."""
    name = "then_branch" if taken else "else_branch"
    found = next((a.g for a in node.attribute if a.name == name), None)
    if found is None or len(found.output) != len(node.output):
        raise so.ProblemError(f"its {name} does not give its {len(node.output)} outputs")
    return found


def written_out(
    node: onnx.NodeProto, taken: bool, label: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and initializers that do what an If node does, under names of their own."""
    graph = branch_of(node, taken)
    if graph.sparse_initializer:
        raise so.ProblemError("its branches hold sparse tensors, which are not read")
    inside = [t.name for t in graph.initializer]
    inside += [name for inner in graph.node for name in inner.output if name]
    mapping = {name: f"{printable(label, 200)}/{name}" for name in inside}
    if len(mapping) != len(inside):
        raise so.ProblemError("one of its branches gives a name twice")
    nodes = [renamed(inner, mapping) for inner in graph.node]
    for result, output in zip(graph.output, node.output, strict=True):
        if output:
            source = mapping.get(result.name, result.name)
            nodes.append(onnx.helper.make_node("Identity", [source], [output]))
    tensors = []
    for tensor in graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = mapping[tensor.name]
        tensors.append(copy)
    return nodes, tensors


def renamed(node: onnx.NodeProto, mapping: Mapping[str, str]) -> onnx.NodeProto:
    """Return a copy of a node with other names for values, in its own graphs as well."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for names in (copy.input, copy.output):
        changed = [mapping.get(name, name) for name in names]
        del names[:]
        names.extend(changed)
    for attribute in copy.attribute:
        for graph in (attribute.g, *attribute.graphs):
            _rename_inside(graph, mapping)
    return copy


def _rename_inside(graph: onnx.GraphProto, mapping: Mapping[str, str]) -> None:
    """Change the names of values from outside that a graph reads."""
    own = {t.name for t in graph.initializer} | {i.name for i in graph.input}
    own |= {name for node in graph.node for name in node.output}
    outside = {name: new for name, new in mapping.items() if name not in own}
    nodes = [renamed(node, outside) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for output in graph.output:
        output.name = outside.get(output.name, output.name)
