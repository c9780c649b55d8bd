"""Optimal factors with a decay for tractable supports: a thresholded SVD per block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.supports.components import is_tractable, same_rectangle


@dataclass(frozen=True)
class BlockThresholding(so.Solver[so.FixedSupportFactorization]):
    """Rectangles pairwise disjoint or identical: thresholding the singular values is optimal.

    On a rectangle with q terms the q largest singular values are kept, each less the decay, or 0.

    Source: Le, Riccietti, Gribonval, arXiv 2112.00386, Theorem 3.3, for the supports; Cai, Candes,
    Shen, SIAM J. Optim. 20(4), 2010, Theorem 2.1, for the thresholding.

    Time O(m n min(m, n)), memory O(m n), for an m x n target.
    """

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take tractable supports with a decay."""
        if not problem.decay:
            return so.Refused("the decay is 0; use block_svd")
        if is_tractable(*problem.supports):
            return so.Accepted()
        return so.Refused("two rectangles of the supports overlap without being identical")

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.CoerciveCertificate]:
        """Return balanced optimal factors."""
        safe, exponent = problem.normalized()
        left, right = safe.supports
        target = safe.target.astype(np.complex128 if safe.target.dtype.kind == "c" else float)
        x, y = np.zeros(left.shape, target.dtype), np.zeros(right.shape, target.dtype)
        for terms in same_rectangle(left, right):
            context.check_time("factorizing a block")
            rows, columns = np.flatnonzero(left[:, terms[0]]), np.flatnonzero(right[terms[0]])
            u, s, vh = np.linalg.svd(target[np.ix_(rows, columns)], full_matrices=False)
            kept = np.array(terms[: len(s)])
            root = np.sqrt(np.maximum(s[: len(kept)] - safe.decay, 0.0))
            x[np.ix_(rows, kept)] = u[:, : len(kept)] * root
            y[np.ix_(kept, columns)] = root[:, None] * vh[: len(kept)]
        dtype = problem.target.dtype
        factors = so.SupportedFactors(
            x.astype(dtype), y.astype(dtype), "attained", "thresholded singular values per block"
        )
        nothing = np.zeros(problem.target.shape)
        return so.CoerciveCertificate.build(problem, factors.times_power(exponent), nothing)

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict a few flops per entry and singular value."""
        m, n = problem.target.shape
        return 3e-3 + 5e-10 * m * n * min(m, n)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict the decompositions, and the check."""
        m, n = problem.target.shape
        return 2.0**20 + 48.0 * m * n
