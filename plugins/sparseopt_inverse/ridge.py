"""A ridge alone: one positive definite system, or conjugate gradients for sparse and operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, cg

from sparseopt.interface.context import Context
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem
from sparseopt_inverse.best import Best
from sparseopt_inverse.work import PRODUCT, SINGULAR_VALUES, begin

_MOST_UNKNOWNS = 6000


def ridge_regression(
    problem: SparseRegression, context: Context
) -> tuple[Coefficients, DualityGapCertificate] | None:
    """Return the best answer to a problem with a ridge and nothing else, None if there is none.

    O(m n min(m, n)) for dense designs.
    """
    scaled = problem.scaled()
    roots = np.ones(scaled.rows) if scaled.weights is None else np.sqrt(scaled.weights)
    best = Best(problem, scaled, context)
    if isinstance(scaled.design, np.ndarray) and min(scaled.design.shape) <= _MOST_UNKNOWNS:
        _by_factors(DualityGap(problem), roots, best, context)
    else:
        _by_gradients(scaled, roots, best, context)
    return best.result if best.offered else None


def _by_factors(gap: DualityGap, roots: np.ndarray, best: Best, context: Context) -> None:
    scaled = gap.scaled
    rows, size = scaled.design.shape
    begin(context, PRODUCT * rows * size * min(rows, size), "products of columns")
    design, target = scaled.design * roots[:, None], roots * scaled.target
    wide = rows < size
    gram = design @ design.T if wide else design.T @ design
    gram[np.diag_indices(len(gram))] += scaled.ridge
    try:
        factor = scipy.linalg.cho_factor(gram, check_finite=False)
    except scipy.linalg.LinAlgError:
        factor = None
    if factor is not None:
        found = np.zeros(len(gram))
        for _ in range(3):
            if wide:
                missing = target - design @ (design.T @ found) - scaled.ridge * found
            else:
                missing = design.T @ (target - design @ found) - scaled.ridge * found
            found = found + scipy.linalg.cho_solve(factor, missing, check_finite=False)
        if not np.isfinite(found).all():
            pass
        elif wide:  # the residual is this vector times the ridge, free of cancellation
            best.offer(design.T @ found, roots * (scaled.ridge * found))
        else:
            best.offer(found, roots * (target - design @ found))
    if not best.good:
        begin(context, SINGULAR_VALUES * rows * size * min(rows, size), "singular values")
        _by_singular_values(gap, design, target, roots, best)


def _by_singular_values(
    gap: DualityGap, design: np.ndarray, target: np.ndarray, roots: np.ndarray, best: Best
) -> None:
    """Offer the closed form, whose residual is exact to the last digits in each direction."""
    ridge = gap.scaled.ridge
    left, values, right = scipy.linalg.svd(design, full_matrices=False, check_finite=False)
    # Columns with singular values below rounding fit nothing but rounding.
    used = values > values[0] * max(design.shape) * np.finfo(float).eps * 0.125
    left, values, right = left[:, used], values[used], right[used]
    along = left.T @ target
    off = target - left @ along
    off -= left @ (left.T @ off)
    if len(left) == left.shape[1]:
        off = np.zeros_like(off)
    shares = values * values + ridge
    x = right.T @ (values / shares * along)
    t = roots * (off + left @ (ridge / shares * along))
    best.offer(x, t, roots * (target - design @ x))
    if not best.good:  # correlations as they must be to twice the digits
        excess = gap.exact_correlations(t[None], np.arange(len(x)))[0] - ridge * x
        best.offer(x, np.stack([t, -roots * (left @ ((right @ excess) / values))]))


def _by_gradients(scaled: ScaledProblem, roots: np.ndarray, best: Best, context: Context) -> None:
    design, size = scaled.design, scaled.size
    operator = isinstance(design, ColumnOperator)

    def times(x: np.ndarray) -> np.ndarray:
        return roots * np.asarray(design.times(x) if operator else design @ x)

    def correlation(r: np.ndarray) -> np.ndarray:
        return design.quickly(roots * r) if operator else scaled.correlation(roots * r)

    def normal(x: np.ndarray) -> np.ndarray:
        context.check_time("conjugate gradients")
        return correlation(times(x)) + scaled.ridge * x

    system: Any = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    x = np.zeros(size)
    for _ in range(3):
        missing = correlation(roots * scaled.target - times(x)) - scaled.ridge * x
        x = x + cg(system, missing, rtol=1e-9, maxiter=10 * size + 100)[0]
        best.offer(x, roots * (roots * scaled.target - times(x)))
        if best.good:
            return
