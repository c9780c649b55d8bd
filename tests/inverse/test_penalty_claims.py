"""Whatever is claimed of answers with any penalty holds in exact arithmetic."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from penalty_oracle import wrong
from scipy.sparse.linalg import aslinearoperator

import sparseopt as so

Build = so.DualityGapCertificate.build


def random_problem(seed: int) -> tuple[so.SparseRegression, np.ndarray]:
    """Return a random problem of any shape, form and penalty, and its design written out."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 12)), int(rng.integers(1, 14))
    design = rng.standard_normal((m, n))
    kind = seed % 6
    if kind == 1:
        design = np.round(2.0 * design)
    if kind == 2:
        design[:, -1] = design[:, 0]
    if kind == 3:
        design = design.astype(np.float32)
    if kind == 4:
        design = design + 1j * rng.standard_normal((m, n))
    if kind == 5:
        design[rng.random((m, n)) < 0.5] = 0.0
    target = rng.standard_normal(m)
    critical = max(float(np.abs(design.conj().T @ target).max()), 1e-9)
    penalty = random_penalty(rng, n, critical * 10.0 ** rng.uniform(-3, 0.3), kind == 4)
    weights = rng.uniform(0.2, 2.0, m) * (rng.random(m) > 0.1) if rng.random() < 0.5 else None
    if weights is not None and not weights.any():
        weights = None
    form = [np.asarray, scipy.sparse.csr_array, scipy.sparse.csc_array, aslinearoperator]
    return so.SparseRegression(form[seed % 4](design), target, penalty, weights), design


def random_penalty(rng: Any, n: int, strength: float, is_complex: bool) -> so.Penalty:
    """Return a penalty, with some weights of 0."""

    def weights(count: int) -> np.ndarray | None:
        own = rng.uniform(0.2, 2.0, count) * (rng.random(count) > 0.15)
        return None if rng.random() < 0.3 else own

    count = max(1, n // 3)
    groups = [part.tolist() for part in np.array_split(rng.permutation(n), count)]
    positive = bool(rng.random() < 0.3) and not is_complex
    l1 = so.L1(strength, weights(n), positive=positive)
    grouped = so.GroupL1(strength, groups, weights(count), positive=positive)
    ridge = so.Ridge(strength * rng.uniform(0.0, 1.0))
    choices = [l1, grouped, so.Ridge(strength), l1 + ridge, grouped + ridge]
    if not is_complex:
        share = float(rng.uniform(0.0, 1.0))
        mixed = so.SparseGroupL1(share * strength, strength, groups, weights(n), weights(count))
        choices += [mixed, mixed + ridge, l1 + grouped]
    return choices[int(rng.integers(len(choices)))]


@pytest.mark.parametrize("part", range(6))
def test_in_exact_arithmetic(part: int) -> None:
    for seed in range(25 * part, 25 * part + 25):
        problem, dense = random_problem(seed)
        m, n = problem.shape
        rng = np.random.default_rng(seed + 1)
        best = so.solve(problem).certificate
        certificates = [best, Build(problem, best.answer.x * (1.0 + 1e-9))[1]]
        for _ in range(3):
            x, t = rng.standard_normal(n) * (rng.random(n) < 0.5), rng.standard_normal(m)
            t *= 10.0 ** rng.uniform(-2, 2)
            if problem.is_complex:
                x, t = x + 1j * rng.standard_normal(n), t + 1j * rng.standard_normal(m)
            certificates.append(Build(problem, x, t)[1])
            certificates.append(Build(problem, x, t, rough=True)[1])
        certificates.append(Build(problem, best.answer.x, best.dual_point, rough=True)[1])
        certificates.append(so.solve(problem, tolerance=1e-6).certificate)
        for certificate in certificates:
            check = so.verify(certificate)
            assert check.ok, (seed, check)
            assert wrong(certificate, dense) == [], seed
            # A zero that holds in every minimiser is one of the best answer's.
            assert not best.answer.x[certificate.zeros].any(), seed


def test_default_accuracy_is_reached() -> None:
    weak = []
    for seed in range(200, 300):
        problem = random_problem(seed)[0]
        solution = so.solve(problem)
        if solution.status is not so.Status.VERIFIED:
            weak.append((seed, problem.describe(), solution.certificate.accuracy))
    assert weak == []


@pytest.mark.parametrize("scale", [1e-140, 1e-70, 1e70, 1e145])
@pytest.mark.parametrize("factor", [1e-60, 1.0, 1e60])
def test_other_units(scale: float, factor: float) -> None:
    """Design times c, target times b: strengths times b c, ridges times c^2."""
    rng = np.random.default_rng(5)
    design, target, weights = rng.standard_normal((8, 9)), rng.standard_normal(8), np.ones(9)
    weights[0] = 0.0
    groups = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    for make in (
        lambda s, r: so.L1(s, weights),
        lambda s, r: so.L1(s) + so.Ridge(r),
        lambda s, r: so.SparseGroupL1(s, s, groups),
        lambda s, r: so.L1(s, positive=True),
        lambda s, r: so.TotalVariation(s),
        lambda s, r: so.NuclearNorm(s, (3, 3)),
    ):
        penalty = make(factor * scale, factor * factor)
        problem = so.SparseRegression(
            design * factor, target * scale, penalty, [1.0] * 4 + [2.0] * 4
        )
        plain = so.SparseRegression(design, target, make(1.0, 1.0), [1.0] * 4 + [2.0] * 4)
        solution, expected = so.solve(problem), so.solve(plain)
        assert solution.certificate.accuracy < 1e-12
        ratio = solution.certificate.primal / scale / scale
        assert ratio == pytest.approx(expected.certificate.primal, rel=1e-9)


def exact_columns(product: so.KroneckerProduct) -> list[list[Fraction]]:
    """Return the product of the factors as rows of fractions."""
    result: list[list[Fraction]] | None = None
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        rows, columns = pattern.shape
        matrix = [[Fraction(0)] * columns for _ in range(rows)]
        places = pattern.indices()
        for value, i, j in zip(factor.ravel(), *(p.ravel() for p in places), strict=True):
            matrix[i][j] = Fraction(float(value))
        result = (
            matrix
            if result is None
            else [
                [
                    sum((a * matrix[k][j] for k, a in enumerate(row)), Fraction(0))
                    for j in range(columns)
                ]
                for row in result
            ]
        )
    assert result is not None
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_exact_products(dtype: Any) -> None:
    """The design is the product of the factors in real numbers, not what floats make of it."""
    rng = np.random.default_rng(3)
    for patterns in ([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)], [(1, 6, 12, 1), (3, 4, 3, 1)]):
        factors = [rng.standard_normal(p).astype(dtype) for p in patterns]
        product = so.KroneckerProduct(factors, so.Architecture(patterns))
        target = rng.standard_normal(product.shape[0])
        critical = float(np.abs(product.T @ target).max())
        penalties = [
            so.L1(0.1 * critical),
            so.L1(0.1 * critical, [0.0] + [1.0] * (product.shape[1] - 1)),
            so.L1(0.1 * critical) + so.Ridge(0.3),
        ]
        exact = exact_columns(product)
        for penalty in penalties:
            problem = so.SparseRegression(product, target, penalty)
            solution = so.solve(problem)
            assert solution.certificate.accuracy < 1e-12
            assert so.verify(so.Solution.from_json(solution.to_json())).ok
            rough = Build(problem, np.ones(product.shape[1]), rng.standard_normal(len(target)))[1]
            for certificate in (solution.certificate, rough):
                assert wrong(certificate, _Fractions(exact)) == []


