"""Compiled kernels (numba) for rows times a chain of factors (a, 2, 2, d), and its gradients.

A few rows at a time go through all factors in a workspace that stays in the second-level cache, two
factors at once, as many as fit into one vector in one go; see `lane_emitting`. The gradients need
what entered each of these passes: it is computed once more, a few rows at a time, which takes less
time than reading it again from far memory.
"""

from __future__ import annotations

from typing import Any

from sparseopt_butterfly.fused_kernels import VECTOR, compiled
from sparseopt_butterfly.lane_emitting import (
    column_sums,
    number_at,
    pair,
    pair_back,
    single,
    single_back,
    within,
    within_back,
)

# Bytes of a vector.
LANE = VECTOR


@compiled
def _start(places: int, factor: int, column: int, d: int) -> int:
    """Return where the values stand that mix the vectors at a column and d behind it.

    Columns and d in bytes: a block of 2 d columns has 4 d values.
    """
    return number_at(places, factor) + column // (2 * d) * 4 * d + column % d


@compiled
def _step(
    like: Any,
    step: int,
    places: int,
    region: Any,
    x: int,
    x_row: int,
    y: int,
    y_row: int,
    count: int,
    bias: int,
    biased: int,
) -> None:
    """Apply the pass that stands at an address to the columns of a region of some rows.

    Of the columns from ``top`` to ``end``, a region has `chunk` in each `span`.
    """
    kind, factor = number_at(step, 0), number_at(step, 1)
    d1, d2 = number_at(step, 2), number_at(step, 3)
    top, end, span, chunk = region
    if kind == 0:
        for c in range(top, end, LANE):
            added = bias + c * biased
            within(like, (x + c, x_row, y + c, y_row, count, places + 8 * factor, 2 * c, added))
    elif kind == 1:
        for upper in range(top, end, 2 * d1):
            for begin in range(upper, upper + d1, span):
                for c in range(begin, begin + chunk, LANE):
                    start = _start(places, factor, c, d1)
                    single(
                        like,
                        (x + c, x_row, y + c, y_row, count, d1, start, bias + c * biased, biased),
                    )
    else:
        low, high = min(d1, d2), max(d1, d2)
        for upper in range(top, end, 2 * high):
            for middle in range(upper, upper + high, 2 * low):
                for begin in range(middle, middle + low, span):
                    for c in range(begin, begin + chunk, LANE):
                        one, two = _start(places, factor, c, d1), _start(places, factor, c + d2, d1)
                        three = _start(places, factor + 1, c, d2)
                        four = _start(places, factor + 1, c + d1, d2)
                        from_to = x + c, x_row, y + c, y_row, count, d1, d2
                        pair(like, (*from_to, one, two, three, four, bias + c * biased, biased))


