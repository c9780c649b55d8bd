"""Proofs in plain arithmetic, and in doubled precision of long columns, say nothing false."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from regression_oracle import false_claims

import sparseopt as so
from sparseopt.inverse.building import best_evidence
from sparseopt.inverse.squares import column_squares
from sparseopt.judging.check import check_certificate
from sparseopt.judging.rounding import product_sum, row_dots


def draw(rng: np.random.Generator, m: int, n: int) -> so.SparseRegression:
    """Return a regression whose columns may nearly agree, differ in scale, or be integers."""
    design = rng.standard_normal((m, n))
    kind = int(rng.integers(5))
    if kind == 0:
        design = np.round(2.0 * design)
    elif kind == 1:
        design[:, -1] = design[:, 0] + 10.0 ** rng.uniform(-12, -2) * design[:, -1]
    elif kind == 2:
        design = design * 10.0 ** rng.uniform(-6, 6, n)
    elif kind == 3:
        design = design.astype(np.float32)
    if kind == 4:
        design = np.asfortranarray(design)
    target = rng.standard_normal(m)
    if rng.random() < 0.4:
        target = design.astype(float) @ rng.integers(-2, 3, n) + 1e-3 * target
    critical = float(np.abs(design.T.astype(float) @ target).max()) or 1.0
    strength = critical * 10.0 ** rng.uniform(-5, 0.1)
    if rng.random() < 0.3:
        return so.SparseRegression(scipy.sparse.csc_array(design), target, so.L1(strength))
    return so.SparseRegression(design, target, so.L1(strength))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-8, None])
@pytest.mark.parametrize(("rows", "count"), [(4, 25), (1100, 1)])
def test_what_is_proved_holds_exactly(tolerance: float | None, rows: int, count: int) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(count):
        problem = draw(rng, rows, 3 if rows < 10 else 2)
        solution = so.solve(problem, tolerance=tolerance)
        assert solution.status is so.Status.VERIFIED
        assert solution.certificate.accuracy <= solution.tolerance
        assert not false_claims(solution.certificate)
        again = so.verify(solution)
        assert again.ok, again


@pytest.mark.parametrize("rows", [4, 1100])
def test_rough_figures_cannot_be_improved_by_hand(rows: int) -> None:
    rng = np.random.default_rng(10 + rows)
    for _ in range(6 if rows < 10 else 1):
        good = so.solve(draw(rng, rows, 3 if rows < 10 else 2), tolerance=1e-6).certificate
        for step in (1e-16, 1e-12, 1e-9, 1e-3):
            for changed in (
                dataclasses.replace(good, primal=good.primal * (1.0 - step)),
                dataclasses.replace(good, dual=good.dual * (1.0 + step)),
                dataclasses.replace(good, gap=good.gap * (1.0 - min(1.0, 1e3 * step))),
                dataclasses.replace(good, dual_point=good.dual_point * (1.0 + step)),
            ):
                if check_certificate(changed).ok:
                    assert not false_claims(changed)


def test_a_wrong_correlation_deceives_nobody() -> None:
    rng = np.random.default_rng(0)
    design, target = rng.standard_normal((30, 40)), rng.standard_normal(30)
    problem = so.SparseRegression(design, target, so.L1(4.0))
    good = so.solve(problem, tolerance=1e-6)
    t = problem.scaled().original_dual_point(problem.scaled().target)
    honest = best_evidence(problem, good.answer.x, [t], True, problem.scaled().correlation(t))
    wrong = best_evidence(problem, good.answer.x, [t], True, np.zeros(40))
    for evidence, ok in ((honest, True), (wrong, False)):
        answer = so.Coefficients(evidence.x)
        made = so.DualityGapCertificate(problem, answer, *evidence.fields)
        assert check_certificate(made).ok is ok
        assert not ok or made.accuracy <= evidence.accuracy


def test_known_correlations_give_what_the_design_gives() -> None:
    rng = np.random.default_rng(1)
    design, target = rng.standard_normal((60, 20)), rng.standard_normal(60)
    problem = so.SparseRegression(design, target, so.L1(2.0))
    x, t = np.zeros(20), target
    for rough in (True, False):
        known = problem.scaled().correlation(problem.scaled().dual_point(t))
        first = best_evidence(problem, x, [t], rough, known)
        second = best_evidence(problem, x, [t], rough)
        assert first.dual == pytest.approx(second.dual, rel=1e-9)
        assert first.gap == pytest.approx(second.gap, rel=1e-9)
        assert check_certificate(
            so.DualityGapCertificate(problem, so.Coefficients(first.x), *first.fields)
        ).ok


def exact_squares(dense: np.ndarray, weights: np.ndarray) -> list[float]:
    return [
        float(
            sum(
                Fraction(float(w)) * Fraction(float(a)) ** 2
                for w, a in zip(weights, column, strict=True)
            )
        )
        for column in dense.T
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_squares_of_columns(dtype: type, weighted: bool) -> None:
    rng = np.random.default_rng(2)
    dense = rng.standard_normal((7, 6)).astype(dtype)
    dense[rng.random((7, 6)) < 0.4] = 0.0
    dense[:, [0, 3, 5]] = 0.0
    weights = rng.random(7) if weighted else None
    expected = exact_squares(dense, np.ones(7) if weights is None else weights)
    strided = np.zeros((14, 12), dtype=dtype)
    strided[::2, ::2] = dense
    for matrix in (
        np.ascontiguousarray(dense),
        np.asfortranarray(dense),
        strided[::2, ::2],
        np.ascontiguousarray(dense[::-1, ::-1])[::-1, ::-1],
        scipy.sparse.csr_array(dense),
        scipy.sparse.csc_array(dense),
    ):
        found = column_squares(matrix, weights)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=0.0)
    assert (column_squares(scipy.sparse.csc_array((3, 4))) == 0).all()


@pytest.mark.parametrize("form", ["C", "F", "csr", "csc"])
@pytest.mark.parametrize("weights", [None, [2.0, 0.0, 7.0, 3.5, 1e-9], [1e90] * 5])
def test_bounds_of_norms_hold(form: str, weights: list[float] | None) -> None:
    rng = np.random.default_rng(4)
    dense = rng.standard_normal((5, 4))
    dense[:, 2] = 0.0
    sparse = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}
    design = sparse[form](dense) if form in sparse else np.asarray(dense, order=form)
    scaled = so.SparseRegression(design, np.ones(5), so.L1(1.0), weights).scaled()
    used = np.ones(5) if scaled.weights is None else scaled.weights
    for bound, exact in zip(scaled.column_norm_bounds, exact_squares(dense, used), strict=True):
        assert exact <= bound**2 * (1.0 + 1e-15)
        assert bound**2 <= exact * (1.0 + 1e-13) + 1e-100


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", ["C", "F", "csr", "csc"])
def test_wild_entries_are_named(bad: float, form: str) -> None:
    dense = np.eye(4)
    dense[2, 1] = bad
    sparse = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}
    design = sparse[form](dense) if form in sparse else np.asarray(dense, order=form)
    with pytest.raises(so.ProblemError, match=r"at entry \(2, 1\)"):
        so.SparseRegression(design, np.ones(4), so.L1(1.0))


@pytest.mark.parametrize("scale", [1e-139, 1e-80, 1e-30, 1.0, 1e30, 1e80, 1e149])
def test_any_scale_is_proved(scale: float) -> None:
    rng = np.random.default_rng(3)
    design, target = rng.standard_normal((6, 9)), rng.standard_normal(6)
    unit = so.solve(so.SparseRegression(design, target, so.L1(1.0)), tolerance=1e-6)
    scaled = so.SparseRegression(scale * design, target, so.L1(scale))
    assert (scaled.column_squares is None) == (not 1e-22 < scale < 1e22)
    found = so.solve(scaled, tolerance=1e-6)
    assert found.status is so.Status.VERIFIED
    np.testing.assert_allclose(scale * found.answer.x, unit.answer.x, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2, 999, 1000, 1001, 4097])
def test_dot_products_in_two_floats(size: int) -> None:
    rng = np.random.default_rng(size)
    a = rng.standard_normal(size) * 10.0 ** rng.uniform(-8, 8, size)
    b = rng.standard_normal(size)
    if size > 2:
        a[-1], b[-1] = -float(a[:-1] @ b[:-1]), 1.0  # they cancel
    terms, bound = product_sum(a, b)
    exact = sum(
        (Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)),
        Fraction(0),
    )
    found = sum(map(Fraction, terms), Fraction(0))
    assert abs(found - exact) <= Fraction(bound)
    assert bound <= 1e-25 * float(np.abs(a) @ np.abs(b)) + 1e-130
    assert (bound == 0.0) == (size <= 1000)


def test_dot_products_with_zero_are_exact() -> None:
    terms, bound = product_sum(np.zeros(5000), np.ones(5000))
    assert math.fsum(terms) == bound == 0.0


@pytest.mark.parametrize("shape", [(3, 70_000), (70_000, 2), (1, 1), (0, 5), (5, 0)])
def test_products_of_rows_in_pieces(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    rows, vector = rng.standard_normal(shape), rng.standard_normal(shape[1])
    values, bounds = row_dots(rows, vector)
    for i in range(0, shape[0], max(1, shape[0] // 3)):
        pairs = zip(rows[i].tolist(), vector.tolist(), strict=True)
        exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
        assert abs(Fraction(float(values[i])) - exact) <= Fraction(float(bounds[i]))
