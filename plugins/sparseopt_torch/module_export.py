"""Modules before and in their export: the mode, the example, the batch."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt_torch.example_inputs import Inputs, common_batch
from sparseopt_torch.module_check import random_like, unchanged_buffers


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch says of its own internals from the user: warnings, logs, and graphs that it
    prints where it cannot go on; what was wrong is in its errors."""
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    before = log.disabled
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        log.disabled = True
        try:
            yield
        finally:
            log.disabled = before


def is_batch(module: torch.nn.Module, example: Inputs) -> bool:
    """Whether the module maps a stack of samples to the stack of their results."""
    shapes = [tuple(t.shape) for t in example.tensors]
    count = common_batch(shapes)
    if count == 1:
        return False
    generator = torch.Generator().manual_seed(0)
    inputs = example.mapped(lambda t: random_like(t, generator))
    try:
        with torch.no_grad(), unchanged_buffers(module), quiet():
            together = _tensors(inputs.mapped(torch.clone).call(module))
            apart = [
                _tensors(inputs.mapped(partial(_row, place=i)).call(module))
                for i in range(min(2, count))
            ]
    except Exception:  # the module does not take single samples; the export reports real errors
        return False
    if not together or any(len(part) != len(together) for part in apart):
        return False
    return all(
        _is_stack(whole, [part[place] for part in apart], count)
        for place, whole in enumerate(together)
    )


def _row(stack: torch.Tensor, place: int) -> torch.Tensor:
    return stack[place : place + 1].clone()


def _tensors(result: Any) -> list[torch.Tensor]:
    return [v.detach() for v in pytree.tree_leaves(result) if isinstance(v, torch.Tensor)]


def _is_stack(together: torch.Tensor, apart: list[torch.Tensor], count: int) -> bool:
    """Whether a result of a stack is the stack of the results of samples, as far as they go."""
    if together.shape[:1] != (count,):
        return False
    if any(part.shape != (1, *together.shape[1:]) for part in apart):
        return False
    expected = torch.cat(apart)
    if not expected.numel() or not expected.is_floating_point():
        return True
    scale = float(expected.abs().max())
    return bool((together[: len(expected)] - expected).abs().max() <= 1e-3 * scale + 1e-6)


def export(
    module: torch.nn.Module, inputs: Inputs
) -> tuple[torch.export.ExportedProgram, list[str]]:
    """Return the program of a module, and notes on how it was found."""
    try:
        return exported(module, inputs), []
    except Exception as first:  # torch.export raises many kinds
        try:
            traced = torch.fx.symbolic_trace(module)
            note = "torch.export failed; the module was traced by torch.fx instead"
            return exported(traced, inputs), [note]
        except Exception:
            line = str(first).strip().splitlines()[0] if str(first).strip() else ""
            raise so.ProblemError(
                f"torch.export cannot follow {type(module).__name__}: {type(first).__name__}: "
                f"{line}; a forward whose steps depend on the data is not a fixed network"
            ) from first


def exported(module: torch.nn.Module, inputs: Inputs) -> torch.export.ExportedProgram:
    """Return what ``torch.export`` makes of a module."""
    with quiet():
        return torch.export.export(module, inputs.args, inputs.kwargs or None)


def tied(module: torch.nn.Module) -> dict[str, str]:
    """Return, for parameters that are one tensor under several names, the first name."""
    first: dict[int, str] = {}
    aliases = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        aliases[name] = first.setdefault(id(parameter), name)
    return {name: other for name, other in aliases.items() if name != other}