class _Fractions:
    """Entries that the oracle takes as they are."""

    def __init__(self, rows: list[list[Fraction]]) -> None:
        self.rows = rows

    def toarray(self) -> np.ndarray:
        return np.array(self.rows, dtype=object)


@pytest.mark.parametrize("scale", [1e-90, 1e-30, 1e30, 1e90])
def test_other_units_of_sample_weights(scale: float) -> None:
    rng = np.random.default_rng(6)
    design, target, weights = rng.standard_normal((8, 5)), rng.standard_normal(8), rng.random(8)
    expected = so.solve(so.SparseRegression(design, target, so.L1(0.3) + so.Ridge(0.1), weights))
    penalty = so.L1(0.3 * scale) + so.Ridge(0.1 * scale)
    solution = so.solve(so.SparseRegression(design, target, penalty, weights * scale))
    assert solution.certificate.accuracy < 1e-12
    np.testing.assert_allclose(solution.answer.x, expected.answer.x, rtol=1e-9, atol=1e-12)


def test_plain_arithmetic_is_enough_for_what_is_asked() -> None:
    """It states no less than it judges by: a gap of 1e-9, and a proof that more digits accept."""
    rng = np.random.default_rng(8)
    design, target = rng.standard_normal((300, 40)), rng.standard_normal(300)
    for penalty in (so.L1(9.0), so.L1(9.0) + so.Ridge(1.0), so.L1(9.0, positive=True)):
        problem = so.SparseRegression(design, target, penalty)
        solution = so.solve(problem, tolerance=1e-6)
        certificate = solution.certificate
        assert solution.status is so.Status.VERIFIED
        assert 2.0**-31 < certificate.relative_gap <= 1e-6
        assert so.verify(certificate).ok
        best = so.solve(problem).certificate
        assert certificate.dual <= best.primal
        assert best.dual <= certificate.primal
        assert not best.answer.x[certificate.zeros].any()
        # Figures that only more digits prove are judged by them.
        exact = Build(problem, certificate.answer.x, certificate.dual_point)[1]
        assert so.verify(dataclasses.replace(exact, gap=2e-9 * exact.primal)).ok
