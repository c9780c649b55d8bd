"""Least squares on a known support in closed form: QR with column pivoting, refined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.known_support import KnownSupportRegression, SupportedCoefficients
from sparseopt.inverse.known_support_certificate import KnownSupportCertificate
from sparseopt_inverse.faces import Face
from sparseopt_inverse.predicting import BASE
from sparseopt_inverse.work import SINGULAR_VALUES, begin

MOST_ENTRIES = 2**25
"""Entries of the columns of the support, which are made dense."""
DEPENDENT = 1e-12
"""Pivots of unit columns, relative to the largest, below which a column counts as dependent."""


@dataclass(frozen=True)
class ClosedFormSupport(Solver[KnownSupportRegression]):
    """Independent columns B by pivoted QR, all columns as B C; then x = C^+ B^+ y.

    Time O(m k min(m, k)), memory O(m k), for m rows and k columns of the support.

    Notes
    -----
    O(m k min(m, k)) for k columns. B^+ y is refined by residuals in doubled precision. Whether
    columns count as dependent is decided on columns of norm 1, so that units do not matter.
    """

    def accepts(self, problem: KnownSupportRegression) -> Accepted | Refused:
        """Refuse supports whose columns do not fit in memory as a dense matrix."""
        size = problem.shape[0] * len(problem.support)
        if size > MOST_ENTRIES:
            return Refused(
                f"the columns of the support have {size} entries and are made dense, up to "
                f"{MOST_ENTRIES}; take a smaller support"
            )
        return Accepted()

    def solve(
        self, problem: KnownSupportRegression, context: Context
    ) -> tuple[SupportedCoefficients, KnownSupportCertificate]:
        """Return the closed form."""
        m, k = problem.shape[0], len(problem.support)
        begin(context, 6.0 * SINGULAR_VALUES * m * k * min(m, k), "a QR factorization")
        fit = Fit(problem.system, 1.0, problem.support)
        matrix = fit.scaled.dense()
        chosen = _independent(fit, matrix)
        r = len(chosen)
        if r == 0:
            nothing = np.zeros(0)
            return KnownSupportCertificate.build(
                problem, np.zeros(k), chosen, np.zeros((0, k)), nothing
            )
        pairs = fit.pairs(chosen)  # complex columns are pairs of real ones
        basis = matrix[:, pairs]
        inner = Fit(problem.system, 1.0, problem.support[chosen])
        every = np.arange(len(pairs))
        face = Face(inner, basis, np.ones(len(pairs)))
        c = face.exact_fit(inner, every, len(pairs))
        combination = np.eye(matrix.shape[1])
        if r < k:
            combination = _combination(face, basis, matrix, pairs)
        x, v = c, c
        if r < k:
            v = scipy.linalg.solve(combination @ combination.T, c, assume_a="pos")
            x = combination.T @ v
            for _ in range(2):  # what rounding x to floats misses of the fit
                shift = face.correction(fit.residual(x)[0])
                step = scipy.linalg.solve(combination @ combination.T, shift, assume_a="pos")
                v, x = v + step, x + combination.T @ step
        # A target orthogonal to the columns, up to rounding: 0 is the neater answer.
        if np.linalg.norm(matrix @ x) <= 1e-15 * np.linalg.norm(fit.target):
            x = 0.0 * x
        x = fit.scaled.original_coefficients(x)
        if fit.is_complex:
            combination = combination[:r, :k] + 1j * combination[r:, :k]
        v = fit.scaled.joined(v)
        return KnownSupportCertificate.build(problem, x, chosen, combination, v)

    def cost(self, problem: KnownSupportRegression) -> float:
        """Return seconds, roughly."""
        m, k = problem.shape[0], len(problem.support)
        return 1e-2 + 3e-9 * m * k * min(m, k)

    def bytes_needed(self, problem: KnownSupportRegression) -> float:
        """Predict the decompositions."""
        return BASE + 64.0 * problem.shape[0] * len(problem.support)


def _independent(fit: Fit, matrix: np.ndarray) -> np.ndarray:
    """Return columns that are independent and span the others, up to rounding."""
    norms = fit.norms
    if fit.is_complex:
        rows, count = matrix.shape[0] // 2, matrix.shape[1] // 2
        matrix = matrix[:rows, :count] + 1j * matrix[rows:, :count]
        norms = norms[:count]
    used = np.flatnonzero(norms > 2.0**-400)
    if not len(used):
        return used
    upper, order = scipy.linalg.qr(
        matrix[:, used] / norms[used], mode="r", pivoting=True, check_finite=False
    )
    pivots = np.abs(np.diagonal(upper))
    return np.sort(used[order[: np.count_nonzero(pivots > DEPENDENT * pivots[0])]])


def _combination(
    face: Face, basis: np.ndarray, matrix: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Return C with basis C = matrix up to rounding, exactly where C is of small fractions."""
    found = np.stack([face.correction(column) for column in matrix.T], axis=1)
    found[:, chosen] = np.eye(len(chosen))
    for j in np.setdiff1d(np.arange(matrix.shape[1]), chosen):
        found[:, j] += face.correction(matrix[:, j] - basis @ found[:, j])
    neat = np.rint(found * 64.0) / 64.0
    near = np.abs(neat - found).max(axis=0) < 1e-9
    found[:, near] = neat[:, near]
    return np.asarray(found)
