"""Problems of least norms and constrained least squares for the conformance kit."""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.testing.solvers import Provable


def planted(m: int, n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a Gaussian design, a target that k of its columns make, and their coefficients."""
    r = np.random.default_rng(seed)
    design = r.standard_normal((m, n)) / np.sqrt(m)
    x = np.zeros(n)
    support = r.choice(n, k, replace=False)
    x[support] = r.standard_normal(k)
    return design, design @ x, x


def known_support() -> list[Provable]:
    """Independent and dependent columns, more columns than rows, zero columns, float32."""
    r = np.random.default_rng(0)
    design, target = r.standard_normal((8, 12)), r.standard_normal(8)
    problems = [
        so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1]),
        so.KnownSupportRegression(design, target, [7, 2, 3]),
        so.KnownSupportRegression(design.astype(np.float32), target, range(5)),
        so.KnownSupportRegression(design, target, range(12)),
        so.KnownSupportRegression(scipy.sparse.csc_array(design), target, [0, 1, 2]),
        so.KnownSupportRegression(np.hstack([design[:, :3]] * 2), target, range(6)),
        so.KnownSupportRegression(design[:, :2] @ r.standard_normal((2, 4)), target, range(4)),
        so.KnownSupportRegression(design * 0.0, target, [1, 2]),
    ]
    return [Provable(problem) for problem in problems]


def basis_pursuit() -> list[Provable]:
    """All norms, with and without noise; nothing that fits; dependent columns."""
    design, target, _ = planted(12, 24, 3, 0)
    noisy = target + 0.01 * np.random.default_rng(1).standard_normal(12)
    problems = [
        so.BasisPursuit(design, target),
        so.BasisPursuit(design, noisy),
        so.BasisPursuit(design, noisy, 0.1),
        so.BasisPursuit(design, target, norm=2),
        so.BasisPursuit(design, noisy, 0.1, norm=2),
        so.BasisPursuit(design, target, norm=math.inf),
        so.BasisPursuit(design, noisy, 0.1, norm=math.inf),
        so.BasisPursuit(np.hstack([design, design]), target),
        so.BasisPursuit(scipy.sparse.csr_array(design), target),
        so.BasisPursuit(design.astype(np.float32), noisy),
        so.BasisPursuit([[1, 2], [2, 4]], [1, 3]),
        so.BasisPursuit([[1, 2], [2, 4]], [1, 3], norm=2),
        so.BasisPursuit([[1, 2], [2, 4]], [1, 3], 0.1),
        so.BasisPursuit([[1, 2], [2, 4]], [1, 3], norm=math.inf),
    ]
    return [Provable(problem) for problem in problems]


def constrained() -> list[Provable]:
    """Balls that bind and that do not, tall and wide designs."""
    design, target, x = planted(12, 24, 3, 0)
    noisy = target + 0.1 * np.random.default_rng(1).standard_normal(12)
    radius = float(np.abs(x).sum())
    problems = [
        so.ConstrainedRegression(design, noisy, radius / 2),
        so.ConstrainedRegression(design[:, :6], noisy, radius / 3),
        so.ConstrainedRegression(design[:, :6], noisy, 100.0),
        so.ConstrainedRegression(np.hstack([design] * 2), noisy, radius / 2),
        so.ConstrainedRegression(scipy.sparse.csr_array(design), noisy, radius / 2),
        so.ConstrainedRegression(np.eye(4), [3, -1, 2, 0.5], 4),
    ]
    return [Provable(problem) for problem in problems]


def square_root() -> list[Provable]:
    """Strengths with a residual, without one, and above the largest useful one."""
    design, target, _ = planted(12, 24, 3, 0)
    noisy = target + 0.1 * np.random.default_rng(1).standard_normal(12)
    problems = [
        so.SquareRootLasso(design, noisy, 0.7),
        so.SquareRootLasso(design, noisy, 0.1),
        so.SquareRootLasso(design, target, 0.01),
        so.SquareRootLasso(design, noisy, 10.0),
        so.SquareRootLasso(design[:, :6], noisy, 0.2),
        so.SquareRootLasso(np.hstack([design] * 2), noisy, 0.7),
        so.SquareRootLasso(scipy.sparse.csr_array(design), noisy, 0.7),
    ]
    return [Provable(problem) for problem in problems]


def cardinality() -> list[Provable]:
    """Best subsets that are unique, tied, nested or not; dependent and equal columns."""
    r = np.random.default_rng(0)
    design, target = r.standard_normal((8, 10)), r.standard_normal(8)
    nested = [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, 1], [2, 1, 2, -1]]
    problems = [
        so.CardinalityRegression(design, target, 3),
        so.CardinalityRegression(design.astype(np.float32), target, 2),
        so.CardinalityRegression(design[:, :5], target, 2),
        so.CardinalityRegression(nested, [1, 1, 2, 0, 0, 3], 1),
        so.CardinalityRegression(np.hstack([design[:, :5]] * 2), target, 2),
        so.CardinalityRegression(np.eye(5), [4, -3, 2, 1, 0.5], 3),
        so.CardinalityRegression(scipy.sparse.csr_array(design), target, 1),
        so.CardinalityRegression(r.integers(-2, 3, (6, 9)), r.integers(-5, 6, 6), 3),
    ]
    return [Provable(problem) for problem in problems]
