"""The duality-gap certificate: sound in exact arithmetic, and refused when forged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from regression_oracle import exact_gap

import sparseopt as so
from sparseopt.certificate import check_certificate

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


def test_without_a_penalty_the_columns_are_orthogonal_to_the_dual_point() -> None:
    problem = so.SparseRegression(DESIGN[:, :3], TARGET, so.L1(0.0))
    solution = so.solve(problem)
    certificate = solution.certificate
    expected = np.linalg.lstsq(DESIGN[:, :3], TARGET, rcond=None)
    np.testing.assert_allclose(solution.answer.x, expected[0], rtol=1e-12)
    assert certificate.primal == pytest.approx(0.5 * expected[1][0], rel=1e-13)
    assert certificate.relative_gap < 1e-12
    assert "the strength is 0" in certificate.claim
    assert certificate.zeros.size == 0
    for step in (1e-3, -1e-9):
        tilted = certificate.dual_point + step * DESIGN[:, 0]
        forged = dataclasses.replace(certificate, dual_point=tilted)
        assert "orthogonal" in refusal(forged)


def refusal(certificate: Any) -> str:
    """Return the step at which a certificate fails."""
    check = check_certificate(certificate)
    assert not check.ok
    return check.details[-1]


FORGERIES: list[tuple[str, Callable[[so.DualityGapCertificate], dict[str, Any]], str]] = [
    ("smaller gap", lambda c: {"gap": 0.1 * c.gap}, "the gap, rounding included"),
    ("zero gap", lambda c: {"gap": 0.0}, "the gap, rounding included"),
    ("negative gap", lambda c: {"gap": -c.gap}, "the gap, rounding included"),
    ("larger gap", lambda c: {"gap": c.gap + 1e-13}, "that is tight"),
    ("NaN gap", lambda c: {"gap": float("nan")}, "the gap, rounding included"),
    ("text for gap", lambda c: {"gap": "0"}, "FAILED"),
    ("primal", lambda c: {"primal": c.primal * (1 - 1e-11)}, "the primal objective"),
    ("dual", lambda c: {"dual": c.dual * (1 + 1e-11)}, "the dual objective"),
    ("norm", lambda c: {"correlation_norm": 1.001 * c.correlation_norm}, "norm of all corr"),
    ("infeasible", lambda c: {"dual_point": c.dual_point * (1 + 1e-14)}, "is feasible"),
    ("worse dual", lambda c: {"dual_point": c.dual_point * (1 - 1e-9)}, "FAILED"),
    ("NaN dual", lambda c: {"dual_point": c.dual_point * np.nan}, "6 finite entries"),
    ("short dual", lambda c: {"dual_point": c.dual_point[:5]}, "6 finite entries"),
    ("integer dual", lambda c: {"dual_point": np.zeros(6, int)}, "6 finite entries"),
    ("undecided twice", lambda c: {"undecided": np.array([1, 1])}, "distinct, sorted"),
    ("undecided far", lambda c: {"undecided": np.array([9])}, "in range"),
    ("undecided negative", lambda c: {"undecided": np.array([-1])}, "in range"),
    ("undecided float", lambda c: {"undecided": np.array([1.0])}, "distinct, sorted"),
    ("undecided used", lambda c: {"undecided": c.answer.support[:1]}, "are zero in x"),
    ("another answer", lambda c: {"answer": so.Coefficients(1.001 * c.answer.x)}, "the primal"),
    ("short answer", lambda c: {"answer": so.Coefficients(c.answer.x[:8])}, "one entry for each"),
    ("no answer", lambda c: {"answer": None}, "FAILED"),
    ("bare array", lambda c: {"answer": c.answer.x}, "FAILED"),
    ("huge answer", lambda c: {"answer": so.Coefficients(1e300 * c.answer.x)}, "FAILED"),
]


@pytest.mark.parametrize("penalty", PENALTIES, ids=["L1", "GroupL1"])
@pytest.mark.parametrize(
    ("forge", "words"), [f[1:] for f in FORGERIES], ids=[f[0] for f in FORGERIES]
)
def test_forgeries(penalty: so.Penalty, forge: Callable[..., Any], words: str) -> None:
    certificate = solved(penalty)
    assert words in refusal(dataclasses.replace(certificate, **forge(certificate)))


def test_claims_about_zeros_need_their_proof() -> None:
    """Far from the optimum the gap-safe rule proves less than the stored claim."""
    problem = so.SparseRegression(DESIGN, TARGET, so.L1(1.3))
    certificate = Build(problem, np.zeros(9))[1]
    assert certificate.undecided.size
    forged = dataclasses.replace(certificate, undecided=certificate.undecided[1:])
    assert "gap-safe rule proves" in refusal(forged)


def test_a_nonzero_where_zero_is_proved_is_refused() -> None:
    problem = so.SparseRegression(np.eye(3), [3.0, 0.1, 0.1], so.L1(1.0))
    certificate = Build(problem, np.array([2.0, 0.0, 0.0]), np.array([1.0, 0.1, 0.1]))[1]
    x = np.array([2.0, 1e-9, 0.0])
    gap = certificate.gap + 1e-9
    figures = {"primal": certificate.primal + 9e-10, "gap": gap, "answer": so.Coefficients(x)}
    assert "FAILED" in refusal(dataclasses.replace(certificate, **figures))


def test_coefficients_that_scaling_would_round_are_refused() -> None:
    problem = so.SparseRegression(np.eye(2) * 1e-130, [1e140, 1.0], so.L1(1e-10))
    answer, certificate = Build(problem, np.array([1e270, 1e-300]))
    assert check_certificate(certificate, problem, answer).ok
    small, none = so.Coefficients([1e270, 5e-324]), np.array([], dtype=int)
    forged = dataclasses.replace(certificate, answer=small, undecided=none)
    assert "loses digits" in refusal(forged)


def test_a_certificate_of_another_problem_or_answer_is_refused() -> None:
    certificate = solved(PENALTIES[0])
    other = so.SparseRegression(DESIGN, 2.0 * TARGET, PENALTIES[0])
    assert not check_certificate(certificate, other, certificate.answer).ok
    wrong = so.Coefficients(np.zeros(9))
    assert not check_certificate(certificate, certificate.problem, wrong).ok


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every number in a JSON document but shapes."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "shape":
                yield from numbers(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from numbers(item, (*path, i))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


@pytest.mark.parametrize("penalty", PENALTIES, ids=["L1", "GroupL1"])
def test_every_single_edit_of_the_file_is_refused(penalty: so.Penalty) -> None:
    text = so.to_json(solved(penalty))
    places = list(numbers(json.loads(text)))
    assert len(places) > 70
    for place in places:
        document = json.loads(text)
        spot = document
        for key in place[:-1]:
            spot = spot[key]
        # The gap is a bound of a few units in the last place; one a little larger holds too.
        factor = 10.0 if place == ("gap",) else 1.001
        old = spot[place[-1]]
        spot[place[-1]] = old + 1 if isinstance(old, int) else old * factor + 1e-3 * (old == 0)
        try:
            forged = so.from_json(json.dumps(document))
        except so.ProblemError:
            continue
        assert not check_certificate(forged).ok, place


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
    for x in (np.zeros(8), np.full(9, np.nan)):
        with pytest.raises(so.ProblemError, match="9 finite numbers"):
            Build(problem, x)
