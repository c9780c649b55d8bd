"""Recovery by the exact recovery condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.inverse.greedy_recovery import (
    MOST_SUPPORTS,
    MOST_WORK,
    ExactColumns,
    GreedyRecoveryCertificate,
)
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict
from sparseopt.inverse.recovery_proofs import (
    ExactRecoveryCertificate,
    support_count,
    supports_of,
)
from sparseopt.judging.check import check_certificate
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.recovery_rows import with_even_rows
from sparseopt_inverse.whole_design import refused_if_large

LARGEST, MOST_PRODUCTS = 20, 30_000_000
"""What takes a few seconds over the rationals."""


@dataclass(frozen=True)
class RecoveryConditions(so.Solver[RecoveryGuarantee]):
    """Pseudo-inverses for l1; for omp also over the rationals, support by support.

    Time O(m n k), memory O(m n), for an m x n design and supports of k columns, each.
    """

    def accepts(self, problem: RecoveryGuarantee) -> so.Accepted | so.Refused:
        """Take supports, designs that may be injective, and for omp not too many supports."""
        m, n = problem.design.shape
        reads_all = problem.method == "omp" or problem.support is None
        if reads_all and (large := refused_if_large(problem)) is not None:
            return large
        if problem.method == "omp":
            count = support_count(problem)
            if count > MOST_SUPPORTS:
                return so.Refused(f"there are {count} supports, at most {MOST_SUPPORTS} are tried")
            columns = n if problem.support is None else problem.size
            columns *= 4 if problem.is_complex else 1
            if problem.size > LARGEST or columns * m * n > MOST_PRODUCTS:
                return so.Refused(
                    f"exact arithmetic takes supports of up to {LARGEST} columns, and up to "
                    f"{MOST_PRODUCTS} products of entries"
                )
        elif problem.support is None and n > m:
            return so.Refused("for l1 it needs a given support, or no more columns than rows")
        return so.Accepted()

    def cost(self, problem: RecoveryGuarantee) -> float:
        """Return the predicted seconds."""
        m, n = problem.design.shape
        if problem.method == "l1":
            return 1e-3 + 3e-9 * m * n * problem.size
        return 1e-3 + 2e-5 * min(support_count(problem), MOST_SUPPORTS) * n * problem.size

    def bytes_needed(self, problem: RecoveryGuarantee) -> float:
        """Predict copies of the design, and exact numbers of one support."""
        return BASE + 4.0 * design_bytes(problem.design)

    def solve(self, problem: RecoveryGuarantee, context: so.Context) -> tuple[RecoveryVerdict, Any]:
        """Try the condition on the support, then on all columns."""
        even = with_even_rows(problem, lambda other: self.solve(other, context))
        if even is not None:
            return even
        context.check_time("trying the exact recovery condition")
        if problem.method == "omp":
            return self._greedy(problem, context)
        m, n = problem.design.shape
        sets = [problem.support] if problem.support is not None else []
        every = [tuple(range(n))] if problem.columns.fits else []
        for columns in (*sets, *every):
            if len(columns) > m:
                continue
            context.check_time("trying the exact recovery condition")
            inverse = np.linalg.pinv(problem.columns.part(columns).columns).conj().T
            certificate = ExactRecoveryCertificate.proved(problem, inverse)
            if check_certificate(certificate).ok:
                return certificate.answer, certificate
        raise so.Inconclusive("the exact recovery condition does not hold")

    @staticmethod
    def _greedy(
        problem: RecoveryGuarantee, context: so.Context
    ) -> tuple[RecoveryVerdict, GreedyRecoveryCertificate]:
        norms = np.linalg.norm(problem.scaled, axis=0)
        unit = problem.scaled / np.where(norms > 0.0, norms, 1.0)
        for support in supports_of(problem):
            context.check_time("trying the exact recovery condition")
            on = list(support)
            weights = np.linalg.pinv(unit[:, on]) @ np.delete(unit, on, axis=1)
            if np.abs(weights).sum(axis=0).max(initial=0.0) > 1.0 + 1e-6:
                raise so.Inconclusive(f"the exact recovery condition does not hold on {on}")
        columns = ExactColumns.of(problem)
        if columns.work_of(problem) > MOST_WORK:
            raise so.Inconclusive("the exact recovery condition takes more than some minutes")
        for support in supports_of(problem):
            context.check_time("trying the exact recovery condition")
            found = columns.constant(support)
            if not found < 1.0:
                raise so.Inconclusive(
                    f"the exact recovery condition does not hold on {list(support)}: {found:.4g}"
                )
        certificate = GreedyRecoveryCertificate.proved(problem)
        return certificate.answer, certificate
