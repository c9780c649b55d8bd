"""PyTorch operators that gather cells of windows or of whole axes."""

from __future__ import annotations

from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import adaptive_positions
from sparseopt_torch.calls import Call
from sparseopt_torch.graph import Rule, TorchGraph, sizes


def _spatial(call: Call, x: Value) -> tuple[int, ...]:
    """Return the sizes of the axes that a pool runs over, from the digit in its name."""
    digits = [int(c[0]) for c in str(call.node.target).split("pool")[1:] if c[:1].isdigit()]
    if not digits or len(x.shape) < digits[0] + 1:
        raise so.ProblemError(f"its input has shape {x.shape}")
    return x.shape[-digits[0] :]


def _positions(
    graph: TorchGraph, call: Call, spatial: tuple[int, ...]
) -> tuple[list[np.ndarray], list[int]]:
    count = len(spatial)
    kernel = sizes(call["kernel_size"], count)
    stride = sizes(call["stride"], count) if call["stride"] else kernel
    padding = sizes(call["padding"], count)
    dilation = sizes(call.get("dilation", 1), count)
    positions = [
        windowed.windows(graph.builder, n, k, s, (p, p), d, bool(call["ceil_mode"]))
        for n, k, s, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True)
    ]
    return positions, padding


def max_pool(graph: TorchGraph, call: Call) -> Value:
    """max_pool1d, 2d and 3d, also of what was padded with -inf."""
    x = graph.value(call["self"], after_border=True)
    spatial = _spatial(call, x)
    positions, _ = _positions(graph, call, spatial)
    return windowed.max_pool(graph.builder, x, positions, spatial, call.name)


def max_pool_first(graph: TorchGraph, call: Call) -> list[Any]:
    """The decomposed max_pool, which returns indices as well."""
    return [max_pool(graph, call), None]


def average_pool(graph: TorchGraph, call: Call) -> Value:
    """avg_pool1d, 2d and 3d."""
    x = graph.value(call["self"])
    spatial = _spatial(call, x)
    positions, padding = _positions(graph, call, spatial)
    counted = call["count_include_pad"]
    pads = [(p, p) if counted else None for p in padding]
    divisor = call.get("divisor_override")
    return windowed.average_pool(graph.builder, x, positions, spatial, pads, call.name, divisor)


def adaptive_average(graph: TorchGraph, call: Call) -> Value:
    """adaptive_avg_pool1d, 2d and 3d."""
    x = graph.value(call["self"])
    spatial = _spatial(call, x)
    windows = _adaptive(graph, call, spatial)
    return windowed.average_pool(
        graph.builder, x, windows, spatial, [None] * len(spatial), call.name
    )


def adaptive_maximum(graph: TorchGraph, call: Call) -> list[Any]:
    """adaptive_max_pool1d, 2d and 3d, which return indices as well."""
    x = graph.value(call["self"])
    spatial = _spatial(call, x)
    return [
        windowed.max_pool(graph.builder, x, _adaptive(graph, call, spatial), spatial, call.name),
        None,
    ]


def _adaptive(graph: TorchGraph, call: Call, spatial: tuple[int, ...]) -> list[np.ndarray]:
    targets = call["output_size"]
    targets = [targets] * len(spatial) if isinstance(targets, int) else targets
    if len(targets) == 1:
        targets = list(targets) * len(spatial)
    for n, m in zip(spatial, targets, strict=True):
        graph.builder.budget.keep(64 * (int(m) + n))  # windows overlap, and are made one by one
    return [adaptive_positions(n, int(m)) for n, m in zip(spatial, targets, strict=True)]


def reduce(graph: TorchGraph, call: Call) -> Value:
    """mean, sum, amax and amin over axes."""
    x = graph.value(call["self"])
    name = str(call.node.target)
    kind = next(k for k in ("mean", "sum", "max", "min") if k in name)
    axes = call.get("dim")
    if axes is None or axes == []:
        axes = list(range(len(x.shape)))
    axes = [axes] if isinstance(axes, int) else axes
    return graph.builder.reduce(x, axes, kind, bool(call.get("keepdim", False)), call.name)


def reduce_first(graph: TorchGraph, call: Call) -> list[Any]:
    """max and min along one axis, which return indices as well."""
    return [reduce(graph, call), None]


POOLS: dict[str, Rule] = {
    "aten.max_pool1d": max_pool,
    "aten.max_pool2d": max_pool,
    "aten.max_pool3d": max_pool,
    "aten.max_pool1d_with_indices": max_pool_first,
    "aten.max_pool2d_with_indices": max_pool_first,
    "aten.max_pool3d_with_indices": max_pool_first,
    "aten.avg_pool1d": average_pool,
    "aten.avg_pool2d": average_pool,
    "aten.avg_pool3d": average_pool,
    "aten.adaptive_avg_pool1d": adaptive_average,
    "aten.adaptive_avg_pool2d": adaptive_average,
    "aten.adaptive_avg_pool3d": adaptive_average,
    "aten._adaptive_avg_pool2d": adaptive_average,
    "aten._adaptive_avg_pool3d": adaptive_average,
    "aten.adaptive_max_pool1d": adaptive_maximum,
    "aten.adaptive_max_pool2d": adaptive_maximum,
    "aten.adaptive_max_pool3d": adaptive_maximum,
    "aten.mean.default": reduce,
    "aten.mean.dim": reduce,
    "aten.sum.default": reduce,
    "aten.sum.dim_IntList": reduce,
    "aten.amax": reduce,
    "aten.amin": reduce,
    "aten.max.default": reduce,
    "aten.min.default": reduce,
    "aten.max.dim": reduce_first,
    "aten.min.dim": reduce_first,
}
