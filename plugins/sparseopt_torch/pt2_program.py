"""Builds an `ExportedProgram` from the JSON of a .pt2 file, for given shapes of its inputs.

Sizes that the file leaves open become numbers, so no symbolic expression is read. Names become
identifiers before torch writes Python source with them. Every operator is looked up in a table,
and the shapes of all values are worked out, without computing any, before one is computed.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from operator import getitem
from typing import Any

import torch
from torch._export.verifier import load_verifier
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    TensorArgument,
)
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.choices import cut_before
from sparseopt_torch.pt2_archive import SCALAR_TYPES, SavedProgram
from sparseopt_torch.pt2_arguments import argument, names, one
from sparseopt_torch.pt2_operators import find
from sparseopt_torch.pt2_signature import calling, output_specs

_INPUTS = {
    "user_input": (InputKind.USER_INPUT, ""),
    "parameter": (InputKind.PARAMETER, "parameter_name"),
    "buffer": (InputKind.BUFFER, "buffer_name"),
    "tensor_constant": (InputKind.CONSTANT_TENSOR, "tensor_constant_name"),
}


def build(
    saved: SavedProgram, shapes: Mapping[str, tuple[int, ...]], rules: frozenset[str]
) -> ExportedProgram:
    """Return the program for inputs of these shapes."""
    try:
        return _Builder(saved, shapes, rules).program()
    except so.ProblemError:
        raise
    except Exception as error:  # JSON of another form, or arguments that an operator refuses
        text = " ".join(str(error).split())
        raise so.ProblemError(
            f"the program is damaged: {type(error).__name__}: {printable(text, 200)}"
        ) from error


class _Builder:
    """A graph while it is built, with the fake value of every node."""

    def __init__(
        self, saved: SavedProgram, shapes: Mapping[str, tuple[int, ...]], rules: frozenset[str]
    ) -> None:
        self._saved = saved
        self._shapes = shapes
        self._rules = rules
        self._json = saved.program["graph_module"]["graph"]
        self._signature = saved.program["graph_module"]["signature"]
        self._graph = torch.fx.Graph()
        self._nodes: dict[str, torch.fx.Node] = {}
        # Without kernels: where a shape cannot be worked out, nothing is computed instead.
        self._mode = FakeTensorMode(allow_fallback_kernels=False)

    def program(self) -> ExportedProgram:
        """Return the program."""
        count = len(self._json["nodes"])
        if count > limits.PROGRAM_NODES:
            raise so.ProblemError(
                f"the program has {count} nodes; at most {limits.PROGRAM_NODES} are read"
            )
        inputs = self._inputs()
        for node in self._needed():
            self._add(node)
        results = [argument(a, self._nodes) for a in self._json["outputs"]]
        outputs = output_specs(self._signature["output_specs"], results, self._nodes)
        end = self._graph.output(tuple(results))
        end.meta["val"] = tuple(
            r.meta["val"] if isinstance(r, torch.fx.Node) else r for r in results
        )
        return ExportedProgram(
            root=torch.nn.Module(),
            graph=self._graph,
            graph_signature=ExportGraphSignature(inputs, outputs),
            state_dict=self._saved.tensors,
            range_constraints={},
            module_call_graph=[calling(inputs, results)],
            constants=self._saved.constants,
            verifiers=[load_verifier("TRAINING")],  # which lets operators write in place
        )

    def _inputs(self) -> list[InputSpec]:
        specs = []
        held = {**self._saved.tensors, **self._saved.constants}
        if len(held) < len(self._saved.tensors) + len(self._saved.constants):
            raise so.ProblemError("a constant has the name of a weight; export the module again")
        for place, (tag, body) in zip(
            self._json["inputs"], map(one, self._signature["input_specs"]), strict=True
        ):
            if tag not in _INPUTS:
                raise so.ProblemError(
                    f"the program takes a {printable(tag)!r}, which is not read; pass the module"
                )
            kind, key = _INPUTS[tag]
            name = place["as_tensor"]["name"]
            target = body[key] if key else None
            with self._mode:
                if target is None:
                    meta = self._json["tensor_values"][name]
                    value = torch.empty(self._shapes[name], dtype=SCALAR_TYPES[meta["dtype"]])
                else:
                    like = held[target]
                    value = torch.empty_strided(like.shape, like.stride(), dtype=like.dtype)
            node = self._graph.placeholder(_identifier(name))
            node.name = name  # torch would change names of Python's own functions, such as input
            node.meta["val"] = value
            self._keep(name, node)
            persistent = body["persistent"] is True if tag == "buffer" else None
            specs.append(InputSpec(kind, TensorArgument(node.name), target, persistent))
        return specs

    def _needed(self) -> list[dict[str, Any]]:
        """Return the nodes that the results depend on, and those that write in place."""
        wanted = {name for a in self._json["outputs"] for name in names(a)}
        kept = []
        for node in reversed(self._json["nodes"]):
            given = {name for a in node["outputs"] for name in names(a)}
            if not wanted.isdisjoint(given) or _writes(node["target"]):
                kept.append(node)
                wanted.update(name for a in node["inputs"] for name in names(a["arg"]))
        return kept[::-1]

    def _add(self, node: dict[str, Any]) -> None:
        outputs = [name for a in node["outputs"] for name in names(a)]
        where = f"node {printable(outputs[0] if outputs else '')!r} ({printable(node['target'])})"
        target = find(node["target"], self._rules)
        if target is None:
            raise so.ProblemError(
                f"{where} is refused: this operator is not among those of a DAG ReLU network"
                f"{self._help(node)}"
            )
        try:
            arguments, keywords = self._arguments(target, node["inputs"])
            value = self._fake(target, arguments, keywords)
        except so.ProblemError as error:
            raise so.ProblemError(f"{where} is refused: {error}") from error
        except Exception as error:  # whatever an operator says of arguments that do not fit
            text = " ".join(str(error).split())
            raise so.ProblemError(
                f"{where} cannot be read: {type(error).__name__}: {printable(text, 200)}"
            ) from error
        stack = _module_stack(node.get("metadata", {}))
        if len(node["outputs"]) == 1 and "as_tensors" not in node["outputs"][0]:
            made = self._call(outputs[0], target, arguments, keywords)
            made.meta.update(val=value, nn_module_stack=stack)
            self._keep(outputs[0], made)
            return
        called = node.get("name") or target.__name__.partition(".")[0]
        whole = self._call(called, target, arguments, keywords)
        whole.meta.update(val=value, nn_module_stack=stack)
        for place, name in enumerate(outputs):
            made = self._call(name, getitem, (whole, place), {})
            made.meta.update(val=value[place], nn_module_stack=stack)
            self._keep(name, made)

    def _help(self, node: dict[str, Any]) -> str:
        """Return how to read the program without a node."""
        read = [name for a in node["inputs"] for name in names(a["arg"]) if name in self._nodes]
        before = [n for n in read if self._nodes[n].op == "call_function"]
        return cut_before(before, len(self._json["outputs"]))

    def _call(self, name: str, target: Any, arguments: Any, keywords: Any) -> torch.fx.Node:
        return self._graph.create_node(
            "call_function", target, arguments, keywords, name=_identifier(name)
        )

    def _keep(self, name: str, node: torch.fx.Node) -> None:
        if name in self._nodes:
            raise so.ProblemError(f"two values are named {printable(name)!r}")
        self._nodes[name] = node

    def _arguments(
        self, target: Any, inputs: list[dict[str, Any]]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call, by place as far as possible."""
        schema = getattr(target, "_schema", None)
        if schema is None:
            return tuple(argument(a["arg"], self._nodes) for a in inputs), {}
        given = {a["name"]: argument(a["arg"], self._nodes) for a in inputs}
        unknown = set(given) - {a.name for a in schema.arguments}
        if unknown or len(given) != len(inputs):
            raise so.ProblemError(f"its arguments {printable(sorted(given))} are not its own")
        placed = []
        for own in schema.arguments:
            if own.kwarg_only or own.name not in given:
                break
            placed.append(given.pop(own.name))
        return tuple(placed), given

    def _fake(self, target: Any, arguments: Any, keywords: Any) -> Any:
        """Return the value of a call with shapes only, once it has room."""

        def value(item: Any) -> Any:
            return item.meta["val"] if isinstance(item, torch.fx.Node) else item

        arguments, keywords = pytree.tree_map(value, (arguments, keywords))
        _require_few_pieces(target, arguments)
        with self._mode, torch.no_grad():
            result = target(*arguments, **keywords)
        for leaf in pytree.tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                require_room(leaf.shape)
        return list(result) if isinstance(result, tuple) else result


def _writes(target: str) -> bool:
    """Whether an operator works in place, by its name: ``aten.relu_.default``."""
    return target.rpartition(".")[0].endswith("_")


def _identifier(name: Any) -> str:
    """Return a name that torch may write into Python source."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", name, re.ASCII) or keyword.iskeyword(name):
        raise so.ProblemError(f"{printable(name)!r} is not a name of a value")
    return str(name)


def _module_stack(metadata: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the submodules around a node: key to path and class."""
    stack = {}
    for entry in metadata.get("nn_module_stack", "").split(";"):
        key, *rest = entry.split(",", 2)
        if len(rest) == 2:
            stack[key] = (printable(rest[0], 200), printable(rest[1], 200))
    return stack


def _require_few_pieces(target: Any, arguments: Any) -> None:
    """Refuse operators that would return very many values."""
    returns = getattr(getattr(target, "_schema", None), "returns", ())
    lists = any("List" in str(r.type) for r in returns)
    if lists and any(
        max(leaf.shape, default=0) > limits.PROGRAM_NODES
        for leaf in pytree.tree_leaves(arguments)
        if isinstance(leaf, FakeTensor)
    ):
        raise so.ProblemError("it cuts a value in too many pieces")
