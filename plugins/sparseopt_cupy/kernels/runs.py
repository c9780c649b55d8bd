"""Launches of a run of factors, in one pass over x."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sparseopt_cupy.kernels.launches import (
    SECTOR,
    SHARED_LIMIT,
    TYPES,
    Launch,
    Layout,
    Pattern,
    flops_per_product,
    itemsize,
    power_above,
    signature,
    sum_bytes,
    tiles,
    vector,
)
from sparseopt_cupy.kernels.sources import Kernel

# Shared memory of a block of which two fit on a multiprocessor.
_TWO_BLOCKS = 100 << 10
# Columns that a run of factors keeps, at most.
_COLUMNS = 128
_RUN = (
    ("In<{}>", "x"),
    ("In<{}>", "w"),
    ("Out<{}>", "y"),
    *(("long long", name) for name in ("a", "d", "n")),
)


def longest_run(dtype: str, layout: Layout = "last", *, shared_limit: int = SHARED_LIMIT) -> int:
    """Return how many butterfly factors one pass can take, whatever d: 2^P rows of a sector fit."""
    run = 1
    j = SECTOR // itemsize(dtype) if layout == "first" else 1
    while _columns(run + 1, j, dtype, layout, shared_limit):
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
    shared_limit: int = SHARED_LIMIT,
) -> tuple[Launch, ...]:
    """Return the launch of a run of butterfly factors, y = K_1 .. K_P x, in one pass over x.

    Parameters
    ----------
    a, d : int
        Of the merged pattern: factor l has pattern (a 2^l, 2, 2, d 2^(P - 1 - l)), l = 0 .. P - 1.
    run : int
        P, at most `longest_run`.
    n, dtype, layout, alignment, shared_limit
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
    j = min(SECTOR // size, power_above(d)) if layout == "first" else 1
    held = 16 // sum_bytes(dtype)
    columns = _columns(run, j, dtype, layout, shared_limit)
    if not columns:
        raise ValueError(
            f"a run of {run} factors of {dtype} does not fit into shared memory: take at most "
            f"{longest_run(dtype, layout, shared_limit=shared_limit)}"
        )
    columns = max(held, min(columns, power_above(n)))
    along = layout == "first" and j == 1
    together = vector(dtype, alignment, n, columns) if layout == "last" else 1
    shared = _run_bytes(run, j * columns, size, along)
    radix = 1 << -(-run // -(-run // 3))
    threads = min(256, max(32, rows // radix * j * columns // held))
    # Addresses of eight-byte entries that lie along a row take more than 128 registers.
    busy = 384 if layout == "first" and size >= 8 else 512
    kernel = Kernel(
        "fused_pairs.cuh",
        "FusedPairs",
        (TYPES[dtype], run, layout.upper(), j, columns, together, threads),
        signature(_RUN, dtype),
        threads,
        shared,
        resident=max(1, busy // threads) if shared <= _TWO_BLOCKS else 1,
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


def _columns(run: int, j: int, dtype: str, layout: Layout, shared_limit: int) -> int:
    """Return how many columns of a run fit, 0 if not even a sector (or a thread's share) does."""
    size, held = itemsize(dtype), 16 // sum_bytes(dtype)
    along = layout == "first" and j == 1
    least = max(held, 1 if layout == "first" else SECTOR // size)
    for budget in (min(_TWO_BLOCKS, shared_limit), shared_limit):
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
    shared_limit: int = SHARED_LIMIT,
) -> tuple[Launch, ...]:
    """Return the launch of a run of factors of any blocks, y = K_1 .. K_P x, in one pass over x.

    Parameters
    ----------
    patterns : sequence of (a, b, c, d)
        A chainable run: a of the first divides every a, d of the last divides every d. Of blocks
        2 x 2 only, `fused_pairs` is faster.
    n, dtype, layout, alignment, shared_limit
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
    j = min(SECTOR // size, power_above(d)) if layout == "first" else 1
    pad = held if layout == "first" and j == 1 else 0
    columns = _COLUMNS
    while columns > held and (
        2 * rows * (j * columns + pad) * size > min(_TWO_BLOCKS, shared_limit) or columns >= 2 * n
    ):
        columns //= 2
    shared = 2 * rows * (j * columns + pad) * size
    if shared > shared_limit:
        raise ValueError(
            f"a run of {len(patterns)} factors with {rows} rows of {dtype} does not fit into "
            f"shared memory: it takes {shared} bytes, allowed are {shared_limit}"
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
        signature(_RUN, dtype),
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
