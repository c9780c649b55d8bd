"""The duality-gap certificate: sound in exact arithmetic, and refused when forged."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from regression_oracle import exact_gap

import sparseopt as so
from sparseopt.judging.check import check_certificate

RNG = np.random.default_rng(7)
DESIGN, TARGET = RNG.standard_normal((6, 9)), RNG.standard_normal(6)
GROUPS = [[0, 3, 6], [1], [2, 4, 5, 7, 8]]
PENALTIES = [so.L1(1.3), so.GroupL1(1.1, GROUPS, [1.0, 0.7, 1.9])]
WEIGHTED = so.GroupL1(1.1, [[j] for j in range(9)], RNG.uniform(0.5, 2.0, 9))
Build = so.DualityGapCertificate.build


def solved(penalty: so.Penalty) -> so.DualityGapCertificate:
    certificate = so.solve(so.SparseRegression(DESIGN, TARGET, penalty)).certificate
    assert isinstance(certificate, so.DualityGapCertificate)
    return certificate


def rough(seed: int, penalty: so.Penalty) -> so.DualityGapCertificate:
    """Return a certificate of coefficients and a dual point of no quality at all."""
    rng = np.random.default_rng(seed)
    problem = so.SparseRegression(DESIGN, TARGET, penalty)
    x = rng.standard_normal(9) * (rng.random(9) < 0.5)
    return Build(problem, x, 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(6))[1]


@pytest.mark.parametrize("penalty", [*PENALTIES, WEIGHTED], ids=["L1", "GroupL1", "weighted"])
def test_what_is_built_holds_in_exact_arithmetic(penalty: so.Penalty) -> None:
    for certificate in [solved(penalty), *(rough(seed, penalty) for seed in range(20))]:
        check = check_certificate(certificate, certificate.problem, certificate.answer)
        assert check.ok, check
        feasible, gap = exact_gap(certificate)
        assert feasible
        assert 0 <= gap <= Decimal(certificate.gap)
        assert certificate.gap <= float(gap) + 4e-14 * certificate.primal
        objective = certificate.problem.evaluate(certificate.answer)["objective"]
        assert certificate.primal == pytest.approx(objective, rel=1e-13)


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e140])
def test_exact_arithmetic_at_other_scales(scale: float) -> None:
    for factor in (1.0, scale):
        problem = so.SparseRegression(DESIGN * factor, TARGET * scale, so.L1(1.3 * factor * scale))
        certificate = so.solve(problem).certificate
        feasible, gap = exact_gap(certificate)
        assert feasible
        assert 0 <= gap <= Decimal(certificate.gap)
        assert certificate.relative_gap < 1e-13


def test_zeros_are_zero_in_every_minimiser() -> None:
    """Of two equal columns neither is proved zero; a third that loses to both is."""
    design = np.array([[1.0, 1.0, 0.5], [0.0, 0.0, 0.1]])
    problem = so.SparseRegression(design, [3.0, 0.0], so.L1(1.0))
    for x in ([2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.5, 1.5, 0.0]):
        answer, certificate = Build(problem, np.array(x))
        assert check_certificate(certificate, problem, answer).ok
        assert certificate.relative_gap < 1e-14
        assert certificate.zeros.tolist() == [2]
        assert certificate.undecided.tolist() == [j for j in (0, 1) if x[j] == 0]


def test_small_coefficients_are_not_rounded_to_zero() -> None:
    strength = 1.0 - 1e-6
    problem = so.SparseRegression(np.eye(3), [2.0, 1.0, 0.5], so.L1(strength))
    solution = so.solve(problem)
    assert solution.answer.x[1] == pytest.approx(1e-6, rel=1e-9)
    assert solution.answer.support.tolist() == [0, 1]
    assert solution.certificate.zeros.tolist() == [2]


def test_large_coefficients_that_are_proved_zero_are_set_to_zero() -> None:
    problem = so.SparseRegression(np.eye(3), [3.0, 0.1, 0.1], so.L1(1.0))
    answer, certificate = Build(problem, np.array([2.0, 1e-3, 0.0]), np.array([1.0, 0.1, 0.1]))
    assert answer.x.tolist() == [2.0, 0.0, 0.0]
    assert check_certificate(certificate, problem, answer).ok


def test_at_the_critical_strength_the_answer_is_exactly_zero() -> None:
    critical = float(np.abs(DESIGN.T @ TARGET).max())
    for factor in (1.0, 1.0 + 1e-8, 100.0):
        solution = so.solve(so.SparseRegression(DESIGN, TARGET, so.L1(critical * factor)))
        assert not solution.answer.x.any()
        assert solution.certificate.relative_gap < 1e-14
        assert len(solution.certificate.zeros) >= (8 if factor == 1.0 else 9)


def test_without_a_penalty_it_is_least_squares() -> None:
    problem = so.SparseRegression(DESIGN[:, :3], TARGET, so.L1(0.0))
    solution = so.solve(problem)
    certificate = solution.certificate
    expected = np.linalg.lstsq(DESIGN[:, :3], TARGET, rcond=None)
    np.testing.assert_allclose(solution.answer.x, expected[0], rtol=1e-12)
    assert certificate.primal == pytest.approx(0.5 * expected[1][0], rel=1e-13)
    assert certificate.relative_gap < 1e-12
    assert certificate.zeros.size == 0


def test_a_certificate_of_another_problem_or_answer_is_refused() -> None:
    certificate = solved(PENALTIES[0])
    other = so.SparseRegression(DESIGN, 2.0 * TARGET, PENALTIES[0])
    assert not check_certificate(certificate, other, certificate.answer).ok
    wrong = so.Coefficients(np.zeros(9))
    assert not check_certificate(certificate, certificate.problem, wrong).ok


@pytest.mark.parametrize("kind", ["csr", "csc", "float32", "strided"])
def test_designs_of_every_kind(kind: str) -> None:
    dense = np.round(DESIGN, 1) * (np.abs(DESIGN) > 0.5)
    design: Any = {
        "csr": lambda: scipy.sparse.csr_array(dense),
        "csc": lambda: scipy.sparse.csc_array(dense),
        "float32": lambda: dense.astype(np.float32),
        "strided": lambda: np.repeat(np.repeat(dense, 2, axis=0), 3, axis=1)[::2, ::3],
    }[kind]()
    for penalty in PENALTIES:
        solution = so.solve(so.SparseRegression(design, TARGET, penalty))
        feasible, gap = exact_gap(solution.certificate)
        assert feasible
        assert 0 <= gap <= Decimal(solution.certificate.gap)
        assert solution.certificate.relative_gap < 1e-13
        assert solution.answer.x.dtype == np.float64
        assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_build_takes_the_best_of_several_dual_points() -> None:
    problem = so.SparseRegression(DESIGN, TARGET, PENALTIES[0])
    good = solved(PENALTIES[0])
    zero, nonsense = np.zeros(6), np.full(6, np.nan)
    for points in ([good.dual_point, zero], [nonsense, 5.0 * good.dual_point]):
        certificate = Build(problem, good.answer.x, *points)[1]
        assert certificate.relative_gap < 1e-13
    assert Build(problem, good.answer.x, nonsense)[1].dual == 0.0
    rows = np.stack([good.dual_point, np.zeros(6)])
    assert Build(problem, good.answer.x, rows)[1].relative_gap < 1e-13
    assert Build(problem, good.answer.x, 1e300 * good.dual_point)[1].relative_gap < 1e-13
    for x, why in ((np.zeros(8), "9 numbers"), (np.full(9, np.nan), "x has a nan at entry")):
        with pytest.raises(so.ProblemError, match=why):
            Build(problem, x)
    with pytest.raises(so.ProblemError, match="the objective leaves the range"):
        Build(problem, np.full(9, 1e200))
    for point in (np.zeros(5), np.zeros((3, 6)), np.zeros((6, 1))):
        with pytest.raises(so.ProblemError, match=r"must have shape \(6,\) or \(2, 6\)"):
            Build(problem, good.answer.x, point)


def test_the_claim_is_rounded_outward() -> None:
    certificate = solved(PENALTIES[0])
    words = re.findall(r"at most ([-+.e0-9]+)", certificate.claim)
    stated = [certificate.primal, certificate.gap]
    assert len(words) == 2
    for word, value in zip(words, stated, strict=True):
        assert value <= float(word) <= value * 1.01


def test_accuracy_is_the_gap_over_the_objective() -> None:
    problem = so.SparseRegression([[1.0]], [3.0], so.L1(1.0))
    certificate = Build(problem, np.zeros(1), np.zeros(1))[1]
    assert certificate.accuracy == pytest.approx(1.0, rel=1e-12)
    certificate = Build(problem, np.zeros(1), np.array([1.0]))[1]
    assert certificate.accuracy == pytest.approx((4.5 - 2.5) / 4.5, rel=1e-12)
    assert certificate.accuracy >= Fraction(2) / Fraction(9, 2)
    fits = so.SparseRegression(np.eye(2), [1.0, 2.0], so.L1(1e-30))
    certificate = Build(fits, np.array([1.0, 2.0]), np.zeros(2))[1]
    # The objective 3e-30 is below 2^-53 times the one at 0.
    assert certificate.accuracy == pytest.approx(3e-30 / (2.5 * 2.0**-53), rel=1e-9)
    assert certificate.relative_gap == pytest.approx(1.0)
    nothing = so.SparseRegression(np.eye(2), [0.0, 0.0], so.L1(1.0))
    assert Build(nothing, np.zeros(2))[1].accuracy == 0.0
    assert Build(nothing, np.ones(2))[1].accuracy == pytest.approx(1.0)


def test_files_that_state_the_objectives_to_twelve_digits_are_read() -> None:
    certificate = solved(PENALTIES[0])
    document = json.loads(so.to_json(certificate))
    document["correlation_norm"] = 3.0
    document["primal"] *= 1.0 - 1e-13
    document["dual"] *= 1.0 + 1e-13
    read = so.from_json(json.dumps(document))
    assert check_certificate(read).ok
    assert read.primal == pytest.approx(certificate.primal, rel=1e-11)
