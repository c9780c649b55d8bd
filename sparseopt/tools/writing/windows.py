"""Windows of pools as kernel, stride, dilation and padding, for libraries that want them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparseopt.networks.window import AxisMap, AxisWindow, Resample


@dataclass(frozen=True)
class Sliding:
    """A window that slides along one axis.

    Attributes
    ----------
    kernel, stride, dilation : int
    before, after : int
        Padding; `after` is what the last window needs, negative if cells are left over.
    """

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int


def sliding(index: np.ndarray, size: int) -> Sliding | None:
    """Return the window that reads these cells of an axis of `size`; None if none slides so.

    Parameters
    ----------
    index : int array, shape (outputs, kernel)
        -1 for padding.
    size : int
    """
    outputs, kernel = index.shape
    rows, columns = np.nonzero(index >= 0)
    if not len(rows):
        return None
    cells = index[rows, columns]
    # One equation cell = stride row + dilation column - before for each cell that is read.
    equations = np.stack([rows, columns, -np.ones_like(rows)], axis=1).astype(np.float64)
    found = np.linalg.lstsq(equations, cells.astype(np.float64), rcond=None)[0]
    stride, dilation, before = (round(float(v)) for v in found)
    stride = stride if outputs > 1 else max(stride, 1)
    dilation = dilation if kernel > 1 else max(dilation, 1)
    if stride < 1 or dilation < 1:
        return None
    before = int(stride * rows[0] + dilation * columns[0] - cells[0])
    places = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation - before
    if before < 0 or not np.array_equal(
        np.where((places >= 0) & (places < size), places, -1), index
    ):
        return None
    return Sliding(kernel, stride, dilation, before, int(places[-1, -1]) + 1 - size)


def matrix(m: AxisMap, size: int) -> np.ndarray:
    """Return the map along an axis of `size` as a float64 matrix (outputs, size)."""
    result = np.zeros((len(m.index), size))
    numbers = m.coefficients(np.dtype(float))
    rows, columns = np.nonzero(m.index >= 0)
    np.add.at(result, (rows, m.index[rows, columns]), numbers[rows, columns])
    return result


@dataclass(frozen=True)
class Pool:
    """A pool over the last axes of a value, each with a sliding window."""

    windows: tuple[Sliding, ...]
    counts_padding: bool = False
    """Of averages: whether padding cells count in the divisor."""


def pool(windows: Sequence[AxisWindow | AxisMap], shape: tuple[int, ...]) -> Pool | None:
    """Return the pool over the last axes, in their order, if the windows are one; else None."""
    by_axis = {w.axis: w for w in windows}
    axes = sorted(by_axis)
    if not 1 <= len(axes) <= 3 or axes != list(range(len(shape) - len(axes), len(shape))):
        return None
    if axes[0] != 1:  # libraries pool values of one axis of channels and those of space
        return None
    found = [sliding(by_axis[a].index, shape[a]) for a in axes]
    known = [w for w in found if w is not None]
    return Pool(tuple(known)) if len(known) == len(axes) else None


def average(op: Resample, shape: tuple[int, ...]) -> Pool | None:
    """Return the average pool that a `Resample` is, else None."""
    found = pool(op.maps, shape)
    if found is None or any(w.dilation != 1 for w in found.windows):
        return None
    ways = [_ways(m, shape[m.axis]) for m in op.maps]
    for counts in (False, True):
        if all(counts in way for way in ways):
            return Pool(found.windows, counts)
    return None


def _ways(m: AxisMap, size: int) -> set[bool]:
    """Return which countings of padding make a map an average of its window."""
    inside = m.index >= 0
    if not np.array_equal(np.asarray(m.weight, dtype=float), inside.astype(float)):
        return set()
    window = sliding(m.index, size)
    ways = set()
    if np.array_equal(m.divisor, inside.sum(axis=1)):
        ways.add(False)
    # With the padding before an axis after it, too, no window leaves it.
    inside_padding = window is not None and window.after <= window.before
    if window is not None and inside_padding and np.all(m.divisor == window.kernel):
        ways.add(True)
    return ways
