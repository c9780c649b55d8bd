"""Vector instructions for small pieces of matrix products, as fast products of matrices have them.

A piece of the result, some rows of some vectors, is held in registers while the sum runs: for each
term one column of the left operand and one row of the right one are read, and all products of the
two are added. Strides are free, so that operands are read as they lie. Addresses and strides are
integers, in bytes. Source of the scheme: Goto, van de Geijn, "Anatomy of high-performance matrix
multiplication", ACM TOMS 34, 2008.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils

from sparseopt_butterfly.fused_kernels import VECTOR
from sparseopt_butterfly.lane_emitting import Pieces, Rows, kernel


def micro_kernel(height: int, width: int, spreads: bool) -> Any:
    """Return the kernel for ``height`` rows of ``width`` vectors: y = added + sum of some terms.

    Row p, term s of the left operand stands at ``x + p x_p + s x_s``: one number where the kernel
    `spreads` it over a vector, a whole vector otherwise, whose entries are multiplied one by one.
    Vector q, term s of the right operand stands at ``v + q v_q + s v_s``, and results and what is
    added at ``y + p y_p + q y_q`` and ``added + p added_p + q added_q``. There are ``count`` terms.
    """

    @kernel
    def product(
        rows: Rows,
        x: Any,
        x_p: Any,
        x_s: Any,
        v: Any,
        v_q: Any,
        v_s: Any,
        y: Any,
        y_p: Any,
        y_q: Any,
        added: Any,
        added_p: Any,
        added_q: Any,
        count: Any,
    ) -> None:
        sums = [rows.sums(width) for _ in range(height)]
        left = [rows.moved(x, p, x_p) for p in range(height)]
        right = [rows.moved(v, q, v_q) for q in range(width)]
        with cgutils.for_range(rows.builder, count) as loop:
            vectors = [rows.load(rows.moved(place, loop.index, v_s)) for place in right]
            for place, row in zip(left, sums, strict=True):
                at = rows.moved(place, loop.index, x_s)
                factor = rows.spread(at) if spreads else rows.load(at)
                for total, vector in zip(row, vectors, strict=True):
                    rows.grow(total, factor, vector)
        for p, row in enumerate(sums):
            for q, total in enumerate(row):
                plus = rows.load(rows.moved(rows.moved(added, p, added_p), q, added_q))
                held = rows.plus(rows.builder.load(total), plus)
                rows.store(held, rows.moved(rows.moved(y, p, y_p), q, y_q))

    return product


@kernel
def dots(
    rows: Rows, x: Any, v: Any, v_step: Any, y: Any, added: Any, added_by: Any, count: Any
) -> None:
    """Write a vector of scalar products, plus ``added``: of the ``count`` vectors at x with as many
    at v, at ``v + v_step``, and so on."""
    sums = rows.sums(rows.lanes)
    with cgutils.for_range(rows.builder, count) as loop:
        factor = rows.load(rows.moved(x, loop.index, VECTOR))
        for q, total in enumerate(sums):
            place = rows.moved(rows.moved(v, q, v_step), loop.index, VECTOR)
            rows.grow(total, factor, rows.load(place))
    held, bit = [rows.builder.load(total) for total in sums], 1
    while len(held) > 1:
        held = [
            rows.plus(*rows.interleaved(one, two, bit))
            for one, two in zip(held[::2], held[1::2], strict=True)
        ]
        bit *= 2
    rows.store(rows.plus(held[0], rows.load(rows.moved(added, added_by))), y)


@kernel
def turn(rows: Rows, x: Any, x_step: Any, y: Any, y_step: Any) -> None:
    """Write a tile of as many rows as a vector has lanes transposed."""
    held: Pieces = [rows.load(rows.moved(x, k, x_step)) for k in range(rows.lanes)]
    bit = 1
    while bit < rows.lanes:
        for k in range(rows.lanes):
            if not k & bit:
                held[k], held[k | bit] = rows.interleaved(held[k], held[k | bit], bit)
        bit *= 2
    for k, vector in enumerate(held):
        rows.store(vector, rows.moved(y, k, y_step))


@kernel
def copy(rows: Rows, x: Any, x_step: Any, y: Any, y_step: Any, count: Any) -> None:
    """Copy so many vectors."""
    with cgutils.for_range(rows.builder, count) as loop:
        vector = rows.load(rows.moved(x, loop.index, x_step))
        rows.store(vector, rows.moved(y, loop.index, y_step))
