"""ONNX operators that move, repeat or drop entries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx

import sparseopt as so
from sparseopt.network.cells import linear_map, nearest_map
from sparseopt_pathlifting.emitter import Value
from sparseopt_pathlifting.onnx_graph import OnnxGraph, attributes_of

Rule = Callable[[OnnxGraph, onnx.NodeProto], None]


def _select(graph: OnnxGraph, node: onnx.NodeProto, x: Value, index: np.ndarray) -> None:
    """Let the node pick entries of `x` by position."""
    graph.set(node, graph.emit.select(x, index, graph.label(node)))


def identity(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Identity and Dropout outside training."""
    x = graph.value(node, after_head=True)
    if node.op_type == "Dropout":
        training = graph.optional(node, 2, "training_mode")
        if training is not None and bool(training):
            raise so.ProblemError("it is in training mode; export the model after model.eval()")
    graph.set(node, x)


def cast(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Cast between float types."""
    target = attributes_of(node).get("to")
    if target not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        raise so.ProblemError("a cast to anything but float32 or float64 is not linear")
    identity(graph, node)


def reshape(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Reshape to a constant shape, with 0 (keep) and -1 (infer)."""
    x = graph.value(node, after_head=True)
    target = [int(n) for n in graph.require_constant(node, 1, "the shape").ravel()]
    if not attributes_of(node).get("allowzero", 0):
        target = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(target)]
    fixed = graph.fixed_batch
    known = math.prod(n for n in target if n > 0)
    whole = known == math.prod(x.shape) * fixed
    if whole and -1 not in target and fixed > 1 and target[:1] == [fixed]:
        target[0] = 1  # a batch size written into the file as a number
    graph.set(node, graph.emit.keep(x, graph.emit.inferred(x, target)))


