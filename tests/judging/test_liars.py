"""Solvers, and objects of theirs, that tell the judge something else than the user."""

from __future__ import annotations

import dataclasses
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from liars import CLOSED, LU, honest, refused

import sparseopt as so


def test_no_instance_brings_its_own_fields() -> None:
    """What is planted on an answer or a problem hides nothing of another problem's proof."""

    def answer_of_another(problem: Any) -> tuple[Any, Any]:
        proof = honest(CLOSED)
        answer = dataclasses.replace(proof.answer)
        object.__setattr__(answer, "to_fields", lambda: {"value": "closed", "reason": ""})
        return answer, proof

    def problem_of_another(problem: Any) -> tuple[Any, Any]:
        proof = honest(CLOSED)
        fields = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
        object.__setattr__(proof.problem, "to_fields", lambda: fields)
        return proof.answer, proof

    refused(so.Closedness(LU), answer_of_another)
    refused(so.Closedness(LU), problem_of_another)


def test_no_instance_brings_its_own_methods() -> None:
    chain = so.Architecture.square_dyadic(4)
    target = np.arange(16.0).reshape(4, 4) % 5
    nothing = so.KroneckerProduct([np.zeros(p.values_shape) for p in chain], chain)

    def made(problem: Any) -> tuple[Any, Any]:
        right = so.solve(problem).answer
        object.__setattr__(nothing, "to_numpy", lambda: right)
        return nothing, so.ButterflyCertificate(problem, nothing)

    refused(so.ButterflyFactorization(target, chain), made)


