"""Composite penalties: working sets around `signed_faces`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.building import without_free
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.best import NEARLY, Best
from sparseopt_inverse.doubled import search_doubled
from sparseopt_inverse.signed_faces import Columns, FaceSearch, Terms, safe_inverse
from sparseopt_inverse.work import begin

_ROUNDS = 320
"""Of the search for a face; doubled precision takes over after an eighth, where it can."""
_WHOLE = 1200
"""Up to so many coefficients there is one working set, of all of them."""
_ENTRIES = 2**27
"""Entries of the largest dense set of columns, 1 GiB."""


class Composite:
    """Solves one problem; everything in scaled units, rows times the roots of their weights."""

    def __init__(self, problem: SparseRegression, context: Context) -> None:
        self.problem, self.context = problem, context
        self.gap = DualityGap(problem, 1.0)
        self.scaled = scaled = self.gap.scaled
        self.roots = np.ones(scaled.rows) if self.gap.roots is None else self.gap.roots
        self._columns = scaled.design.tocsc() if scipy.sparse.issparse(scaled.design) else None
        self.free = self.gap.free if not scaled.positive else np.zeros(0, dtype=np.intp)
        self.basis, self._solve_free = self._eliminated()
        target = self.roots * scaled.target
        self.target = target - self.basis @ (self.basis.T @ target)
        units = safe_inverse(scaled.blocks.norms(self.gap.norms))
        self.units = scaled.blocks.spread(units).copy()
        self.units[self.free] = 0.0
        self.thresholds = np.zeros(scaled.size) if scaled.thresholds is None else scaled.thresholds
        self.best = Best(problem, scaled, context)
        self._gap = 1.0
        self._last: tuple[np.ndarray, FaceSearch, np.ndarray] | None = None

    def _gathered(self, entries: np.ndarray) -> Any:
        """Return weighted columns, dense or csc."""
        if self._columns is not None:
            part = self._columns[:, entries].astype(np.float64)
            return (scipy.sparse.diags_array(self.roots) @ part).tocsc()
        seconds = 1e-8 * self.scaled.rows * len(entries)
        begin(self.context, seconds, "gathering columns")
        return np.asarray(self.scaled.columns(entries), dtype=np.float64) * self.roots[:, None]

    def _eliminated(self) -> tuple[np.ndarray, Any]:
        """Return an orthonormal basis of the free columns, and what finds their coefficients."""
        if not len(self.free):
            return np.zeros((self.scaled.rows, 0)), None
        columns = self._gathered(self.free)
        dense = columns.toarray() if scipy.sparse.issparse(columns) else columns
        units = safe_inverse(self.gap.norms[self.free])
        left, sizes, right = scipy.linalg.svd(dense * units, full_matrices=False)
        rank = int(np.count_nonzero(sizes > 1e-13 * sizes[0])) if len(sizes) else 0

        def solve(residual: np.ndarray) -> np.ndarray:
            x = np.zeros(len(self.free))
            for _ in range(2):
                along = left[:, :rank].T @ (residual - dense @ x)
                x += units * (right[:rank].T @ (along / sizes[:rank]))
            return x

        return left[:, :rank], solve

    def _subset(self, chosen: np.ndarray) -> tuple[FaceSearch, np.ndarray]:
        scaled = self.scaled
        blocks = scaled.blocks
        entries = blocks.members(chosen)
        gathered, units = self._gathered(entries), self.units[entries]
        if scipy.sparse.issparse(gathered):
            gathered = (gathered @ scipy.sparse.diags_array(units)).tocsc()
        else:
            gathered = gathered * units
        columns = Columns(gathered, self.basis, np.asarray((gathered.T @ self.basis).T))
        sizes = blocks.sizes[chosen]
        per_block = np.maximum.reduceat(units, np.cumsum(sizes) - sizes)
        terms = Terms(
            sizes,
            scaled.limits[chosen] * per_block,
            # Columns that are eliminated, or zeros, stay at zero.
            np.where(units > 0, self.thresholds[entries] * units, 1.0),
            scaled.ridge * units**2,
            scaled.positive,
        )
        return FaceSearch(columns, self.target, terms, self.context), entries

    def run(self, start: np.ndarray | None) -> tuple[Coefficients, DualityGapCertificate]:
        """Return the best answer."""
        scaled, blocks = self.scaled, self.scaled.blocks
        x = np.zeros(scaled.size) if start is None else scaled.coefficients(start)
        x = np.maximum(x, 0.0) if scaled.positive else x
        x[self.free] = 0.0
        used = blocks.norms(self.units) > 0
        candidates = np.flatnonzero(used)
        c = self._correlation(self.target - self._projected(self._product(x)))
        c[self.gap.free] = 0.0
        if not x.any() and not self.gap.excess(NEARLY * c).any():
            self._offer_free()
            if self.best.good:
                return self.best.result
        try:
            for rounds in (_ROUNDS // 8, _ROUNDS):
                x = self._on_working_sets(x, c, candidates, rounds)
                if not self.best.offered:
                    self._offer()
                if not self.best.good:
                    rough = scaled.coefficients(self.best.result[0].x)
                    search_doubled(scaled, rough, self.best, self.context)
                if self.best.good:
                    break
                c = self._correlation(self.target - self._projected(self._product(x)))
        except TimeLimitReached:
            if self._last is None:
                raise
            if not self.best.offered:
                self._offer()
        return self.best.result

    def _on_working_sets(
        self, x: np.ndarray, c: np.ndarray, candidates: np.ndarray, rounds: int
    ) -> np.ndarray:
        """Return coefficients found on growing sets of blocks, with so many rounds on each."""
        blocks = self.scaled.blocks
        count = len(candidates) if self.scaled.size <= _WHOLE else 50
        chosen = np.zeros(0, dtype=np.intp)
        for _ in range(60):
            score, active = self._scores(c), blocks.norms(x) > 0
            score[active] = np.inf
            score[chosen] = np.where(active[chosen], np.inf, np.maximum(score[chosen], 0.0))
            order = candidates[np.argsort(-score[candidates], kind="stable")]
            size = max(count, 2 * int(active.sum()))
            chosen = np.sort(order[: min(size, len(order))])
            x, c = self._solved(chosen, x, len(chosen) == len(candidates), rounds)
            if len(chosen) == len(candidates) or self._gap <= 3.0 * self.best.asked:
                self._offer()
            if self.best.good or len(chosen) == len(candidates):
                break
            count = 2 * count
        return x

    def _correlation(self, residual: np.ndarray) -> np.ndarray:
        t, design = self.roots * residual, self.scaled.design
        operator = isinstance(design, ColumnOperator)
        return np.asarray(design.quickly(t) if operator else self.scaled.correlation(t))

    def _scores(self, c: np.ndarray) -> np.ndarray:
        """Return by how much each block violates its limit, per norm of its columns."""
        scaled = self.scaled
        size = c if scaled.positive else np.abs(c)
        norms = scaled.blocks.norms(np.maximum(size - self.thresholds, 0.0))
        return (norms - scaled.limits) * safe_inverse(scaled.blocks.norms(self.gap.norms))

    def _solved(
        self, chosen: np.ndarray, x: np.ndarray, is_all: bool, rounds: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients that are optimal among some blocks, and what correlates then."""
        search, entries = self._subset(chosen)
        units = self.units[entries]
        start = np.divide(x[entries], units, out=np.zeros(len(units)), where=units > 0)
        goal = max(0.3 * self.best.asked, 1e-15)
        if not is_all:
            # Far from the optimum of all blocks, that of some need not be known well.
            goal = max(goal, min(0.1, 0.05 * self._gap))

        def done(z: np.ndarray) -> bool:
            return _gap(search, z) <= goal * search.objective(z)

        found = search.run(start, done, rounds)
        x = np.zeros_like(x)
        x[entries] = units * found
        self._last = x, search, found
        residual = search.residual(found)
        c = self._correlation(residual)
        self._gap = self._relative_gap(search.objective(found), residual, c)
        digits = -math.log10(min(max(self._gap, self.best.asked), 1.0))
        self.context.report(digits / 15.0, f"relative gap {self._gap:.0e}")
        return x, c

    def _relative_gap(self, primal: float, residual: np.ndarray, c: np.ndarray) -> float:
        """Return the gap with the residual as dual point, relative, in plain arithmetic."""
        along, square = float(self.target @ residual), float(residual @ residual)
        c = c.copy()
        c[self.gap.free] = 0.0
        conjugate, factor = 0.0, 1.0
        if self.scaled.ridge:
            conjugate = 0.5 * float(np.square(self.gap.excess(c)).sum()) / self.scaled.ridge
        elif self.gap.excess(c).any():
            low, high = 0.0, 1.0
            for _ in range(50):
                factor = 0.5 * (low + high)
                high, low = (factor, low) if self.gap.excess(factor * c).any() else (high, factor)
            factor = low
        dual = factor * along - 0.5 * factor**2 * square - conjugate
        return max(primal - dual, 0.0) / primal if primal > 0 else 0.0

    def _offer_free(self) -> None:
        """Certify that free columns are all that is needed."""
        x = np.zeros(self.scaled.size)
        if len(self.free):
            x[self.free] = self._solve_free(self.roots * self.scaled.target)
        residual = self.roots * self.scaled.target - self._product(x)
        points = [self.roots * residual, self.roots * self.target]
        self.best.offer(x, *(point[None] for point in points))

    def _offer(self) -> None:
        """Certify the last answer."""
        assert self._last is not None
        x, search, found = self._last[0].copy(), *self._last[1:]
        if len(self.free):
            whole = self.roots * self.scaled.target - self._product(x)
            x[self.free] = self._solve_free(whole)
        residual, fitted = search.residual(found), search.fitted(found)
        points = [(self.roots * point)[None] for point in (residual, fitted)]
        if len(self.gap.free):
            points += [without_free(self.gap, point[0]) for point in points]
        self.best.offer(x, *points)

    def _projected(self, vector: np.ndarray) -> np.ndarray:
        return vector - self.basis @ (self.basis.T @ vector)

    def _product(self, x: np.ndarray) -> np.ndarray:
        support = np.flatnonzero(x)
        if not len(support):
            return np.zeros(self.scaled.rows)
        return np.asarray(self._gathered(support) @ x[support])


