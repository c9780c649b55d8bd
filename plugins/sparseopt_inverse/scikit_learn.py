"""scikit-learn's coordinate descent for the lasso."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.penalty import L1
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import largest_entry
from sparseopt_inverse.plain import plain_only
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.refinement import refine


@dataclass(frozen=True)
class ScikitLearn(Solver[SparseRegression]):
    """Runs ``sklearn.linear_model.Lasso`` and refines what it returns.

    Time O(s), memory O(s), for s stored entries of the design and each sweep.

    Parameters
    ----------
    engine_tolerance : float
        scikit-learn's own ``tol``. Rough is enough: the refinement finishes.
    max_iter : int
        scikit-learn's bound on sweeps; where it is reached, the refinement finishes.
    """

    engine_tolerance: float = 1e-4
    max_iter: int = 1000

    def __post_init__(self) -> None:
        if not (isinstance(self.engine_tolerance, int | float) and 0 < self.engine_tolerance < 1):
            raise ValueError(
                f"engine_tolerance must lie between 0 and 1, got {self.engine_tolerance!r}"
            )
        if not (isinstance(self.max_iter, int) and self.max_iter > 0):
            raise ValueError(f"max_iter must be a positive integer, got {self.max_iter!r}")

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse what coordinate descent for the lasso does not take."""
        if not isinstance(problem.penalty, L1):
            return Refused(
                f"scikit-learn has no {type(problem.penalty).__name__} penalty; it has L1"
            )
        if problem.penalty.strength == 0:
            return Refused(
                "strength 0 makes it least squares, on which coordinate descent is slow and "
                "unreliable"
            )
        reason = plain_only(problem, "scikit-learn")
        if reason:
            return Refused(reason)
        if not isinstance(problem.penalty, L1) or problem.penalty.weights is not None:
            return Refused(
                "scikit-learn has no weights of single coefficients; working_set takes them"
            )
        if scipy.sparse.issparse(problem.design) and problem.design.nnz >= 2**31:
            return Refused("scikit-learn takes sparse designs with 32-bit indices only")
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on the scaled problem and refine."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import Lasso

        scaled = problem.scaled()
        exponent = math.frexp(largest_entry(scaled.design))[1]
        design = _as_sklearn_takes(scaled.design, exponent).astype(problem.design.dtype, copy=False)
        # Under a time limit it runs a few sweeps at a time, each from where the last ones ended.
        sweeps = self.max_iter
        if context.time_limit is not None:
            sweeps = min(sweeps, 1 + int(0.1 / (4e-9 * math.prod(problem.shape))))
        engine = Lasso(
            alpha=math.ldexp(scaled.limits[0], -exponent) / design.shape[0],
            fit_intercept=False,
            copy_X=False,
            tol=self.engine_tolerance,
            max_iter=sweeps,
            warm_start=True,
        )
        target = scaled.target.astype(design.dtype)
        for _ in range(0, self.max_iter, sweeps):
            context.check_time("running scikit-learn")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                engine.fit(design, target)
            if engine.n_iter_ < sweeps:
                break
        x = np.ldexp(np.asarray(engine.coef_, dtype=np.float64), -exponent)
        x = scaled.original_coefficients(x)
        return refine(problem, x, (), context)

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds from a fit to `benchmarks/inverse.py`."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 1.5e-3 + 2e-8 * float(problem.design.nnz) + 6e-7 * n
        return 3e-3 + 1.6e-8 * m * n

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict the bytes of a design, which is copied twice."""
        return BASE + 2.0 * design_bytes(problem.design)


def _as_sklearn_takes(design: Any, exponent: int) -> Any:
    """Return the design times 2^-exponent in column order, sparse ones with 32-bit indices.

    In float32 squares leave the range of numbers long before those of the problem do.
    """
    if not scipy.sparse.issparse(design):
        return np.asfortranarray(np.ldexp(design, -exponent) if exponent else design)
    columns = design.tocsc()
    return scipy.sparse.csc_matrix(
        (
            np.ldexp(columns.data, -exponent),
            columns.indices.astype(np.int32, copy=False),
            columns.indptr.astype(np.int32, copy=False),
        ),
        shape=columns.shape,
    )
