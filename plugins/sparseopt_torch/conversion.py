"""From exported programs to networks, node by node, by a rule for each operator."""

from __future__ import annotations

import operator

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt_torch.arithmetic import ARITHMETIC
from sparseopt_torch.calls import module_of, overload, packet
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.heads import HEADS
from sparseopt_torch.linear import LINEAR
from sparseopt_torch.piecewise import PIECEWISE
from sparseopt_torch.pools import POOLS
from sparseopt_torch.shapes import SHAPES
from sparseopt_torch.upsampling import UPSAMPLING

OPERATORS = {
    **LINEAR,
    **ARITHMETIC,
    **PIECEWISE,
    **HEADS,
    **POOLS,
    **SHAPES,
    **UPSAMPLING,
}

REASONS = {
    "aten.gelu": "GELU is not piecewise linear",
    "aten.silu": "SiLU is not piecewise linear",
    "aten.hardswish": "hard-swish multiplies two values that depend on the input",
    "aten.mish": "mish is not piecewise linear",
    "aten.elu": "ELU is not piecewise linear",
    "aten.selu": "SELU is not piecewise linear",
    "aten.celu": "CELU is not piecewise linear",
    "aten.tanh": "tanh is not piecewise linear",
    "aten.softplus": "softplus is not piecewise linear",
    "aten.layer_norm": "layer normalization divides by a function of the input",
    "aten.group_norm": "group normalization divides by a function of the input",
    "aten.instance_norm": "instance normalization divides by a function of the input",
    "aten.rms_norm": "RMS normalization divides by a function of the input",
    "aten.scaled_dot_product_attention": "attention multiplies values that depend on the input",
}

KNOWN = frozenset({*OPERATORS, *REASONS})
"""Operators with a rule or a reason."""


def convert(graph: TorchGraph) -> so.Network:
    """Return the network of an exported program, node by node."""
    needed = _needed(graph)
    for node in graph.program.graph.nodes:
        if node.op == "call_function" and node in needed:
            _convert_node(graph, node)
    return graph.finish()


def _needed(graph: TorchGraph) -> set[torch.fx.Node]:
    """Return the nodes that the results depend on."""
    needed = set(graph.results)
    for node in reversed(graph.program.graph.nodes):
        if node.op != "output" and node in needed:
            needed.update(node.all_input_nodes)
    return needed


def _convert_node(graph: TorchGraph, node: torch.fx.Node) -> None:
    path = module_of(node)[0]
    where = f"node {node.name!r} ({overload(node)}{f' in {path}' if path else ''})"
    try:
        if graph.constant_result(node):
            return
        name = packet(node)
        rule = OPERATORS.get(overload(node)) or OPERATORS.get(name.removesuffix("_"))
        if node.target is operator.getitem:
            graph.environment[node.name] = graph.item(node)
            return
        if rule is None:
            reason = REASONS.get(
                name.removesuffix("_"),
                "this operator is not among those of a DAG ReLU network",
            )
            raise so.ProblemError(f"{reason}; cut the network before it, or replace it")
        call = graph.call(node)
        graph.environment[node.name] = rule(graph, call)
        call.require_all_read()
    except so.ProblemError as error:
        raise so.ProblemError(f"{where} is refused: {error}") from error
    except Exception as error:  # an argument of a kind that no rule foresaw
        said = printable(str(error).partition("\n")[0], 200)  # then follows where in C++
        raise so.ProblemError(
            f"{where} cannot be read: {type(error).__name__}: {said}; cut the network before it"
        ) from error
