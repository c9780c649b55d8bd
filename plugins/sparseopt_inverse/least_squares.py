"""Least squares, the case of strength 0."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.blocks import Blocks
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM
from sparseopt_inverse.best import Best
from sparseopt_inverse.joint_rounding import rounded_jointly
from sparseopt_inverse.precise import DEPENDENT, MOST_ENTRIES, Face, add
from sparseopt_inverse.work import PIVOTED_QR, SINGULAR_VALUES, begin


def least_squares(
    problem: SparseRegression, context: Context
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return a least-squares solution and its certificate.

    It is the one of least norm once the columns are brought to norm 1, so that their units do not
    decide which of them count as dependent. If rounding it to float64 costs too much, independent
    columns are refined in doubled precision, and what their rounding misses is made up for by
    small coefficients of the other columns. O(m n min(m, n)).
    """
    scaled = problem.scaled()
    m, n = scaled.rows, scaled.size
    # The proof and its check take about as long again.
    begin(context, 2.5 * SINGULAR_VALUES * m * n * min(m, n), "a singular value decomposition")
    dense, norms, target = scaled.dense(), scaled.column_norm_bounds, scaled.target
    if scaled.weights is not None:
        roots = np.sqrt(scaled.weights)
        dense, target = dense * roots[:, None], target * roots
    best = Best(problem, scaled, context)
    units = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > NO_NORM)
    left, values, right = scipy.linalg.svd(dense * units, full_matrices=False, check_finite=False)
    rank = int(np.count_nonzero(values > values[0] * max(dense.shape) * np.finfo(float).eps))
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    x = np.zeros(len(norms))
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
    return best.result


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
