"""The known conditions for the existence of optima under fixed supports."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.training.sparse_training import (
    SparseTraining,
    TrainingCertificate,
    TrainingVerdict,
    first_shared,
)
from sparseopt_closedness.repeated_pattern import data_for


@dataclass(frozen=True)
class TrainingConditions(so.Solver[SparseTraining]):
    """Hidden units that feed one unit each; otherwise the closedness of the supports.

    If they are not closed, the data set is handed out where it is small.

    Time O(m n r), memory O(m r + r n), for m x r and r x n supports, as the first proofs of
    closedness.
    """

    def accepts(self, problem: SparseTraining) -> so.Accepted | so.Refused:
        """Take every chain."""
        return so.Accepted()

    def cost(self, problem: SparseTraining) -> float:
        """Predict the verdict on the supports."""
        cells = sum(support.size for support in problem.supports)
        return 1e-2 + 2e-6 * cells

    def bytes_needed(self, problem: SparseTraining) -> float:
        """Predict what the verdict on the supports takes."""
        return 2.0**20 + 64.0 * sum(support.size for support in problem.supports)

    def solve(
        self, problem: SparseTraining, context: so.Context
    ) -> tuple[TrainingVerdict, so.Certificate]:
        """Try the sufficient condition, then the necessary one."""
        supports = list(problem.supports)
        if first_shared(problem) is None:
            certificate = TrainingCertificate.proved(problem)
            return certificate.answer, certificate
        left = context.remaining()
        limit = None if left == float("inf") else max(left, 1e-3)
        asked = so.solve(so.Closedness(supports), time_limit=limit, seed=context.seed)
        if asked.answer.value == "not_closed":
            data = data_for(problem, asked.certificate) if len(supports) == 2 else None
            found = data or TrainingCertificate.proved(problem, asked.certificate)
            return found.answer, found
        raise so.Inconclusive(
            f"the supports are {asked.answer.value}, which is necessary and not sufficient"
            if asked.answer.value == "closed"
            else "the closedness of the supports is unknown"
        )
