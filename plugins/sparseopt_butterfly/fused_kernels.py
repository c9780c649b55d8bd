"""Compiled kernels (numba) that apply several factors with 2 x 2 or 4 x 4 blocks in one pass.

A run of factors whose product has square blocks of W rows, pattern (A, W, W, D), is applied block
after block: the W rows of the operand are read once, all factors of the run are applied to them in
a workspace that stays in the first-level cache, and W rows of the result are written once.

Vector operations are written out (`mixing`) instead of left to the compiler: rows might overlap for
all it knows, so it would test for that before every few multiplications.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

# Bytes of one vector operation, the unit in which columns are processed.
VECTOR = 64

compiled = numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")


def mixing(width: int) -> Any:
    """Return the compiled function that multiplies `width` row pieces by a small square matrix.

    ``mix(values, at, source, first, step, target, begin, stride)`` takes the matrix of `width`
    squared numbers at ``values[at:]``; row piece k, of `VECTOR` bytes, begins at
    ``source[first + k step]`` and its result at ``target[begin + k stride]``. Source and target may
    be the same rows: all are read before any is written. Both are arrays of real numbers. Values
    may be complex; then a piece holds real and imaginary parts in turn.

    With i x written as J x, the product with a complex value v is Re(v) x + Im(v) J x: the swapped
    and negated piece J x is made once for each row and serves all results.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def mix(
        typing: Any,
        values: Any,
        at: Any,
        source: Any,
        first: Any,
        step: Any,
        target: Any,
        begin: Any,
        stride: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            v, x, y = (
                context.make_array(signature.args[i])(context, builder, arguments[i]).data
                for i in (0, 2, 5)
            )
            at, first, step, begin, stride = (arguments[i] for i in (1, 3, 4, 6, 7))
            scalar = context.get_data_type(source.dtype)
            lanes = VECTOR // context.get_abi_sizeof(scalar)
            emit = _Emitter(builder, scalar, lanes)
            pieces = [emit.load(x, first, step, k) for k in range(width)]
            parts = [[piece] for piece in pieces]
            if isinstance(values.dtype, types.Complex):
                parts = [[piece, emit.turned(piece)] for piece in pieces]
            results = []
            for j in range(width):
                total = None
                for k in range(width):
                    for part, piece in enumerate(parts[k]):
                        value = emit.value(v, at, j * width + k, part, len(parts[k]))
                        total = emit.add_product(total, value, piece)
                results.append(total)
            for j, result in enumerate(results):
                emit.store(result, y, begin, stride, j)
            return context.get_dummy_value()

        index = types.intp
        return types.void(values, index, source, index, index, target, index, index), generate

    return mix


class _Emitter:
    """Writes vector instructions of one length."""

    fast = ("contract", "nsz")

    def __init__(self, builder: Any, scalar: Any, lanes: int) -> None:
        self.builder, self.lanes = builder, lanes
        self.vector = ir.VectorType(scalar, lanes)
        self.choice = ir.VectorType(ir.IntType(32), lanes)
        self.signs = ir.Constant(
            self.vector, [ir.Constant(scalar, (-1.0) ** (i + 1)) for i in range(lanes)]
        )

    def place(self, data: Any, first: Any, step: Any, k: int) -> Any:
        """Pointer to the piece at ``data[first + k step]``."""
        at = self.builder.add(first, self.builder.mul(step, ir.Constant(step.type, k)))
        return self.builder.bitcast(self.builder.gep(data, [at]), self.vector.as_pointer())

    def load(self, data: Any, first: Any, step: Any, k: int) -> Any:
        """Piece k."""
        return self.builder.load(self.place(data, first, step, k), align=1)

    def store(self, piece: Any, data: Any, first: Any, step: Any, k: int) -> None:
        """Write piece k."""
        self.builder.store(piece, self.place(data, first, step, k), align=1)

    def turned(self, piece: Any) -> Any:
        """Times the imaginary unit: (re, im) becomes (-im, re)."""
        order = ir.Constant(self.choice, [i ^ 1 for i in range(self.lanes)])
        swapped = self.builder.shuffle_vector(piece, piece, order)
        return self.builder.fmul(swapped, self.signs, flags=self.fast)

    def value(self, data: Any, at: Any, number: int, part: int, parts: int) -> Any:
        """One real number, or one part of a complex one, in all lanes."""
        place = self.builder.gep(data, [self.builder.add(at, ir.Constant(at.type, number))])
        if parts == 2:
            place = self.builder.gep(place, [ir.IntType(32)(0), ir.IntType(32)(part)])
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, self.builder.load(place), ir.IntType(32)(0))
        return self.builder.shuffle_vector(one, undefined, ir.Constant(self.choice, None))

    def add_product(self, total: Any, value: Any, piece: Any) -> Any:
        """Total plus value times piece; the product alone if there is no total yet."""
        product = self.builder.fmul(value, piece, flags=self.fast)
        return product if total is None else self.builder.fadd(total, product, flags=self.fast)


mix2, mix4 = mixing(2), mixing(4)


