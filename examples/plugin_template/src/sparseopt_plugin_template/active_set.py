"""A solver for the problem of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt_plugin_template.nonnegative import NonnegativeLeastSquares, OptimalityCertificate


@dataclass(frozen=True)
class ActiveSet(so.Solver[NonnegativeLeastSquares]):
    """SciPy's implementation of Lawson and Hanson's method."""

    def accepts(self, problem: NonnegativeLeastSquares) -> so.Accepted | so.Refused:
        """Take every problem."""
        return so.Accepted()

    def solve(
        self, problem: NonnegativeLeastSquares, context: so.Context
    ) -> tuple[np.ndarray, OptimalityCertificate]:
        """Return the minimizer with its optimality conditions."""
        from scipy.optimize import nnls

        try:
            answer, _ = nnls(problem.design, problem.target)
        except RuntimeError as error:
            raise so.Inconclusive(f"scipy.optimize.nnls stopped: {error}") from error
        return answer, OptimalityCertificate(problem, answer)
