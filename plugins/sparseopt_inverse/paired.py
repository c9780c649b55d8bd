"""Moduli of complex coefficients together with norms of groups: proximal steps, then Newton's.

Where coefficients are not zero the penalty is smooth. Accelerated steps with restart (Beck,
Teboulle 2009; O'Donoghue, Candes 2015) find those, and Newton's method ends there, see `moduli`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.building import without_free
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.kinds import PairedGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.best import Best
from sparseopt_inverse.moduli import curvature, phases, solved
from sparseopt_inverse.work import PRODUCT, begin

_BURST, _ROUNDS, _NEWTON = 50, 200, 12
_MOST_FACE = 4000


class Paired:
    """Solves one problem; in scaled units, real parts first, rows times roots of their weights."""

    def __init__(self, problem: SparseRegression, context: Context) -> None:
        self.context = context
        self.gap = PairedGap(problem)
        self.scaled = scaled = self.gap.scaled
        self.roots = np.ones(scaled.rows) if self.gap.roots is None else self.gap.roots
        self.target = self.roots * scaled.target
        self.half = scaled.size // 2
        self.best = Best(problem, scaled, context)
        self.thresholds = self.gap.own_thresholds
        self.blocks, self.limits = self.gap.half_blocks, scaled.limits

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return the weighted design times x."""
        design = self.scaled.design
        found = design.times(x) if isinstance(design, ColumnOperator) else design @ x
        return np.asarray(self.roots * found)

    def correlation(self, residual: np.ndarray) -> np.ndarray:
        """Return the transpose of the weighted design times a residual."""
        design, t = self.scaled.design, self.roots * residual
        if isinstance(design, ColumnOperator):
            return design.quickly(t)
        return self.scaled.correlation(t)

    def run(self) -> tuple[Coefficients, DualityGapCertificate]:
        """Return the best answer."""
        bound = self._curvature()
        x = np.zeros(self.scaled.size)
        self._offer(x)
        if self.best.good or bound == 0.0:
            return self.best.result
        try:
            x = self._searched(x, bound)
        except TimeLimitReached:
            return self.best.result
        if not self.best.good:
            self._offer(x)
        return self.best.result

    def _searched(self, x: np.ndarray, bound: float) -> np.ndarray:
        """Return the last iterate; what it offers on the way may be good."""
        extrapolated, momentum, last = x, 1.0, np.zeros(0, dtype=bool)
        for _ in range(_ROUNDS):
            for _ in range(_BURST):
                pull = self.correlation(self.target - self.times(extrapolated))
                moved = self._proximal(extrapolated + pull / bound, 1.0 / bound)
                if float((extrapolated - moved) @ (moved - x)) > 0.0:
                    momentum = 1.0
                following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
                extrapolated = moved + (momentum - 1.0) / following * (moved - x)
                x, momentum = moved, following
            self.context.check_time("taking proximal steps")
            used = self._moduli(x) > 0
            if np.array_equal(used, last) and used.any():
                self._offer(self._newton(x))
                if self.best.good:
                    break
            last = used
        return x

    def _curvature(self) -> float:
        """Return a bound of the largest eigenvalue of the Gram matrix, by power steps."""
        v = np.random.default_rng(0).standard_normal(self.scaled.size)
        size = 0.0
        for _ in range(40):
            length = float(np.linalg.norm(v))
            if not length > 0.0:
                break
            v = self.correlation(self.times(v / length))
            size = float(np.linalg.norm(v))
        return 1.05 * size

    def _moduli(self, x: np.ndarray) -> np.ndarray:
        return np.hypot(x[: self.half], x[self.half :])

    def _proximal(self, x: np.ndarray, step: float) -> np.ndarray:
        size = self._moduli(x)
        left = np.maximum(size - step * self.thresholds, 0.0)
        norms = self.blocks.norms(left)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(norms > step * self.limits, 1.0 - step * self.limits / norms, 0.0)
            factor = self.blocks.spread(share) * np.where(size > 0, left / size, 0.0)
        return np.tile(factor, 2) * x / (1.0 + step * self.scaled.ridge)

    def _newton(self, x: np.ndarray) -> np.ndarray:
        """Return what a few Newton steps on the nonzero coefficients make of x."""
        chosen = np.flatnonzero(self._moduli(x) > 0)
        if len(chosen) > _MOST_FACE:
            return x
        pairs = np.append(chosen, chosen + self.half)
        begin(self.context, PRODUCT * len(pairs) ** 2 * self.scaled.rows, "a Gram matrix")
        columns = self._dense(pairs)
        gram = columns.T @ columns + self.scaled.ridge * np.eye(len(pairs))
        z, best, least = x[pairs], x[pairs], np.inf
        for _ in range(_NEWTON):
            gradient, bent = self._slopes(z, chosen)
            gradient += columns.T @ (columns @ z - self.target) + self.scaled.ridge * z
            size = float(np.abs(gradient).max())
            if not size < 0.9 * least:
                break
            best, least = z, size
            z = z - solved(gram + bent, gradient, self.context)
            if not np.isfinite(z).all() or not self._moduli_of(z).min() > 0.0:
                break
        found = np.zeros_like(x)
        found[pairs] = best
        return found

    def _moduli_of(self, z: np.ndarray) -> np.ndarray:
        return np.hypot(z[: len(z) // 2], z[len(z) // 2 :])

    def _slopes(self, z: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and second derivative of the penalty without its ridge."""
        unit, size = phases(z)
        own = self.thresholds[chosen]
        gradient, bent = np.tile(own, 2) * unit, curvature(unit, size, own)
        labels = self.blocks.labels[chosen]
        for g in np.unique(labels):
            limit = float(self.limits[g])
            places = np.flatnonzero(labels == g)
            part = np.append(places, places + len(chosen))
            length = float(np.linalg.norm(z[part]))
            direction = z[part] / length
            gradient[part] += limit * direction
            turned = np.eye(len(part)) - np.outer(direction, direction)
            bent[np.ix_(part, part)] += limit / length * turned
        return gradient, bent

    def _dense(self, entries: np.ndarray) -> np.ndarray:
        part: Any = self.scaled.columns(entries)
        dense = part.toarray() if scipy.sparse.issparse(part) else np.asarray(part)
        return dense.astype(np.float64) * self.roots[:, None]

    def _offer(self, x: np.ndarray) -> None:
        residual = self.roots * (self.target - self.times(x))
        points = [residual[None]]
        if len(self.gap.free):
            points.append(without_free(self.gap, residual))
        self.best.offer(x, *points)
