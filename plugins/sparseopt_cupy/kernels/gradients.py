"""Launches of the gradient of a factor's weights."""

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
from sparseopt_cupy.kernels.tilings import gradient_tile

# Thread blocks that keep a large device busy.
_BUSY = 264
# A part of the batch is not made smaller than so many columns (batch first, register kernel: rows).
_LEAST_PART, _LEAST_ROWS = 128, 32
_GRADIENT = (
    ("In<{0}>", "dy"),
    ("In<{0}>", "x"),
    ("Out<{1}>", "partial"),
    *(("long long", name) for name in ("a", "b", "c", "d", "n", "share", "si", "sj", "sp", "sq")),
)
_SUM = (
    ("In<{1}>", "partial"),
    ("Out<{0}>", "dw"),
    ("long long", "size"),
    ("long long", "parts"),
)


def weight_gradient(
    pattern: Pattern,
    n: int,
    dtype: str,
    *,
    precision: Precision = "ieee",
    layout: Layout = "last",
    order: Order = "abcd",
    alignment: int = 16,
    shared_limit: int = SHARED_LIMIT,
) -> tuple[Launch, ...]:
    """Return the launches of dW, the gradient of the weights of one factor.

    dW(i, p, q, j) is the sum over the batch of dy at (i, p, j) times conj x at (i, q, j). Sums are
    made in the same order every time.

    Parameters
    ----------
    pattern, n, dtype, precision, layout, alignment, shared_limit
        As in `factor`; dy has a b d features, x has a c d.
    order : "abcd" or "adbc"
        How dW lies in memory.

    Returns
    -------
    tuple of Launch
        One, with arrays dy, x, dw; or two, the first of which writes the array "partial" of
        `partial_entries` sums, which the second adds up into dw. None if n is 0: dW is zero.
    """
    if n == 0:
        return ()
    if n == 1:
        layout = "first"
    a, b, c, d = pattern
    words = power_above(b) * power_above(c) * sum_bytes(dtype) // 4
    if max(b, c) <= 8 and words <= REGISTERS:
        kernel, groups, readings, block, least = _tiny(pattern, n, dtype, layout, alignment)
    else:
        kernel, groups, readings, block, least = _general(
            pattern, n, dtype, precision, layout, alignment, shared_limit
        )
    parts = max(1, min(tiles(_BUSY, groups), tiles(n, least)))
    step = int(kernel.parameters[6]) if kernel.struct == "Weights" else 32
    share = tiles(tiles(n, parts), step) * step
    parts = tiles(n, share)
    size, total = a * b * c * d, itemsize(dtype)
    sums = size * sum_bytes(dtype)
    direct = parts == 1 and sum_bytes(dtype) == total
    target = "dw" if direct else "partial"
    dy, x = n * a * b * d * total, n * a * c * d * total
    first = Launch(
        kernel,
        (groups * parts, 1, 1),
        (block, 1, 1),
        ("dy", "x", target, a, b, c, d, n, share, *weight_strides(pattern, order, False)),
        {"dy": dy * readings[0], "x": x * readings[1]},
        {target: parts * sums},
        dy + x + parts * sums,
        flops_per_product(dtype) * n * size,
    )
    if direct:
        return (first,)
    second = Launch(
        Kernel("weights.cuh", "SumPartials", (TYPES[dtype],), signature(_SUM, dtype), 256),
        (tiles(size, 256), 1, 1),
        (256, 1, 1),
        ("partial", "dw", size, parts),
        {"partial": parts * sums},
        {"dw": size * total},
        parts * sums + size * total,
        (parts - 1) * size * (flops_per_product(dtype) // 4 or 1),
    )
    return (first, second)


def partial_entries(launches: tuple[Launch, ...], dtype: str) -> int:
    """Return the length of the array "partial", of float for 16-bit data, else of the data type."""
    return sum(launch.stored.get("partial", 0) for launch in launches) // sum_bytes(dtype)


_Choice = tuple[Kernel, int, tuple[int, int], int, int]


def _tiny(pattern: Pattern, n: int, dtype: str, layout: Layout, alignment: int) -> _Choice:
    a, b, c, d = pattern
    high, wide = power_above(b), power_above(c)
    together = vector(dtype, alignment, n, max(1, 4 // (sum_bytes(dtype) // 4)))
    if layout == "first":
        together = 1
    kernel = Kernel(
        "weights.cuh",
        "TinyWeights",
        (TYPES[dtype], layout.upper(), high, wide, together),
        signature(_GRADIENT, dtype),
        THREADS,
    )
    at_once = THREADS // 32 if layout == "last" else THREADS
    least = _LEAST_PART if layout == "last" else _LEAST_ROWS
    return kernel, tiles(a * d, at_once), (1, 1), THREADS, least


def _general(
    pattern: Pattern,
    n: int,
    dtype: str,
    precision: Precision,
    layout: Layout,
    alignment: int,
    shared_limit: int,
) -> _Choice:
    a, b, c, d = pattern
    how, size = arithmetic(dtype, precision), itemsize(dtype)
    tile = gradient_tile(b, c, d, dtype, how, layout, shared_limit)
    if layout == "last":
        runs, caps = (n, n), (tile.k, tile.k)
    elif d > 1:
        runs, caps = (d, d), (tile.j, tile.j)
    else:
        runs, caps = (b, c), (tile.m, tile.n)
    together = [vector(dtype, alignment, run, cap) for run, cap in zip(runs, caps, strict=True)]
    kernel = Kernel(
        "weights.cuh",
        "Weights",
        (TYPES[dtype], how, layout.upper(), *tile.sizes, tile.stages, *together),
        signature(_GRADIENT, dtype),
        tile.threads(how),
        tile.gradient_shared(size, layout),
        tile.resident(dtype, how, gradient=True),
    )
    readings = (tiles(c, tile.n), tiles(b, tile.m))
    groups = a * tiles(d, tile.j) * readings[0] * readings[1]
    return kernel, groups, readings, kernel.threads, max(_LEAST_PART, tile.k)
