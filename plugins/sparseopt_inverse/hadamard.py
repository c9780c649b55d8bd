"""Over-parametrization by products: the lasso as a smooth problem without constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver, TimeLimitReached
from sparseopt.inverse.building import best_multiple
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.refinement import refine
from sparseopt_inverse.work import begin

_MOST_ENTRIES = 2**25
_MOST_ORDER = 4000
"""Order of the largest linear system, 128 MB."""
_NOTHING = 1e-12
"""Squared factors of that relative size add nothing to the linear system."""
_LEAST_RATIO = 1e-8
_PRODUCT = 2e-10
"""Seconds of one core, generously, over the multiplications of a product of matrices."""


@dataclass(frozen=True)
class Hadamard(Solver[SparseRegression]):
    """Writes x_g = v_g u_g, eliminates u, and descends on v with L-BFGS.

    Since L |x| = min over x = v u of L (v^2 + |u|^2) / 2, the penalty becomes a ridge. For fixed v
    the best u is a ridge regression. In units in which every limit L is 1, with the matrix
    M = 1 + A diag(v^2) A^T and a = M^-1 y, what is left is

        f(v) = |v|^2 / 2 + y.a / 2,  with the gradient v_g (1 - |A_g^T a|^2),

    at x_g = v_g^2 A_g^T a, whose residual is a. So each step has a dual point, a multiple of a,
    and its gap, at which it stops.

    Time O(m n min(m, n)), memory O(m n), for an m x n design, each step; those of one start are
    some dozens.

    Parameters
    ----------
    most_steps : int
        Evaluations of f; where they are used up, the refinement starts from there.
    handover : float
        Relative gap at which the refinement takes over where less is asked for.

    Notes
    -----
    O(m n min(m, n)) a step, some 50 to 500 steps. f is not convex, but has no local minima that
    are not global; v = 0 is a saddle, and where a v_g has become 0, so is that, which L-BFGS
    leaves only by rounding. So it is the gap that decides.

    Source: Poon, Peyre 2021 (arXiv:2106.01429) and 2023 (arXiv:2205.01385).
    """

    most_steps: int = 2000
    handover: float = 1e-7

    def __post_init__(self) -> None:
        steps, gap = self.most_steps, self.handover
        if not (isinstance(steps, int) and not isinstance(steps, bool) and steps > 0):
            raise ValueError(f"most_steps must be a positive integer, got {steps!r}")
        if not (isinstance(gap, int | float) and 0 < gap < 1):
            raise ValueError(f"handover must lie between 0 and 1, got {gap!r}")

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse what is no weighted sum of norms, and what is too large to be made dense."""
        found, (m, n) = problem.structure(), problem.shape
        if found["operator"]:
            return Refused("hadamard needs the entries of the design; working_set takes operators")
        if problem.sample_weights is not None:
            return Refused("hadamard takes no sample weights; working_set does")
        if not found["plain"]:
            return Refused(
                "hadamard takes L1 and GroupL1 with positive weights; working_set takes the others"
            )
        if m * n > _MOST_ENTRIES or min(m, n) > _MOST_ORDER:
            return Refused(
                f"hadamard solves dense systems of order {min(m, n)} with a design of {m * n} "
                f"entries at each step; up to {_MOST_ORDER} and {_MOST_ENTRIES}"
            )
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Descend until the gap is as asked, or small enough for the refinement."""
        scaled = problem.scaled()
        work = math.prod(scaled.design.shape) * min(scaled.design.shape)
        begin(context, 2.0 * _PRODUCT * work, "a step of variable projection")
        asked = problem.default_tolerance if context.tolerance is None else context.tolerance
        search = _Search(scaled, max(0.9 * (asked or 0.0), min(self.handover, 1.0)), context)
        late = False
        try:
            search.run(self.most_steps)
        except TimeLimitReached:
            if search.best is None:
                raise
            late = True
        x, t = search.result()
        x, t = scaled.original_coefficients(x), scaled.original_dual_point(t)
        if late:
            return DualityGapCertificate.build(problem, x, t, rough=True)
        return refine(problem, x, (t,), context)

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 0.05 + 1.2e-9 * m * n * min(m, n)

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict copies of the design."""
        return BASE + 3.0 * design_bytes(problem.design)


class _Done(Exception):
    """The gap is as asked."""


