"""PyTorch operators that order the entries along an axis: sorting, top-k, medians."""

from __future__ import annotations

from typing import Any

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.values import Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


def _axis(x: Value, axis: int) -> int:
    """Return an axis counted from the front; `ProblemError` if there is none."""
    if not -len(x.shape) <= axis < len(x.shape):
        raise so.ProblemError(f"axis {axis} does not exist in a value of shape {x.shape}")
    return axis % len(x.shape)


def sort(graph: TorchGraph, call: Call) -> list[Any]:
    """sort and msort: each entry is the one of a rank; the indices are not read."""
    x = graph.value(call["self"])
    call.get("stable")  # which of equal entries comes first is of the indices
    axis = _axis(x, int(call.get("dim", -1)))
    ranks = list(range(1, x.shape[axis] + 1))
    ranks = ranks if call.get("descending", False) else ranks[::-1]
    return [windowed.ranked(graph.builder, x, axis, ranks, call.name), None]


def msort(graph: TorchGraph, call: Call) -> Value:
    """msort: ascending along the first axis."""
    x = graph.value(call["self"])
    ranks = list(range(1, x.shape[_axis(x, 0)] + 1))[::-1]
    return windowed.ranked(graph.builder, x, 0, ranks, call.name)


def top(graph: TorchGraph, call: Call) -> list[Any]:
    """topk: the largest or smallest entries in order; the indices are not read."""
    x = graph.value(call["self"])
    axis, count = _axis(x, int(call["dim"])), int(call["k"])
    if not call["sorted"] and count > 1:
        raise so.ProblemError("its entries come in no order (sorted=False)")
    size = x.shape[axis]
    if not 1 <= count <= size:
        raise so.ProblemError(f"{size} entries have no {count} largest")
    ranks = [i + 1 if call["largest"] else size - i for i in range(count)]
    return [windowed.ranked(graph.builder, x, axis, ranks, call.name), None]


def kth_value(graph: TorchGraph, call: Call) -> list[Any]:
    """kthvalue: the k-th smallest entry along an axis; the index is not read."""
    x = graph.value(call["self"])
    axis = _axis(x, int(call["dim"]))
    rank = x.shape[axis] - int(call["k"]) + 1
    return [_one(graph, call, x, axis, rank), None]


def median(graph: TorchGraph, call: Call) -> list[Any]:
    """median along an axis, of an even number of entries the lower; the index is not read."""
    x = graph.value(call["self"])
    axis = _axis(x, int(call["dim"]))
    return [_one(graph, call, x, axis, x.shape[axis] // 2 + 1), None]


def _one(graph: TorchGraph, call: Call, x: Value, axis: int, rank: int) -> Value:
    made = windowed.ranked(graph.builder, x, axis, [rank], call.name)
    if call.get("keepdim", False):
        return made
    return graph.builder.keep(made, [n for a, n in enumerate(made.shape) if a != axis])


def median_of_all(graph: TorchGraph, call: Call) -> Value:
    """median of all entries, of an even number of entries the lower."""
    x = graph.value(call["self"])
    count = 1
    for n in x.shape:
        count *= n
    flat = graph.builder.keep(x, (count,))
    made = windowed.ranked(graph.builder, flat, 0, [count // 2 + 1], call.name)
    return graph.builder.keep(made, ())


ORDERING: dict[str, Rule] = {
    "aten.sort": sort,
    "aten.msort": msort,
    "aten.topk": top,
    "aten.kthvalue": kth_value,
    "aten.median.dim": median,
    "aten.nanmedian.dim": median,
    "aten.median.default": median_of_all,
    "aten.nanmedian.default": median_of_all,
}
