"""Compiled kernels (numba) for rows times a chain of factors with larger blocks, and its gradients.

A factor (a, b, c, d) takes rows as ``a d`` matrices with c columns, and multiplies each by a matrix
of its own. Vectors hold entries of one row: for d = 1 neighbouring results of one block, whose
values are transposed on the way; otherwise one entry of neighbouring blocks, multiplied one by one.
So operand, values and results are read and written as they lie in tensors. What would meet in the
same places of the first-level cache, since its addresses are a large power of two apart, is copied
side by side first. Columns and distances are in bytes.
"""

from __future__ import annotations

from typing import Any

from sparseopt_butterfly.fused_kernels import VECTOR, compiled
from sparseopt_butterfly.lane_emitting import column_sums, number_at
from sparseopt_butterfly.micro_kernels import copy, dots, micro_kernel, turn

# Bytes of a vector.
LANE = VECTOR
# Rows up to which scalar products take less time than transposed values.
FEW = 4
# Rows and distance of blocks from which on copies side by side pay.
MANY, FAR = 16, 4 * LANE
# Vectors whose values are copied at a time.
WIDE = 4
# Rows and vectors of what kernels hold in registers.
_wise_4_4, _wise_4_1 = micro_kernel(4, 4, False), micro_kernel(4, 1, False)
_wise_1_4, _wise_1_1 = micro_kernel(1, 4, False), micro_kernel(1, 1, False)
_spread_4_4, _spread_1_4 = micro_kernel(4, 4, True), micro_kernel(1, 4, True)
_spread_8_2, _spread_1_2 = micro_kernel(8, 2, True), micro_kernel(1, 2, True)
_spread_8_1, _spread_1_1 = micro_kernel(8, 1, True), micro_kernel(1, 1, True)


@compiled
def _spread(like: Any, left: Any, right: Any, result: Any, added: Any) -> None:
    """Write a product of numbers with vectors side by side, see `micro_kernels.micro_kernel`.

    ``left`` has the address, the strides of rows and terms, and the number of rows; ``right`` the
    address, the stride of terms, and the number of vectors; ``result`` the address and the stride
    of rows; ``added`` the address, the strides of rows and vectors, and the number of terms.
    """
    x, x_p, x_s, height = left
    v, v_s, width = right
    y, y_p = result
    plus, plus_p, plus_q, count = added
    q = 0
    while q < width:
        many = 4 if q + 4 <= width else 2 if q + 2 <= width else 1
        tall = 4 if many == 4 else 8
        rows = height - height % tall
        for p in range(0, rows, tall):
            operands = x + p * x_p, x_p, x_s, v + q * LANE, LANE, v_s
            sums = y + p * y_p + q * LANE, y_p, LANE, plus + p * plus_p + q * plus_q, plus_p, plus_q
            if many == 4:
                _spread_4_4(like, operands + sums + (count,))
            elif many == 2:
                _spread_8_2(like, operands + sums + (count,))
            else:
                _spread_8_1(like, operands + sums + (count,))
        for p in range(rows, height):
            operands = x + p * x_p, x_p, x_s, v + q * LANE, LANE, v_s
            sums = y + p * y_p + q * LANE, y_p, LANE, plus + p * plus_p + q * plus_q, plus_p, plus_q
            if many == 4:
                _spread_1_4(like, operands + sums + (count,))
            elif many == 2:
                _spread_1_2(like, operands + sums + (count,))
            else:
                _spread_1_1(like, operands + sums + (count,))
        q += many


@compiled
def _wise(like: Any, left: Any, right: Any, result: Any, added: Any) -> None:
    """Write a product of vectors, entry by entry, with vectors, like `_spread`; ``right`` and
    ``result`` have the strides of vectors, too, before those of terms and after those of rows."""
    x, x_p, x_s, height = left
    v, v_q, v_s, width = right
    y, y_p, y_q = result
    plus, plus_p, plus_q, count = added
    rows, vectors = height - height % 4, width - width % 4
    for q in range(0, vectors, 4):
        for p in range(0, rows, 4):
            operands = x + p * x_p, x_p, x_s, v + q * v_q, v_q, v_s
            sums = y + p * y_p + q * y_q, y_p, y_q, plus + p * plus_p + q * plus_q, plus_p, plus_q
            _wise_4_4(like, operands + sums + (count,))
        for p in range(rows, height):
            operands = x + p * x_p, x_p, x_s, v + q * v_q, v_q, v_s
            sums = y + p * y_p + q * y_q, y_p, y_q, plus + p * plus_p + q * plus_q, plus_p, plus_q
            _wise_1_4(like, operands + sums + (count,))
    for q in range(vectors, width):
        for p in range(0, rows, 4):
            operands = x + p * x_p, x_p, x_s, v + q * v_q, v_q, v_s
            sums = y + p * y_p + q * y_q, y_p, y_q, plus + p * plus_p + q * plus_q, plus_p, plus_q
            _wise_4_1(like, operands + sums + (count,))
        for p in range(rows, height):
            operands = x + p * x_p, x_p, x_s, v + q * v_q, v_q, v_s
            sums = y + p * y_p + q * y_q, y_p, y_q, plus + p * plus_p + q * plus_q, plus_p, plus_q
            _wise_1_1(like, operands + sums + (count,))


