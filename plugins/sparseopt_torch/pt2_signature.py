"""What goes into a saved program and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt_torch.pt2_arguments import one

_OUTPUTS = {
    "user_output": (OutputKind.USER_OUTPUT, ""),
    "buffer_mutation": (OutputKind.BUFFER_MUTATION, "buffer_name"),
    "user_input_mutation": (OutputKind.USER_INPUT_MUTATION, "user_input_name"),
}


def output_specs(
    saved: Iterable[Mapping[str, Any]], results: list[Any], nodes: Mapping[str, torch.fx.Node]
) -> list[OutputSpec]:
    """Return what the results of a program are, as the file says."""
    specs = []
    for result, (tag, body) in zip(results, map(one, saved), strict=True):
        if tag not in _OUTPUTS:
            raise so.ProblemError(f"the program gives a {printable(tag)!r}, which is not read")
        kind, key = _OUTPUTS[tag]
        argument = (
            TensorArgument(result.name)
            if isinstance(result, torch.fx.Node)
            else ConstantArgument("", result)
        )
        target = body[key] if key else None
        if target is not None and tag == "user_input_mutation":
            target = nodes[target].name
        specs.append(OutputSpec(kind, argument, target))
    return specs


def calling(inputs: list[InputSpec], results: list[Any]) -> ModuleCallEntry:
    """Return how the program is called: tensors in, a tuple out."""
    names = [str(spec.arg.name) for spec in inputs if spec.kind == InputKind.USER_INPUT]
    _, inside = pytree.tree_flatten((tuple(range(len(names))), {}))
    _, outside = pytree.tree_flatten(tuple(range(len(results))))
    return ModuleCallEntry("", ModuleCallSignature([], [], inside, outside, names))
