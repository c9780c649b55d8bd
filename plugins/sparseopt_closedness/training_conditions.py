"""The known conditions for the existence of optima under fixed supports."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.training.sparse_training import SparseTraining, TrainingCertificate, TrainingVerdict


@dataclass(frozen=True)
class TrainingConditions(so.Solver[SparseTraining]):
    """One hidden layer and one output; otherwise the closedness of the supports."""

    def accepts(self, problem: SparseTraining) -> so.Accepted | so.Refused:
        """Take every chain."""
        return so.Accepted()

    def solve(
        self, problem: SparseTraining, context: so.Context
    ) -> tuple[TrainingVerdict, TrainingCertificate]:
        """Try the sufficient condition, then the necessary one."""
        supports = list(problem.supports)
        if len(supports) == 2 and supports[0].shape[0] == 1:
            certificate = TrainingCertificate.proved(problem)
            return certificate.answer, certificate
        left = context.remaining()
        limit = None if left == float("inf") else max(left, 1e-3)
        asked = so.solve(so.Closedness(supports), time_limit=limit, seed=context.seed)
        if asked.answer.value == "not_closed":
            certificate = TrainingCertificate.proved(problem, asked.certificate)
            return certificate.answer, certificate
        raise so.Inconclusive(
            f"the supports are {asked.answer.value}, which is necessary and not sufficient"
            if asked.answer.value == "closed"
            else "the closedness of the supports is unknown"
        )
