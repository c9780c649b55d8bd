"""The blocks of a target at a cut, read once in bounded memory.

Grouped at a cut, a chainable product has values on a grid: block (i, s, t, l) is the b x c matrix
at rows ``(i, ., t, l)`` and columns ``(i, s, ., l)``, see `sparseopt.butterfly.splitting`. An array
is a view of such blocks, whatever its strides, and is read in the order in which it lies in memory;
so are the boxes of cells that are read of a stored matrix. Anything else is read by groups of
columns. All figures are computed in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product as pairs_of

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.stored import Stored
from sparseopt.butterfly.target import CHUNK, Reader, within
from sparseopt.judging.figures import Figure, NormSum
from sparseopt.judging.low_rank import DistanceToRank

# Entries up to which whole blocks of a stored matrix are read together, so that no chunk is read
# twice.
_MOST = 1 << 24


@dataclass(frozen=True)
class Grid:
    """The blocks of a product of pattern (a, b p, q c, d), cut in two."""

    a: int
    b: int
    p: int
    q: int
    c: int
    d: int

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(architecture: Architecture, cut: int) -> Grid:
        """Return the grid of a cut; cut 0 is the whole product as one block per (i, l)."""
        whole = architecture.product
        if cut == 0:
            return Grid(whole.a, whole.b, 1, 1, whole.c, whole.d)
        left, right = architecture[:cut].product, architecture[cut:].product
        return Grid(left.a, left.b, left.d // right.d, right.a // left.a, right.c, right.d)

    def cells(self, matrix: np.ndarray) -> np.ndarray:
        """Return the entries inside the support, a view of shape (a, b, p, d, q, c)."""
        rows, columns = (self.a, self.b, self.p, self.d), (self.a, self.q, self.c, self.d)
        return np.einsum("ijtlimkl->ijtlmk", matrix.reshape(*rows, *columns))

    def own_cells(self, columns: np.ndarray, i: int) -> np.ndarray:
        """Return the same of some columns (i, s0 .. s1) of the matrix, shape (b, p, d, s, c)."""
        height = self.b * self.p * self.d
        own = columns[i * height : (i + 1) * height]
        grid = own.reshape(self.b, self.p, self.d, -1, self.c, self.d)
        return np.einsum("jtlmkl->jtlmk", grid)


_ALL = slice(None)
Ranges = tuple[slice, ...]
"""One range per axis."""


def pieces(reader: Reader, grid: Grid) -> Iterator[np.ndarray]:
    """Yield all blocks, some at a time, as arrays (s, t, l, j, k) of scaled doubles."""
    if isinstance(reader.target, Stored):
        found: Iterable[np.ndarray] = (x for _, _, x in boxes(reader.target, grid, whole=True))
    elif reader.array is None:
        for _, _, cells in _column_pieces(reader, grid):
            yield cells.transpose(3, 1, 2, 0, 4)
        return
    else:
        found = grid.cells(reader.array)
    for cells in found:
        order = sorted((1, 3), key=lambda axis: -abs(cells.strides[axis]))
        for ranges in _ranges(cells.shape, tuple(order), CHUNK):
            yield reader.double(cells[ranges]).transpose(3, 1, 2, 0, 4)


def tiles(reader: Reader, grid: Grid) -> Iterator[tuple[int, Ranges, np.ndarray]]:
    """Yield every cell inside the support once, a few thousand at a time; blocks may be cut.

    Yields
    ------
    i : int
    ranges : tuple of 5 slices
        Along (j, t, l, s, k).
    cells : array with these axes
        In double precision, scaled.
    """
    if reader.array is not None:
        for i, cells in enumerate(grid.cells(reader.array)):
            for ranges in _tile_ranges(cells):
                yield i, ranges, reader.double(cells[ranges])
        return
    if isinstance(reader.target, Stored):
        for i, box, held in boxes(reader.target, grid, whole=False):
            for ranges in _tile_ranges(held):
                part, own = held[ranges], tuple(map(within, box, ranges))
                ends = (a.start + size for a, size in zip(own, part.shape, strict=True))
                yield i, tuple(map(slice, (a.start for a in own), ends)), reader.double(part)
        return
    for i, span, part in _column_pieces(reader, grid):
        yield i, (_ALL, _ALL, _ALL, span, _ALL), part


def _tile_ranges(cells: np.ndarray) -> list[Ranges]:
    """Return ranges that cut cells (j, t, l, s, k) as they lie in memory."""
    order = sorted((0, 1, 3, 4), key=lambda axis: -abs(cells.strides[axis]))
    # The rows of a block are multiples of each other if its rank is one: cut them late.
    if order.index(0) < order.index(1):
        order.remove(0)
        order.insert(order.index(1) + 1, 0)
    return _ranges(cells.shape, tuple(order), CHUNK)


def _column_pieces(reader: Reader, grid: Grid) -> Iterator[tuple[int, slice, np.ndarray]]:
    """Yield groups i with ranges of s and their cells (j, t, l, s, k), read by columns."""
    width = grid.c * grid.d
    many = max(1, CHUNK // (grid.a * grid.b * grid.p * grid.d * width))
    for i in range(grid.a):
        for start in range(0, grid.q, many):
            stop = min(start + many, grid.q)
            first = (i * grid.q + start) * width
            columns = reader.columns(first, first + (stop - start) * width)
            yield i, slice(start, stop), grid.own_cells(columns, i)


def boxes(target: Stored, grid: Grid, whole: bool) -> Iterator[tuple[int, Ranges, np.ndarray]]:
    """Yield groups i with ranges of (j, t, l, s, k) and these cells, as they are stored.

    Cells once, by rows or columns of chunks; whole blocks by as many rows and columns as a chunk
    has, of every j, and by fewer where these are more than `_MOST`: then it is read several times.
    """
    a, b, p, q, c, d = grid.a, grid.b, grid.p, grid.q, grid.c, grid.d
    sizes, (height, width) = (b, p, d, q, c), target.chunk
    if whole:
        t, s = min(p, max(1, height // d)), min(q, max(1, width // (c * d)))
        most = max(_MOST, target.strip_entries)
        while b * t * d * s * c * d > most and max(t, s) > 1:
            t, s = (-(-t // 2), s) if t >= s else (t, -(-s // 2))
        cuts: list[Ranges] = [
            (slice(0, b), slice(y, y + t), slice(0, d), slice(x, x + s), slice(0, c))
            for y in range(0, p, t)
            for x in range(0, q, s)
        ]
    elif target.by_rows:
        cuts = _ranges(sizes, (0, 1), max(height, d) * q * c)
    else:
        cuts = _ranges(sizes, (3, 4), max(width, d) * b * p)
    for i in range(a):
        for cut in cuts:
            box = tuple(slice(z.start, min(z.stop, n)) for z, n in zip(cut, sizes, strict=True))
            yield i, box, _read_box(target, grid, i, box)


def _read_box(target: Stored, grid: Grid, i: int, box: Ranges) -> np.ndarray:
    """Return the cells of a box; rows j with a gap between them are read one by one."""
    j, t, _, s, k = box
    p, c, d = grid.p, grid.c, grid.d
    first = (i * grid.q + s.start) * c + k.start
    last = (i * grid.q + s.stop - 1) * c + k.stop
    columns = slice(first * d, last * d)
    steps = [j] if t.stop - t.start == p else [slice(x, x + 1) for x in range(j.start, j.stop)]
    height = (t.stop - t.start) * d
    parts = (
        target.read(
            slice(
                ((i * grid.b + step.start) * p + t.start) * d,
                ((i * grid.b + step.stop - 1) * p + t.stop) * d,
            ),
            columns,
        )
        for step in steps
    )
    if len(steps) == 1:
        raw = next(parts)
    else:
        raw = np.empty((len(steps) * height, (last - first) * d), target.dtype)
        for at, part in enumerate(parts):
            raw[at * height : (at + 1) * height] = part
    grid_of = raw.reshape(j.stop - j.start, -1, d, s.stop - s.start, k.stop - k.start, d)
    return np.einsum("jtlskl->jtlsk", grid_of)


@lru_cache(maxsize=8)
def _ranges(sizes: tuple[int, ...], order: tuple[int, ...], most: int) -> list[Ranges]:
    """Return ranges that cut a box into boxes of at most so many cells, if that can be.

    Parameters
    ----------
    order : tuple of int
        The axes that may be cut, the first one first.
    """
    cells, widths = math.prod(sizes), list(sizes)
    for axis in order:
        others = cells // sizes[axis]
        widths[axis] = max(1, min(sizes[axis], most // others))
        cells = others * widths[axis]
    order = (*order, *(axis for axis in range(len(sizes)) if axis not in order))
    cuts = [range(0, sizes[axis], widths[axis]) for axis in order]
    place = [order.index(axis) for axis in range(len(sizes))]
    return [
        tuple(
            slice(starts[at], starts[at] + width) for at, width in zip(place, widths, strict=True)
        )
        for starts in pairs_of(*cuts)
    ]


def outside_norm(reader: Reader, grid: Grid) -> Figure:
    """Return the norm of the entries outside the support of the product."""
    norm = NormSum()
    if grid.a * grid.d > 1:
        along, across = (_block_of(np.arange(n), n, grid) for n in reader.target.shape)
        for rows, columns, part in reader.placed_parts():
            norm.add(np.where(along[rows, None] == across[columns], 0.0, part))
    return norm.figure()


def _block_of(place: np.ndarray, size: int, grid: Grid) -> np.ndarray:
    """Return the (i, l) of rows, or columns, as one number: inside the support they are equal."""
    return place // (size // grid.a) * grid.d + place % grid.d


def split_figure(reader: Reader, architecture: Architecture, cut: int) -> Figure:
    """Return E_cut: the least error over all pairs of factors grouped at `cut`, inside the support.

    Blocks are independent and each may be any matrix of rank r, so it is their common distance to
    rank r. O(m n min(b, c)) operations.
    """
    grid = Grid.of(architecture, cut)
    distance = DistanceToRank(architecture[cut - 1].rank_with(architecture[cut]))
    if not distance.is_full(grid.b, grid.c):
        for blocks in pieces(reader, grid):
            distance.add(blocks)
    found = distance.figure()
    return Figure(found.value, found.room + reader.room(), reader.exponent)


@lru_cache(maxsize=256)
def split_work(architecture: Architecture) -> float:
    """Return the multiplications of all split errors, in units of about a nanosecond."""
    cuts = range(1, len(architecture))
    grids = [Grid.of(architecture, cut) for cut in cuts]
    m, n = architecture.shape
    return float(sum(m * n * (4 + 2 * min(g.b, g.c)) for g in grids))
