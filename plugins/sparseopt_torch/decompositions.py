"""Programs written out by the definitions of operators that have no rule."""

from __future__ import annotations

from typing import Any

import torch

import sparseopt as so
from sparseopt_torch.calls import overload
from sparseopt_torch.conversion import OPERATORS
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


def is_final(program: torch.export.ExportedProgram) -> bool:
    """Whether some operator has neither a rule here nor a definition by others.

    Then it is no use to write the program out by definitions, which takes long.
    """
    defined = {_packet_name(target) for target in definitions()}
    inputs = program.graph_signature.user_inputs
    varying: set[torch.fx.Node] = set()
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            varying.add(node)
        elif node.op == "call_function" and not varying.isdisjoint(node.all_input_nodes):
            varying.add(node)
            name = _packet_name(node.target)
            plain = isinstance(node.target, torch._ops.OpOverload) and bool(node.users)
            known = overload(node) in OPERATORS or name in OPERATORS or name in defined
            if plain and not known:
                return True
    return False


def _packet_name(target: Any) -> str:
    """Return an operator's name without overload and without the mark of working in place."""
    return ".".join(str(target).split(".")[:2]).removesuffix("_")