@compiled
def level(
    values: Any,
    at: int,
    width: int,
    a: int,
    d: int,
    vectors: int,
    source: Any,
    first: int,
    step: int,
    target: Any,
    begin: int,
    stride: int,
) -> int:
    """Apply a factor (a, width, width, d), row k standing at ``first + k step`` before and at
    ``begin + k stride`` after; return where the values of the next one begin."""
    lanes = VECTOR // source.itemsize
    for i in range(a):
        for h in range(d):
            row = i * width * d + h
            for v in range(vectors):
                x, y = first + row * step + v * lanes, begin + row * stride + v * lanes
                if width == 4:
                    mix4(values, at, source, x, d * step, target, y, d * stride)
                else:
                    mix2(values, at, source, x, d * step, target, y, d * stride)
            at += width * width
    return at


@compiled
def run(
    values: Any,
    at: int,
    levels: Any,
    vectors: int,
    source: Any,
    first: int,
    step: int,
    target: Any,
    work: Any,
) -> int:
    """Apply all factors to the rows of one block, from source through work to the same places of
    the target; return where the values of the next block begin."""
    last, row = levels.shape[0] - 1, vectors * (VECTOR // source.itemsize)
    w, a, d = levels[0, 0], levels[0, 1], levels[0, 2]
    if last == 0:
        return level(values, at, w, a, d, vectors, source, first, step, target, first, step)
    at = level(values, at, w, a, d, vectors, source, first, step, work, 0, row)
    for k in range(1, last):
        w, a, d = levels[k, 0], levels[k, 1], levels[k, 2]
        at = level(values, at, w, a, d, vectors, work, 0, row, work, 0, row)
    w, a, d = levels[last, 0], levels[last, 1], levels[last, 2]
    return level(values, at, w, a, d, vectors, work, 0, row, target, first, step)


@compiled
def blocks(
    values: Any, levels: Any, a: int, size: int, d: int, wide: int, x: Any, y: Any, work: Any
) -> None:
    """Write the run of factors times ``x`` to ``y``.

    Parameters
    ----------
    values : array
        For each block, in order of (i, h), the matrices of each factor in order of application.
    levels : int array (levels, 3)
        Width, a and d of each factor inside a block, in order of application.
    a, size, d : int
        Pattern (a, size, size, d) of the product.
    wide : int
        Vectors per piece of a row that is processed at a time.
    x, y : real array (a size d, columns)
        Two columns for each complex one.
    work : real array (size (wide + 1) vector,)
        Workspace for a piece of all rows, and for the last columns, which do not fill a vector.
    """
    columns, lanes = x.shape[1], VECTOR // x.itemsize
    source, target = x.ravel(), y.ravel()
    pad = work[size * wide * lanes :]
    full = columns // lanes
    rest = columns - full * lanes
    if rest == 0 and levels.shape[0] == 1:
        w = levels[0, 0]
        for piece in range(0, full, wide):
            vectors, here = min(wide, full - piece), piece * lanes
            level(values, 0, w, a, d, vectors, source, here, columns, target, here, columns)
        return
    pad[:] = 0
    start, step = 0, d * columns
    for i in range(a):
        for h in range(d):
            top, after = (i * size * d + h) * columns, start
            for piece in range(0, full, wide):
                vectors, here = min(wide, full - piece), top + piece * lanes
                after = run(values, start, levels, vectors, source, here, step, target, work)
            if rest > 0:
                here = top + full * lanes
                for k in range(size):
                    for t in range(rest):
                        pad[k * lanes + t] = source[here + k * step + t]
                after = run(values, start, levels, 1, pad, 0, lanes, pad, work)
                for k in range(size):
                    for t in range(rest):
                        target[here + k * step + t] = pad[k * lanes + t]
            start = after


@compiled
def vector(values: Any, levels: Any, x: Any, y: Any) -> None:
    """Write a chain of factors times the vector ``x`` to ``y``, factor by factor.

    Parameters
    ----------
    values : array
        The factors in order of application, each in the layout of its pattern (a, w, w, d).
    levels : int array (levels, 3)
        Width, a and d of each.
    x, y : array (n,)
    """
    at = 0
    for level in range(levels.shape[0]):
        width, a, d = levels[level, 0], levels[level, 1], levels[level, 2]
        source = x if level == 0 else y
        for i in range(a):
            block = width * d
            part = source[i * block : (i + 1) * block]
            result = y[i * block : (i + 1) * block]
            matrix = values[at : at + width * block]
            at += width * block
            if width == 4:
                for h in range(d):
                    p, q, r, s = part[h], part[h + d], part[h + 2 * d], part[h + 3 * d]
                    for j in range(4):
                        k = 4 * j * d + h
                        result[h + j * d] = (
                            matrix[k] * p
                            + matrix[k + d] * q
                            + matrix[k + 2 * d] * r
                            + matrix[k + 3 * d] * s
                        )
            else:
                for h in range(d):
                    p, q = part[h], part[h + d]
                    result[h] = matrix[h] * p + matrix[h + d] * q
                    result[h + d] = matrix[h + 2 * d] * p + matrix[h + 3 * d] * q
