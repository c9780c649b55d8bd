"""Programs written out by the definitions of operators that have no rule."""

from __future__ import annotations

from typing import Any

import torch

import sparseopt as so
from sparseopt_torch.calls import overload, schema_of
from sparseopt_torch.conversion import NO_RULE, OPERATORS, REASONS, refusal
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.module_export import quiet


def decomposed(program: torch.export.ExportedProgram, table: Any) -> torch.export.ExportedProgram:
    """Return the program without in-place operators, with some replaced by their definitions."""
    try:
        with quiet():
            return program.run_decompositions(table)
    except Exception as error:  # torch.export raises many kinds
        raise so.ProblemError(
            f"torch.export cannot rewrite the module's in-place operations: {error}"
        ) from error


def definitions() -> Any:
    """Return the definitions of the operators that have no rule here."""
    table = torch.export.default_decompositions()
    for target in list(table):
        name = str(target)
        if name in OPERATORS or ".".join(name.split(".")[:2]) in OPERATORS:
            table.pop(target)
    return table


def require_hope(graph: TorchGraph) -> None:
    """Refuse the program at its first operator that has neither a rule nor a definition by others.

    That is told by names alone, so it comes before anything is converted, or written out by
    definitions, which takes long.
    """
    defined = {_packet_name(target) for target in definitions()}
    needed = graph.needed()
    varying: set[torch.fx.Node] = set()
    for node in graph.program.graph.nodes:
        name = _packet_name(node.target)
        if node.op == "placeholder" and node.name in graph.used:
            varying.add(node)
        elif node.op == "call_function" and name not in _SHAPE_ONLY:
            if varying.isdisjoint(node.all_input_nodes):
                continue
            varying.add(node)
            known = overload(node) in OPERATORS or name in OPERATORS
            if node not in needed or known:
                continue
            if name in REASONS or not (name in defined or schema_of(node) is None):
                raise refusal(graph, node, REASONS.get(name, NO_RULE))


# Their results do not depend on the numbers of what they read.
_SHAPE_ONLY = frozenset(
    f"aten.{name}"
    for name in (
        *("sym_size", "sym_numel", "sym_stride", "zeros_like", "ones_like", "full_like"),
        *("empty_like", "new_zeros", "new_ones", "new_full", "new_empty", "fill"),
        *("rand_like", "randn_like", "randint_like"),
    )
)


def _packet_name(target: Any) -> str:
    """Return an operator's name without overload and without the mark of working in place."""
    return ".".join(str(target).split(".")[:2]).removesuffix("_")
