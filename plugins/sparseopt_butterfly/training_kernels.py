"""Compiled kernels (numba) for the gradients of a chain of factors.

As in `fused_kernels`, factors are taken in runs whose product has square blocks of few rows,
pattern (A, W, W, D), neighbours with blocks of 2 rows merged in pairs. Only what enters a run is
kept for the gradients: within a block, all else is computed once more in a workspace, which takes
less time than reading it again from far memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt_butterfly.fused_kernels import VECTOR, compiled, level, mix2, mix4

TILE = 128
"""Columns that are processed at a time."""


@compiled
def pack(values: Any, first: Any, second: Any, packed: Any) -> None:
    """Write the products of values at two places each; the last value is 1, for single ones."""
    for k in range(len(packed)):
        packed[k] = values[first[k]] * values[second[k]]


@compiled
def unpack(values: Any, first: Any, second: Any, packed: Any, result: Any) -> None:
    """Add the gradients of values to `result`, from those of the products that `pack` writes."""
    for k in range(len(packed)):
        one, two = first[k], second[k]
        result[one] += packed[k] * values[two]
        result[two] += packed[k] * values[one]


@compiled
def gradients_of_run(
    values: Any,
    levels: Any,
    a: int,
    size: int,
    d: int,
    x: Any,
    cotangent: Any,
    result: Any,
    room: Any,
    work: Any,
) -> None:
    """Add the gradients of the factors of a run to `result`, and replace the cotangent of what the
    run gives by that of what it takes.

    Parameters
    ----------
    values, levels, a, size, d
        See `fused_kernels.blocks`.
    x, cotangent : array (a size d, columns)
    result : array
        Like `values`.
    room, work : arrays (any,)
        For blocks of `TILE` columns: as many as there are levels, and one.
    """
    sums, matrix = np.empty(16, values.dtype), np.empty(16, values.dtype)
    last, block = levels.shape[0] - 1, size * TILE
    lanes = VECTOR // values.itemsize
    entries = len(values) // (a * d)
    for begin in range(0, x.shape[1], TILE):
        count = min(TILE, x.shape[1] - begin)
        vectors = (count + lanes - 1) // lanes
        for i in range(a):
            for h in range(d):
                top = i * size * d + h
                _load(x, top, d, size, begin, count, room)
                _load(cotangent, top, d, size, begin, count, work)
                at = (i * d + h) * entries
                for k in range(last):
                    w, outer, inner = levels[k]
                    here, there = k * block, (k + 1) * block
                    at = level(
                        values, at, w, outer, inner, vectors, room, here, TILE, room, there, TILE
                    )
                for k in range(last, -1, -1):
                    w, outer, inner = levels[k]
                    far = inner * TILE
                    for m in range(outer):
                        for g in range(inner):
                            row = (m * w * inner + g) * TILE
                            own = at + (m * inner + g) * w * w
                            _gradient(room, k * block + row, work, row, far, w, count, sums)
                            for j in range(w * w):
                                result[own + j] += sums[j]
                                matrix[j % w * w + j // w] = values[own + j]
                            for c in range(row, row + count, lanes):
                                if w == 4:
                                    mix4(matrix, 0, work, c, far, work, c, far)
                                else:
                                    mix2(matrix, 0, work, c, far, work, c, far)
                    if k:
                        at -= levels[k - 1, 0] * size
                for k in range(size):
                    target, place = cotangent[top + k * d], k * TILE
                    for c in range(count):
                        target[begin + c] = work[place + c]


@compiled
def _load(x: Any, top: int, d: int, size: int, begin: int, count: int, room: Any) -> None:
    """Copy the rows of a block into the workspace."""
    for k in range(size):
        row, at = x[top + k * d], k * TILE
        for c in range(count):
            room[at + c] = row[begin + c]


@compiled
def _gradient(
    held: Any, row: int, work: Any, to: int, far: int, width: int, count: int, sums: Any
) -> None:
    """Write the products of each row of the cotangent with each row of what was multiplied."""
    zero = held.dtype.type(0)
    for j in range(0, width, 2):
        p = work[to + j * far : to + j * far + count]
        q = work[to + (j + 1) * far : to + (j + 1) * far + count]
        for k in range(0, width, 2):
            x = held[row + k * far : row + k * far + count]
            y = held[row + (k + 1) * far : row + (k + 1) * far + count]
            one, two, three, four = zero, zero, zero, zero
            for c in range(count):
                one += p[c] * x[c]
                two += p[c] * y[c]
                three += q[c] * x[c]
                four += q[c] * y[c]
            sums[j * width + k], sums[j * width + k + 1] = one, two
            sums[(j + 1) * width + k], sums[(j + 1) * width + k + 1] = three, four
