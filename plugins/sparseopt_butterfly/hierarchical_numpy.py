"""Hierarchical factorization in NumPy, for every chainable architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.judging.scaling import times_power
from sparseopt.tools.hierarchy import Level, Standard, factorize, require_options
from sparseopt_butterfly.balanced import balanced
from sparseopt_butterfly.kernel_loading import count, numpy_seconds
from sparseopt_butterfly.memory import checked_bytes, require_memory
from sparseopt_butterfly.numpy_steps import peel
from sparseopt_butterfly.stored_bands import Bands, read_band

# Entries per tile: the tile and what is left of it stay in the second and third level caches.
TILE = 1 << 18


@dataclass(frozen=True)
class HierarchicalNumpy(so.Solver[so.ButterflyFactorization]):
    """Peel one factor after the other from the left; each step is optimal for its two factors.

    The left factors come out with orthonormal columns in every block, so the squared residuals of
    the steps add up to the squared error, and no QR decomposition is needed between the steps.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.

    Time O(m n), memory O(m n^0.5 + n m^0.5), for an m x n target and blocks of 2 x 2, check
    included: each level leaves half of what it finds, and the check multiplies two groups of
    factors at a time.

    Parameters
    ----------
    bounds : {"auto", "always", "never"}
        Whether the certificate states the lower and the upper bound; "auto" does so when it is
        cheap. They can always be asked for later.
    probes : int
        Number of random vectors with which the certificate is checked; 0 expands the product.
    order : {"left_to_right", "balanced"}
        "balanced" cuts every interval of factors in its middle, see `balanced`: another answer,
        sometimes nearer; slower, with more memory and a weaker proven bound (the sum of the split
        errors, not the root of the sum of their squares).
    """

    bounds: str = "auto"
    probes: int = 0
    order: str = "left_to_right"

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes, self.order)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every chainable architecture."""
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate.

        Memory beside the target, left to right: the rest after as many levels as a tile of 256 Ki
        entries goes through (never more than r / b of the target, half of it for a butterfly of
        2 x 2 blocks), the factors, and three tiles. Of a stored target: a band of its chunks, and
        the rest of the levels that it goes through, see `stored_bands`. Balanced: three times the
        target.
        """
        _require_memory(problem, Standard.of(problem.architecture), self.order)
        engine = left_to_right if self.order == "left_to_right" else balanced_tree
        if self.order == "left_to_right" and problem.kind not in ("operator", "stored"):
            count(problem)
        scales = self.order == "left_to_right"
        return factorize(problem, context, engine, self.bounds, self.probes, scales)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: a few nanoseconds per entry, ten times as many balanced."""
        return numpy_seconds(problem) * (1.0 if self.order == "left_to_right" else 10.0)

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict the bytes: the first rest, tiles and factors, or what the check takes."""
        entries = _entries(problem, Standard.of(problem.architecture), self.order) + 4 * TILE
        return max(float(entries * problem.dtype.itemsize), checked_bytes(problem))


def _entries(problem: so.ButterflyFactorization, standard: Standard, order: str) -> int:
    """Return how many numbers a run holds beside the target: the first rest and the factors, or,
    with one factor, the whole matrix; a scaled target too, where it is copied."""
    entries = standard.rows * standard.columns
    copied = order == "balanced" or problem.kind not in ("array", "stored")
    if order == "balanced":
        entries *= 3 if problem.kind != "stored" else 5
    elif standard.levels and problem.kind == "stored":
        bands = Bands.of(problem.target, standard)
        entries = bands.entries + bands.rest
    elif standard.levels:
        last = _reach(standard.levels, 0, standard.columns)
        entries = standard.levels[last - 1].rank * standard.levels[last - 1].d * standard.columns
    entries += problem.architecture.nnz
    if copied and problem.kind not in ("operator", "stored") and problem.exponent:
        entries += problem.shape[0] * problem.shape[1]
    return entries


def _require_memory(problem: so.ButterflyFactorization, standard: Standard, order: str) -> None:
    """Ask for what a run holds beside the target."""
    entries = _entries(problem, standard, order)
    remedy = "split the target into blocks of rows and columns, or take float32"
    require_memory(entries * problem.dtype.itemsize, remedy)


RunBands = Callable[
    [so.ButterflyFactorization, Standard, Sequence[np.ndarray], so.Context], tuple[np.ndarray, int]
]
"""Runs the first levels on a stored target, see `by_bands`."""


def balanced_tree(
    problem: so.ButterflyFactorization, standard: Standard, context: so.Context
) -> list[np.ndarray]:
    """Run the balanced tree in NumPy."""
    matrix = standard.matrix(problem)

    def low_rank(blocks: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
        context.check_time("factorizing")
        *grid, b, c = blocks.shape
        left = np.empty((*grid, b, rank), dtype=blocks.dtype)
        rest = np.empty((rank, *grid, c), dtype=blocks.dtype)
        peel(np.moveaxis(blocks, -2, 0), rest, left, rank)
        return left, np.moveaxis(rest, 0, -2)

    factors = balanced(standard.values(matrix), standard.architecture, np, low_rank)
    return [np.array(f) for f in factors]


def by_bands(
    problem: so.ButterflyFactorization,
    standard: Standard,
    lefts: Sequence[np.ndarray],
    context: so.Context,
) -> tuple[np.ndarray, int]:
    """Run the first levels on a stored target; return what they leave, and how many they are."""
    bands = Bands.of(problem.target, standard)
    stage = Stage(bands.levels, lefts[: bands.count], problem.exponent)
    out = np.empty((bands.levels[-1].rank * bands.whole, standard.columns), dtype=problem.dtype)
    room = np.empty(bands.held, dtype=problem.dtype)
    for done, band in enumerate(bands):
        context.check_time("factorizing")
        share = done / len(bands) * bands.count / len(lefts)
        context.report(share, f"band {done + 1} of {len(bands)}")
        for group, cells in bands.cells(band, read_band(problem.target, bands, band, room)):
            stage.run_cells(cells, out, band.low, group)
    return out, bands.count


def left_to_right(
    problem: so.ButterflyFactorization,
    standard: Standard,
    context: so.Context,
    run_bands: RunBands = by_bands,
) -> list[np.ndarray]:
    """Run all levels in NumPy, several at a time on tiles that stay in cache.

    The first levels on a stored target are those of `run_bands`.
    """
    levels = standard.levels
    power = problem.exponent if problem.kind in ("array", "stored") else 0
    if not levels:
        rest = next(matrix for _, _, matrix in standard.slices(problem, 1))
        return standard.factors([], np.array(times_power(rest, -power)))
    lefts = [
        np.empty((level.d, level.groups, level.b, level.rank), dtype=problem.dtype)
        for level in levels
    ]
    rest, first = np.empty(0), 0
    if problem.kind == "stored":
        rest, first = run_bands(problem, standard, lefts, context)
    while first < len(levels):
        last = _reach(levels, first, standard.columns)
        stage = Stage(levels[first:last], lefts[first:last], 0 if first else power)
        out = np.empty((levels[last - 1].rank * stage.rows, standard.columns), dtype=problem.dtype)
        if first == 0:
            spans = standard.slices(problem, levels[0].groups)
        else:
            spans = iter([(0, levels[first].groups, rest)])
        for start, stop, matrix in spans:
            context.check_time("factorizing")
            context.report(first / len(levels), f"factor {first + 1} of {len(levels) + 1}")
            stage.run(matrix, out, start, stop)
        rest = out
        first = last
    return standard.factors(lefts, rest)


def _reach(levels: Sequence[Level], first: int, columns: int) -> int:
    """Return the level after the last that a tile can go through, at least first + 1.

    A tile holds all rows that a row group of the last level is made of: they multiply from level
    to level. No more levels are taken than it needs to bring the rest down to one tile.
    """
    last = first + 1
    while last < len(levels):
        rest = levels[last].b * levels[last].d * columns
        height = levels[first].b * levels[first].d // levels[last].d
        if rest <= TILE or height * columns > TILE:
            break
        last += 1
    return last


@dataclass(frozen=True, eq=False)
class Stage:
    """Some levels in a row, done for a range of row groups of the last one after the other.

    Row group t of level l is x D + s, with D the number of row groups of the last level: groups
    of equal s depend on each other only. So a tile is a range of s, with all x.

    Attributes
    ----------
    levels : sequence of Level
    lefts : sequence of array (d, groups, b, r)
        Receive U.
    exponent : int
        Tiles are taken times 2**-exponent, each as it is read.
    """

    levels: Sequence[Level]
    lefts: Sequence[np.ndarray]
    exponent: int = 0

    @property
    def rows(self) -> int:
        """D, the number of row groups of the last level."""
        return self.levels[-1].d

    def run(self, matrix: np.ndarray, out: np.ndarray, start: int, stop: int) -> None:
        """Run all tiles.

        Parameters
        ----------
        matrix : array (b d, columns of the groups start..stop)
            The rest before the first level, for these of its groups.
        out : array (r D, N)
            Receives the rest after the last level, in the columns of these groups.
        """
        one = self.levels[0]
        shape = one.b, one.d // self.rows, self.rows, stop - start, one.c
        self.run_cells(matrix.reshape(shape), out, 0, start)

    def run_cells(self, source: np.ndarray, out: np.ndarray, low: int, start: int) -> None:
        """Run the tiles of some s and some groups.

        Parameters
        ----------
        source : array (b, x, s, g, c)
            The rest before the first level, for values of s from `low` on and groups from `start`
            on.
        out : array (r D, N)
            Receives the rest after the last level, in the rows and columns of these.
        """
        one = self.levels[0]
        target = out.reshape(self.levels[-1].rank, self.rows, one.groups, one.c)
        b, x, spans, count, c = source.shape
        wide = max(1, min(count, TILE // (b * x * c)))
        many = max(1, TILE // (b * x * c * wide))
        for s in range(0, spans, many):
            for g in range(0, count, wide):
                tile = times_power(source[:, :, s : s + many, g : g + wide], -self.exponent)
                span = slice(low + s, low + s + tile.shape[2])
                groups = slice(start + g, start + g + tile.shape[3])
                self._tile(tile, target[:, span, groups], span, groups)

    def _tile(self, tile: np.ndarray, target: np.ndarray, span: slice, groups: slice) -> None:
        """Run all levels on one tile (b, x, s, g, c)."""
        many = tile.shape[2]
        for i, (level, left) in enumerate(zip(self.levels, self.lefts, strict=True)):
            if i:
                tile = tile.reshape(level.b, level.d // self.rows, many, -1, level.c)
            steps = level.groups // self.levels[0].groups
            own = left.reshape(-1, self.rows, *left.shape[1:])
            own = own[:, span, groups.start * steps : groups.stop * steps]
            if i == len(self.levels) - 1:
                rest = target.reshape(level.rank, 1, many, -1, level.c)
            else:
                rest = np.empty((level.rank, *tile.shape[1:]), dtype=tile.dtype)
            peel(tile, rest, own, level.rank)
            tile = rest
