"""Layers without some of the entries that they read and give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import (
    Add,
    Concat,
    Input,
    Operator,
    Permute,
    Relu,
    Reshape,
    Select,
)
from sparseopt.networks.parameters import Shape
from sparseopt.networks.window import MaxPool, RankPool, Resample


@dataclass(frozen=True, eq=False)
class Cut:
    """What is left of a value: the entries `kept` along an axis (none of a scalar that goes)."""

    axis: int
    kept: np.ndarray


class Unfit(Exception):
    """A layer cannot lose these entries: what it reads and gives must stay whole."""


Cuts = Sequence[Cut | None]


@singledispatch
def without(
    op: Operator, node: Node, inputs: Cuts, own: Cut | None, shapes: Sequence[Shape], shape: Shape
) -> Node:
    """Return a layer that reads and gives what cuts leave, with origins that fit.

    Parameters
    ----------
    op : Operator
    node : Node
    inputs : sequence of Cut or None
        Of the values that it reads.
    own : Cut or None
        Of its value.
    shapes, shape
        Of what it reads and gives, before.

    Raises
    ------
    Unfit
        If there is no such layer.
    """
    raise ProblemError(
        f"it is not known how a {type(op).__name__} gets smaller; register it with the function "
        "without of sparseopt.tools.rescaling.smaller"
    )


def _rest(cut: Cut | None, axis: int, size: int) -> np.ndarray:
    """Return what is left along an axis of a value."""
    if cut is not None and cut.axis == axis:
        return cut.kept
    return np.arange(size)


def _only(cut: Cut | None, axis: int) -> None:
    if cut is not None and cut.axis != axis:
        raise Unfit


def _left(cut: Cut | None, shape: Shape) -> Shape:
    if cut is None:
        return shape
    return (*shape[: cut.axis], len(cut.kept), *shape[cut.axis + 1 :])


def _sliced(node: Node, changes: dict[str, Any], **index: tuple[np.ndarray, ...]) -> Node:
    """Return a node with parts of its parameters, and what these are of their tensors.

    Parameters
    ----------
    node : Node
    changes : dict
        Other fields of the operator.
    index : tuple of int arrays
        For each parameter what is kept along each axis.
    """
    held = node.op.parameters()
    arrays = {f: held[f][np.ix_(*kept)] if kept else held[f] for f, kept in index.items()}
    origin, layouts = dict(node.origin), dict(node.layouts)
    shapes = dict(node.tensor_shapes)
    for field, kept in index.items():
        if field not in origin or arrays[field].shape == held[field].shape:
            continue
        old_shape = shapes.pop(field, held[field].shape)
        places = layouts.pop(field, np.arange(held[field].size).reshape(held[field].shape))
        found = _within(places[np.ix_(*kept)], old_shape)
        if found is None:  # these entries are no part of the tensor that has a shape of its own
            del origin[field]
            continue
        order, new_shape = found
        if not np.array_equal(order.ravel(), np.arange(order.size)):
            layouts[field] = order
        if new_shape != arrays[field].shape:
            shapes[field] = new_shape
    op = replace(node.op, **arrays, **changes)  # type: ignore[type-var]
    return replace(node, op=op, origin=origin, layouts=layouts, tensor_shapes=shapes)


def _within(places: np.ndarray, shape: Shape) -> tuple[np.ndarray, Shape] | None:
    """Return order and shape of a part of a tensor, by the positions of its entries there.

    None if it is not what some rows, columns, and so on, have in common.
    """
    axes = np.unravel_index(places.ravel(), shape)
    new = tuple(len(np.unique(axis)) for axis in axes)
    if math.prod(new) != places.size:
        return None
    order = np.empty(places.size, dtype=np.int64)
    order[np.argsort(places.ravel(), kind="stable")] = np.arange(places.size)
    return order.reshape(places.shape), new


@without.register(Add | Input | Permute | Relu)
def _same(op: Any, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    return node


@without.register
def _dense(op: Dense, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    _only(inputs[0], len(shapes[0]) - 1)
    _only(own, len(shape) - 1)
    rows = _rest(own, len(shape) - 1, op.weight.shape[0])
    columns = _rest(inputs[0], len(shapes[0]) - 1, op.weight.shape[1])
    if op.bias is None:
        return _sliced(node, {}, weight=(rows, columns))
    return _sliced(node, {}, weight=(rows, columns), bias=(rows,))


def _blocks(kept: np.ndarray, size: int, groups: int) -> list[np.ndarray]:
    """Return what is kept of each of the equal blocks of an axis."""
    width = size // groups
    return [kept[(kept >= b * width) & (kept < (b + 1) * width)] for b in range(groups)]


def _of_groups(op: Any, reads: np.ndarray, gives: np.ndarray, sizes: tuple[int, int]) -> int:
    """Return how many groups a convolution has that keeps these channels."""
    entering = [len(b) for b in _blocks(reads, sizes[0], op.groups)]
    leaving = [len(b) for b in _blocks(gives, sizes[1], op.groups)]
    pairs = {(a, b) for a, b in zip(entering, leaving, strict=True) if a or b}
    if len(pairs) != 1 or 0 in next(iter(pairs)):
        raise Unfit
    return sum(1 for a in entering if a)


@without.register
def _conv(op: Conv, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    _only(inputs[0], 0)
    _only(own, 0)
    rows, columns = op.weight.shape[:2]
    gives, reads = _rest(own, 0, rows), _rest(inputs[0], 0, columns * op.groups)
    groups = _of_groups(op, reads, gives, (columns * op.groups, rows))
    parts = [b for b in _blocks(reads, columns * op.groups, op.groups) if len(b)]
    within = {tuple((b % columns).tolist()) for b in parts}
    if len(within) != 1:  # a weight array has one set of columns for all groups
        raise Unfit
    index = (gives, np.array(within.pop()), *(np.arange(k) for k in op.kernel))
    if op.bias is None:
        return _sliced(node, {"groups": groups}, weight=index)
    return _sliced(node, {"groups": groups}, weight=index, bias=(gives,))


@without.register
def _conv_transpose(
    op: ConvTranspose, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any
) -> Node:
    _only(inputs[0], 0)
    _only(own, 0)
    rows, columns = op.weight.shape[:2]
    gives, reads = _rest(own, 0, columns * op.groups), _rest(inputs[0], 0, rows)
    groups = _of_groups(op, reads, gives, (rows, columns * op.groups))
    parts = [b for b in _blocks(gives, columns * op.groups, op.groups) if len(b)]
    within = {tuple((b % columns).tolist()) for b in parts}
    if len(within) != 1:
        raise Unfit
    index = (reads, np.array(within.pop()), *(np.arange(k) for k in op.kernel))
    if op.bias is None:
        return _sliced(node, {"groups": groups}, weight=index)
    return _sliced(node, {"groups": groups}, weight=index, bias=(gives,))


@without.register
def _scale(op: Scale, node: Node, inputs: Cuts, own: Cut | None, shapes: Any, shape: Any) -> Node:
    if own is None:
        return node
    index = {
        field: tuple(
            own.kept if a == own.axis and n > 1 else np.arange(n) for a, n in enumerate(array.shape)
        )
        for field, array in op.parameters().items()
    }
    return _sliced(node, {}, **index)


@without.register
def _neuron(op: Neuron, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    kept = np.array([i for i, cut in enumerate(inputs) if cut is None], dtype=np.int64)
    if len(kept) == len(inputs):
        return node
    if op.kind == "pool" or not len(kept):  # a pool sees the zeros; a sum has a term at least
        raise Unfit
    node = replace(node, inputs=tuple(node.inputs[i] for i in kept))
    return _sliced(node, {}, weight=(kept,))


@without.register
def _reshape(op: Reshape, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    size = _left(own, shape)
    if math.prod(size) != math.prod(_left(inputs[0], shapes[0])):
        raise Unfit
    return replace(node, op=Reshape(size))


@without.register
def _concat(op: Concat, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    left = [_left(cut, old) for cut, old in zip(inputs, shapes, strict=True)]
    others = {(*s[: op.axis], *s[op.axis + 1 :]) for s in left}
    joined = sum(s[op.axis] for s in left)
    expected = (*left[0][: op.axis], joined, *left[0][op.axis + 1 :])
    if len(others) != 1 or expected != _left(own, shape):
        raise Unfit
    return node


@without.register
def _select(op: Select, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    before = np.arange(math.prod(shapes[0])).reshape(shapes[0])
    kept = before if inputs[0] is None else before.take(inputs[0].kept, axis=inputs[0].axis)
    new = np.full(before.size, -2)
    new[kept.ravel()] = np.arange(kept.size)
    index = op.index if own is None else op.index.take(own.kept, axis=own.axis)
    index = np.where(index < 0, -1, new[np.maximum(index, 0)])
    if index.min() < -1:
        raise Unfit
    return replace(node, op=Select(index))


@without.register(MaxPool | Resample)
def _windows(op: Any, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    axes = {window.axis for window in op.windows}
    for cut in (own, inputs[0]):
        if cut is not None and cut.axis in axes:
            raise Unfit
    return node


@without.register
def _rank_pool(op: RankPool, node: Node, inputs: Cuts, own: Any, shapes: Any, shape: Any) -> Node:
    if inputs[0] is not None and inputs[0].axis == op.axis:
        raise Unfit
    return node
