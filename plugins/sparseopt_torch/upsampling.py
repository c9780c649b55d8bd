"""PyTorch operators that upsample.

They act on one axis after the other, so they need no positions of whole values.
"""

from __future__ import annotations

import math

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import linear_map, nearest_map
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph


def upsample(graph: TorchGraph, call: Call) -> Value:
    """upsample_nearest and upsample_linear, bilinear, trilinear."""
    x = graph.value(call.get("self", call.get("input")))
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
        scale = None if scales is None else scales[i]
        if "nearest" in str(call.node.target):
            maps.append(nearest_map(i + 2, _nearest(call, old, int(new), scale)))
            continue
        out = np.arange(new, dtype=np.float64)
        if call.get("align_corners", False):
            where = out * (old - 1) / (new - 1) if new > 1 else np.zeros(1)
        else:
            where = (out + 0.5) / (scale or new / old) - 0.5
        maps.append(linear_map(i + 2, where, old))
    return windowed.resample(graph.builder, x, maps, call.name)


def _nearest(call: Call, old: int, new: int, scale: float | None) -> np.ndarray:
    """Return which cell of an axis each new cell copies, as PyTorch rounds.

    It computes places in the precision of the values, where a scale of 2.2 may fall just below a
    cell that it reaches in exact numbers; so the operator itself is run on the cells.
    """
    if old > 1 << 24 or not (scale is None or 2**-24 < scale < 2**24):  # no position overflows
        raise so.ProblemError(f"an axis of {old} cells is not resized by the factor {scale}")
    aten = torch.ops.aten
    exact = "nearest_exact" in str(call.node.target)
    operator = aten._upsample_nearest_exact1d if exact else aten.upsample_nearest1d
    double = getattr(call.node.meta.get("val"), "dtype", None) == torch.float64
    cells = torch.arange(old, dtype=torch.float64 if double else torch.float32, device="cpu")
    return operator(cells.reshape(1, 1, old), [new], scale).numpy().ravel().astype(np.int64)


def _scales(call: Call, count: int) -> list[float] | None:
    """Return the scale per axis where the operator was given any."""
    factors = call.get("scale_factors")
    if factors is not None:
        return [float(f) for f in factors]
    named = [call.get(key) for key in ("scales_d", "scales_h", "scales_w")][3 - count :]
    if count == 1:
        named = [call.get("scales", call.get("scales_w"))]
    return [float(s) for s in named] if all(s is not None for s in named) else None


UPSAMPLING: dict[str, Rule] = {
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
