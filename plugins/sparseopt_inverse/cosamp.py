"""Compressive sampling matching pursuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.cardinality import CardinalityRegression
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.subset_certificate import SubsetCertificate
from sparseopt_inverse.greedy import Unit, accepts_dense, answered, largest
from sparseopt_inverse.predicting import BASE, design_bytes


@dataclass(frozen=True)
class CoSaMP(Solver[CardinalityRegression]):
    """Adds the 2 k columns that correlate most, solves least squares, keeps the k largest.

    Time O(m n + m k^2), memory O(m n), for an m x n design and k columns, each round.

    Parameters
    ----------
    most_steps : int
        It ends before where the residual no longer falls.
    """

    most_steps: int = 100

    def __post_init__(self) -> None:
        if not (isinstance(self.most_steps, int) and self.most_steps > 0):
            raise ValueError(f"most_steps must be a positive integer, got {self.most_steps!r}")

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse designs too large to be made dense."""
        return accepts_dense(problem)

    def solve(
        self, problem: CardinalityRegression, context: Context
    ) -> tuple[Coefficients, SubsetCertificate]:
        """Return least squares on the best columns met."""
        return answered(problem, context, self.chosen)

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-3 + 3e-8 * m * n

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)

    def chosen(self, unit: Unit, size: int, context: Context) -> np.ndarray:
        """Return the columns in ascending order."""
        best = support = np.zeros(0, dtype=np.intp)
        least = residual = unit.target
        for _ in range(self.most_steps):
            context.check_time("running CoSaMP")
            more = largest(unit.columns.conj().T @ residual, 2 * size)
            union = np.union1d(support, more)
            if len(union) == 0:
                break
            support = union[largest(unit.coefficients(union), size)]
            residual = unit.residual(support)
            if not np.linalg.norm(residual) < np.linalg.norm(least) * (1.0 - 1e-12):
                break
            best, least = support, residual
        return best
