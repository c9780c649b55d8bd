"""The lasso by its Gram matrix, and columns by their stored entries, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sparseopt_inverse.gram_lasso import GramLasso
from sparseopt_inverse.stored_columns import StoredColumns

import sparseopt as so


def gap(design: np.ndarray, target: np.ndarray, limits: np.ndarray, x: np.ndarray) -> float:
    """Return the duality gap with the best feasible multiple of the residual."""
    residual = target - design @ x
    room = 1.0 / np.max(np.abs(design.T @ residual) / limits)
    factor = min(max(target @ residual / (residual @ residual), -room), room)
    primal = 0.5 * residual @ residual + limits @ np.abs(x)
    return float(primal - factor * target @ residual + 0.5 * factor**2 * residual @ residual)


@pytest.mark.parametrize(("m", "n"), [(20, 8), (30, 30), (15, 40), (1, 1)])
@pytest.mark.parametrize("share", [0.9, 0.3, 0.03])
def test_gap_is_as_asked(m: int, n: int, share: float) -> None:
    rng = np.random.default_rng(m + n)
    for _ in range(5):
        design, target = rng.standard_normal((m, n)), rng.standard_normal(m)
        pull = design.T @ target
        limits = share * np.abs(pull).max() * rng.uniform(0.5, 1.0, n)
        work = GramLasso(design.T @ design, pull, limits, float(target @ target), so.Context())
        goal = 1e-8 * float(target @ target)
        found = work.run(np.zeros(n), goal)
        if found is None:  # more columns than rows leave singular faces
            assert n >= m
            continue
        assert gap(design, target, limits, found) <= 1.01 * goal
        again = work.run(found, goal)
        assert again is not None
        assert gap(design, target, limits, again) <= 1.01 * goal


def test_a_goal_below_rounding_is_given_up() -> None:
    rng = np.random.default_rng(0)
    design, target = rng.standard_normal((20, 6)), rng.standard_normal(20)
    gram, pull = design.T @ design, design.T @ target
    work = GramLasso(gram, pull, np.full(6, 1.0), float(target @ target), so.Context())
    assert work.run(np.zeros(6), -1.0) is None


def test_duplicates_and_zero_columns() -> None:
    rng = np.random.default_rng(1)
    column, target = rng.standard_normal(9), rng.standard_normal(9)
    design = np.column_stack([column, column, -column, np.zeros(9), rng.standard_normal(9)])
    critical = float(np.abs(design.T @ target).max())
    for share in (1.5, 0.5, 0.01):
        problem = so.SparseRegression(design, target, so.L1(share * critical))
        rough, fine = (so.solve(problem, "working_set", tolerance=t) for t in (1e-6, None))
        assert rough.status is fine.status is so.Status.VERIFIED
        assert rough.certificate.primal == pytest.approx(fine.certificate.primal, rel=1e-6)
        assert rough.certificate.primal >= fine.certificate.dual


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chosen", [[], [0], [4, 1, 2], [1, 1], [0, 1, 2, 3, 4]])
def test_products_of_stored_columns(dtype: type, chosen: list[int]) -> None:
    rng = np.random.default_rng(2)
    dense = rng.standard_normal((6, 5)).astype(dtype)
    dense[rng.random((6, 5)) < 0.5] = 0.0
    dense[:, 1] = 0.0
    columns = StoredColumns(scipy.sparse.csc_array(dense))
    entries, x = np.array(chosen, dtype=np.intp), rng.standard_normal(len(chosen))
    part = dense[:, entries].astype(np.float64)
    np.testing.assert_allclose(columns.product(entries, x), part @ x, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(columns.gram(entries), part.T @ part, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("form", ["C", "F", "float32", "csr", "csc", "strided"])
@pytest.mark.parametrize(("m", "n"), [(40, 300), (300, 40), (60, 60), (1, 5), (5, 1)])
def test_rough_answers_agree_with_fine_ones(form: str, m: int, n: int) -> None:
    rng = np.random.default_rng(m * n)
    dense, target = rng.standard_normal((m, n)), rng.standard_normal(m)
    if form in ("csr", "csc"):
        dense[rng.random((m, n)) < 0.7] = 0.0
        dense[0, 0] = 1.0
    design = {
        "C": np.ascontiguousarray(dense),
        "F": np.asfortranarray(dense),
        "float32": dense.astype(np.float32),
        "csr": scipy.sparse.csr_array(dense),
        "csc": scipy.sparse.csc_array(dense),
        "strided": np.repeat(dense, 2, axis=1)[:, ::2],
    }[form]
    critical = float(np.abs(design.T @ target).max())
    for share in (1.1, 0.5, 0.05, 1e-3):
        problem = so.SparseRegression(design, target, so.L1(share * critical))
        rough, fine = (so.solve(problem, tolerance=t) for t in (1e-6, None))
        assert rough.status is fine.status is so.Status.VERIFIED
        assert fine.certificate.dual <= rough.certificate.primal
        assert rough.certificate.primal <= (1.0 + 2e-6) * fine.certificate.primal