def _gap(search: FaceSearch, x: np.ndarray) -> float:
    """Return the duality gap of a subproblem, with the residual and the fitted point."""
    terms, primal = search.terms, search.objective(x)
    least = math.inf
    for point in (search.residual(x), search.fitted(x)):
        c = search.columns.correlation(point)
        norms = terms.blocks.norms(terms.shrunk(c))
        dual = float(search.target @ point) - 0.5 * float(point @ point)
        if terms.ridge.any():
            over = np.maximum(norms - terms.limits, 0.0)
            ridge = np.maximum.reduceat(terms.ridge, terms.blocks.starts)
            with np.errstate(divide="ignore", invalid="ignore"):
                dual -= 0.5 * float(np.where(over > 0, over**2 / ridge, 0.0).sum())
        else:
            limited = terms.limits > 0
            if (norms[~limited] > 1e-13 * float(np.linalg.norm(point))).any():
                continue
            with np.errstate(divide="ignore"):
                factor = float(np.min(terms.limits[limited] / norms[limited], initial=1.0))
            if factor < 1.0:
                point = factor * point
                dual = float(search.target @ point) - 0.5 * float(point @ point)
        least = min(least, primal - dual)
    return least


def composite(
    problem: SparseRegression, context: Context, start: np.ndarray | None = None
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return an answer to a problem with any sum of block penalties, and its certificate.

    Parameters
    ----------
    start : ndarray, shape (n,), or None
        Coefficients to start from; None means zeros.
    """
    return Composite(problem, context).run(start)
