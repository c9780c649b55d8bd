"""Not closed by LU windows whose cells are covered by further terms that are blocked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.cores import Core
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.core_bounds import CoreBound, has_numba
from sparseopt_closedness.sizes import of_two

MANY = 100_000
"""Pairs of corners beyond which the search is compiled, where numba is."""
LARGEST_SIZE = 20_000_000
"""Rows x terms x columns up to which memory for the search suffices."""


@dataclass(frozen=True)
class BlockedWindows(so.Solver[so.Closedness]):
    """Not closed by the theorem of `sparseopt.closedness.cores`; decides nothing else.

    It is for masks without an LU window: further terms may cover the three cells of one, if single
    cells elsewhere force them to vanish there.

    Time O(m n r), memory O(m n r), for m x r and r x n supports whose blockers are few.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs of moderate size."""
        return of_two(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
        """Look for a window."""
        core = find_blocked(problem, context)
        if core is None:
            raise so.Inconclusive("no LU window whose other terms are blocked")
        certificate = blocked_certificate(problem, core)
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict the tables of blockers."""
        (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
        return 2e-3 + 2e-8 * m * n * r

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict the tables of blockers."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 9.0 * m * n * r


def find_blocked(problem: so.Closedness, context: so.Context) -> Core | None:
    """Return a blocked window, or None.

    A cell may be a corner of a window of term k if every other term there has a blocker in its row
    or column; that is counted by NumPy for all cells and terms, and leaves few windows to try.
    """
    left, right = (np.asarray(s, dtype=bool) for s in problem.supports)
    context.check_time("looking for blocked windows")
    search = CoreBound((left, right), "remove", None, 0, False)
    corners = _corners(search, left, right)
    if not corners:
        return None
    # Few windows are left to try as a rule; where there are many, compiling them pays.
    tries = sum(int(cells.sum()) ** 2 for _, cells in corners)
    search.fast = has_numba() and tries > MANY
    x, y = np.zeros(left.shape), np.zeros(right.shape)
    tables = search.blockers(x, y)
    n = right.shape[1]
    out, prices = np.zeros((n, 4), dtype=np.int64), np.zeros(n)
    for k, cells in corners:
        for i2 in np.flatnonzero(cells.any(axis=1)).tolist():
            context.check_time("looking for blocked windows")
            if search.windows_of(k, i2, x, y, tables, out, prices):
                return search.core(k, i2, tuple(out[0].tolist()), x, y, tables)
    return None


def _corners(
    search: CoreBound, left: np.ndarray, right: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Return the terms that may have a window, each with its cells that may be corners of it."""
    (m, r), n = left.shape, right.shape[1]
    by_row, by_column = np.zeros((r, m), dtype=bool), np.zeros((r, n), dtype=bool)
    for c in np.unique(search.cells.owner[search.cells.owner >= 0]).tolist():
        owned = search.cells.owner == c
        by_row[c] = (owned & (owned.sum(axis=0) >= 2)).any(axis=1)
        by_column[c] = (owned & (owned.sum(axis=1) >= 2)[:, None]).any(axis=0)
    blocked = np.zeros((m, n), dtype=np.int64)
    for c in range(r):
        blocked += _blocked_by(left, right, by_row, by_column, c)
    found = []
    for k in range(r):
        mine = np.logical_and.outer(left[:, k], right[k])
        others = blocked - _blocked_by(left, right, by_row, by_column, k)
        cells = mine & (search.cells.count - 1 == others)
        per_row = cells.sum(axis=1)
        if bool((per_row >= 2).any()) and int((per_row > 0).sum()) >= 2:
            found.append((k, cells))
    return found


def _blocked_by(
    left: np.ndarray, right: np.ndarray, by_row: np.ndarray, by_column: np.ndarray, c: int
) -> np.ndarray:
    """Return the cells where term c is blocked."""
    there = np.logical_and.outer(left[:, c], right[c])
    return np.asarray(there & (by_row[c][:, None] | by_column[c][None]))


def blocked_certificate(problem: so.Closedness, core: Core) -> NotClosedCertificate:
    """Return the limit of a blocked window, with the tree that excludes it.

    The curve is that of `sparseopt.closedness.cores`; at a blocker in row i the cell (i, j3), where
    the limit is 0, forces x_c[i] = 0, for y_c[j3] = 0 contradicts the 1 at (i3, j3).
    """
    (i1, i2), (j1, j2) = core.rows, core.columns
    k, other, one = core.term, core.other, Fraction(1)
    row_lines = [line for _, way, line, _, _ in core.blockers if way == "row"]
    column_lines = [line for _, way, line, _, _ in core.blockers if way == "column"]
    rows = list(dict.fromkeys([i1, i2, *(b[3] for b in core.blockers), *row_lines]))
    columns = list(dict.fromkeys([j1, j2, *(b[4] for b in core.blockers), *column_lines]))
    row, column = rows.index, columns.index
    left: list[list[Any]] = [[0, k, {1: one}], [1, k, {0: one}], [1, other, {0: -one}]]
    right: list[list[Any]] = [[k, 0, {0: one}], [k, 1, {-1: one}], [other, 1, {-1: one}]]
    limit = [[Fraction(0)] * len(columns) for _ in rows]
    limit[0][1] = limit[1][0] = one
    tree: list[Any] = ["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]]
    for c, way, line, i3, j3 in reversed(core.blockers):
        left.append([row(i3), c, {0: one}])
        right.append([c, column(j3), {0: one}])
        limit[row(i3)][column(j3)] = one
        end: list[Any] = ["cell", row(i3), column(j3)]
        if way == "row":
            tree = ["product", row(line), column(j3), tree, end]
        else:
            tree = ["product", row(i3), column(line), end, tree]
    return NotClosedCertificate.proved(
        problem, tuple(rows), tuple(columns), left, right, limit, [], tree
    )
