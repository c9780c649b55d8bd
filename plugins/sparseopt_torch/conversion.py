"""From exported programs to networks, node by node, by a rule for each operator."""

from __future__ import annotations

import operator

import torch

import sparseopt as so
from sparseopt.interface.context import Progress
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
    "wrap_with_autocast": "autocast rounds what it computes to fewer digits; switch it off, or "
    "convert the module by module.double()",
    "cond": "control flow whose condition depends on the input makes no fixed network",
    "while_loop": "control flow whose condition depends on the input makes no fixed network",
    "aten.embedding": "it picks rows of a table, which is no continuous function of their numbers",
    "aten.lstm": "a recurrent cell multiplies values that depend on the input",
    "aten.gru": "a recurrent cell multiplies values that depend on the input",
    "aten.scaled_dot_product_attention": "attention multiplies values that depend on the input",
}

NO_RULE = "this operator is not among those of a DAG ReLU network"

_HIGHER = frozenset({"wrap_with_autocast", "cond", "while_loop"})

KNOWN = frozenset({*OPERATORS, *REASONS})
"""Operators with a rule or a reason."""


def convert(graph: TorchGraph, progress: Progress | None = None) -> so.Network:
    """Return the network of an exported program, node by node."""
    needed, nodes = graph.needed(), graph.program.graph.nodes
    for i, node in enumerate(nodes):
        if progress is not None:
            progress(i / len(nodes), f"node {node.name}")
        if node.op == "call_function" and node in needed:
            _convert_node(graph, node)
    return graph.finish()


def _convert_node(graph: TorchGraph, node: torch.fx.Node) -> None:
    try:
        name = packet(node)
        if name in _HIGHER:  # which read graphs, not values only
            raise so.ProblemError(REASONS[name])
        if graph.constant_result(node):
            return
        rule = OPERATORS.get(overload(node)) or OPERATORS.get(name.removesuffix("_"))
        if node.target is operator.getitem:
            graph.environment[node.name] = graph.item(node)
            return
        if rule is None:
            raise so.ProblemError(REASONS.get(name.removesuffix("_"), NO_RULE))
        call = graph.call(node)
        graph.environment[node.name] = rule(graph, call)
        call.require_all_read()
    except so.ProblemError as error:
        raise refusal(graph, node, str(error)) from error
    except Exception as error:  # an argument of a kind that no rule foresaw
        said = printable(str(error).partition("\n")[0], 200)  # then follows where in C++
        raise so.ProblemError(
            f"{_where(node)} cannot be read: {type(error).__name__}: {said}{_help(graph, node)}"
        ) from error


def refusal(graph: TorchGraph, node: torch.fx.Node, reason: str) -> so.ProblemError:
    """Return the error for an operator that is not read, with what helps."""
    return so.ProblemError(f"{_where(node)} is refused: {reason}{_help(graph, node)}")


def _where(node: torch.fx.Node) -> str:
    path = module_of(node)[0]
    return f"node {node.name!r} ({overload(node)}{f' in {path}' if path else ''})"


def _help(graph: TorchGraph, node: torch.fx.Node) -> str:
    """Return how to read the network without a node."""
    before = []
    for read in node.all_input_nodes:
        found = graph.environment.get(read.name)
        later = read.name not in graph.environment  # where nothing was converted yet
        if read.op == "call_function" and (later or type(found) is Value):
            before.append(read.name)
    return cut_before(before, len(graph.names))
