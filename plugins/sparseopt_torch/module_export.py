"""Modules before and in their export: the mode, the example, the batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt_torch.module_check import unchanged_buffers


@contextmanager
def quiet() -> Iterator[None]:
    """Keep PyTorch's warnings about its own internals from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require_evaluation(module: torch.nn.Module) -> None:
    """Refuse layers that act differently in training, before anything runs them."""
    norms, drops = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for name, part in module.named_modules():
        if part.training and isinstance(part, norms | drops):
            raise so.ProblemError(
                f"the layer {name or 'itself'!r} ({type(part).__name__}) is in training mode; call "
                "module.eval() first"
            )


def as_tensor(example: Any, module: torch.nn.Module) -> torch.Tensor:
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


def is_batch(module: torch.nn.Module, example: torch.Tensor) -> bool:
    """Whether the module maps a stack of samples to the stack of their results."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(example.shape, generator=generator, dtype=example.dtype).to(example.device)
    try:
        with torch.no_grad(), unchanged_buffers(module), quiet():
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


def export(
    module: torch.nn.Module, x: torch.Tensor
) -> tuple[torch.export.ExportedProgram, list[str]]:
    """Return the program of a module, and notes on how it was found."""
    try:
        return exported(module, x), []
    except Exception as first:  # torch.export raises many kinds
        try:
            traced = torch.fx.symbolic_trace(module)
            note = "torch.export failed; the module was traced by torch.fx instead"
            return exported(traced, x), [note]
        except Exception:
            line = str(first).strip().splitlines()[0] if str(first).strip() else ""
            raise so.ProblemError(
                f"torch.export cannot follow {type(module).__name__}: {type(first).__name__}: "
                f"{line}; a forward whose steps depend on the data is not a fixed network"
            ) from first


def exported(module: torch.nn.Module, x: torch.Tensor) -> torch.export.ExportedProgram:
    """Return what ``torch.export`` makes of a module."""
    with quiet():
        return torch.export.export(module, (x,))


def tied(module: torch.nn.Module) -> dict[str, str]:
    """Return, for parameters that are one tensor under several names, the first name."""
    first: dict[int, str] = {}
    aliases = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        aliases[name] = first.setdefault(id(parameter), name)
    return {name: other for name, other in aliases.items() if name != other}
