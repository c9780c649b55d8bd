"""ONNX operators that take entries from constant places, put them there, or sum along an axis.

Places are worked out in NumPy: the reference implementation goes through them one by one.
"""

from __future__ import annotations

import math

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import pool_positions
from sparseopt_onnx.graph import OnnxGraph, Rule


def cumulative(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """CumSum along a constant axis."""
    x = graph.value(node)
    axis = _axis((graph.integers(node, 1, "the axis") or [0])[0], len(x.shape))
    attributes = graph.attributes(node)
    exclusive, reverse = attributes.flag("exclusive"), attributes.flag("reverse")
    made = windowed.cumulative(graph.builder, x, axis, exclusive, reverse, graph.label(node))
    graph.set(node, made)


def gather_nd(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """GatherND with constant indices."""
    x = graph.moved(node)
    index = _indices(graph, node, 1)
    batch = int(graph.attributes(node).get("batch_dims", 0))
    depth = index.shape[-1] if index.ndim else 0
    if not 0 <= batch < index.ndim or batch + depth > len(x.shape) or depth < 1:
        raise so.ProblemError(f"indices of shape {index.shape} do not fit a value {x.shape}")
    require_room((*index.shape[:-1], *x.shape[batch + depth :]))
    grid = np.indices(index.shape[:-1], sparse=True)[:batch]
    places = _within(np.moveaxis(index, -1, 0), x.shape[batch : batch + depth])
    found = graph.builder.positions(x)[(*grid, *places)]
    graph.set(node, graph.builder.select(x, found, graph.label(node)))


def gather_elements(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """GatherElements with constant indices."""
    x = graph.moved(node)
    axis = _axis(int(graph.attributes(node).get("axis", 0)), len(x.shape))
    places = _elements(_indices(graph, node, 1), axis, x.shape)
    graph.set(node, graph.builder.select(x, graph.builder.positions(x)[places], graph.label(node)))


def reverse_sequence(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ReverseSequence with constant lengths."""
    x = graph.moved(node)
    attributes = graph.attributes(node)
    time, batch = (
        _axis(int(attributes.get(name, default)), len(x.shape))
        for name, default in (("time_axis", 0), ("batch_axis", 1))
    )
    lengths = _indices(graph, node, 1).ravel()
    if len(lengths) != x.shape[batch] or time == batch:
        raise so.ProblemError(f"{len(lengths)} lengths do not fit a value of shape {x.shape}")
    if lengths.min() < 0 or lengths.max() > x.shape[time]:
        raise so.ProblemError(f"lengths from {lengths.min()} to {lengths.max()} do not fit")
    coordinates = list(np.indices(x.shape, sparse=True))
    shape = [1] * len(x.shape)
    shape[batch] = -1
    count, step = lengths.reshape(shape), coordinates[time]
    coordinates[time] = np.where(step < count, count - 1 - step, step)
    found = graph.builder.positions(x)[tuple(coordinates)]
    graph.set(node, graph.builder.select(x, found, graph.label(node)))


def scatter(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ScatterElements, Scatter and ScatterND with constant indices, which overwrite or add."""
    attributes = graph.attributes(node)
    how = attributes.choice("reduction", "none", ("none", "add"))
    base, added = (_operand(graph, node, slot) for slot in (0, 2))
    index = _indices(graph, node, 1)
    if node.op_type == "ScatterND":
        depth = index.shape[-1] if index.ndim else 0
        if not 1 <= depth <= len(base.shape):
            raise so.ProblemError(f"indices of shape {index.shape} do not fit {base.shape}")
        places = tuple(_within(np.moveaxis(index, -1, 0), base.shape[:depth]))
    else:
        axis = _axis(int(attributes.get("axis", 0)), len(base.shape))
        places = _elements(index, axis, base.shape)
    positions = np.arange(math.prod(base.shape)).reshape(base.shape)
    targets = positions[places]
    if targets.shape != added.shape:
        raise so.ProblemError(f"updates of shape {added.shape} go to places {targets.shape}")
    name = graph.label(node)
    if how == "add":
        graph.set(node, windowed.with_added(graph.builder, base, added, targets, name))
        return
    if len(np.unique(targets)) != targets.size:
        raise so.ProblemError("it writes to one place twice, which has no defined order")
    flat = positions.ravel().copy()
    flat[targets.ravel()] = flat.size + np.arange(targets.size)
    parts = [
        graph.builder.keep(p, (math.prod(p.shape),)) if isinstance(p, Value) else p.ravel()
        for p in (base, added)
    ]
    together = graph.builder.concat(parts, 0, f"{name}:parts")
    graph.set(node, graph.builder.select(together, flat.reshape(base.shape), name))


def fold(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Col2Im: blocks of a window are added where they overlap."""
    x = graph.value(node)
    image = graph.integers(node, 1, "the image's sizes") or []
    block = graph.integers(node, 2, "the block's sizes") or []
    count = len(block)
    attributes = graph.attributes(node)
    strides = attributes.sizes("strides", count, 1, 1)
    dilations = attributes.sizes("dilations", count, 1, 1)
    pads = attributes.sizes("pads", 2 * count, 0, 0)
    cells = math.prod(block)
    if len(x.shape) != 3 or len(image) != count or min([*image, *block], default=0) < 1:
        raise so.ProblemError(f"blocks {block} of {image} do not fit a value of shape {x.shape}")
    if x.shape[1] % cells:
        raise so.ProblemError(f"{x.shape[1]} rows are no blocks of {cells} cells")
    channels = x.shape[1] // cells
    require_room((x.shape[1], x.shape[2]))
    axes = [
        pool_positions(n, k, s, (a, b), d)
        for n, k, s, a, b, d in zip(
            image, block, strides, pads[:count], pads[count:], dilations, strict=True
        )
    ]
    if math.prod(len(places) for places in axes) != x.shape[2]:
        raise so.ProblemError(f"{x.shape[2]} blocks do not fit an image of sizes {image}")
    target = np.zeros((1,) * (2 * count), dtype=np.int64)
    outside = target > 0
    for i, (places, n) in enumerate(zip(axes, image, strict=True)):
        spread = [1] * (2 * count)
        spread[i], spread[count + i] = places.shape[1], len(places)
        turned = places.T.reshape(spread)
        target = target * n + turned
        outside = outside | (turned < 0) | (turned >= n)
    target = np.where(outside, -1, target).reshape(cells, x.shape[2])
    size = math.prod(image)
    targets = np.stack([np.where(target < 0, -1, target + c * size) for c in range(channels)])
    shape = (x.shape[0], channels, *image)
    require_room(shape)
    if x.shape[0] != 1:
        raise so.ProblemError(f"its input has shape {x.shape}; a batch of 1 is needed")
    graph.set(node, windowed.scattered(graph.builder, x, targets, shape, graph.label(node)))


def triangle(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Trilu: 0 on one side of a diagonal."""
    x = graph.value(node)
    k = (graph.integers(node, 1, "k") or [0])[0]
    run = np.triu if graph.attributes(node).flag("upper", True) else np.tril
    found = run(graph.builder.positions(x) + 1, k) - 1
    graph.set(node, graph.builder.select(x, found, graph.label(node)))


def _axis(axis: int, count: int) -> int:
    if not -count <= axis < count:
        raise so.ProblemError(f"axis {axis} does not exist among {count} axes")
    return axis % count


def _operand(graph: OnnxGraph, node: onnx.NodeProto, slot: int) -> Value | np.ndarray:
    constant = graph.constant(node.input[slot])
    return graph.value(node, slot) if constant is None else constant


def _indices(graph: OnnxGraph, node: onnx.NodeProto, slot: int) -> np.ndarray:
    index = graph.require_constant(node, slot, "its indices")
    if index.dtype.kind not in "iu" or index.size == 0:
        raise so.ProblemError(f"its indices have type {index.dtype} and shape {index.shape}")
    require_room(index.shape)
    graph.builder.budget.keep(index.size)
    return index.astype(np.int64)


def _within(places: np.ndarray, sizes: tuple[int, ...]) -> list[np.ndarray]:
    """Return indices along axes of these sizes, counted from the front."""
    for axis, size in zip(places, sizes, strict=True):
        if axis.min() < -size or axis.max() >= size:
            raise so.ProblemError(f"an index lies outside an axis of {size} entries")
    return [np.where(axis < 0, axis + n, axis) for axis, n in zip(places, sizes, strict=True)]


def _elements(index: np.ndarray, axis: int, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return the places that indices along one axis name, entry by entry."""
    fits = index.ndim == len(shape) and all(
        m <= n for a, (m, n) in enumerate(zip(index.shape, shape, strict=True)) if a != axis
    )
    if not fits:
        raise so.ProblemError(f"indices of shape {index.shape} do not fit a value of {shape}")
    coordinates: list[np.ndarray] = list(np.indices(index.shape, sparse=True))
    coordinates[axis] = _within(index[None], (shape[axis],))[0]
    return tuple(coordinates)


SCATTERING: dict[str, Rule] = {
    "CumSum": cumulative,
    "GatherND": gather_nd,
    "GatherElements": gather_elements,
    "ReverseSequence": reverse_sequence,
    "ScatterElements": scatter,
    "Scatter": scatter,
    "ScatterND": scatter,
    "Col2Im": fold,
    "Trilu": triangle,
}
