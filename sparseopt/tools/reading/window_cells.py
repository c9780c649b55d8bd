"""Which cells each output of a window reads, along one axis."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.window import AxisMap, AxisWindow


def same_padding(size: int, extent: int, stride: int, extra_after: bool) -> tuple[int, int]:
    """Return the padding that makes the output ``ceil(size / stride)`` long."""
    total = max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
    small = total // 2
    return (small, total - small) if extra_after else (total - small, small)


def pool_positions(
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
) -> np.ndarray:
    """Return the positions (outputs, kernel) of each window, also those outside the axis.

    With `ceil_mode` a last window, also the only one, may reach beyond the padding, but must start
    inside the axis or the padding before it.
    """
    before, after = padding
    span = size + before + after - (dilation * (kernel - 1) + 1)
    count = -(-span // stride) + 1 if ceil_mode else span // stride + 1
    if count < 1:
        raise ProblemError(
            f"a window of {kernel} cells (dilation {dilation}) does not fit an axis of {size} "
            f"with padding {padding}"
        )
    if ceil_mode and (count - 1) * stride >= size + before:
        count -= 1
    starts = np.arange(count)[:, None] * stride - before
    return starts + np.arange(kernel)[None, :] * dilation


def inside(positions: np.ndarray, size: int) -> np.ndarray:
    """Return the positions with -1 for those outside the axis."""
    return np.where((positions >= 0) & (positions < size), positions, -1)


def max_window(axis: int, positions: np.ndarray, size: int) -> AxisWindow:
    """Return the window of a max-pool."""
    return AxisWindow(axis, inside(positions, size))


def average_map(
    axis: int,
    positions: np.ndarray,
    size: int,
    padding: tuple[int, int] | None,
    divisor: int | None = None,
) -> AxisMap:
    """Return the average over each window.

    Padding cells within `padding` count in the divisor; None counts the cells of the axis only.
    An explicit `divisor` replaces both.
    """
    cells = inside(positions, size)
    if divisor is not None:
        counts = np.full(len(positions), divisor)
    elif padding is None:
        counts = (cells >= 0).sum(axis=1)
    else:
        counts = ((positions >= -padding[0]) & (positions < size + padding[1])).sum(axis=1)
    if counts.min() < 1:
        raise ProblemError("an averaging window lies entirely in the padding; reduce the padding")
    return AxisMap(axis, cells, (cells >= 0).astype(float), counts)


def adaptive_positions(size: int, outputs: int) -> np.ndarray:
    """Return the windows of adaptive pooling: output i reads floor(i n/m) to ceil((i+1) n/m)."""
    if outputs < 1:
        raise ProblemError(f"adaptive pooling to {outputs} outputs; give at least 1")
    starts = [i * size // outputs for i in range(outputs)]
    stops = [-(-(i + 1) * size // outputs) for i in range(outputs)]
    width = max(b - a for a, b in zip(starts, stops, strict=True))
    result = np.full((outputs, width), -1)
    for i, (a, b) in enumerate(zip(starts, stops, strict=True)):
        result[i, : b - a] = np.arange(a, b)
    return result


def total_map(axis: int, size: int, mean: bool) -> AxisMap:
    """Return the sum or mean over a whole axis, which keeps length 1."""
    cells = np.arange(size)[None, :]
    return AxisMap(axis, cells, np.ones((1, size)), np.array([size if mean else 1]))


def nearest_map(axis: int, cells: np.ndarray) -> AxisMap:
    """Return the map that copies cell ``cells[i]`` to output i."""
    ones = np.ones(len(cells), dtype=np.int64)
    return AxisMap(axis, cells[:, None], np.ones((len(cells), 1)), ones)


def linear_map(axis: int, coordinates: np.ndarray, size: int) -> AxisMap:
    """Return linear interpolation at real coordinates, clamped to the axis."""
    clamped = np.clip(coordinates, 0.0, size - 1.0)
    low = np.floor(clamped).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    part = np.where(high > low, clamped - low, 0.0)
    # At the last cell the second term repeats the first; without weight it is not an edge.
    second = np.where(part > 0, high, -1)
    ones = np.ones(len(low), dtype=np.int64)
    cells = np.stack([low, second], axis=1)
    return AxisMap(axis, cells, np.stack([1.0 - part, part], axis=1), ones)
