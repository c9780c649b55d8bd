"""Basis pursuit in the Euclidean norm, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.exact_faces import exact_least_norm
from sparseopt_inverse.faces import MOST_ENTRIES
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_least_squares import nothing_fits, offer_least_norm
from sparseopt_inverse.work import SINGULAR_VALUES, begin


@dataclass(frozen=True)
class LeastNorm(Solver[BasisPursuit]):
    """The pseudoinverse; with noise, ridge regression with the one strength that uses it up.

    Time O(m n min(m, n)), memory O(m n), for an m x n design.

    Notes
    -----
    With noise, x = A^T w for w = (A A^T + mu I)^-1 y, and |y - Ax| = mu |w| grows with mu: a
    secular equation in the singular values, solved to the last bit. O(m n min(m, n)).
    """

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse other norms, and designs too large to be made dense."""
        if problem.norm != 2:
            return Refused(f"norm {problem.norm:g} has no closed form; norm 2 has")
        if math.prod(problem.shape) > MOST_ENTRIES:
            return Refused(
                f"the design has {math.prod(problem.shape)} entries, and a singular value "
                f"decomposition takes up to {MOST_ENTRIES}"
            )
        return Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the closed form, refined, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        m, n = problem.shape
        begin(context, 5.0 * SINGULAR_VALUES * m * n * min(m, n), "a singular value decomposition")
        fit = best.fit
        matrix = fit.scaled.dense()
        left, values, right = scipy.linalg.svd(matrix, full_matrices=False, check_finite=False)
        rank = int(np.count_nonzero(values > values[0] * max(m, n) * np.finfo(float).eps))
        if not values[0] > 0.0:
            rank = 0
        left, values, right = left[:, :rank], values[:rank], right[:rank]
        within = left.T @ fit.target
        outside = fit.target - left @ within
        outside -= left @ (left.T @ outside)
        lost = float(np.linalg.norm(outside))
        if lost > best.noise + max(best.asked, 1e-13) * np.linalg.norm(fit.target):
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        if rank == 0:
            raise Inconclusive("the design is zero up to rounding")
        if best.noise > 0.0 and lost < best.noise:
            self._offer_noisy(best, (left, values, right), within, outside, lost)
        else:
            self._offer_exact(best, (left, values, right))
            if not best.good:
                offer_least_norm(best)
            if not best.good:
                best.offer_only()
            if not best.good and m < n:
                exact = exact_least_norm(matrix, fit.target, context)
                if exact is not None:
                    best.offer(*exact)
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 2e-3 + 1.2e-9 * m * n * min(m, n)

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict the decomposition."""
        return BASE + 4.0 * design_bytes(problem.design)

    def _offer_exact(self, best: BestPursuit, parts: tuple[np.ndarray, ...]) -> None:
        left, values, right = parts
        x = np.zeros(best.fit.scaled.size)
        for _ in range(3):
            x = x + right.T @ ((left.T @ best.fit.residual(x)[0]) / values)
        w = left @ ((right @ x) / values)
        best.offer(x, w)

    def _offer_noisy(
        self,
        best: BestPursuit,
        parts: tuple[np.ndarray, ...],
        within: np.ndarray,
        outside: np.ndarray,
        lost: float,
    ) -> None:
        left, values, right = parts
        squares = np.square(values)
        aim = best.noise

        def beyond(log: float) -> float:
            return float(math.hypot(lost, *(within * _share(log, squares)))) - aim

        centre = math.log(squares[0])
        low, high = centre - 80.0, centre + 80.0
        if not (beyond(low) < 0.0 < beyond(high)):
            raise Inconclusive("the noise is at the smallest residual, up to rounding")
        # Further and further inside, until rounding x does not leave the ball any more.
        for shrink in (1e-15, 4e-15, 1.6e-14, 6.4e-14):
            aim = best.noise * (1.0 - shrink)
            if not beyond(low) < 0.0:
                return
            log = scipy.optimize.brentq(beyond, low, high, xtol=1e-15, rtol=1e-15, maxiter=300)
            share = _share(float(log), squares)
            x = right.T @ (within * (1.0 - share) / values)
            best.offer(x, left @ (within * share) + outside)
            if best.excess == 0.0:
                return


def _share(log: float, squares: np.ndarray) -> np.ndarray:
    """Return mu / (mu + s^2) per singular value, for the logarithm of mu."""
    mu = math.exp(log)
    return np.asarray(mu / (mu + squares))
