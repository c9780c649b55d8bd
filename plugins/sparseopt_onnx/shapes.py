"""ONNX operators that move, repeat or drop entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.budget import MOST_AXES, require_room
from sparseopt.tools.reading.values import Value, hollow, joined_heads
from sparseopt.tools.reading.window_cells import linear_map, nearest_map
from sparseopt_onnx.attributes import Attributes
from sparseopt_onnx.constants import evaluate
from sparseopt_onnx.graph import OnnxGraph, Rule


def _pick(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Let the node pick entries of its first input: those that it picks of their positions.

    The operator itself is run, as on constants, by the reference implementation of the standard.
    That knows every attribute, but trusts most of them; what it would misread is refused before.
    """
    x = graph.moved(node)
    given = [graph.builder.positions(x), *graph.constants_after_first(node)]
    found = evaluate(node, given, graph.opset, graph.builder.budget)
    graph.attributes(node).ignore(*(a.name for a in node.attribute))
    for output, index in zip(filter(None, node.output), found, strict=True):
        graph.values[output] = graph.builder.select(x, index, graph.label(node))


def _without_memory(x: Value) -> np.ndarray:
    """Return an array of the shape of `x`, to let NumPy say what another shape of it is."""
    return np.broadcast_to(np.int64(0), x.shape)


