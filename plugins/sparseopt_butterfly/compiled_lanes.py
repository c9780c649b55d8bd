"""The compiled run for butterflies whose columns, not rows, lie together in memory.

Some consecutive rows, the lanes, go side by side as they lie: a row group of the first levels
differs from the next one in the last digits of t only, and the blocks of both are independent. So
these rows count as one long row of entries (k, lane), and all blocks at one place of it are
approximated at once. Nothing is turned until the rest has as few rows as there are lanes; then the
ordinary run takes over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt.tools.hierarchy import Level, Standard
from sparseopt_butterfly.compiled_run import Layout
from sparseopt_butterfly.compiled_steps import compiled, square, top

# Of each column so much is read at once: fewer bytes cost as much, more do not fit into cache.
_BYTES = 256


def lanes_of(dtype: np.dtype[Any]) -> int:
    """Return how many rows are taken together."""
    return _BYTES // dtype.itemsize


def wide_levels(standard: Standard, lanes: int) -> tuple[Level, ...]:
    """Return the first levels, those whose row groups come in whole lanes; d counts those then.

    None unless all blocks have two rows and rank 1.
    """
    found: list[Level] = []
    if standard.only_pairs:
        for level in standard.levels:
            if level.d % lanes:
                break
            found.append(replace(level, d=level.d // lanes))
    return tuple(found)


def rest_of(work: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the rest after the wide levels as a matrix with contiguous rows."""
    rows = work[int(layout.table[-1, 6]) :]
    count, columns, lanes = rows.shape
    return np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(count * lanes, columns)


@compiled
def run_lanes(
    columns: Any,
    first: int,
    last: int,
    table: Any,
    radix: Any,
    order: Any,
    panel: Any,
    unit: Any,
    work: Any,
    left: Any,
) -> None:
    """Process leaves first .. last of the wide levels.

    Parameters
    ----------
    columns : array (N, rows), C-contiguous
        The columns of the target.
    table, radix, order
        See `Layout`, with lanes for rows.
    panel : array (2, c, lanes)
        Workspace, the blocks of the first level that are at work.
    unit : complex or float
        The imaginary unit; 0.0 for real numbers.
    work : array (work_rows, N, lanes)
        The living rows of every level, then the rest.
    left : array (left_size lanes,)
        Receives U of every level.
    """
    lanes = work.shape[2]
    sums, turn = np.empty((4, lanes)), np.empty((2, lanes), work.dtype)
    for k in range(first, last):
        leaf = k
        t = order[k]
        for level in range(len(radix)):
            groups, c, one = table[level, 2], table[level, 3], table[level, 6]
            digit = leaf % radix[level]
            leaf //= radix[level]
            begin = lanes * (table[level, 5] + t * 2 * groups)
            u = left[begin : begin + lanes * 2 * groups]
            out = work[table[level + 1, 6] + digit]
            x, y = panel[0], panel[1]
            for g in range(groups):
                if level == 0:
                    _gather(columns, g * c, t * lanes, x)
                    _gather(columns, g * c, (t + table[0, 1]) * lanes, y)
                else:
                    x, y = work[one, g * c : (g + 1) * c], work[one + 1, g * c : (g + 1) * c]
                _pairs(x, y, g, groups, unit, sums, turn, u, out[g * c : (g + 1) * c])
            if digit < radix[level] - 1:
                break
            if level + 1 < len(radix):
                t = t % table[level + 1, 1]


@compiled
def _gather(columns: Any, start: int, lane: int, block: Any) -> None:
    """Copy some lanes of the columns of a block: they lie far apart, and are read twice."""
    c, lanes = block.shape
    for k in range(c):
        source, target = columns[start + k, lane : lane + lanes], block[k]
        for i in range(lanes):
            target[i] = source[i]


@compiled
def _pairs(
    x: Any, y: Any, g: int, groups: int, unit: Any, sums: Any, turn: Any, left: Any, w: Any
) -> None:
    """Approximate block g of all lanes, see `compiled_steps.pairs`.

    Sums are in double precision: one lane has no partial sums that would keep them accurate. They
    are in one array: the compiler would not make vectors of more than a few that may overlap.
    """
    c, lanes = x.shape
    for lane in range(lanes):
        sums[0, lane] = sums[1, lane] = sums[2, lane] = sums[3, lane] = 0.0
    for k in range(c):
        a, b = x[k], y[k]
        for lane in range(lanes):
            cross = np.conj(a[lane]) * b[lane]
            sums[0, lane] += square(a[lane])
            sums[1, lane] += square(b[lane])
            sums[2, lane] += cross.real
            sums[3, lane] += cross.imag
    for lane in range(lanes):
        place = 2 * (lane * groups + g)
        yx = sums[2, lane] + unit * sums[3, lane]
        top(sums[0, lane], sums[1, lane], yx, left, place)
        turn[0, lane], turn[1, lane] = np.conj(left[place]), np.conj(left[place + 1])
    for k in range(c):
        a, b, out = x[k], y[k], w[k]
        for lane in range(lanes):
            out[lane] = turn[0, lane] * a[lane] + turn[1, lane] * b[lane]
