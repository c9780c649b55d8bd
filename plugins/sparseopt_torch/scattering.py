"""PyTorch operators that add entries at constant places, or sum along an axis.

Where the entries go is told by the operator that takes them from there, run on positions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Value
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph
from sparseopt_torch.moving import overwritten, part
from sparseopt_torch.positions import numbered

aten = torch.ops.aten


def cumulative(graph: TorchGraph, call: Call) -> Value:
    """cumsum along an axis."""
    x = graph.value(call["self"])
    axis = int(call["dim"])
    if not -len(x.shape) <= axis < len(x.shape):
        raise so.ProblemError(f"axis {axis} does not exist in a value of shape {x.shape}")
    axis %= len(x.shape)
    return windowed.cumulative(graph.builder, x, axis, False, False, call.name)


def fold(graph: TorchGraph, call: Call) -> Value:
    """col2im (fold): blocks of a window are added where they overlap."""
    x = graph.value(call["self"])
    size = [int(n) for n in call["output_size"]]
    kernel = [int(n) for n in call["kernel_size"]]
    dilation, padding, stride = (
        [int(n) for n in call[name]] for name in ("dilation", "padding", "stride")
    )
    channels = x.shape[-2] // math.prod(kernel)
    shape = (*x.shape[:-2], channels, *size)
    require_room(shape)
    require_room((x.shape[-2] * x.shape[-1],))
    places = numbered((1, channels, *size)) + 1  # so that 0 is the padding
    taken = aten.im2col(places, kernel, dilation, padding, stride)
    if taken.numel() != math.prod(x.shape):
        raise so.ProblemError(f"an input of shape {x.shape} does not fit the size {size}")
    targets = taken.numpy().astype(np.int64) - 1
    return windowed.scattered(graph.builder, x, targets, shape, call.name)


def unfold(graph: TorchGraph, call: Call) -> Value:
    """im2col (unfold): the cells of each window, 0 in the padding."""
    x = graph.value(call["self"])
    require_room((math.prod(x.shape) * math.prod(int(n) for n in call["kernel_size"]),))
    keys = ("kernel_size", "dilation", "padding", "stride")
    found = aten.im2col(numbered(x.shape) + 1, *([int(n) for n in call[key]] for key in keys))
    return graph.builder.select(x, found.numpy().astype(np.int64) - 1, call.name)


def triangle(graph: TorchGraph, call: Call) -> Value:
    """triu and tril: 0 on one side of a diagonal."""
    x = graph.value(call["self"])
    run = aten.triu if "triu" in str(call.node.target) else aten.tril
    found = run(numbered(x.shape) + 1, int(call["diagonal"]))
    return graph.builder.select(x, found.numpy().astype(np.int64) - 1, call.name)


def scatter_add(graph: TorchGraph, call: Call) -> Value:
    """scatter_add with constant indices."""
    index = _index(graph, call["index"])
    base, added = part(graph, call["self"]), part(graph, call["src"])
    targets = np.full(added.shape, -1, dtype=np.int64)
    axis = int(call["dim"])
    taken = aten.gather(numbered(base.shape), axis, index).numpy().astype(np.int64)
    targets[tuple(slice(n) for n in taken.shape)] = taken
    return windowed.with_added(graph.builder, base, added, targets, call.name)


def index_add(graph: TorchGraph, call: Call) -> Value:
    """index_add with constant indices."""
    if float(call["alpha"]) != 1.0:
        raise so.ProblemError("an alpha other than 1 is not supported")
    index = _index(graph, call["index"])
    base, added = part(graph, call["self"]), part(graph, call["source"])
    targets = aten.index_select(numbered(base.shape), int(call["dim"]), index)
    return windowed.with_added(
        graph.builder, base, added, targets.numpy().astype(np.int64), call.name
    )


def index_put(graph: TorchGraph, call: Call) -> Value:
    """index_put with constant positions, which overwrites or adds."""
    if not call.get("accumulate"):
        return overwritten(graph, call)
    base, added = part(graph, call["self"]), part(graph, call["values"])
    places = [None if i is None else _index(graph, i) for i in call["indices"]]
    taken = aten.index(numbered(base.shape), places).numpy().astype(np.int64)
    if taken.shape != added.shape:
        raise so.ProblemError(f"values of shape {added.shape} are added at {taken.shape} places")
    return windowed.with_added(graph.builder, base, added, taken, call.name)


def scatter(graph: TorchGraph, call: Call) -> Value:
    """scatter with constant indices: other entries, or a number, at some places."""
    base = part(graph, call["self"])
    index = _index(graph, call["index"])
    taken = aten.gather(numbered(base.shape), int(call["dim"]), index)
    if len(torch.unique(taken)) != taken.numel():
        raise so.ProblemError("it writes to one place twice, which has no defined order")
    if "src" in call.arguments:
        return overwritten(graph, call)
    places = taken.numpy().astype(np.int64).ravel()
    mask = np.zeros(math.prod(base.shape), dtype=bool)
    mask[places] = True
    number = graph.array(call["value"], "the number").reshape(()).astype(np.float64)
    return graph.cases.by_mask(mask.reshape(base.shape), number, graph.value(base), call.name)  # type: ignore[return-value]


def _index(graph: TorchGraph, argument: Any) -> torch.Tensor:
    if isinstance(argument, Value) or not isinstance(argument, torch.Tensor):
        raise so.ProblemError("its indices must be constant, but they depend on the input")
    return argument.cpu()


SCATTERING: dict[str, Rule] = {
    "aten.cumsum": cumulative,
    "aten.col2im": fold,
    "aten.im2col": unfold,
    "aten.triu": triangle,
    "aten.tril": triangle,
    "aten.scatter_add": scatter_add,
    "aten.scatter.src": scatter,
    "aten.scatter.value": scatter,
    "aten.index_add": index_add,
    "aten.index_put": index_put,
}
