"""Modules that cannot be read whatever they compute, each with the reason in one sentence."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.choices import integer_input
from sparseopt_torch.example_inputs import Inputs

HALVES = (torch.float16, torch.bfloat16)
_QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


def require_followable(module: torch.nn.Module) -> None:
    """Refuse compiled and quantized modules, whose steps are not those of PyTorch's operators."""
    for name, part in module.named_modules():
        where = f"the layer {name!r}" if name else "the module"
        kind = type(part)
        if isinstance(part, torch.jit.ScriptModule):
            raise so.ProblemError(
                f"{where} ({kind.__name__}) was scripted or traced by torch.jit, and its steps are "
                "not to be seen; pass the module that it was made of"
            )
        if kind.__module__.startswith(_QUANTIZED):
            raise so.ProblemError(
                f"{where} ({kind.__module__}.{kind.__qualname__}) rounds what it reads to a few "
                "numbers, so it is not continuous; pass the module as it was before quantization"
            )


def require_evaluation(module: torch.nn.Module) -> None:
    """Refuse layers that act differently in training, before anything runs them."""
    norms, drops = torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd
    for name, part in module.named_modules():
        drops_some = isinstance(part, drops) and part.p > 0
        if part.training and (isinstance(part, norms) or drops_some):
            raise so.ProblemError(
                f"the layer {name or 'itself'!r} ({type(part).__name__}) is in training mode; call "
                "module.eval() first"
            )


def cannot_run(module: torch.nn.Module, example: Any, given: Inputs, error: Exception) -> Exception:
    """Return the error for a module that stopped when it was run on its example."""
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            return so.ProblemError(
                f"the layer {name or 'itself'!r} ({type(part).__name__}) keeps no statistics "
                "(track_running_stats=False), so it divides by those of its input in every mode, "
                "and that is not piecewise linear"
            )
    tables = any(
        isinstance(part, torch.nn.Embedding | torch.nn.EmbeddingBag) for part in module.modules()
    )
    integers = [
        leaf.dtype
        for leaf in pytree.tree_leaves(example)
        if hasattr(leaf, "dtype") and not _is_real(leaf)
    ]
    if tables and ("Long" in str(error) or integers):
        kind = str(integers[0]) if integers else "int64"
        return integer_input("", kind)
    said = printable(str(error).partition("\n")[0], 300)
    return so.ProblemError(f"{type(module).__name__} cannot take {given.shapes}: {said}")


def _is_real(leaf: Any) -> bool:
    if isinstance(leaf, torch.Tensor):
        return leaf.is_floating_point()
    return getattr(leaf.dtype, "kind", "f") == "f"


def widened(module: torch.nn.Module) -> tuple[torch.nn.Module, list[str]]:
    """Return a module in half precision as one in float64, and a note; others as they are.

    Every number of half precision is one of float64. What the module rounds in between is not.
    """
    tensors = (*module.parameters(), *module.buffers())
    found = sorted({str(t.dtype).removeprefix("torch.") for t in tensors if t.dtype in HALVES})
    if not found:
        return module, []
    words = " and ".join(found)
    try:
        twin = copy.deepcopy(module).double()
    except Exception as error:  # whatever a module does when it is copied
        raise so.ProblemError(
            f"the module computes in {words} and cannot be copied to float64: {printable(error)}; "
            "convert it by module.double() first"
        ) from error
    return twin, [half_note(words)]


def half_note(words: str) -> str:
    """Return the note for a source in half precision."""
    return f"it computes in {words}; its weights are read as they are, its rounding is not"
