"""Optimal factors for tractable supports: one truncated SVD per block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.supports.components import components, is_tractable


@dataclass(frozen=True)
class BlockSVD(so.Solver[so.FixedSupportFactorization]):
    """Rectangles pairwise disjoint or identical: a truncated SVD per block is optimal.

    Source: Le, Riccietti, Gribonval, arXiv 2112.00386, Theorem 3.3.

    Time O(m n min(m, n)), memory O(m n), for an m x n target.
    """

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take tractable supports only."""
        if problem.decay:
            return so.Refused("the problem has a decay; use block_thresholding")
        if is_tractable(*problem.supports):
            return so.Accepted()
        return so.Refused("two rectangles of the supports overlap without being identical")

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.FixedSupportCertificate]:
        """Return optimal factors; the scale is shared evenly between the two."""
        left, right = problem.supports
        safe, exponent = problem.normalized()
        x = np.zeros(left.shape, dtype=safe.target.dtype)
        y = np.zeros(right.shape, dtype=safe.target.dtype)
        for terms, _ in components(left, right):
            context.check_time("factorizing a block")
            rows, columns = np.flatnonzero(left[:, terms[0]]), np.flatnonzero(right[terms[0]])
            block = safe.target[np.ix_(rows, columns)]
            u, s, vh = np.linalg.svd(block, full_matrices=False)
            kept = terms[: len(s)]
            root = np.sqrt(s[: len(kept)])
            x[np.ix_(rows, np.array(kept))] = u[:, : len(kept)] * root
            y[np.ix_(np.array(kept), columns)] = root[:, None] * vh[: len(kept)]
        factors = so.SupportedFactors(x, y, "attained", "one truncated SVD per block")
        answer = factors.times_power(exponent)
        return answer, so.FixedSupportCertificate(problem, answer)

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict a few flops per entry and singular value."""
        m, n = problem.target.shape
        return 1e-4 + 3e-10 * m * n * min(m, n)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict the decompositions, and the check of the error in exact pieces."""
        m, n = problem.target.shape
        return 2.0**20 + 48.0 * m * n
