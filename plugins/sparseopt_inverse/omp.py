"""Orthogonal matching pursuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.cardinality import CardinalityRegression
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.subset_certificate import SubsetCertificate
from sparseopt_inverse.greedy import Unit, accepts_dense, answered
from sparseopt_inverse.predicting import BASE, design_bytes


@dataclass(frozen=True)
class OrthogonalMatchingPursuit(Solver[CardinalityRegression]):
    """Takes the column that correlates most with the residual, over its norm, until full.

    Time O(k m n), memory O(m n), for an m x n design and k columns.

    Notes
    -----
    O(k m n) for k columns. It stops early where the residual is as good as 0.
    """

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse designs too large to be made dense."""
        return accepts_dense(problem)

    def solve(
        self, problem: CardinalityRegression, context: Context
    ) -> tuple[Coefficients, SubsetCertificate]:
        """Return least squares on the columns taken."""
        return answered(problem, context, chosen)

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-3 + 1e-9 * m * n * (problem.size + 10)

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)


def chosen(unit: Unit, size: int, context: Context) -> np.ndarray:
    """Return the columns in ascending order."""
    support = np.zeros(0, dtype=np.intp)
    for _ in range(size):
        context.check_time("running orthogonal matching pursuit")
        residual = unit.residual(support)
        reach = np.abs(unit.columns.conj().T @ residual)
        reach[support] = 0.0
        best = int(np.argmax(reach))
        if reach[best] <= 1e-14:
            break
        support = np.append(support, best)
    return np.sort(support)
