"""Tiles: how much of a product a thread block makes, and what it needs for that.

A tile is as large as registers (no spills: tests/plugins/cupy/test_nvrtc.py) and shared memory let
it be: a block reads its weights again for every n columns, and x again for every m outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sparseopt_cupy.kernels.launches import (
    SECTOR,
    Layout,
    covering,
    itemsize,
    power_above,
    sum_bytes,
)


@dataclass(frozen=True)
class Tile:
    """Sizes of a tile in the words of factor.cuh.

    Attributes
    ----------
    m, n, k : int
        Outputs, columns, and inputs of a step.
    pm, pn : int
        The part that a warp (tensor cores) or a thread (FMA) holds.
    j : int
        Neighbouring blocks that are taken together.
    stages : int
        Steps in flight.
    """

    m: int
    n: int
    k: int
    pm: int
    pn: int
    j: int = 1
    stages: int = 3

    @property
    def sizes(self) -> tuple[int, ...]:
        """In the order of the template."""
        return self.j, self.m, self.n, self.k, self.pm, self.pn

    def threads(self, how: str) -> int:
        """Return the threads of a block."""
        workers = self.j * (self.m // self.pm) * (self.n // self.pn)
        return workers * (1 if how == "IEEE" else 32)

    def shared(self, size: int, layout: Layout) -> int:
        """Return the bytes of shared memory, of entries of so many bytes."""
        pad, last = 16 // size, layout == "last"
        w = self.j * self.m * (self.k + pad)
        x = self.k * (self.n + 8) if last else self.n * (self.k * self.j + pad)
        y = self.m * (self.n + 8) if last else self.n * (self.m * self.j + pad)
        return size * max(self.stages * (w + x), y)

    def gradient_shared(self, size: int, layout: Layout) -> int:
        """Return the same for the gradient of weights, m x n of them, in steps of k columns."""
        pad = 16 // size
        if layout == "last":
            return size * self.stages * (self.m + self.n) * (self.k + pad)
        return size * self.stages * self.k * ((self.m + self.n) * self.j + 2 * pad)

    def resident(self, dtype: str, how: str, gradient: bool = False) -> int:
        """Return for how many blocks registers are to suffice.

        Sixteen warps hide the latency of memory; large parts make up for fewer by fewer loads.
        """
        words = self.pm * self.pn * (sum_bytes(dtype) // 4)
        large = words >= (64 if how == "IEEE" else 2048)
        heavy = large and (how in ("IEEE", "TF32X3") or self.j > 1 or gradient)
        return max(1, (384 if heavy else 512) // self.threads(how))


# One block at a time, by number of columns: m, n, k, pm, pn. k is doubled for 16-bit entries.
_TENSOR = [
    Tile(16, 128, 16, 16, 32),
    Tile(32, 128, 16, 32, 32),
    Tile(64, 128, 16, 32, 32),
    Tile(128, 128, 16, 64, 32),
    Tile(16, 32, 16, 16, 8),
    Tile(32, 32, 16, 16, 16),
    Tile(64, 32, 16, 16, 32),
    Tile(128, 32, 16, 32, 32),
]
_FLOAT = [
    Tile(16, 128, 16, 4, 4),
    Tile(32, 128, 16, 4, 8),
    Tile(64, 128, 16, 8, 8),
    Tile(128, 128, 16, 8, 8),
    Tile(16, 32, 16, 1, 4),
    Tile(32, 32, 16, 2, 4),
    Tile(64, 32, 16, 4, 4),
    Tile(128, 32, 16, 8, 4),
]
_WIDE = [  # float64 and complex64
    Tile(16, 64, 16, 4, 2),
    Tile(32, 64, 16, 4, 4),
    Tile(64, 64, 16, 8, 4),
    Tile(16, 32, 16, 2, 2),
    Tile(32, 32, 16, 4, 2),
    Tile(64, 32, 16, 8, 2),
]
_WIDEST = [Tile(16, 32, 8, 2, 2), Tile(32, 32, 8, 4, 2)]  # complex128
# J neighbouring blocks, batch first and d > 1.
_TENSOR_FIRST = [
    Tile(16, 64, 16, 16, 32, 2),
    Tile(32, 64, 16, 32, 32, 2),
    Tile(64, 64, 16, 32, 32, 2),
    Tile(128, 64, 16, 64, 32, 2),
    Tile(16, 64, 16, 16, 32, 4),
    Tile(32, 64, 16, 32, 32, 4),
    Tile(64, 64, 16, 64, 32, 4),
    Tile(128, 64, 8, 64, 32, 4),
    Tile(16, 32, 8, 16, 32, 8),
    Tile(32, 64, 8, 32, 64, 8),
    Tile(64, 64, 8, 64, 32, 8),
    Tile(16, 32, 16, 16, 32, 16),
    Tile(32, 64, 16, 32, 64, 16),
]
_FLOAT_FIRST = [
    Tile(16, 32, 8, 2, 4, 2),
    Tile(32, 32, 8, 4, 4, 2),
    Tile(16, 32, 8, 4, 4, 4),
    Tile(32, 32, 8, 8, 4, 4),
    Tile(16, 32, 8, 4, 4, 8),
    Tile(32, 32, 8, 8, 4, 8),
]
_WIDE_FIRST = [
    Tile(16, 32, 8, 4, 2, 2),
    Tile(32, 32, 8, 4, 4, 2),
    Tile(16, 32, 8, 4, 4, 4),
    Tile(32, 32, 8, 8, 4, 4),
]
_WIDEST_FIRST = [Tile(16, 32, 8, 4, 2, 2), Tile(32, 32, 8, 4, 4, 2)]
# The gradient of weights: k is along the batch.
_TENSOR_GRADIENT = [
    Tile(16, 32, 32, 16, 8),
    Tile(32, 32, 32, 16, 16),
    Tile(64, 32, 32, 32, 16),
    Tile(16, 64, 32, 16, 16),
    Tile(32, 64, 32, 32, 16),
    Tile(64, 64, 32, 32, 32),
    Tile(32, 128, 32, 32, 32),
    Tile(64, 128, 32, 32, 32),
    Tile(128, 64, 32, 32, 32),
    Tile(128, 128, 16, 64, 32),
]
_FLOAT_GRADIENT = [
    Tile(16, 32, 32, 1, 4),
    Tile(32, 32, 32, 2, 4),
    Tile(64, 32, 32, 4, 4),
    Tile(16, 64, 32, 2, 4),
    Tile(32, 64, 32, 4, 4),
    Tile(64, 64, 32, 4, 8),
]
_WIDE_GRADIENT = [Tile(16, 32, 16, 2, 2), Tile(32, 32, 16, 4, 2)]
_TENSOR_GRADIENT_FIRST = [
    Tile(16, 16, 8, 16, 16),
    Tile(16, 32, 8, 16, 32),
    Tile(32, 32, 8, 32, 32),
    Tile(64, 32, 8, 64, 32),
]
_FLOAT_GRADIENT_FIRST = [
    Tile(16, 16, 8, 2, 4),
    Tile(16, 32, 8, 4, 4),
    Tile(32, 32, 8, 8, 4),
]
_WIDE_GRADIENT_FIRST = [Tile(16, 16, 8, 4, 2), Tile(16, 32, 8, 4, 4)]


def factor_tile(
    b: int, d: int, n: int, dtype: str, how: str, layout: Layout, shared_limit: int
) -> Tile:
    """Return the tile that the model takes for one factor with b outputs in a block."""
    usable = factor_tiles(d, dtype, how, layout, shared_limit)
    if layout == "last" or d == 1:
        width = max(tile.n for tile in usable) if n > 32 else 32
        usable = [tile for tile in usable if tile.n == width]
    m = covering(sorted({tile.m for tile in usable}), b)
    return next(tile for tile in usable if tile.m == m)


def factor_tiles(d: int, dtype: str, how: str, layout: Layout, shared_limit: int) -> list[Tile]:
    """Return all tiles that can make a factor, for whoever measures them; eight at most."""
    size = itemsize(dtype)
    if layout == "first" and d > 1:
        table = {2: _TENSOR_FIRST, 4: _TENSOR_FIRST, 8: _WIDE_FIRST, 16: _WIDEST_FIRST}[size]
        if how == "IEEE" and size == 4:
            table = _FLOAT_FIRST
        j = min(SECTOR // size, power_above(d))
        usable = [_for(tile, how, tile.j) for tile in table if tile.j == j]
        if how == "TF32X3":  # both parts of every operand: 128 registers are too few
            usable = [tile for tile in usable if tile.threads(how) < 512]
    else:
        table = {2: _TENSOR, 4: _TENSOR, 8: _WIDE, 16: _WIDEST}[size]
        if how == "IEEE" and size == 4:
            table = _FLOAT
        usable = [_for(tile, how) for tile in table]
    return _that_fit(usable, lambda tile: tile.shared(size, layout), shared_limit)


def gradient_tile(
    b: int, c: int, d: int, dtype: str, how: str, layout: Layout, shared_limit: int
) -> Tile:
    """Return the tile of the gradient of b x c blocks of weights."""
    size = itemsize(dtype)
    if layout == "first" and d > 1:
        table = _FLOAT_GRADIENT_FIRST if how == "IEEE" else _TENSOR_GRADIENT_FIRST
        table = _WIDE_GRADIENT_FIRST if size >= 8 else table
        j = min(SECTOR // size, power_above(d))
        usable = [_for(tile, how, j) for tile in table]
    else:
        table = _FLOAT_GRADIENT if how == "IEEE" else _TENSOR_GRADIENT
        usable = [_for(tile, how) for tile in (_WIDE_GRADIENT if size >= 8 else table)]
    usable = _that_fit(usable, lambda tile: tile.gradient_shared(size, layout), shared_limit)
    n = covering(sorted({tile.n for tile in usable}), c)
    m = covering(sorted({tile.m for tile in usable if tile.n == n}), b)
    return next(tile for tile in usable if (tile.m, tile.n) == (m, n))


def _for(tile: Tile, how: str, j: int = 1) -> Tile:
    """Return a tile for J blocks; tensor cores take a multiple of 16 entries of 16 bits at once."""
    k = tile.k
    if how == "HALF":
        k = 2 * k if j == 1 else max(16, k)
    return replace(tile, k=k, j=j)


def _that_fit(
    table: Iterable[Tile], shared: Callable[[Tile], int], shared_limit: int
) -> list[Tile]:
    """Return the tiles that fit into shared memory, with two stages where three do not."""
    found = []
    for tile in table:
        for stages in (3, 2):
            one = replace(tile, stages=stages)
            if shared(one) <= shared_limit:
                found.append(one)
                break
    if not found:
        raise ValueError(f"no tile fits into {shared_limit} bytes of shared memory")
    return found
