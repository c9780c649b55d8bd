"""Iterative hard thresholding."""

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
class IterativeHardThresholding(Solver[CardinalityRegression]):
    """Steps along the gradient and keeps the k largest entries as they are.

    Time O(m n), memory O(m n), for an m x n design, each step.

    Parameters
    ----------
    most_steps : int
        It ends before where the support has not changed for 50 steps.

    Notes
    -----
    The step is exact on the support (the normalized method), and halved to 1 / |A|^2 where that
    does not lower the residual. On unit columns thresholding is by the loss of each entry.
    """

    most_steps: int = 2000

    def __post_init__(self) -> None:
        if not (isinstance(self.most_steps, int) and self.most_steps > 0):
            raise ValueError(f"most_steps must be a positive integer, got {self.most_steps!r}")

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse designs too large to be made dense."""
        return accepts_dense(problem)

    def solve(
        self, problem: CardinalityRegression, context: Context
    ) -> tuple[Coefficients, SubsetCertificate]:
        """Return least squares on the last support."""
        return answered(problem, context, self.chosen)

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-3 + 5e-7 * m * n

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict copies of the design."""
        return BASE + 2.0 * design_bytes(problem.design)

    def chosen(self, unit: Unit, size: int, context: Context) -> np.ndarray:
        """Return the columns in ascending order."""
        smallest = 1.0 / max(float(np.linalg.norm(unit.columns, 2)) ** 2, 1e-300)
        x = np.zeros(unit.columns.shape[1], unit.columns.dtype)
        residual, same = unit.target, 0
        support = largest(unit.columns.conj().T @ unit.target, size)
        for _ in range(self.most_steps):
            context.check_time("running iterative hard thresholding")
            gradient = unit.columns.conj().T @ residual
            along = np.zeros_like(x)
            along[support] = gradient[support]
            bent = float(np.sum(np.square(np.abs(unit.columns @ along))))
            step = float(np.vdot(along, along).real) / bent if bent > 0.0 else smallest
            while True:
                moved = x + step * gradient
                kept = largest(moved, size)
                trial = np.zeros_like(x)
                trial[kept] = moved[kept]
                left = unit.target - unit.columns @ trial
                if np.linalg.norm(left) <= np.linalg.norm(residual) or step <= smallest:
                    break
                step = max(0.5 * step, smallest)
            same = same + 1 if np.array_equal(kept, support) else 0
            x, residual, support = trial, left, kept
            if same == 50 or not np.linalg.norm(residual) > 1e-15:
                break
        return support
