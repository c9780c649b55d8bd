"""The kit passes honest engines and catches planted faults; so does the gate, where it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faulty
import numpy as np
import pytest
import toys

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.testing.analyzers import check_analyzer
from sparseopt.testing.solvers import Provable, check_solver

Install = Callable[..., Registry]


def bank() -> list[faulty.Ranking]:
    return [faulty.Ranking(np.array(values)) for values in ([3.0, 1.0, 2.0], [5, 5, 4], [1.0])]


def test_an_honest_solver_passes(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = check_solver(faulty.Honest, [*bank(), faulty.Ranking(np.array([1j]))])
    assert len(outcome.passed) > 20
    assert f"{len(outcome.passed)} checks ran, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("solver", "words"),
    [
        (faulty.WrongWithForgedCertificate, "certificate .*class is one of those"),
        (faulty.RefusesWithoutReason, "accepts .*non-empty text"),
        (faulty.RaisesInAccepts, "accepts .*KeyError"),
        (faulty.MutatesProblem, "unchanged .*solve changed"),
        (faulty.IgnoresSeed, "deterministic .*differs between two calls"),
        (faulty.Mutable, "cost .*-1.0"),
        (faulty.NotFrozen, "not a dataclass"),
    ],
)
def test_planted_faults_are_caught(solver: type, words: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){words}"):
        check_solver(solver, bank())


def test_a_time_limit_that_is_noticed_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparseopt.testing.solvers.LATE", 0.02)
    with pytest.raises(AssertionError, match=r"time_limit .* solve ran for .* 0\.02 s is allowed"):
        check_solver(faulty.Late, bank())


def test_an_answer_that_is_proved_to_be_bad_is_caught() -> None:
    problem = so.SparseRegression(np.diag([3.0, 1.0]), [3.0, -1.0], so.L1(0.5))
    assert check_solver(faulty.AnswersOnes, [problem]).passed
    words = r"accuracy \(problem 0\): it proves relative duality gap .*HEURISTIC"
    with pytest.raises(AssertionError, match=f"(?s){words}"):
        check_solver(faulty.AnswersOnes, [Provable(problem)])
    with pytest.raises(AssertionError, match="accuracy"):
        check_solver(faulty.AnswersOnes, [Provable(problem)], guarantee=so.Guarantee.EXACT)
    heuristic = so.Guarantee.HEURISTIC
    assert check_solver(faulty.AnswersOnes, [Provable(problem)], guarantee=heuristic).passed


def test_the_guarantee_of_the_manifest_counts(install: Install) -> None:
    problem = so.SparseRegression(np.diag([3.0, 1.0]), [3.0, -1.0], so.L1(0.5))
    entry = so.SolverEntry(
        "ones", "faulty:AnswersOnes", "sparseopt:SparseRegression", so.Guarantee.HEURISTIC, "toy"
    )
    install(Source("toy", "toy-dist", lambda: so.Manifest("toy", 1, "toy", solvers=(entry,))))
    assert check_solver(faulty.AnswersOnes, [Provable(problem)]).passed


def test_only_a_problem_with_a_default_tolerance_is_provable() -> None:
    with pytest.raises(so.ProblemError, match="whose class has a default_tolerance, got Ranking"):
        Provable(bank()[0])


def test_an_import_that_exits_is_caught() -> None:
    """Fault 6, seen by the kit: the class claims to live in a module that exits."""
    cls = type("Exiting", (faulty.Honest,), {"__module__": "exits_on_import"})
    with pytest.raises(AssertionError, match="ends the process with 7"):
        check_solver(cls, bank())


def test_an_import_that_loads_a_heavy_library_is_caught() -> None:
    cls = type("Heavy", (faulty.Honest,), {"__module__": "heavy_on_import"})
    with pytest.raises(AssertionError, match="loads sympy; import it where it is used"):
        check_solver(cls, bank())


@pytest.mark.parametrize(
    "name", ["WrongWithForgedCertificate", "RefusesWithoutReason", "RaisesInAccepts"]
)
def test_the_gate_and_the_plan_survive_the_faults(install: Install, name: str) -> None:
    entries = tuple(
        so.SolverEntry(n, f"faulty:{n}", "faulty:Ranking", so.Guarantee.EXACT, "toy", priority=p)
        for n, p in ((name, 1), ("Honest", 0))
    )
    exiting = so.SolverEntry(
        "exits", "exits_on_import:X", "faulty:Ranking", so.Guarantee.EXACT, "toy"
    )
    manifest = so.Manifest("toy", 1, "toy", solvers=(*entries, exiting))
    install(Source("toy", "toy-dist", lambda: manifest))
    solution = so.solve(bank()[0])
    assert solution.solver == "Honest"
    verdicts = {c.name: str(c.verdict) + c.outcome for c in solution.plan}
    assert "SystemExit: 7" in verdicts["exits"]
    assert "refused" in verdicts[name]


def test_no_check_is_a_failure() -> None:
    with pytest.raises(AssertionError, match="no problem of the bank was answered"):
        check_solver(faulty.Honest, [])
    with pytest.raises(AssertionError, match="no problem of the bank was answered"):
        check_solver(faulty.Honest, [faulty.Ranking(np.array([1j]))])


def test_expected_failures_need_a_reason_and_must_fail() -> None:
    reason = "the toy alternates on purpose"
    outcome = check_solver(faulty.IgnoresSeed, bank(), expected_failures={"deterministic": reason})
    assert all(reason in line for line in outcome.excused)
    with pytest.raises(TypeError, match="needs a reason"):
        check_solver(faulty.IgnoresSeed, bank(), expected_failures={"deterministic": " "})
    with pytest.raises(AssertionError, match="expected to fail, but it does not"):
        check_solver(faulty.Honest, bank(), expected_failures={"deterministic": reason})


def test_analyzers(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = so.SolverEntry(
        "search", "toys:Search", "toys:SquareRoot", so.Guarantee.EXACT, summary="toy"
    )
    install(Source("toy", "toy", lambda: so.Manifest("toy", 1, "toy", solvers=(entry,))))
    subjects = [toys.SquareRoot(49), toys.SquareRoot(0)]
    assert check_analyzer(toys.Parity, subjects).passed
    with pytest.raises(AssertionError, match="on fire"):
        check_analyzer(toys.Breaks, subjects)
    with pytest.raises(AssertionError, match="FAILED"):
        check_analyzer(toys.Unproved, subjects)
    with pytest.raises(AssertionError, match="must say what to do"):
        check_analyzer(toys.Parity(loud=True), subjects)
    with pytest.raises(AssertionError, match="no subject was accepted"):
        check_analyzer(toys.Parity, [])


def test_an_error_is_shown_as_it_is_and_alone() -> None:
    with pytest.raises(AssertionError) as caught:
        check_analyzer(toys.Breaks, [toys.SquareRoot(49)])
    assert isinstance(caught.value.__cause__, RuntimeError)
    words = str(caught.value)
    assert "findings (subject 0): RuntimeError: analyzer on fire (toys.py, line " in words
    assert "no subject was accepted" not in words

    class Fails(toys.Search):
        def solve(self, problem: Any, context: so.Context) -> Any:
            raise RuntimeError("solver on fire")

    with pytest.raises(AssertionError, match=r"RuntimeError: solver on fire \(test_kit.py, line"):
        check_solver(Fails(), [toys.SquareRoot(49)])


class One(toys.Parity):
    """Returns one finding that is in no list, or what is no finding."""

    found: Any = so.Finding("r", so.Severity.OK, "w", "m")

    def analyze(self, subject: Any, context: so.Context) -> Any:
        return self.found


def test_one_instead_of_a_list_is_said() -> None:
    problem = toys.SquareRoot(49)
    with pytest.raises(AssertionError, match="must yield findings, it returned a Finding"):
        check_analyzer(One, [problem])
    with pytest.raises(AssertionError, match="'words' is not a Finding"):
        check_analyzer(type("Words", (One,), {"found": ["words"]}), [problem])
    named = so.Finding("Dead units", so.Severity.OK, "w", "m")
    with pytest.raises(AssertionError, match="'Dead units' is no name like"):
        check_analyzer(type("Named", (One,), {"found": [named]}), [problem])
    with pytest.raises(so.ProblemError, match=r"subjects is a list, .* \[subject\]"):
        check_analyzer(toys.Parity, problem)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="subjects is a list, got a str"):
        check_analyzer(toys.Parity, "network.onnx")
    for one in (problem, faulty.Ranking(np.array([1.0, 2.0]))):
        with pytest.raises(so.ProblemError, match=r"problems is a list, .* \[problem\]"):
            check_solver(toys.Search, one)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match=r"problems\[0\] is a list, not a Problem"):
        check_solver(toys.Search, [[problem]])  # type: ignore[list-item]


def test_a_class_of_the_running_script_is_not_imported_again() -> None:
    assert check_solver(type("Local", (faulty.Honest,), {"__module__": "__main__"}), bank()).passed
