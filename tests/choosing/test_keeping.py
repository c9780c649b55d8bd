"""Whatever plugins do to a question or a subject, what was asked is answered."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from liars import CLOSED, LU
from scipy.sparse import csc_array
from toys import RootCertificate

import sparseopt as so
from sparseopt.choosing import discovery
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.choosing.keeping import Kept

HERE = __name__


def put_closed(problem: Any) -> None:
    """Put other supports in place of those that were asked about."""
    object.__setattr__(problem, "supports", so.Closedness(CLOSED).supports)


class Changing(so.Solver[so.Closedness]):
    """Changes the problem, and then gives up."""

    def accepts(self, problem: Any) -> so.Accepted | so.Refused:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Leave other supports behind."""
        put_closed(problem)
        raise so.Inconclusive("nothing found")


class Raising(Changing):
    """Changes the problem, and breaks."""

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Leave other supports behind."""
        put_closed(problem)
        raise RuntimeError("on fire")


class Accepting(Changing):
    """Changes the problem when it is asked."""

    def accepts(self, problem: Any) -> so.Accepted | so.Refused:
        """Refuse, with other supports left behind."""
        put_closed(problem)
        return so.Refused("nothing for me")


class Costing(Changing):
    """Changes the problem when it predicts its seconds."""

    def cost(self, problem: Any) -> float:
        """Leave other supports behind."""
        put_closed(problem)
        return 1.0


class Analyzing(so.Analyzer[so.Closedness]):
    """Changes the subject when it is asked."""

    def accepts(self, subject: Any) -> so.Accepted | so.Refused:
        """Refuse, with other supports left behind."""
        put_closed(subject)
        return so.Refused("nothing for me")

    def analyze(self, subject: Any, context: so.Context) -> Any:
        """Find nothing."""
        return ()


class Finding(Analyzing):
    """Changes the subject between findings."""

    def accepts(self, subject: Any) -> so.Accepted | so.Refused:
        """Take everything."""
        return so.Accepted()

    def analyze(self, subject: Any, context: so.Context) -> Any:
        """Find that other supports are closed."""
        put_closed(subject)
        found = so.solve(so.Closedness(CLOSED)).certificate
        object.__setattr__(found, "problem", subject)
        yield so.Finding("supports-closed", so.Severity.OK, "here", "closed", certificate=found)


def beside_ours(monkeypatch: pytest.MonkeyPatch, **offered: Any) -> None:
    """Install a plugin beside the bundled ones."""
    manifest = so.Manifest("theirs", 1, "toy", **offered)
    theirs = Source("theirs", "their-dist", lambda: manifest)
    made = Registry([*discovery._entry_point_sources(), theirs])
    monkeypatch.setattr(discovery, "_installed", made)


@pytest.mark.parametrize("cls", ["Changing", "Raising", "Accepting", "Costing"])
@pytest.mark.parametrize("jobs", [0, 1])
def test_another_solver_is_asked_the_same(
    cls: str, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = so.SolverEntry(
        "theirs", f"{HERE}:{cls}", "sparseopt:Closedness", so.Guarantee.EXACT, "toy"
    )
    beside_ours(monkeypatch, solvers=(entry,))
    problem = so.Closedness(LU)
    supports = problem.supports
    plan = so.plan(problem, prefer=["theirs"])
    assert problem.supports is supports
    if cls in ("Accepting", "Costing"):
        said = next(str(c.verdict) for c in plan.candidates if c.name == "theirs")
        assert "it changed the problem when it was asked" in said, said
    if jobs:
        (solution,) = so.solve_all([problem], prefer=["theirs"], jobs=jobs)
    else:
        solution = so.solve(problem, prefer=["theirs"])
    assert isinstance(solution, so.Solution)
    assert problem.supports is supports
    assert (solution.answer.value, so.verify(solution).ok) == ("not_closed", True)


@pytest.mark.parametrize("cls", ["Analyzing", "Finding"])
def test_another_analyzer_is_asked_the_same(cls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = so.AnalyzerEntry("aaa", f"{HERE}:{cls}", "sparseopt:Closedness", "toy")
    beside_ours(monkeypatch, analyzers=(entry,))
    problem = so.Closedness(LU)
    report = so.analyze(problem)
    rules = [finding.rule for finding in report.findings]
    assert "analyzer-failed" in rules, report.skipped
    assert "it changed the subject" in report.findings[rules.index("analyzer-failed")].message
    assert "supports-not-closed" in rules
    assert "supports-closed" not in rules


def deeper(problem: Any) -> None:
    object.__setattr__(problem.penalty, "strength", 100.0)


def another_class(problem: Any) -> None:
    object.__setattr__(problem, "__class__", so.Closedness)


def no_field(problem: Any) -> None:
    object.__delattr__(problem, "target")


@pytest.mark.parametrize("change", [deeper, another_class, no_field])
def test_changes_of_all_kinds_are_undone(change: Callable[[Any], None]) -> None:
    penalty = so.L1(0.5)
    problem = so.SparseRegression(np.eye(2), [1.0, 2.0], penalty)
    held, kept = dict(vars(problem)), Kept(problem)
    change(problem)
    assert kept.put_back()
    assert type(problem) is so.SparseRegression
    assert penalty.strength == 0.5
    assert all(getattr(problem, name) is held[name] for name in ("design", "target", "penalty"))
    assert not kept.put_back()


@so.json_type
@dataclass(frozen=True, eq=False)
class Remembering(so.Problem):
    """A question of a third party that fills some of its fields when they are needed."""

    certificates = (RootCertificate,)
    number: int
    bits: int | None = field(default=None, init=False)
    unset: int = field(init=False)

    def describe(self) -> str:
        """Name it."""
        return f"root of {self.number}"

    def evaluate(self, answer: Any) -> Any:
        """Return nothing."""
        return {}


class Filling(so.Solver[Remembering]):
    """Fills a field of the question."""

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Answer, and remember how long the number is."""
        object.__setattr__(problem, "bits", problem.number.bit_length())
        return 7, RootCertificate(problem, 7)