class _Search:
    """Evaluates f and keeps the best answer and the best dual point met."""

    def __init__(self, scaled: ScaledProblem, goal: float, context: Context) -> None:
        self._blocks, self._context, self._goal = scaled.blocks, context, goal
        self._target = scaled.target
        # Below a tiny share of the strength that empties the model M says nothing in float64.
        ratios = scaled.blocks.norms(scaled.correlation(scaled.target)) / scaled.limits
        enough = max(1.0, _LEAST_RATIO * float(ratios.max()))
        self._limits = scaled.blocks.spread(enough * scaled.limits)
        self._empty = bool((ratios <= 1.0).all())
        self.best: tuple[float, np.ndarray] | None = None
        self._dual, self._point = 0.0, np.zeros(scaled.rows)
        if self._empty:
            return
        self._columns = scaled.dense() / self._limits
        self._wide = scaled.rows <= scaled.size
        self._gram = None if self._wide else self._columns.T @ self._columns
        self._correlation = self._columns.T @ self._target

    def run(self, most_steps: int) -> None:
        """Descend on v from the best of some constants."""
        if self._empty:  # x = 0 is optimal, where f has no descent
            self._point = self._target
            return
        count = len(self._blocks.sizes)
        try:
            unit = 1.0 / max(float(np.linalg.norm(self._columns)), 1e-150)
            starts = [np.full(count, unit * 10.0**k) for k in range(-1, 4)]
            start = min(starts, key=lambda v: self.evaluate(v)[0])
            scipy.optimize.minimize(
                self.evaluate,
                start,
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxcor": 20,
                    "maxfun": most_steps,
                    "maxiter": most_steps,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        except (_Done, FloatingPointError, np.linalg.LinAlgError):
            return

    def evaluate(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        """Return f and its gradient."""
        self._context.check_time("descending on the factors")
        with np.errstate(over="raise", invalid="raise", under="ignore"):
            squares = np.square(v)
            point, correlation = self._ridge(self._blocks.spread(squares))
            norms = self._blocks.norms(correlation)
            z = self._blocks.spread(squares) * correlation
            self._judge(z, point, norms)
            value = 0.5 * float(squares.sum()) + 0.5 * float(self._target @ point)
            return value, v * (1.0 - norms) * (1.0 + norms)

    def _ridge(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a = M^-1 y and A^T a."""
        used = np.flatnonzero(squares > _NOTHING * squares.max())
        if self._gram is None:
            part = self._columns[:, used] * np.sqrt(squares[used])
            matrix = part @ part.T
            matrix.flat[:: len(matrix) + 1] += 1.0
            factor = scipy.linalg.cho_factor(matrix, overwrite_a=True, check_finite=False)
            point = scipy.linalg.cho_solve(factor, self._target, check_finite=False)
            return point, self._columns.T @ point
        roots = np.sqrt(squares[used])
        matrix = self._gram[np.ix_(used, used)] * np.outer(roots, roots)
        matrix.flat[:: len(matrix) + 1] += 1.0
        factor = scipy.linalg.cho_factor(matrix, overwrite_a=True, check_finite=False)
        right = roots * self._correlation[used]
        z = roots * scipy.linalg.cho_solve(factor, right, check_finite=False)
        point = self._target - self._columns[:, used] @ z
        return point, self._columns.T @ point

    def _judge(self, z: np.ndarray, point: np.ndarray, norms: np.ndarray) -> None:
        """Keep z and the best multiple of a dual point; raise `_Done` where they suffice."""
        factor = best_multiple(self._target, point, norms, np.ones(len(norms)))
        feasible = factor * point
        dual = float(self._target @ feasible) - 0.5 * float(feasible @ feasible)
        if dual > self._dual:
            self._dual, self._point = dual, feasible
        residual = self._target if not z.any() else point
        primal = 0.5 * float(residual @ residual) + float(self._blocks.norms(z).sum())
        if self.best is None or primal < self.best[0]:
            self.best = primal, z
        gap = self.best[0] - self._dual
        self._context.report(0.0, f"relative gap {gap / max(self.best[0], 1e-300):.0e}")
        if gap <= self._goal * self.best[0]:
            raise _Done

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and dual point in scaled units."""
        z = np.zeros(len(self._limits)) if self.best is None else self.best[1]
        return z / self._limits, self._point
