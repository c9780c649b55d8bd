"""Hard thresholding pursuit."""

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
class HardThresholdingPursuit(Solver[CardinalityRegression]):
    """A gradient step, the k largest entries, least squares on them; until they stay the same.

    Time O(m n + m k^2), memory O(m n), for an m x n design and k columns, each round.

    Parameters
    ----------
    most_steps : int
        It ends before where a support comes back.
    """

    most_steps: int = 200

    def __post_init__(self) -> None:
        if not (isinstance(self.most_steps, int) and self.most_steps > 0):
            raise ValueError(f"most_steps must be a positive integer, got {self.most_steps!r}")

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse designs too large to be made dense."""
        return accepts_dense(problem)

    def solve(
        self, problem: CardinalityRegression, context: Context
    ) -> tuple[Coefficients, SubsetCertificate]:
        """Return least squares on the best support met."""
        return answered(problem, context, self.chosen)

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-3 + 2e-8 * m * n

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)

    def chosen(self, unit: Unit, size: int, context: Context) -> np.ndarray:
        """Return the columns in ascending order."""
        x, seen = np.zeros(unit.columns.shape[1], unit.columns.dtype), set()
        best, residual = np.zeros(0, dtype=np.intp), unit.target
        least = float(np.linalg.norm(unit.target))
        for _ in range(self.most_steps):
            context.check_time("running hard thresholding pursuit")
            support = largest(x + unit.columns.conj().T @ residual, size)
            if tuple(support) in seen or len(support) == 0:
                break
            seen.add(tuple(support))
            x = np.zeros_like(x)
            x[support] = unit.coefficients(support)
            residual = unit.target - unit.columns @ x
            if (left := float(np.linalg.norm(residual))) < least:
                best, least = support, left
        return best
