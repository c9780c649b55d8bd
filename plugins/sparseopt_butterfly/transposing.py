"""A compiled transpose (numba), tile by tile in vector registers, with a vector added on the way.

NumPy and torch copy a transposed matrix entry by entry, which takes longer than a chain of small
factors takes for the whole product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from sparseopt_butterfly.fused_kernels import VECTOR, compiled


def transposed(x: np.ndarray, added: np.ndarray | None = None) -> np.ndarray:
    """Return ``x.T + added``, contiguous, for real x (m, n) and added (m,)."""
    y = np.empty(x.shape[::-1], dtype=x.dtype)
    zero = np.zeros(len(x), dtype=x.dtype) if added is None else added
    _transpose_into(np.ascontiguousarray(x), y, zero)
    return y


def transpose_into(x: np.ndarray, y: np.ndarray) -> None:
    """Write ``x.T`` to y (n, m), contiguous, for real x (m, n)."""
    _transpose_into(np.ascontiguousarray(x), y, np.zeros(len(x), dtype=x.dtype))


def swap_into(
    x: np.ndarray,
    y: np.ndarray,
    counts: tuple[int, int, int, int],
    steps: tuple[int, int, int],
    strides: tuple[int, int, int],
) -> None:
    """Write many matrices transposed, for real x and y, contiguous and of as many numbers.

    Matrix (s, t) of the first two ``counts`` has the other two as numbers of its rows and columns.
    ``steps`` says how far apart two of them are in x for s and for t, and their rows; ``strides``
    the same of the transposed ones in y. Rows lie together.
    """
    _swap_into(x.reshape(-1), y.reshape(-1), *counts, *steps, *strides)


def _tile_turning(adding: bool) -> Any:
    """Return the compiled function that transposes a tile, with a vector added to each row or not.

    It writes a tile of as many rows as a vector has lanes. Row k of the tile begins at
    ``source[first + k step]``, of the result at ``target[begin + k stride]``; what is added begins
    at ``added[at]``. With lanes numbered in binary, stage s of the transpose swaps bit s of the
    number of a row with that of its lanes, two rows at a time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, y = (
            context.make_array(signature.args[i])(context, builder, arguments[i]).data
            for i in (0, 3)
        )
        first, step, begin, stride = (arguments[i] for i in (1, 2, 4, 5))
        scalar = context.get_data_type(signature.args[0].dtype)
        lanes = VECTOR // context.get_abi_sizeof(scalar)
        vector = ir.VectorType(scalar, lanes)

        def place(data: Any, start: Any, distance: Any, k: int) -> Any:
            offset = builder.add(start, builder.mul(distance, ir.Constant(distance.type, k)))
            return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

        def chosen(one: Any, two: Any, order: list[int]) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order)
            return builder.shuffle_vector(one, two, mask)

        rows = [builder.load(place(x, first, step, k), align=1) for k in range(lanes)]
        bit = 1
        while bit < lanes:
            low = [i if not i & bit else lanes + (i ^ bit) for i in range(lanes)]
            high = [i ^ bit if not i & bit else lanes + i for i in range(lanes)]
            for k in range(lanes):
                if not k & bit:
                    one, two = rows[k], rows[k | bit]
                    rows[k], rows[k | bit] = chosen(one, two, low), chosen(one, two, high)
            bit *= 2
        if adding:
            extra = context.make_array(signature.args[6])(context, builder, arguments[6]).data
            at = arguments[7]
            offset = builder.load(place(extra, at, ir.Constant(at.type, 0), 0), align=1)
            rows = [builder.fadd(row, offset) for row in rows]
        for k, row in enumerate(rows):
            builder.store(row, place(y, begin, stride, k), align=1)
        return context.get_dummy_value()

    index = types.intp

    @intrinsic  # type: ignore[untyped-decorator]
    def turn(
        typing: Any,
        source: Any,
        first: Any,
        step: Any,
        target: Any,
        begin: Any,
        stride: Any,
        added: Any,
        at: Any,
    ) -> Any:
        kinds = (source, index, index, target, index, index, added, index)
        return types.void(*kinds), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def bring(
        typing: Any, source: Any, first: Any, step: Any, target: Any, begin: Any, stride: Any
    ) -> Any:
        return types.void(source, index, index, target, index, index), generate

    return turn if adding else bring


turn_tile, bring_tile = _tile_turning(True), _tile_turning(False)


@compiled
def _transpose_into(x: Any, y: Any, added: Any) -> None:
    """Write ``x.T + added`` to y, for real x (m, n), y (n, m) and added (m,), all contiguous."""
    m, n = x.shape
    lanes = VECTOR // x.itemsize
    source, target = x.ravel(), y.ravel()
    whole_m, whole_n = m - m % lanes, n - n % lanes
    for i in range(0, whole_m, lanes):
        for j in range(0, whole_n, lanes):
            turn_tile(source, i * n + j, n, target, j * m + i, m, added, i)
    for i in range(m):
        for j in range(whole_n if i < whole_m else 0, n):
            target[j * m + i] = source[i * n + j] + added[i]


@compiled
def _swap_into(
    source: Any,
    target: Any,
    many: int,
    times: int,
    m: int,
    n: int,
    far: int,
    near: int,
    step: int,
    wide: int,
    close: int,
    stride: int,
) -> None:
    """Write matrices transposed, see `swap_into`."""
    lanes = VECTOR // source.itemsize
    whole_m, whole_n = m - m % lanes, n - n % lanes
    for s in range(many):
        for t in range(times):
            x, y = s * far + t * near, s * wide + t * close
            for i in range(0, whole_m, lanes):
                for j in range(0, whole_n, lanes):
                    bring_tile(source, x + i * step + j, step, target, y + j * stride + i, stride)
            for i in range(m):
                for j in range(whole_n if i < whole_m else 0, n):
                    target[y + j * stride + i] = source[x + i * step + j]
