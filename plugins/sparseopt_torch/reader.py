"""Reads PyTorch modules, exported programs and .pt2 files."""

from __future__ import annotations

import copy
import operator
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn.utils import prune
from torch.nn.utils.prune import BasePruningMethod

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.tools.reading.budget import Budget, require_affordable
from sparseopt_torch.calls import module_of, overload, packet
from sparseopt_torch.graph import TorchGraph, mutates_shared_value
from sparseopt_torch.layers import LAYERS
from sparseopt_torch.module_check import Answer, ask, check_against_torch, unchanged_buffers
from sparseopt_torch.pools import POOLS
from sparseopt_torch.pt2_archive import open_program
from sparseopt_torch.pt2_program import build, file_shape, settled_shape
from sparseopt_torch.shapes import SHAPES

OPERATORS = {**LAYERS, **POOLS, **SHAPES}

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


@dataclass(frozen=True)
class TorchReader(so.Reader):
    """Reads a DAG ReLU network from PyTorch through ``torch.export``.

    Modules need an example input; its values do not matter. Parameters are copied, masks of
    ``torch.nn.utils.prune`` are applied, modules are left as they were. Operators are allowed by
    name; any other is refused with the name of its node.

    Parameters
    ----------
    check : bool
        Compare the network with the module on random input.
    """

    check: bool = True
    writes: ClassVar[bool] = True

    def read(self, source: Any, example: Any = None) -> so.Network:
        """Return the network."""
        if isinstance(source, str | os.PathLike):
            return self._from_file(source, example)
        if isinstance(source, torch.export.ExportedProgram):
            return self._from_program(source, _program_shape(source, example))
        return self._from_module(source, example)

    def multiply(self, source: Any, factors: Mapping[str, Any]) -> Callable[[], None]:
        """Multiply parameters and buffers of a module in place; masks stay as they are."""
        found = {name: _tensor(source, name) for name in factors}
        before = {name: tensor.detach().clone() for name, (_, tensor) in found.items()}

        def write(tensors: Mapping[str, torch.Tensor]) -> None:
            with torch.no_grad():
                for name, value in tensors.items():
                    owner, tensor = found[name]
                    tensor.copy_(value)
                    _apply_masks(owner)

        products = {}
        for name, factor in factors.items():
            old = before[name]
            wide = torch.from_numpy(np.asarray(factor, dtype=np.float64)).to(old.device)
            wide = wide.reshape(old.shape) if wide.numel() == old.numel() else wide
            products[name] = (old.double() * wide).to(old.dtype)
        write(products)
        return lambda: write(before)

    def mask(self, source: Any, masks: Mapping[str, Any]) -> None:
        """Register masks with ``torch.nn.utils.prune``, on top of those that are there."""
        for name, mask in masks.items():
            owner, tensor = _tensor(source, name)
            wide = torch.from_numpy(np.array(mask, dtype=bool)).to(tensor.device)
            prune.custom_from_mask(owner, name.rpartition(".")[2], wide.reshape(tensor.shape))

    def _from_module(self, module: torch.nn.Module, example: Any) -> so.Network:
        if example is None:
            raise so.ProblemError(
                f"{type(module).__name__} does not fix its input shape; pass example=, an input "
                "tensor of the right shape (its values do not matter)"
            )
        module = getattr(module, "_orig_mod", module)  # of torch.compile
        _require_evaluation(module)
        clean = _without_masks(module)
        x = _as_tensor(example, clean)
        sample = x[:1] if x.ndim > 1 and len(x) > 1 and _is_batch(clean, x) else x
        try:
            with _quiet():
                answer = ask(clean, sample)
        except Exception as error:
            raise so.ProblemError(
                f"{type(module).__name__} cannot take an input of shape {tuple(x.shape)}: {error}"
            ) from error
        program, notes = _export(clean, sample)
        shape = tuple(sample.shape)
        return self._convert(program, shape, 1, _tied(clean), notes, answer)

    def _from_file(self, path: Any, example: Any) -> so.Network:
        budget = Budget()
        saved = open_program(path, budget)
        try:
            shape = file_shape(saved, example)
            program = build(saved, shape, KNOWN)
            return self._from_program(program, shape, budget)
        except so.ProblemError as error:
            raise so.ProblemError(f"{os.fspath(path)!r}: {error}") from error

    def _from_program(
        self, program: Any, shape: tuple[int, ...], budget: Budget | None = None
    ) -> so.Network:
        batch = shape[0] if len(shape) > 1 else 1
        if batch == 1:
            return self._convert(program, shape, 1, {}, [], budget=budget)
        try:
            return self._convert(program, (1, *shape[1:]), batch, {}, [], budget=budget)
        except so.ProblemError as refused:
            try:  # the samples of the batch meet, so it is no batch
                return self._convert(program, shape, 1, {}, [], budget=budget)
            except so.ProblemError:
                raise refused from None

    def _convert(
        self,
        program: torch.export.ExportedProgram,
        shape: tuple[int, ...],
        batch: int,
        aliases: dict[str, str],
        notes: list[str],
        answer: Answer | None = None,
        budget: Budget | None = None,
    ) -> so.Network:
        """Return the network; `budget` is that of a file, whose operators are looked up first."""
        allowed = None if budget is None else KNOWN
        try:
            plain = program
            if mutates_shared_value(program.graph):
                plain = _decomposed(program, {})
            graph = TorchGraph(plain, shape, batch, aliases, allowed, budget)
            network = convert(graph)
        except so.ProblemError as refused:
            known = any(reason in str(refused) for reason in REASONS.values())
            long = len(program.graph.nodes) > limits.PROGRAM_NODES // 4 and budget is not None
            if known or long or _is_final(program):
                raise
            try:  # operators such as einsum are defined by others
                plain = _decomposed(program, _unknown())
                graph = TorchGraph(plain, shape, batch, aliases, allowed, budget)
                network = convert(graph)
            except so.ProblemError:
                raise refused from None
        require_affordable(network)
        doubts = check_against_torch(graph, network, answer) if self.check else []
        return replace(network, notes=(*notes, *network.notes, *doubts))


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


