"""The error of a product, with a bound of all rounding: one read of the target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.expansion import Grid, Ranges, outside_norm, tiles
from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.butterfly.splitting import left_blocks, merge_all, multiply, right_blocks
from sparseopt.butterfly.target import Reader, as_double, scale_of, units_of
from sparseopt.judging.rounding import TINY, UNIT, Figure, NormSum, gamma, sum_terms
from sparseopt.judging.scaling import times_power


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

    The factors are merged into a few groups, so that an entry of the product is one inner product.
    In doubles every entry is off by at most ``gamma(k) |F_1| .. |F_L|``, with k the sum of the
    ranks of all cuts (see `rounding.sum_terms`), and the norm of that follows from the same groups
    of absolute values. Subtracting rounds each entry once more.

    Memory: the values of the groups and a piece of the target. About m n r operations.
    """
    architecture = product.architecture
    by_columns = reader.array is not None and _lies_by_columns(reader.array)
    cut, last = cuts = _cuts(architecture, by_columns, reader.array is not None)
    grid, middle = Grid.of(architecture, last), (1, 1)
    made: _Whole | _Blocks | _Outer
    if not cut:
        made = _Whole(product, reader.exponent)
    elif architecture.ranks[cut - 1] > 1:
        made = _Blocks(product, cut, reader.exponent)
    else:
        made = _Outer(product, cuts, reader.exponent, by_columns)
        first = Grid.of(architecture, cut)
        middle = grid.b // first.b, grid.q // first.q
    inside, error = NormSum(), NormSum()
    for i, ranges, cells in tiles(reader, grid, *middle):
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
def _cuts(architecture: Architecture, by_columns: bool, has_middle: bool) -> tuple[int, int]:
    """Return the cuts at which to group: few values in all groups, and long runs.

    Twice the same is no group in the middle; 0 is no cut at all.
    """
    ranks, (m, n) = architecture.ranks, architecture.shape

    def run(grid: Grid) -> int:
        return grid.p if by_columns else grid.c

    def cost(cuts: tuple[int, int]) -> float:
        cut, last = cuts
        grid, inner = Grid.of(architecture, cut), Grid.of(architecture, last)
        values = architecture[:cut].product.nnz + architecture[last:].product.nnz
        if ranks[cut - 1] > 1:
            return 3.0 * values + m * n * (1.0 + ranks[cut - 1])
        loops = _loops(run(grid))
        if cut < last:
            values += architecture[cut:last].product.nnz
            loops += _loops(run(inner)) / grid.b
        return 3.0 * values + m * n * loops

    cuts = range(1, len(architecture))
    single = [(cut, cut) for cut in cuts]
    double = [(one, two) for one in cuts for two in range(one + 1, len(architecture))]
    outer = [(one, two) for one, two in double if ranks[one - 1] == ranks[two - 1] == 1]
    return min([*single, *(outer * has_middle)], key=cost, default=(0, 0))


def _loops(run: int) -> float:
    """Return what a product costs in loops of some length, in units of a long one."""
    return min(1.0 + 96.0 / run, 1.5 + 16.0 / run)


class _Whole:
    """A single factor: nothing is multiplied, so nothing is rounded."""

    def __init__(self, product: KroneckerProduct, exponent: int) -> None:
        # One block per (i, l), as (a, j, j', t, l, s, s', k) with one j', t, s and s'.
        values = times_power(as_double(product.to_numpy().factors[0]), -exponent)
        self.cells = values.transpose(0, 1, 3, 2)[:, :, None, None, :, None, None]
        self.exponent = exponent

    def room(self) -> float:
        """Return a bound of what scaling changes: numbers that underflow."""
        return TINY if self.exponent else 0.0

    def residual(self, i: int, ranges: Ranges, cells: np.ndarray) -> np.ndarray:
        """Return some cells minus those of the factor."""
        return np.subtract(cells, self.cells[i][ranges])


class _Groups:
    """Factors as doubles of at most 1, to be merged into groups, and what that rounds.

    Parameters
    ----------
    product : KroneckerProduct
    exponent : int
        The product is taken times 2**-exponent.
    """

    magnitude: float
    """The norm of the product of absolute values, unscaled."""

    def __init__(self, product: KroneckerProduct, exponent: int) -> None:
        units, power = units_of(product)
        self.architecture = product.architecture
        self.units = [np.ascontiguousarray(unit) for unit in units]
        self.is_zero = not all(unit.any() for unit in units)
        self.power = power - exponent
        self.terms = sum_terms(sum(self.architecture.ranks), *units)

    def room(self) -> float:
        """Return a bound of the norm of what rounding changes of the product.

        Numbers that underflow change it by less than TINY times the scale; one per cent covers
        the rounding of the bound itself.
        """
        if self.is_zero:
            return 0.0
        scale = scale_of(self.power)
        return 1.01 * gamma(self.terms) * self.magnitude * scale + TINY * (1.0 + scale)