@compiled
def multiply(
    like: Any,
    passes: int,
    stages: int,
    number: int,
    places: int,
    n: int,
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

    Here as everywhere, columns and distances are in bytes.

    Parameters
    ----------
    like : number
        Says the type of all others.
    passes : int
        Address of four integers for each pass over the operand: 0 for as many factors as fit into
        a vector, 1 or 2 for so many; the number of the first one, in order of application; d of
        the one or two.
    stages, number : int
        Address of five integers for each of so many stages: their first pass and the one after
        their last; extent, span and chunk: columns come in blocks of this extent, and of a block,
        only `chunk` of each `span` columns are processed at a time, by all passes of the stage.
    places : int
        Address of the addresses of the values of each factor, in order of application.
    n, x, y, rows
        Columns, addresses of operand and result, number of rows.
    bias, biased : int
        Address of a bias, and 1; or of one vector of zeros, and 0.
    kept : int
        Address where what enters the second stage, the third, .. is written; 0 if it is not kept.
    room, wide : int
        Address of a workspace for so many rows and, in front, one vector of zeros. Each row has a
        vector more than it needs: rows a multiple of 4096 bytes apart would compete for the same
        places in the cache.
    """
    zeros, room, gap = room, room + LANE, n + LANE
    for first in range(0, rows, wide):
        count = min(wide, rows - first)
        source, source_row = x + first * n, n
        for stage in range(number):
            at = stages + 40 * stage
            begin, after = number_at(at, 0), number_at(at, 1)
            extent, span, chunk = number_at(at, 2), number_at(at, 3), number_at(at, 4)
            target, target_row, added, is_added = room, gap, zeros, 0 * n
            if stage == number - 1:
                target, target_row, added, is_added = y + first * n, n, bias, biased
            elif kept:
                target, target_row = kept + (stage * rows + first) * n, n
            for top in range(0, n, extent):
                for h in range(0, span, chunk):
                    region = top + h, top + h + extent, span, chunk
                    here, here_row = source, source_row
                    for k in range(begin, after):
                        there, there_row, plus, is_plus = room, gap, zeros, 0 * n
                        if k == after - 1:
                            there, there_row, plus, is_plus = target, target_row, added, is_added
                        to = there, there_row, count, plus, is_plus
                        _step(like, passes + 32 * k, places, region, here, here_row, *to)
                        here, here_row = there, there_row
            source, source_row = target, target_row


@compiled
def _step_back(
    like: Any,
    step: int,
    places: int,
    results: int,
    region: Any,
    x: int,
    x_row: int,
    g: int,
    g_row: int,
    y: int,
    y_row: int,
    count: int,
) -> None:
    """Take a pass back, see `_step`."""
    kind, factor = number_at(step, 0), number_at(step, 1)
    d1, d2 = number_at(step, 2), number_at(step, 3)
    top, end, span, chunk = region
    if kind == 0:
        for c in range(top, end, LANE):
            some = x + c, x_row, g + c, g_row, y + c, y_row, count
            within_back(like, (*some, places + 8 * factor, results + 8 * factor, 2 * c))
    elif kind == 1:
        for upper in range(top, end, 2 * d1):
            for begin in range(upper, upper + d1, span):
                for c in range(begin, begin + chunk, LANE):
                    some = x + c, x_row, g + c, g_row, y + c, y_row, count
                    start = _start(places, factor, c, d1), _start(results, factor, c, d1)
                    single_back(like, (*some, d1, *start))
    else:
        low, high = min(d1, d2), max(d1, d2)
        for upper in range(top, end, 2 * high):
            for middle in range(upper, upper + high, 2 * low):
                for begin in range(middle, middle + low, span):
                    for c in range(begin, begin + chunk, LANE):
                        four = x + c, x_row, g + c, g_row, y + c, y_row, count, d1, d2
                        values = _four(places, factor, c, d1, d2)
                        pair_back(like, (*four, *values, *_four(results, factor, c, d1, d2)))


@compiled
def _four(places: int, factor: int, c: int, d1: int, d2: int) -> Any:
    """Return where the values of two factors stand that mix four vectors."""
    return (
        _start(places, factor, c, d1),
        _start(places, factor, c + d2, d1),
        _start(places, factor + 1, c, d2),
        _start(places, factor + 1, c + d1, d2),
    )


@compiled
def gradients(
    like: Any,
    passes: int,
    stages: int,
    number: int,
    places: int,
    results: int,
    n: int,
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
    bias to what stands at ``of_bias``, if that is not 0.

    What `multiply` kept is needed; the workspace has room for as many times `wide` rows as a stage
    has passes.
    """
    zeros, room, gap = room, room + LANE, n + LANE
    part = wide * gap
    for first in range(0, rows, wide):
        count = min(wide, rows - first)
        above, above_row = g + first * n, n
        if of_bias:
            for c in range(0, n, LANE):
                column_sums(like, (above + c, n, count, of_bias + c))
        for stage in range(number - 1, -1, -1):
            at = stages + 40 * stage
            begin, after = number_at(at, 0), number_at(at, 1)
            extent, span, chunk = number_at(at, 2), number_at(at, 3), number_at(at, 4)
            entered = x + first * n
            if stage:
                entered = kept + ((stage - 1) * rows + first) * n
            for top in range(0, n, extent):
                for h in range(0, span, chunk):
                    region = top + h, top + h + extent, span, chunk
                    here, here_row, there = entered, n, room - top - h
                    for k in range(begin, after - 1):
                        there += part
                        to = there, gap, count, zeros, 0 * n
                        _step(like, passes + 32 * k, places, region, here, here_row, *to)
                        here, here_row = there, gap
                    given, given_row = above, above_row
                    for k in range(after - 1, begin - 1, -1):
                        back, back_row = room, gap
                        if k == 0 and y:
                            back, back_row = y + first * n, n
                        if k == begin:
                            here, here_row = entered, n
                        rows_of = here, here_row, given, given_row, back, back_row, count
                        _step_back(like, passes + 32 * k, places, results, region, *rows_of)
                        given, given_row = back, back_row
                        here -= part
            above, above_row = room, gap
