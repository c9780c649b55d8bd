"""Runs PyTorch operators on the positions of their inputs, or on tensors without memory.

What it makes of the numbers 0, 1, 2, ... says where every entry of its result came from. So no
rule repeats what an operator does with its arguments, and no argument is overlooked. Operators
that keep the entries in order, or only their axes, are run on tensors without memory: a large
network gets no positions where a new shape says it all.

The operators are those of the table in `shapes`, which may run on constants of files as well.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Comparison, Shape, Value
from sparseopt_torch.calls import Call

Arguments = Callable[[Callable[[Shape], torch.Tensor]], dict[str, torch.Tensor]]


def run(call: Call, arguments: Mapping[str, Any]) -> Any:
    """Run the operator of a call with these arguments in place of those of the same names.

    Raises
    ------
    ProblemError
        For arguments that depend on the input.
    """
    known = {**call.all_arguments(), **arguments}
    for name, argument in known.items():
        if any(isinstance(leaf, Value | Comparison) for leaf in pytree.tree_leaves(argument)):
            raise so.ProblemError(
                f"its argument {name!r} must be constant, but it depends on the input"
            )
    known = pytree.tree_map_only(torch.Tensor, _here, known)
    schema = call.node.target._schema  # type: ignore[union-attr]
    ordered = [known.pop(a.name) for a in schema.arguments if not a.kwarg_only]
    with warnings.catch_warnings():  # of forms that PyTorch discourages, on every use
        warnings.simplefilter("ignore")
        return call.node.target(*ordered, **known)  # type: ignore[operator]


def _here(tensor: torch.Tensor) -> torch.Tensor:
    """Return a constant on the CPU, where positions are; tensors without memory stay such."""
    return tensor if tensor.is_meta else tensor.cpu()


def without_memory(shape: Shape) -> torch.Tensor:
    """Return a tensor that has a shape, but no numbers."""
    return torch.empty(shape, dtype=torch.float64, device="meta")


def numbered(shape: Shape) -> torch.Tensor:
    """Return positions as a tensor.

    As float64, which every operator takes, and which is exact below 2**53.
    """
    return torch.arange(math.prod(shape), dtype=torch.float64, device="cpu").reshape(shape)


def positions(call: Call, tensors: Arguments, **others: Any) -> Any:
    """Return where the entries of the result came from, or of each of several results.

    `tensors` makes the arguments to move, once of `without_memory` and once of `numbered`, so that
    a result that is too large is refused before it is made. `others` are further arguments.
    """
    plan = run(call, tensors(without_memory) | others)
    for leaf in pytree.tree_leaves(plan):
        require_room(leaf.shape)
    made = run(call, tensors(numbered) | others)
    return pytree.tree_map_only(torch.Tensor, lambda t: t.numpy().astype(np.int64), made)