# Before the export --------------------------------------------------------------------------


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's warnings about its own internals from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decomposed(program: torch.export.ExportedProgram, table: Any) -> torch.export.ExportedProgram:
    """Return the program without in-place operators, with some replaced by their definitions."""
    try:
        with _quiet():
            return program.run_decompositions(table)
    except Exception as error:  # torch.export raises many kinds
        raise so.ProblemError(
            f"torch.export cannot rewrite the module's in-place operations: {error}"
        ) from error


def _unknown() -> Any:
    """Return the definitions of the operators that have no rule here."""
    table = torch.export.default_decompositions()
    for target in list(table):
        name = str(target)
        if name in OPERATORS or ".".join(name.split(".")[:2]) in OPERATORS:
            table.pop(target)
    return table


def _is_final(program: torch.export.ExportedProgram) -> bool:
    """Whether some operator has neither a rule here nor a definition by others.

    Then it is no use to write the program out by definitions, which takes long.
    """
    defined = {_packet_name(target) for target in _unknown()}
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


def _tensor(source: Any, name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """Return a parameter or buffer, the unmasked one where it has a mask, and its module."""
    if not isinstance(source, torch.nn.Module):
        raise so.ProblemError(
            f"a {type(source).__name__} is not changed in place; work on the module, or on the "
            "network that so.load_network makes of it"
        )
    path, _, leaf = name.rpartition(".")
    owner = source.get_submodule(path)
    held = {**owner._parameters, **owner._buffers}
    tensor = held.get(f"{leaf}_orig", held.get(leaf))
    if tensor is None:
        raise so.ProblemError(f"{type(source).__name__} holds no tensor {name!r}")
    return owner, tensor


def _apply_masks(module: torch.nn.Module) -> None:
    """Compute the masked weights anew, as the next call of the module would."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod):
            hook(module, ())


def _require_evaluation(module: torch.nn.Module) -> None:
    """Refuse layers that act differently in training, before anything runs them."""
    norms, drops = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for name, part in module.named_modules():
        if part.training and isinstance(part, norms | drops):
            raise so.ProblemError(
                f"the layer {name or 'itself'!r} ({type(part).__name__}) is in training mode; call "
                "module.eval() first"
            )


def _as_tensor(example: Any, module: torch.nn.Module) -> torch.Tensor:
    """Return the example in the module's dtype and on its device."""
    if isinstance(example, tuple | list) and any(isinstance(e, torch.Tensor) for e in example):
        if len(example) != 1:
            raise so.ProblemError(
                f"the example holds {len(example)} inputs; a network here has one: wrap the module "
                "in one whose forward takes one tensor"
            )
        example = example[0]
    try:
        tensor = example if torch.is_tensor(example) else torch.as_tensor(np.asarray(example))
    except (TypeError, ValueError) as error:
        raise so.ProblemError(
            f"the example is a {type(example).__name__}; give a tensor or an array of numbers"
        ) from error
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    if tensor.is_complex() or tensor.numel() == 0:
        raise so.ProblemError(
            f"the example has shape {tuple(tensor.shape)} and dtype {tensor.dtype}; give a real "
            "tensor with entries"
        )
    if first is None:
        return tensor.detach().to(torch.float32 if not tensor.is_floating_point() else tensor.dtype)
    if first.dtype not in (torch.float32, torch.float64):
        raise so.ProblemError(
            f"the module has dtype {first.dtype}; convert it by module.float() first"
        )
    return tensor.detach().to(dtype=first.dtype, device=first.device)


def _is_batch(module: torch.nn.Module, example: torch.Tensor) -> bool:
    """Whether the module maps a stack of samples to the stack of their results."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(example.shape, generator=generator, dtype=example.dtype).to(example.device)
    try:
        with torch.no_grad(), unchanged_buffers(module), _quiet():
            together = module(x.clone())
            apart = [module(x[i : i + 1].clone()) for i in range(min(2, len(x)))]
    except Exception:  # the module does not take single samples; the export reports real errors
        return False
    if not isinstance(together, torch.Tensor) or together.shape[:1] != x.shape[:1]:
        return False
    if any(part.shape != (1, *together.shape[1:]) for part in apart):
        return False
    expected = torch.cat(apart)
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    return bool((together[: len(expected)] - expected).abs().max() <= 1e-3 * scale + 1e-6)


def _export(
    module: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.export.ExportedProgram, list[str]]:
    try:
        return _exported(module, x), []
    except Exception as first:  # torch.export raises many kinds
        try:
            traced = torch.fx.symbolic_trace(module)
            note = "torch.export failed; the module was traced by torch.fx instead"
            return _exported(traced, x), [note]
        except Exception:
            line = str(first).strip().splitlines()[0] if str(first).strip() else ""
            raise so.ProblemError(
                f"torch.export cannot follow {type(module).__name__}: {type(first).__name__}: "
                f"{line}; a forward whose steps depend on the data is no fixed network"
            ) from first


def _exported(module: torch.nn.Module, x: torch.Tensor) -> torch.export.ExportedProgram:
    with _quiet():
        return torch.export.export(module, (x,))


def _without_masks(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module with masks of ``torch.nn.utils.prune`` multiplied into the weights.

    Shares everything else with the original, which is not touched. A module without masks is
    returned as it is.
    """
    if not any(_masks(part) for part in module.modules()):
        return module
    return _copy_without_masks(module, {})


def _masks(module: torch.nn.Module) -> list[str]:
    hooks = module._forward_pre_hooks.values()
    return [h._tensor_name for h in hooks if isinstance(h, BasePruningMethod)]


def _copy_without_masks(module: torch.nn.Module, done: dict[int, Any]) -> torch.nn.Module:
    if id(module) in done:
        return done[id(module)]
    twin = copy.copy(module)
    done[id(module)] = twin
    twin.__dict__ = dict(module.__dict__)
    twin._parameters = dict(module._parameters)
    twin._buffers = dict(module._buffers)
    twin._modules = {
        name: None if child is None else _copy_without_masks(child, done)
        for name, child in module._modules.items()
    }
    for name in _masks(module):
        masked = module._parameters[f"{name}_orig"] * module._buffers[f"{name}_mask"]
        twin.__dict__.pop(name, None)
        del twin._parameters[f"{name}_orig"], twin._buffers[f"{name}_mask"]
        twin._parameters[name] = torch.nn.Parameter(masked.detach(), requires_grad=False)
    twin._forward_pre_hooks = OrderedDict(
        (key, hook)
        for key, hook in module._forward_pre_hooks.items()
        if not isinstance(hook, BasePruningMethod)
    )
    return twin


def _tied(module: torch.nn.Module) -> dict[str, str]:
    """Return, for parameters that are one tensor under several names, the first name."""
    first: dict[int, str] = {}
    aliases = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        aliases[name] = first.setdefault(id(parameter), name)
    return {name: other for name, other in aliases.items() if name != other}


def _program_shape(program: torch.export.ExportedProgram, example: Any) -> tuple[int, ...]:
    """Return the input shape of a program; a symbolic batch is 1, other sizes need an example."""
    names = program.graph_signature.user_inputs
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    if len(nodes) != 1:
        raise so.ProblemError(f"the program takes {len(nodes)} inputs; a network here has one")
    tensor = nodes[0].meta["val"]
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        raise so.ProblemError("the input of the program is not a tensor of floats")
    fixed = [n if isinstance(n, int) else None for n in tensor.shape]
    return settled_shape(fixed, [str(n) for n in tensor.shape], example)
