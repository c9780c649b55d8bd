"""ONNX operators that gather cells of windows or of whole axes, and the padding of windows."""

from __future__ import annotations

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading import windowed
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import same_padding
from sparseopt_onnx.attributes import Attributes
from sparseopt_onnx.graph import OnnxGraph, Rule

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def paddings(
    attributes: Attributes, sizes: tuple[int, ...], extents: list[int], strides: list[int]
) -> list[tuple[int, int]]:
    auto = attributes.choice("auto_pad", "NOTSET", AUTO_PADS)
    count = len(extents)
    pads = attributes.sizes("pads", 2 * count, 0, 0)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        upper = auto == "SAME_UPPER"
        sizes_ = zip(sizes, extents, strides, strict=True)
        return [same_padding(n, extent, s, upper) for n, extent, s in sizes_]
    if auto == "VALID":
        return [(0, 0)] * count
    return list(zip(pads[:count], pads[count:], strict=True))


def _window(
    graph: OnnxGraph, node: onnx.NodeProto, x: Value
) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Return the window positions and paddings per spatial axis."""
    attributes = graph.attributes(node)
    count = len(x.shape) - 2
    kernel = attributes.sizes("kernel_shape", count, 0, 1)
    strides = attributes.sizes("strides", count, 1, 1)
    dilations = attributes.sizes("dilations", count, 1, 1)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    padding = paddings(attributes, x.shape[2:], extents, strides)
    ceil_mode = attributes.flag("ceil_mode")
    positions = [
        windowed.windows(graph.builder, n, k, s, pads, d, ceil_mode)
        for n, k, s, pads, d in zip(x.shape[2:], kernel, strides, padding, dilations, strict=True)
    ]
    return positions, padding


def max_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """MaxPool, also of what was padded with -inf."""
    x = graph.image(node, after_border=True)
    if len([o for o in node.output if o]) > 1:
        raise so.ProblemError("its second output, the indices, is not supported")
    graph.attributes(node).ignore("storage_order")  # of the indices
    positions, _ = _window(graph, node, x)
    graph.set(node, windowed.max_pool(graph.builder, x, positions, x.shape[2:], graph.label(node)))


def average_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """AveragePool."""
    x = graph.image(node)
    positions, padding = _window(graph, node, x)
    counted = graph.attributes(node).flag("count_include_pad")
    pads = padding if counted else [None] * len(padding)
    graph.set(
        node,
        windowed.average_pool(graph.builder, x, positions, x.shape[2:], pads, graph.label(node)),
    )


def global_pool(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    x = graph.image(node)
    kind = "mean" if node.op_type == "GlobalAveragePool" else "max"
    axes = range(2, len(x.shape))
    graph.set(node, graph.builder.reduce(x, axes, kind, True, graph.label(node)))


def reduce(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """ReduceSum, ReduceMean, ReduceMax and ReduceMin."""
    attributes = graph.attributes(node)
    x = graph.value(node)
    given = graph.integers(node, 1, "the axes")
    named = attributes.get("axes")
    axes = named if given is None else given
    keep, noop = attributes.flag("keepdims", True), attributes.flag("noop_with_empty_axes")
    if not axes:
        if noop:
            graph.set(node, x)
            return
        axes = range(len(x.shape))
    if any(not -len(x.shape) <= a < len(x.shape) for a in axes):
        raise so.ProblemError(f"axes {list(axes)} do not exist in a value of shape {x.shape}")
    kind = node.op_type.removeprefix("Reduce").lower()
    graph.set(node, graph.builder.reduce(x, axes, kind, keep, graph.label(node)))


POOLS: dict[str, Rule] = {
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
    "ReduceSum": reduce,
    "ReduceMean": reduce,
    "ReduceMax": reduce,
    "ReduceMin": reduce,
}
