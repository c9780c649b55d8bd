"""Closed because everything on the covered cells is a product, shown at a point of product zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.closedness.closed import ReducedClosedCertificate
from sparseopt_closedness.null_points import may_have_point, null_point_proof, seconds_of
from sparseopt_closedness.sizes import of_two

LONGEST = 20.0
"""Predicted seconds of one point up to which it is tried."""


@dataclass(frozen=True)
class NullPoints(so.Solver[so.Closedness]):
    """Closed by the points of `sparseopt_closedness.null_points`; decides nothing else.

    Time O(m n r max(m, n)), memory O(m n r), for m x r and r x n supports and one point; where one
    lacks little, others follow.

    Attributes
    ----------
    seconds : float
        Where the caller sets no time limit, no point is begun after this time.
    """

    seconds: float = 20.0

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs of moderate size."""
        given = of_two(problem)
        if isinstance(given, so.Refused):
            return given
        if self.cost(problem) > LONGEST:
            return so.Refused(f"one point would take about {self.cost(problem):.0f} s")
        return so.Accepted()

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, ReducedClosedCertificate]:
        """Draw points, if the unknowns may suffice."""
        left, right = problem.supports
        if not np.any(left.astype(int) @ right.astype(int)):
            raise so.Inconclusive("no entry of the product may be other than 0")
        if not may_have_point((left, right)):
            raise so.Inconclusive("no point has as many unknowns as there are cells")
        began = so.Context(time_limit=self.seconds)

        def remaining() -> float:
            return min(began.remaining(), context.remaining())

        proof = null_point_proof((left, right), context.rng(), remaining)
        if proof is None:
            context.check_time("looking for points of product zero")
            raise so.Inconclusive("no point was found where the product is a submersion")
        certificate = ReducedClosedCertificate.proved(problem, proof)
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict the rank at one point."""
        (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
        return seconds_of(m, r, n)

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict the matrix of images."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 16.0 * m * n * r