class _Blocks(_Groups):
    """The two groups of factors at a cut, multiplied piece by piece.

    In a block |U| |W| has a norm of at most the sum over r of the norms of column r of |U| times
    row r of |W|.
    """

    def __init__(self, product: KroneckerProduct, cut: int, exponent: int) -> None:
        super().__init__(product, exponent)
        u, self.w = self._merged(self.units, cut)
        self.u = times_power(u, self.power)
        u, w = self._merged([np.abs(unit) for unit in self.units], cut)
        norms = np.sqrt(_squares(u, -2) * _squares(w, -1)).sum(axis=-1)
        self.magnitude = float(np.linalg.norm(norms))

    def _merged(self, factors: Sequence[np.ndarray], cut: int) -> tuple[np.ndarray, np.ndarray]:
        """Return U and W of all blocks (a, s, t, l)."""
        one, two = self.architecture[:cut], self.architecture[cut:]
        left = merge_all(factors[:cut], one)
        right = merge_all(factors[cut:], two, from_right=True)
        patterns = one.product, two.product
        return left_blocks(left, *patterns), right_blocks(right, *patterns)

    def residual(self, i: int, ranges: Ranges, cells: np.ndarray) -> np.ndarray:
        """Return the blocks (s, t, l, j, k) of some cells minus those of the product."""
        j, _, t, _, s, _, k = ranges
        blocks = cells[:, 0, :, :, :, 0].transpose(3, 1, 2, 0, 4)
        return np.subtract(blocks, np.matmul(self.u[i, s, t, :, j], self.w[i, s, t, ..., k]))


class _Outer(_Groups):
    """Groups of factors at two cuts of rank one, multiplied piece by piece.

    An entry of the product is then a product u v w of three numbers, or of two if the cuts are the
    same. All groups have the axes (a, j, j', t, l, s, s', k) of `tiles`, of length 1 along those on
    which they do not depend.

    Parameters
    ----------
    cuts : (int, int)
        Where the group in the middle begins and ends.
    by_columns : bool
        Whether the entries of a column of the target lie together: then the groups are laid out
        so too, and NumPy's loops run along them.
    """

    def __init__(
        self, product: KroneckerProduct, cuts: tuple[int, int], exponent: int, by_columns: bool
    ) -> None:
        super().__init__(product, exponent)
        u, self.v, self.w = self._merged(self.units, cuts, by_columns)
        self.u = times_power(u, self.power)
        v, w = self.v, self.w
        # Without sums, the absolute value of a product is the product of the absolute values.
        if max(self.architecture.ranks) > 1:
            u, v, w = self._merged([np.abs(unit) for unit in self.units], cuts, by_columns)
        squares = _squares(u, 1)[:, None] * _squares(w, -1)[..., None]
        if v is not None:
            squares = squares * _squares(v[..., None], -1)
        self.magnitude = math.sqrt(float(squares.sum()))
        axes = (2, 3) if by_columns else (6, 7)
        shape = np.broadcast_shapes(self.u.shape, self.w.shape, (1,) if v is None else v.shape)
        self.run, self.inner = math.prod(shape[axis] for axis in axes), shape[axes[1]]

    def _merged(
        self, factors: Sequence[np.ndarray], cuts: tuple[int, int], by_columns: bool
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Return the groups."""
        cut, last = cuts
        parts = slice(None, cut), slice(cut, last), slice(last, None)
        one, two = self.architecture[:cut].product, self.architecture[last:].product
        left = merge_all(factors[parts[0]], self.architecture[parts[0]], by_columns=by_columns)
        right = merge_all(factors[parts[2]], self.architecture[parts[2]], True, by_columns)
        if cut == last:
            u = left_blocks(left, one, two)[..., 0].transpose(0, 4, 2, 3, 1)
            w = right_blocks(right, one, two)[..., 0, :].transpose(0, 2, 3, 1, 4)
            return u[:, :, None, ..., None, None], None, w[:, None, None, ..., None, :]
        middle = merge_all(factors[parts[1]], self.architecture[parts[1]], True, by_columns)
        between = self.architecture[parts[1]].product
        # (a, s, (j', t), l, j), (a s, s', t, l, j') and (a s, s', t, l, k).
        u = left_blocks(left, one, between.product(two))[..., 0]
        v, w = left_blocks(middle, between, two)[..., 0], right_blocks(right, between, two)
        a, s, _, d, b = u.shape
        u = u.transpose(0, 4, 2, 3, 1).reshape(a, b, between.b, -1, d, s)
        v = v.reshape(a, s, *v.shape[1:]).transpose(0, 5, 3, 4, 1, 2)
        w = w[..., 0, :].reshape(a, s, *w.shape[1:4], -1).transpose(0, 3, 4, 1, 2, 5)
        return u[..., None, None], v[:, None, ..., None], w[:, None, None]

    def residual(self, i: int, ranges: Ranges, cells: np.ndarray) -> np.ndarray:
        """Return some cells minus those of the product."""
        j, rows, t, _, s, columns, k = ranges
        u, w = self.u[i, j, rows, t, :, s], self.w[i, :, :, t, :, s, columns, k]
        dtype = np.result_type(cells, u, w)
        if self.v is not None:
            made = np.empty_like(cells[:1], dtype=dtype)
            multiply(self.v[i, :, rows, t, :, s, columns], w, made, self.inner)
            w = made
        made = np.empty_like(cells, dtype=dtype)
        multiply(u, w, made, self.run)
        return np.subtract(cells, made, out=made)


def _squares(array: np.ndarray, axis: int) -> np.ndarray:
    """Return the sums of the squared moduli along an axis."""
    return np.vecdot(array, array, axis=axis).real