@compiled
def _side_by_side(like: Any, x: int, row: int, step: int, rows: int, count: int, room: int) -> int:
    """Copy vectors, ``step`` apart, of some rows; return the distance of rows there."""
    wide = (count + 1) * LANE
    for r in range(rows):
        copy(like, (x + r * row, step, room + r * wide, LANE, count))
    return wide


@compiled
def _wise_product(
    like: Any, lane: int, left: Any, right: Any, result: Any, added: Any, room: int
) -> None:
    """Like `_wise`; values far apart are copied side by side."""
    v, v_q, v_s, width = right
    y, y_p, y_q = result
    plus, plus_p, plus_q, count = added
    if left[3] < MANY or v_s < FAR:
        _wise(like, left, right, result, added)
        return
    for q in range(0, width, WIDE):
        some = min(WIDE, width - q)
        for k in range(some):
            copy(like, (v + (q + k) * v_q, v_s, room + k * LANE, WIDE * LANE, count))
        values = room, lane, WIDE * lane, some
        here = y + q * y_q, y_p, y_q
        _wise(like, left, values, here, (plus + q * plus_q, plus_p, plus_q, count))


@compiled
def _apply(
    like: Any, item: int, factor: Any, x: Any, y: Any, rows: int, added: Any, room: int
) -> None:
    """Apply a factor to some rows.

    ``factor`` has a, b, c, d and the address of values; x and y an address and the distance of
    rows; ``added`` an address, and 1 or 0 as in `multiply`.
    """
    a, b, c, d, v = factor
    x, x_row = x
    y, y_row = y
    plus, is_plus = added
    step, lanes = d * item, LANE // item
    lane, none = lanes * item, 0 * item  # no literals, of which kernels would be compiled anew
    for i in range(a):
        values, source, target = v + i * b * c * step, x + i * c * step, y + i * b * step
        bias = plus + i * b * step * is_plus
        if d == 1 and rows <= FEW:
            for r in range(rows):
                for j in range(0, b * item, LANE):
                    here, at = source + r * x_row, target + r * y_row + j
                    vectors = c * item // LANE
                    dots(like, (here, values + j * c, c * item, at, bias, j * is_plus, vectors))
        elif d == 1:
            for j in range(0, b, lanes):
                for k in range(0, c, lanes):
                    tile, there = values + (j * c + k) * item, room + (k * b + j) * item
                    turn(like, (tile, c * item, there, b * item))
            numbers, turned = (source, x_row, item, rows), (room, b * item, b * item // LANE)
            _spread(like, numbers, turned, (target, y_row), (bias, none, lane * is_plus, c))
        else:
            for h in range(0, step, LANE):
                entered, row, apart, rest = source + h, x_row, step, room
                if rows >= MANY and step >= FAR:
                    row, apart = _side_by_side(like, entered, x_row, step, rows, c, room), lane
                    entered, rest = room, room + rows * row
                left, right = (entered, row, apart, rows), (values + h, c * step, step, b)
                sums = bias + h * is_plus, none, step * is_plus, c
                _wise_product(like, lane, left, right, (target + h, y_row, step), sums, rest)


@compiled
def _take_back(
    like: Any,
    item: int,
    factor: Any,
    to: int,
    x: Any,
    g: Any,
    y: Any,
    rows: int,
    zeros: int,
    room: int,
) -> None:
    """From the cotangents g of what `_apply` gives for x, write those of x to y, unless its address
    is 0, and add the gradients of the values to what stands at ``to``."""
    a, b, c, d, v = factor
    x, x_row = x
    g, g_row = g
    y, y_row = y
    step, lane, none = d * item, LANE // item * item, 0 * item
    for i in range(a):
        values, found = v + i * b * c * step, to + i * b * c * step
        entered, given, back = x + i * c * step, g + i * b * step, y + i * c * step
        if d == 1:
            wide = c * item // LANE
            row = _side_by_side(like, entered, x_row, lane, rows, wide, room)
            place = room + rows * row
            g_apart = _side_by_side(like, given, g_row, lane, rows, b * item // LANE, place)
            numbers, vectors = (place, item, g_apart, b), (room, row, wide)
            _spread(like, numbers, vectors, (found, c * item), (found, c * item, lane, rows))
            if y:
                numbers, vectors = (place, g_apart, item, rows), (values, c * item, wide)
                _spread(like, numbers, vectors, (back, y_row), (zeros, none, none, b))
        else:
            for h in range(0, step, LANE):
                row = _side_by_side(like, entered + h, x_row, step, rows, c, room)
                place = room + rows * row
                g_apart = _side_by_side(like, given + h, g_row, step, rows, b, place)
                left, right = (place, lane, g_apart, b), (room, lane, row, c)
                here, sums = (found + h, c * step, step), (found + h, c * step, step, rows)
                _wise(like, left, right, here, sums)
                if y:
                    left, right = (place, g_apart, lane, rows), (values + h, step, c * step, c)
                    there, rest = (back + h, y_row, step), place + rows * g_apart
                    _wise_product(like, lane, left, right, there, (zeros, none, none, b), rest)


@compiled
def _factor(table: int, k: int, places: int) -> Any:
    """Return a, b, c, d and the address of the values of a factor."""
    at = table + 32 * k
    a, b, c, d = number_at(at, 0), number_at(at, 1), number_at(at, 2), number_at(at, 3)
    return a, b, c, d, number_at(places, k)


@compiled
def multiply(
    like: Any,
    item: int,
    table: int,
    number: int,
    places: int,
    gap: int,
    x: int,
    y: int,
    rows: int,
    bias: int,
    biased: int,
    kept: int,
    room: int,
    wide: int,
) -> None:
    """Write the product of a chain with each row of x, plus a bias, to y.

    Parameters
    ----------
    like : number
        Says the type of all others.
    item : int
        Its size.
    table, number : int
        Address of a, b, c and d of so many factors, in order of application.
    places : int
        Address of the addresses of their values.
    gap : int
        Distance of rows in the workspace.
    x, y, rows
        Addresses of operand and result, contiguous, and the number of rows.
    bias, biased : int
        Address of a bias, and 1; or of one vector of zeros, and 0.
    kept : int
        Address where what enters the second factor, the third, .. is written; 0 if it is not kept.
    room, wide : int
        Address of a workspace: one vector of zeros, twice so many rows, and what products need.
    """
    zeros, room = room, room + LANE
    rest = room + 2 * wide * gap
    for first in range(0, rows, wide):
        count = min(wide, rows - first)
        a, b, c, d, _ = _factor(table, 0, places)
        width, below = a * c * d * item, kept
        source = x + first * width, width
        for k in range(number):
            factor = _factor(table, k, places)
            a, b, c, d, _ = factor
            width = a * b * d * item
            target, added = (room + k % 2 * wide * gap, gap), (zeros, 0 * k)
            if k == number - 1:
                target, added = (y + first * width, width), (bias, biased)
            elif kept:
                target = below + first * width, width
                below += rows * width
            _apply(like, item, factor, source, target, count, added, rest)
            source = target


@compiled
def gradients(
    like: Any,
    item: int,
    table: int,
    number: int,
    places: int,
    results: int,
    gap: int,
    x: int,
    g: int,
    y: int,
    rows: int,
    of_bias: int,
    kept: int,
    room: int,
    wide: int,
) -> None:
    """From cotangents g of what `multiply` gives, write those of what it takes to y, if y is not 0,
    and add the gradients of all values to what stands at the addresses at ``results``; those of the
    bias to what stands at ``of_bias``, if that is not 0. What `multiply` kept is needed.
    """
    zeros, room = room, room + LANE
    rest = room + 2 * wide * gap
    for first in range(0, rows, wide):
        count, above = min(wide, rows - first), kept
        for k in range(number - 1):
            a, b, c, d, _ = _factor(table, k, places)
            above += rows * a * b * d * item
        a, b, c, d, _ = _factor(table, number - 1, places)
        width = a * b * d * item
        given = g + first * width, width
        if of_bias:
            for column in range(0, width, LANE):
                column_sums(like, (given[0] + column, width, count, of_bias + column))
        for k in range(number - 1, -1, -1):
            factor = _factor(table, k, places)
            a, b, c, d, _ = factor
            width = a * c * d * item
            if k:
                above -= rows * width
                entered, back = (above + first * width, width), (room + k % 2 * wide * gap, gap)
            else:
                entered, back = (x + first * width, width), (y and y + first * width, width)
            to = number_at(results, k)
            _take_back(like, item, factor, to, entered, given, back, count, zeros, rest)
            given = back
