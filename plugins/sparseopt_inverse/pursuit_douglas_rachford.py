"""Douglas and Rachford's splitting for basis pursuit, in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.affine_projection import BasisProjection, GramProjection, projection
from sparseopt_inverse.faces import MOST_ENTRIES
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_crossover import cross_over
from sparseopt_inverse.pursuit_least_squares import nothing_fits
from sparseopt_inverse.pursuit_polish import offer_polished
from sparseopt_inverse.work import PIVOTED_QR, begin

LOOK_EVERY = 25
"""Steps between two attempts to finish by the closed form."""
FIRST_CROSSOVER = 10
"""Steps before the first look for a vertex near by; the next ones come after twice as many."""


@dataclass(frozen=True)
class DouglasRachford(Solver[BasisPursuit]):
    """Alternates a projection onto Ax = y with soft thresholding; the closed form finishes.

    Time O(m^2 n), memory O(m n), for an m x n design; then O(m n) a step.

    Parameters
    ----------
    most_steps : int
        After which the best so far is handed out.
    threshold : float
        Of the soft thresholding, over the largest entry of the solution of least 2-norm.

    Notes
    -----
    O(m^2 n) once and O(m n) a step. It ends as soon as signs and dual point of an iterate,
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
        along = projection(fit.scaled.dense(), fit.target)
        if len(along.rows) < fit.scaled.rows:
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        if not len(along.rows):
            raise Inconclusive("the design is zero up to rounding")
        # Phases of small entries beside large ones take a smaller threshold to settle.
        smaller = (1.0, 1.0 / 30.0, 1.0 / 3000.0) if fit.is_complex else (1.0,)
        for share in smaller:
            split(best, along, self.most_steps, self.threshold * share, context)
            if best.good:
                break
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly, between two cases that the sizes do not tell.

        Where the solution is sparse a hundred steps do; where it is not, or has few rows beside
        many columns, it takes thousands. On small designs a linear program is the safer choice.
        """
        m, n = problem.shape
        return 20e-3 + 3e-10 * m * m * n + 8e-8 * m * n

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict copies of the design."""
        return BASE + 4.0 * design_bytes(problem.design)


def split(
    best: BestPursuit,
    along: GramProjection | BasisProjection,
    most_steps: int,
    threshold: float,
    context: Context,
    start: np.ndarray | None = None,
) -> None:
    """Offer polished iterates until one is good, or the steps are used up.

    Parameters
    ----------
    start : ndarray, shape (n,), or None
        What the first projection projects; None means zeros.
    """
    start = along.project(np.zeros(best.fit.scaled.size)) if start is None else start
    gamma = threshold * float(np.abs(start).max())
    z, last, next_crossover, following = start.copy(), np.zeros(0), FIRST_CROSSOVER, 0

    def shrunk(values: np.ndarray) -> np.ndarray:
        size = best.fit.moduli(values)
        size = np.append(size, size) if best.fit.is_complex else size
        return values * np.maximum(1.0 - gamma / np.maximum(size, gamma), 0.0)

    for step in range(1, most_steps + 1):
        fitted = along.project(z)
        moved = 2.0 * fitted - z
        sparse = shrunk(moved)
        z = z + sparse - fitted
        if step == next_crossover:
            next_crossover *= 2
            cross_over(best, moved, along.dual_point((moved - sparse) / gamma))
            if best.good:
                return
        if step % LOOK_EVERY and step < most_steps:
            continue
        context.check_time("running Douglas and Rachford's splitting")
        signs = np.sign(best.fit.moduli(sparse)) if best.fit.is_complex else np.sign(sparse)
        stable = np.array_equal(signs, last) and bool(signs.any())
        if (stable and step >= following) or step == most_steps:
            # Newton's method, for complex numbers, costs more than a closed form.
            following = 2 * step if best.fit.is_complex else 0
            w = along.dual_point((moved - sparse) / gamma)
            offer_polished(best, sparse, w, 1e-12)
            if best.good:
                return
        last = signs
    best.offer(sparse, w)
