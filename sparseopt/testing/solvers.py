"""Laws of a solver."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing.discovery import registry
from sparseopt.interface.context import Context
from sparseopt.interface.errors import Inconclusive, ProblemError
from sparseopt.interface.problem import Problem
from sparseopt.interface.solver import Solver
from sparseopt.interface.verdict import Accepted, Guarantee
from sparseopt.judging.check import check_certificate
from sparseopt.judging.serialization import from_json, same_content, to_json
from sparseopt.testing import laws
from sparseopt.testing.outcome import Conformance, listed, require
from sparseopt.testing.tampering import tampered

MOST_EDITS = 24
LEAST_REFUSED = 0.75
LATE = 1.0
"""Seconds after its end within which a time limit must be noticed."""


@dataclass(frozen=True)
class Provable:
    """Marks a problem of a bank whose optimum can be proved to its class's default tolerance.

    A solver of guarantee EXACT or CERTIFIED must prove it, or say that it cannot (`Inconclusive`).

    Parameters
    ----------
    problem : Problem
        Of a class with a `default_tolerance`.
    """

    problem: Problem

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Problem) or self.problem.default_tolerance is None:
            raise ProblemError(
                f"Provable takes a problem whose class has a default_tolerance, got "
                f"{type(self.problem).__name__}"
            )


def check_solver(
    solver: Solver[Any] | type,
    problems: Iterable[Problem | Provable],
    *,
    guarantee: Guarantee | None = None,
    expected_failures: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Conformance:
    """Run every law of `Solver` on `solver` over a small bank of problems.

    Laws, by name: ``settings``, ``import``, ``accepts``, ``cost`` (seconds, and bytes where they
    are predicted: finite, not negative, the same twice), ``unchanged`` (the problem and the
    caller's arrays), ``certificate`` (allowed class, of this problem and answer, accepted by the
    core), ``accuracy`` (a `Provable` problem is proved to the default tolerance, by solvers of
    guarantee EXACT or CERTIFIED), ``round_trip`` (through JSON), ``tampering`` (of edits to single
    entries of answer and evidence, three quarters or more are refused; some edits leave another
    valid proof), ``deterministic`` (under a seed), ``evaluate``, ``time_limit`` (noticed within a
    second).

    Parameters
    ----------
    solver : Solver or class
        A class is built with its default settings.
    problems : iterable of Problem or Provable
        At least one must be answered, not merely refused.
    guarantee : Guarantee or None
        What the solver promises. None means what its manifest says, or CERTIFIED where no
        installed manifest names it.
    expected_failures : mapping of law to reason
        Laws that are known to fail; each needs a reason, and one that passes is a failure.
    seed : int
        Seed of the calls.

    Returns
    -------
    Conformance

    Raises
    ------
    AssertionError
        If a law is broken or no check ran; the message lists every failure.
    """
    if isinstance(problems, Provable):
        problems = problems.problem  # type: ignore[assignment]
    problems = listed(problems, "problems", "check_solver(solver, [problem])")
    for i, record in enumerate(problems):
        if not isinstance(record, Problem | Provable):
            kind = type(record).__name__
            raise ProblemError(f"problems[{i}] is a {kind}, not a Problem, nor a Provable one")
    cls = solver if isinstance(solver, type) else type(solver)
    outcome = Conformance(cls.__qualname__, expected_failures or {})
    if not outcome.run("settings", "", lambda: laws.settings_only(cls)):
        return outcome.finish()
    outcome.run("import", "", lambda: laws.imports_quietly(cls))
    engine = cls() if isinstance(solver, type) else solver
    promise = guarantee or _declared_guarantee(cls)
    answered = 0
    for i, record in enumerate(problems):
        problem = record.problem if isinstance(record, Provable) else record
        proved = isinstance(record, Provable) and promise is not Guarantee.HEURISTIC
        answered += _check_on(outcome, engine, problem, f"problem {i}", seed, proved)
    if not answered and not outcome.failed:
        outcome.failed.append("certificate: no problem of the bank was answered")
    return outcome.finish()


def _declared_guarantee(cls: type) -> Guarantee:
    """Return the guarantee that an installed manifest declares for a class, CERTIFIED if none."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    found = [item.entry.guarantee for item in registry().solvers if item.entry.path == path]
    return found[0] if found else Guarantee.CERTIFIED


