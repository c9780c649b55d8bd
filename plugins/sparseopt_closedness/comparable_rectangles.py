"""Closed because any two rectangles are disjoint or comparable, or because there is one factor."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.closedness.closed import ComparableCertificate, SingleFactorCertificate
from sparseopt.closedness.proofs.closed_parts import first_incomparable


@dataclass(frozen=True)
class ComparableRectangles(so.Solver[so.Closedness]):
    """Closed by the theorem proved in `ComparableCertificate`; decides nothing else.

    Time O(r^2 m + r^2 n), memory O(r m + r n + r^2), for m x r and r x n supports.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take one or two factors."""
        if len(problem.supports) <= 2:
            return so.Accepted()
        return so.Refused(f"it takes at most two factors, not {len(problem.supports)}")

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, ComparableCertificate | SingleFactorCertificate]:
        """Compare all pairs of rectangles."""
        if len(problem.supports) == 1:
            single = SingleFactorCertificate.proved(problem)
            return single.answer, single
        left, right = problem.supports
        bad = first_incomparable(left, right, lambda: context.check_time("comparing rectangles"))
        if bad is not None:
            raise so.Inconclusive(f"terms {bad[0]} and {bad[1]} overlap and are not comparable")
        certificate = ComparableCertificate.proved(problem)
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict products over pairs of terms."""
        r = problem.supports[0].shape[1]
        return 2e-4 + 5e-11 * r * r * sum(problem.supports[0].shape)

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict both supports in float64, and two tables of pairs of terms."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 8.0 * r * (m + n) + 8.0 * r * r
