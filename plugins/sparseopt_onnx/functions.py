"""Functions of ONNX models: how large a graph is once they are written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter

import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits

_Key = tuple[str, str]
"""Domain and name."""


def require_few_nodes(model: onnx.ModelProto, name: str) -> None:
    """Refuse graphs that are too large once functions are written out, and recursive functions."""
    functions = {(f.domain, f.name): f for f in model.functions}
    if len(functions) != len(model.functions):
        raise so.ProblemError(f"{name} defines one function twice; export it again")
    for domain, operator in functions:
        if domain in ("", "ai.onnx"):
            raise so.ProblemError(
                f"{name} defines {printable(operator)!r}, an operator of ONNX, anew; which of the "
                "two is meant is not clear; give the function another name"
            )
    order = _callees_first(functions, name)
    sizes: dict[tuple[str, str], int] = {}
    for key in order:
        sizes[key] = _expanded(functions[key].node, sizes)
    if max([_expanded(model.graph.node, sizes), *sizes.values()]) > limits.NODES:
        raise so.ProblemError(
            f"{name} has more than {limits.NODES} nodes once its functions are written out; "
            "that is more than is read"
        )


def _callees_first(functions: dict[_Key, onnx.FunctionProto], name: str) -> list[_Key]:
    """Return the keys of functions, each after those that it calls."""
    calls = {
        key: {(n.domain, n.op_type) for n in all_nodes(function.node)} & set(functions)
        for key, function in functions.items()
    }
    try:
        return list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise so.ProblemError(f"{name}: its functions call each other without end") from error


def give_defaults(model: onnx.ModelProto, name: str) -> None:
    """Write defaults of functions' attributes into the calls, as the inliner forgets them."""
    functions = {(f.domain, f.name): f for f in model.functions}
    defaults = {key: list(f.attribute_proto) for key, f in functions.items()}
    # Attributes that have a value in every call, for which callers come before what they call.
    known = {key: {*f.attribute, *(a.name for a in defaults[key])} for key, f in functions.items()}
    inward = [functions[key] for key in reversed(_callees_first(functions, name))]
    for owner in (model.graph, *inward):
        own = known[owner.domain, owner.name] if isinstance(owner, onnx.FunctionProto) else set()
        for node in all_nodes(owner.node):
            key = (node.domain, node.op_type)
            missing = {a.name: a for a in defaults.get(key, ())}
            for given in node.attribute:
                default = missing.pop(given.name, None)
                if default is not None and given.ref_attr_name and given.ref_attr_name not in own:
                    raise so.ProblemError(
                        f"{name}: the attribute {printable(given.name)!r} of "
                        f"{printable(node.op_type)!r} has a default and is handed on by a function "
                        "whose own has none; export it again without functions"
                    )
            node.attribute.extend(missing.values())
            if key in known:
                values = {"", *own}
                known[key] &= {a.name for a in node.attribute if a.ref_attr_name in values}


def _expanded(nodes: Iterable[onnx.NodeProto], sizes: dict[tuple[str, str], int]) -> int:
    """Return how many nodes there are once functions are written out, up to above the limit."""
    count = sum(sizes.get((n.domain, n.op_type), 1) for n in all_nodes(nodes))
    return min(count, limits.NODES + 1)


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those in the graphs of control flow."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from all_nodes(graph.node)
