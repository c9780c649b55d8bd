"""Compiled kernels (numba) for a chain of factors that is trained: its product, and all gradients.

Factors are taken in runs whose product has square blocks of few rows, pattern (A, W, W, D). Block
after block, some columns at a time are brought into a workspace in which all factors of a run are
applied. Only what enters a run is kept for the gradients: within a block all else is computed once
more, which takes less time than reading it again from far memory.
"""

from __future__ import annotations

from typing import Any

from sparseopt_butterfly.fused_kernels import compiled

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
    for begin in range(0, x.shape[1], TILE):
        count = min(TILE, x.shape[1] - begin)
        for i in range(a):
            for h in range(d):
                top = i * size * d + h
                _load(x, top, d, size, begin, count, room)
                _load(cotangent, top, d, size, begin, count, work)
                _forward(values, levels[:last], i, h, d, size, room, count, True)
                for level in range(last, -1, -1):
                    at, width = levels[level, 0], levels[level, 1]
                    outer, inner = levels[level, 2], levels[level, 3]
                    held = room[level * size * TILE : (level + 1) * size * TILE]
                    for m in range(outer):
                        for g in range(inner):
                            step = inner * d
                            own = at + (i * outer + m) * width * width * step + g * d + h
                            row = (m * width * inner + g) * TILE
                            if width == 2:
                                _back2(values, own, step, held, work, row, inner, count, result)
                            else:
                                _back4(values, own, step, held, work, row, inner, count, result)
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
    for level in range(levels.shape[0]):
        at, width, outer, inner = levels[level]
        shift = size * TILE if keep else 0
        begin = level * shift
        for m in range(outer):
            for g in range(inner):
                step = inner * d
                own = at + (i * outer + m) * width * width * step + g * d + h
                row = begin + (m * width * inner + g) * TILE
                if width == 2:
                    _times2(values, own, step, room, row, row + shift, inner * TILE, count)
                else:
                    _times4(values, own, step, room, row, row + shift, inner * TILE, count)


@compiled
def _times2(v: Any, at: int, step: int, room: Any, row: int, to: int, far: int, count: int) -> None:
    """Multiply two rows, `far` apart, by a 2 x 2 block whose entries are `step` apart."""
    a, b, c, d = v[at], v[at + step], v[at + 2 * step], v[at + 3 * step]
    x, y = room[row : row + count], room[row + far : row + far + count]
    p, q = room[to : to + count], room[to + far : to + far + count]
    for k in range(count):
        s, t = x[k], y[k]
        p[k] = a * s + b * t
        q[k] = c * s + d * t


@compiled
def _times4(v: Any, at: int, step: int, room: Any, row: int, to: int, far: int, count: int) -> None:
    """Multiply four rows, `far` apart, by a 4 x 4 block whose entries are `step` apart."""
    for k in range(count):
        p, q = room[row + k], room[row + far + k]
        r, s = room[row + 2 * far + k], room[row + 3 * far + k]
        for j in range(4):
            own = at + 4 * j * step
            upper = v[own] * p + v[own + step] * q
            room[to + j * far + k] = upper + v[own + 2 * step] * r + v[own + 3 * step] * s


@compiled
def _back2(
    v: Any, at: int, step: int, held: Any, work: Any, row: int, inner: int, count: int, result: Any
) -> None:
    """Add the gradient of a 2 x 2 block, and take its two rows of the cotangent back."""
    a, b, c, d = v[at], v[at + step], v[at + 2 * step], v[at + 3 * step]
    low = row + inner * TILE
    x, y = held[row : row + count], held[low : low + count]
    p, q = work[row : row + count], work[low : low + count]
    one, two, three, four = 0 * a, 0 * a, 0 * a, 0 * a
    for k in range(count):
        one += p[k] * x[k]
        two += p[k] * y[k]
        three += q[k] * x[k]
        four += q[k] * y[k]
    for k in range(count):
        s, t = p[k], q[k]
        p[k] = a * s + c * t
        q[k] = b * s + d * t
    result[at] += one
    result[at + step] += two
    result[at + 2 * step] += three
    result[at + 3 * step] += four


@compiled
def _back4(
    v: Any, at: int, step: int, held: Any, work: Any, row: int, inner: int, count: int, result: Any
) -> None:
    """Add the gradient of a 4 x 4 block, and take its four rows of the cotangent back."""
    far = inner * TILE
    for j in range(4):
        g = work[row + j * far : row + j * far + count]
        for k in range(4):
            x = held[row + k * far : row + k * far + count]
            total = 0 * v[at]
            for c in range(count):
                total += g[c] * x[c]
            result[at + (4 * j + k) * step] += total
    for c in range(count):
        p, q = work[row + c], work[row + far + c]
        r, s = work[row + 2 * far + c], work[row + 3 * far + c]
        for k in range(4):
            own = at + k * step
            upper = v[own] * p + v[own + 4 * step] * q
            work[row + k * far + c] = upper + v[own + 8 * step] * r + v[own + 12 * step] * s
