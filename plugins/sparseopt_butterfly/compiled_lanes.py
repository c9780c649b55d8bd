"""The compiled run for butterflies whose columns, not rows, lie together in memory.

`LANES` consecutive rows go side by side, as they lie: a row group of the first levels differs from
the next one in the last digits of t only, and the blocks of both are independent. So these rows
count as one long row, entry (k, lane) at k LANES + lane, and all blocks at one place of it are
approximated at once. Nothing is turned until the rest has as few rows as that; then the ordinary
run takes over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sparseopt_butterfly.compiled_run import Layout
from sparseopt_butterfly.compiled_steps import compiled, square, top
from sparseopt_butterfly.hierarchy import Level, Standard

# Rows taken together: whole cache lines of every column.
LANES = 32


def wide_levels(standard: Standard) -> tuple[Level, ...]:
    """Return the first levels, those whose row groups come in whole lanes; d counts those then.

    None unless all blocks have two rows and rank 1.
    """
    found: list[Level] = []
    if standard.only_pairs:
        for level in standard.levels:
            if level.d % LANES:
                break
            found.append(replace(level, d=level.d // LANES))
    return tuple(found)


def rest_of(work: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the rest after the wide levels as a matrix with contiguous rows."""
    rows = work[int(layout.table[-1, 6]) :]
    turned = rows.reshape(len(rows), -1, LANES).transpose(0, 2, 1)
    return np.ascontiguousarray(turned).reshape(len(rows) * LANES, -1)


@compiled
def run_lanes(
    columns: Any,
    first: int,
    last: int,
    table: Any,
    radix: Any,
    order: Any,
    panel: Any,
    cross: Any,
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
    panel : array (2, N LANES)
        Workspace, the two long rows of a leaf.
    cross : array (LANES,) of double precision
        Workspace, inner products of rows.
    work : array (work_rows, N LANES)
        The living rows of every level, then the rest.
    left : array (left_size LANES,)
        Receives U of every level.
    """
    squares, turn = np.empty((2, LANES)), np.empty((2, LANES), work.dtype)
    for k in range(first, last):
        leaf = k
        t = order[k]
        for level in range(len(radix)):
            groups, c = table[level, 2], table[level, 3]
            digit = leaf % radix[level]
            leaf //= radix[level]
            size = 2 * groups * LANES
            begin = LANES * table[level, 5] + t * size
            u = left[begin : begin + size]
            out = work[table[level + 1, 6] + digit]
            if level == 0:
                for j in range(2):
                    _gather(columns, (t + j * table[0, 1]) * LANES, panel[j])
                _pairs(panel[0], panel[1], groups, c, squares, cross, turn, u, out)
            else:
                one = table[level, 6]
                _pairs(work[one], work[one + 1], groups, c, squares, cross, turn, u, out)
            if digit < radix[level] - 1:
                break
            if level + 1 < len(radix):
                t = t % table[level + 1, 1]


@compiled
def _gather(columns: Any, start: int, row: Any) -> None:
    """Copy some lanes of all columns: they lie far apart, and are read twice."""
    for k in range(len(columns)):
        source, target = columns[k, start:], row[k * LANES :]
        for lane in range(LANES):
            target[lane] = source[lane]


@compiled
def _pairs(
    x: Any, y: Any, groups: int, c: int, squares: Any, cross: Any, turn: Any, left: Any, w: Any
) -> None:
    """Approximate the blocks of `LANES` pairs of rows, see `compiled_steps.pairs`.

    Sums are in double precision: one lane has no partial sums that would keep them accurate.
    """
    for g in range(groups):
        for lane in range(LANES):
            squares[0, lane] = squares[1, lane] = 0.0
            cross[lane] = 0.0
        for k in range(g * c, (g + 1) * c):
            a, b = x[k * LANES :], y[k * LANES :]
            for lane in range(LANES):
                squares[0, lane] += square(a[lane])
                squares[1, lane] += square(b[lane])
                cross[lane] += np.conj(a[lane]) * b[lane]
        for lane in range(LANES):
            place = 2 * (lane * groups + g)
            top(squares[0, lane], squares[1, lane], cross[lane], left, place)
            turn[0, lane], turn[1, lane] = np.conj(left[place]), np.conj(left[place + 1])
        for k in range(g * c, (g + 1) * c):
            a, b, out = x[k * LANES :], y[k * LANES :], w[k * LANES :]
            for lane in range(LANES):
                out[lane] = turn[0, lane] * a[lane] + turn[1, lane] * b[lane]
