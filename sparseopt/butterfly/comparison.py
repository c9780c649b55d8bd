"""The error of a product, with a bound of all rounding: one read of the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.expansion import Grid, Ranges, outside_norm, tiles
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.splitting import left_blocks, merge_all, right_blocks, unbuffered
from sparseopt.butterfly.target import CHUNK, Reader, as_double, scale_of, units_of
from sparseopt.judging.figures import Figure, NormSum
from sparseopt.judging.rounding import TINY, UNIT, gamma, lost, sum_terms
from sparseopt.judging.scaling import exponent_of, largest_part, times_power

# What a loop of NumPy costs before it starts, in entries.
_START = 85.0


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
    by_columns = reader.array is not None and _lies_by_columns(reader.array)
    cut = _cut(architecture, by_columns)
    grid = Grid.of(architecture, cut)
    if cut:
        made: _Whole | _Groups = _Groups(product, cut, reader.exponent, by_columns)
    else:
        made = _Whole(product, reader.exponent)
    inside, error = NormSum(), NormSum()
    with unbuffered(made.run):
        for i, ranges, cells in tiles(reader, grid):
            inside.add(cells)
            error.add(made.residual(i, ranges, cells))
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


def _lies_by_columns(array: np.ndarray) -> bool:
    """Whether the entries of a column are nearer to each other than those of a row."""
    return abs(array.strides[0]) < abs(array.strides[1])


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
def _cut(architecture: Architecture, by_columns: bool) -> int:
    """Return the cut at which to group: few values on both sides, and long loops."""
    m, n = architecture.shape

    def cost(cut: int) -> float:
        left, right = architecture[:cut].product, architecture[cut:].product
        rank = architecture[cut - 1].rank_with(architecture[cut])
        run = left.d // right.d if by_columns else right.c
        work = 1.0 + rank if rank > 1 else 1.0 + _START / run
        return 4.0 * (left.nnz + right.nnz) + m * n * work

    return min(range(1, len(architecture)), key=cost, default=0)


class _Whole:
    """A single factor: nothing is multiplied, so nothing is rounded."""

    run = 1

    def __init__(self, product: KroneckerProduct, exponent: int) -> None:
        # One block per (i, l), as (a, b, p = 1, d, q = 1, c).
        values = times_power(as_double(product.to_numpy().factors[0]), -exponent)
        self.cells = values.transpose(0, 1, 3, 2)[:, :, None, :, None]
        self.exponent = exponent

    def room(self) -> float:
        """Return a bound of what scaling changes: numbers that underflow."""
        return TINY if self.exponent else 0.0

    def residual(self, i: int, ranges: Ranges, cells: np.ndarray) -> np.ndarray:
        """Return some cells minus those of the factor."""
        return np.subtract(cells, self.cells[i][ranges])


class _Groups:
    """The two groups of factors at a cut, multiplied piece by piece.

    Parameters
    ----------
    product : KroneckerProduct
    cut : int
    exponent : int
        The product is taken times 2**-exponent.
    by_columns : bool
        Whether the entries of a column of the target lie together: then the groups are laid out
        so too, and NumPy's loops run along them.

    Attributes
    ----------
    run : int
        How many steps these loops have for blocks of rank one.
    """

    def __init__(
        self, product: KroneckerProduct, cut: int, exponent: int, by_columns: bool
    ) -> None:
        architecture = product.architecture
        one, two = architecture[:cut], architecture[cut:]
        patterns = one.product, two.product
        # The C library gives memory back to the system at the end of each call, and gets it again
        # page by page, unless as much has been freed at once before.
        np.empty(2 * CHUNK + 2 * sum(pattern.nnz for pattern in patterns))
        units, power = units_of(product)
        self.is_zero = not all(unit.any() for unit in units)
        self.scale = scale_of(power - exponent)
        self.terms = sum_terms(sum(architecture.ranks), *units)

        def groups(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            left = merge_all(parts[:cut], one, by_columns)
            return left, merge_all(parts[cut:], two, by_columns)

        left, right = groups(units)
        u, w = left_blocks(left, *patterns), right_blocks(right, *patterns)
        self.u, self.w = times_power(u, power - exponent), w
        # Without sums, the absolute value of a product is the product of the absolute values.
        if max(architecture.ranks) > 1:
            left, right = groups([np.abs(unit) for unit in units])
        self.magnitude = _magnitude(left, right, *patterns, power - exponent)
        self.lost = lost(*(pattern.c for pattern in architecture))
        self.is_outer, self.run = u.shape[-1] == 1, 1
        if self.is_outer:
            # (a, b, p, d, q, 1) and (a, 1, p, d, q, c), as the cells have it.
            self.u = self.u[..., 0].transpose(0, 4, 2, 3, 1)[..., None]
            self.w = self.w[..., 0, :].transpose(0, 2, 3, 1, 4)[:, None]
            self.run = self.w.shape[2 if by_columns else 5]

    def room(self) -> float:
        """Return a bound of the norm of what rounding changes of the product.

        Entries of the factors are at most 1, which bounds what underflows; one per cent covers
        the rounding of the bound itself.
        """
        if self.is_zero:
            return 0.0
        return 1.01 * gamma(self.terms) * self.magnitude + self.lost * (1.0 + self.scale)

    def residual(self, i: int, ranges: Ranges, cells: np.ndarray) -> np.ndarray:
        """Return some cells, or their blocks (s, t, l, j, k), minus those of the product."""
        j, t, _, s, k = ranges
        if self.is_outer:
            u, w = self.u[i, j, t, :, s], self.w[i, :, t, :, s, k]
            made = np.empty_like(cells, dtype=np.result_type(cells, u, w))
            return np.subtract(cells, np.multiply(u, w, out=made), out=made)
        u, w = self.u[i, s, t, :, j], self.w[i, s, t, ..., k]
        return np.subtract(cells.transpose(3, 1, 2, 0, 4), np.matmul(u, w))


def _magnitude(
    left: np.ndarray,
    right: np.ndarray,
    one: KroneckerPattern,
    two: KroneckerPattern,
    exponent: int,
) -> float:
    """Return the norm, over all blocks, of the sum over r of the norms of column and row r, times
    two to a power; both groups near 1, so that squares that underflow change it by `TINY` there."""
    powers = [exponent_of(largest_part(group)) for group in (left, right)]
    left, right = (times_power(g, -p) for g, p in zip((left, right), powers, strict=True))
    columns = np.einsum("abcd,abcd->acd", left, left.conj()).real
    along = np.moveaxis(right, 2, -1)
    rows = np.vecdot(along, along).real
    grid = one.a, two.a // one.a, one.rank_with(two), one.d // two.d, two.d
    found = np.linalg.norm(
        (np.sqrt(columns).reshape(grid) * np.sqrt(rows).reshape(grid)).sum(axis=2)
    )
    return float(times_power(found + TINY, sum(powers) + exponent))
