"""PyTorch operators that move, repeat or drop entries.

One that picks entries of one value needs no rule of its own: a line in the table here, with a rule
of `moving`, and a case in the test of those.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Value, joined_heads
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph
from sparseopt_torch.moving import axes_moved, in_order, moved, overwritten, pad, part, reshape


def _axis(axis: int, count: int) -> int:
    return axis + count if axis < 0 else axis


def same(graph: TorchGraph, call: Call) -> Value:
    """Operators that hand on their input: copies, and conversions between float types."""
    dtype = call.get("dtype")
    source = call.get("self", call.get("input"))
    if dtype in graph.halves:  # it meets weights of as few digits, and its rounding is left out
        graph.heads.add(call.node.name)
    elif dtype is not None and dtype not in (torch.float32, torch.float64):
        raise so.ProblemError(f"a conversion to {dtype} is not linear")
    return graph.value(source, after_head=True)


def dropout(graph: TorchGraph, call: Call) -> Value:
    """Dropout of every kind outside training."""
    if call.get("train", False) and call["p"] > 0:
        raise so.ProblemError("dropout is in training mode; call module.eval() first")
    return graph.value(call["input"], after_head=True)


def dropout_first(graph: TorchGraph, call: Call) -> list[Any]:
    """The decomposed dropout, which returns its mask as well."""
    return [dropout(graph, call), None]


def size(graph: TorchGraph, call: Call) -> int:
    """The size of an axis."""
    return graph.value(call["self"], after_head=True).shape[call["dim"]]


# Of several values: a layer joins them, and large networks get no positions of their entries.


def concat(graph: TorchGraph, call: Call) -> Value:
    """cat."""
    values = [_part(graph, v) for v in call["tensors"]]
    made = graph.builder.concat(values, _axis(call["dim"], len(values[0].shape)), call.name)
    return replace(made, head=joined_heads(values))


def stack(graph: TorchGraph, call: Call) -> Value:
    """stack."""
    values = [_part(graph, v) for v in call["tensors"]]
    axis = _axis(call["dim"], len(values[0].shape) + 1)
    shapes = [(*v.shape[:axis], 1, *v.shape[axis:]) for v in values]
    wide = [
        graph.builder.keep(v, shape) if isinstance(v, Value) else v.reshape(shape)
        for v, shape in zip(values, shapes, strict=True)
    ]
    return replace(graph.builder.concat(wide, axis, call.name), head=joined_heads(values))


def _part(graph: TorchGraph, argument: Any) -> Value | np.ndarray:
    """Return something that is joined with others as it is, heads and all."""
    if isinstance(argument, Value):
        return graph.value(argument, after_head=True)
    return part(graph, argument)


# With constants, whose numbers count as well as their places.


def like(graph: TorchGraph, call: Call) -> torch.Tensor:
    """zeros_like, ones_like, full_like and their new_ forms: constants of a known shape."""
    name = str(call.node.target)
    shape, like = call.get("size"), graph.value(call["self"], after_head=True).shape
    shape = like if shape is None else [int(n) for n in shape]
    require_room(shape)
    fill = call.get("fill_value", 1.0 if "ones" in name else 0.0)
    return _filled(call, shape, float(fill))


def fill(graph: TorchGraph, call: Call) -> torch.Tensor:
    """fill with a constant: nothing of the value is left."""
    number = graph.array(call["value"], "the number").reshape(())
    shape = graph.value(call["self"], after_head=True).shape
    return _filled(call, shape, float(number))


def _filled(call: Call, shape: Any, number: float) -> torch.Tensor:
    """Return a constant as the call's dtype holds it; of integers as doubles."""
    kind = call.node.meta["val"].dtype
    wide = torch.promote_types(kind, torch.float32 if kind.is_floating_point else torch.float64)
    return torch.full(list(shape), number, dtype=kind).to(wide)


def copy(graph: TorchGraph, call: Call) -> Any:
    """copy: the source, in the shape of what it overwrites."""
    shape, source = call["self"].shape, call["src"]
    if isinstance(source, Value):
        return graph.builder.broadcast(graph.value(source), shape, call.name)
    return source.expand(shape)


def expand_as(graph: TorchGraph, call: Call) -> Any:
    """expand_as: repeated to the shape of another value."""
    shape, source = call["other"].shape, call["self"]
    if isinstance(source, Value):
        return graph.builder.broadcast(graph.moved(source), shape, call.name)
    return source.expand(shape)


SHAPES: dict[str, Rule] = {
    "aten.clone": same,
    "aten.contiguous": same,
    "aten.alias": same,
    "aten.detach": same,
    "aten.lift_fresh_copy": same,
    "aten.to": same,
    "aten._to_copy": same,
    "aten.type_as": same,
    "aten.positive": same,
    "aten.dropout": dropout,
    "aten.feature_dropout": dropout,
    "aten.alpha_dropout": dropout,
    "aten.feature_alpha_dropout": dropout,
    "aten.native_dropout": dropout_first,
    "aten.sym_size.int": size,
    "aten.reshape": reshape,
    "aten.view": reshape,
    "aten._unsafe_view": reshape,
    "aten.view_copy": reshape,
    "aten.flatten": in_order,
    "aten.unflatten": in_order,
    "aten.squeeze": in_order,
    "aten.unsqueeze": in_order,
    "aten.permute": axes_moved,
    "aten.transpose": axes_moved,
    "aten.swapaxes": axes_moved,
    "aten.swapdims": axes_moved,
    "aten.t": axes_moved,
    "aten.mT": axes_moved,
    "aten.numpy_T": axes_moved,
    "aten.slice_scatter": overwritten,
    "aten.select_scatter": overwritten,
    "aten.fill": fill,
    "aten.copy": copy,
    "aten.movedim": axes_moved,
    "aten.moveaxis": axes_moved,
    "aten.cat": concat,
    "aten.concat": concat,
    "aten.concatenate": concat,
    "aten.stack": stack,
    "aten.zeros_like": like,
    "aten.ones_like": like,
    "aten.full_like": like,
    "aten.new_zeros": like,
    "aten.new_ones": like,
    "aten.new_full": like,
    "aten.split": moved,
    "aten.split_with_sizes": moved,
    "aten.chunk": moved,
    "aten.unbind": moved,
    "aten.slice": moved,
    "aten.narrow": moved,
    "aten.select": moved,
    "aten.index_select": moved,
    "aten.index": moved,
    "aten.gather": moved,
    "aten.unfold": moved,
    "aten.diagonal": moved,
    "aten.rot90": moved,
    "aten.narrow_copy": moved,
    "aten.flip": moved,
    "aten.roll": moved,
    "aten.expand": moved,
    "aten.expand_as": expand_as,
    "aten.broadcast_to": moved,
    "aten.repeat": moved,
    "aten.tile": moved,
    "aten.pad": pad,
    "aten.constant_pad_nd": pad,
    "aten.reflection_pad1d": pad,
    "aten.reflection_pad2d": pad,
    "aten.reflection_pad3d": pad,
    "aten.replication_pad1d": pad,
    "aten.replication_pad2d": pad,
    "aten.replication_pad3d": pad,
    "aten.pixel_shuffle": moved,
    "aten.pixel_unshuffle": moved,
    "aten.channel_shuffle": moved,
    "aten.native_channel_shuffle": moved,
}
