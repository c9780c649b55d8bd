"""Parts of an exported program: its results by name, and the program up to some of its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._export.verifier import load_verifier
from torch.export.exported_program import ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.tools.reading.choices import Outputs, chosen, unknown_node

Results = list[tuple[str, str]]
"""Name of an output of the model, and of the node that gives it."""


def results(program: torch.export.ExportedProgram) -> Results:
    """Return what the caller of a program gets: tensors, by the keys of dicts and by place."""
    specs = program.graph_signature.output_specs
    end = next(n for n in program.graph.nodes if n.op == "output")
    given = end.args[0] if isinstance(end.args[0], list | tuple) else [end.args[0]]
    kept = [item for spec, item in zip(specs, given, strict=False) if _is_users(spec)]
    names = _names(program, len(kept))
    return [
        (name, item.name)
        for name, item in zip(names, kept, strict=True)
        if isinstance(item, torch.fx.Node)
    ]


def _is_users(spec: Any) -> bool:
    return bool(spec.kind == OutputKind.USER_OUTPUT)


def _names(program: torch.export.ExportedProgram, count: int) -> list[str]:
    """Return a name for each result, from how the program packs them."""
    plain = [f"output_{i}" for i in range(count)]
    spec = program.call_spec.out_spec
    if spec is None or spec.num_leaves != count:
        return plain
    if count == 1 and spec.is_leaf():
        return ["output"]
    packed = pytree.tree_unflatten(list(range(count)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(packed)[0]]
    names = [".".join(str(_key(step)) for step in path) for path in paths]
    names = [f"output_{name}" if name[:1].isdigit() else name for name in names]
    return names if len(set(names)) == count and all(names) else plain


def _key(step: Any) -> Any:
    for attribute in ("key", "idx", "name"):
        if hasattr(step, attribute):
            return getattr(step, attribute)
    return step


def choose(
    program: torch.export.ExportedProgram, outputs: Outputs, until: str | None
) -> tuple[torch.export.ExportedProgram, Results]:
    """Return the program up to what is asked for, and its results.

    Raises
    ------
    ProblemError
        For an output or node that does not exist.
    """
    found = results(program)
    if not found:
        raise so.ProblemError("the output of the module does not depend on its input")
    if until is not None:
        node = _node(program, until)
        return cut(program, [node]), [(until, node)]
    if outputs is None:
        return program, found
    names = [name for name, _ in found]
    picked = [found[place] for place in chosen(names, outputs, "the module")]
    return cut(program, [node for _, node in picked], whole=True), picked


def _node(program: torch.export.ExportedProgram, until: str) -> str:
    """Return the node of a name, or the last one of a submodule."""
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    names = [n.name for n in calls]
    if until in names:
        return until
    inside = [n for n in calls if until in _paths(n)]
    if inside:
        return inside[-1].name
    known = [*names, *dict.fromkeys(path for n in calls for path in _paths(n) if path)]
    raise unknown_node(until, known, "the module")


def _paths(node: torch.fx.Node) -> set[str]:
    """Return the paths of the submodules that a node stands in; of later calls with ``@1``."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
    found = set()
    for key, (path, _) in stack.items():
        call = key.partition("@")[2]
        found.add(f"{path}@{call}" if call else str(path))
    return found - {""}


def cut(
    program: torch.export.ExportedProgram, ends: Sequence[str], whole: bool = False
) -> torch.export.ExportedProgram:
    """Return the program that gives the values of some nodes, and does what these need.

    Parameters
    ----------
    program : ExportedProgram
    ends : sequence of str
        Names of nodes.
    whole : bool
        Whether the values are those at the end of the program, after operations in place.
    """
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    left = set(ends)
    for node in program.graph.nodes:
        if node.op == "output":
            break
        copies[node] = made = graph.node_copy(node, copies.__getitem__)
        made.name = node.name  # torch would change some
        left.discard(node.name)
        if not left and not whole and node.op != "placeholder":
            break
    by_name = {node.name: node for node in graph.nodes}
    values = tuple(by_name[name] for name in ends)
    graph.output(values).meta["val"] = tuple(node.meta.get("val") for node in values)
    graph.eliminate_dead_code()
    signature = ExportGraphSignature(
        program.graph_signature.input_specs,
        [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(node.name), None) for node in values],
    )
    before = program.module_call_graph[0].signature
    assert before is not None
    _, packed = pytree.tree_flatten(tuple(range(len(values))))
    calling = ModuleCallSignature([], [], before.in_spec, packed, before.forward_arg_names)
    return torch.export.ExportedProgram(
        root=program.graph_module,
        graph=graph,
        graph_signature=signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=[ModuleCallEntry("", calling)],
        constants=program.constants,
        verifiers=[load_verifier("TRAINING")],  # which lets operators write in place
    )
