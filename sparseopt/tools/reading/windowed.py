"""Pools and resampling of other software, added to a builder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.window import AxisMap, MaxPool, Resample
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Value
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions


def windows(
    builder: NetworkBuilder,
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    ceil_mode: bool,
) -> np.ndarray:
    """Return `pool_positions`, once there is room for them."""
    if min(kernel, stride, dilation) < 1 or min(padding) < 0:
        raise ProblemError(
            f"a window of {kernel} cells with stride {stride}, dilation {dilation} and padding "
            f"{padding} is not valid"
        )
    outputs = max(0, (size + sum(padding)) // stride + 2)
    builder.budget.keep(outputs * kernel)
    return pool_positions(size, kernel, stride, padding, dilation, ceil_mode)


def max_pool(
    builder: NetworkBuilder,
    value: Value,
    positions: Sequence[np.ndarray],
    sizes: Sequence[int],
    name: str,
) -> Value:
    """Pool over the trailing axes; `positions` (outputs, window) may lie in the padding."""
    cells = tuple(
        max_window(axis + 1, places, n)
        for axis, (places, n) in enumerate(zip(positions, sizes, strict=True))
    )
    return builder.image(value, len(cells), MaxPool(cells), name)


def average_pool(
    builder: NetworkBuilder,
    value: Value,
    positions: Sequence[np.ndarray],
    sizes: Sequence[int],
    padding: Sequence[tuple[int, int] | None],
    name: str,
    divisor: int | None = None,
) -> Value:
    """Average over the trailing axes; padding counts in the divisor where it is given."""
    count = len(positions)
    divisors = [divisor, *([1] * (count - 1))] if divisor else [None] * count
    maps = tuple(
        average_map(axis + 1, places, n, pads, d)
        for axis, (places, n, pads, d) in enumerate(
            zip(positions, sizes, padding, divisors, strict=True)
        )
    )
    return builder.image(value, count, Resample(maps), name)


def resample(builder: NetworkBuilder, value: Value, maps: Sequence[AxisMap], name: str) -> Value:
    """Apply linear maps along axes of the model's shape."""
    return builder.add_on_all_axes(Resample(tuple(maps)), [value], name) if maps else value
