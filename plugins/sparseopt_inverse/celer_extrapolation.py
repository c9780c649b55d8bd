"""celer: working sets by an extrapolated dual point, in compiled code; an optional engine."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.unit_blocks import (
    UnitBlocks,
    block_norms_only,
    finished,
    require_settings,
)


@dataclass(frozen=True)
class Celer(Solver[SparseRegression]):
    """Runs ``celer.celer_path`` and refines its coefficients and its dual point.

    Time O(s), memory O(s), for s stored entries of the design and each sweep.

    Parameters
    ----------
    engine_tolerance : float or None
        celer's own ``tol``, a gap relative to half the square of the target. None means a little
        less than the accuracy that is asked for, and at least 1e-9: the refinement finishes.
    max_iter : int
        celer's bound on working sets; where it is reached, the refinement finishes.
    max_epochs : int
        Its bound on sweeps over each.

    Notes
    -----
    celer's own gap is not believed: on groups its dual point trails its coefficients by half the
    digits. What is certified is the better of its dual point and that of the refinement.
    """

    engine_tolerance: float | None = None
    max_iter: int = 50
    max_epochs: int = 10_000

    def __post_init__(self) -> None:
        require_settings(self.engine_tolerance, max_iter=self.max_iter, max_epochs=self.max_epochs)

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse what celer does not take, or takes and gets wrong."""
        reason = block_norms_only(problem, "celer")
        if reason:
            return Refused(reason)
        if problem.structure()["plain"]:
            return Accepted()
        size, penalty = problem.shape[1], problem.penalty
        if penalty.ridge or penalty.thresholds(size) is not None:
            return Refused(
                "celer takes norms of coefficients or groups alone here; skglm and working_set "
                "take sums of them, and squares"
            )
        if not (penalty.limits(size) > 0).all():
            return Refused("celer takes positive weights only; working_set eliminates the others")
        if penalty.positive and not penalty.blocks(size).single:
            return Refused("celer has no positive groups; skglm and working_set do")
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on columns of norm 1 and refine."""
        blocks = UnitBlocks.of(problem)
        if blocks.is_empty_model:
            return finished(problem, np.zeros(problem.shape[1]), (), context)
        x, t = self._run(blocks, problem.penalty.positive, context)
        return finished(problem, blocks.coefficients(x), (blocks.dual_point(t),), context)

    def _run(
        self, blocks: UnitBlocks, positive: bool, context: Context
    ) -> tuple[np.ndarray, np.ndarray]:
        from celer import celer_path
        from sklearn.exceptions import ConvergenceWarning

        asked = 1e-9 if context.tolerance is None else context.tolerance
        tolerance = self.engine_tolerance or max(0.1 * asked, 1e-9)
        strength, m = float(blocks.limits.max()), blocks.rows
        is_lasso = len(blocks.sizes) == blocks.design.shape[1]
        options = {
            "pb": "lasso" if is_lasso else "grouplasso",
            "alphas": np.array([strength / m]),
            "weights": blocks.limits / strength,
            "groups": None if is_lasso else blocks.sizes.tolist(),
            "positive": positive,
            "tol": tolerance,
            "return_thetas": True,
            "prune": 1,
        }
        # Under a time limit it runs one working set at a time, each from where the last one ended.
        sets, epochs = self.max_iter, self.max_epochs
        if context.time_limit is not None:
            sets, epochs = 1, min(epochs, 10 + int(2e7 / _entries(blocks)))
        x, t, last = np.zeros(blocks.design.shape[1]), blocks.target, math.inf
        while True:
            context.check_time("running celer")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                found = celer_path(
                    blocks.design,
                    blocks.target,
                    coef_init=x,
                    max_iter=sets,
                    max_epochs=epochs,
                    **options,
                )
            x, gap, t = found[1][:, 0], float(found[2][0]), m * found[3][0]
            if not (np.isfinite(x).all() and np.isfinite(t).all()):
                return np.zeros_like(x), blocks.target
            if context.time_limit is None or gap <= 0.0 or gap > 0.999 * last:
                return x, t
            last = gap

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 5e-3 + 2e-7 * (float(problem.design.nnz) + n)
        return 5e-3 + 1.5e-8 * m * n

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)


def _entries(blocks: UnitBlocks) -> int:
    sparse = scipy.sparse.issparse(blocks.design)
    return int(blocks.design.nnz) if sparse else math.prod(blocks.design.shape)
