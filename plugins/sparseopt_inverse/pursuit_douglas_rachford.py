"""Douglas and Rachford's splitting for basis pursuit, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.faces import MOST_ENTRIES
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.work import PIVOTED_QR, begin

LOOK_EVERY = 25
"""Steps between two attempts to finish by the closed form."""


@dataclass(frozen=True)
class DouglasRachford(Solver[BasisPursuit]):
    """Alternates a projection onto Ax = y with soft thresholding; the closed form finishes.

    Parameters
    ----------
    most_steps : int
        After which the best so far is handed out.
    threshold : float
        Of the soft thresholding, over the largest entry of the solution of least 2-norm.

    Notes
    -----
    O(m^2 n) once and O(m n) a step. The step ends as soon as signs and dual point of an iterate,
    polished, prove the accuracy that was asked for.
    """

    most_steps: int = 5000
    threshold: float = 0.3

    def __post_init__(self) -> None:
        if not (isinstance(self.most_steps, int) and self.most_steps > 0):
            raise ValueError(f"most_steps must be a positive integer, got {self.most_steps!r}")
        if not (isinstance(self.threshold, int | float) and 0 < self.threshold < math.inf):
            raise ValueError(f"threshold must be a positive number, got {self.threshold!r}")

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse other norms, noise, and designs too large to be made dense."""
        if problem.norm != 1:
            return Refused(
                f"norm {problem.norm:g} has another proximal map; this solver is for norm 1"
            )
        if problem.noise > 0:
            return Refused("noise needs a projection onto an ellipsoid; lasso_path takes it")
        if math.prod(problem.shape) > MOST_ENTRIES:
            return Refused(
                f"the design has {math.prod(problem.shape)} entries and is factorized densely, up "
                f"to {MOST_ENTRIES}"
            )
        return Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the polished iterate, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        m, n = problem.shape
        begin(context, 4.0 * PIVOTED_QR * m * n * min(m, n), "a QR factorization")
        fit = best.fit
        matrix = fit.scaled.dense()
        basis, upper, order = scipy.linalg.qr(
            matrix.T, mode="economic", pivoting=True, check_finite=False
        )
        pivots = np.abs(np.diagonal(upper))
        rank = int(np.count_nonzero(pivots > 1e-12 * pivots[0]))
        if rank == 0:
            nothing = best.nothing_fits()
            if nothing is not None:
                return nothing
            raise Inconclusive("the design is zero up to rounding")
        if rank < m:
            nothing = best.nothing_fits()
            if nothing is not None:
                return nothing
        kept = order[:rank]
        basis, upper = np.ascontiguousarray(basis[:, :rank]), upper[:rank, :rank]
        inside = scipy.linalg.solve_triangular(upper, fit.target[kept], trans=1, check_finite=False)
        for found, gradient in self._iterates(basis, inside, context):
            w = np.zeros(m)
            w[kept] = scipy.linalg.solve_triangular(upper, basis.T @ gradient, check_finite=False)
            best.offer_polished(found, w, 1e-12)
            if best.good:
                break
        else:
            best.offer(found, w)
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 6e-3 + 1.5e-9 * m * m * n + 3e-7 * m * n

    def _iterates(
        self, basis: np.ndarray, inside: np.ndarray, context: Context
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield iterates with their subgradients, each time the signs have been stable."""
        start = basis @ inside
        gamma = self.threshold * float(np.abs(start).max())
        z, last = start.copy(), np.zeros(0)
        for step in range(1, self.most_steps + 1):
            fitted = z + basis @ (inside - basis.T @ z)
            moved = 2.0 * fitted - z
            sparse = np.sign(moved) * np.maximum(np.abs(moved) - gamma, 0.0)
            z = z + sparse - fitted
            if step % LOOK_EVERY == 0 or step == self.most_steps:
                context.check_time("running Douglas and Rachford's splitting")
                signs = np.sign(sparse)
                stable = np.array_equal(signs, last) and bool(signs.any())
                if stable or step == self.most_steps:
                    yield sparse, (moved - sparse) / gamma
                last = signs
