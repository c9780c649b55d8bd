"""Compiled kernels (numba) that multiply the rows of an operand, as layers of networks have them.

A few rows at a time are transposed into a workspace that stays in the second-level cache; there a
chain of factors is applied by `fused_kernels`, and the result is transposed back. So neither
operand nor result is read or written twice.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from sparseopt_butterfly.fused_kernels import VECTOR, compiled, run, vector
from sparseopt_butterfly.transposing import bring_tile, turn_tile


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(typing: Any, address: Any, like: Any) -> Any:
    """Return an address as a pointer to numbers like those of an array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], kind)

    return types.CPointer(like.dtype)(types.intp, like), generate


@compiled
def digest(places: Any, sizes: Any, words: Any) -> Any:
    """Return a number that depends on every bit of some arrays, and on the order of their values.

    Each word of 8 bytes is mixed with its position by multiplications and shifts (after Steele,
    Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), and all are added.

    Parameters
    ----------
    places, sizes : int array (arrays,)
        Address of each array, a multiple of 4, and its number of bytes, likewise.
    words : uint64 array (any,)
        Says the type of a word.
    """
    total = np.uint64(0)
    number = np.uint64(0)
    one, two = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
    step = np.uint64(0x9E3779B97F4A7C15)
    for k in range(len(places)):
        count = sizes[k] // 8
        held = numba.carray(_pointer(places[k], words), (count + 1,))
        for i in range(count):
            word = held[i] + (number + np.uint64(i)) * step
            word = (word ^ (word >> np.uint64(32))) * one
            word = (word ^ (word >> np.uint64(29))) * two
            total += word ^ (word >> np.uint64(32))
        number += np.uint64(count + 1)
        if sizes[k] % 8:
            half = numba.carray(_pointer(places[k], words[:1].view(np.uint32)), (2 * count + 1,))
            word = (np.uint64(half[2 * count]) + number * step) * one
            total += word ^ (word >> np.uint64(29))
    return total


@compiled
def multiply_rows(
    places: Any,
    sizes: Any,
    words: Any,
    expected: Any,
    values: Any,
    levels: Any,
    runs: Any,
    alone: Any,
    steps: Any,
    bias: Any,
    work: Any,
    x_place: int,
    y_place: int,
    rows: int,
    n: int,
) -> bool:
    """Write the product of a chain with each row of x, plus a bias, to y.

    Returns False, and does nothing, where the digest of the arrays that the chain was prepared from
    is not the expected one.

    Parameters
    ----------
    places, sizes, words : arrays
        See `digest`.
    expected : uint64
    values, levels : arrays
        Of all runs of factors, in order of application; see `fused_kernels.blocks`.
    runs : int array (runs, 7)
        Of each: where its values begin; a, size and d of its pattern; its first level and the
        one after its last; the number of values of a block.
    alone, steps : arrays
        The chain for single rows, see `fused_kernels.vector`.
    bias : array (n,)
    work : array (any,)
    x_place, y_place : int
        Addresses of x and y (rows, n), contiguous and of the type of `values`.
    rows, n : int
    """
    if digest(places, sizes, words) != expected:
        return False
    x = numba.carray(_pointer(x_place, values), (rows * n,))
    y = numba.carray(_pointer(y_place, values), (rows * n,))
    lanes = VECTOR // values.itemsize
    if rows <= 2:
        for i in range(rows):
            vector(alone, steps, x[i * n : (i + 1) * n], y[i * n : (i + 1) * n])
            for j in range(n):
                y[i * n + j] += bias[j]
        return True
    size = 0
    for number in range(len(runs)):
        size = max(size, runs[number, 2])
    pad = work[: lanes * n]
    inner = work[lanes * n : lanes * n + 8 * size * lanes]
    room = work[lanes * n + len(inner) :]
    wide = max(1, min(8, len(room) // (n * lanes)))
    for first in range(0, rows, wide * lanes):
        held = min(rows - first, wide * lanes)
        columns = (held + lanes - 1) // lanes * lanes
        if held < columns:  # the last rows, with zeros below
            begin = (rows - rows % lanes) * n
            rest = (rows % lanes) * n
            pad[:rest] = x[begin : begin + rest]
            pad[rest:] = 0
        _chain(values, levels, runs, room, columns, inner, x, pad, y, first, rows, n, bias)
        if held < columns:
            y[begin : begin + rest] = pad[:rest]
    return True


@compiled
def _chain(
    values: Any,
    levels: Any,
    runs: Any,
    room: Any,
    columns: int,
    inner: Any,
    x: Any,
    pad: Any,
    y: Any,
    row: int,
    rows: int,
    n: int,
    bias: Any,
) -> None:
    """Multiply as many rows, from `row` on, as the workspace has columns.

    They are transposed into it as a whole: to go on with a block as soon as it is there would read
    the operand in short pieces far apart, which takes longer than what the first cache saves.
    """
    vectors = columns // (VECTOR // x.itemsize)
    _bring_in(x, pad, row, rows, n, room, columns)
    for number in range(len(runs)):
        start, a, size, d, low, high, each = runs[number]
        own = levels[low:high]
        for i in range(a):
            for h in range(d):
                top = (i * size * d + h) * columns
                run(values, start, own, vectors, room, top, d * columns, room, inner)
                start += each
    _bring_out(room, columns, pad, y, row, rows, n, bias)


@compiled
def _bring_in(x: Any, pad: Any, row: int, rows: int, n: int, room: Any, columns: int) -> None:
    """Transpose some rows of x into the workspace; those of rows that do not fill a vector stand in
    the pad."""
    lanes = VECTOR // x.itemsize
    whole = n - n % lanes
    for v in range(0, columns, lanes):
        padded = rows - row - v < lanes
        source, top = (pad, 0) if padded else (x, (row + v) * n)
        for j in range(0, whole, lanes):
            bring_tile(source, top + j, n, room, j * columns + v, columns)
        for j in range(whole, n):
            for k in range(lanes):
                room[j * columns + v + k] = source[top + k * n + j]


@compiled
def _bring_out(
    room: Any, columns: int, pad: Any, y: Any, row: int, rows: int, n: int, bias: Any
) -> None:
    """Transpose back, with a bias, from the workspace into some rows of y or the pad."""
    lanes = VECTOR // y.itemsize
    whole = n - n % lanes
    for v in range(0, columns, lanes):
        padded = rows - row - v < lanes
        target, top = (pad, 0) if padded else (y, (row + v) * n)
        for j in range(0, whole, lanes):
            turn_tile(room, j * columns + v, columns, target, top + j, n, bias, j)
        for j in range(whole, n):
            for k in range(lanes):
                target[top + k * n + j] = room[j * columns + v + k] + bias[j]
