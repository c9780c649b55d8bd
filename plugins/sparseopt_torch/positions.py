"""PyTorch operators that only move entries: each is run on the positions of its input.

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
from sparseopt.tools.reading.values import Shape, Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import TorchGraph

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
        if any(isinstance(leaf, Value) for leaf in pytree.tree_leaves(argument)):
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


# Rules ----------------------------------------------------------------------------------------


def moved(graph: TorchGraph, call: Call) -> Any:
    """Operators that pick entries of one value, into one result or several."""
    x = graph.value(call["self"])
    found = positions(call, lambda of: {"self": of(x.shape)})
    if isinstance(found, np.ndarray):
        return graph.builder.select(x, found, call.name)
    return [graph.builder.select(x, index, call.name) for index in found]


def in_order(graph: TorchGraph, call: Call) -> Value:
    """Operators that only give another shape."""
    x = graph.value(call["self"], after_head=True)
    return graph.builder.keep(x, run(call, {"self": without_memory(x.shape)}).shape)


def reshape(graph: TorchGraph, call: Call) -> Value:
    """reshape and view, where the batch size may be written down as a number."""
    x = graph.value(call["self"], after_head=True)
    key = "shape" if "shape" in call.arguments else "size"
    target = [int(n) for n in call[key]]
    fixed = graph.fixed_batch
    known = math.prod(n for n in target if n > 0)
    whole = -1 in target or known == math.prod(x.shape) * fixed
    if whole and fixed > 1 and target[:1] == [fixed]:
        target[0] = 1
    return graph.builder.keep(x, run(call, {"self": without_memory(x.shape), key: target}).shape)


def axes_moved(graph: TorchGraph, call: Call) -> Value:
    """Operators that reorder axes: the strides of the result tell which axis went where."""
    x = graph.value(call["self"], after_head=True)
    start = without_memory((2,) * len(x.shape))
    before = start.stride()  # all different, as no axis has length 1
    order = [before.index(n) for n in run(call, {"self": start}).stride()]
    return graph.builder.permute(x, order, call.name)


def pad(graph: TorchGraph, call: Call) -> Value:
    """pad with a number, by reflection, by the edge, or around."""
    x = graph.value(call["self"])
    others: dict[str, Any] = {}
    fill = 0.0
    if "value" in call.arguments and call.get("mode", "constant") == "constant":
        fill = float(call["value"] or 0.0)
        others = {"value": -1.0}  # the position of what comes from nowhere
    if not math.isfinite(fill):
        raise so.ProblemError(f"padding with the value {fill} is not supported")
    index = positions(call, lambda of: {"self": of(x.shape)}, **others)
    return graph.builder.select(x, index, call.name, fill)


def overwritten(graph: TorchGraph, call: Call) -> Value:
    """What ``x[a:b] = y``, ``x[i] = y`` and ``x[i, j] = y`` with constant positions become.

    Either of x and y may be constant, so they are joined before their entries are picked.
    """
    if call.get("accumulate"):
        raise so.ProblemError("index_put that accumulates is not supported")
    source = "values" if "values" in call.arguments else "src"
    parts = [part(graph, call[key]) for key in ("self", source)]
    base, patch = (p.shape for p in parts)
    count = math.prod(base)
    index = positions(call, lambda of: {"self": of(base), source: of(patch) + count})
    flat = [
        graph.builder.keep(p, (math.prod(p.shape),)) if isinstance(p, Value) else p.ravel()
        for p in parts
    ]
    together = graph.builder.concat(flat, 0, f"{call.name}:parts")
    return graph.builder.select(together, index, call.name)


def part(graph: TorchGraph, argument: Any) -> Value | np.ndarray:
    """Return something that is joined with others, varying or constant."""
    if isinstance(argument, Value):
        return graph.value(argument)
    return graph.array(argument, "a part of the concatenation")
