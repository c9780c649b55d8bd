"""Exact figures of a butterfly factorization, read once over the target in bounded memory.

Grouped at a cut, a chainable product has values on a grid: block (i, s, t, l) is the b x c matrix
at rows ``(i, ., t, l)`` and columns ``(i, s, ., l)``, see `sparseopt.kronecker.splitting`. For
fixed (i, s) the columns are contiguous, so the target is read in groups of columns, whatever it
is: array, file, tensor or operator. All figures are computed in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.butterfly.target import read_columns
from sparseopt.kronecker.architecture import Architecture
from sparseopt.kronecker.product import KroneckerProduct
from sparseopt.kronecker.splitting import cheapest_cut, left_blocks, merge_all, right_blocks

# Entries read at once: small enough for the cache of one core, large enough that the Python loop
# does not count.
CHUNK = 1 << 18


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
    def of(architecture: Architecture, cut: int) -> Grid:
        """Return the grid of a cut; cut 0 is the whole product as one block per (i, l)."""
        whole = architecture.product
        if cut == 0:
            return Grid(whole.a, whole.b, 1, 1, whole.c, whole.d)
        left, right = architecture[:cut].product, architecture[cut:].product
        return Grid(left.a, left.b, left.d // right.d, right.a // left.a, right.c, right.d)


@dataclass(frozen=True)
class Piece:
    """The blocks (i, s0:s1) read at once.

    Attributes
    ----------
    i, start, stop : int
        The group and its range of s.
    blocks : array (stop - start, p, d, b, c)
        Entries of the target inside the support of the product, scaled, in double precision.
    outside : float
        Squared norm of the other entries of these columns.
    """

    i: int
    start: int
    stop: int
    blocks: np.ndarray
    outside: float


def pieces(target: Any, grid: Grid, scaling: float) -> Iterator[Piece]:
    """Yield the blocks of the target, times `scaling`, a power of two; one read in all."""
    rows, width = grid.b * grid.p * grid.d, grid.c * grid.d
    many = max(1, CHUNK // (grid.a * rows * width))
    for i in range(grid.a):
        for start in range(0, grid.q, many):
            stop = min(start + many, grid.q)
            first = (i * grid.q + start) * width
            columns = read_columns(target, first, first + (stop - start) * width)
            double = np.complex128 if columns.dtype.kind == "c" else np.float64
            columns = columns.astype(double, copy=False)
            if scaling != 1.0:
                columns = columns * scaling
            own = columns[i * rows : (i + 1) * rows]
            cells = own.reshape(grid.b, grid.p, grid.d, stop - start, grid.c, grid.d)
            inside = np.einsum("jtlskl->stljk", cells) if grid.d > 1 else cells[:, :, 0, :, :, 0]
            if grid.d == 1:
                inside = inside.transpose(2, 1, 0, 3)[:, :, None]
            outside = 0.0
            if grid.a * grid.d > 1:
                total = np.array(columns)
                part = total[i * rows : (i + 1) * rows].reshape(cells.shape)
                np.einsum("jtlskl->jtskl", part)[...] = 0
                outside = squared_norm(total)
            yield Piece(i, start, stop, inside, outside)


def squared_norm(array: np.ndarray) -> float:
    """Return the squared Frobenius norm."""
    flat = np.ascontiguousarray(array).ravel()
    return float(np.vdot(flat, flat).real)


@dataclass(frozen=True)
class Figures:
    """Squared norms of the target's entries, of those outside the support, and of the error."""

    total: float
    outside: float
    error: float


def figures(target: Any, product: KroneckerProduct, scaling: float = 1.0) -> Figures:
    """Return the squared error of a product, expanded block by block, times ``scaling**2``.

    The factors are merged into two groups, so that every entry of the product is one inner
    product of length r: about m n r operations and, besides one piece of the target, the values
    of the two groups.
    """
    architecture = product.architecture
    factors = [_double(factor) for factor in product.to_numpy().factors]
    cut = cheapest_cut(architecture) if len(architecture) > 1 else 0
    grid = Grid.of(architecture, cut)
    left = merge_all(factors[: cut or 1], architecture[: cut or 1]) * scaling
    if cut:
        one, two = architecture[:cut].product, architecture[cut:].product
        u = left_blocks(left, one, two)
        w = right_blocks(merge_all(factors[cut:], architecture[cut:]), one, two)
    else:
        whole = left.transpose(0, 3, 1, 2)[:, None, None]
    total = outside = error = 0.0
    for piece in pieces(target, grid, scaling):
        span = slice(piece.start, piece.stop)
        made = u[piece.i, span] @ w[piece.i, span] if cut else whole[piece.i]
        total += squared_norm(piece.blocks)
        outside += piece.outside
        error += squared_norm(piece.blocks - made)
    return Figures(total + outside, outside, error + outside)


def _double(factor: np.ndarray) -> np.ndarray:
    """Return the array in double precision."""
    double = np.complex128 if factor.dtype.kind == "c" else np.float64
    return factor.astype(double, copy=False)


def squared_split_error(
    target: Any, architecture: Architecture, cut: int, scaling: float = 1.0
) -> float:
    """Return E_cut^2: the least squared error over all pairs of factors grouped at `cut`, inside
    the support of the product, times ``scaling**2``.

    Blocks are independent and each may be any matrix of rank r, so by Eckart, Young and Mirsky
    this is the sum of the squared singular values of every block after the first r. One batched
    SVD: O(m n min(b, c)) operations.
    """
    grid = Grid.of(architecture, cut)
    rank = architecture[cut - 1].rank_with(architecture[cut])
    if rank >= min(grid.b, grid.c):
        return 0.0
    total = 0.0
    for piece in pieces(target, grid, scaling):
        singular = np.linalg.svd(piece.blocks, compute_uv=False)
        total += float(np.sum(singular[..., rank:] ** 2))
    return total


def split_work(architecture: Architecture) -> float:
    """Return the multiplications of all split errors, in units of about a nanosecond."""
    cuts = range(1, len(architecture))
    grids = [Grid.of(architecture, cut) for cut in cuts]
    m, n = architecture.shape
    return float(sum(m * n * (4 + 2 * min(g.b, g.c)) for g in grids))