def identity(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Identity and Dropout outside training."""
    x = graph.value(node, after_head=True)
    if node.op_type == "Dropout":
        graph.attributes(node).ignore("ratio", "seed")
        training = graph.optional(node, 2, "training_mode")
        ratio = graph.optional(node, 1, "the ratio")
        drops = ratio is None or bool(ratio.any())
        if training is not None and training.any() and drops:
            raise so.ProblemError("it is in training mode; export the model after model.eval()")
    graph.set(node, x)


def cast(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Cast to float32 or float64."""
    attributes = graph.attributes(node)
    attributes.ignore("saturate", "round_mode")  # of eight-bit floats
    if attributes.get("to") not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        raise so.ProblemError("a cast to anything but float32 or float64 is not linear")
    identity(graph, node)


def cast_like(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """CastLike, to float32 or float64."""
    graph.attributes(node).ignore("saturate", "round_mode")  # of eight-bit floats
    kind = graph.constant(node.input[1])
    if kind is not None and kind.dtype not in (np.float32, np.float64):
        raise so.ProblemError("a cast to anything but float32 or float64 is not linear")
    if kind is None:
        graph.value(node, 1, after_head=True)  # values are floats
    identity(graph, node)


def reshape(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Reshape to a constant shape, with 0 (keep) and -1 (infer)."""
    x = graph.value(node, after_head=True)
    graph.require_constant(node, 1, "the shape")
    target = graph.integers(node, 1, "the shape") or []
    if not graph.attributes(node).flag("allowzero"):
        target = [x.shape[i] if n == 0 and i < len(x.shape) else n for i, n in enumerate(target)]
    fixed = graph.fixed_batch
    known = math.prod(n for n in target if n > 0)
    whole = known == math.prod(x.shape) * fixed
    if whole and -1 not in target and fixed > 1 and target[:1] == [fixed]:
        target[0] = 1  # a batch size written into the file as a number
    graph.set(node, graph.builder.keep(x, _without_memory(x).reshape(target).shape))


def flatten(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Flatten to a matrix."""
    x = graph.value(node, after_head=True)
    count = len(x.shape)
    axis = int(graph.attributes(node).get("axis", 1))
    if not -count <= axis <= count:
        raise so.ProblemError(f"axis {axis} does not exist in a value of shape {x.shape}")
    axis = axis + count if axis < 0 else axis
    graph.set(node, graph.builder.keep(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))))


def _axis(axis: int, count: int) -> int:
    """Return an axis counted from the front; `ProblemError` if there is none."""
    if not -count <= axis < count:
        raise so.ProblemError(f"axis {axis} does not exist among {count} axes")
    return axis % count


def _axes(graph: OnnxGraph, node: onnx.NodeProto) -> list[int] | None:
    given = graph.integers(node, 1, "the axes")
    named = graph.attributes(node).get("axes")
    axes = named if given is None else given
    if axes is not None and (len(axes) > MOST_AXES or len(set(axes)) != len(axes)):
        raise so.ProblemError("axes must be named once each")
    return None if axes is None else [int(a) for a in axes]


def squeeze(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Squeeze. Before operator set 13, the reference implementation misreads axes out of order."""
    x = graph.value(node, after_head=True)
    axes = tuple(_axes(graph, node) or ()) or None
    graph.set(node, graph.builder.keep(x, np.squeeze(_without_memory(x), axes).shape))


def unsqueeze(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Unsqueeze, with NumPy for the same reason."""
    x = graph.value(node, after_head=True)
    axes = tuple(_axes(graph, node) or ())
    graph.set(node, graph.builder.keep(x, np.expand_dims(_without_memory(x), axes).shape))


def transpose(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Transpose."""
    x = graph.value(node, after_head=True)
    order = list(graph.attributes(node).get("perm") or range(len(x.shape))[::-1])
    if sorted(order) != list(range(len(x.shape))):
        raise so.ProblemError(f"perm {order[:40]} does not order the axes of shape {x.shape}")
    graph.set(node, graph.builder.permute(x, order, graph.label(node)))


def concat(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Concat of values and constants."""
    constants = [graph.constant(n) for n in node.input]
    values = [
        graph.value(node, i, after_head=True) if c is None else c for i, c in enumerate(constants)
    ]
    axis = _axis(int(graph.attributes(node).get("axis")), len(values[0].shape))
    made = graph.builder.concat(values, axis, graph.label(node))
    graph.set(node, replace(made, head=joined_heads(values)))


def split(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Split along an axis."""
    shape = graph.moved(node).shape
    axis = _axis(int(graph.attributes(node).get("axis", 0)), len(shape))
    given = graph.integers(node, 1, "split", most=len(node.output))
    sizes = graph.attributes(node).get("split") if given is None else given
    if sizes and (sum(sizes) != shape[axis] or len(sizes) != len(node.output) or min(sizes) < 0):
        raise so.ProblemError(f"split {printable(sizes)} does not fit axis {axis} of shape {shape}")
    _pick(graph, node)


def slices(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Slice, with bounds as attributes (before operator set 10) or constant inputs."""
    shape = graph.moved(node).shape
    names = ("starts", "ends", "axes", "steps")
    if graph.opset < 10:
        bounds = [graph.attributes(node).get(name) for name in names]
    else:
        bounds = [graph.integers(node, slot + 1, name) for slot, name in enumerate(names)]
    starts, _, axes, steps = bounds
    if len({len(bound) for bound in bounds if bound is not None}) != 1 or 0 in (steps or ()):
        raise so.ProblemError(f"bounds {', '.join(map(str, bounds))} do not fit together")
    places = [_axis(int(a), len(shape)) for a in (range(len(starts)) if axes is None else axes)]
    if len(set(places)) != len(places):
        raise so.ProblemError(f"axes {axes} name one axis twice")
    _pick(graph, node)


def gather(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Gather with constant indices."""
    places = graph.require_constant(node, 1, "the indices")
    _axis(int(graph.attributes(node).get("axis", 0)), len(graph.moved(node).shape))
    if places.dtype.kind not in "iu":
        raise so.ProblemError(f"its indices have entries of type {places.dtype}")
    _pick(graph, node)


def expand(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Expand to a constant shape."""
    x = graph.value(node)
    graph.require_constant(node, 1, "the shape")
    target = tuple(graph.integers(node, 1, "the shape") or ())
    shape = np.broadcast_shapes(x.shape, target)
    require_room(shape)
    index = np.broadcast_to(graph.builder.positions(x), shape)  # the reference fills two arrays
    graph.set(node, graph.builder.select(x, index, graph.label(node)))


def tile(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Tile by constant repeats."""
    shape = graph.value(node).shape
    repeats = graph.integers(node, 1, "the repeats") or []
    if len(repeats) != len(shape) or min(repeats) < 0:
        raise so.ProblemError(f"repeats {repeats} do not fit a value of shape {shape}")
    _pick(graph, node)


def pad(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Pad with a number, by reflection, by the edge, or around."""
    x = graph.value(node)
    attributes = graph.attributes(node)
    mode = attributes.choice("mode", "constant", ("constant", "reflect", "edge", "wrap"))
    given = graph.integers(node, 1, "the pads", most=2 * MOST_AXES)
    named = attributes.get("pads")
    pads = named if given is None else given
    value = graph.optional(node, 2, "the padding value")
    constant = float(attributes.get("value", 0.0))
    fill = constant if value is None else float(value.reshape(()))
    axes = graph.integers(node, 3, "axes")
    lowest = mode == "constant" and fill <= -graph.largest(node, value)
    if mode == "constant" and not math.isfinite(fill) and not lowest:
        raise so.ProblemError(f"padding with the value {fill} is not supported")
    names = list(range(len(x.shape))) if axes is None else axes
    if pads is None or len(pads) != 2 * len(names) or len(set(names)) != len(names):
        raise so.ProblemError(f"pads {list(pads or [])} do not fit a value of shape {x.shape}")
    widths = [(0, 0)] * len(x.shape)
    for i, axis in enumerate(names):
        widths[_axis(axis, len(x.shape))] = (int(pads[i]), int(pads[i + len(names)]))
    if lowest:
        graph.set(node, hollow(x, widths))
        return
    places = _padded(graph.builder.positions(x), widths, mode)
    graph.set(
        node,
        graph.builder.select(x, places, graph.label(node), fill if mode == "constant" else 0.0),
    )


def _padded(array: np.ndarray, widths: Sequence[tuple[int, int]], mode: str) -> np.ndarray:
    """Return an array padded in one of NumPy's modes, with -1 in the mode ``constant``.

    Negative widths crop, which neither NumPy nor the reference implementation knows.
    """
    ends = zip(array.shape, widths, strict=True)
    kept = array[tuple(slice(max(0, -a), max(0, n - max(0, -b))) for n, (a, b) in ends)]
    grow = [(max(0, a), max(0, b)) for a, b in widths]
    require_room(n + a + b for n, (a, b) in zip(kept.shape, grow, strict=True))
    options = {"constant_values": -1} if mode == "constant" else {}
    return np.pad(kept, grow, mode=mode, **options)  # type: ignore[call-overload, no-any-return]


def depth_to_space(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """DepthToSpace (pixel shuffle) and SpaceToDepth."""
    shape = graph.image(node).shape
    attributes = graph.attributes(node)
    attributes.choice("mode", "DCR", ("DCR", "CRD"))
    block = int(attributes.get("blocksize"))
    if len(shape) != 4 or block < 1:
        raise so.ProblemError(f"blocks of {block} do not fit a value of shape {shape}")
    _pick(graph, node)


# Resizing acts on one axis after the other, so it needs no positions of whole values; and the
# reference implementation goes through its cells one by one, in Python.

_PLACES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_MODES = ("nearest", "linear", "bilinear", "trilinear")


def resize(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Resize and Upsample, nearest and linear."""
    x = graph.value(node)
    attributes = graph.attributes(node)
    sizes, scales = _resized(graph, node, x, attributes)
    mode = attributes.choice("mode", "nearest", _MODES)
    place = attributes.choice("coordinate_transformation_mode", "half_pixel", _PLACES)
    rounding = attributes.choice("nearest_mode", "round_prefer_floor", _ROUNDINGS)
    if node.op_type == "Upsample" or graph.opset < 11:
        place, rounding = "asymmetric", "floor"
    if attributes.flag("antialias") or attributes.flag("exclude_outside"):
        raise so.ProblemError("antialias and exclude_outside are not supported")
    attributes.ignore("cubic_coeff_a", "extrapolation_value")  # of modes that are refused
    require_room(sizes)
    if tuple(sizes) == x.shape and any(scale != 1.0 for scale in scales):
        raise so.ProblemError(
            f"its scales {printable(scales)} leave all sizes as they are, and programs disagree on "
            "whether it then moves anything; leave it out, or give sizes"
        )
    maps = []
    for axis, (old, new, scale) in enumerate(zip(x.shape, sizes, scales, strict=True)):
        if old == new and scale == 1.0:
            continue
        graph.builder.budget.keep(2 * new)
        where = _coordinates(old, new, scale, place)
        if mode == "nearest":
            maps.append(nearest_map(axis, _nearest(where, old, new, scale, place, rounding)))
        else:
            maps.append(linear_map(axis, where, old))
    graph.set(node, windowed.resample(graph.builder, x, maps, graph.label(node)))


def _resized(
    graph: OnnxGraph, node: onnx.NodeProto, x: Value, attributes: Attributes
) -> tuple[list[int], list[float]]:
    """Return the new sizes and the scale of each axis."""
    policy = attributes.get("keep_aspect_ratio_policy", "stretch")
    if attributes.get("axes") is not None or policy != "stretch":
        raise so.ProblemError("axes and keep_aspect_ratio_policy are not supported")
    old_form = node.op_type == "Upsample" or graph.opset < 11
    given = graph.optional(node, 1 if old_form else 2, "the scales")
    named = attributes.get("scales")
    scales = list(named or []) if given is None else given.ravel().tolist()
    target = None if old_form else graph.integers(node, 3, "the sizes")
    if target:
        if len(target) != len(x.shape) or min(target) < 1:
            raise so.ProblemError(f"sizes {target} do not fit an input of shape {x.shape}")
        return target, [new / old for new, old in zip(target, x.shape, strict=True)]
    if len(scales) != len(x.shape) or not all(0 < s < math.inf for s in scales):
        raise so.ProblemError(f"scales {printable(scales)} do not fit an input of shape {x.shape}")
    sizes = [math.floor(n * s) for n, s in zip(x.shape, scales, strict=True)]
    if min(sizes) < 1:
        raise so.ProblemError(f"scales {scales} leave nothing of an input of shape {x.shape}")
    return sizes, scales


def _nearest(
    where: np.ndarray, old: int, new: int, scale: float, place: str, rounding: str
) -> np.ndarray:
    """Return the cell nearest to each place, where it does not depend on how numbers are rounded.

    Runtimes compute them in single precision: of scale 0.6 the third cell lies at 4.9999998, or 5.
    """
    cells = np.clip(_rounded(where, rounding), 0, old - 1).astype(np.int64)
    narrow = _coordinates(old, new, scale, place, np.float32)
    apart = np.flatnonzero(np.clip(_rounded(narrow, rounding), 0, old - 1) != cells)
    if apart.size:
        raise so.ProblemError(
            f"with the scale {scale:g} its output cell {apart[0]} lies where two cells of the "
            "input meet, and rounding decides which is read, in each program another; choose a "
            "size or a nearest_mode with which no cell lies there"
        )
    return cells


def _coordinates(
    old: int, new: int, scale: float, place: str, dtype: type[np.floating] = np.float64
) -> np.ndarray:
    """Return where each output cell lies on the input axis."""
    i, step = np.arange(new, dtype=dtype), dtype(scale)
    if place == "asymmetric":
        return i / step
    if place == "align_corners":
        return i * dtype(old - 1) / dtype(new - 1) if new > 1 else np.zeros(1, dtype)
    if place == "pytorch_half_pixel" and new == 1:
        return np.zeros(1, dtype)
    return (i + dtype(0.5)) / step - dtype(0.5)


def _rounded(where: np.ndarray, rounding: str) -> np.ndarray:
    if rounding == "floor":
        return np.floor(where)
    if rounding == "ceil":
        return np.ceil(where)
    half = where.dtype.type(0.5)
    return np.ceil(where - half) if rounding == "round_prefer_floor" else np.floor(where + half)


SHAPES: dict[str, Rule] = {
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "CastLike": cast_like,
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
