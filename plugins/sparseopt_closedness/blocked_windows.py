"""Not closed by LU windows whose cells are covered by further terms that are blocked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness.cores import Core
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness import core_kernels
from sparseopt_closedness.core_bounds import CoreBound, has_numba

LARGEST_SIZE = 20_000_000
"""Rows x terms x columns up to which memory for the search suffices."""


@dataclass(frozen=True)
class BlockedWindows(so.Solver[so.Closedness]):
    """Not closed by the theorem of `sparseopt.closedness.cores`; decides nothing else.

    It is for masks without an LU window: further terms may cover the three cells of one, if single
    cells elsewhere force them to vanish there.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs of moderate size."""
        if len(problem.supports) != 2:
            return so.Refused(f"it takes two factors, not {len(problem.supports)}")
        (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
        if m * r * n > LARGEST_SIZE:
            return so.Refused(
                f"rows x terms x columns is {m * r * n:.1e}; it takes up to {LARGEST_SIZE:.0e}"
            )
        return so.Accepted()

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


def find_blocked(problem: so.Closedness, context: so.Context) -> Core | None:
    """Return a blocked window, or None.

    A cell may be a corner of a window of term k if every other term there has a blocker in its row
    or column; that is counted by NumPy for all cells and terms, and leaves few windows to try.
    """
    left, right = (np.asarray(s, dtype=bool) for s in problem.supports)
    (m, r), n = left.shape, right.shape[1]
    context.check_time("looking for blocked windows")
    fast = has_numba() and m * r * n > 5_000
    search = CoreBound((left, right), "remove", None, 0, fast)
    x, y = np.zeros((m, r)), np.zeros((r, n))
    places = np.zeros((r, m, 2), dtype=np.int64), np.zeros((r, n, 2), dtype=np.int64)
    tables = np.empty((r, m)), places[0], np.empty((r, n)), places[1]
    core_kernels.compiled(core_kernels.blockers, fast)(
        search.left, search.right, search.cells.owner, x, y, *tables
    )
    by_row, by_column = np.isfinite(tables[0]), np.isfinite(tables[2])
    blocked = np.zeros((m, n), dtype=np.int64)
    for c in range(r):
        blocked += _blocked_by(left, right, by_row, by_column, c)
    out, prices = np.zeros((n, 4), dtype=np.int64), np.zeros(n)
    for k in range(r):
        context.check_time("looking for blocked windows")
        mine = np.logical_and.outer(left[:, k], right[k])
        others = search.cells.count - 1
        corner = mine & (others == blocked - _blocked_by(left, right, by_row, by_column, k))
        per_row = corner.sum(axis=1)
        if not (per_row >= 2).any() or (per_row > 0).sum() < 2:
            continue
        for i2 in np.flatnonzero(per_row > 0).tolist():
            found = core_kernels.compiled(core_kernels.blocked_windows, fast)(
                search.left,
                search.right,
                search.cells.count,
                search.cells.cover,
                x,
                y,
                tables[0],
                tables[2],
                k,
                i2,
                out,
                prices,
            )
            if found:
                return search.core(k, i2, tuple(out[0].tolist()), x, y, tables)
    return None


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