def flatten(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Flatten to a matrix."""
    x = graph.value(node, after_head=True)
    axis = int(attributes_of(node).get("axis", 1))
    axis = axis + len(x.shape) if axis < 0 else axis
    graph.set(node, graph.emit.keep(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))))


def _axes(graph: OnnxGraph, node: onnx.NodeProto) -> list[int] | None:
    given = graph.optional(node, 1, "axes")
    axes = attributes_of(node).get("axes") if given is None else given.ravel().tolist()
    return None if axes is None else [int(a) for a in axes]


def squeeze(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Squeeze."""
    x = graph.value(node, after_head=True)
    axes = _axes(graph, node)
    ones = {i for i, n in enumerate(x.shape) if n == 1}
    drop = {a % len(x.shape) for a in axes} if axes else ones
    graph.set(node, graph.emit.keep(x, [n for i, n in enumerate(x.shape) if i not in drop]))


def unsqueeze(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Unsqueeze."""
    x = graph.value(node, after_head=True)
    shape = list(x.shape)
    axes = _axes(graph, node) or []
    for axis in sorted(a % (len(shape) + len(axes)) for a in axes):
        shape.insert(axis, 1)
    graph.set(node, graph.emit.keep(x, shape))


def transpose(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Transpose."""
    x = graph.value(node, after_head=True)
    order = attributes_of(node).get("perm") or list(range(len(x.shape)))[::-1]
    graph.set(node, graph.emit.permute(x, list(order), graph.label(node)))


def concat(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Concat of values and constants."""
    constants = [graph.constant(n) for n in node.input]
    values = [graph.value(node, i) if c is None else c for i, c in enumerate(constants)]
    axis = int(attributes_of(node)["axis"])
    axis = axis + len(values[0].shape) if axis < 0 else axis
    graph.set(node, graph.emit.concat(values, axis, graph.label(node)))


def split(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Split along an axis."""
    x = graph.value(node)
    attributes = attributes_of(node)
    axis = int(attributes.get("axis", 0)) % len(x.shape)
    given = graph.optional(node, 1, "split")
    sizes = attributes.get("split") if given is None else given.ravel().tolist()
    if not sizes:
        step = -(-x.shape[axis] // len(node.output))
        starts = range(0, x.shape[axis], step)
        sizes = [min(step, x.shape[axis] - start) for start in starts]
    if sum(sizes) != x.shape[axis] or len(sizes) != len(node.output):
        raise so.ProblemError(f"split {list(sizes)} does not fit axis {axis} of shape {x.shape}")
    cuts = np.cumsum(sizes)[:-1]
    parts = np.split(graph.emit.positions(x), cuts, axis=axis)
    for output, index in zip(node.output, parts, strict=True):
        graph.values[output] = graph.emit.select(x, index, graph.label(node))


def slices(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Slice, with bounds as attributes (before operator set 10) or constant inputs."""
    x = graph.value(node)
    attributes = attributes_of(node)
    if "starts" in attributes:
        starts, ends = attributes["starts"], attributes["ends"]
        axes = attributes.get("axes") or list(range(len(starts)))
        steps = [1] * len(starts)
    else:
        starts = graph.require_constant(node, 1, "starts").ravel().tolist()
        ends = graph.require_constant(node, 2, "ends").ravel().tolist()
        given = graph.optional(node, 3, "axes")
        axes = list(range(len(starts))) if given is None else given.ravel().tolist()
        stride = graph.optional(node, 4, "steps")
        steps = [1] * len(starts) if stride is None else stride.ravel().tolist()
    index = graph.emit.positions(x)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        stop: int | None = int(end)
        if step < 0 and end < -size:
            stop = None
        cut = [slice(None)] * len(x.shape)
        cut[axis] = slice(int(start), stop, int(step))
        index = index[tuple(cut)]
    _select(graph, node, x, index)


def gather(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Gather with constant indices."""
    x = graph.value(node)
    places = graph.require_constant(node, 1, "the indices")
    axis = int(attributes_of(node).get("axis", 0)) % len(x.shape)
    if places.size and (places.min() < -x.shape[axis] or places.max() >= x.shape[axis]):
        raise so.ProblemError(f"an index lies outside axis {axis} of shape {x.shape}")
    _select(graph, node, x, np.take(graph.emit.positions(x), places, axis=axis))


def expand(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Expand to a constant shape."""
    x = graph.value(node)
    target = tuple(int(n) for n in graph.require_constant(node, 1, "the shape"))
    shape = np.broadcast_shapes(x.shape, target)
    _select(graph, node, x, np.broadcast_to(graph.emit.positions(x), shape))


def tile(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Tile by constant repeats."""
    x = graph.value(node)
    repeats = graph.require_constant(node, 1, "the repeats").ravel().tolist()
    _select(graph, node, x, np.tile(graph.emit.positions(x), repeats))


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def pad(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Pad with a number, by reflection, by the edge, or around."""
    x = graph.value(node)
    attributes = attributes_of(node)
    mode = _PAD_MODES.get(attributes.get("mode", "constant"))
    given = graph.optional(node, 1, "the pads")
    pads = attributes.get("pads") if given is None else given.ravel().tolist()
    value = graph.optional(node, 2, "the padding value")
    fill = float(attributes.get("value", 0.0) if value is None else value.reshape(()))
    axes = graph.optional(node, 3, "axes")
    if mode is None or pads is None or (mode == "constant" and not math.isfinite(fill)):
        raise so.ProblemError(f"padding of mode {mode!r} with value {fill} is not supported")
    names = list(range(len(x.shape))) if axes is None else [int(a) for a in axes.ravel()]
    widths = [(0, 0)] * len(x.shape)
    for i, axis in enumerate(names):
        widths[axis % len(x.shape)] = (int(pads[i]), int(pads[i + len(names)]))
    index = graph.emit.positions(x)
    crop = tuple(
        slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True)
    )
    grow = [(max(0, a), max(0, b)) for a, b in widths]
    options = {"constant_values": -1} if mode == "constant" else {}
    places = np.pad(index[crop], grow, mode=mode, **options)  # type: ignore[call-overload]
    graph.set(
        node, graph.emit.select(x, places, graph.label(node), fill if mode == "constant" else 0.0)
    )


def depth_to_space(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """DepthToSpace (pixel shuffle) and SpaceToDepth."""
    x = graph.image(node)
    attributes = attributes_of(node)
    b = int(attributes["blocksize"])
    n, c, h, w = x.shape
    index = graph.emit.positions(x)
    if node.op_type == "SpaceToDepth":
        index = index.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
        _select(graph, node, x, index.reshape(n, c * b * b, h // b, w // b))
        return
    if attributes.get("mode", "DCR") == "DCR":
        index = index.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        index = index.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    _select(graph, node, x, index.reshape(n, c // (b * b), h * b, w * b))


def resize(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Resize and Upsample, nearest and linear."""
    x = graph.value(node)
    attributes = attributes_of(node)
    sizes, scales = _resized(graph, node, x, attributes)
    mode = attributes.get("mode", "nearest")
    place = attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = attributes.get("nearest_mode", "round_prefer_floor")
    if node.op_type == "Upsample" or graph.opset < 11:
        place, rounding = "asymmetric", "floor"
    if attributes.get("antialias", 0) or attributes.get("exclude_outside", 0):
        raise so.ProblemError("antialias and exclude_outside are not supported")
    maps = []
    for axis, (old, new, scale) in enumerate(zip(x.shape, sizes, scales, strict=True)):
        if old == new and scale == 1.0:
            continue
        where = _coordinates(old, new, scale, place)
        if mode == "nearest":
            cells = np.clip(_rounded(where, rounding), 0, old - 1)
            maps.append(nearest_map(axis, cells.astype(np.int64)))
        elif mode in ("linear", "bilinear", "trilinear"):
            maps.append(linear_map(axis, where, old))
        else:
            raise so.ProblemError(f"mode {mode!r} is not supported; nearest and linear are")
    graph.set(node, graph.emit.resample(x, maps, graph.label(node)))


def _resized(
    graph: OnnxGraph, node: onnx.NodeProto, x: Value, attributes: dict[str, object]
) -> tuple[list[int], list[float]]:
    """Return the new sizes and the scale of each axis."""
    if (
        attributes.get("axes") is not None
        or attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        raise so.ProblemError("axes and keep_aspect_ratio_policy are not supported")
    if node.op_type == "Upsample":
        given = graph.optional(node, 1, "the scales")
        scales = attributes.get("scales") if given is None else given.tolist()
        target = None
    else:
        slot = 1 if graph.opset < 11 else 2
        given = graph.optional(node, slot, "the scales")
        scales = None if given is None or given.size == 0 else given.tolist()
        target = graph.optional(node, 3, "the sizes")
    if target is not None and target.size:
        sizes = [int(n) for n in target]
        return sizes, [new / old for new, old in zip(sizes, x.shape, strict=True)]
    if not isinstance(scales, list) or len(scales) != len(x.shape):
        raise so.ProblemError(f"scales {scales} do not fit an input of shape {x.shape}")
    return [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)], scales


def _coordinates(old: int, new: int, scale: float, place: str) -> np.ndarray:
    """Return where each output cell lies on the input axis."""
    i = np.arange(new, dtype=np.float64)
    if place == "asymmetric":
        return i / scale
    if place == "align_corners":
        return i * (old - 1) / (new - 1) if new > 1 else np.zeros(1)
    if place == "half_pixel" or (place == "pytorch_half_pixel" and new > 1):
        return (i + 0.5) / scale - 0.5
    if place == "pytorch_half_pixel":
        return np.zeros(1)
    raise so.ProblemError(f"coordinate_transformation_mode {place!r} is not supported")


def _rounded(where: np.ndarray, rounding: str) -> np.ndarray:
    if rounding == "floor":
        return np.floor(where)
    if rounding == "ceil":
        return np.ceil(where)
    if rounding == "round_prefer_floor":
        return np.ceil(where - 0.5)
    if rounding == "round_prefer_ceil":
        return np.floor(where + 0.5)
    raise so.ProblemError(f"nearest_mode {rounding!r} is not supported")


SHAPES: dict[str, Rule] = {
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slices,
    "Gather": gather,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": depth_to_space,
    "Resize": resize,
    "Upsample": resize,
}
