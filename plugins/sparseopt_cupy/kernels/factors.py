"""Launches of one factor: register kernels for tiny blocks, tiles for the rest."""

from __future__ import annotations

from sparseopt_cupy.kernels.launches import (
    REGISTERS,
    SHARED_LIMIT,
    THREADS,
    TYPES,
    Launch,
    Layout,
    Order,
    Pattern,
    Precision,
    arithmetic,
    flops_per_product,
    itemsize,
    power_above,
    signature,
    sum_bytes,
    tiles,
    vector,
    weight_strides,
)
from sparseopt_cupy.kernels.sources import Kernel
from sparseopt_cupy.kernels.tilings import Tile, factor_tile, factor_tiles

# Below so many rows or columns of a block, no tensor cores: memory sets the pace.
TINY = 16
# Rows of x that a thread of the batch-first register kernel walks.
_ROWS = 16

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
    shared_limit: int = SHARED_LIMIT,
    tile: tuple[int, ...] = (),
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
    shared_limit : int
        Bytes of shared memory that the device lets a block have.
    tile : tuple of int
        Sizes of the tile to take, of those that `measurable_tiles` names; the model's choice if it
        is empty or not usable here.

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
        launch = _general(
            (a, p, q, d),
            n,
            dtype,
            precision,
            layout,
            strides,
            conjugated,
            alignment,
            _tile(p, d, n, dtype, arithmetic(dtype, precision), layout, shared_limit, tile),
        )
    return (launch,)


def measurable_tiles(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    shared_limit: int = SHARED_LIMIT,
) -> list[tuple[int, ...]]:
    """Return the sizes of all tiles that `factor` can take; one empty tuple where it has none."""
    _, b, c, d = pattern
    if n == 1:
        layout = "first"
    if min(b, c) < TINY if layout == "last" else _fits_registers(b, c, dtype):
        return [()]
    how = arithmetic(dtype, precision)
    return [tile.sizes for tile in factor_tiles(d, dtype, how, layout, shared_limit)]


def _tile(
    b: int,
    d: int,
    n: int,
    dtype: str,
    how: str,
    layout: Layout,
    shared_limit: int,
    wanted: tuple[int, ...],
) -> Tile:
    for tile in factor_tiles(d, dtype, how, layout, shared_limit) if wanted else ():
        if tile.sizes == wanted:
            return tile
    return factor_tile(b, d, n, dtype, how, layout, shared_limit)


def _turned(pattern: Pattern, transposed: bool) -> Pattern:
    a, b, c, d = pattern
    return (a, c, b, d) if transposed else pattern


def _fits_registers(b: int, c: int, dtype: str) -> bool:
    words = power_above(b) * power_above(c) * sum_bytes(dtype) // 4
    return max(b, c) <= 8 and words <= REGISTERS


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
        signature(_FACTOR, dtype),
        THREADS,
        resident=4,
    )
    along = min(THREADS, power_above(tiles(n, together)))
    block = (along, THREADS // along, 1)
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
        signature(_FACTOR, dtype),
        THREADS,
        resident=4 if 2 * words <= REGISTERS else 2,
    )
    along = min(THREADS, power_above(a * d))
    block = (along, THREADS // along, 1)
    chunks = tiles(n, _ROWS)
    blocks = tiles(a * d, block[0]) * tiles(chunks, block[1])
    return _launch(kernel, blocks, block, pattern, n, strides, dtype, (1, chunks))


def _general(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    strides: tuple[int, ...],
    conjugated: bool,
    alignment: int,
    tile: Tile,
) -> Launch:
    a, b, c, d = pattern
    how = arithmetic(dtype, precision)
    _, sj, sp, sq = strides
    along = "ALONG_Q" if sq == 1 else "ALONG_P" if sp == 1 else "ALONG_J"
    # What lies together: columns of x; for batch first inputs (d = 1) or neighbouring blocks.
    runs = {"last": (n, n), "first": (c, b) if d == 1 else (d, d)}[layout]
    caps = {
        "last": (tile.n, tile.n),
        "first": (tile.k, tile.m) if d == 1 else (tile.j, tile.j),
    }[layout]
    together = (
        vector(dtype, alignment, runs[0], caps[0]),
        vector(dtype, alignment, c, tile.k) if along == "ALONG_Q" and (d == 1 or sj != 1) else 1,
        vector(dtype, alignment, runs[1], caps[1]),
    )
    size = itemsize(dtype)
    words: tuple[str | int | bool, ...] = (TYPES[dtype], how, layout.upper())
    kernel = Kernel(
        "factor.cuh",
        "Factor",
        (*words, *tile.sizes, tile.stages, *together, along, conjugated),
        signature(_FACTOR, dtype),
        tile.threads(how),
        tile.shared(size, layout),
        tile.resident(dtype, how),
    )
    m, width, j = tile.m, tile.n, tile.j
    down, across = tiles(b, m), tiles(n, width)
    blocks = down * across * a * tiles(d, j)
    return _launch(
        kernel, blocks, (kernel.threads, 1, 1), pattern, n, strides, dtype, (down, across)
    )
