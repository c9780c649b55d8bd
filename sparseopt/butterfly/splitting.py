"""Products of patterns as block products: the index maps every engine and every check shares.

Let (a1, b1, c1, d1) and (a2, b2, c2, d2) be chainable of rank r, q = a2 / a1 and p = d1 / d2.
Values V of their product pattern have shape (a1, b1 p, q c2, d2). Block (i, s, t, l), with i < a1,
s < q, t < p, l < d2, is the b1 x c2 matrix ``V[i, (., t), (s, .), l]``; for factors X and Y it is
U W with

    U[j, rho] = X[i, j, s r + rho, t d2 + l],    W[rho, k] = Y[i q + s, rho p + t, k, l].

Every entry of X, Y and V stands in exactly one block, so blocks are independent problems. The
functions take NumPy arrays and torch tensors alike: they only reshape and permute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.interface.arrays import beside, on_device

# Steps of NumPy's innermost loop from which on its buffers cost more than they gain.
_LONG = 128


def permute(array: Any, axes: Sequence[int]) -> Any:
    """Return `array` with its axes permuted, for NumPy arrays and torch tensors."""
    return array.permute(*axes) if hasattr(array, "permute") else array.transpose(axes)


def to_blocks(values: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Return the blocks of a product's values, a view of shape (a1, q, p, d2, b1, c2)."""
    q, p = right.a // left.a, left.d // right.d
    return permute(values.reshape(left.a, left.b, p, q, right.c, right.d), (0, 3, 2, 5, 1, 4))