def _check_on(
    outcome: Conformance,
    engine: Solver[Any],
    problem: Problem,
    where: str,
    seed: int,
    must_prove: bool,
) -> bool:
    """Run the laws on one problem; return whether it was answered."""
    before, arrays = laws.content(problem), laws.bases(problem)
    if not outcome.run("accepts", where, lambda: laws.accepts_lawfully(engine, problem)):
        return False
    if not isinstance(engine.accepts(problem), Accepted):
        return False
    outcome.run("cost", where, lambda: _cost(engine, problem))
    try:
        result = engine.solve(problem, Context(seed=seed, tolerance=problem.default_tolerance))
    except Inconclusive:  # it cannot be raised without a reason
        return False
    except (Exception, SystemExit) as error:
        outcome.failed.append(
            f"certificate ({where}): solve raised {outcome.raised(error)}; "
            "raise Inconclusive(reason) when there is no answer"
        )
        return False

    def unchanged() -> None:
        require(laws.content(problem) == before, "solve changed the problem")
        require(laws.bases(problem) == arrays, "solve changed the caller's array")

    outcome.run("unchanged", where, unchanged)
    if not outcome.run("certificate", where, lambda: _certificate(result, problem)):
        return False
    answer, certificate = result
    if must_prove:
        outcome.run("accuracy", where, lambda: _accuracy(certificate, problem))
    outcome.run("round_trip", where, lambda: _round_trip(certificate))
    outcome.run("tampering", where, lambda: _tampering(certificate, seed))
    outcome.run("deterministic", where, lambda: _deterministic(engine, problem, result, seed))
    outcome.run("evaluate", where, lambda: _evaluate(problem, answer))
    outcome.run("time_limit", where, lambda: _time_limit(engine, problem))
    return True


def _cost(engine: Solver[Any], problem: Problem) -> None:
    cost = engine.cost(problem)
    require(math.isfinite(cost) and cost >= 0, f"cost returned {cost!r}, not finite seconds")
    require(engine.cost(problem) == cost, "cost is not the same twice")
    size = engine.bytes_needed(problem)
    sound = size is None or (math.isfinite(size) and size >= 0)
    require(sound, f"bytes_needed returned {size!r}, neither None nor a finite number of bytes")
    require(engine.bytes_needed(problem) == size, "bytes_needed is not the same twice")
    said = engine.cost_rests_on(problem)
    require(type(said) is str, f"cost_rests_on returned {said!r}, which is not a text")
    require(engine.cost_rests_on(problem) == said, "cost_rests_on is not the same twice")


def _certificate(result: Any, problem: Problem) -> None:
    require(
        isinstance(result, tuple) and len(result) == 2, "solve must return (answer, certificate)"
    )
    answer, certificate = result
    check = check_certificate(certificate, problem, answer)
    require(check.ok, str(check))


def _accuracy(certificate: Any, problem: Problem) -> None:
    asked = problem.default_tolerance
    assert asked is not None
    accuracy = float(certificate.accuracy)
    require(
        accuracy <= asked,
        f"it proves {problem.accuracy_is} {accuracy:.3g}, and {asked:g} can be proved; give a "
        "better answer or raise Inconclusive, or declare the guarantee HEURISTIC",
    )


def _round_trip(certificate: Any) -> None:
    back = from_json(to_json(certificate))
    require(same_content(back, certificate), "the certificate changes on its way through JSON")
    check = check_certificate(back)
    require(check.ok, f"after a round trip through JSON: {check}")


def _tampering(certificate: Any, seed: int) -> None:
    accepted, edits = [], 0
    for place, text in tampered(to_json(certificate), MOST_EDITS, np.random.default_rng(seed)):
        edits += 1
        try:
            check = check_certificate(from_json(text))
        except ProblemError:
            continue
        if check.ok:
            accepted.append(place)
    words = f"{len(accepted)} of {edits} edits still accepted: {', '.join(accepted)}"
    require(len(accepted) <= (1 - LEAST_REFUSED) * edits, words)


def _deterministic(
    engine: Solver[Any], problem: Problem, first: tuple[Any, Any], seed: int
) -> None:
    second = engine.solve(problem, Context(seed=seed, tolerance=problem.default_tolerance))
    for name, a, b in zip(("answer", "certificate"), first, second, strict=True):
        require(same_content(a, b), f"the {name} differs between two calls with one seed")


def _evaluate(problem: Problem, answer: Any) -> None:
    figures = problem.evaluate(answer)
    for name, value in figures.items():
        require(isinstance(value, float) and value == value, f"evaluate: {name} is {value!r}")


def _time_limit(engine: Solver[Any], problem: Problem) -> None:
    """A tiny limit either leaves time for an answer, or ends in `Inconclusive`, within a second.

    A busy machine may be late twice.
    """
    least = math.inf
    for _ in range(3):
        start = time.monotonic()
        with contextlib.suppress(Inconclusive):
            engine.solve(problem, Context(seed=0, time_limit=1e-9))
        least = min(least, time.monotonic() - start)
        if least <= LATE:
            return
        if least > 5 * LATE:
            break
    raise AssertionError(
        f"with a time limit of 1e-9 s, solve ran for {least:.2g} s, and {LATE:g} s is allowed: "
        "call context.check_time in its loops"
    )
