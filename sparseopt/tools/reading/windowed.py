"""Pools and resampling of other software, added to a builder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.window import AxisMap, MaxPool, RankPool, Resample
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Hollow, Value
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
    if isinstance(value, Hollow):
        count, widths = len(positions), value.widths
        if any(pair != (0, 0) for pair in widths[: len(widths) - count]):
            raise ProblemError("a border of -inf is read along the pooled axes only")
        befores = [before for before, _ in widths[len(widths) - count :]]
        positions = [cells - before for cells, before in zip(positions, befores, strict=True)]
        value = value.inner
        sizes = value.shape[len(value.shape) - count :]
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


MOST_RANKS = 1024
"""Entries of a sorted axis: each is a layer of its own."""


def ranked(
    builder: NetworkBuilder, value: Value, axis: int, ranks: Sequence[int], name: str
) -> Value:
    """Return the entries of some ranks along an axis, in the order of `ranks`; 1 is the largest.

    Sorting, top-k and medians of every kind: each is a pool of the whole axis.
    """
    if len(ranks) > MOST_RANKS:
        raise ProblemError(f"{len(ranks)} entries are ordered; at most {MOST_RANKS} are read")
    shape = list(value.shape)
    shape[axis] = 1
    parts = [
        builder.keep(builder.add_on_all_axes(RankPool(axis, rank), [value], name), shape)
        for rank in ranks
    ]
    return parts[0] if len(parts) == 1 else builder.concat(parts, axis, f"{name}:ordered")


def cumulative(
    builder: NetworkBuilder, value: Value, axis: int, exclusive: bool, reverse: bool, name: str
) -> Value:
    """Return the sums of all entries up to each along an axis, or from each on."""
    size = value.shape[axis]
    builder.budget.keep(2 * size * size)
    cells = np.broadcast_to(np.arange(size), (size, size))
    rows = cells.T
    if reverse:
        kept = cells > rows if exclusive else cells >= rows
    else:
        kept = cells < rows if exclusive else cells <= rows
    ones = np.ones(size, dtype=np.int64)
    whole = AxisMap(axis, np.where(kept, cells, -1), kept.astype(float), ones)
    return builder.add_on_all_axes(Resample((whole,)), [value], name)


def scattered(
    builder: NetworkBuilder, value: Value, targets: np.ndarray, shape: Sequence[int], name: str
) -> Value:
    """Return a value of this shape to which each entry of `value` is added at its target.

    `targets` holds, for each entry in row-major order, a position in the result, or -1.
    """
    flat = np.asarray(targets).ravel()
    if flat.size != np.prod(value.shape):
        raise ProblemError(f"{flat.size} targets do not fit a value of shape {value.shape}")
    sources = np.flatnonzero(flat >= 0)
    order = sources[np.argsort(flat[sources], kind="stable")]
    places = flat[order]
    size = int(np.prod(shape))
    if not size or (places.size and places[-1] >= size):
        raise ProblemError(f"a target lies outside a value of shape {tuple(shape)}")
    # Which one it is of those that are added at its target.
    turn = np.arange(places.size) - np.searchsorted(places, places)
    parts = []
    for i in range(int(turn.max(initial=0)) + 1):
        index = np.full(size, -1, dtype=np.int64)
        index[places[turn == i]] = order[turn == i]
        parts.append(builder.select(value, index.reshape(shape), f"{name}:part"))
    return parts[0] if len(parts) == 1 else builder.sum_of(parts, name)


def with_added(
    builder: NetworkBuilder,
    base: Value | np.ndarray,
    added: Value | np.ndarray,
    targets: np.ndarray,
    name: str,
) -> Value:
    """Return `base` with entries of `added` added at their targets, see `scattered`.

    One of the two may be constant.
    """
    if isinstance(added, np.ndarray):
        assert isinstance(base, Value)  # what is made of constants is computed before
        flat, kept = np.zeros(int(np.prod(base.shape))), targets >= 0
        np.add.at(flat, targets[kept], added.astype(np.float64)[kept])
        return builder.affine(base, name, bias=flat.reshape(base.shape))
    moved = scattered(builder, added, targets, base.shape, f"{name}:added")
    if isinstance(base, Value):
        return builder.sum_of([base, moved], name)
    return builder.affine(moved, name, bias=base) if np.any(base) else moved
