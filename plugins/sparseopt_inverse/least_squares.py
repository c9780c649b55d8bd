"""Least squares: strength 0, and strengths that are as good as 0."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.optimize

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.blocks import Blocks
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.kinds import gap_of
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM, ScaledProblem
from sparseopt_inverse.best import Best
from sparseopt_inverse.joint_rounding import rounded_jointly
from sparseopt_inverse.precise import DEPENDENT, MOST_ENTRIES, Face, add
from sparseopt_inverse.work import PIVOTED_QR, SINGULAR_VALUES, begin

_GOOD = 1e-13
"""An accuracy better than which nothing else is tried."""


def nearly_free(
    problem: SparseRegression, context: Context
) -> tuple[Coefficients, DualityGapCertificate] | None:
    """Return the answer without the penalty if that is proved to be as good as one with it.

    That is so where the penalty is lost among the roundings of an error that no coefficients bring
    to 0; None otherwise. O(m n min(m, n)).
    """
    scaled = problem.scaled()
    largest = float(scaled.column_norm_bounds.max())
    if float(scaled.limits.max()) > 1e-15 * largest or scaled.ridge > 1e-15 * largest**2:
        return None
    small = isinstance(scaled.design, np.ndarray) or scaled.rows * scaled.size <= MOST_ENTRIES
    if not small or len(gap_of(problem).cheap) < scaled.size:
        return None
    if not scaled.positive:
        return _good(_solved(problem, context))
    m, n = scaled.rows, scaled.size
    begin(context, 3.0 * SINGULAR_VALUES * m * n * min(m, n), "nonnegative least squares")
    best = Best(problem, scaled, context)
    dense, target = _weighted(scaled)
    units = _units(scaled)
    try:
        chosen = np.flatnonzero(scipy.optimize.nnls(dense * units, target)[0])
    except RuntimeError:  # too many steps
        return None
    x = np.zeros(n)
    part = dense[:, chosen]
    for _ in range(2):
        x[chosen] += np.linalg.lstsq(part, target - part @ x[chosen], rcond=None)[0]
    if (x < 0.0).any():
        return None
    best.offer(x)
    return _good(best)


def _good(best: Best) -> tuple[Coefficients, DualityGapCertificate] | None:
    made = best.result
    return made if made[1].accuracy <= max(best.asked, _GOOD) else None


def least_squares(
    problem: SparseRegression, context: Context
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return a least-squares solution and its certificate.

    It is the one of least norm once the columns are brought to norm 1, so that their units do not
    decide which of them count as dependent. If rounding it to float64 costs too much, independent
    columns are refined in doubled precision, and what their rounding misses is made up for by
    small coefficients of the other columns. O(m n min(m, n)).
    """
    return _solved(problem, context).result


def _solved(problem: SparseRegression, context: Context) -> Best:
    scaled = problem.scaled()
    m, n = scaled.rows, scaled.size
    # The proof and its check take about as long again.
    begin(context, 2.5 * SINGULAR_VALUES * m * n * min(m, n), "a singular value decomposition")
    dense, target = _weighted(scaled)
    units = _units(scaled)
    best = Best(problem, scaled, context)
    left, values, right = scipy.linalg.svd(dense * units, full_matrices=False, check_finite=False)
    rank = int(np.count_nonzero(values > values[0] * max(dense.shape) * np.finfo(float).eps))
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    x = np.zeros(n)
    residual = target
    for _ in range(2):
        x += units * (right.T @ ((left.T @ residual) / values))
        residual = target - dense @ x
    best.offer(x)
    if not best.good and rank * len(dense) <= MOST_ENTRIES:
        try:
            begin(context, 10.0 * PIVOTED_QR * m * n * min(m, n), "refining least squares")
            _refine(dense, units, target, best)
        except TimeLimitReached:
            pass
    return best


def _weighted(scaled: ScaledProblem) -> tuple[np.ndarray, np.ndarray]:
    """Return design and target with the weights of the rows in them."""
    if scaled.weights is None:
        return scaled.dense(), scaled.target
    roots = np.sqrt(scaled.weights)
    return scaled.dense() * roots[:, None], scaled.target * roots


def _units(scaled: ScaledProblem) -> np.ndarray:
    norms = scaled.column_norm_bounds
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > NO_NORM)


def _refine(dense: np.ndarray, units: np.ndarray, target: np.ndarray, best: Best) -> None:
    """Offer solutions with few nonzeros, in doubled precision before they are rounded."""
    unused = np.flatnonzero(units)
    chosen = unused[_independent(dense[:, unused] * units[unused])]
    refined = _solution(dense[:, chosen], target)
    x = np.zeros(dense.shape[1])
    x[chosen] = refined[0]
    best.offer(x)
    error = dense[:, chosen] @ refined[1]
    unused = np.setdiff1d(unused, chosen)
    while not best.good and len(unused):
        part = unused[_independent(dense[:, unused] * units[unused])]
        columns = dense[:, part] * units[part]
        found = np.linalg.lstsq(columns, error, rcond=None)[0]
        x[part] = units[part] * found
        error = error - columns @ found
        best.offer(x)
        unused = np.setdiff1d(unused, part)
    if not best.good:
        x = np.zeros(dense.shape[1])
        x[chosen] = rounded_jointly(dense[:, chosen], refined)
        best.offer(x)


def _independent(columns: np.ndarray) -> np.ndarray:
    """Return columns of nearly norm 1 that are independent and span, numerically, the others."""
    r, order = scipy.linalg.qr(columns, mode="r", pivoting=True, check_finite=False)
    pivots = np.abs(np.diagonal(r))
    return np.asarray(np.sort(order[: np.count_nonzero(pivots > 16.0 * DEPENDENT * pivots[0])]))


def _solution(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the least-squares solution of independent columns, as the sum of two rows."""
    count = columns.shape[1]
    face = Face(columns, target, Blocks(np.arange(count), np.ones(count, int)), np.zeros(count))
    x, t = np.zeros((2, count)), np.stack([target, np.zeros_like(target)])
    for _ in range(8):
        change, shift = face.step(x[0], *face.missing(x, t))
        x, t = add(x, change), add(t, shift)
    return x
