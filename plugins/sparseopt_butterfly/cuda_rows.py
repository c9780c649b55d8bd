"""How layers multiply on a CUDA device: by the operator of kernels, where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

import sparseopt as so
from sparseopt.choosing import offers
from sparseopt.choosing.availability import import_path
from sparseopt.tools.chain_plan import MultiplicationPlan


def kernels_are_there() -> bool:
    """Whether CuPy and a device that fits are there; the operator is then known to torch."""
    return offers.engine("CudaChain").availability() is None


# What torch.compiler.assume_constant_result does, after it has loaded the compiler, which takes
# longer than all else in importing a layer.
kernels_are_there._dynamo_marked_constant = True  # type: ignore[attr-defined]


def times_rows(
    rows: torch.Tensor,
    factors: Sequence[torch.Tensor],
    bias: torch.Tensor | None,
    patterns: list[int],
) -> torch.Tensor | None:
    """Return rows (batch, n) times the transposed product, plus the bias; None if torch has to."""
    result = _product(rows, factors, patterns, "first")
    return result if result is None or bias is None else result + bias.to(result.dtype)


def times_columns(
    columns: torch.Tensor, factors: Sequence[torch.Tensor], patterns: list[int]
) -> torch.Tensor | None:
    """Return the product with columns (n, batch); None if torch has to multiply."""
    return _product(columns, factors, patterns, "last")


def planned(
    architecture: so.Architecture,
    factors: Sequence[torch.Tensor],
    batch: int,
    layout: Literal["first", "last"],
    entries: Sequence[int],
    tune: bool,
) -> tuple[MultiplicationPlan, float]:
    """Return how kernels multiply so many rows (or columns, batch "last") on the device of factors,
    and the predicted microseconds of a dense weight.

    Around the product, a layer reads and writes so many `entries` for each row, by operator. Where
    something is missing the plan says so: it is then made for what would run.
    """
    found = offers.engine("CudaChain")
    missing = found.availability()
    chain: Any = import_path(found.entry.path)(architecture, "torch")
    plan = chain.plan(batch, layout, factors, missing, tune)
    dense, around = chain.beside(batch, layout, factors, missing, entries)
    return replace(plan, around=around), dense


def _product(
    x: torch.Tensor, factors: Sequence[torch.Tensor], patterns: list[int], layout: str
) -> torch.Tensor | None:
    """Return the product with an operand in one of the two layouts, None if torch has to.

    It has to where operand and factors are of several data types, as under autocast, and where
    derivatives are taken forwards or of many operands at once (`torch.func`). float32 is multiplied
    as `torch.set_float32_matmul_precision` says.
    """
    if any(f.dtype != x.dtype for f in factors) or torch.is_autocast_enabled("cuda"):
        return None
    if torch.autograd.forward_ad._current_level >= 0 or not kernels_are_there():
        return None
    if not torch.compiler.is_compiling():
        try:
            x.data_ptr()
        except RuntimeError:  # a tensor of `torch.func`
            return None
    held = [f.contiguous() for f in factors]
    result: torch.Tensor = torch.ops.sparseopt.kronecker_chain(
        x.contiguous(), held, patterns, layout, "torch"
    )
    return result


def flat(architecture: so.Architecture) -> list[int]:
    """Return the numbers of all patterns, one after the other."""
    return [entry for pattern in architecture for entry in pattern]
