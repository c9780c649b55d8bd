"""The nuclear norm: proximal steps find the rank, Newton steps on a factorization end it.

With x = L R^T the norm is the least (|L|^2 + |R|^2) / 2 (Srebro, Rennie, Jaakkola 2004), so near an
optimum of known rank the objective is a smooth function of L and R, up to rotations of both. Before
that, accelerated proximal steps with restart (Toh, Yun 2010) shrink singular values.
"""

from __future__ import annotations

import math

import numpy as np

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.kinds import NuclearGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.best import NEARLY, Best
from sparseopt_inverse.work import PRODUCT, begin

_STEPS = 20_000
_MOST_UNKNOWNS = 1500
_MOST_ENTRIES = 2**24


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

    def _flat(self, matrix: np.ndarray) -> np.ndarray:
        whole = matrix.ravel()
        return np.append(whole.real, whole.imag) if np.iscomplexobj(whole) else whole

    def _curvature(self) -> float:
        x, size = np.random.default_rng(0).standard_normal(self.scaled.size), 1.0
        for _ in range(60):
            x = self._correlation(self._times(x / (np.linalg.norm(x) or 1.0)))
            last, size = size, float(np.linalg.norm(x))
            if abs(size - last) <= 1e-3 * size:
                break
        return 1.05 * size + self.ridge + 1e-300

    def _proximal(self, x: np.ndarray, step: float) -> tuple[np.ndarray, int]:
        u, s, v = np.linalg.svd(self.gap.matrix(x), full_matrices=False)
        s = np.maximum(s - step * self.limit, 0.0)
        return self._flat((u * s) @ v), int(np.count_nonzero(s))

    def _step(self, x: np.ndarray, step: float) -> tuple[np.ndarray, int]:
        gradient = self.ridge * x - self._correlation(self.target - self._times(x))
        return self._proximal(x - step * gradient, step)

    def run(self) -> tuple[Coefficients, DualityGapCertificate]:
        """Return the best answer."""
        x = np.zeros(self.scaled.size)
        if not self.gap.excess(NEARLY * self._correlation(self.target)).any():
            self._offer(x)
            if self.best.good:
                return self.best.result
        try:
            step, momentum, ahead, wait = 1.0 / self._curvature(), 1.0, x, 50
            for k in range(_STEPS):
                self.context.check_time("shrinking singular values")
                moved, rank = self._step(ahead, step)
                if float((ahead - moved) @ (moved - x)) > 0:
                    momentum = 1.0
                    moved, rank = self._step(x, step)
                following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
                change = float(np.linalg.norm(moved - x))
                ahead = moved + (momentum - 1.0) / following * (moved - x)
                x, momentum = moved, following
                settled = change <= 1e-15 * float(np.linalg.norm(x))
                if k == wait or settled:
                    wait = int(1.5 * wait) + 10
                    self._offer(x)
                    if self.best.good or settled:
                        break
                    polished = self._polished(x, rank)
                    if polished is not None:
                        self._offer(polished)
                        if self.best.good:
                            break
        except TimeLimitReached:
            if not self.best.offered:
                raise
        return self.best.result

    def _offer(self, x: np.ndarray) -> None:
        self.best.offer(x, (self.roots * (self.target - self._times(x)))[None])

    def _polished(self, x: np.ndarray, rank: int) -> np.ndarray | None:
        """Return x after Newton steps on factors of its rank, None if that is too much or fails."""
        p, q = self.gap.matrix_shape
        unknowns = (p + q) * rank
        if self.scaled.size != p * q or not 0 < unknowns <= _MOST_UNKNOWNS:
            return None  # complex matrices are left to the proximal steps
        if self.scaled.rows * self.scaled.size > _MOST_ENTRIES:
            return None
        u, s, v = np.linalg.svd(x.reshape(p, q), full_matrices=False)
        left = u[:, :rank] * np.sqrt(s[:rank])
        right = v[:rank].T * np.sqrt(s[:rank])
        design = self.scaled.dense() * self.roots[:, None]
        for _ in range(20):
            seconds = PRODUCT * self.scaled.rows * self.scaled.size * unknowns
            seconds += 20.0 * PRODUCT * float(unknowns) ** 3
            begin(self.context, seconds, "a Newton step on the factors")
            step, size = self._newton(design, left, right)
            if not np.isfinite(step).all():
                return None
            left = left + step[: p * rank].reshape(p, rank)
            right = right + step[p * rank :].reshape(q, rank)
            if size <= 1e-15 * math.sqrt(float((left**2).sum() + (right**2).sum())):
                break
        return (left @ right.T).ravel()

    def _newton(
        self, design: np.ndarray, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return Newton's step for both factors, the shortest along rotations, and its length."""
        (p, rank), q = left.shape, len(right)
        x = (left @ right.T).ravel()
        residual = self.target - design @ x
        pull = (self.ridge * x - design.T @ residual).reshape(p, q)
        # Columns of the derivative of L R^T by L, then by R.
        by_left = np.einsum("ik,jr->ijkr", np.eye(p), right).reshape(p * q, p * rank)
        by_right = np.einsum("jk,ir->ijkr", np.eye(q), left).reshape(p * q, q * rank)
        derivative = np.hstack([by_left, by_right])
        image = design @ derivative
        hessian = image.T @ image + self.ridge * (derivative.T @ derivative)
        hessian[np.diag_indices(len(hessian))] += self.limit
        mixed = np.einsum("ij,rs->irjs", pull, np.eye(rank)).reshape(p * rank, q * rank)
        hessian[: p * rank, p * rank :] += mixed
        hessian[p * rank :, : p * rank] += mixed.T
        gradient = np.concatenate(
            [
                (pull @ right + self.limit * left).ravel(),
                (pull.T @ left + self.limit * right).ravel(),
            ]
        )
        values, vectors = np.linalg.eigh(hessian)
        used = np.abs(values) > 1e-11 * np.abs(values).max()
        along = vectors[:, used].T @ gradient
        step = -(vectors[:, used] @ (along / values[used]))
        return step, float(np.linalg.norm(step))


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
    sizes = np.linalg.svd(search.gap.matrix(rough), compute_uv=False)
    ranks = {int((sizes > share * sizes[0]).sum()) for share in (1e-3, 1e-5, 1e-7)}
    for rank in sorted(ranks):
        polished = search._polished(rough, rank)
        if polished is not None and not best.good:
            search._offer(polished)
    # Complex matrices have no such steps; a few proximal ones are worth some digits.
    if not best.good:
        step = 1.0 / search._curvature()
        for _ in range(200):
            context.check_time("shrinking singular values")
            rough = search._step(rough, step)[0]
        search._offer(rough)
