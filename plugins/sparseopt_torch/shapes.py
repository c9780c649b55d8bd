"""PyTorch operators that move, repeat or drop entries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.reading import composed
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import linear_map, nearest_map
from sparseopt_torch.graph import Call, Rule, TorchGraph


def _axis(axis: int, count: int) -> int:
    return axis + count if axis < 0 else axis


def same(graph: TorchGraph, call: Call) -> Value:
    """Operators that hand on their input: copies, and conversions between float types."""
    dtype = call.get("dtype")
    if dtype is not None and dtype not in (torch.float32, torch.float64):
        raise so.ProblemError(f"a conversion to {dtype} is not linear")
    source = call.get("self", call.get("input"))
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


def reshape(graph: TorchGraph, call: Call) -> Value:
    """reshape and view."""
    x = graph.value(call["self"], after_head=True)
    target = [int(n) for n in call.get("shape", call.get("size"))]
    fixed = graph.fixed_batch
    known = math.prod(n for n in target if n > 0)
    whole = -1 in target or known == math.prod(x.shape) * fixed
    if whole and fixed > 1 and target[:1] == [fixed]:
        target[0] = 1  # a batch size that the export wrote down as a number
    return graph.builder.keep(x, graph.builder.inferred(x, target))


def flatten(graph: TorchGraph, call: Call) -> Value:
    """flatten."""
    x = graph.value(call["self"], after_head=True)
    count = len(x.shape)
    first, last = _axis(call["start_dim"], count), _axis(call["end_dim"], count)
    middle = math.prod(x.shape[first : last + 1])
    return graph.builder.keep(x, (*x.shape[:first], middle, *x.shape[last + 1 :]))


def unflatten(graph: TorchGraph, call: Call) -> Value:
    """unflatten."""
    x = graph.value(call["self"], after_head=True)
    axis = _axis(call["dim"], len(x.shape))
    parts = [int(n) for n in call["sizes"]]
    if -1 in parts:
        parts[parts.index(-1)] = x.shape[axis] // max(1, math.prod(n for n in parts if n != -1))
    return graph.builder.keep(x, (*x.shape[:axis], *parts, *x.shape[axis + 1 :]))


def squeeze(graph: TorchGraph, call: Call) -> Value:
    """squeeze of all, one or several axes."""
    x = graph.value(call["self"], after_head=True)
    axes = call.get("dim")
    if axes is None:
        chosen = set(range(len(x.shape)))
    else:
        chosen = {_axis(a, len(x.shape)) for a in ([axes] if isinstance(axes, int) else axes)}
    rest = [n for i, n in enumerate(x.shape) if i not in chosen or n != 1]
    return graph.builder.keep(x, rest)


def unsqueeze(graph: TorchGraph, call: Call) -> Value:
    """unsqueeze."""
    x = graph.value(call["self"], after_head=True)
    shape = list(x.shape)
    shape.insert(_axis(call["dim"], len(shape) + 1), 1)
    return graph.builder.keep(x, shape)


def permute(graph: TorchGraph, call: Call) -> Value:
    """permute."""
    x = graph.value(call["self"], after_head=True)
    return graph.builder.permute(x, [_axis(a, len(x.shape)) for a in call["dims"]], call.name)


def transpose(graph: TorchGraph, call: Call) -> Value:
    """transpose of two axes, t and mT."""
    x = graph.value(call["self"], after_head=True)
    count = len(x.shape)
    if count < 2:
        return x
    first, last = (-2, -1) if "mT" in str(call.node.target) else (0, 1)
    a, b = call.get("dim0", call.get("axis0", first)), call.get("dim1", call.get("axis1", last))
    order = list(range(count))
    a, b = _axis(a, count), _axis(b, count)
    order[a], order[b] = order[b], order[a]
    return graph.builder.permute(x, order, call.name)


def reverse_axes(graph: TorchGraph, call: Call) -> Value:
    """The attribute T of a tensor: all axes in reverse order."""
    x = graph.value(call["self"], after_head=True)
    return graph.builder.permute(x, list(range(len(x.shape)))[::-1], call.name)


def move_axis(graph: TorchGraph, call: Call) -> Value:
    """movedim."""
    x = graph.value(call["self"], after_head=True)
    index = np.moveaxis(graph.builder.positions(x), call["source"], call["destination"])
    return graph.builder.select(x, index, call.name)


def concat(graph: TorchGraph, call: Call) -> Value:
    """cat."""
    values = [_part(graph, v) for v in call["tensors"]]
    return graph.builder.concat(values, _axis(call["dim"], len(values[0].shape)), call.name)


def stack(graph: TorchGraph, call: Call) -> Value:
    """stack."""
    values = [_part(graph, v) for v in call["tensors"]]
    axis = _axis(call["dim"], len(values[0].shape) + 1)
    wide: list[Value | np.ndarray] = []
    for value in values:
        shape = list(value.shape)
        shape.insert(axis, 1)
        kept = isinstance(value, Value)
        wide.append(graph.builder.keep(value, shape) if kept else value.reshape(shape))  # type: ignore[arg-type, union-attr]
    return graph.builder.concat(wide, axis, call.name)


def _part(graph: TorchGraph, argument: Any) -> Value | np.ndarray:
    """Return a part of a concatenation, varying or constant."""
    if isinstance(argument, Value):
        return graph.value(argument)
    return graph.array(argument, "a part of the concatenation")


def like(graph: TorchGraph, call: Call) -> torch.Tensor:
    """zeros_like, ones_like, full_like and their new_ forms: constants of a known shape."""
    name = str(call.node.target)
    shape, like = call.get("size"), graph.value(call["self"], after_head=True).shape
    shape = like if shape is None else [int(n) for n in shape]
    require_room(shape)
    fill = call.get("fill_value", 1.0 if "ones" in name else 0.0)
    return torch.full(list(shape), float(fill))


def masked_fill(graph: TorchGraph, call: Call) -> Value:
    """masked_fill where mask and number are constant."""
    mask = graph.array(call["mask"], "the mask") != 0
    value = float(graph.array(call["value"], "the number").reshape(()))
    x = graph.value(call["self"])
    bias = np.where(mask, value, 0.0) if value else None
    return graph.builder.affine(x, call.name, np.where(mask, 0.0, 1.0), bias)


def _pieces(graph: TorchGraph, call: Call, lengths: list[int]) -> list[Value]:
    x = graph.value(call["self"])
    axis = _axis(call.get("dim", 0), len(x.shape))
    if sum(lengths) != x.shape[axis]:
        raise so.ProblemError(f"pieces {lengths} do not fit axis {axis} of shape {x.shape}")
    cuts = np.cumsum(lengths)[:-1]
    parts = np.split(graph.builder.positions(x), cuts, axis=axis)
    return [graph.builder.select(x, part, call.name) for part in parts]


def split(graph: TorchGraph, call: Call) -> list[Value]:
    """split in pieces of one size or of given sizes."""
    given = call.get("split_size", call.get("split_sizes"))
    if isinstance(given, int):
        total = call["self"].shape[call.get("dim", 0)]
        given = [min(given, total - start) for start in range(0, total, given)]
    return _pieces(graph, call, [int(n) for n in given])


def chunk(graph: TorchGraph, call: Call) -> list[Value]:
    """chunk."""
    total = call["self"].shape[call.get("dim", 0)]
    step = -(-total // int(call["chunks"]))
    return _pieces(graph, call, [min(step, total - s) for s in range(0, total, step)])


def unbind(graph: TorchGraph, call: Call) -> list[Value]:
    """unbind."""
    x = graph.value(call["self"])
    axis = _axis(call.get("dim", 0), len(x.shape))
    index = np.moveaxis(graph.builder.positions(x), axis, 0)
    return [graph.builder.select(x, part, call.name) for part in index]


def cut(graph: TorchGraph, call: Call) -> Value:
    """slice and narrow along one axis."""
    x = graph.value(call["self"])
    axis = _axis(call.get("dim", 0), len(x.shape))
    start = call.get("start") or 0
    end = call["start"] + call["length"] if "length" in call.arguments else call.get("end")
    places = [slice(None)] * len(x.shape)
    places[axis] = slice(start, end, call.get("step", 1))
    return graph.builder.select(x, graph.builder.positions(x)[tuple(places)], call.name)


def take(graph: TorchGraph, call: Call) -> Value:
    """select and index_select with constant positions."""
    x = graph.value(call["self"])
    axis = _axis(call["dim"], len(x.shape))
    where = call["index"]
    if isinstance(where, Value):
        raise so.ProblemError("the index must be constant, but it depends on the input")
    where = where.cpu().numpy() if isinstance(where, torch.Tensor) else where
    require_room((*x.shape[:axis], *np.shape(where), *x.shape[axis + 1 :]))
    return graph.builder.select(x, np.take(graph.builder.positions(x), where, axis=axis), call.name)


def index(graph: TorchGraph, call: Call) -> Value:
    """Indexing by constant tensors."""
    x = graph.value(call["self"])
    places = []
    for where in call["indices"]:
        if isinstance(where, Value):
            raise so.ProblemError("the index must be constant, but it depends on the input")
        places.append(slice(None) if where is None else where.cpu().numpy())
    positions = torch.from_numpy(graph.builder.positions(x))
    # PyTorch and NumPy place the axes of several index arrays by the same rule.
    return graph.builder.select(x, positions.numpy()[tuple(places)], call.name)


def flip(graph: TorchGraph, call: Call) -> Value:
    """flip."""
    x = graph.value(call["self"])
    return graph.builder.select(x, np.flip(graph.builder.positions(x), call["dims"]), call.name)


def roll(graph: TorchGraph, call: Call) -> Value:
    """roll."""
    x = graph.value(call["self"])
    axes = tuple(call["dims"]) or None
    shifts = tuple(call["shifts"]) if axes else call["shifts"][0]
    return graph.builder.select(x, np.roll(graph.builder.positions(x), shifts, axes), call.name)


def expand(graph: TorchGraph, call: Call) -> Value:
    """expand."""
    x = graph.value(call["self"])
    target = [int(n) for n in call["size"]]
    old = [1] * (len(target) - len(x.shape)) + list(x.shape)
    shape = [o if n == -1 else n for n, o in zip(target, old, strict=True)]
    return graph.builder.broadcast(x, shape, call.name)


def repeat(graph: TorchGraph, call: Call) -> Value:
    """repeat and tile."""
    x = graph.value(call["self"])
    times = [int(n) for n in call.get("repeats", call.get("dims"))]
    extra = [1] * (len(times) - len(x.shape))
    wide = [1] * (len(x.shape) - len(times))
    require_room(n * r for n, r in zip([*extra, *x.shape], [*wide, *times], strict=True))
    return graph.builder.select(x, np.tile(graph.builder.positions(x), times), call.name)


def slice_scatter(graph: TorchGraph, call: Call) -> Value:
    """What ``x[a:b:c] = y`` along one axis becomes."""
    shape = call["self"].shape
    places = [slice(None)] * len(shape)
    axis = _axis(call["dim"], len(shape))
    places[axis] = slice(call.get("start"), call.get("end"), call["step"])
    return _overwritten(graph, call, call["src"], tuple(places))


def select_scatter(graph: TorchGraph, call: Call) -> Value:
    """What ``x[i] = y`` along one axis becomes."""
    shape = call["self"].shape
    places: list[Any] = [slice(None)] * len(shape)
    places[_axis(call["dim"], len(shape))] = call["index"]
    return _overwritten(graph, call, call["src"], tuple(places))


def index_put(graph: TorchGraph, call: Call) -> Value:
    """What ``x[i, j] = y`` with constant positions becomes."""
    if call.get("accumulate"):
        raise so.ProblemError("index_put that accumulates is not supported")
    if any(isinstance(where, Value) for where in call["indices"]):
        raise so.ProblemError("the index must be constant, but it depends on the input")
    places = [slice(None) if w is None else w.cpu().numpy() for w in call["indices"]]
    return _overwritten(graph, call, call["values"], tuple(places))


def _overwritten(graph: TorchGraph, call: Call, source: Any, places: tuple[Any, ...]) -> Value:
    """Return a value, or a constant, with some entries replaced by those of another."""
    parts = [_part(graph, call["self"]), _part(graph, source)]
    base, patch = (part.shape for part in parts)
    count = math.prod(base)
    index = np.arange(count).reshape(base)
    index[places] = count + np.arange(math.prod(patch)).reshape(patch)
    flat: list[Value | np.ndarray] = []
    for part in parts:
        size = (math.prod(part.shape),)
        flat.append(
            graph.builder.keep(part, size) if isinstance(part, Value) else part.reshape(size)
        )
    return graph.builder.select(
        graph.builder.concat(flat, 0, f"{call.name}:parts"), index, call.name
    )


def fill(graph: TorchGraph, call: Call) -> torch.Tensor:
    """fill with a constant: nothing of the value is left."""
    number = graph.array(call["value"], "the number").reshape(())
    shape = graph.value(call["self"], after_head=True).shape
    return torch.full(list(shape), float(number), dtype=torch.float64)


def copy(graph: TorchGraph, call: Call) -> Any:
    """copy: the source, in the shape of what it overwrites."""
    shape, source = call["self"].shape, call["src"]
    if isinstance(source, Value):
        return graph.builder.broadcast(graph.value(source), shape, call.name)
    return source.expand(shape)


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(graph: TorchGraph, call: Call) -> Value:
    """pad with a number, by reflection, by the edge, or around; widths start at the last axis."""
    x = graph.value(call["self"])
    name = str(call.node.target)
    mode = call.get("mode", "constant")
    mode = "reflect" if "reflection" in name else "replicate" if "replication" in name else mode
    fill = float(call.get("value") or 0.0) if mode == "constant" else 0.0
    if mode not in _MODES or not math.isfinite(fill):
        raise so.ProblemError(f"padding of mode {mode!r} with value {fill} is not supported")
    given = [int(n) for n in call.get("pad", call.get("padding"))]
    widths = [(0, 0)] * len(x.shape)
    for i in range(len(given) // 2):
        widths[len(x.shape) - 1 - i] = (given[2 * i], given[2 * i + 1])
    places = graph.builder.padded(x, widths, _MODES[mode])
    return graph.builder.select(x, places, call.name, fill)


def pixel_shuffle(graph: TorchGraph, call: Call) -> Value:
    """pixel_shuffle."""
    block = int(call["upscale_factor"])
    return graph.builder.pixel_shuffle(graph.value(call["self"]), block, call.name)


def pixel_unshuffle(graph: TorchGraph, call: Call) -> Value:
    """pixel_unshuffle."""
    x = graph.value(call["self"])
    b = int(call["downscale_factor"])
    *lead, c, h, w = x.shape
    k = len(lead)
    places = graph.builder.positions(x).reshape(*lead, c, h // b, b, w // b, b)
    places = places.transpose(*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return graph.builder.select(x, places.reshape(*lead, c * b * b, h // b, w // b), call.name)


def channel_shuffle(graph: TorchGraph, call: Call) -> Value:
    """channel_shuffle."""
    x = graph.value(call["self"])
    groups = int(call["groups"])
    n, c, *rest = x.shape
    places = graph.builder.positions(x).reshape(n, groups, c // groups, *rest)
    return graph.builder.select(x, places.swapaxes(1, 2).reshape(x.shape), call.name)


# Upsampling ---------------------------------------------------------------------------------


def upsample(graph: TorchGraph, call: Call) -> Value:
    """upsample_nearest and upsample_linear, bilinear, trilinear."""
    x = graph.value(call.get("self", call.get("input")))
    name = str(call.node.target)
    count = len(x.shape) - 2
    spatial = x.shape[2:]
    scales = _scales(call, count)
    target = call.get("output_size")
    if target is None:
        assert scales is not None
        target = [math.floor(n * s) for n, s in zip(spatial, scales, strict=True)]
        scales = scales if not call.get("recompute_scale_factor") else None
    require_room([*x.shape[:2], *target])
    maps = []
    for i, (old, new) in enumerate(zip(spatial, target, strict=True)):
        graph.builder.budget.keep(2 * int(new))
        scale = scales[i] if scales is not None else new / old
        out = np.arange(new, dtype=np.float64)
        if "nearest_exact" in name:
            cells = np.floor((out + 0.5) / scale)
        elif "nearest" in name:
            cells = np.floor(out / scale)
        elif call.get("align_corners", False):
            where = out * (old - 1) / (new - 1) if new > 1 else np.zeros(1)
            maps.append(linear_map(i + 2, where, old))
            continue
        else:
            maps.append(linear_map(i + 2, (out + 0.5) / scale - 0.5, old))
            continue
        maps.append(nearest_map(i + 2, np.clip(cells, 0, old - 1).astype(np.int64)))
    return composed.resample(graph.builder, x, maps, call.name)


def _scales(call: Call, count: int) -> list[float] | None:
    """Return the scale per axis where the operator was given any."""
    factors = call.get("scale_factors")
    if factors is not None:
        return [float(f) for f in factors]
    named = [call.get(key) for key in ("scales_d", "scales_h", "scales_w")][3 - count :]
    if count == 1:
        named = [call.get("scales", call.get("scales_w"))]
    return [float(s) for s in named] if all(s is not None for s in named) else None


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
    "aten.flatten": flatten,
    "aten.unflatten": unflatten,
    "aten.squeeze": squeeze,
    "aten.unsqueeze": unsqueeze,
    "aten.permute": permute,
    "aten.transpose": transpose,
    "aten.swapaxes": transpose,
    "aten.swapdims": transpose,
    "aten.t": transpose,
    "aten.mT": transpose,
    "aten.numpy_T": reverse_axes,
    "aten.slice_scatter": slice_scatter,
    "aten.select_scatter": select_scatter,
    "aten.index_put": index_put,
    "aten.fill": fill,
    "aten.copy": copy,
    "aten.movedim": move_axis,
    "aten.moveaxis": move_axis,
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
    "aten.masked_fill": masked_fill,
    "aten.split": split,
    "aten.split_with_sizes": split,
    "aten.chunk": chunk,
    "aten.unbind": unbind,
    "aten.slice": cut,
    "aten.narrow": cut,
    "aten.select": take,
    "aten.index_select": take,
    "aten.index": index,
    "aten.flip": flip,
    "aten.roll": roll,
    "aten.expand": expand,
    "aten.repeat": repeat,
    "aten.tile": repeat,
    "aten.pad": pad,
    "aten.constant_pad_nd": pad,
    "aten.reflection_pad1d": pad,
    "aten.reflection_pad2d": pad,
    "aten.reflection_pad3d": pad,
    "aten.replication_pad1d": pad,
    "aten.replication_pad2d": pad,
    "aten.replication_pad3d": pad,
    "aten.pixel_shuffle": pixel_shuffle,
    "aten.pixel_unshuffle": pixel_unshuffle,
    "aten.channel_shuffle": channel_shuffle,
    "aten.native_channel_shuffle": channel_shuffle,
    "aten.upsample_nearest1d": upsample,
    "aten.upsample_nearest2d": upsample,
    "aten.upsample_nearest3d": upsample,
    "aten._upsample_nearest_exact1d": upsample,
    "aten._upsample_nearest_exact2d": upsample,
    "aten._upsample_nearest_exact3d": upsample,
    "aten.upsample_linear1d": upsample,
    "aten.upsample_bilinear2d": upsample,
    "aten.upsample_trilinear3d": upsample,
}
