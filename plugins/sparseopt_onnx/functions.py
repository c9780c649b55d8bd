"""Functions of ONNX models: how large a graph is once they are written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

import onnx

import sparseopt as so
from sparseopt.judging import limits


def require_few_nodes(model: onnx.ModelProto, name: str) -> None:
    """Refuse graphs that are too large once functions are written out, and recursive functions."""
    functions = {(f.domain, f.name): f for f in model.functions}
    if len(functions) != len(model.functions):
        raise so.ProblemError(f"{name} defines one function twice; export it again")
    calls = {
        key: {(n.domain, n.op_type) for n in _all_nodes(function.node)} & set(functions)
        for key, function in functions.items()
    }
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise so.ProblemError(f"{name}: its functions call each other without end") from error
    sizes: dict[tuple[str, str], int] = {}
    for key in order:
        sizes[key] = _expanded(functions[key].node, sizes)
    if max([_expanded(model.graph.node, sizes), *sizes.values()]) > limits.NODES:
        raise so.ProblemError(
            f"{name} has more than {limits.NODES} nodes once its functions are written out; "
            "that is more than is read"
        )


def _expanded(nodes: Iterable[onnx.NodeProto], sizes: dict[tuple[str, str], int]) -> int:
    """Return how many nodes there are once functions are written out, up to above the limit."""
    count = sum(sizes.get((n.domain, n.op_type), 1) for n in _all_nodes(nodes))
    return min(count, limits.NODES + 1)


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those in the graphs of control flow."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)
