"""Reads PyTorch modules, exported programs and .pt2 files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

import sparseopt as so
from sparseopt.interface.context import Progress
from sparseopt.judging import limits
from sparseopt.tools.reading.budget import Budget, require_affordable
from sparseopt.tools.reading.choices import Outputs, Weights
from sparseopt.tools.reading.origins import with_tensor_shapes
from sparseopt_torch.conversion import KNOWN, convert
from sparseopt_torch.decompositions import decomposed, definitions, require_hope
from sparseopt_torch.example_inputs import Inputs, common_batch, example_inputs, missing_example
from sparseopt_torch.graph import TorchGraph, mutates_shared_value
from sparseopt_torch.input_shapes import file_shapes, program_shapes
from sparseopt_torch.module_assignment import assign
from sparseopt_torch.module_check import Answer, ask, check_against_torch, require_same
from sparseopt_torch.module_export import export, is_batch, quiet, tied
from sparseopt_torch.module_masks import add_mask, apply_masks, tensor_of, without_masks
from sparseopt_torch.module_refusals import (
    HALVES,
    cannot_run,
    require_evaluation,
    require_followable,
    widened,
)
from sparseopt_torch.network_module import to_module
from sparseopt_torch.program_file import write_program
from sparseopt_torch.program_parts import choose
from sparseopt_torch.pt2_archive import open_program
from sparseopt_torch.pt2_parts import select
from sparseopt_torch.pt2_program import build
from sparseopt_torch.weight_files import with_weights


@dataclass(frozen=True)
class TorchReader(so.Reader):
    """Reads a DAG ReLU network from PyTorch through ``torch.export``.

    Modules need an example input; its values do not matter. Parameters are copied, but those that
    stay in files (see `weight_files`), masks of
    ``torch.nn.utils.prune`` are applied, modules are left as they were. Operators are allowed by
    name; any other is refused with the name of its node.

    Parameters
    ----------
    check : bool
        Compare the network with the module on random input.
    """

    check: bool = True
    writes: ClassVar[bool] = True

    def read(
        self,
        source: Any,
        example: Any = None,
        outputs: Outputs = None,
        until: str | None = None,
        progress: Progress | None = None,
        weights: Weights | None = None,
    ) -> so.Network:
        """Return the network of a source, or of a part of it; `weights` as in `with_weights`."""
        if weights is not None and not isinstance(source, torch.nn.Module):
            raise so.ProblemError(
                f"a {type(source).__name__} has its own weights; give weights= with a module"
            )
        context = so.Context(progress=progress)
        context.report(0.0, "asking torch for the program")
        if isinstance(source, str | os.PathLike):
            return self._from_file(source, example, outputs, until, context)
        if isinstance(source, torch.export.ExportedProgram):
            shapes = program_shapes(source, example)
            program, found = choose(source, outputs, until)
            return self._from_program(program, shapes, [name for name, _ in found], context)
        return self._from_module(source, example, outputs, until, context, weights)

    def multiply(self, source: Any, factors: Mapping[str, Any]) -> Callable[[], None]:
        """Multiply parameters and buffers of a module in place; masks stay as they are."""
        found = {name: tensor_of(source, name) for name in factors}
        before = {name: tensor.detach().clone() for name, (_, tensor) in found.items()}

        def write(tensors: Mapping[str, torch.Tensor]) -> None:
            with torch.no_grad():
                for name, value in tensors.items():
                    owner, tensor = found[name]
                    tensor.copy_(value)
                    apply_masks(owner)

        products = {}
        for name, factor in factors.items():
            old = before[name]
            wide = torch.from_numpy(np.asarray(factor, dtype=np.float64)).to(old.device)
            wide = wide.reshape(old.shape) if wide.numel() == old.numel() else wide
            products[name] = (old.double() * wide).to(old.dtype)
        write(products)
        return lambda: write(before)

    def make(self, subject: so.Network, **options: Any) -> Any:
        """Return a ``torch.fx.GraphModule`` that computes the network."""
        return to_module(subject, **options)

    def put(self, subject: so.Network, path: str) -> None:
        """Write a network to a new .pt2 file, which is read again and compared before."""
        write_program(subject, path, self.read)

    def mask(self, source: Any, masks: Mapping[str, Any]) -> None:
        """Register masks with ``torch.nn.utils.prune``, on top of those that are there."""
        for name, mask in masks.items():
            add_mask(source, name, mask)

    def assign(
        self, source: Any, tensors: Mapping[str, Any], merged: Sequence[str]
    ) -> Callable[[], None]:
        """Set parameters and buffers of a module in place, masks stay; drop normalizations."""
        return assign(source, tensors, merged)

    def _from_module(
        self,
        module: torch.nn.Module,
        example: Any,
        outputs: Outputs,
        until: str | None,
        context: so.Context,
        weights: Weights | None,
    ) -> so.Network:
        if example is None:
            raise missing_example(module)
        module = getattr(module, "_orig_mod", module)  # of torch.compile
        require_followable(module)
        with with_weights(module, weights) as (loaded, large):
            require_evaluation(loaded)
            clean, sample, answer, halved = _asked(without_masks(loaded), example)
            whole, notes = export(clean, sample)
            program, found = choose(whole, outputs, until)
            names = [name for name, _ in found]
            shapes = [tuple(t.shape) for t in sample.tensors]
            said = [*large, *halved, *notes]
            network = self._convert(
                program, shapes, names, 1, tied(clean), said, context, mapped=bool(large)
            )
            if self.check:
                require_same(whole, answer)
        return network

    def _from_file(
        self, path: Any, example: Any, outputs: Outputs, until: str | None, context: so.Context
    ) -> so.Network:
        budget = Budget()
        saved = open_program(path, budget)
        try:
            saved, names = select(saved, outputs, until)
            shapes = file_shapes(saved, example)
            program = build(saved, shapes, KNOWN)
            return self._from_program(program, shapes, names, context, budget)
        except so.ProblemError as error:
            raise so.ProblemError(f"{os.fspath(path)!r}: {error}") from error

    def _from_program(
        self,
        program: Any,
        given: Mapping[str, tuple[int, ...]],
        names: list[str],
        context: so.Context,
        budget: Budget | None = None,
    ) -> so.Network:
        shapes = list(given.values())
        batch = common_batch(shapes)
        if batch == 1:
            return self._convert(program, shapes, names, 1, {}, [], context, budget)
        single = [(1, *shape[1:]) for shape in shapes]
        try:
            return self._convert(program, single, names, batch, {}, [], context, budget)
        except so.ProblemError as refused:
            try:  # the samples of the batch meet, so it is not a batch
                return self._convert(program, shapes, names, 1, {}, [], context, budget)
            except so.ProblemError:
                raise refused from None

    def _convert(
        self,
        program: torch.export.ExportedProgram,
        shapes: Sequence[tuple[int, ...]],
        names: Sequence[str],
        batch: int,
        aliases: dict[str, str],
        notes: list[str],
        context: so.Context,
        budget: Budget | None = None,
        mapped: bool = False,
    ) -> so.Network:
        """Return the network; `budget` is that of a file, whose operators are looked up first.

        Weights that are `mapped` are neither copied nor compared with PyTorch.
        """
        allowed = None if budget is None else KNOWN

        def graph_of(plain: torch.export.ExportedProgram) -> TorchGraph:
            return TorchGraph(plain, shapes, names, batch, aliases, allowed, budget, mapped)

        require_hope(graph_of(program))
        shared = mutates_shared_value(program.graph)
        try:
            plain = decomposed(program, {}) if shared else program
            graph = graph_of(plain)
            network = convert(graph, context.part(0.3, 0.8))
        except so.ProblemError as refused:
            if len(program.graph.nodes) > limits.PROGRAM_NODES // 4 and budget is not None:
                raise
            try:  # operators such as einsum are defined by others
                graph = graph_of(decomposed(program, definitions()))
                network = convert(graph, context.part(0.3, 0.8))
            except so.ProblemError:
                raise refused from None
        require_affordable(network)
        network = with_tensor_shapes(network, graph.tensor_shapes().get)
        context.report(0.8, "comparing the network with torch")
        doubts = check_against_torch(graph, network) if self.check and not mapped else []
        return replace(network, notes=(*notes, *network.notes, *doubts))


def _asked(
    module: torch.nn.Module, example: Any
) -> tuple[torch.nn.Module, Inputs, Answer, list[str]]:
    """Return a module that runs, one sample, what it makes of that, and notes.

    Modules in half precision run in float64, unless something in them insists on theirs.
    """
    twin, notes = widened(module)
    for clean, said in ((twin, notes), (module, [])):
        given = example_inputs(example, clean)
        sample = given.mapped(lambda t: t[:1]) if is_batch(clean, given) else given
        try:
            with quiet():
                answer = ask(clean, sample)
            if clean is module or not any(t.dtype in HALVES for t in answer.outputs):
                return clean, sample, answer, said
        except Exception as error:
            if clean is module:
                raise cannot_run(clean, example, given, error) from error
    raise AssertionError("the module itself either runs or is refused")
