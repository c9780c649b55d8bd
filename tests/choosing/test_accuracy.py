"""An accuracy is asked for, proved, and said; an answer that proves less is WEAK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rough_toys import AsksAsked, RealRoot, SquareError
from toys import SquareRoot

import sparseopt as so
from sparseopt.choosing.discovery import Registry, Source
from sparseopt.interface.solution import described_accuracy

Install = Callable[..., Registry]


def entry(name: str, cls: str, guarantee: so.Guarantee = so.Guarantee.CERTIFIED) -> so.SolverEntry:
    return so.SolverEntry(name, f"rough_toys:{cls}", "rough_toys:RealRoot", guarantee, "toy")


def source(*entries: so.SolverEntry) -> Source:
    manifest = so.Manifest("rough", 1, "toy", solvers=entries)
    return Source("rough", "rough-dist", lambda: manifest)


def test_a_weak_answer_is_kept_while_others_run(install: Install) -> None:
    install(source(entry("fast", "TwoRounds"), entry("slow", "Newton")))
    solution = so.solve(RealRoot(2.0))
    assert (solution.solver, solution.status) == ("slow", so.Status.VERIFIED)
    assert "proves no more than relative error of the square" in solution.plan.candidates[0].outcome
    assert solution.tolerance == 1e-9
    assert solution.accuracy is not None
    assert solution.accuracy <= 1e-9


def test_the_best_of_weak_answers_is_handed_out_and_says_so(install: Install) -> None:
    install(source(entry("a", "TwoRounds"), entry("b", "ThreeRounds"), entry("c", "TwoRounds")))
    solution = so.solve(RealRoot(2.0))
    assert (solution.solver, solution.status) == ("b", so.Status.WEAK)
    text = str(solution)
    assert "accuracy: relative error of the square at most 0.00112 (asked: 1e-09)" in text
    assert "WEAK by b" in text
    assert json.loads(solution.to_json())["accuracy"] == solution.accuracy


def test_weaker_guarantees_do_not_run_after_a_weak_answer(install: Install) -> None:
    heuristic = entry("rough", "Newton", so.Guarantee.HEURISTIC)
    install(source(entry("fast", "TwoRounds"), heuristic))
    solution = so.solve(RealRoot(2.0))
    assert (solution.solver, solution.status) == ("fast", so.Status.WEAK)
    assert solution.plan.candidates[1].outcome == ""


def test_what_is_on_request_does_not_run_after_a_weak_answer(install: Install) -> None:
    certified = so.Guarantee.CERTIFIED
    newton = so.SolverEntry(
        "extra", "rough_toys:Newton", "rough_toys:RealRoot", certified, "toy", on_request=True
    )
    install(source(entry("fast", "TwoRounds"), newton))
    solution = so.solve(RealRoot(2.0))
    assert (solution.solver, solution.status) == ("fast", so.Status.WEAK)
    assert so.solve(RealRoot(2.0), "extra").status is so.Status.VERIFIED
    assert so.solve(RealRoot(2.0), prefer=["extra"]).solver == "extra"
    install(source(newton))
    assert so.solve(RealRoot(2.0)).status is so.Status.VERIFIED


def test_an_explicit_choice_is_returned_though_weak(install: Install) -> None:
    install(source(entry("fast", "TwoRounds"), entry("slow", "Newton")))
    solution = so.solve(RealRoot(2.0), "fast")
    assert (solution.solver, solution.status) == ("fast", so.Status.WEAK)
    assert so.verify(solution).ok


def test_the_solver_learns_what_is_asked(install: Install) -> None:
    install(source(entry("asks", "AsksAsked")))
    assert so.solve(RealRoot(4.0), tolerance=2.0).answer == 2.0
    assert so.solve(RealRoot(4.0), AsksAsked()).answer == 1e-9


def test_a_problem_without_a_default_asks_for_nothing(install: Install) -> None:
    manifest = so.Manifest(
        "toy", 1, "toy",
        solvers=(so.SolverEntry("s", "toys:Search", "toys:SquareRoot", so.Guarantee.EXACT, "t"),),
    )  # fmt: skip
    install(Source("toy", "toy-dist", lambda: manifest))
    solution = so.solve(SquareRoot(49))
    assert (solution.status, solution.tolerance) == (so.Status.VERIFIED, None)
    # Its certificates state no accuracy, so whatever is asked is not proved.
    assert so.solve(SquareRoot(49), tolerance=1e-3).status is so.Status.WEAK


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf"), "1e-3", True])
def test_a_tolerance_that_is_none(tolerance: Any) -> None:
    with pytest.raises(so.ProblemError, match="tolerance must be a finite number"):
        so.solve(RealRoot(2.0), AsksAsked(), tolerance=tolerance)


def test_verify_says_the_accuracy_and_refuses_a_status_beyond_it(
    install: Install, tmp_path: Path
) -> None:
    install(source(entry("fast", "TwoRounds")))
    solution = so.solve(RealRoot(2.0))
    path = tmp_path / "solution.json"
    path.write_text(solution.to_json())
    assert "proved: relative error of the square at most" in so.verify(path).details[-1]
    body = json.loads(solution.to_json())
    body["status"] = "VERIFIED"
    path.write_text(json.dumps(body))
    check = so.verify(path)
    assert check.outcome == "refused"
    assert "the status VERIFIED agrees with what is proved" in check.details[-1]


def test_an_accuracy_of_a_file_is_not_believed(install: Install) -> None:
    install(source(entry("fast", "TwoRounds")))
    solution = so.solve(RealRoot(2.0))
    body = json.loads(solution.to_json())
    body["accuracy"] = 0.0
    assert so.Solution.from_json(json.dumps(body)).accuracy == solution.accuracy


def test_solutions_without_a_tolerance_stay_readable(install: Install) -> None:
    install(source(entry("slow", "Newton")))
    body = json.loads(so.solve(RealRoot(2.0)).to_json())
    del body["tolerance"], body["accuracy"]
    old = so.Solution.from_json(json.dumps(body))
    assert old.tolerance is None
    assert so.verify(old).ok


def test_nan_is_no_accuracy(monkeypatch: pytest.MonkeyPatch, install: Install) -> None:
    install(source(entry("slow", "Newton")))
    monkeypatch.setattr(SquareError, "accuracy", float("nan"))
    assert so.solve(RealRoot(2.0)).status is so.Status.WEAK


@pytest.mark.parametrize(
    ("accuracy", "asked", "words"),
    [
        (1e-9, 1e-9, "at most 1e-09 (asked: 1e-09)"),  # not 1.01e-09, which is more than was asked
        (2.0e-9, 1e-9, "at most 2.01e-09 (asked: 1e-09)"),
        (0.5e-9, None, "at most 5.01e-10"),
    ],
)
def test_what_was_reached_does_not_read_as_missed(
    accuracy: float, asked: float | None, words: str
) -> None:
    said = described_accuracy(RealRoot(2.0), accuracy, asked)
    assert said.endswith(words), said
