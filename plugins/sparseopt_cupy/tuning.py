"""Measures the steps that a plan rests on, by every method and every tile, until none is left.

Never called but by `plan(tune=True)`. A plan is made, its steps are measured by all methods that
could take them, and it is made again with these figures: what was predicted too slow is never
measured, what a plan ends with always is.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.tools.chain_plan import Step
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Layout, Precision
from sparseopt_cupy.tuned import Measured

# Timed runs of each candidate; the first one, which may compile, is not among them.
_TRIES = 5
_MOST_COPIES = 64

Apply = Callable[[Step, Any], Any]
"""(step, x): computes the step's product."""
Tiles = Callable[[KroneckerPattern], Sequence[tuple[int, ...]]]
"""The tiles that the factor kernel can take for a pattern."""


def measured(
    offers: Sequence[Step], operands: Sequence[Any], apply: Apply, tiles_of: Tiles
) -> dict[str, Measured]:
    """Return the median microseconds of all methods that were offered for one step, each with its
    best tile."""
    found: dict[str, Measured] = {}
    for offer in offers:
        tiles = tiles_of(offer.pattern) if offer.method == "kernel" else [()]
        times = {
            tile: microseconds(partial(apply, replace(offer, tile=tile)), operands)
            for tile in tiles
        }
        best = min(times, key=lambda tile: times[tile])
        found[offer.method] = Measured(times[best], best)
    return found


def measurable(batch: int, dtype: str, precision: Precision, layout: Layout, limit: int) -> Tiles:
    """Return what names the tiles for operands of one shape."""

    def tiles_of(pattern: KroneckerPattern) -> Sequence[tuple[int, ...]]:
        whole = pattern.a, pattern.b, pattern.c, pattern.d
        return kernel_table.measurable_tiles(whole, batch, dtype, precision, layout, limit)

    return tiles_of


def copies(size: int) -> int:
    """Return how many copies of an operand of so many bytes exceed twice the second-level cache."""
    import cupy

    cache = 2 * int(cupy.cuda.Device().attributes["L2CacheSize"])
    return int(min(_MOST_COPIES, cache // max(size, 1)))


def microseconds(
    call: Callable[[Any], Any], operands: Sequence[Any], tries: int = _TRIES, calls: int = 1
) -> float:
    """Return the median time of a call on the device, operands in turn."""
    import cupy

    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    call(operands[0])
    times, at = [], 0
    for _ in range(tries):
        begin.record()
        for _ in range(calls):
            at += 1
            call(operands[at % len(operands)])
        end.record()
        end.synchronize()
        times.append(1e3 * cupy.cuda.get_elapsed_time(begin, end) / calls)
    return float(statistics.median(times))
