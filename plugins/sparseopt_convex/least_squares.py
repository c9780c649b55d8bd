"""Least squares, the case of strength 0."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.recovery import Coefficients, DualityGapCertificate, SparseRegression
from sparseopt.recovery.scaling import ScaledProblem
from sparseopt_convex.refinement import require_gap

DENSE_LIMIT = 2**25
"""Entries of the largest sparse design that is made dense, 256 MiB in float64."""


def least_squares(
    problem: SparseRegression, tolerance: float
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return a least-squares solution and its certificate.

    The columns are brought to norm 1 first, so that their units do not decide which of them
    count as dependent. The dual point is the residual, made orthogonal to the columns twice:
    once more than needed in exact arithmetic, which leaves rounding errors of its own size
    instead of the target's. O(m n min(m, n)).

    Raises
    ------
    Inconclusive
        If the proven gap stays above `tolerance`.
    """
    scaled = ScaledProblem(problem)
    design = scaled.design
    dense = design.toarray() if scipy.sparse.issparse(design) else design
    norms = scaled.column_norm_bounds()
    units = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    left, values, right = scipy.linalg.svd(
        dense.astype(np.float64) * units, full_matrices=False, check_finite=False
    )
    rank = int(np.count_nonzero(values > values[0] * max(dense.shape) * np.finfo(float).eps))
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    x = np.zeros(len(norms))
    residual = scaled.target
    for _ in range(2):
        x += units * (right.T @ ((left.T @ residual) / values))
        residual = scaled.target - dense @ x
    point = residual
    for _ in range(2):
        point = point - left @ (left.T @ point)
    answer, certificate = DualityGapCertificate.build(
        problem,
        scaled.original_coefficients(x),
        scaled.original_dual_point(point),
        np.zeros_like(point),
    )
    return require_gap(problem, answer, certificate, tolerance)
