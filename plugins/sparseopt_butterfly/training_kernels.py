"""Compiled kernels (numba) for a chain of factors that is trained: its product, and all gradients.

Factors are taken in runs whose product has square blocks of few rows, pattern (A, W, W, D). Block
after block, some columns at a time are brought into a workspace in which all factors of a run are
applied. Only what enters a run is kept for the gradients: within a block all else is computed once
more, which takes less time than reading it again from far memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparseopt_butterfly.fused_kernels import VECTOR, compiled, mix2, mix4

TILE = 128
"""Columns that are processed at a time."""


@compiled
def times_run(
    values: Any, levels: Any, a: int, size: int, d: int, x: Any, y: Any, room: Any
) -> None:
    """Write a run of factors times x to y.

    Parameters
    ----------
    values : array
        All factors one after the other, each in the layout of its pattern.
    levels : int array (levels, 4)
        Of each factor of the run, in order of application: where its values begin, its width, and
        a and d inside a block.
    a, size, d : int
        Pattern (a, size, size, d) of the run.
    x, y : array (a size d, columns)
    room : array (any,)
        For levels + 1 blocks of `TILE` columns.
    """
    for begin in range(0, x.shape[1], TILE):
        count = min(TILE, x.shape[1] - begin)
        for i in range(a):
            for h in range(d):
                _load(x, (i * size) * d + h, d, size, begin, count, room)
                _forward(values, levels, i, h, d, size, room, count, False)
                for k in range(size):
                    row, at = y[i * size * d + h + k * d], k * TILE
                    for c in range(count):
                        row[begin + c] = room[at + c]


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
    values, levels, a, size, d, x, room
        See `times_run`.
    cotangent : array (a size d, columns)
    result : array
        Like `values`.
    work : array (any,)
        For a block of `TILE` columns.
    """
    last = levels.shape[0] - 1
    sums, matrix = np.empty(16, values.dtype), np.empty(16, values.dtype)
    for begin in range(0, x.shape[1], TILE):
        count = min(TILE, x.shape[1] - begin)
        for i in range(a):
            for h in range(d):
                top = i * size * d + h
                _load(x, top, d, size, begin, count, room)
                _load(cotangent, top, d, size, begin, count, work)
                _forward(values, levels[:last], i, h, d, size, room, count, True)
                for level in range(last, -1, -1):
                    at, width, outer, inner = levels[level]
                    begun = level * size * TILE
                    for m in range(outer):
                        for g in range(inner):
                            own = at + (i * outer + m) * width * width * inner * d + g * d + h
                            row = (m * width * inner + g) * TILE
                            far = inner * TILE
                            _gradient(room, begun + row, work, row, far, width, count, sums)
                            for k in range(width * width):
                                entry = own + k * inner * d
                                result[entry] += sums[k]
                                matrix[k % width * width + k // width] = values[entry]
                            _mix(matrix, width, work, row, work, row, far, count)
                for k in range(size):
                    target, at = cotangent[top + k * d], k * TILE
                    for c in range(count):
                        target[begin + c] = work[at + c]


@compiled
def _load(x: Any, top: int, d: int, size: int, begin: int, count: int, room: Any) -> None:
    """Copy the rows of a block into the workspace."""
    for k in range(size):
        row, at = x[top + k * d], k * TILE
        for c in range(count):
            room[at + c] = row[begin + c]


@compiled
def _forward(
    values: Any, levels: Any, i: int, h: int, d: int, size: int, room: Any, count: int, keep: bool
) -> None:
    """Apply the factors of a run to a block, in place or, to keep what is between them, each to the
    next part of the workspace."""
    matrix = np.empty(16, values.dtype)
    for level in range(levels.shape[0]):
        at, width, outer, inner = levels[level]
        shift = size * TILE if keep else 0
        begin = level * shift
        for m in range(outer):
            for g in range(inner):
                own = at + (i * outer + m) * width * width * inner * d + g * d + h
                row = begin + (m * width * inner + g) * TILE
                if width == 2:
                    step = inner * d
                    matrix[0], matrix[1] = values[own], values[own + step]
                    matrix[2], matrix[3] = values[own + 2 * step], values[own + 3 * step]
                    for c in range(0, count, VECTOR // room.itemsize):
                        at2 = row + shift + c
                        mix2(matrix, 0, room, row + c, inner * TILE, room, at2, inner * TILE)
                    continue
                for k in range(width * width):
                    matrix[k] = values[own + k * inner * d]
                _mix(matrix, width, room, row, room, row + shift, inner * TILE, count)


@compiled
def _mix(
    matrix: Any, width: int, source: Any, row: int, target: Any, to: int, far: int, count: int
) -> None:
    """Multiply rows, `far` apart, by a small matrix; the last vector of columns is a whole one."""
    for c in range(0, count, VECTOR // source.itemsize):
        if width == 2:
            mix2(matrix, 0, source, row + c, far, target, to + c, far)
        else:
            mix4(matrix, 0, source, row + c, far, target, to + c, far)


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
