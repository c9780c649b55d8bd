"""Basis pursuit with noise by the lasso whose residual uses the noise up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.faces import Face
from sparseopt_inverse.path_search import PathSearch
from sparseopt_inverse.pursuit_best import BestPursuit, Made


@dataclass(frozen=True)
class LassoPath(Solver[BasisPursuit]):
    """Searches the strength of the lasso whose residual has the norm of the noise.

    Notes
    -----
    On each face that strength is known in closed form, so that a few lassos are enough; they are
    stated as `SparseRegression` and solved by whichever solver is best for them.
    """

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse other norms, and problems without noise."""
        if problem.norm != 1:
            return Refused(f"norm {problem.norm:g} has a different penalty from that of the lasso")
        if problem.noise == 0:
            return Refused("without noise there is no such lasso; douglas_rachford takes it")
        return Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the solution on the last face, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        m, n = problem.shape
        if m >= n:  # a wide design fits whatever there is, as a rule
            nothing = best.nothing_fits()
            if nothing is not None:
                return nothing
        search = _Search(best)
        target = float(np.linalg.norm(best.fit.target))
        largest = float(np.abs(best.fit.scaled.correlation(best.fit.target)).max())
        if largest > 0.0:
            search.run(largest * best.noise / target)
        if not best.good and m < n:
            nothing = best.nothing_fits()
            if nothing is not None:
                return nothing
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 2e-2 + 1e-7 * m * n


class _Search(PathSearch):
    def __init__(self, best: BestPursuit) -> None:
        super().__init__(best.fit, best.context)
        self._best = best

    def too_large(self, mu: float, residual: np.ndarray, x: np.ndarray) -> bool:
        return float(np.linalg.norm(residual)) > self._best.noise

    def on_face(self, face: Face) -> float | None:
        room = self._best.noise**2 - float(face.rest @ face.rest)
        return math.sqrt(room / face.square) if room > 0.0 else None

    def take(self, face: Face, chosen: np.ndarray, mu: float) -> bool:
        x = np.zeros(self._best.problem.shape[1])
        for shrink in (0.0, 2e-16, 1e-15, 4e-15):
            inner = mu * (1.0 - shrink * math.sqrt(len(face.rest)))
            x[chosen] = face.coefficients(inner)
            self._best.offer(x, face.residual(inner))
            if self._best.good and self._best.excess == 0.0:
                return True
        return self._best.good