def test_a_problem_may_remember() -> None:
    solution = so.solve(Remembering(49), Filling())
    assert solution.status is so.Status.VERIFIED
    assert solution.problem.bits == 6


class Careful(so.Solver[so.ButterflyFactorization]):
    """Asks the judge before it answers."""

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Answer as the bundled engine does."""
        found = so.solve(problem)
        assert so.verify(found.certificate).ok
        return found.answer, found.certificate


@pytest.mark.parametrize("needs_gradient", [False, True])
def test_a_solver_may_ask_the_judge_of_a_tensor(needs_gradient: bool) -> None:
    target = torch.eye(4, dtype=torch.float64, requires_grad=needs_gradient)
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(4))
    assert so.solve(problem, Careful()).status is so.Status.VERIFIED


def turn(problem: Any) -> None:
    """Let what is read-only be read in another order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        problem.design.strides = problem.design.strides[::-1]


def triple(problem: Any) -> None:
    """Let a sparse design hold other numbers."""
    problem.design.data = 3.0 * problem.design.data


def store_another(problem: Any) -> None:
    """Let a target be read from another place."""
    problem.target.source = Chunked(np.eye(4))


class Chunked:
    """A matrix in storage."""

    chunks = (4, 4)

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, place: Any) -> np.ndarray:
        return self._array[place]


class Doing(so.Solver[Any]):
    """Does something to the problem, and answers the one that it then is."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.change = change

    def accepts(self, problem: Any) -> so.Accepted:
        """Take everything."""
        return so.Accepted()

    def solve(self, problem: Any, context: so.Context) -> Any:
        """Answer another question."""
        self.change(problem)
        found = so.solve(problem)
        return found.answer, found.certificate


@pytest.mark.parametrize("change", [turn, triple, store_another])
def test_what_arrays_and_targets_in_storage_are_read_from_is_put_back(
    change: Callable[[Any], None],
) -> None:
    dense = np.random.default_rng(0).normal(size=(4, 4))
    penalty = so.L1(0.1)
    problem: Any = {
        turn: lambda: so.SparseRegression(dense, np.arange(4.0), penalty),
        triple: lambda: so.SparseRegression(csc_array(dense), np.arange(4.0), penalty),
        store_another: lambda: so.ButterflyFactorization(
            Chunked(dense), so.Architecture.square_dyadic(4)
        ),
    }[change]()
    text = so.to_json(problem)
    with pytest.raises(so.SolveError, match="changed the problem"):
        so.solve(problem, Doing(change))
    assert so.to_json(problem) == text
    assert so.solve(problem).status is so.Status.VERIFIED


def test_what_cannot_be_laid_out_as_it_was_is_said() -> None:
    def change(problem: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            problem.design.dtype = np.complex128
            problem.design.strides = (0, 0)

    problem: Any = so.SparseRegression(np.eye(4), np.arange(4.0), so.L1(0.1))
    with pytest.raises(so.ProblemError, match="cannot be put back"):
        so.solve(problem, Doing(change))
