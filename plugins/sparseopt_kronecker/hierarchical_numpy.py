"""Left-to-right hierarchical factorization by batched SVD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.butterfly import ButterflyCertificate, error_bounds, support_values


@dataclass(frozen=True)
class HierarchicalNumpy(so.Solver[so.ButterflyFactorization]):
    """Peel one factor after the other from the left; each step is optimal for its two factors.

    The left factors come out with orthonormal columns in every block, so the squared residuals of
    the steps add up to the squared error. Source: arXiv 2411.04506.
    """

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every chainable architecture."""
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, ButterflyCertificate]:
        """Return the factors with error and bounds."""
        architecture = problem.architecture
        values = support_values(problem.target, architecture.product)
        factors = []
        for step in range(len(architecture) - 1):
            context.check_time("factorizing")
            context.report(step / len(architecture), f"factor {step + 1}")
            left, values = _split(values, architecture[step:])
            factors.append(left)
        factors.append(values.reshape(architecture[-1].values_shape))
        answer = so.KroneckerProduct(tuple(factors), architecture)
        lower, upper = error_bounds(problem.target, architecture)
        error = problem.evaluate(answer)["error"]
        return answer, ButterflyCertificate(problem, answer, error, lower, upper)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the batched SVDs."""
        return 1e-4 + 4e-8 * problem.target.size * len(problem.architecture)


def _split(values: np.ndarray, rest: so.Architecture) -> tuple[np.ndarray, np.ndarray]:
    """Split the values of a product into the first factor and the values of the others.

    Block (i, t, s, l) of shape b1 x c2 becomes U W with r columns: U goes to
    X[i, :, s r + rho, t d2 + l] and W to Y[i q + s, rho p + t, :, l].
    """
    first, others = rest[0], rest[1:].product
    rank = first.rank_with(rest[1])
    q, p = others.a // first.a, first.d // others.d
    grid = values.reshape(first.a, first.b, p, q, others.c, others.d)
    blocks = grid.transpose(0, 2, 3, 5, 1, 4)
    u, s, vh = np.linalg.svd(blocks, full_matrices=False)
    kept = min(rank, s.shape[-1])
    left = np.zeros((*blocks.shape[:4], first.b, rank), dtype=values.dtype)
    right = np.zeros((*blocks.shape[:4], rank, others.c), dtype=values.dtype)
    left[..., :kept] = u[..., :kept]
    right[..., :kept, :] = s[..., :kept, None] * vh[..., :kept, :]
    # axes of left: i, t, s, l, j, rho
    x = left.transpose(0, 4, 2, 5, 1, 3).reshape(first.values_shape)
    # axes of right: i, t, s, l, rho, k
    y = right.transpose(0, 2, 4, 1, 5, 3).reshape(others.values_shape)
    return x, y
