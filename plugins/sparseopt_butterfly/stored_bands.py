"""How the first levels read a stored target: every chunk once, in bands of rows.

Row group t of a level is x D + s, with D the number of row groups of the last level that a tile
goes through, see `hierarchical_numpy.Stage`: groups of equal s depend on each other only. A band is
as many s as a chunk has rows, with all x, and as many column groups as a chunk has columns; so a
chunk is in one band, unless its edges lie across those of row or column groups. The more levels at
once, the larger the bands and the smaller the rest that they leave: the number is taken for which
both together are smallest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from sparseopt.butterfly.stored import Stored
from sparseopt.tools.hierarchy import Level, Standard


@dataclass(frozen=True)
class Band:
    """Where a band lies.

    Attributes
    ----------
    part : int
        i, of the `outer` parts of the standard form; all inner parts are read together.
    low, high : int
        Range of s.
    first, last : int
        Range of the column groups of each part.
    """

    part: int
    low: int
    high: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Bands:
    """The bands of a target.

    Attributes
    ----------
    standard : Standard
        With at least one level.
    count : int
        Levels that are done at once.
    span, together, wide : int
        Values of s, stripes x that are read by one read (more than one only with all s), and column
        groups of a part, in a band.
    """

    standard: Standard
    count: int
    span: int
    together: int
    wide: int

    @staticmethod
    def of(target: Stored, standard: Standard) -> Bands:
        """Return the bands with which least is held."""
        return _best(standard, target.chunk)

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels that are done at once."""
        return self.standard.levels[: self.count]

    @property
    def whole(self) -> int:
        """D, the number of row groups of the last level, which are all values of s."""
        return self.levels[-1].d

    @property
    def stripes(self) -> int:
        """Rows of a band for each s: all (j, x)."""
        return self.standard.rows // self.whole

    @property
    def groups(self) -> int:
        """Column groups of one part."""
        return self.levels[0].groups // (self.standard.outer * self.standard.inner)

    @property
    def entries(self) -> int:
        """Numbers held while a band is read: the band, one read twice, one inner part copied."""
        copied = self.held // self.standard.inner**2 if self.standard.inner > 1 else 0
        return self.held + 2 * self.together * self.held // self.stripes + copied

    @property
    def held(self) -> int:
        """Numbers of the largest band."""
        inner = self.standard.inner
        return self.stripes * self.span * inner * self.wide * self.levels[0].c * inner

    @property
    def rest(self) -> int:
        """Numbers that the levels leave."""
        return self.levels[-1].rank * self.whole * self.standard.columns

    def __len__(self) -> int:
        across = -(-self.groups // self.wide) * self.standard.outer
        return across * -(-self.whole // self.span)

    def __iter__(self) -> Iterator[Band]:
        for part in range(self.standard.outer):
            for first in range(0, self.groups, self.wide):
                last = min(first + self.wide, self.groups)
                for low in range(0, self.whole, self.span):
                    yield Band(part, low, min(low + self.span, self.whole), first, last)

    def places(self, band: Band) -> Iterator[tuple[slice, slice, slice]]:
        """Yield the stripes, and the rows and columns of the target, of each read of a band."""
        one, inner = self.standard, self.standard.inner
        width = one.columns // (one.outer * inner)
        c = self.levels[0].c
        start, stop = ((band.part * width + g * c) * inner for g in (band.first, band.last))
        for x in range(0, self.stripes, self.together):
            end = min(x + self.together, self.stripes)
            low = band.part * one.rows + x * self.whole + band.low
            high = band.part * one.rows + (end - 1) * self.whole + band.high
            yield slice(x, end), slice(low * inner, high * inner), slice(start, stop)

    def cells(self, band: Band, raw: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first column group and the cells (b, x, s, g, c) of each inner part.

        Parameters
        ----------
        raw : array (stripes, rows of a stripe, columns)
            All that `places` names.
        """
        inner, first = self.standard.inner, self.levels[0]
        shape = first.b, -1, band.high - band.low, band.last - band.first, first.c
        grid = raw.reshape(len(raw), shape[2], inner, shape[3], first.c, inner)
        for h in range(inner):
            group = (band.part * inner + h) * self.groups + band.first
            yield group, np.ascontiguousarray(grid[:, :, h, ..., h]).reshape(shape)


class Blocks(Protocol):
    """What is read by blocks."""

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a block."""
        ...


def read_band(target: Blocks, bands: Bands, band: Band, room: np.ndarray) -> np.ndarray:
    """Return all stripes of a band, an array (stripes, rows of a stripe, columns) in `room`."""
    inner = bands.standard.inner
    height = (band.high - band.low) * inner
    width = (band.last - band.first) * bands.levels[0].c * inner
    shape = bands.stripes, height, width
    raw = room[: math.prod(shape)].reshape(shape)
    for stripes, rows, columns in bands.places(band):
        raw[stripes] = target.read(rows, columns).reshape(-1, height, width)
    return raw


@lru_cache(maxsize=64)
def _best(standard: Standard, chunk: tuple[int, int]) -> Bands:
    """Return the bands of the number of levels with which least is held."""
    height, width = (max(1, size // standard.inner) for size in chunk)
    found = []
    for count, level in enumerate(standard.levels, 1):
        stripes = standard.rows // level.d
        span = min(level.d, height)
        together = min(max(1, height // level.d), stripes)
        groups = standard.levels[0].groups // (standard.outer * standard.inner)
        wide = min(groups, max(1, width // standard.levels[0].c))
        found.append(Bands(standard, count, span, together, wide))
    return min(found, key=lambda bands: bands.entries + bands.rest)