class Text(str):
    """Equals everything."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Array(np.ndarray):
    """Calculates as it likes."""


class Number(np.float64):
    """Compares as it likes."""


class Whole(int, Enum):
    """Is an integer by another way."""

    ONE = 1


class Ratio(Fraction):
    """Compares as it likes."""


@pytest.mark.parametrize(
    "value",
    [Text("closed"), np.ones(2).view(Array), Number(1.0), Whole.ONE, Ratio(1, 2)],
    ids=lambda value: type(value).__name__,
)
def test_numbers_texts_and_arrays_of_derived_classes_are_refused(value: Any) -> None:
    proof = honest(CLOSED)
    object.__setattr__(proof.answer, "reason", value)
    check = so.verify(proof)
    assert not check.ok
    assert f"a {type(value).__name__} may answer otherwise than" in check.details[-1]


def test_scalars_of_numpy_are_no_derived_classes() -> None:
    problem = so.ButterflyFactorization(np.eye(4), so.Architecture.square_dyadic(4))
    proof = so.solve(problem).certificate
    stated = dataclasses.replace(proof, stated_error=(np.float64(0.0), np.float64(1.0)))
    object.__setattr__(stated, "stated_error", (np.float64(0.0), np.float64(1e-10)))
    assert so.verify(stated).ok


def test_a_derived_problem_does_not_list_certificates_of_its_base() -> None:
    class Other(so.Closedness):
        certificates = so.Closedness.certificates

        def describe(self) -> str:
            return "everything"

    proof = honest(CLOSED)
    check = so.verify(type(proof)(Other(CLOSED), proof.answer, *_rest(proof)))
    assert not check.ok
    assert "those that Other lists" in check.details[-1]


def _rest(proof: Any) -> list[Any]:
    return [getattr(proof, f.name) for f in dataclasses.fields(proof)[2:]]


@pytest.mark.parametrize("base", [so.KroneckerPattern, so.Architecture])
def test_patterns_that_equal_others_cannot_be_made(base: type) -> None:
    with pytest.raises(TypeError, match="no class is derived from"):
        type("Derived", (base,), {})


def test_a_rational_with_a_negative_denominator_is_turned_round() -> None:
    planted = Fraction(1, 2)
    planted._numerator, planted._denominator = -5, -1  # type: ignore[attr-defined]
    answer = so.ClosedSupport(np.array([[[1]], [[1]]], dtype=bool), 1, planted)  # type: ignore[arg-type]
    assert (answer.lower_bound, answer.lower_bound > 4) == (5, True)


def test_a_solution_is_checked_only_with_its_own_certificate() -> None:
    """A file that joins an answer with the honest certificate of another problem."""
    proof = honest(CLOSED)
    lying = dataclasses.replace(so.solve(so.Closedness(LU)), answer=proof.answer, certificate=proof)
    read = so.from_json(so.to_json(lying))
    assert so.verify(read.certificate).ok
    for shown in (str(read), read._repr_html_()):
        assert "not checked here" in shown
    assert not so.verify(read).ok


def test_a_finding_says_what_its_certificate_proves() -> None:
    class Contradicts(so.Analyzer[Any]):
        def accepts(self, subject: Any) -> so.Accepted:
            """Take everything."""
            return so.Accepted()

        def analyze(self, subject: Any, context: so.Context) -> Any:
            """Say that a set is closed, with the proof that another is not."""
            yield so.Finding(
                "supports-closed", so.Severity.OK, "here", "closed", certificate=honest(LU)
            )

    report = so.analyze(so.load_network(_model()), [Contradicts()])
    (finding,) = report.findings
    assert finding.rule == "certificate-refused"
    assert "it proves something else" in finding.message
    lying = so.Finding("supports-closed", so.Severity.OK, "h", "closed", certificate=honest(LU))
    told = dataclasses.replace(report, findings=(lying,))
    assert "0 checked here" in told.summary()


def _model() -> Any:
    from sparseopt.networks import Dense, chain

    return chain((1,), Dense(np.ones((1, 1))))


class Integer(int):
    """Is written as one number and calculates as another."""

    @property
    def numerator(self) -> int:
        return 1


class Looked(dict[str, Any]):
    """Is written with what it hides."""

    def get(self, key: str, default: Any = None) -> Any:
        return default


class Turning(tuple[Any, ...]):
    """Holds other things each time."""

    __slots__ = ()


class Numbers(list[Any]):
    """Holds what it likes."""


class Matrix(scipy.sparse.csr_array):
    """Multiplies as another matrix."""


class Imitation:
    """Has what tensors have."""

    def detach(self) -> Any:
        """Return what it likes."""
        return self


class Tensor(torch.Tensor):
    """Answers as it likes."""


def fraction_of(part: int) -> Fraction:
    """Return a Fraction that holds an integer of a derived class."""
    made = Fraction(7, 2)
    made._numerator = Integer(part)  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    "value",
    [
        np.array([Integer(7)], dtype=object),
        [np.array([[1, fraction_of(7)]], dtype=object)],
        fraction_of(7),
        Looked({"weight": "T"}),
        {Text("weight"): "T"},
        {"weight": (1, Turning((1, 2)))},
        Turning((1, 2)),
        Numbers([1]),
        Matrix(np.eye(2)),
        scipy.sparse.coo_array(np.eye(2)),
        Imitation(),
        torch.ones(2).as_subclass(Tensor),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_derived_objects_is_refused(value: Any) -> None:
    proof = honest(CLOSED)
    object.__setattr__(proof.answer, "reason", value)
    check = so.verify(proof)
    assert not check.ok
    assert "may answer otherwise than" in check.details[-1]


def test_a_sparse_matrix_forgets_what_was_planted_on_it() -> None:
    rng = np.random.default_rng(0)
    designs = [scipy.sparse.csr_array(rng.normal(size=(8, 4))) for _ in range(2)]
    target = rng.normal(size=8)
    asked, other = (so.SparseRegression(d, target, so.L1(0.1)) for d in designs)

    def made(problem: Any) -> tuple[Any, Any]:
        proof = so.solve(other).certificate
        shown = designs[0].copy()
        for name in ("asformat", "tocsc", "tocsr", "toarray", "astype", "transpose"):
            setattr(shown, name, getattr(designs[1], name))
        object.__setattr__(proof.problem, "design", shown)
        return proof.answer, proof

    refused(asked, made)


def test_tensors_are_their_own() -> None:
    chain = so.Architecture([(1, 2, 2, 1)])
    factor = torch.eye(2, dtype=torch.float64).reshape(1, 2, 2, 1)

    def planted(problem: Any) -> tuple[Any, Any]:
        held = torch.full_like(factor, 7.0)
        held.detach = lambda: factor  # type: ignore[method-assign]
        answer = so.KroneckerProduct([held], chain)
        return answer, so.ButterflyCertificate(problem, answer)

    refused(so.ButterflyFactorization(np.eye(2), chain), planted)


def test_integers_are_no_factors_in_floats() -> None:
    """Set past the constructor, beyond 2^53: doubles would round them."""
    chain = so.Architecture([(1, 2, 2, 1)])
    product = so.KroneckerProduct([np.ones((1, 2, 2, 1))], chain)
    whole = np.full((1, 2, 2, 1), 2**53 + 1)
    object.__setattr__(product, "factors", (whole,))
    target = np.full((2, 2), 2.0**53)
    proof = so.ButterflyCertificate(so.ButterflyFactorization(target, chain), product)
    assert not so.verify(proof).ok


def test_no_solver_sets_the_accuracy_that_was_asked() -> None:
    rng = np.random.default_rng(0)
    problem = so.SparseRegression(rng.normal(size=(8, 4)), rng.normal(size=8), so.L1(0.1))

    class Careless(so.Solver[Any]):
        def accepts(self, problem: Any) -> so.Accepted:
            return so.Accepted()

        def solve(self, problem: Any, context: so.Context) -> tuple[Any, Any]:
            object.__setattr__(context, "tolerance", 1e300)
            return so.DualityGapCertificate.build(problem, np.ones(4), np.zeros(8))

    assert so.solve(problem, Careless(), tolerance=1e-6).status is so.Status.WEAK


class Changing(so.Solver[Any]):
    """Changes its copy of the problem."""

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> tuple[Any, Any]:
        """Answer another question."""
        proof = so.solve(so.Closedness(CLOSED)).certificate
        object.__setattr__(problem, "supports", proof.problem.supports)
        object.__setattr__(proof, "problem", problem)
        return proof.answer, proof


def test_workers_answer_the_problem_that_was_sent() -> None:
    found = so.solve_all([so.Closedness(LU), so.Closedness(LU)], Changing(), jobs=2)
    assert all(isinstance(each, so.SolveError) for each in found)
    assert "changed the problem" in str(found[0])


def test_judgements_are_of_objects_as_they_were() -> None:
    proof = honest(LU)
    assert so.solve(proof.problem).certificate is not proof

    class Turned(so.Analyzer[Any]):
        def accepts(self, subject: Any) -> so.Accepted:
            return so.Accepted()

        def analyze(self, subject: Any, context: so.Context) -> Any:
            object.__setattr__(proof, "answer", honest(CLOSED).answer)
            yield so.Finding("supports-closed", so.Severity.OK, "here", "closed", certificate=proof)

    report = so.analyze(proof.problem, Turned())
    assert [finding.rule for finding in report.findings] == ["certificate-refused"]


def test_a_page_says_where_a_proof_is_of_something_else(tmp_path: Path) -> None:
    finding = so.Finding("supports-closed", so.Severity.OK, "x", "closed", certificate=honest(LU))
    so.Report("r", (finding,), (), 0.0).to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "proof (it proves something else than supports-closed)" in page
