"""cvxpy as the reference: every penalty, weights of rows, complex data, its limits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so

GROUPS = [[0, 3, 6], [1, 2], [4, 5, 7, 8], [9, 10, 11]]
RNG = np.random.default_rng(0)
DESIGN = RNG.standard_normal((20, 12))
TARGET = DESIGN[:, :3] @ [1.0, -2.0, 0.5] + 0.1 * RNG.standard_normal(20)
PENALTIES: dict[str, Any] = {
    "l1": so.L1(0.5),
    "weighted": so.L1(0.5, np.linspace(0.2, 2.0, 12)),
    "unpenalised": so.L1(0.5, [0.0, 0.0] + [1.0] * 10),
    "positive": so.L1(0.5, positive=True),
    "groups": so.GroupL1(0.5, GROUPS),
    "free group": so.GroupL1(0.5, GROUPS, [0.0, 1.0, 2.0, 1.0]),
    "positive groups": so.GroupL1(0.5, GROUPS, positive=True),
    "ridge": so.Ridge(0.5),
    "elastic net": so.L1(0.5) + so.Ridge(0.3),
    "sparse groups": so.SparseGroupL1(0.3, 0.4, GROUPS, np.linspace(0.5, 1.5, 12)),
    "everything": so.L1(0.2) + so.GroupL1(0.3, GROUPS) + so.Ridge(0.1),
    "variation": so.TotalVariation(0.5),
    "nuclear": so.NuclearNorm(0.5, (3, 4)),
    "nuclear and ridge": so.NuclearNorm(0.5, (4, 3)) + so.Ridge(0.2),
}


def agree(problem: so.SparseRegression) -> None:
    solution = so.solve(problem, "cvxpy")
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-12
    other = so.solve(problem, block=["cvxpy"])
    size = float(np.abs(other.answer.x).max())
    np.testing.assert_allclose(solution.answer.x, other.answer.x, atol=1e-6 * size)
    assert solution.certificate.dual <= other.certificate.primal
    assert other.certificate.dual <= solution.certificate.primal


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_penalty(name: str, weighted: bool) -> None:
    weights = np.linspace(0.0, 3.0, 20) if weighted else None
    agree(so.SparseRegression(DESIGN, TARGET, PENALTIES[name], weights))


@pytest.mark.parametrize("name", ["l1", "groups", "variation", "elastic net"])
@pytest.mark.parametrize("kind", ["csr", "float32", "complex", "large", "small"])
def test_designs(name: str, kind: str) -> None:
    design: Any = DESIGN
    penalty, target = PENALTIES[name], TARGET
    if kind == "csr":
        design = scipy.sparse.csr_array(np.where(np.abs(DESIGN) > 0.5, DESIGN, 0.0))
    elif kind == "float32":
        design = DESIGN.astype(np.float32)
    elif kind == "complex":
        design = DESIGN + 1j * DESIGN[::-1]
    elif name != "elastic net":  # a ridge would have to be scaled too
        size = 1e120 if kind == "large" else 1e-120
        design, penalty = size * DESIGN, penalty.at(0.5 * size)
    agree(so.SparseRegression(design, target, penalty))


def test_a_complex_nuclear_norm() -> None:
    """No Newton steps take it; what is proved is said."""
    problem = so.SparseRegression(DESIGN + 1j * DESIGN[::-1], TARGET, so.NuclearNorm(0.5, (3, 4)))
    certificate = so.solve(problem, "cvxpy", tolerance=1e-6).certificate
    other = so.solve(problem, "working_set", tolerance=1e-9).certificate
    assert so.verify(certificate).ok
    assert certificate.accuracy <= 1e-6
    assert certificate.primal == pytest.approx(other.primal, rel=1e-6)


def test_refusals() -> None:
    operator = scipy.sparse.linalg.aslinearoperator(DESIGN)
    with pytest.raises(so.SolveError, match="needs the entries of the design"):
        so.solve(so.SparseRegression(operator, TARGET, so.L1(1.0)), "cvxpy")
    with pytest.raises(so.SolveError, match="strength 0 makes it least squares"):
        so.solve(so.SparseRegression(DESIGN, TARGET, so.L1(0.0)), "cvxpy")


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.2, 2.0])
@pytest.mark.parametrize("name", ["variation", "nuclear", "sparse groups", "ridge"])
def test_limits_are_kept(name: str, limit: float) -> None:
    """Without a limit they run for a minute. The bound leaves room for a busy machine."""
    rng = np.random.default_rng(1)
    design, target = rng.standard_normal((900, 1600)), rng.standard_normal(900)
    groups = np.arange(1600).reshape(-1, 4)
    penalty = {
        "variation": so.TotalVariation(1.0),
        "nuclear": so.NuclearNorm(1.0, (40, 40)),
        "sparse groups": so.SparseGroupL1(1.0, 1.0, groups),
        "ridge": so.Ridge(1.0),
    }[name]
    problem = so.SparseRegression(design, target, penalty)
    start = time.monotonic()
    with pytest.raises(so.SolveError):
        so.solve(problem, "cvxpy", time_limit=limit)
    assert time.monotonic() - start < limit + 5.0
