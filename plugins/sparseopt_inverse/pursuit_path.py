"""Basis pursuit with noise by the lasso whose residual uses the noise up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.faces import Face
from sparseopt_inverse.path_search import PathSearch
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_designs import is_large, is_operator
from sparseopt_inverse.pursuit_least_squares import nothing_fits
from sparseopt_inverse.pursuit_polish import offer_polished
from sparseopt_inverse.pursuit_slight_noise import without_noise


@dataclass(frozen=True)
class LassoPath(Solver[BasisPursuit]):
    """Searches the strength of the lasso whose residual has the norm of the noise.

    Time O(m n), memory O(m n), for an m x n design and each of a few lassos.

    Notes
    -----
    On each face that strength is known in closed form, so that a few lassos are enough; they are
    stated as `SparseRegression` and solved by whichever solver is best for them. Without noise the
    strength goes to 0; that is for operators, and designs too large to be factorized.
    """

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse other norms, and small arrays without noise."""
        if problem.norm != 1:
            return Refused(f"norm {problem.norm:g} has a different penalty from that of the lasso")
        if problem.noise == 0 and not is_operator(problem) and not is_large(problem):
            return Refused("without noise there is no such lasso; douglas_rachford takes it")
        return Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the solution on the last face, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        if (found := without_noise(best)) is not None:
            return found
        m, n = problem.shape
        if m >= n:  # a wide design fits whatever there is, as a rule
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        search = NoiseSearch(best)
        target = float(np.linalg.norm(best.fit.target))
        largest = float(best.fit.moduli(best.fit.scaled.correlation(best.fit.target)).max())
        if largest > 0.0:
            search.run(largest * best.noise / target if best.noise else 1e-2 * largest)
            if not best.good and best.noise > 0.0:
                search.offer_precise()
        if not best.good and m < n:
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 2.5e-2 + 2.5e-7 * m * n

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict copies of the design, and the lassos."""
        return BASE + 3.0 * design_bytes(problem.design)


class NoiseSearch(PathSearch):
    """Offers the solutions on faces that may use the noise up."""

    def __init__(self, best: BestPursuit) -> None:
        super().__init__(best.problem, best.context)
        self._best = best
        self._last: tuple[float, float] | None = None

    def offer_precise(self) -> None:
        """Offer lassos in twice the digits, at the strength that their own residuals tell."""
        if self._last is None:
            return
        mu, square = self._last

        def next_mu(mu: float, size: float) -> float:
            return math.sqrt(max(mu * mu - (size - self._best.noise**2) / square, 0.0))

        for x, t in self.follow(mu, next_mu):
            self._best.offer(x, t[0] if len(t) == 1 else t)
            if self._best.good:
                return

    def too_large(self, mu: float, residual: np.ndarray, x: np.ndarray) -> bool:
        self._near = residual / mu
        return float(np.linalg.norm(residual)) > self._best.noise

    def on_face(self, face: Face) -> float | None:
        if self._best.noise == 0.0:
            return 0.0
        room = self._best.noise**2 - float(face.rest @ face.rest)
        return math.sqrt(room / face.square) if room > 0.0 else None

    def take(self, face: Face, chosen: np.ndarray, mu: float) -> bool:
        if self._best.noise == 0.0:
            found = face.exact_fit(self.fit, chosen, self.fit.scaled.size)
            offer_polished(self._best, found, self._near)
            return self._best.good
        self._last = mu, face.square
        x = np.zeros(self.fit.scaled.size)
        for shrink in (0.0, 2e-16, 1e-15, 4e-15):
            inner = mu * (1.0 - shrink * math.sqrt(len(face.rest)))
            x[chosen] = face.coefficients(inner)
            self._best.offer(x, face.residual(inner))
            if not self._best.good:
                self._best.offer(x, face.sharpened(self.fit, chosen, face.residual(inner), inner))
            if self._best.good and self._best.excess == 0.0:
                return True
        return self._best.good

    def take_near(self, x: np.ndarray, mu: float, residual: np.ndarray) -> bool:
        offer_polished(self._best, x, residual, 0.0 if self._best.noise else 1e-6)
        return self._best.good
