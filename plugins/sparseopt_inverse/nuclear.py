"""The nuclear norm: steps that shrink singular values find the rank, Newton's method ends it.

With x = L S^T the norm is the least (|L|^2 + |S|^2) / 2 (Srebro, Rennie, Jaakkola 2004), so near an
optimum of known rank the objective is a smooth function of L and S, up to rotations of both. Before
that come the steps of `nuclear_split`; for designs that are too large to be decomposed accelerated
proximal steps with restart (Toh, Yun 2010).
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.kinds import NuclearGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.best import NEARLY, Best
from sparseopt_inverse.nuclear_split import SplitNuclear, flat
from sparseopt_inverse.work import SINGULAR_VALUES, begin

_FIRST, _STEPS = 50, 20_000
"""Proximal steps that end it for designs with columns nearly orthogonal, and for any."""
_MOST_ENTRIES, _MOST_PRODUCTS = 2**24, 2**33
"""Of designs that are decomposed."""


class Nuclear:
    """Solves one problem; everything in scaled units, rows times the roots of their weights."""

    def __init__(self, problem: SparseRegression, context: Context) -> None:
        self.context = context
        self.gap = gap = NuclearGap(problem)
        self.scaled = scaled = gap.scaled
        self.roots = np.ones(scaled.rows) if gap.roots is None else gap.roots
        self.target = self.roots * scaled.target
        self.limit, self.ridge = float(scaled.limits[0]), scaled.ridge
        self.best = Best(problem, scaled, context)

    def _times(self, x: np.ndarray) -> np.ndarray:
        design = self.scaled.design
        found = design.times(x) if isinstance(design, ColumnOperator) else design @ x
        return self.roots * np.asarray(found)

    def _correlation(self, r: np.ndarray) -> np.ndarray:
        design, t = self.scaled.design, self.roots * r
        return (
            design.quickly(t) if isinstance(design, ColumnOperator) else self.scaled.correlation(t)
        )

    def _curvature(self) -> float:
        x, size = np.random.default_rng(0).standard_normal(self.scaled.size), 1.0
        for _ in range(60):
            self.context.check_time("bounding the curvature")
            x = self._correlation(self._times(x / (np.linalg.norm(x) or 1.0)))
            last, size = size, float(np.linalg.norm(x))
            if abs(size - last) <= 1e-3 * size:
                break
        return 1.05 * size + self.ridge + 1e-300

    def _step(self, x: np.ndarray, step: float) -> np.ndarray:
        gradient = self.ridge * x - self._correlation(self.target - self._times(x))
        matrix = self.gap.matrix(x - step * gradient)
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        return flat((u * np.maximum(s - step * self.limit, 0.0)) @ v)

    @cached_property
    def split(self) -> SplitNuclear | None:
        """The same with the design decomposed, None if that takes too much."""
        rows, size = self.scaled.rows, self.scaled.size
        if rows * size > _MOST_ENTRIES or rows * size * min(rows, size) > _MOST_PRODUCTS:
            return None
        seconds = 3.0 * SINGULAR_VALUES * rows * size * min(rows, size)
        begin(self.context, seconds, "a singular value decomposition")
        return SplitNuclear(self.gap, self.roots, self.context)

    def run(self) -> tuple[Coefficients, DualityGapCertificate]:
        """Return the best answer."""
        x = np.zeros(self.scaled.size)
        if not self.gap.excess(NEARLY * self._correlation(self.target)).any():
            self._offer(x)
            if self.best.good:
                return self.best.result
        try:
            self._shrink(x, _FIRST)
            if self.best.good:
                return self.best.result
            if self.split is None:
                self._shrink(x, _STEPS)
            else:
                self._split(self.split)
        except TimeLimitReached:
            if not self.best.offered:
                raise
        return self.best.result

    def _shrink(self, x: np.ndarray, steps: int) -> None:
        """Offer what accelerated proximal steps come to."""
        step, momentum, ahead, wait = 1.0 / self._curvature(), 1.0, x, _FIRST - 1
        for k in range(steps):
            self.context.check_time("shrinking singular values")
            moved = self._step(ahead, step)
            if float((ahead - moved) @ (moved - x)) > 0:
                momentum = 1.0
                moved = self._step(x, step)
            following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
            change = float(np.linalg.norm(moved - x))
            ahead = moved + (momentum - 1.0) / following * (moved - x)
            x, momentum = moved, following
            settled = change <= 1e-15 * float(np.linalg.norm(x))
            if k == wait or settled:
                wait = int(1.5 * wait) + 10
                self._offer(x)
                if self.best.good or settled:
                    return

    def _split(self, split: SplitNuclear) -> None:
        """Offer what the steps of a decomposed design come to, and Newton's method from there."""
        wait, rank = _FIRST, 0
        for k in range(_STEPS):
            self.context.check_time("shrinking singular values")
            settled = split.advance() <= 1e-15
            if k == wait or settled:
                wait = int(1.5 * wait) + 10
                self._offer(split.x, split.dual_point(split.w))
                if not self.best.good and (split.rank == rank or settled):
                    self.polish(split, split.x, split.w, split.rank)
                if self.best.good or settled:
                    return
                rank = split.rank
                split.rescale()

    def polish(self, split: SplitNuclear, x: np.ndarray, w: np.ndarray | None, rank: int) -> None:
        """Offer what Newton's method on factors of a rank makes of scaled coefficients."""
        found = split.polished(x, w, rank)
        if found is not None and np.isfinite(found[0]).all():
            self._offer(found[0], split.dual_point(found[1]))

    def _offer(self, x: np.ndarray, *points: np.ndarray) -> None:
        self.best.offer(x, (self.roots * (self.target - self._times(x)))[None], *points)


def nuclear(
    problem: SparseRegression, context: Context
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return an answer to a problem with the nuclear norm, and its certificate."""
    return Nuclear(problem, context).run()


def from_rough_matrix(
    problem: SparseRegression, x: np.ndarray, best: Best, context: Context
) -> None:
    """Offer what Newton steps make of another engine's matrix, whose rank is told by its gaps.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Coefficients, good to some digits.
    """
    search = Nuclear(problem, context)
    search.best = best
    rough = search.scaled.coefficients(x)
    if search.split is None:
        step = 1.0 / search._curvature()
        for _ in range(200):
            context.check_time("shrinking singular values")
            rough = search._step(rough, step)
        search._offer(rough)
        return
    sizes = np.linalg.svd(search.gap.matrix(rough), compute_uv=False)
    for rank in sorted({int((sizes > share * sizes[0]).sum()) for share in (1e-3, 1e-5, 1e-7)}):
        if not best.good:
            search.polish(search.split, rough, None, rank)
