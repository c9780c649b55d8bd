"""Objects that are not what the core's constructors make: classes, attributes and fields."""

from __future__ import annotations

import dataclasses
from abc import ABCMeta
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import forgeries_objects
import numpy as np
import pytest
from liars import CLOSED, LU, Liar, honest, refused

import sparseopt as so
from sparseopt.inverse.pursuit_certificate import PursuitCertificate
from sparseopt.training.sparse_training import TrainingCertificate

DESIGN = np.random.default_rng(0).normal(size=(8, 4))
TARGET = np.random.default_rng(1).normal(size=8)


class EqualsAll(ABCMeta):
    """The class of classes that equal every other one."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(float)


class OwnJudge(so.Certificate, metaclass=EqualsAll):
    """A certificate that judges itself."""

    def __init__(self, problem: Any, answer: Any) -> None:
        self.problem, self.answer = problem, answer

    @property
    def claim(self) -> str:
        """What is not so."""
        return "the supports are closed"

    def check(self, steps: so.Steps) -> None:
        """Accept."""


class Chameleon:
    """Equals everything, and is shown as it likes."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.zeros(4)


class Below(Decimal):
    """A number below all others, and above."""

    def __le__(self, other: Any) -> bool:
        return True

    def __ge__(self, other: Any) -> bool:
        return True


def lasso(penalty: Any = None) -> so.SparseRegression:
    return so.SparseRegression(DESIGN, TARGET, penalty or so.L1(0.5))


def test_a_class_of_classes_brings_no_judge() -> None:
    refused(so.Closedness(LU), lambda p: (answer := honest(CLOSED).answer, OwnJudge(p, answer)))


def chameleon_verdict(problem: Any) -> tuple[Any, Any]:
    proof = honest(LU)
    object.__setattr__(proof.answer, "value", Chameleon())
    return proof.answer, proof


def chameleon_vector(problem: Any) -> tuple[Any, Any]:
    proof = so.solve(problem).certificate
    object.__setattr__(proof.answer, "x", Chameleon())
    return proof.answer, proof


def strange_figures(problem: Any) -> tuple[Any, Any]:
    proof = so.solve(problem).certificate
    for name in ("primal", "dual", "gap"):
        object.__setattr__(proof, name, Below(0))
    return proof.answer, proof


def half_precision(problem: Any) -> tuple[Any, Any]:
    proof = so.solve(problem).certificate
    object.__setattr__(proof, "gap", np.float16(0.0))
    return proof.answer, proof


