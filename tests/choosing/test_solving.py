"""Selection, the certificate gate, preferences, options and verification."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import toy_entry, toy_source
from toys import (
    AcceptsNone,
    BadCost,
    Exits,
    Forger,
    Guess,
    NoReason,
    NoTuple,
    PatchedJudge,
    Raises,
    RootCertificate,
    Search,
    SquareRoot,
    Swapper,
)

import sparseopt as so
from sparseopt.choosing.discovery import Registry

Install = Callable[..., Registry]


def names(plan: so.Plan) -> list[str]:
    return [candidate.name for candidate in plan]


def test_the_answer_comes_with_an_accepted_certificate(install: Install) -> None:
    install(toy_source(toy_entry("search")))
    solution = so.solve(SquareRoot(144))
    assert solution.answer == 12
    assert solution.status is so.Status.VERIFIED
    assert solution.solver == "search"
    assert solution.seconds > 0
    assert so.verify(solution).ok
    assert so.verify(solution.certificate).ok


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (Guess, "FAILED: answer times answer is the number"),
        (Forger, "the certificate's class is one of those"),
        (Swapper, "the certificate is of this problem"),
        (PatchedJudge, "FAILED: answer times answer"),
        (Raises, "raised RuntimeError: engine on fire"),
        (Exits, "raised SystemExit"),
        (NoTuple, "instead of (answer, certificate)"),
    ],
)
def test_the_gate_stops_a_faulty_solver_and_the_next_runs(
    install: Install, faulty: type, words: str
) -> None:
    install(toy_source(toy_entry("faulty", faulty.__name__), toy_entry("search")))
    solution = so.solve(SquareRoot(144))
    assert solution.answer == 12
    assert names(solution.plan) == ["faulty", "search"]
    assert words in solution.plan.candidates[0].outcome
    with pytest.raises(so.SolveError, match=f"(?s)the chosen solver faulty: .*{re.escape(words)}"):
        so.solve(SquareRoot(144), "faulty")
    with pytest.raises(so.SolveError, match=f"(?s){faulty.__name__}: .*{re.escape(words)}"):
        so.solve(SquareRoot(144), faulty())


def test_what_a_chosen_solver_raises_is_the_cause(install: Install) -> None:
    """Also where the problem has an honest answer for what is not decided."""
    install(toy_source(toy_entry("faulty", "Raises")))
    for solver in ("faulty", Raises(), None):
        with pytest.raises(so.SolveError, match=r"on fire \(toys\.py, line \d+\)") as caught:
            so.solve(SquareRoot(144), solver)
        assert isinstance(caught.value.__cause__, RuntimeError)

    @dataclass(frozen=True)
    class Breaks(so.Solver[so.Closedness]):
        def accepts(self, problem: so.Closedness) -> so.Accepted:
            return so.Accepted()

        def solve(self, problem: so.Closedness, context: so.Context) -> Any:
            raise KeyError("weight")

    with pytest.raises(so.SolveError, match=r"the chosen solver .*Breaks: raised KeyError"):
        so.solve(so.Closedness([[[1]], [[1]]]), Breaks())
    with pytest.raises(so.ProblemError, match=r"give an instance: Breaks\(\)"):
        so.solve(so.Closedness([[[1]], [[1]]]), Breaks)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("oracle loaded: no", "(predicted 1 s), oracle loaded: no"),
        ("\x1b[8mgone", "(predicted 1 s), \\x1b[8mgone"),
        ("", "(predicted 1 s)"),
        (7, "(predicted 1 s)"),
        (KeyError("oracle"), "(predicted 1 s)"),
    ],
)
def test_plans_say_what_a_cost_rests_on(said: Any, shown: str) -> None:
    @dataclass(frozen=True)
    class Slow(so.Solver[so.Closedness]):
        def accepts(self, problem: so.Closedness) -> so.Accepted:
            return so.Accepted()

        def cost_rests_on(self, problem: so.Closedness) -> str:
            if isinstance(said, Exception):
                raise said
            return said  # type: ignore[no-any-return]

        def solve(self, problem: so.Closedness, context: so.Context) -> Any:
            raise so.Inconclusive("too tired")

    plan = so.plan(so.Closedness([[[1]], [[1]]]), Slow())
    assert str(plan.candidates[0]).endswith(shown)
    again = so.from_json(so.to_json(plan))
    assert str(again) == str(plan)
    assert so.to_json(again) == so.to_json(plan)


def test_a_time_limit_that_is_passed_is_said() -> None:
    @dataclass(frozen=True)
    class Sleeps(so.Solver[so.Closedness]):
        def accepts(self, problem: so.Closedness) -> so.Accepted:
            return so.Accepted()

        def solve(self, problem: so.Closedness, context: so.Context) -> Any:
            time.sleep(1.2)
            raise so.Inconclusive("too tired")

    solution = so.solve(so.Closedness([[[1]], [[1]]]), Sleeps(), time_limit=0.1)
    assert "the time limit was passed by 1" in solution.plan.candidates[0].outcome


@pytest.mark.parametrize(
    ("faulty", "words"),
    [
        (NoReason, "raised TypeError: Refused needs a non-empty text"),
        (AcceptsNone, "returned None instead of"),
        (BadCost, "cost returned nan"),
    ],
)
def test_a_faulty_accepts_is_a_refusal_that_says_so(
    install: Install, faulty: type, words: str
) -> None:
    install(toy_source(toy_entry("faulty", faulty.__name__), toy_entry("search")))
    solution = so.solve(SquareRoot(144))
    verdict = next(c.verdict for c in solution.plan if c.name == "faulty")
    assert isinstance(verdict, so.Refused)
    assert words in verdict.reason


def test_unchecked_answers_say_so(install: Install) -> None:
    install(toy_source(toy_entry("guess", "Guess")))
    solution = so.solve(SquareRoot(144), check=False)
    assert solution.status is so.Status.UNCHECKED
    assert not so.verify(solution).ok


def test_order_guarantee_party_cost_priority_name(install: Install) -> None:
    heuristic = so.Guarantee.HEURISTIC
    install(
        toy_source(
            toy_entry("cheap_heuristic", "Guess", guarantee=heuristic),
            toy_entry("b"),
            toy_entry("a"),
            toy_entry("urgent", priority=1),
            distribution="sparseopt",
            plugin="first",
        ),
        toy_source(toy_entry("third_cheap", "Guess"), distribution="third", plugin="third"),
    )
    plan = so.plan(SquareRoot(144))
    assert names(plan) == ["urgent", "a", "b", "third_cheap", "cheap_heuristic"]
    whys = [str(c.verdict) for c in plan]
    assert "priority" in whys[1]
    assert "first-party" in whys[3]
    assert "guarantee is stronger" in whys[4]
    assert names(so.plan(SquareRoot(144), prefer=["third"]))[0] == "third_cheap"
    assert names(so.plan(SquareRoot(144))) == names(plan)


def test_what_is_on_request_runs_after_its_own_kind_unless_preferred(install: Install) -> None:
    heuristic = so.Guarantee.HEURISTIC
    install(
        toy_source(
            toy_entry("a_fast", "Guess", on_request=True, priority=9),
            toy_entry("plain"),
            toy_entry("weak", guarantee=heuristic),
            distribution="sparseopt",
            plugin="first",
        ),
        toy_source(toy_entry("third"), distribution="third", plugin="third"),
    )
    plan = so.plan(SquareRoot(144))
    assert names(plan) == ["plain", "a_fast", "third", "weak"]
    assert "runs on request" in str(plan.candidates[1].verdict)
    assert names(so.plan(SquareRoot(144), prefer=["a_fast"]))[0] == "a_fast"
    assert names(so.plan(SquareRoot(144), "a_fast")) == ["a_fast"]


def test_block_and_prefer_by_argument_context_and_environment(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(toy_source(toy_entry("a"), toy_entry("b"), plugin="toy"))
    assert so.plan(SquareRoot(4)).chosen.name == "a"
    assert so.plan(SquareRoot(4), block=["a"]).chosen.name == "b"
    assert so.plan(SquareRoot(4), block="a").chosen.name == "b"
    with so.preferences(prefer=["b"]):
        assert so.plan(SquareRoot(4)).chosen.name == "b"
        with so.preferences(block=["b"]):
            assert so.plan(SquareRoot(4)).chosen.name == "a"
    monkeypatch.setenv("SPARSEOPT_BLOCK", "a, b")
    assert so.plan(SquareRoot(4)).chosen is None
    monkeypatch.setenv("SPARSEOPT_BLOCK", "typo")
    with pytest.raises(so.UnknownNameError, match=r"unknown .* 'typo'.*Known: a, b, toy"):
        so.plan(SquareRoot(4))
    monkeypatch.delenv("SPARSEOPT_BLOCK")
    with pytest.raises(so.UnknownNameError), so.preferences(block=["bb"]):
        pass


def test_explicit_choice_never_falls_back(install: Install) -> None:
    install(toy_source(toy_entry("search"), toy_entry("raises", "Raises")))
    with pytest.raises(so.SolveError, match="leave the choice out"):
        so.solve(SquareRoot(2), "search")
    with pytest.raises(so.SolveError, match="over 10"):
        so.solve(SquareRoot(10**8), "search")
    with pytest.raises(so.SolveError, match="block list"):
        so.solve(SquareRoot(4), "search", block=["search"])
    with pytest.raises(so.UnknownNameError, match="Did you mean 'search'"):
        so.solve(SquareRoot(4), "serch")
    with pytest.raises(so.ProblemError, match="name or a Solver instance"):
        so.solve(SquareRoot(4), 3)


def test_options_are_the_fields_of_the_solver(install: Install) -> None:
    install(toy_source(toy_entry("search")))
    assert so.solve(SquareRoot(49), start=7).answer == 7
    assert so.solve(SquareRoot(49), Search(), start=7).answer == 7
    for choice in (None, "search", Search()):
        with pytest.raises(so.UnknownNameError, match="Known: start"):
            so.solve(SquareRoot(49), choice, begin=7)
    with pytest.raises(so.ProblemError, match="start must not be negative"):
        so.solve(SquareRoot(49), start=-1)


def test_nothing_conclusive_tells_what_each_met(install: Install) -> None:
    install(toy_source(toy_entry("search"), toy_entry("raises", "Raises")))
    with pytest.raises(so.SolveError) as caught:
        so.solve(SquareRoot(2))
    assert "2 is not a square" in str(caught.value)
    assert "engine on fire" in str(caught.value)
    assert len(caught.value.plan) == 2


def test_time_limit(install: Install) -> None:
    install(toy_source(toy_entry("search")))
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(SquareRoot(999_999), time_limit=1e-9)
    with pytest.raises(so.ProblemError, match="positive"):
        so.solve(SquareRoot(4), time_limit=0)
    for wrong in ({"time_limit": "1"}, {"time_limit": float("nan")}, {"seed": -1}, {"seed": "a"}):
        with pytest.raises(so.ProblemError, match="must be"):
            so.solve(SquareRoot(4), **wrong)


def test_not_a_problem() -> None:
    with pytest.raises(so.ProblemError, match="take a Problem, got int"):
        so.solve(3)


def test_solution_and_certificate_travel_by_json(install: Install, tmp_path: Path) -> None:
    install(toy_source(toy_entry("search")))
    solution = so.solve(SquareRoot(144))
    back = so.Solution.from_json(solution.to_json())
    assert back.to_json() == solution.to_json()
    assert so.verify(back).ok
    path = tmp_path / "solution.json"
    path.write_text(solution.to_json())
    assert so.verify(path).ok
    path.write_text(so.to_json(solution.certificate))
    assert so.verify(str(path)).ok
    path.write_text(solution.to_json().replace('"answer": 12', '"answer": 13'))
    check = so.verify(path)
    assert not check.ok
    assert "FAILED" in check.details[-1]


def test_verify_refuses_a_certificate_of_another_problem_or_answer() -> None:
    right = RootCertificate(SquareRoot(49), 7)
    plan = so.Plan("", ())
    base = so.Solution(SquareRoot(49), 7, right, so.Status.VERIFIED, "", 0.0, plan)
    assert so.verify(base).ok
    for wrong in (
        dataclasses.replace(base, problem=SquareRoot(50)),
        dataclasses.replace(base, answer=8),
        dataclasses.replace(base, certificate=None),
    ):
        assert not so.verify(wrong).ok
    with pytest.raises(so.ProblemError, match="verify takes"):
        so.verify(7)


def test_verdicts_need_reasons() -> None:
    for build in (
        lambda: so.Refused(""),
        lambda: so.Refused(),
        lambda: so.Unavailable("x", ""),
        lambda: so.Inconclusive(""),
    ):
        with pytest.raises(TypeError):
            build()


def test_progress_and_seed() -> None:
    seen = []
    context = so.Context(seed=5, progress=lambda fraction, message: seen.append(fraction))
    context.report(2.0, "over")
    assert seen == [1.0]
    assert context.rng().random() == so.Context(seed=5).rng().random()
    assert context.remaining() == float("inf")


def test_only_the_package_of_a_problem_says_what_proves_it() -> None:
    with pytest.raises(TypeError, match="the package that states a problem"):

        @so.proves(so.Closedness)
        class Foreign(so.Certificate):
            pass

    assert all(c.__module__.startswith("sparseopt.") for c in so.Closedness.certificates)


def test_the_repr_of_a_solution_is_one_line() -> None:
    design = np.random.default_rng(0).standard_normal((40, 60))
    solution = so.solve(so.BasisPursuit(design, design[:, 0]))
    assert repr(solution) == (
        f"<Solution of BasisPursuit: 1 of 60 entries are nonzero; VERIFIED by {solution.solver}>"
    )


def test_what_is_nearly_right_is_answered_with_what_is() -> None:
    problem = so.Closedness([[[1]], [[1]]])
    with pytest.raises(so.ProblemError, match=r"so\.solve_all\(\[problem\]\)"):
        so.solve_all(problem)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match=r"so\.ProgressBar\(\), got True"):
        so.solve(problem, progress=True)  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match=r"'none'. `sparseopt doctor` lists"):
        so.solve(problem, block=["none"])
    with pytest.raises(so.ProblemError, match=r"shape \(2,\); for one matrix write \[I\]"):
        so.Closedness([[1, 0], [1, 1]])
    with pytest.raises(AttributeError) as caught:
        so.solv  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("solv", so)
    assert {"Any", "ast", "sys"}.isdisjoint(dir(so))
    assert len(repr(so.plugins())) < 1500
