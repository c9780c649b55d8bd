"""Reads PyTorch modules, exported programs and .pt2 files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

import sparseopt as so
from sparseopt.judging import limits
from sparseopt.tools.reading.budget import Budget, require_affordable
from sparseopt.tools.reading.origins import with_tensor_shapes
from sparseopt_torch.conversion import KNOWN, REASONS, convert
from sparseopt_torch.decompositions import decomposed, definitions, is_final
from sparseopt_torch.graph import TorchGraph, mutates_shared_value
from sparseopt_torch.input_shapes import file_shape, program_shape
from sparseopt_torch.module_assignment import assign
from sparseopt_torch.module_check import Answer, ask, check_against_torch
from sparseopt_torch.module_export import (
    as_tensor,
    export,
    is_batch,
    quiet,
    require_evaluation,
    tied,
)
from sparseopt_torch.module_masks import add_mask, apply_masks, tensor_of, without_masks
from sparseopt_torch.network_module import to_module
from sparseopt_torch.program_file import write_program
from sparseopt_torch.pt2_archive import open_program
from sparseopt_torch.pt2_program import build


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
            return self._from_program(source, program_shape(source, example))
        return self._from_module(source, example)

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

    def _from_module(self, module: torch.nn.Module, example: Any) -> so.Network:
        if example is None:
            raise so.ProblemError(
                f"{type(module).__name__} does not fix its input shape; pass example=, an input "
                "tensor of the right shape (its values do not matter)"
            )
        module = getattr(module, "_orig_mod", module)  # of torch.compile
        require_evaluation(module)
        clean = without_masks(module)
        x = as_tensor(example, clean)
        sample = x[:1] if x.ndim > 1 and len(x) > 1 and is_batch(clean, x) else x
        try:
            with quiet():
                answer = ask(clean, sample)
        except Exception as error:
            raise so.ProblemError(
                f"{type(module).__name__} cannot take an input of shape {tuple(x.shape)}: {error}"
            ) from error
        program, notes = export(clean, sample)
        shape = tuple(sample.shape)
        return self._convert(program, shape, 1, tied(clean), notes, answer)

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
            try:  # the samples of the batch meet, so it is not a batch
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
                plain = decomposed(program, {})
            graph = TorchGraph(plain, shape, batch, aliases, allowed, budget)
            network = convert(graph)
        except so.ProblemError as refused:
            known = any(reason in str(refused) for reason in REASONS.values())
            long = len(program.graph.nodes) > limits.PROGRAM_NODES // 4 and budget is not None
            if known or long or is_final(program):
                raise
            try:  # operators such as einsum are defined by others
                plain = decomposed(program, definitions())
                graph = TorchGraph(plain, shape, batch, aliases, allowed, budget)
                network = convert(graph)
            except so.ProblemError:
                raise refused from None
        require_affordable(network)
        network = with_tensor_shapes(network, graph.tensor_shapes().get)
        doubts = check_against_torch(graph, network, answer) if self.check else []
        return replace(network, notes=(*notes, *network.notes, *doubts))
