"""PyTorch operators that only move entries, by what they make of positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.tools.reading.values import Value, hollow
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import TorchGraph
from sparseopt_torch.positions import positions, run, without_memory


def moved(graph: TorchGraph, call: Call) -> Any:
    """Operators that pick entries of one value, into one result or several."""
    x = graph.moved(call["self"])
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
    before = start.stride()  # all distinct, as no axis has length 1
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
    if fill <= -float(np.finfo(np.float32).max) and fill <= -call.largest:
        ends = [int(n) for n in call["pad"]]
        pairs = [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True)][::-1]
        return hollow(x, [(0, 0)] * (len(x.shape) - len(pairs)) + pairs)
    if not math.isfinite(fill):
        raise so.ProblemError(f"padding with the value {fill} is not supported")
    index = positions(call, lambda of: {"self": of(x.shape)}, **others)
    return graph.builder.select(x, index, call.name, fill)


def overwritten(graph: TorchGraph, call: Call) -> Value:
    """What ``x[a:b] = y``, ``x[i] = y`` and ``x[i, j] = y`` with constant positions become.

    Either of x and y may be constant, so they are joined before their entries are picked.
    """
    call.get("accumulate")  # which `scattering` has looked at
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
