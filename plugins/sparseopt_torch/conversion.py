"""From exported programs to networks, node by node, by a rule for each operator."""

from __future__ import annotations

import operator

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.choices import cut_before
from sparseopt.tools.reading.values import Value
from sparseopt_torch.arithmetic import ARITHMETIC
from sparseopt_torch.calls import module_of, overload, packet
from sparseopt_torch.conditions import CONDITIONS
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.heads import HEADS
from sparseopt_torch.linear import LINEAR
from sparseopt_torch.ordering import ORDERING
from sparseopt_torch.piecewise import PIECEWISE
from sparseopt_torch.pools import POOLS
from sparseopt_torch.scattering import SCATTERING
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
    **ORDERING,
    **CONDITIONS,
    **SCATTERING,
}

REASONS = {
    "aten.gelu": "GELU is not piecewise linear",
    "aten.silu": "SiLU is not piecewise linear",
    "aten.hardswish": "hard-swish multiplies two values that depend on the input",
    "aten.mish": "mish is not piecewise linear",
    "aten.elu": "ELU is not piecewise linear",
    "aten.selu": "SELU is not piecewise linear",
    "aten.celu": "CELU is not piecewise linear",
    "aten.softplus": "softplus is not piecewise linear",
    "aten.layer_norm": "layer normalization divides by a function of the input",
    "aten.group_norm": "group normalization divides by a function of the input",
    "aten.rms_norm": "RMS normalization divides by a function of the input",
    "aten.scaled_dot_product_attention": "attention multiplies values that depend on the input",
}

KNOWN = frozenset({*OPERATORS, *REASONS})
"""Operators with a rule or a reason."""


def convert(graph: TorchGraph) -> so.Network:
    """Return the network of an exported program, node by node."""
    needed = graph.needed()
    for node in graph.program.graph.nodes:
        if node.op == "call_function" and node in needed:
            _convert_node(graph, node)
    return graph.finish()


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
            raise so.ProblemError(reason)
        call = graph.call(node)
        graph.environment[node.name] = rule(graph, call)
        call.require_all_read()
    except so.ProblemError as error:
        raise so.ProblemError(f"{where} is refused: {error}{_help(graph, node)}") from error
    except Exception as error:  # an argument of a kind that no rule foresaw
        said = printable(str(error).partition("\n")[0], 200)  # then follows where in C++
        raise so.ProblemError(
            f"{where} cannot be read: {type(error).__name__}: {said}{_help(graph, node)}"
        ) from error


def _help(graph: TorchGraph, node: torch.fx.Node) -> str:
    """Return how to read the network without a node."""
    read = [n for n in node.all_input_nodes if type(graph.environment.get(n.name)) is Value]
    return cut_before([n.name for n in read if n.op == "call_function"], len(graph.names))
