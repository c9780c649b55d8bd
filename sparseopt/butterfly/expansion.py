"""The blocks of a target at a cut, read once in bounded memory, and the error of a product.

Grouped at a cut, a chainable product has values on a grid: block (i, s, t, l) is the b x c matrix
at rows ``(i, ., t, l)`` and columns ``(i, s, ., l)``, see `sparseopt.butterfly.splitting`. An array
is a view of such blocks, whatever its strides, and is read in the order in which it lies in memory;
anything else is read by groups of columns. All figures are computed in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product as pairs_of

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.splitting import left_blocks, merge_all, right_blocks
from sparseopt.butterfly.target import CHUNK, Reader, as_double, scale_of, units_of
from sparseopt.judging.figures import Figure, NormSum
from sparseopt.judging.low_rank import DistanceToRank
from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms
from sparseopt.judging.scaling import times_power

# Blocks of rank one are multiplied in NumPy's own loops, whose runs should be at least this long.
_RUN = 128


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


@dataclass(frozen=True)
class Piece:
    """Some cells of group i: rows j and columns k of the blocks (s, t, l), each in a range.

    Attributes
    ----------
    i : int
    j, t, s : slice
    cells : array (j, t, l, s, k)
        In double precision, scaled.
    """

    i: int
    j: slice
    t: slice
    s: slice
    cells: np.ndarray

    @property
    def blocks(self) -> np.ndarray:
        """The blocks themselves, a view of shape (s, t, l, j, k)."""
        return self.cells.transpose(3, 1, 2, 0, 4)


def pieces(reader: Reader, grid: Grid, whole_blocks: bool = True) -> Iterator[Piece]:
    """Yield every cell inside the support once, a few thousand at a time.

    Parameters
    ----------
    whole_blocks : bool
        Whether blocks must come whole, however large they are.
    """
    if reader.array is not None:
        cells = grid.cells(reader.array)
        for i in range(grid.a):
            for j, t, s in _ranges(grid, cells[i].strides, whole_blocks):
                yield Piece(i, j, t, s, reader.double(cells[i, j, t, :, s]))
        return
    width = grid.c * grid.d
    many = max(1, CHUNK // (grid.a * grid.b * grid.p * grid.d * width))
    every = slice(None)
    for i in range(grid.a):
        for start in range(0, grid.q, many):
            stop = min(start + many, grid.q)
            first = (i * grid.q + start) * width
            columns = reader.columns(first, first + (stop - start) * width)
            yield Piece(i, every, every, slice(start, stop), grid.own_cells(columns, i))


def _ranges(
    grid: Grid, strides: Sequence[int], whole_blocks: bool
) -> Iterator[tuple[slice, slice, slice]]:
    """Yield ranges of (j, t, s) of at most CHUNK cells, along the longest strides if it can be."""
    sizes = {"t": grid.p, "s": grid.q, "j": grid.b}
    step = {"j": strides[0], "t": strides[1], "s": strides[3]}
    order = sorted("ts", key=lambda axis: -abs(step[axis]))
    if not whole_blocks:
        order.append("j")
    cells = grid.b * grid.p * grid.d * grid.q * grid.c
    width = dict(sizes)
    for axis in order:
        others = cells // width[axis]
        width[axis] = max(1, min(sizes[axis], CHUNK // others))
        cells = others * width[axis]
    cuts = {
        axis: [slice(k, min(k + width[axis], size)) for k in range(0, size, width[axis])]
        for axis, size in sizes.items()
    }
    for outer, inner in pairs_of(cuts[order[0]], cuts[order[1]]):
        for j in cuts["j"]:
            yield (j, outer, inner) if order[0] == "t" else (j, inner, outer)


def outside_norm(reader: Reader, grid: Grid) -> Figure:
    """Return the norm of the entries outside the support of the product."""
    norm = NormSum()
    if grid.a * grid.d > 1:
        width = grid.c * grid.d
        step = max(1, CHUNK // (reader.target.shape[0] * width))
        for i in range(grid.a):
            for s in range(0, grid.q, step):
                first = (i * grid.q + s) * width
                stop = (i * grid.q + min(s + step, grid.q)) * width
                rest = np.array(reader.columns(first, stop))
                grid.own_cells(rest, i)[...] = 0
                norm.add(rest)
    return norm.figure()


@dataclass(frozen=True)
class Comparison:
    """What one pass over a target and a product tells.

    Attributes
    ----------
    norm, error : Figure
        Of the target and of the target minus the product.
    guaranteed : float
        Some product has an error of at most this, see `guaranteed_share`; rounded up.
    """

    norm: Figure
    error: Figure
    guaranteed: float


def compare(reader: Reader, product: KroneckerProduct) -> Comparison:
    """Return the error of a product, with a bound of all rounding; one read of the target.

    The factors are merged into two groups, so that an entry of the product is one inner product.
    In doubles every entry is off by at most ``gamma(k) |F_1| .. |F_L|``, with k the sum of the
    ranks of all cuts (see `rounding.sum_terms`), and the norm of that follows from the same groups
    of absolute values: in a block |U| |W| it is at most the sum over r of the norms of column r of
    |U| times row r of |W|, with equality for rank one. Subtracting rounds each entry once more.

    Memory: the values of the two groups and a piece of the target. About m n r operations.
    """
    architecture = product.architecture
    cut = _cut(architecture)
    grid = Grid.of(architecture, cut)
    made: _Whole | _Groups
    if cut:
        order = (0, 1, 2, 3, 4) if reader.array is None else _order(grid.cells(reader.array)[0])
        made = _Groups(product, cut, reader.exponent, order)
    else:
        made = _Whole(product, reader.exponent)
    inside, error = NormSum(), NormSum()
    for piece in pieces(reader, grid, whole_blocks=False):
        inside.add(piece.cells)
        error.add(made.residual(piece))
    outside, within, reading = outside_norm(reader, grid), inside.figure(), reader.room()
    norm, residual = _hypot(within, outside), _hypot(error.figure(), outside)
    room = residual.room + 2.0 * UNIT * residual.value + made.room() + reading
    left = math.sqrt(1.0 - guaranteed_share(architecture) / 2.0)
    guaranteed = math.hypot(outside.high(), left * within.high()) + reading
    return Comparison(
        Figure(norm.value, norm.room + reading, reader.exponent),
        Figure(residual.value, room, reader.exponent),
        Figure(guaranteed, 8.0 * UNIT * guaranteed, reader.exponent).high(),
    )


def _order(cells: np.ndarray) -> tuple[int, ...]:
    """Return the axes of an array from the longest stride to the shortest."""
    return tuple(sorted(range(cells.ndim), key=lambda axis: -abs(cells.strides[axis])))


def _hypot(one: Figure, two: Figure) -> Figure:
    """Return the root of the sum of the squares; exactly zero if both are."""
    value = math.hypot(one.value, two.value)
    return Figure(value, one.room + two.room + 4.0 * UNIT * value)


@lru_cache(maxsize=256)
def guaranteed_share(architecture: Architecture) -> float:
    """Return a share of the squared norm inside the support that some product always captures.

    Peel the factors of the non-redundant architecture from the left, each time by the best
    approximations of rank r of all b x c blocks. Those capture at least r / min(b, c) of the
    squared norm, and what they capture is what the next step starts from; so the product of these
    shares is captured in the end, and the rest is the squared error.
    """
    reduced = architecture.reduced()
    share = 1.0
    for j in range(len(reduced) - 1):
        rest = reduced[j + 1 :].product
        share *= reduced[j].rank_with(reduced[j + 1]) / min(reduced[j].b, rest.c)
    return share


@lru_cache(maxsize=256)
def _cut(architecture: Architecture) -> int:
    """Return the cut at which to group: few values on both sides, and long enough runs."""
    if len(architecture) == 1:
        return 0

    def cost(cut: int) -> float:
        left, right = architecture[:cut].product, architecture[cut:].product
        rank = architecture[cut - 1].rank_with(architecture[cut])
        m, n = architecture.shape
        run = right.c if rank == 1 else _RUN
        return float(left.nnz + right.nnz + m * n * (rank + _RUN / min(run, _RUN)))

    return min(range(1, len(architecture)), key=cost)


class _Whole:
    """A single factor: nothing is multiplied, so nothing is rounded."""

    def __init__(self, product: KroneckerProduct, exponent: int) -> None:
        # One block per (i, l), as (a, b, p = 1, d, q = 1, c).
        values = times_power(as_double(product.to_numpy().factors[0]), -exponent)
        self.cells = values.transpose(0, 1, 3, 2)[:, :, None, :, None]
        self.exponent = exponent

    def room(self) -> float:
        """Return a bound of what scaling changes: numbers that underflow."""
        return TINY if self.exponent else 0.0

    def residual(self, piece: Piece) -> np.ndarray:
        """Return the cells of a piece minus those of the factor."""
        return np.subtract(piece.cells, self.cells[piece.i, piece.j])


class _Groups:
    """The two groups of factors at a cut, expanded piece by piece.

    Parameters
    ----------
    product : KroneckerProduct
    cut : int
    exponent : int
        The product is taken times 2**-exponent.
    order : tuple of int
        Axes (b, p, d, q, c) of the cells from the longest stride to the shortest, in which the
        factors of blocks of rank one are laid out: then NumPy's loops run along them.
    """

    def __init__(
        self, product: KroneckerProduct, cut: int, exponent: int, order: tuple[int, ...]
    ) -> None:
        architecture = product.architecture
        units, power = units_of(product)
        self.is_zero = not all(unit.any() for unit in units)
        self.scale = scale_of(power - exponent)
        self.terms = sum_terms(sum(architecture.ranks), *units)
        one, two = architecture[:cut].product, architecture[cut:].product

        def groups(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            left = merge_all(parts[:cut], architecture[:cut])
            right = merge_all(parts[cut:], architecture[cut:], from_right=True)
            return left_blocks(left, one, two), right_blocks(right, one, two)

        u, w = groups(units)
        self.u, self.w = times_power(u, power - exponent), w
        # Without sums, the absolute value of a product is the product of the absolute values.
        if max(architecture.ranks) == 1:
            u, w = np.abs(u), np.abs(w)
        else:
            u, w = groups([np.abs(unit) for unit in units])
        columns = np.sqrt(np.einsum("...jr,...jr->...r", u, u))
        rows = np.sqrt(np.einsum("...rk,...rk->...r", w, w))
        self.magnitude = float(np.linalg.norm(np.einsum("...r,...r->...", columns, rows)))
        self.is_outer = u.shape[-1] == 1
        if self.is_outer:
            # (a, b, p, d, q, 1) and (a, 1, p, d, q, c): their product is laid out as the cells.
            self.u = _laid_out(self.u[..., 0].transpose(0, 4, 2, 3, 1)[..., None], order)
            self.w = _laid_out(self.w[..., 0, :].transpose(0, 2, 3, 1, 4)[:, None], order)

    def room(self) -> float:
        """Return a bound of the norm of what rounding changes of the product.

        Numbers that underflow change it by less than TINY times the scale; one per cent covers
        the rounding of the bound itself.
        """
        if self.is_zero:
            return 0.0
        rounding = 1.01 * gamma(self.terms) * self.magnitude * self.scale
        return rounding + TINY * (1.0 + self.scale)

    def residual(self, piece: Piece) -> np.ndarray:
        """Return the cells of a piece minus those of the product."""
        if self.is_outer:
            u = self.u[piece.i, piece.j, piece.t, :, piece.s]
            w = self.w[piece.i, :, piece.t, :, piece.s]
            made = np.empty_like(piece.cells, dtype=np.result_type(piece.cells, u, w))
            return np.subtract(piece.cells, np.multiply(u, w, out=made), out=made)
        u = self.u[piece.i, piece.s, piece.t, :, piece.j]
        return np.subtract(piece.blocks, np.matmul(u, self.w[piece.i, piece.s, piece.t]))


def _laid_out(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Return the array with axes 1 .. 5 stored in an order, its axes as they were."""
    axes = (0, *(axis + 1 for axis in order))
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def split_figure(reader: Reader, architecture: Architecture, cut: int) -> Figure:
    """Return E_cut: the least error over all pairs of factors grouped at `cut`, inside the support.

    Blocks are independent and each may be any matrix of rank r, so it is their common distance to
    rank r. O(m n min(b, c)) operations.
    """
    grid = Grid.of(architecture, cut)
    distance = DistanceToRank(architecture[cut - 1].rank_with(architecture[cut]))
    if not distance.is_full(grid.b, grid.c):
        for piece in pieces(reader, grid):
            distance.add(piece.blocks)
    found = distance.figure()
    return Figure(found.value, found.room + reader.room(), reader.exponent)


def split_work(architecture: Architecture) -> float:
    """Return the multiplications of all split errors, in units of about a nanosecond."""
    cuts = range(1, len(architecture))
    grids = [Grid.of(architecture, cut) for cut in cuts]
    m, n = architecture.shape
    return float(sum(m * n * (4 + 2 * min(g.b, g.c)) for g in grids))