def left_blocks(factor: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Return U of every block, a view of shape (a1, q, p, d2, b1, r)."""
    q, p, rank = right.a // left.a, left.d // right.d, left.rank_with(right)
    return permute(factor.reshape(left.a, left.b, q, rank, p, right.d), (0, 2, 4, 5, 1, 3))


def right_blocks(factor: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Return W of every block, a view of shape (a1, q, p, d2, r, c2)."""
    q, p, rank = right.a // left.a, left.d // right.d, left.rank_with(right)
    return permute(factor.reshape(left.a, q, rank, p, right.c, right.d), (0, 1, 3, 5, 2, 4))


def from_left_blocks(blocks: Any, left: KroneckerPattern) -> Any:
    """Inverse of `left_blocks`."""
    return permute(blocks, (0, 4, 1, 5, 2, 3)).reshape(left.values_shape)


def from_right_blocks(blocks: Any, right: KroneckerPattern) -> Any:
    """Inverse of `right_blocks`."""
    return permute(blocks, (0, 1, 4, 2, 5, 3)).reshape(right.values_shape)


def from_blocks(blocks: Any, left: KroneckerPattern, right: KroneckerPattern) -> Any:
    """Inverse of `to_blocks`."""
    shape = left.product(right).values_shape
    return permute(blocks, (0, 4, 2, 1, 5, 3)).reshape(shape)


def merge(
    x: Any, y: Any, left: KroneckerPattern, right: KroneckerPattern, by_columns: bool = False
) -> Any:
    """Return the values of the product of two factors.

    Parameters
    ----------
    x, y : array (a1, b1, c1, d1), (a2, b2, c2, d2)
        Values of the factors.
    by_columns : bool
        Whether NumPy arrays are laid out so that the values of a column lie together.

    Returns
    -------
    array (a1, b1 p, q c2, d2)
        r multiplications per entry.
    """
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and left.rank_with(right) == 1:
        return _Outer.of(left, right, by_columns).merge(x, y)
    u, w = left_blocks(x, left, right), right_blocks(y, left, right)
    # Blocks of rank one are often tiny, and broadcasting has less overhead for each.
    return from_blocks(u * w if u.shape[-1] == 1 else u @ w, left, right)


@dataclass(frozen=True)
class _Outer:
    """How two factors with blocks of rank one are merged, each value written where it belongs.

    Many small blocks are laid out with equal places of all blocks together, which are what NumPy's
    loops then run along.

    Attributes
    ----------
    sizes : tuple of two tuples of 6 int
        Of both operands as (a, b, q, p, c, d), 1 where they are repeated.
    axes : tuple of int
        Of these, in the order in which the product is laid out.
    laid : tuple of int
        The sizes of the product, so.
    back : tuple of int
        Its axes as (a, b, p, q, c, d).
    run : int
        Steps of the innermost loop.
    shape : tuple of int
        Of the product's values.
    """

    sizes: tuple[tuple[int, ...], tuple[int, ...]]
    axes: tuple[int, ...]
    laid: tuple[int, ...]
    back: tuple[int, ...]
    run: int
    shape: tuple[int, ...]

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(left: KroneckerPattern, right: KroneckerPattern, by_columns: bool) -> _Outer:
        """Return it for two patterns."""
        a, b, c, d, q, p = left.a, left.b, right.c, right.d, right.a // left.a, left.d // right.d
        run = p * d if by_columns else c * d
        order = "bpqcda" if a > 2 * run else "aqcbpd" if by_columns else "abpqcd"
        axes = tuple("abqpcd".index(axis) for axis in order)
        return _Outer(
            ((a, b, q, p, 1, d), (a, 1, q, p, c, d)),
            axes,
            tuple((a, b, q, p, c, d)[axis] for axis in axes),
            tuple(order.index(axis) for axis in "abpqcd"),
            a if a > 2 * run else run,
            left.product(right).values_shape,
        )

    def merge(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the values of the product."""
        u, w = (
            z.reshape(size).transpose(self.axes) for z, size in zip((x, y), self.sizes, strict=True)
        )
        # Where operands disagree, NumPy's loops follow the order of the axes.
        made = np.empty(self.laid, dtype=np.result_type(u, w))
        with unbuffered(self.run if u.dtype == w.dtype else 1):
            np.multiply(u, w, out=made)
        return made.transpose(self.back).reshape(self.shape)


@contextmanager
def unbuffered(run: int) -> Iterator[None]:
    """Keep NumPy from copying operands that are repeated, or have gaps, through buffers.

    It does so unless the buffers are shorter than its innermost loop: with loops of `run` steps, if
    they are many, that takes longer than what is done in them.
    """
    if run < _LONG:
        yield
        return
    usual = np.setbufsize(16)
    try:
        yield
    finally:
        np.setbufsize(usual)


def merge_all(factors: Sequence[Any], architecture: Architecture, by_columns: bool = False) -> Any:
    """Return the values of the product of all factors of a chainable architecture.

    With the fewest multiplications: for a butterfly of size n, whose number of values doubles with
    each factor, the halves of the chain come first, and about n^2 are enough. `by_columns` as in
    `merge`.
    """
    patterns, cuts = architecture.patterns, _last_cuts(architecture)

    def merged(first: int, last: int) -> tuple[Any, KroneckerPattern]:
        if last - first == 1:
            return factors[first], patterns[first]
        cut = cuts[first, last]
        (x, one), (y, two) = merged(first, cut), merged(cut, last)
        return merge(x, y, one, two, by_columns), one.product(two)

    if by_columns and len(patterns) == 1:  # nothing is merged, but it is laid out so
        return np.ascontiguousarray(factors[0].swapaxes(1, 2)).swapaxes(1, 2)
    return merged(0, len(patterns))[0]


@lru_cache(maxsize=256)
def _last_cuts(architecture: Architecture) -> dict[tuple[int, int], int]:
    """Return where each run of factors is merged last: the order of a chain of matrix products that
    takes the fewest multiplications, by dynamic programming."""
    ranks, count = architecture.ranks, len(architecture)
    work = {(i, i + 1): 0 for i in range(count)}
    cuts = {}
    for first, last in ((j - k, j) for k in range(2, count + 1) for j in range(k, count + 1)):
        size = architecture[first:last].product.nnz
        totals = {
            cut: work[first, cut] + work[cut, last] + size * ranks[cut - 1]
            for cut in range(first + 1, last)
        }
        cuts[first, last] = min(totals, key=totals.__getitem__)
        work[first, last] = totals[cuts[first, last]]
    return cuts


def lift(factors: Sequence[Any], architecture: Architecture) -> tuple[Any, ...]:
    """Return factors of a redundant architecture from factors of `architecture.reduced()`.

    A merged pair has rank r >= min(b1, c2), so each block B is the product of [I 0] and [B; 0] if
    r >= b1, and else of [B 0] and [I; 0]: exact, without any decomposition.
    """
    merges = architecture.redundant_merges()
    patterns = [list(architecture.patterns)]
    for place in merges:
        step = list(patterns[-1])
        step[place : place + 2] = [step[place].product(step[place + 1])]
        patterns.append(step)
    found = list(factors)
    for place, before in zip(reversed(merges), reversed(patterns[:-1]), strict=True):
        found[place : place + 1] = _split_exactly(found[place], before[place], before[place + 1])
    return tuple(found)


def _split_exactly(values: Any, left: KroneckerPattern, right: KroneckerPattern) -> list[Any]:
    """Return two factors of a redundant pair whose product has these values."""
    blocks = to_blocks(values, left, right)
    grid, rank = tuple(blocks.shape[:4]), left.rank_with(right)
    u = _zeros(values, (*grid, left.b, rank))
    w = _zeros(values, (*grid, rank, right.c))
    if rank >= left.b:
        for j in range(left.b):
            u[..., j, j] = 1
        w[..., : left.b, :] = blocks
    else:
        u[..., :, : right.c] = blocks
        for k in range(right.c):
            w[..., k, k] = 1
    return [from_left_blocks(u, left), from_right_blocks(w, right)]


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of the dtype, library and device of `like`."""
    if hasattr(like, "new_zeros"):
        return like.new_zeros(shape)
    zeros = np.zeros(shape, dtype=like.dtype)
    return beside(zeros, like) if on_device(like) else zeros
