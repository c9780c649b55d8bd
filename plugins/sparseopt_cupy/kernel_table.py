"""Which kernel computes what: instantiation, grid, arguments, bytes and flops, without a device.

All functions answer with launches in order, none where there is nothing to compute. Their choice is
a model: x is read once wherever b fits a tile, a sector of 32 bytes is never shared by two blocks,
and registers and shared memory leave room for two blocks on a multiprocessor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparseopt_cupy.kernels.launches import (
    TYPES,
    Launch,
    Layout,
    Order,
    Precision,
    flops_per_product,
    itemsize,
    power_above,
    sum_bytes,
    tiles,
    vector,
    weight_strides,
)
from sparseopt_cupy.kernels.sources import Kernel

Pattern = tuple[int, int, int, int]

# Below so many rows or columns of a block, no tensor cores: memory sets the pace.
TINY = 16
# Threads of a block of the register kernels.
_THREADS = 128
# Rows of x that a thread of the batch-first register kernel walks.
_ROWS = 16
# 32-bit registers for the weights that such a thread may keep.
_WEIGHT_REGISTERS = 64
_STAGES = 3
# Bytes of a sector, the least that memory moves.
_SECTOR = 32

# (K, PM, PN) by (M, N): a step of the tile, and the part of it that a warp holds (tensor cores) or
# a thread (FMA). K is doubled for 16-bit entries.
_TENSOR = {
    (16, 128): (16, 16, 32),
    (32, 128): (16, 32, 32),
    (64, 128): (16, 32, 32),
    (128, 128): (16, 64, 32),
    (16, 32): (16, 16, 8),
    (32, 32): (16, 16, 16),
    (64, 32): (16, 16, 32),
    (128, 32): (16, 32, 32),
}
_FLOAT = {
    (16, 128): (16, 4, 4),
    (32, 128): (16, 4, 8),
    (64, 128): (16, 8, 8),
    (128, 128): (16, 8, 8),
    (16, 32): (16, 1, 4),
    (32, 32): (16, 2, 4),
    (64, 32): (16, 4, 4),
    (128, 32): (16, 8, 4),
}
_WIDE = {  # float64 and complex64
    (16, 64): (16, 4, 2),
    (32, 64): (16, 4, 4),
    (64, 64): (16, 8, 4),
    (16, 32): (16, 2, 2),
    (32, 32): (16, 4, 2),
    (64, 32): (16, 8, 2),
}
_WIDEST = {(16, 32): (8, 2, 2), (32, 32): (8, 4, 2)}  # complex128
# The same for one of J neighbouring blocks, batch first, N = 32, by (J, M).
_TENSOR_FIRST = {
    (2, 16): (16, 16, 16),
    (2, 32): (16, 16, 16),
    (2, 64): (16, 32, 16),
    (4, 16): (16, 16, 32),
    (4, 32): (16, 32, 32),
    (4, 64): (16, 64, 32),
    (8, 16): (8, 16, 32),
    (8, 32): (8, 32, 32),
    (8, 64): (8, 64, 32),
    (16, 16): (8, 16, 32),
    (16, 32): (8, 32, 32),
}
_FLOAT_FIRST = {
    (2, 16): (8, 2, 4),
    (2, 32): (8, 4, 4),
    (4, 16): (8, 4, 4),
    (4, 32): (8, 8, 4),
    (8, 16): (8, 4, 4),
    (8, 32): (8, 8, 4),
}
_WIDE_FIRST = {(2, 16): (8, 4, 2), (2, 32): (8, 4, 4), (4, 16): (8, 4, 4), (4, 32): (8, 8, 4)}
_WIDEST_FIRST = {(2, 16): (8, 4, 2), (2, 32): (8, 4, 4)}

_FACTOR = (
    ("In<{}>", "x"),
    ("In<{}>", "w"),
    ("Out<{}>", "y"),
    *(("long long", name) for name in ("a", "b", "c", "d", "n", "si", "sj", "sp", "sq")),
)


def factor(
    pattern: Pattern,
    n: int,
    dtype: str,
    *,
    precision: Precision = "ieee",
    layout: Layout = "last",
    order: Order = "abcd",
    transposed: bool = False,
    conjugated: bool = False,
    alignment: int = 16,
) -> tuple[Launch, ...]:
    """Return the launch of y = K x, or of y = K^T x, K^H x.

    Parameters
    ----------
    pattern : (a, b, c, d)
        Of K as it is stored; x has n columns of a c d entries (a b d if transposed).
    dtype : str
        float16, bfloat16, float32, float64, complex64 or complex128, of x, W and y.
    precision : "ieee", "tf32" or "tf32x3"
        Of float32 only.
    layout : "last" or "first"
        x is (a c d, n) or (n, a c d), C-contiguous; so is y.
    order : "abcd" or "adbc"
        How W lies in memory: (a, b, c, d) as in a product, or (a, d, b, c), which is faster where
        d > 1 and b, c are 16 or more.
    conjugated : bool
        Whether W is conjugated.
    alignment : int
        Bytes of which the addresses of x, W and y are multiples.

    Returns
    -------
    tuple of Launch
        One, with arrays x, w, y; none if n is 0.
    """
    if n == 0:
        return ()
    if n == 1:
        layout = "first"  # the same memory, where neighbours lie together
    a, p, q, d = _turned(pattern, transposed)
    strides = weight_strides(pattern, order, transposed)
    small = min(p, q)
    conjugated = conjugated and dtype.startswith("complex")
    if layout == "last" and small < TINY:
        launch = _tiny_last((a, p, q, d), n, dtype, strides, conjugated, alignment)
    elif layout == "first" and _fits_registers(p, q, dtype):
        launch = _tiny_first((a, p, q, d), n, dtype, strides, conjugated)
    else:
        launch = _general((a, p, q, d), n, dtype, precision, layout, strides, conjugated, alignment)
    return (launch,)


def _turned(pattern: Pattern, transposed: bool) -> Pattern:
    a, b, c, d = pattern
    return (a, c, b, d) if transposed else pattern


def _fits_registers(b: int, c: int, dtype: str) -> bool:
    words = power_above(b) * power_above(c) * sum_bytes(dtype) // 4
    return max(b, c) <= 8 and words <= _WEIGHT_REGISTERS


def _signature(form: tuple[tuple[str, str], ...], dtype: str) -> tuple[tuple[str, str], ...]:
    return tuple((kind.format(TYPES[dtype]), name) for kind, name in form)


def _launch(
    kernel: Kernel,
    blocks: int,
    block: tuple[int, int, int],
    pattern: Pattern,
    n: int,
    strides: tuple[int, ...],
    dtype: str,
    readings: tuple[int, int],
) -> Launch:
    """Return the launch of a kernel that reads x and W so many times."""
    a, b, c, d = pattern
    size = itemsize(dtype)
    x, w, y = n * a * c * d * size, a * b * c * d * size, n * a * b * d * size
    return Launch(
        kernel,
        (blocks, 1, 1),
        block,
        ("x", "w", "y", a, b, c, d, n, *strides),
        {"x": readings[0] * x, "w": readings[1] * w},
        {"y": y},
        x + w + y,
        flops_per_product(dtype) * n * a * b * c * d,
    )


def _tiny_last(
    pattern: Pattern,
    n: int,
    dtype: str,
    strides: tuple[int, ...],
    conjugated: bool,
    alignment: int,
) -> Launch:
    a, b, c, d = pattern
    small = max(2, power_above(min(b, c)))
    # Sums (or inputs) of a thread: at most 64 registers.
    together = vector(dtype, alignment, n, max(1, 256 // (small * sum_bytes(dtype))))
    kernel = Kernel(
        "tiny.cuh",
        "TinyLast",
        (TYPES[dtype], small, b <= c, together, conjugated),
        _signature(_FACTOR, dtype),
        _THREADS,
        resident=4,
    )
    along = min(_THREADS, power_above(tiles(n, together)))
    block = (along, _THREADS // along, 1)
    blocks = tiles(tiles(n, together), block[0]) * tiles(a * d, block[1])
    return _launch(kernel, blocks, block, pattern, n, strides, dtype, (1, n // together))


def _tiny_first(
    pattern: Pattern, n: int, dtype: str, strides: tuple[int, ...], conjugated: bool
) -> Launch:
    a, b, c, d = pattern
    words = power_above(b) * power_above(c) * sum_bytes(dtype) // 4
    kernel = Kernel(
        "tiny.cuh",
        "TinyFirst",
        (TYPES[dtype], power_above(b), power_above(c), _ROWS, conjugated),
        _signature(_FACTOR, dtype),
        _THREADS,
        resident=4 if 2 * words <= _WEIGHT_REGISTERS else 2,
    )
    along = min(_THREADS, power_above(a * d))
    block = (along, _THREADS // along, 1)
    chunks = tiles(n, _ROWS)
    blocks = tiles(a * d, block[0]) * tiles(chunks, block[1])
    return _launch(kernel, blocks, block, pattern, n, strides, dtype, (1, chunks))


def arithmetic(dtype: str, precision: Precision) -> str:
    """Return how products of a data type are computed, in the words of tile.cuh."""
    if dtype in ("float16", "bfloat16"):
        return "HALF"
    return precision.upper() if dtype == "float32" else "IEEE"


def _resident(threads: int, how: str, words: int, j: int) -> int:
    """Return for how many blocks registers are to suffice, of workers that hold so many sums.

    Sixteen warps hide the latency of memory; large parts make up for fewer by fewer loads.
    """
    heavy = words >= 64 if how == "IEEE" else words >= 2048 and (how == "TF32X3" or j > 1)
    return max(1, (384 if heavy else 512) // threads)


def _tile(
    b: int, d: int, n: int, dtype: str, how: str, layout: Layout
) -> tuple[int, int, int, int, int, int]:
    """Return J, M, N, K, PM, PN."""
    size = itemsize(dtype)
    if layout == "first" and d > 1:
        table = {2: _TENSOR_FIRST, 4: _TENSOR_FIRST, 8: _WIDE_FIRST, 16: _WIDEST_FIRST}[size]
        if how == "IEEE" and size == 4:
            table = _FLOAT_FIRST
        j = min(_SECTOR // size, power_above(d))
        m = _covering([m for other, m in table if other == j], b)
        k, pm, pn = table[j, m]
        return j, m, 32, max(k, 16) if how == "HALF" else k, pm, pn
    tiled = {2: _TENSOR, 4: _TENSOR, 8: _WIDE, 16: _WIDEST}[size]
    if how == "IEEE" and size == 4:
        tiled = _FLOAT
    width = max(width for _, width in tiled) if n > 32 else 32
    m = _covering([m for m, other in tiled if other == width], b)
    k, pm, pn = tiled[m, width]
    return 1, m, width, 2 * k if how == "HALF" else k, pm, pn


def _covering(sizes: list[int], b: int) -> int:
    """Return the least size that covers b, or the one that wastes least."""
    covering = [size for size in sizes if size >= b]
    return min(covering) if covering else min(sizes, key=lambda m: (tiles(b, m) * m, -m))


def _general(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    strides: tuple[int, ...],
    conjugated: bool,
    alignment: int,
) -> Launch:
    a, b, c, d = pattern
    how = arithmetic(dtype, precision)
    j, m, width, k, pm, pn = _tile(b, d, n, dtype, how, layout)
    _, sj, sp, sq = strides
    along = "ALONG_Q" if sq == 1 else "ALONG_P" if sp == 1 else "ALONG_J"
    # What lies together: columns of x; for batch first inputs (d = 1) or neighbouring blocks.
    runs = {"last": (n, n), "first": (c, b) if d == 1 else (d, d)}[layout]
    caps = {"last": (width, width), "first": (k, m) if d == 1 else (j, j)}[layout]
    together = (
        vector(dtype, alignment, runs[0], caps[0]),
        vector(dtype, alignment, c, k) if along == "ALONG_Q" and (d == 1 or sj != 1) else 1,
        vector(dtype, alignment, runs[1], caps[1]),
    )
    size = itemsize(dtype)
    pad = 16 // size
    w_size, last = j * m * (k + pad), layout == "last"
    x_size = k * (width + 8) if last else width * (k * j + pad)
    y_size = m * (width + 8) if last else width * (m * j + pad)
    stages = _STAGES
    threads = j * (m // pm) * (width // pn) * (1 if how == "IEEE" else 32)
    kernel = Kernel(
        "factor.cuh",
        "Factor",
        (
            TYPES[dtype],
            how,
            layout.upper(),
            j,
            m,
            width,
            k,
            pm,
            pn,
            stages,
            *together,
            along,
            conjugated,
        ),
        _signature(_FACTOR, dtype),
        threads,
        size * max(stages * (w_size + x_size), y_size),
        _resident(threads, how, pm * pn * (sum_bytes(dtype) // 4), j),
    )
    down, across = tiles(b, m), tiles(n, width)
    blocks = down * across * a * tiles(d, j)
    return _launch(
        kernel, blocks, (kernel.threads, 1, 1), pattern, n, strides, dtype, (down, across)
    )


# Shared memory of a block: two fit on a multiprocessor, or one.
_TWO_BLOCKS, _ONE_BLOCK = 100 << 10, 224 << 10
# Columns that a run of factors keeps, at most.
_COLUMNS = 128
_RUN = (
    ("In<{}>", "x"),
    ("In<{}>", "w"),
    ("Out<{}>", "y"),
    *(("long long", name) for name in ("a", "d", "n")),
)


def longest_run(dtype: str, layout: Layout = "last") -> int:
    """Return how many butterfly factors one pass can take: 2^P rows of a sector each must fit."""
    run = 1
    while _columns(run + 1, 2, dtype, layout) or _columns(run + 1, 1, dtype, layout):
        run += 1
    return run


def fused_pairs(
    a: int,
    d: int,
    run: int,
    n: int,
    dtype: str,
    *,
    layout: Layout = "last",
    alignment: int = 16,
) -> tuple[Launch, ...]:
    """Return the launch of a run of butterfly factors, y = K_1 .. K_P x, in one pass over x.

    Parameters
    ----------
    a, d : int
        Of the merged pattern: factor l has pattern (a 2^l, 2, 2, d 2^(P - 1 - l)), l = 0 .. P - 1.
    run : int
        P, at most `longest_run`.
    n, dtype, layout, alignment
        As in `factor`. Products are IEEE, of 16-bit entries with float sums between exchanges.

    Returns
    -------
    tuple of Launch
        One, with arrays x, w, y; none if n is 0. w holds the factors one after the other, l = 0
        first, each in the order "adbc" (for a transpose: of the transposed factors, reversed).

    Raises
    ------
    ValueError
        If the rows do not fit into shared memory.
    """
    if n == 0:
        return ()
    if n == 1:
        layout = "first"
    size, rows = itemsize(dtype), 1 << run
    j = min(_SECTOR // size, power_above(d)) if layout == "first" else 1
    held = 16 // sum_bytes(dtype)
    columns = _columns(run, j, dtype, layout)
    if not columns:
        raise ValueError(
            f"a run of {run} factors of {dtype} does not fit into shared memory: take at most "
            f"{longest_run(dtype, layout)}"
        )
    columns = max(held, min(columns, power_above(n)))
    along = layout == "first" and j == 1
    together = vector(dtype, alignment, n, columns) if layout == "last" else 1
    radix = 1 << -(-run // -(-run // 3))
    threads = min(256, max(32, rows // radix * j * columns // held))
    kernel = Kernel(
        "fused_pairs.cuh",
        "FusedPairs",
        (TYPES[dtype], run, layout.upper(), j, columns, together, threads),
        _signature(_RUN, dtype),
        threads,
        _run_bytes(run, j * columns, size, along),
        resident=512 // threads,
    )
    entries = a * rows * d
    x, w = n * entries * size, 2 * entries * run * size
    launch = Launch(
        kernel,
        (a * tiles(d, j) * tiles(n, columns), 1, 1),
        (threads, 1, 1),
        ("x", "w", "y", a, d, n),
        {"x": x, "w": w * tiles(n, held)},
        {"y": x},
        2 * x + w,
        2 * flops_per_product(dtype) * run * n * entries,
    )
    return (launch,)


def _run_bytes(run: int, columns: int, size: int, along: bool) -> int:
    rows = 1 << run
    if along:
        return size * columns * (rows + rows // 8 + 1)
    pad = columns if columns * size < 128 else 0
    return size * (rows * columns + (rows // 8 + 1) * pad)


def _columns(run: int, j: int, dtype: str, layout: Layout) -> int:
    """Return how many columns of a run fit, 0 if not even a sector (or a thread's share) does."""
    size, held = itemsize(dtype), 16 // sum_bytes(dtype)
    along = layout == "first" and j == 1
    least = max(held, 1 if layout == "first" else _SECTOR // size)
    for budget in (_TWO_BLOCKS, _ONE_BLOCK):
        columns = _COLUMNS
        while columns >= least:
            if _run_bytes(run, j * columns, size, along) <= budget:
                return columns
            columns //= 2
    return 0


def fused_chain(
    patterns: Sequence[Pattern],
    n: int,
    dtype: str,
    *,
    layout: Layout = "last",
    alignment: int = 16,
) -> tuple[Launch, ...]:
    """Return the launch of a run of factors of any blocks, y = K_1 .. K_P x, in one pass over x.

    Parameters
    ----------
    patterns : sequence of (a, b, c, d)
        A chainable run: a of the first divides every a, d of the last divides every d. Of blocks
        2 x 2 only, `fused_pairs` is faster.
    n, dtype, layout, alignment
        As in `fused_pairs`, as are arrays and errors.
    """
    a, d = patterns[0][0], patterns[-1][3]
    steps = [(p // a, b, c, q // d) for p, b, c, q in patterns]
    if n == 0:
        return ()
    if n == 1:
        layout = "first"
    size, held = itemsize(dtype), 16 // sum_bytes(dtype)
    heights = [s * c * t for s, _, c, t in steps]
    out = steps[0][0] * steps[0][1] * steps[0][3]
    rows = max(out, *heights)
    j = min(_SECTOR // size, power_above(d)) if layout == "first" else 1
    pad = held if layout == "first" and j == 1 else 0
    columns = _COLUMNS
    while columns > held and (
        2 * rows * (j * columns + pad) * size > _TWO_BLOCKS or columns >= 2 * n
    ):
        columns //= 2
    shared = 2 * rows * (j * columns + pad) * size
    if shared > _ONE_BLOCK:
        raise ValueError(
            f"a run of {len(patterns)} factors with {rows} rows of {dtype} does not fit into shared "
            f"memory: it takes {shared} bytes, allowed are {_ONE_BLOCK}"
        )
    together = vector(dtype, alignment, n, columns) if layout == "last" else 1
    items = max(s * t * tiles(b, 4) for s, b, _, t in steps) * j * columns // held
    threads = min(256, max(32, 32 * tiles(items, 32)))
    kernel = Kernel(
        "fused_chain.cuh",
        "FusedChain",
        (
            *(TYPES[dtype], layout.upper(), j, columns, together, threads),
            *(f"Step<{s}, {b}, {c}, {t}>" for s, b, c, t in steps),
        ),
        _signature(_RUN, dtype),
        threads,
        shared,
        resident=512 // threads,
    )
    weights = sum(math.prod(pattern) for pattern in patterns)
    x, y, w = n * a * d * heights[-1] * size, n * a * d * out * size, weights * size
    launch = Launch(
        kernel,
        (a * tiles(d, j) * tiles(n, columns), 1, 1),
        (threads, 1, 1),
        ("x", "w", "y", a, d, n),
        {"x": x, "w": w * tiles(n, held)},
        {"y": y},
        x + y + w,
        flops_per_product(dtype) * n * weights,
    )
    return (launch,)
