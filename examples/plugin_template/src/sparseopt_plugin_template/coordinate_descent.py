"""A solver for a problem that sparseopt has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

import sparseopt as so


@dataclass(frozen=True)
class CoordinateDescent(so.Solver[so.SparseRegression]):
    """Cyclic coordinate descent for the lasso.

    Parameters
    ----------
    sweeps : int
        Most passes over the coordinates.
    """

    sweeps: int = 5000

    def accepts(self, problem: so.SparseRegression) -> so.Accepted | so.Refused:
        """Take dense designs with an L1 penalty above zero."""
        if not isinstance(problem.penalty, so.L1):
            return so.Refused("it takes the L1 penalty only")
        if scipy.sparse.issparse(problem.design):
            return so.Refused("it takes dense designs only")
        return so.Accepted()

    def solve(
        self, problem: so.SparseRegression, context: so.Context
    ) -> tuple[so.Coefficients, so.DualityGapCertificate]:
        """Sweep until the certificate proves the accuracy that is asked, or sweeps run out."""
        asked = 1e-12 if context.tolerance is None else context.tolerance
        design = np.asarray(problem.design, dtype=float)
        residual = np.array(problem.target, dtype=float)
        x, norms = np.zeros(design.shape[1]), np.sum(design**2, axis=0)
        strength = problem.penalty.strength
        for sweep in range(self.sweeps):
            context.check_time("sweeping over the coordinates")
            for j in np.flatnonzero(norms):
                old = x[j]
                slope = design[:, j] @ residual + norms[j] * old
                x[j] = np.sign(slope) * max(abs(slope) - strength, 0.0) / norms[j]
                residual += design[:, j] * (old - x[j])
            if sweep % 50 == 49 or sweep == self.sweeps - 1:
                answer, certificate = so.DualityGapCertificate.build(problem, x, residual)
                if certificate.accuracy <= asked:
                    break
        return answer, certificate
