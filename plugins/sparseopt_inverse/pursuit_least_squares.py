"""What least squares says of a basis pursuit: that nothing fits, or a vector of least 2-norm."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sparseopt.inverse.infeasible_certificate import InfeasibleCertificate
from sparseopt_inverse.exact_kernels import exact_rest
from sparseopt_inverse.faces import MOST_ENTRIES
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_designs import row_units
from sparseopt_inverse.work import SINGULAR_VALUES, begin

MOST_EXACT = 32
"""Columns up to which least squares is solved exactly where rounding does not do."""
MOST_PRODUCTS = 40_000
"""And products of integers that it takes."""


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is not kept
def offer_least_norm(best: BestPursuit) -> None:
    """Offer the vector of least 2-norm, with rows brought to one size, for norm 1 columns too.

    For other norms it proves something where their engines find nothing.
    """
    m, n = best.problem.shape
    begin(best.context, 3.0 * SINGULAR_VALUES * m * n * min(m, n), "least squares")
    if m * n > MOST_ENTRIES:
        return
    matrix = best.fit.scaled.dense()
    columns = np.ones(matrix.shape[1])
    if best.problem.norm == 1:
        columns = 1.0 / np.where(best.fit.norms > 2.0**-400, best.fit.norms, 1.0)
    rows = row_units(matrix * columns)
    left, values, right = scipy.linalg.svd(
        rows[:, None] * matrix * columns, full_matrices=False, check_finite=False
    )
    used = values > values[0] * max(m, n) * np.finfo(float).eps
    left, values, right = left[:, used], values[used], right[used]
    x = np.zeros(matrix.shape[1])
    for _ in range(3):
        residual = rows * best.fit.residual(x)[0]
        x = x + columns * (right.T @ ((left.T @ residual) / values))
    best.offer(x, rows * (left @ ((right @ (x / columns)) / values)))


def nothing_fits(best: BestPursuit) -> Made | None:
    """Return the answer that nothing fits, None where it is not so or cannot be proved.

    A smallest residual that exceeds the noise by no more than the tolerance, relative to the
    target, counts as a fit: rounding the target makes as much of a system that has one.
    O(m n min(m, n)).
    """
    m, n = best.problem.shape
    begin(best.context, 3.0 * SINGULAR_VALUES * m * n * min(m, n), "least squares")
    if m * n > MOST_ENTRIES:
        return None
    matrix = best.fit.scaled.dense()
    units = 1.0 / np.where(best.fit.norms > 2.0**-400, best.fit.norms, 1.0)
    left, values, right = scipy.linalg.svd(matrix * units, full_matrices=False, check_finite=False)
    rank = int(np.count_nonzero(values > values[0] * max(m, n) * np.finfo(float).eps))
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    x = np.zeros(matrix.shape[1])
    for _ in range(3):
        residual = best.fit.residual(x)[0]
        x = x + units * (right.T @ ((left.T @ residual) / values))
    residual = best.fit.residual(x)[0]
    beyond = np.linalg.norm(residual) - best.noise
    if not beyond > max(best.asked, 1e-13) * np.linalg.norm(best.fit.target):
        return None
    w = residual - left @ (left.T @ residual)
    x = best.fit.scaled.original_coefficients(x)
    made = InfeasibleCertificate.build(best.problem, x, best.fit.scaled.joined(w))
    if made is not None or n > MOST_EXACT or m * n * n > MOST_PRODUCTS:
        return made
    # Columns that nearly depend on each other span a direction that rounding does not see.
    w = exact_rest(matrix, best.fit.target, best.context)
    return InfeasibleCertificate.build(best.problem, x, best.fit.scaled.joined(w))
