"""The compiled left-to-right run, depth first: every entry of the target is read once.

A row of level l + 1 needs b rows of level l. Instead of finishing one level after the other, which
writes and reads half of the matrix again at the next, the run finishes each row as soon as its
parents are there, so that only b_l rows per level are alive: 2 n log2 n numbers for a butterfly.

Leaf number k of the tree has digits x_1, x_2, .. in the mixed radix q_1, q_2, .. (x_1 fastest) and
holds row group t_0 = sum x_l d_l of the target; group t_l = sum_{h > l} x_h d_h of level l is
complete once x_1 .. x_l have all reached their last value. Its row j = rho q_l + x_l of the next
level is row rho of the group with digit x_l.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sparseopt.tools.hierarchy import Level
from sparseopt_butterfly.compiled_steps import compiled, lines, pairs, planes
from sparseopt_butterfly.prefetching import prefetch


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything stands.

    Attributes
    ----------
    table : int array (levels, 7)
        b, d, groups, c, rank, offset of U in the flat array, first row in the workspace.
    radix : int array (levels,)
        Number of groups of level l that one group of level l + 1 needs (at the last level: all).
    order : int array (leaves,)
        Row group t_0 of every leaf.
    rows : int array (leaves, b)
        Rows of the target of every leaf.
    work_rows, left_size : int
        Rows of the workspace; length of the flat array of all U.
    """

    table: np.ndarray
    radix: np.ndarray
    order: np.ndarray
    rows: np.ndarray
    work_rows: int
    left_size: int

    @staticmethod
    @lru_cache(maxsize=16)
    def of(levels: tuple[Level, ...]) -> Layout:
        """Return the layout of some levels, one at least."""
        after = [level.d for level in levels[1:]] + [1]
        radix = [level.d // d for level, d in zip(levels, after, strict=True)]
        order = np.zeros(1, dtype=np.int64)
        for q, d in reversed(list(zip(radix, after, strict=True))):
            order = (order[:, None] + d * np.arange(q)[None, :]).ravel()
        table, offset, row = [], 0, 0
        for i, level in enumerate(levels):
            first = row if i else 0
            row += level.b if i else 0
            table.append([level.b, level.d, level.groups, level.c, level.rank, offset, first])
            offset += level.d * level.groups * level.b * level.rank
        last = levels[-1]
        # The rest: the rows of the last factor.
        table.append([last.rank * last.d, 1, 0, 0, 0, offset, row])
        rows = order[:, None] + levels[0].d * np.arange(levels[0].b)[None, :]
        work_rows = row + last.rank * last.d
        return Layout(np.array(table), np.array(radix), order, rows, work_rows, offset)

    def lefts(self, left: np.ndarray) -> list[np.ndarray]:
        """Return U of every level, (d, groups, b, r), as views of the flat array."""
        found = []
        for b, d, groups, _, rank, offset, _ in self.table[:-1].tolist():
            size = d * groups * b * rank
            found.append(left[offset : offset + size].reshape(d, groups, b, rank))
        return found

    def rest(self, work: np.ndarray) -> np.ndarray:
        """Return the last rows of the workspace, copied so that it can be freed."""
        return np.array(work[int(self.table[-1, 6]) :])


@compiled
def run_leaves(
    matrix: Any,
    rows: Any,
    first: int,
    table: Any,
    radix: Any,
    order: Any,
    work: Any,
    living: Any,
    left: Any,
    threshold: float | None,
) -> None:
    """Process leaves first .. first + len(rows).

    Parameters
    ----------
    matrix : array (any, N), C-contiguous
        Holds the rows of the target.
    rows : int array (leaves, b)
        For each leaf, its rows in `matrix`.
    table, radix, order
        See `Layout`.
    work : array (work_rows, N)
        The living rows of every level, then the rest.
    living : array (work_rows, N)
        The same, read-only, as the target is: one type of source compiles in half the time.
    left : array (left_size,)
        Receives U of every level.
    threshold : float or None
        See `planes`. None: all blocks have two rows and rank 1, so that nothing else is compiled.
    """
    levels = len(radix)
    height, width = 1, 1
    for level in range(levels):
        height, width = max(height, table[level, 0]), max(width, table[level, 4])
    places = np.empty(height, np.int64)
    into = np.empty(width, np.int64)
    for k in range(len(rows)):
        leaf = first + k
        t = order[leaf]
        for level in range(levels):
            b, groups, c, rank = table[level, 0], table[level, 2], table[level, 3], table[level, 4]
            digit = leaf % radix[level]
            leaf //= radix[level]
            size = groups * b * rank
            u = left[table[level, 5] + t * size : table[level, 5] + (t + 1) * size]
            out = into[:rank]
            for rho in range(rank):
                out[rho] = table[level + 1, 6] + digit + radix[level] * rho
            own, source = rows[k], matrix
            if level > 0:
                own, source = places[:b], living
                for j in range(b):
                    own[j] = table[level, 6] + j
            elif k + 1 < len(rows):
                _announce(matrix, rows[k + 1])
            if threshold is None:
                pairs(source, own, groups, c, u, work, out)
            elif rank > 1:
                planes(source, own, groups, c, u, work, out, threshold)
            elif b == 2:
                pairs(source, own, groups, c, u, work, out)
            else:
                lines(source, own, groups, c, u, work, out)
            if digit < radix[level] - 1:
                break
            # The row group of the next level: without this level's digit.
            if level + 1 < levels:
                t = t % table[level + 1, 1]


@compiled
def _announce(matrix: Any, rows: Any) -> None:
    """Prefetch rows: they lie far apart, so the processor does not foresee the next ones."""
    line = 64 // matrix.itemsize
    for row in rows:
        for column in range(0, matrix.shape[1], line):
            prefetch(matrix, row, column)


def is_compiled(dtype: np.dtype[Any], only_pairs: bool) -> bool:
    """Whether `run_leaves` has been loaded or compiled for a dtype in this process."""
    return _is_among(dtype, only_pairs, len(run_leaves.overloads))


@lru_cache(maxsize=64)
def _is_among(dtype: np.dtype[Any], only_pairs: bool, count: int) -> bool:
    """Whether one of the `count` versions of `run_leaves` is it; reading them is slow."""
    return any(
        str(signature[0].dtype) == dtype.name and (str(signature[-1]) == "none") == only_pairs
        for signature in run_leaves.signatures
    )