@pytest.mark.parametrize(
    ("problem", "made"),
    [
        (so.Closedness(LU), chameleon_verdict),
        (lasso(), chameleon_vector),
        (lasso(), strange_figures),
        (so.OptimalRescaling([1.0, 3.0], [2.0, 2.0], [1.0, 1.0]), half_precision),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_objects_of_other_classes_are_refused(
    problem: so.Problem, made: Callable[..., Any]
) -> None:
    assert "may answer otherwise" in refused(problem, made)


@pytest.mark.parametrize("value", [SimpleNamespace(), Fraction(2, 4), np.int8(1), np.longdouble(1)])
def test_what_a_field_of_an_answer_may_not_hold(value: Any) -> None:
    proof = honest(CLOSED)
    if isinstance(value, Fraction):
        value._numerator, value._denominator = 2, 2  # type: ignore[attr-defined]
    object.__setattr__(proof.answer, "reason", value)
    check = so.verify(proof)
    assert not check.ok
    assert "may answer otherwise" in check.details[-1]


@pytest.mark.parametrize("planted", ["TotalVariation", "GroupL1"])
def test_attributes_that_a_class_does_not_have_are_dropped(planted: str) -> None:
    """The judge asks whether a penalty has parts."""
    other = {"TotalVariation": so.TotalVariation(0.5), "GroupL1": so.GroupL1(0.5, [[0, 1], [2, 3]])}

    def made(problem: Any) -> tuple[Any, Any]:
        posed = so.NuclearNorm(0.5, (2, 2))
        object.__setattr__(posed, "parts", (other[planted],))
        x = np.asarray(so.solve(lasso(other[planted])).answer.x)
        return so.DualityGapCertificate.build(lasso(posed), x)

    refused(lasso(so.NuclearNorm(0.5, (2, 2))), made)


def test_a_problem_that_equals_another_in_json_alone_is_another() -> None:
    supports = [
        [[0, 0, 1, 0], [0, 0, 0, 1]],
        [[0, 0], [0, 0], [1, 0], [1, 1]],
        [[1, 1], [0, 1]],
    ]

    def made(problem: Any) -> tuple[Any, Any]:
        posed: Any = object.__new__(so.SparseTraining)
        for name, value in {**vars(problem), "hidden_biases": 0}.items():
            object.__setattr__(posed, name, value)
        proof = TrainingCertificate.proved(posed)
        return proof.answer, proof

    refused(so.SparseTraining(supports), made)


def test_what_is_set_past_a_constructor_of_the_question_goes_through_it() -> None:
    pursuit = so.BasisPursuit([[1.0, 1.0]], [2.0], 0.0, float("inf"))
    object.__setattr__(pursuit, "norm", 3)
    _, proof = PursuitCertificate.build(pursuit, np.ones(2), np.array([1.0]))
    assert not so.verify(proof).ok
    regression = lasso(so.L1(0.0))
    object.__setattr__(regression.penalty, "strength", -1.0)
    x = np.linalg.lstsq(DESIGN, TARGET, rcond=None)[0]
    answer, _ = so.DualityGapCertificate.build(lasso(so.L1(0.0)), x)
    forged = so.DualityGapCertificate(
        regression, answer, np.zeros(8), 9.0, -9.0, 1e-100, np.zeros(0, int)
    )
    assert not so.verify(forged).ok


@pytest.mark.parametrize("jobs", [None, 2])
def test_a_solver_does_not_put_another_question(jobs: int | None) -> None:
    if jobs == 2:
        pytest.importorskip("joblib")
    problem = so.Closedness(LU)
    supports = problem.supports
    found = so.solve_all([problem], Liar(put_another), jobs=jobs)[0]
    assert isinstance(found, so.SolveError)
    assert "changed the problem" in str(found)
    assert problem.supports is supports


def put_another(problem: Any) -> tuple[Any, Any]:
    proof = honest(CLOSED)
    object.__setattr__(problem, "supports", proof.problem.supports)
    object.__setattr__(proof, "problem", problem)
    return proof.answer, proof


def test_what_is_judged_is_what_is_handed_out() -> None:
    solution = so.solve(so.Closedness(LU))
    read = so.from_json(solution.to_json())
    problem, answer = so.Closedness(LU), dataclasses.replace(read.answer)
    back = dataclasses.replace(read, problem=problem, answer=answer)
    assert back.certificate.answer is not back.answer
    assert so.verify(back).ok
    assert back.certificate.answer is back.answer
    assert back.certificate.problem is back.problem


def test_judgements_are_kept_by_name() -> None:
    _, proof = so.DualityGapCertificate.build(lasso(), np.zeros(4))
    assert so.verify(proof).ok
    solution = so.Solution(
        lasso(), proof.answer, proof, so.Status.WEAK, "", 0.0, so.Plan("", ()), 1e-12
    )
    assert "not checked" not in str(solution)
    held = vars(proof)
    held["primal"], held["gap"] = held["gap"], held["primal"]
    assert "not checked" in str(solution)


def test_a_status_that_says_more_than_is_proved_is_not_checked() -> None:
    _, proof = so.DualityGapCertificate.build(lasso(), np.zeros(4))
    assert so.verify(proof).ok
    solution = so.Solution(
        lasso(), proof.answer, proof, so.Status.VERIFIED, "", 0.0, so.Plan("", ()), 1e-12
    )
    assert not so.verify(solution).ok
    assert not solution.checked
    assert "not checked here" in str(solution)
    assert "not checked here" in solution._repr_html_()


class Lying(so.NumberFormat):
    """Holds every number."""

    def contains(self, values: Any) -> bool:
        """Say so."""
        return True


def test_records_of_derived_classes_are_refused_in_questions_too() -> None:
    chain = so.Architecture([(1, 2, 2, 1)])
    target = so.KroneckerProduct([np.full((1, 2, 2, 1), 0.3)], chain)
    proof = so.solve(so.ProductQuantization(target, "int4")).certificate
    object.__setattr__(proof.problem.format[0], "__class__", Lying)
    check = so.verify(proof)
    assert not check.ok
    assert "a Lying may answer otherwise than what it derives from" in check.details[-1]


@pytest.mark.parametrize(("name", "verified"), list(forgeries_objects.forged()))
def test_strange_objects_are_refused(name: str, verified: Any) -> None:
    assert verified().outcome == "refused"


@pytest.mark.parametrize(("name", "verified"), list(forgeries_objects.honest()))
def test_objects_of_constructors_and_third_parties_are_accepted(name: str, verified: Any) -> None:
    assert (verified() if callable(verified) else so.verify(verified)).ok
