"""Recovery by the coherence of the columns."""

from __future__ import annotations

from dataclasses import dataclass

import scipy.sparse

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_proofs import CoherenceCertificate
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.whole_design import reading_seconds, refused_if_large

MOST_COLUMNS = 10_000
"""Their inner products take minutes."""


@dataclass(frozen=True)
class RecoveryCoherence(so.Solver[RecoveryGuarantee]):
    """One product of the design with itself; proves small sparsities, and never a failure.

    Time O(m n^2), memory O(m n + n^2), for an m x n design.
    """

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take designs of not too many columns, all of which an operator must be able to keep."""
        columns = problem.design.shape[1]
        if columns > MOST_COLUMNS:
            return so.Refused(f"it takes up to {MOST_COLUMNS} columns, and there are {columns}")
        if not problem.columns.fits and not scipy.sparse.issparse(problem.design):
            return refused_if_large(problem) or so.Accepted()
        return so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        m, n = problem.design.shape
        return 1e-4 + 1e-9 * m * n * n + reading_seconds(problem)

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict all products of columns."""
        n = problem.design.shape[1]
        return BASE + 24.0 * n * n + 2.0 * design_bytes(problem.design)

    def solve(
        self, problem: RecoveryGuarantee, context: so.Context
    ) -> tuple[RecoveryVerdict, CoherenceCertificate]:
        """Compute the coherence."""
        context.check_time("computing the coherence")
        certificate = CoherenceCertificate.proved(problem)
        if not check_certificate(certificate).ok:
            raise so.Inconclusive(
                f"the coherence is {certificate.coherence:.4g}, too large for "
                f"{problem.size} columns"
            )
        return certificate.answer, certificate
